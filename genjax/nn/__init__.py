"""Linen blocks that two families or more use; no losses."""

from genjax.nn.attention import PixelAttention
from genjax.nn.conv import Conv, ConvTranspose, conv2d, conv2d_transpose
from genjax.nn.embeddings import TimeEmbedding, sinusoidal_embedding
from genjax.nn.group_norm import GroupNorm
from genjax.nn.mlp import MLP
from genjax.nn.norm import BatchNorm
from genjax.nn.resnet import Conv3x3, Downsample, ResidualBlock, Upsample, conv3x3
from genjax.nn.unet import UNet

__all__ = [
    "BatchNorm",
    "Conv",
    "Conv3x3",
    "ConvTranspose",
    "Downsample",
    "GroupNorm",
    "MLP",
    "PixelAttention",
    "ResidualBlock",
    "TimeEmbedding",
    "UNet",
    "Upsample",
    "conv2d",
    "conv2d_transpose",
    "conv3x3",
    "sinusoidal_embedding",
]
