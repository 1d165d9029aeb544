"""MI-GAN (Iqbal & Ali 2018) on made pictures of a retina, of which 40 are marked.

Variants:
    ''    24 x 24.
    tiny  as '', small enough to compile in seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments.configs.common import base
from genjax import adversarial
from genjax.contract import Array, Batch
from genjax.errors import UserError
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext, System

VARIANTS = ("", "tiny")
NEIGHBOURHOOD = 3  # pixels to every side that the segmentation sees
COPIES = 5  # of every mask, turned and flipped, that pictures are made for


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/mi_gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/mi_gan")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "vessels/40"
    config.data.batch_size = 16
    config.train.steps = 3_000
    config.train.steps_per_call = 50
    config.train.log_every = 300
    config.train.checkpoint_every = 3_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 5e-4  # of both players
    config.train.adam_b1 = 0.5

    config.model.generator_features = (16, 32, 32)  # from the picture inwards
    config.model.discriminator_features = (16, 32)
    config.model.discriminator_strides = (2, 2)
    config.model.noise_side, config.model.noise_planes = 6, 2  # of the noise beside the mask, repeated to the picture's
    config.model.content, config.model.style, config.model.smooth = 2.0, 10.0, 0.1
    config.model.style_widths = (16, 32)

    config.expected.result = (
        "Dice of a segmentation on 200 held-out pictures: with 5 marked pictures 0.821, with their turned copies "
        "0.855, with pictures made for the copies' masks 0.862; of all 40 marked 0.862, 0.869, 0.864; of 200 made "
        "ones alone 0.863; of the best threshold 0.730"
    )
    config.expected.cost = "46 s of a CPU core, evaluation 47 s"


def _tiny(config: ConfigDict) -> None:
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_features = (2, 4)
    config.model.discriminator_features = (2,)
    config.model.discriminator_strides = (2,)
    config.model.style_widths = (2,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)

    def transform(key: Array, batch: Batch) -> Batch:
        """Scale, turn and flip pictures and masks alike, and put noise beside the masks."""
        turn_key, noise_key = jax.random.split(key)
        x, mask = (to_symmetric(batch[name], 256) for name in ("x", "y"))
        x, mask = jnp.split(turned(turn_key, jnp.concatenate([x, mask], axis=-1)), 2, axis=-1)
        return {"x": x, "y": with_noise(noise_key, mask, model.noise_side, model.noise_planes)}

    return System(
        model=adversarial.mi_gan(
            adversarial.UNetGenerator(tuple(model.generator_features), 1, dropout=0.0, dtype=dtype),
            adversarial.PatchGAN(
                tuple(model.discriminator_features), tuple(model.discriminator_strides), dtype=dtype
            ),
            channels=1,
            weights=adversarial.MIWeights(model.content, model.style, model.smooth),
            style_widths=tuple(model.style_widths),
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transform,
        to_picture=_to_picture,
        evaluations={"segmentation": segmentation},
    )


def turned(key: Array, x: Array) -> Array:
    """Turn each picture `[B, H, H, C]` by a multiple of 90 degrees, and mirror half of them."""
    turn_key, mirror_key = jax.random.split(key)
    turns = jax.random.randint(turn_key, (x.shape[0],), 0, 4)
    mirrored = jax.random.bernoulli(mirror_key, shape=(x.shape[0],))
    every = jnp.stack([jnp.rot90(x, k, axes=(1, 2)) for k in range(4)])
    x = every[turns, jnp.arange(x.shape[0])]
    return jnp.where(mirrored[:, None, None, None], x[:, :, ::-1], x)


def with_noise(key: Array, mask: Array, side: int, planes: int) -> Array:
    """Put planes of normal noise beside masks `[B, H, H, 1]`, each drawn side x side and repeated."""
    times = mask.shape[1] // side
    noise = jax.random.normal(key, (mask.shape[0], side, side, planes))
    return jnp.concatenate([mask, jnp.repeat(jnp.repeat(noise, times, axis=1), times, axis=2)], axis=-1)


def segmentation(context: EvalContext) -> dict[str, float]:
    """Train a segmentation on few marked pictures, with and without made ones, and try it on held-out pictures.

    It is a random forest that sees the 7 x 7 neighbourhood of a pixel.

    Returns:
        'dice_<n>' of the first n marked pictures alone, '_turned' with turned and flipped copies of them in as many as
        are made, '_made' with made pictures for those copies' masks in their place; 'dice_made' of made pictures alone;
        'dice_threshold' of the best threshold; 'n' pictures made.
    """
    stored = {name: [np.asarray(batch[name])[..., :1] for batch in context.train()] for name in ("x", "y")}
    x, mask = (np.concatenate(stored[name]) for name in ("x", "y"))
    held_out = [(np.asarray(batch["x"]), np.asarray(batch["y"])[..., :1]) for batch in context.test()]
    x_test, mask_test = (np.concatenate(parts) for parts in zip(*held_out))
    keys = jax.random.split(context.key, COPIES + 1)
    pairs = jnp.asarray(np.concatenate([x, mask], axis=-1))
    x_turned, mask_turned = np.split(np.concatenate([turned(k, pairs) for k in keys[1:]]), 2, axis=-1)
    model = context.config.model
    given = with_noise(keys[0], jnp.asarray(mask_turned), model.noise_side, model.noise_planes)
    made = np.asarray(context.sample(len(given), given))
    score = lambda pictures, masks: _forest_dice(pictures, masks, x_test, mask_test)
    found = {"dice_made": score(made, mask_turned), "n": len(made)}
    for num in (5, len(x)):
        copies = np.arange(len(made)) % len(x) < num
        found[f"dice_{num}"] = score(x[:num], mask[:num])
        for suffix, more in (("turned", x_turned), ("made", made)):
            both = np.concatenate([x[:num], more[copies]]), np.concatenate([mask[:num], mask_turned[copies]])
            found[f"dice_{num}_{suffix}"] = score(*both)
    truth = mask_test > 0
    found["dice_threshold"] = max(_dice(x_test < level, truth) for level in np.linspace(-0.9, 0.9, 37))
    return found


def _forest_dice(x: np.ndarray, mask: np.ndarray, x_test: np.ndarray, mask_test: np.ndarray) -> float:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(40, min_samples_leaf=5, max_samples=min(1.0, 20_000 / mask.size), random_state=0)
    fitted = forest.fit(_neighbourhoods(x), mask.ravel() > 0)
    return _dice(fitted.predict(_neighbourhoods(x_test)), mask_test.ravel() > 0)


def _neighbourhoods(x: np.ndarray) -> np.ndarray:
    """Return the pixels around each pixel of pictures [N, H, W, 1], a row each."""
    size = 2 * NEIGHBOURHOOD + 1
    pad = ((0, 0), (NEIGHBOURHOOD, NEIGHBOURHOOD), (NEIGHBOURHOOD, NEIGHBOURHOOD))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x[..., 0], pad, mode="edge"), (size, size), axis=(1, 2))
    return windows.reshape(-1, size * size)


def _dice(mask: np.ndarray, truth: np.ndarray) -> float:
    whole = lambda of: jnp.asarray(of.reshape(1, -1), jnp.float32)
    return float(adversarial.dice_coefficient(whole(mask), whole(truth))[0])


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
