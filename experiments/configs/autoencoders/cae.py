"""Contractive autoencoder on the grey levels of digits, and the tangents it finds.

Variants:
    ''     one layer of logistic units with tied weights, cross-entropy of pixels in [0, 1], as in the paper.
    plain  as '', without the penalty.
    tiny   as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders
from genjax.contract import Array, Variables
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "plain", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/cae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/cae")
    _default(config)
    if variant == "plain":
        config.model.weight = 0.0
    if variant == "tiny":
        _tiny(config)
    if variant:
        config.expected.result = config.expected.cost = "not measured"
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 10_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.learning_rate = 3e-3  # at the start of a cosine

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.latent_dim = 120
    config.model.weight = 0.1  # lambda

    config.eval.tangents = 12  # K, of 64 directions
    config.eval.degrees = 10.0  # by which test pictures are turned

    config.expected.result = (
        "46 % of small shifts lie in the 12 tangents, 18 % in 12 random directions, digits test split"
    )
    config.expected.cost = "9 s on one CPU core"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.latent_dim = 6
    config.eval.tangents = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    dtype = jnp.dtype(train.precision)
    built = autoencoders.contractive_autoencoder(
        autoencoders.tied_sigmoid_coder(tuple(model.shape), latent_dim=model.latent_dim, dtype=dtype),
        autoencoders.bernoulli(),
        latent_dim=model.latent_dim,
        weight=model.weight,
        penalty=autoencoders.tied_sigmoid_penalty,
    )
    return System(
        model=built,
        optimizers={"cae": optax.adam(optax.cosine_decay_schedule(train.learning_rate, train.steps))},
        transform=transforms.unit(model.levels),
        to_picture=lambda x: jnp.clip(x, 0.0, 1.0),
        evaluations={"reconstruction": latents.reconstruction, "tangents": _tangents},
    )


def _tangents(context: EvalContext) -> dict[str, float]:
    """Tell how much of small moves of test pictures lies in their tangent spaces.

    A picture is turned, or shifted by half a pixel; the share of the squared length of its change that K directions
    hold is averaged over pictures: the first K singular vectors of the encoder's Jacobian, K principal components of
    the training pictures (the same everywhere), and K random directions.
    """
    settings, methods = context.config.eval, context.system.model.methods
    x = jnp.concatenate([batch["x"] for batch in context.test()])
    num = settings.tangents

    @jax.jit
    def vectors(variables: Variables, x: Array) -> autoencoders.CodeTangents:
        return autoencoders.code_tangents(lambda x: methods["encode"](variables, context.key, x), x, num)

    tangents = vectors(context.variables, x)
    train = np.concatenate([np.asarray(batch["x"]).reshape(len(batch["x"]), -1) for batch in context.train()])
    components = np.linalg.svd(train - train.mean(axis=0), full_matrices=False)[2][:num]
    draws = np.random.default_rng(0).normal(size=(len(x), train.shape[1], num))
    bases = {
        "tangents": tangents.vectors,
        "components": jnp.broadcast_to(jnp.asarray(components), (len(x), *components.shape)),
        "random": jnp.asarray(np.swapaxes(np.linalg.qr(draws)[0], 1, 2), jnp.float32),
    }
    moves = {"turned": dict(angle=np.deg2rad(settings.degrees)), "shifted": dict(shift=(0.0, 0.5))}
    result: dict[str, float] = {"num_tangents": num}
    for move, options in moves.items():
        change = (autoencoders.move_images(x, **options) - x).reshape(len(x), -1)
        for name, basis in bases.items():
            result[f"{move}_in_{name}"] = float(jnp.mean(autoencoders.captured_share(change, basis)))
    return result | {
        "scale_first": float(tangents.scales[:, 0].mean()),
        "scale_last": float(tangents.scales[:, -1].mean()),
    }
