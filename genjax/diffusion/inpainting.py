"""Inpainting with a model that was not trained for it: what is known is put in its place after every step.

    x_s <- m (alpha_s known + sigma_s z) + (1 - m) x_s                         Song et al. 2021, appendix I.2

What is drawn sees what is known through x_t alone, and the two fit badly; RePaint repeats each step, going forward
again between repetitions, so that they have time to agree:

    r times:  x_s from x_t as above;   between:  x_t = a x_s + b z ~ q(x_t | x_s)      Lugmayr et al. 2022, algorithm 1
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.contract import Array, PyTree
from genjax.diffusion.sampler import Sampler, Step, row
from genjax.processes.gaussian import Point
from genjax.processes.grids import coefficients


def inpainted(
    sampler: Sampler,
    known: Array,
    mask: Array,
    point_of: Callable[[Array], Point],
    *,
    resamples: int = 1,
) -> Sampler:
    """Return the sampler with what is known kept: replacement, and RePaint where `resamples` > 1.

    Args:
        sampler: of N steps, without memory where `resamples` > 1.
        known: x_0 [N, ...], whose unknown entries do not matter.
        mask: of a shape that broadcasts to it, 1 where known.
        point_of: t -> the path there.
        resamples: r, how often each step is made.

    Returns:
        A sampler whose samples equal `known` under the mask where the path ends in sigma = 0.

    Raises:
        ValueError: a sampler with memory is to repeat its steps.
    """
    alpha, sigma = coefficients(point_of, sampler.times)
    ratio = alpha[:-1] / alpha[1:]
    fresh = np.sqrt(np.maximum(sigma[:-1] ** 2 - (ratio * sigma[1:]) ** 2, 0.0))
    if resamples > 1 and jax.tree.leaves(jax.eval_shape(sampler.memory, known)):
        raise ValueError("steps of a sampler with memory cannot be repeated; use a one-step one, e.g. ancestral.")
    mask = jnp.asarray(mask, known.dtype)

    def once(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        own, noise_key = jax.random.split(key)
        step = sampler.step(own, x, memory, n)
        noise = jax.random.normal(noise_key, x.shape, x.dtype)
        there = row(alpha[1:], n) * known + row(sigma[1:], n) * noise
        return step._replace(x=mask * there + (1.0 - mask) * step.x)

    def again(key: Array, x: Array, n: Array) -> Array:
        return row(ratio, n) * x + row(fresh, n) * jax.random.normal(key, x.shape, x.dtype)

    def step(key: Array, x: Array, memory: PyTree, n: Array) -> Step:
        first = once(jax.random.fold_in(key, 0), x, memory, n)

        def repeat(i: Array, done: Step) -> Step:
            back = again(jax.random.fold_in(key, 2 * i - 1), done.x, n)
            return once(jax.random.fold_in(key, 2 * i), back, memory, n)

        return first if resamples == 1 else jax.lax.fori_loop(1, resamples, repeat, first)

    return sampler._replace(step=step)
