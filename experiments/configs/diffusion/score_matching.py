"""Score matching of points in the plane, sampled by Langevin dynamics.

Variants:
    ''         the implicit loss (Hyvarinen 2005).
    explicit   the loss against the known score: what the others can at best reach.
    sliced     by random directions (Song et al. 2019).
    sliced_vr  the same with less variance.
    denoising  of points with a little noise (Vincent 2011).
    tiny       small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import denoisers, evaluations
from experiments.configs.common import base
from genjax import diffusion
from genjax.nn import MLP
from genjax.training.system import System

VARIANTS = ("", "explicit", "sliced", "sliced_vr", "denoising", "tiny")
MEASURED = {  # variant: result, cost
    "": (
        "2-Wasserstein 0.184, floor 0.189, eight gaussians; half the Fisher divergence 0.061",
        "11 s on one CPU core",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/score_matching", variant, VARIANTS)
    config = base("diffusion/score_matching")
    denoisers.point_fields(config)
    config.model.loss = variant if variant not in ("", "tiny") else "implicit"
    config.model.sigma = 0.1  # noise of the denoising loss
    config.model.start_std = 3.0  # of the normal that chains start from
    config.model.step_size = 0.01
    config.model.langevin_steps = 500
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    if variant == "tiny":
        denoisers.tiny_points(config)
        config.model.langevin_steps = 2
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    network = MLP(tuple(model.widths), model.shape[0], activation=jax.nn.silu, dtype=jnp.dtype(config.train.precision))
    matching = diffusion.score_matching(
        network,
        denoisers.chosen(_losses(config), "loss", model),
        shape=tuple(model.shape),
        start_std=model.start_std,
        step_size=model.step_size,
        num_steps=model.langevin_steps,
    )
    return System(
        model=matching,
        optimizers={"match": optax.adam(denoisers.learning_rate(config))},
        evaluations={"wasserstein": evaluations.wasserstein} | denoisers.known_density(config.data.name),
    )


def _losses(config: ConfigDict) -> dict[str, diffusion.ScoreLoss]:
    signs = lambda key, x: jax.random.rademacher(key, x.shape, x.dtype)
    sigma = config.model.sigma

    def explicit(key: jax.Array, score: diffusion.Score, x: jax.Array) -> jax.Array:
        del key
        return diffusion.explicit_score_loss(
            score, x, denoisers.mixture_score(*denoisers.mixture_of(config.data.name), x)
        )

    return {
        "explicit": explicit,
        "implicit": lambda key, score, x: diffusion.implicit_score_loss(score, x),
        "sliced": lambda key, score, x: diffusion.sliced_score_loss(score, x, signs(key, x)),
        "sliced_vr": lambda key, score, x: diffusion.sliced_score_loss_vr(score, x, signs(key, x)),
        "denoising": lambda key, score, x: diffusion.denoising_score_loss(
            score, x, jax.random.normal(key, x.shape, x.dtype), sigma=sigma
        ),
    }
