"""Super-resolution by iterated refinement (SR3, Saharia et al. 2021, arXiv:2104.07636); cascades (CDM, Ho et al. 2022).

A diffusion model of pictures x given their low resolution l(x): the network sees it, enlarged, beside x_t,

    eps^(x_t, t, up(l))

In a cascade l is itself drawn, by a smaller model, and not quite as data are. So the low resolution is noised in
training, l~ = sqrt(1 - s^2) l + s z with s ~ U(0, s_max), and the network told s (conditioning augmentation; CDM,
and Imagen, section 2.4): what it cannot trust it does not rely on. In sampling s is chosen.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.data_path import dequantized_symmetric
from genjax.diffusion.denoising import Given, denoising_model
from genjax.diffusion.given_pictures import WithPictures
from genjax.diffusion.sampler import Sampler
from genjax.diffusion.score_sde import uniform_between
from genjax.processes import Denoiser, Path, like


def average_pool(x: Array, factor: int) -> Array:
    """Return the means of `factor` x `factor` blocks, [B, H / factor, W / factor, C].

    Raises:
        ValueError: x is no batch of pictures whose sides the factor divides.
    """
    if x.ndim != 4 or x.shape[1] % factor or x.shape[2] % factor:
        raise ValueError(f"x has shape {x.shape}; blocks of {factor} x {factor} do not tile pictures [B, H, W, C].")
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // factor, factor, width // factor, factor, channels).mean(axis=(2, 4))


def low_resolution(x: Array, factor: int, *, levels: int) -> Array:
    """Return stored pictures [B, H, W, C] averaged over blocks, in (-1, 1), float32."""
    return average_pool(2.0 * (x.astype(jnp.float32) + 0.5) / levels - 1.0, factor)


def enlarged(low: Array, factor: int) -> Array:
    """Return pictures [B, h, w, C] enlarged by bicubic interpolation, [B, h factor, w factor, C]."""
    batch, height, width, channels = low.shape
    return jax.image.resize(low, (batch, height * factor, width * factor, channels), "cubic")


def augmented(key: Array, low: Array, level: Array) -> Array:
    """Return sqrt(1 - s^2) l + s z for levels s in [0, 1], [] or [B]."""
    noise = jax.random.normal(key, low.shape, low.dtype)
    return like(jnp.sqrt(1.0 - level**2), low) * low + like(level, low) * noise


def super_resolution(
    network: nn.Module,
    path: Path,
    *,
    shape: tuple[int, ...],
    levels: int,
    factor: int,
    sampler_of: Callable[[Denoiser], Sampler],
    max_augmentation: float = 0.0,
    span: tuple[float, float] = (1e-3, 1.0),
    **options: Any,
) -> GenerativeModel:
    """Build a model of integer pictures given their low resolution.

    Args:
        network: a U-Net of C + C + 1 channels in and C out, for `WithPictures`.
        path: the forward process.
        shape: (H, W, C).
        levels: an entry of x is one of 0 ... levels - 1.
        factor: how much smaller the low resolution is; divides H and W.
        sampler_of: denoiser -> sampler.
        max_augmentation: s_max, in [0, 1].
        span: times of training.
        options: others of `denoising_model`.

    Returns:
        See `denoising_model`. The condition is {'low': [N, H / factor, W / factor, C], reals as `low_resolution` makes
        them}. `sample(..., augmentation)`: s in sampling, 0 unless given.
    """

    def pictures(condition: PyTree) -> Array:
        large = enlarged(condition["low"], factor)
        level = jnp.broadcast_to(condition["level"][:, None, None, None], (*large.shape[:-1], 1))
        return jnp.concatenate([large, level], axis=-1)

    def train(key: Array, batch: Batch) -> PyTree:
        level_key, noise_key = jax.random.split(key)
        low = low_resolution(batch["x"], factor, levels=levels)
        level = max_augmentation * jax.random.uniform(level_key, low.shape[:1])
        return {"low": augmented(noise_key, low, level), "level": level}

    def of_batch(batch: Batch) -> PyTree:
        low = low_resolution(batch["x"], factor, levels=levels)
        return {"low": low, "level": jnp.zeros(low.shape[:1])}

    model = denoising_model(
        WithPictures(network, pictures),
        shape=shape,
        data_path=dequantized_symmetric(levels),
        path=path,
        times=uniform_between(*span),
        sampler_of=sampler_of,
        given=Given(train, of_batch, lambda condition: jax.tree.map(jnp.zeros_like, condition)),
        **options,
    )

    def sample(
        variables: Variables,
        key: Array,
        num_samples: int,
        *,
        condition: PyTree = None,
        augmentation: Array | float = 0.0,
    ) -> Array:
        if condition is None:
            raise ValueError("super-resolution enlarges pictures: give {'low': [N, h, w, C]} as the condition.")
        noise_key, key = jax.random.split(key)
        level = jnp.full((num_samples,), augmentation, jnp.float32)
        low = augmented(noise_key, condition["low"], level)
        return model.sample(variables, key, num_samples, condition={"low": low, "level": level})

    return model._replace(sample=sample)


def cascade(
    base: GenerativeModel, upper: GenerativeModel, reduce: Callable[[Array], Array], *, augmentation: float
) -> GenerativeModel:
    """Build a model whose samples are small pictures by one model, enlarged by another, frozen one.

    Args:
        base: the small model, which is trained; its data are `reduce(batch['x'])`, reals; one update.
        upper: the stage, a `super_resolution` model.
        reduce: stored pictures -> their low resolution.
        augmentation: s in sampling; at most the stage's s_max.

    Returns:
        A model with base's players and update. Its init takes the Variables of the stage as `upper`; without them the
        stage starts untrained, which serves tests alone. Its method small(num) -> the small pictures.
    """
    (update,) = base.updates

    def small(batch: Batch) -> Batch:
        return dict(batch) | {"x": reduce(batch["x"])}

    def of_base(variables: Variables) -> Variables:
        return variables._replace(state=variables.state["base"])

    def init(key: Array, batch: Batch, *, upper_stage: Variables | None = None) -> Variables:
        base_key, upper_key = jax.random.split(key)
        own = base.init(base_key, small(batch))
        stage = upper.init(upper_key, batch) if upper_stage is None else upper_stage
        return own._replace(state={"base": own.state, "upper": stage})

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        value, aux = update.loss(of_base(variables), small(batch), key, step)
        return value, aux._replace(state={"base": aux.state, "upper": variables.state["upper"]})

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        base_key, upper_key = jax.random.split(key)
        low = base.sample(of_base(variables), base_key, num_samples, condition=condition)
        return upper.sample(
            variables.state["upper"], upper_key, num_samples, condition={"low": low}, augmentation=augmentation
        )

    return GenerativeModel(
        init=lambda key, batch, *, upper=None: init(key, batch, upper_stage=upper),
        updates=(Update(update.name, update.players, loss),),
        sample=sample,
        methods={"small": lambda variables, key, num: base.sample(of_base(variables), key, num)},
    )
