"""Priors over codes that can be drawn from: (key, (N, Z)) -> [N, Z]. No density is needed.

Each is made by a function of its settings, and refuses a code that it has no shape for. The mixture and the roll are
those of Makhzani et al. 2016 (arXiv:1511.05644), figures 2 and 4, in the plane.
"""

import math
from typing import Callable

import jax
import jax.numpy as jnp

from genjax.contract import Array

Prior = Callable[[Array, tuple[int, int]], Array]


def gaussian_prior(std: float = 1.0) -> Prior:
    """Return N(0, std^2 I)."""
    return lambda key, shape: std * jax.random.normal(key, shape)


def mixture_prior(components: int = 10, *, radius: float = 3.0, spread: tuple[float, float] = (0.7, 0.15)) -> Prior:
    """Return a mixture of Gaussians on a circle in the plane, all equally likely, longer along the radius than across.

    Args:
        components: how many.
        radius: distance of their means from the origin.
        spread: standard deviations along the radius and across.
    """

    def draw(key: Array, shape: tuple[int, int]) -> Array:
        _require_plane(shape)
        which_key, noise_key = jax.random.split(key)
        which = jax.random.randint(which_key, shape[:1], 0, components)
        angle = (2.0 * math.pi / components) * which.astype(jnp.float32)
        noise = jax.random.normal(noise_key, shape) * jnp.asarray(spread)[None]
        along, across = radius + noise[:, 0], noise[:, 1]
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return jnp.stack([along * cos - across * sin, along * sin + across * cos], axis=-1)

    return draw


def swiss_roll_prior(*, turns: float = 1.5, radius: float = 3.0, std: float = 0.1) -> Prior:
    """Return a spiral in the plane, uniform along its length, with Gaussian noise.

    The spiral is r(a) = radius a / (2 pi turns) at angle a in [0, 2 pi turns]; equal lengths have equal probability.

    Args:
        turns: around the origin.
        radius: at its outer end.
        std: of the noise in either coordinate.
    """
    end = 2.0 * math.pi * turns

    def draw(key: Array, shape: tuple[int, int]) -> Array:
        _require_plane(shape)
        place_key, noise_key = jax.random.split(key)
        # The length up to angle a, by the formula of Archimedes' spiral, inverted on a fine grid.
        grid = jnp.linspace(0.0, end, 1025)
        root = jnp.sqrt(1.0 + grid**2)
        length = 0.5 * (grid * root + jnp.log(grid + root))
        angle = jnp.interp(jax.random.uniform(place_key, shape[:1]) * length[-1], length, grid)
        roll = (radius / end) * angle[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        return roll + std * jax.random.normal(noise_key, shape)

    return draw


def _require_plane(shape: tuple[int, int]) -> None:
    if len(shape) != 2 or shape[1] != 2:
        raise ValueError(f"this prior lies in the plane, codes [N, 2]; it was asked for shape {tuple(shape)}.")
