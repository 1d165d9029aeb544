"""Glow (Kingma and Dhariwal 2018, arXiv:1807.03039).

One step of flow (section 3, table 1) is

    actnorm -> invertible 1x1 convolution -> affine coupling of halves of the channels,

and one of L levels is: squeeze, K steps, factor out half of the channels. What is factored out, z_out, has a learned
density given what goes on, h: z_out = m(h) + exp(s(h)) e with e ~ N(0, I) (authors' code), which is here an affine
coupling that makes e of z_out; it starts as the identity. The latent of all levels so is N(0, I), and the temperature
of sampling applies to all e alike (section 6).

With classes, a linear map of the class gives every entry of the latent a mean and a scale, and networks of couplings
see the class as well.
"""

from typing import Callable

from genjax.flows.bijection import Bijection, chain, repeat
from genjax.flows.couplings import Network, affine_coupling, halves
from genjax.flows.invertible_conv import invertible_conv_lu
from genjax.flows.normalization import actnorm, conditional_affine
from genjax.flows.shapes import factor_out, flatten, squeeze


def glow_bijection(
    shape: tuple[int, int, int],
    network: Network,
    *,
    prior: Network,
    num_levels: int = 2,
    num_steps: int = 8,
    mixing: Callable[[], Bijection] = invertible_conv_lu,
    class_prior: bool = False,
) -> Bijection:
    """Make Glow for pictures [B, H, W, C].

    Args:
        shape: (H, W, C); H and W divisible by 2^num_levels.
        network: features -> module (kept [B, H', W', C'], condition) -> (t, s), each [B, H', W', features].
        prior: likewise, for the density of what is factored out.
        num_levels: L.
        num_steps: K.
        mixing: makes the 1x1 convolution, `invertible_conv` or `invertible_conv_lu`.
        class_prior: whether a condition gives the latent a mean and a scale.

    Returns:
        A bijection to [B, H W C], the entries factored out first in front.
    """
    step = chain(actnorm(), mixing(), affine_coupling(network, halves()))
    levels = _levels(tuple(shape), step, prior, num_levels, num_steps)
    return chain(levels, conditional_affine()) if class_prior else levels


def _levels(
    shape: tuple[int, ...], step: Bijection, prior: Network, num_levels: int, num_steps: int
) -> Bijection:
    squeezed = (shape[0] // 2, shape[1] // 2, 4 * shape[2])
    steps = chain(squeeze(), repeat(step, num_steps))
    if num_levels == 1:
        return chain(steps, flatten(squeezed))
    inner = _levels((*squeezed[:2], 2 * shape[2]), step, prior, num_levels - 1, num_steps)
    # The half that goes on is kept, the half that is factored out is moved.
    return chain(steps, affine_coupling(prior, halves(swap=True)), factor_out(inner, squeezed))
