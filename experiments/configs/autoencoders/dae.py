"""Denoising autoencoder on digits.

Variants:
    ''               grey levels in [0, 1] under Gaussian noise, squared error.
    masking          binarized, entries set to 0; Bernoulli likelihood.
    salt_and_pepper  binarized, entries set to 0 or 1; Bernoulli likelihood.
    tiny             as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

VARIANTS = ("", "masking", "salt_and_pepper", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/dae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/dae")
    _default(config)
    if variant in ("masking", "salt_and_pepper"):
        config.model.corruption = variant
        config.model.amount = 0.4
        config.model.likelihood = "bernoulli"
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
    config.train.learning_rate = 1e-3  # at the start of a cosine

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.corruption = "gaussian"  # masking or salt_and_pepper
    config.model.amount = 0.3  # standard deviation, or probability
    config.model.likelihood = "gaussian"  # or bernoulli, of binarized digits
    config.model.std = 0.15  # of the Gaussian likelihood: about what is left of the noise
    config.model.hidden = (256,)
    config.model.latent_dim = 256
    config.model.chain_steps = 50  # of the chain that draws

    config.expected.result = (
        "mean squared error 0.0154 after 0.0523 with noise, digits test split; the best linear filter 0.0226"
    )
    config.expected.cost = "42 s on one CPU core"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.hidden = (8,)
    config.model.latent_dim = 8
    config.model.chain_steps = 3


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    shape, widths = tuple(model.shape), tuple(model.hidden)
    binary = model.likelihood == "bernoulli"
    if not binary and model.likelihood != "gaussian":
        raise UserError(f"model.likelihood={model.likelihood!r} is none of gaussian, bernoulli.")
    built = autoencoders.denoising_autoencoder(
        autoencoders.MLPCoder(model.latent_dim, widths, dtype=dtype),
        autoencoders.MLPDecoder(shape, 1, widths[::-1], jax.nn.relu, dtype=dtype),
        autoencoders.bernoulli() if binary else autoencoders.fixed_gaussian(model.std),
        latent_dim=model.latent_dim,
        corrupt=_corruption(config),
        shape=shape,
        chain_steps=model.chain_steps,
    )
    return System(
        model=built,
        optimizers={"dae": optax.adam(optax.cosine_decay_schedule(config.train.learning_rate, config.train.steps))},
        transform=transforms.binarize_dynamic(model.levels) if binary else transforms.unit(model.levels),
        to_picture=lambda x: jnp.clip(x, 0.0, 1.0),
        evaluations={"denoising": _denoising},
    )


def _corruption(config: ConfigDict) -> autoencoders.Corruption:
    kinds = {
        "gaussian": autoencoders.gaussian_corruption,
        "masking": autoencoders.masking_corruption,
        "salt_and_pepper": autoencoders.salt_and_pepper_corruption,
    }
    if config.model.corruption not in kinds:
        raise UserError(f"model.corruption={config.model.corruption!r} is none of {', '.join(kinds)}.")
    return kinds[config.model.corruption](config.model.amount)


def _denoising(context: EvalContext) -> dict[str, float]:
    """Return the quality of corrupted test pictures, of what the model and of what the best linear map makes of them.

    The linear map is fitted by least squares to corrupted training pictures, ten corruptions each.
    """
    methods, key = context.system.model.methods, context.key
    corrupt = jax.jit(lambda variables, key, x: methods["corrupt"](variables, key, x))
    clean = np.concatenate([np.asarray(batch["x"]) for batch in context.test()])
    noisy = np.asarray(corrupt(context.variables, key, clean))
    rebuilt = np.asarray(jax.jit(methods["reconstruct"])(context.variables, key, noisy))

    targets = np.concatenate([np.asarray(batch["x"]) for _ in range(10) for batch in context.train()])
    inputs = np.asarray(corrupt(context.variables, jax.random.fold_in(key, 1), targets))
    linear = _linear_map(inputs, targets)(noisy)
    result: dict[str, float] = {}
    for name, pictures in {"corrupted": noisy, "linear": linear, "denoised": rebuilt}.items():
        quality = latents.qualities(clean, np.clip(pictures, 0.0, 1.0))
        result |= {f"{measure}_{name}": value for measure, value in quality.items()}
    return result


def _linear_map(inputs: np.ndarray, targets: np.ndarray):
    """Return the affine least-squares map of pictures to pictures."""
    rows = lambda pictures: np.concatenate([pictures.reshape(len(pictures), -1), np.ones((len(pictures), 1))], axis=1)
    weights = np.linalg.lstsq(rows(inputs), targets.reshape(len(targets), -1), rcond=None)[0]
    return lambda pictures: (rows(pictures) @ weights).reshape(pictures.shape).astype(np.float32)
