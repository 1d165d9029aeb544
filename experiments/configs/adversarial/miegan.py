"""MIEGAN (Pan et al. 2022) on photographs that are darkened and made noisy.

A photograph x in [0, 1] is given as g x^1.5 plus noise of standard deviation 0.02, cut to [0, 1], with a gain g of its
own, uniform in [0.15, 0.5].

Variants:
    ''    16 x 16 patches.
    tiny  8 x 8, small enough to compile in seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from experiments.evaluations import gather
from genjax import adversarial
from genjax.contract import Array, Batch
from genjax.errors import UserError
from genjax.pixels import to_unit
from genjax.training.system import EvalContext, System

VARIANTS = ("", "tiny")
GAINS, GAMMA, NOISE = (0.15, 0.5), 1.5, 0.02


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/miegan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/miegan")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "photos/16"
    config.data.batch_size = 32
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 300
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 5e-4  # of both players
    config.train.adam_b1 = 0.5

    config.model.generator_width = 16
    config.model.discriminator_features = (16, 32)
    config.model.l1_weight = 20.0
    config.model.contrast_weight = 5.0

    config.expected.result = (
        "PSNR 22.9 dB and SSIM 0.690 on 1,888 held-out patches (dark 10.4 dB, 0.281; undone by the mean gain 19.1 dB,"
        " 0.368), contrast 0.87 of the true one (dark 0.35)"
    )
    config.expected.cost = "4 min 23 s, 2 min 20 s of CPU with its evaluation"


def _tiny(config: ConfigDict) -> None:
    config.data.name = "photos/8"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_width = 2
    config.model.discriminator_features = (2,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)
    return System(
        model=adversarial.miegan(
            adversarial.EnhancementGenerator(model.generator_width, dtype),
            adversarial.GlobalLocalDiscriminator(tuple(model.discriminator_features), dtype),
            l1_weight=model.l1_weight,
            contrast_weight=model.contrast_weight,
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transform,
        to_picture=_to_picture,
        evaluations={"enhancement": enhancement},
    )


def transform(key: Array, batch: Batch) -> Batch:
    """Darken photographs and add noise; both onto [-1, 1]."""
    gain_key, noise_key = jax.random.split(key)
    x = to_unit(batch["x"], 256)
    gain = jax.random.uniform(gain_key, (x.shape[0], 1, 1, 1), minval=GAINS[0], maxval=GAINS[1])
    dark = jnp.clip(gain * x**GAMMA + NOISE * jax.random.normal(noise_key, x.shape), 0.0, 1.0)
    return {"x": 2 * x - 1, "y": 2 * dark - 1}


def enhancement(context: EvalContext) -> dict[str, float]:
    """Compare held-out photographs with what is made of their dark copies.

    Returns:
        'psnr' in decibels and 'ssim' of what is made; behind '_dark' of the dark copies themselves, '_gamma' of the
        copies undone as well as can be without knowing the gain, (dark / mean gain)^(1 / 1.5), '_stretched' of copies
        scaled and shifted to the mean and standard deviation of the training photographs; 'contrast', mean ratio of the
        standard deviation of luminance to that of the photograph, likewise; 'n'.
    """
    from skimage.metrics import structural_similarity

    train = (gather(context.train(), "x")[0] + 1) / 2
    x, dark = ((of + 1) / 2 for of in gather(context.test(), "x", "y"))
    made = (np.asarray(context.sample(len(dark), 2 * dark - 1)) + 1) / 2
    each = (1, 2, 3)
    level = (dark - dark.mean(each, keepdims=True)) / (dark.std(each, keepdims=True) + 1e-3)
    stretched = level * train.std(each).mean() + train.mean()
    undone = (dark / np.mean(GAINS)) ** (1 / GAMMA)
    found: dict[str, float] = {"n": len(x)}
    spread = lambda of: np.asarray(adversarial.luminance(jnp.asarray(of, jnp.float32))).std(axis=(1, 2))
    textured = spread(x) > 0.02
    for suffix, of in (("", made), ("_dark", dark), ("_gamma", undone), ("_stretched", stretched)):
        of = np.clip(of, 0, 1)
        similar = [structural_similarity(a, b, channel_axis=-1, data_range=1.0) for a, b in zip(of, x)]
        found |= {f"psnr{suffix}": float(10 * np.log10(1 / np.mean((of - x) ** 2))), f"ssim{suffix}": np.mean(similar)}
        found[f"contrast{suffix}"] = float(np.mean(spread(of)[textured] / spread(x)[textured]))
    return {name: float(value) for name, value in found.items()}


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
