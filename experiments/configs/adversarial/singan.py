"""SinGAN (Rott Shaham et al. 2019) on one photograph: four scales, each a stage on the one below.

    python -m experiments.train --config experiments/configs/adversarial/singan.py --workdir DIR0
    python -m experiments.train --config experiments/configs/adversarial/singan.py:1 --config.stages.coarser=DIR0 \
        --workdir DIR1
    python -m experiments.train --config experiments/configs/adversarial/singan.py:2 --config.stages.coarser=DIR1 \
        --workdir DIR2
    python -m experiments.train --config experiments/configs/adversarial/singan.py:3 --config.stages.coarser=DIR2 \
        --workdir DIR3

DIR3 then holds the whole pyramid. Any run that was broken off is taken up by the same command. For a photograph of your
own give data.name='folder/<side>' and data.dir to every stage.

Variants:
    ''          the coarsest scale.
    1, 2, 3     the scales above it; 3 is the finest.
    tiny        the second scale, over a first one that has learned nothing, small enough to compile in a second.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments import raster
from experiments.configs.common import base
from genjax import adversarial
from genjax import evaluation as metrics
from genjax.contract import Array, Batch, GenerativeModel, Variables
from genjax.pixels import to_symmetric
from genjax.training.system import EvalContext, System

PATCH = 7  # side of the patches that samples and photograph are compared by


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    config = base("adversarial/singan")
    _default(config)
    changes = {str(scale): lambda config, scale=scale: _finer(config, scale) for scale in (1, 2, 3)}
    return raster.apply_variant(config, variant, {**changes, "tiny": _tiny})


def _default(config: ConfigDict) -> None:
    config.data.name = "photos/384"
    config.data.split = "train[:1]"  # one photograph, the pagoda
    config.data.test_split = "train[:1]"  # there is no other to hold out
    config.data.batch_size = 1
    config.train.steps = 1_000
    config.train.steps_per_call = 20
    config.train.log_every = 100
    config.train.checkpoint_every = 500
    config.train.learning_rate = 5e-4
    config.train.adam_b1 = 0.5
    config.train.decay_after = 0.8  # share of the steps before the rate drops to a tenth

    config.model.scale = 0  # of this run, from the coarsest
    config.model.num_scales = 4
    config.model.finest = 48  # side that the photograph is shrunk to
    config.model.coarsest = 25
    config.model.features = 16  # 32 in the paper
    config.model.depth = 4
    config.model.critic_steps = 1
    config.sample.num = 16
    config.eval.num_samples = 64

    config.expected.result = "reconstruction 23.5 dB; patches of samples 0.070 from the photograph's, of it upside down 0.134"
    config.expected.cost = "50 s of a CPU core"


def _finer(config: ConfigDict, scale: int) -> None:
    config.model.scale = scale
    config.stages.coarser = ""  # workdir of the run of the scale below
    config.expected.result = (
        "reconstruction 24.7, 25.7, 26.5 dB at scales 1, 2, 3; patches of samples 0.050, 0.051, 0.050 from the "
        "photograph's, of it upside down 0.104, 0.081, 0.066"
    )
    config.expected.cost = "1 to 2.5 minutes of a CPU core a scale"


def _tiny(config: ConfigDict) -> None:
    config.data.name = "photos/8"
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.scale = 1
    config.model.num_scales = 2
    config.model.finest = 8
    config.model.coarsest = 6
    config.model.features = 4
    config.model.depth = 1
    config.expected.result = "nothing to look at: it shows that everything runs"
    config.expected.cost = "a few seconds"


def build(config: ConfigDict, *, axis_name: str | None = None, stages: Mapping[str, System] | None = None) -> System:
    """Build the system of one scale; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    finest = (model.finest, model.finest)
    sizes = adversarial.pyramid_sizes(finest, coarsest=model.coarsest, num_scales=model.num_scales)[: model.scale + 1]
    bound = _scale(config, sizes)
    if model.scale and not stages:
        bound = _over_untrained(config, bound, sizes)

    def transform(key: Array, batch: Batch) -> Batch:
        del key
        return {**batch, "x": adversarial.resize(to_symmetric(batch["x"], 256), sizes[-1])}

    drop = optax.piecewise_constant_schedule(train.learning_rate, {int(train.decay_after * train.steps): 0.1})
    adam = optax.adam(drop, b1=train.adam_b1)
    return System(
        model=bound,
        optimizers={"generator": adam, "critic": adam},
        transform=transform,
        to_picture=_to_picture,
        evaluations={"samples": _of_samples},
    )


def _scale(config: ConfigDict, sizes: tuple) -> GenerativeModel:
    """Bind the scale whose size is the last."""
    model, dtype = config.model, jnp.dtype(config.train.precision)
    return adversarial.singan(
        adversarial.PatchNetwork(model.features, 3, model.depth, dtype=dtype),
        adversarial.PatchNetwork(model.features, 1, model.depth, use_bias=False, dtype=dtype),
        sizes=sizes,
        margin=model.depth + 1,
        critic_steps=model.critic_steps,
    )


def _over_untrained(config: ConfigDict, bound: GenerativeModel, sizes: tuple) -> GenerativeModel:
    """Return a second scale that makes the first itself, untrained: to see that everything runs."""
    if len(sizes) != 2:
        raise ValueError("A scale above the second needs --config.stages.coarser=WORKDIR of the run of the one below.")
    below = _scale(config, sizes[:1])

    def init(key: Array, batch: Batch) -> Variables:
        coarse = {**batch, "x": adversarial.resize(batch["x"], sizes[0])}
        return bound.init(key, batch, coarser=below.init(jax.random.fold_in(key, 7), coarse))

    return bound._replace(init=init)


def _to_picture(x: Array) -> Array:
    """Map [-1, 1] onto [0, 1]; the sum over the scales may go beyond."""
    return jnp.clip(0.5 * (x + 1.0), 0.0, 1.0)


def _of_samples(context: EvalContext) -> dict[str, Any]:
    """Return how well the picture is drawn of z*, how much samples differ, and how near their patches are to its own.

    Returns:
        'reconstruction_psnr' in dB; 'diversity', the standard deviation of a pixel over samples, averaged, over that
        of the picture's pixels (section 3.1 of the paper); 'patch_distance', sliced Wasserstein between 7 x 7 patches
        of samples and of the picture, and 'patch_distance_mirrored', of the picture upside down in their place.
    """
    look = lambda x: np.asarray(context.system.to_picture(x))
    picture = look(next(iter(context.test()))["x"])[0]
    drawn = look(context.system.model.methods["reconstruct"](context.variables, context.key))[0]
    samples = look(context.sample(int(context.config.eval.num_samples)))
    real = _patches(picture[None])
    rows = np.random.default_rng(0).integers(0, len(_patches(samples)), len(real))
    distance = lambda patches: float(metrics.sliced_wasserstein(context.key, patches, real))
    return {
        "reconstruction_psnr": float(-10 * np.log10(np.mean((drawn - picture) ** 2))),
        "diversity": float(samples.std(axis=0).mean() / picture.std()),
        "patch_distance": distance(_patches(samples)[rows]),
        "patch_distance_mirrored": distance(_patches(picture[None, ::-1])),
        "n": len(samples),
    }


def _patches(pictures: np.ndarray) -> np.ndarray:
    """Return all patches of pictures [N, H, W, C] as rows."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (PATCH, PATCH), axis=(1, 2))
    return windows.reshape(-1, PATCH * PATCH * pictures.shape[3])
