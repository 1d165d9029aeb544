"""POLY-GAN (Pandey & Savakis 2020) on digits: turned upright, laid on stripes, mended, by one network.

The reference is a digit turned by 90, 180 or 270 degrees, the pose the means of 4 x 4 blocks of the upright one, the
background stripes of one of two directions, the holes two blocks of 2 x 2 pixels.

Variants:
    ''    all three stages in every batch.
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
LEVELS, SIDE = 17, 8
POSE = 4  # side of the blocks of which the pose is known


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"adversarial/poly_gan has no variant {variant!r}; it has {named}.")
    config = base("adversarial/poly_gan")
    _default(config)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 64
    config.train.steps = 6_000
    config.train.steps_per_call = 50
    config.train.log_every = 500
    config.train.checkpoint_every = 6_000
    config.train.ema_decay = 0.99
    config.train.learning_rate = 5e-4  # of both players
    config.train.adam_b1 = 0.5

    config.model.generator_features = (32, 64)  # from the picture inwards
    config.model.generator_hidden = 128
    config.model.discriminator_features = (16, 32)
    config.model.discriminator_strides = (2, 1)
    config.model.l1_weight = 20.0

    config.expected.result = (
        "held-out digits: 96.1 % of turned digits are recognised once they are set upright (22.8 % as they were "
        "given, 98.3 % of real ones); PSNR of shape, stitching, refinement 19.9, 27.6, 21.3 dB (given: 6.3 dB, torn "
        "19.5 dB), one stage after another 19.9, 20.3, 18.2 dB"
    )
    config.expected.cost = "1 min 14 s, of one shared CPU core about 45 s"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.generator_features = (2, 4)
    config.model.generator_hidden = 4
    config.model.discriminator_features = (2,)
    config.model.discriminator_strides = (2,)
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    adam = optax.adam(config.train.learning_rate, b1=config.train.adam_b1)
    strides = tuple(model.discriminator_strides)
    return System(
        model=adversarial.poly_gan(
            adversarial.PolyGenerator(tuple(model.generator_features), model.generator_hidden, dtype),
            adversarial.PatchGAN(tuple(model.discriminator_features), strides, normalize=False, dtype=dtype),
            l1_weight=model.l1_weight,
        ),
        optimizers={"generator": adam, "discriminator": adam},
        transform=transform,
        to_picture=_to_picture,
        evaluations={"stages": stages},
    )


def parts(key: Array, digit: Array) -> dict[str, Array]:
    """Return what the stages of digits `[B, 8, 8, 1]` in [-1, 1] are given: reference, pose, background and holes."""
    turn_key, stripe_key, hole_key = jax.random.split(key, 3)
    num = digit.shape[0]
    every = jnp.stack([jnp.rot90(digit, turns, axes=(1, 2)) for turns in (1, 2, 3)])
    reference = every[jax.random.randint(turn_key, (num,), 0, 3), jnp.arange(num)]
    place = jnp.arange(SIDE)
    stripes = jnp.stack([(place[None] + place[:, None]) % 4 < 2, (place[None] - place[:, None]) % 4 < 2])
    which = jax.random.randint(stripe_key, (num,), 0, 2)
    background = jnp.where(stripes[which], -0.2, -0.8).astype(digit.dtype)[..., None]
    corner = jax.random.randint(hole_key, (num, 2, 2, 1), 1, SIDE - 2)  # holes, coordinates
    near = (place[None, None, None] >= corner) & (place[None, None, None] < corner + 2)
    holes = jnp.any(near[:, :, 0, :, None] & near[:, :, 1, None], axis=1).astype(digit.dtype)[..., None]
    return {"reference": reference, "pose": adversarial.shadow(digit, POSE), "background": background, "holes": holes}


def transform(key: Array, batch: Batch) -> Batch:
    """Make each digit an example of one stage, drawn with equal chances."""
    part_key, stage_key = jax.random.split(key)
    digit = to_symmetric(batch["x"], LEVELS)
    part = parts(part_key, digit)
    whole = adversarial.stitched(digit, part["background"])
    stage = jax.random.randint(stage_key, digit.shape[:1], 0, len(adversarial.STAGES))
    of_stage = lambda *choices: jnp.stack(choices)[stage, jnp.arange(digit.shape[0])]
    first = of_stage(part["reference"], digit, adversarial.torn(whole, part["holes"]))
    second = of_stage(part["pose"], part["background"], part["holes"])
    return {"x": of_stage(digit, whole, whole), "y": adversarial.conditions(first, second, stage)}


def stages(context: EvalContext) -> dict[str, float]:
    """Run the three stages on held-out digits, each on what it is meant for and one after another.

    Returns:
        'psnr_<stage>' in decibels of each stage on true inputs, 'psnr_chain_<stage>' of each on what the one before
        made, 'psnr_reference' and 'psnr_torn' of the first and the last stage's inputs as they are; 'psnr_pose' of the
        pose; 'accuracy' of a support vector machine, trained on the training digits, on what the first stage made, with
        '_reference' on its inputs and '_real' on the digits; 'n'.
    """
    from sklearn.svm import SVC

    from genjax.data import open_source

    names, config = adversarial.STAGES, context.config
    stored = {}
    for split in (config.data.split, config.data.test_split):
        source = open_source(config.data.name, split, config.data.dir)
        stored[split] = source.fetch(np.arange(len(source)))
    train, test = stored[config.data.split], stored[config.data.test_split]
    digit = to_symmetric(jnp.asarray(test["x"]), LEVELS)
    part = parts(context.key, digit)
    whole = adversarial.stitched(digit, part["background"])
    methods = context.system.model.methods
    inputs = [
        (part["reference"], part["pose"]),
        (digit, part["background"]),
        (adversarial.torn(whole, part["holes"]), part["holes"]),
    ]
    translate = jax.jit(lambda given: methods["translate"](context.variables, context.key, given))
    made = [translate(adversarial.conditions(*both, jnp.full(len(digit), k))) for k, both in enumerate(inputs)]
    chain = jax.jit(methods["dress"])(context.variables, context.key, **part)
    truth = (digit, whole, whole)
    found = {f"psnr_{name}": _psnr(of, true) for name, of, true in zip(names, made, truth)}
    found |= {f"psnr_chain_{name}": _psnr(of, true) for name, of, true in zip(names, chain, truth)}
    found |= {"psnr_reference": _psnr(part["reference"], digit), "psnr_pose": _psnr(part["pose"], digit)}
    found["psnr_torn"] = _psnr(inputs[2][0], whole)
    flat = lambda of: np.asarray(of, np.float32).reshape(len(of), -1)
    machine = SVC().fit(flat(to_symmetric(jnp.asarray(train["x"]), LEVELS)), train["label"])
    for suffix, of in (("", made[0]), ("_reference", part["reference"]), ("_real", digit)):
        found[f"accuracy{suffix}"] = float(machine.score(flat(of), test["label"]))
    return found | {"n": len(digit)}


def _psnr(made: Array, x: Array) -> float:
    """Return the peak signal-to-noise ratio of pictures in [-1, 1] by their mean squared error, in decibels."""
    return float(10 * np.log10(4 / np.mean((np.asarray(made) - np.asarray(x)) ** 2)))


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]."""
    return 0.5 * (x + 1.0)
