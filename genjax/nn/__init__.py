"""Linen blocks that two families or more use; no losses."""

from genjax.nn.adm import AdaptiveBlock, ablated_unet, adaptive_blocks, adaptive_parts
from genjax.nn.attention import PixelAttention
from genjax.nn.conv import Conv, ConvTranspose, conv2d, conv2d_transpose
from genjax.nn.dit import DiT, DiTBlock, JointBlock, MMDiT, sincos_positions
from genjax.nn.embeddings import FourierTimeEmbedding, TimeEmbedding, fourier_embedding, sinusoidal_embedding
from genjax.nn.group_norm import GroupNorm
from genjax.nn.masked_dense import Degrees, MaskedDense, MaskedMLP, even_degrees, ordering_degrees, random_degrees
from genjax.nn.mlp import MLP
from genjax.nn.ncsnpp import ScoreBlock, score_parts, score_unet
from genjax.nn.norm import BatchNorm
from genjax.nn.patches import patchify, unpatchify
from genjax.nn.resnet import Downsample, ResidualBlock, Upsample
from genjax.nn.text import Text
from genjax.nn.text_attention import SpatialTransformer, joined_parts, spatial_parts
from genjax.nn.transformer import SelfAttention, Transformer, TransformerLayer, causal_mask
from genjax.nn.unet import PLAIN, Parts, UNet

__all__ = [
    "AdaptiveBlock",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Degrees",
    "DiT",
    "DiTBlock",
    "Downsample",
    "FourierTimeEmbedding",
    "GroupNorm",
    "JointBlock",
    "MLP",
    "MMDiT",
    "MaskedDense",
    "MaskedMLP",
    "PLAIN",
    "Parts",
    "PixelAttention",
    "ResidualBlock",
    "ScoreBlock",
    "SelfAttention",
    "SpatialTransformer",
    "Text",
    "TimeEmbedding",
    "Transformer",
    "TransformerLayer",
    "UNet",
    "Upsample",
    "ablated_unet",
    "adaptive_blocks",
    "adaptive_parts",
    "causal_mask",
    "conv2d",
    "conv2d_transpose",
    "even_degrees",
    "fourier_embedding",
    "joined_parts",
    "ordering_degrees",
    "patchify",
    "random_degrees",
    "score_parts",
    "score_unet",
    "sincos_positions",
    "sinusoidal_embedding",
    "spatial_parts",
    "unpatchify",
]
