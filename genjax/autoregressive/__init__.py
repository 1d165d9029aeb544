"""Autoregressive models: p(x) = prod_d p(x_d | x_<d), and parallel decoding of masked tokens."""

from genjax.autoregressive.categorical import softmax_head, softmax_log_prob
from genjax.autoregressive.completion import naive_sample, spread_known, top_half
from genjax.autoregressive.conditionals import (
    Conditional,
    bernoulli,
    bernoulli_draw,
    categorical,
    categorical_draw,
    categorical_log_prob,
    draw_uniforms,
    gaussian_mixture,
    gaussian_mixture_draw,
    gaussian_mixture_log_prob,
)
from genjax.autoregressive.discretized_mixture import colour_log_probs, mixture_head, mixture_log_prob
from genjax.autoregressive.gated_pixelcnn import GatedPixelCNN, gated_pixelcnn
from genjax.autoregressive.hidden_scan import ScanWeights, hidden_start, init_weights, scan_outputs, scan_sample
from genjax.autoregressive.incremental import incremental_sample
from genjax.autoregressive.made import ensemble_log_prob, made, made_log_prob
from genjax.autoregressive.maskgit import MaskedTokenTransformer, maskgit
from genjax.autoregressive.masks import MaskBank, mask_bank
from genjax.autoregressive.nade import nade, nade_log_prob
from genjax.autoregressive.orderings import column_ordering, random_ordering, raster_ordering
from genjax.autoregressive.parallel_decoding import (
    cosine_schedule,
    decode,
    mask_at_random,
    masked_token_nll,
    order_agnostic_bound,
)
from genjax.autoregressive.pixelcnn import PixelCNN, pixelcnn
from genjax.autoregressive.pixelcnnpp import PixelCNNPP, pixelcnnpp
from genjax.autoregressive.pixelrnn import DiagonalBiLSTM, PixelRNN, RowLSTM, pixelrnn
from genjax.autoregressive.raster import Head, raster_model
from genjax.autoregressive.rnade import rnade, rnade_log_prob
from genjax.autoregressive.skewing import skew, unskew

__all__ = [
    "Conditional",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "Head",
    "MaskBank",
    "MaskedTokenTransformer",
    "PixelCNN",
    "PixelCNNPP",
    "PixelRNN",
    "RowLSTM",
    "ScanWeights",
    "bernoulli",
    "bernoulli_draw",
    "categorical",
    "categorical_draw",
    "categorical_log_prob",
    "colour_log_probs",
    "column_ordering",
    "cosine_schedule",
    "decode",
    "draw_uniforms",
    "ensemble_log_prob",
    "gated_pixelcnn",
    "gaussian_mixture",
    "gaussian_mixture_draw",
    "gaussian_mixture_log_prob",
    "hidden_start",
    "incremental_sample",
    "init_weights",
    "made",
    "made_log_prob",
    "mask_at_random",
    "mask_bank",
    "masked_token_nll",
    "maskgit",
    "mixture_head",
    "mixture_log_prob",
    "nade",
    "nade_log_prob",
    "naive_sample",
    "order_agnostic_bound",
    "pixelcnn",
    "pixelcnnpp",
    "pixelrnn",
    "random_ordering",
    "raster_model",
    "raster_ordering",
    "rnade",
    "rnade_log_prob",
    "scan_outputs",
    "scan_sample",
    "skew",
    "softmax_head",
    "softmax_log_prob",
    "spread_known",
    "top_half",
    "unskew",
]
