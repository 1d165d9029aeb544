"""Inpainting with a model trained for it: it sees what is known, and where (GLIDE, Nichol et al. 2022).

    eps^(x_t, t, m known, m),   m = 1 where known

In training random boxes are taken out of pictures, at times all of a picture, so that the model stays one of whole
pictures as well. It may start from an unconditional model (`given_pictures.with_more_channels`). What is known is put
into the samples as it is. The ways that need no such training, replacement and RePaint (`genjax.diffusion.inpainting`),
are run with the same network given nothing, to be compared.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.contract import Array, Batch, GenerativeModel, PyTree, Variables
from genjax.data_path import dequantized_symmetric
from genjax.diffusion.denoising import PLAYER, Given, denoising_model
from genjax.diffusion.given_pictures import WithPictures, with_more_channels
from genjax.diffusion.inpainting import inpainted
from genjax.diffusion.sampler import Sampler, draw
from genjax.diffusion.score_sde import uniform_between
from genjax.processes import Denoiser, Path, point_at

Masks = Callable[[Array, tuple[int, int, int]], Array]  # (key, (B, H, W)) -> [B, H, W, 1], 1 where known


def random_boxes(key: Array, size: tuple[int, int, int], *, whole: float = 0.5) -> Array:
    """Return masks that are 0 inside a random box, one an example.

    Args:
        key: of the boxes.
        size: (B, H, W).
        whole: how often the box spans all rows; and, independently, all columns.

    Returns:
        float32 [B, H, W, 1], 1 where known.
    """

    def inside(key: Array, length: int) -> Array:
        start_key, end_key, whole_key = jax.random.split(key, 3)
        start = jax.random.randint(start_key, size[:1], 0, length)
        end = jax.random.randint(end_key, size[:1], start + 1, length + 1)
        place = jnp.arange(length)[None]
        box = (place >= start[:, None]) & (place < end[:, None])
        return box | jax.random.bernoulli(whole_key, whole, size[:1])[:, None]

    row_key, column_key = jax.random.split(key)
    box = inside(row_key, size[1])[:, :, None] & inside(column_key, size[2])[:, None, :]
    return 1.0 - box[..., None].astype(jnp.float32)


def known_and_mask(levels: int) -> Callable[[PyTree], Array]:
    """Return condition -> [m known, m], [B, H, W, C + 1]: the known scaled as dequantized data, middle of a level."""

    def pictures(condition: PyTree) -> Array:
        mask = condition["mask"].astype(jnp.float32)
        return jnp.concatenate([mask * _centred(condition["known"], levels), mask], axis=-1)

    return pictures


def mask_channel(
    network: nn.Module,
    path: Path,
    *,
    shape: tuple[int, ...],
    levels: int,
    sampler_of: Callable[[Denoiser], Sampler],
    replacing_sampler_of: Callable[[Denoiser], Sampler],
    masks: Masks = random_boxes,
    span: tuple[float, float] = (1e-3, 1.0),
    **options: Any,
) -> GenerativeModel:
    """Build an inpainting model of integer pictures.

    Args:
        network: a U-Net of C + C + 1 channels in and C out, for `WithPictures`.
        path: the forward process.
        shape: (H, W, C).
        levels: an entry of x is one of 0 ... levels - 1.
        sampler_of: denoiser -> the sampler that fills in.
        replacing_sampler_of: denoiser -> the sampler whose steps replacement and RePaint make, without memory.
        masks: drawn in training.
        span: times of training.
        options: others of `denoising_model`.

    Returns:
        See `denoising_model`. The condition is {'known': stored [N, H, W, C], 'mask': [N, H, W, 1], 1 where known};
        samples equal `known` under the mask. Its init takes the Variables of an unconditional stage, 'diffusion', whose
        network it goes on with. One method more:

        replace(known, mask, *, resamples) -> stored [N, H, W, C]    replacement, and RePaint where resamples > 1
    """
    nothing = lambda known: {"known": known, "mask": jnp.zeros((*known.shape[:-1], 1))}
    given = Given(
        train=lambda key, batch: {"known": batch["x"], "mask": masks(key, batch["x"].shape[:3])},
        of_batch=lambda batch: nothing(batch["x"]),
        nothing=lambda condition: nothing(condition["known"]),
    )
    data_path = dequantized_symmetric(levels)
    model = denoising_model(
        WithPictures(network, known_and_mask(levels)),
        shape=shape,
        data_path=data_path,
        path=path,
        times=uniform_between(*span),
        sampler_of=sampler_of,
        given=given,
        **options,
    )

    def init(key: Array, batch: Batch, *, diffusion: Variables | None = None) -> Variables:
        if diffusion is None:
            return model.init(key, batch)
        return Variables({PLAYER: with_more_channels(diffusion.params[PLAYER], shape[-1] + 1)})

    def sample(
        variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, **options: Any
    ) -> Array:
        drawn = model.sample(variables, key, num_samples, condition=condition, **options)
        return jnp.where(condition["mask"] > 0.5, condition["known"], drawn)

    def replace(variables: Variables, key: Array, known: Array, mask: Array, *, resamples: int = 1) -> Array:
        denoise = lambda x, t: model.methods["denoise"](variables, key, x, t, condition=nothing(known))
        point_of = lambda t: point_at(path, t)
        sampler = inpainted(
            replacing_sampler_of(denoise), _centred(known, levels), mask, point_of, resamples=resamples
        )
        return jnp.where(mask > 0.5, known, data_path.from_model(draw(sampler, key, known.shape)))

    return model._replace(init=init, sample=sample, methods=dict(model.methods) | {"replace": replace})


def _centred(x: Array, levels: int) -> Array:
    """Return stored levels as the middle of what `dequantized_symmetric` makes of them."""
    return 2.0 * (x.astype(jnp.float32) + 0.5) / levels - 1.0
