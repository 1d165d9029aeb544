"""SAD-GAN (Ghosh et al. 2016) on made drives: the next frame, given two before and the key pressed.

Variants:
    ''    16 x 16 frames.
    tiny  as '', small enough to compile in seconds.
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
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext, System

VARIANTS = ("", "tiny")
FRAMES, KEYS = 2, 3


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/sad_gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/sad_gan")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "driving"
    config.data.batch_size = 32
    config.train.steps = 4_000
    config.train.steps_per_call = 50
    config.train.log_every = 400
    config.train.checkpoint_every = 4_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 5e-4  # of all players
    config.train.adam_b1 = 0.5

    config.model.generator_features = (16, 32, 64)  # from the frame inwards
    config.model.discriminator_features = (16, 32)
    config.model.discriminator_strides = (2, 2)
    config.model.controller_features = (16, 32)
    config.model.l1_weight = 20.0

    config.expected.result = (
        "1,000 held-out frames: PSNR 26.1 dB (ridge regression 19.4 dB, the last frame 15.7 dB); the controller finds"
        " the key in 99.6 % between real frames, 99.9 % of predictions, and 99.8 % where another key is asked for "
        "than was pressed"
    )
    config.expected.cost = "1 min 35 s"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_features = (2, 4)
    config.model.discriminator_features = (2,)
    config.model.discriminator_strides = (2,)
    config.model.controller_features = (2,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)
    strides = tuple(model.discriminator_strides)
    return System(
        model=adversarial.sad_gan(
            adversarial.UNetGenerator(tuple(model.generator_features), 1, dropout=0.0, dtype=dtype),
            adversarial.PatchGAN(tuple(model.discriminator_features), strides, normalize=False, dtype=dtype),
            adversarial.Controller(KEYS, tuple(model.controller_features), dtype),
            num_frames=FRAMES,
            num_keys=KEYS,
            l1_weight=model.l1_weight,
        ),
        optimizers={"generator": adam, "discriminator": adam, "controller": adam},
        transform=transform,
        to_picture=_to_picture,
        evaluations={"frames": frames},
    )


def transform(key: Array, batch: Batch) -> Batch:
    """Scale frames onto [-1, 1] and put the key beside those before."""
    del key
    before = to_symmetric(batch["y"], 256)
    given = adversarial.with_key(before, batch["label"], KEYS)
    return {"x": to_symmetric(batch["x"], 256), "y": given, "label": batch["label"]}


def frames(context: EvalContext) -> dict[str, float]:
    """Predict held-out frames, and read the key off frames that were made.

    Returns:
        'psnr' of predictions in decibels, and behind '_copy' of the last frame, '_ridge' of ridge regression on the
        frames before and the key; 'controller' (share of keys found between real frames), 'key_shown' (between real
        frames and predictions) and 'other_key_shown' (where another key was asked for than was pressed); 'n'.
    """
    from sklearn.linear_model import Ridge

    model, variables = context.system.model, context.variables
    x, y = gather(context.train(), "x", "y")
    x_test, y_test, label = gather(context.test(), "x", "y", "label")
    made = np.asarray(context.sample(len(y_test), y_test))
    flat = lambda of: of.reshape(len(of), -1)
    inputs = lambda of: np.concatenate([flat(of[..., :FRAMES]), of[:, 0, 0, FRAMES:]], axis=1)
    ridge = Ridge(alpha=10.0).fit(inputs(y), flat(x)).predict(inputs(y_test)).reshape(x_test.shape)
    control = jax.jit(lambda before, after: model.methods["control"](variables, context.key, before, after))
    before = jnp.asarray(y_test[..., :FRAMES])
    other = jnp.asarray((label + 1 + np.arange(len(label)) % 2) % KEYS)
    asked = np.asarray(context.sample(len(label), np.asarray(adversarial.with_key(before, other, KEYS))))
    read = lambda after: np.asarray(control(before, jnp.asarray(after))).argmax(axis=1)
    shown = lambda after, key: float(np.mean(read(after) == np.asarray(key)))
    return {
        "psnr": _psnr(made, x_test),
        "psnr_copy": _psnr(y_test[..., FRAMES - 1 : FRAMES], x_test),
        "psnr_ridge": _psnr(ridge, x_test),
        "controller": shown(x_test, label),
        "key_shown": shown(made, label),
        "other_key_shown": shown(asked, other),
        "n": len(label),
    }


def _psnr(made: np.ndarray, x: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of pictures in [-1, 1] by their mean squared error, in decibels."""
    return float(10 * np.log10(4 / np.mean((np.clip(made, -1, 1) - x) ** 2)))


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
