"""Real NVP, real-valued non-volume preserving flows (Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803).

On pictures, one scale of the multi-scale architecture is (section 3.6)

    couplings under a checkerboard, kept pixels alternating
    squeeze                                  [H, W, C] -> [H/2, W/2, 4C]
    couplings of halves of the channels, alternating
    half of the channels are factored out, the other half go on to the next scale

and the last scale is couplings under a checkerboard alone. Each coupling is followed by a batch normalization with
running averages (section 3.7). Couplings come in pairs here, one for either side of the mask, so that all pairs of a
stage are one scan; the paper takes three at each stage and four at the last.

On vectors it is couplings of even and odd entries by turns.
"""

from typing import Callable

from genjax.flows.bijection import Bijection, chain, repeat
from genjax.flows.couplings import (
    Network,
    affine_coupling,
    checkerboard,
    halves,
    interleaved,
    masked_affine_coupling,
)
from genjax.flows.normalization import batch_norm
from genjax.flows.shapes import factor_out, flatten, squeeze


def realnvp_bijection(
    shape: tuple[int, int, int],
    network: Network,
    *,
    num_scales: int = 2,
    num_pairs: int = 2,
    normalization: Callable[[], Bijection] = batch_norm,
) -> Bijection:
    """Make the multi-scale architecture for pictures [B, H, W, C].

    Args:
        shape: (H, W, C); H and W divisible by 2^(num_scales - 1).
        network: features -> module (kept [B, H', W', C'], condition) -> (t, s), each [B, H', W', features].
        num_scales: how many.
        num_pairs: pairs of couplings at each stage.
        normalization: makes the layer after each coupling; `functools.partial(batch_norm, axis_name=...)` under pmap.

    Returns:
        A bijection to [B, H W C], the entries factored out first in front.
    """
    masks = checkerboard(shape), checkerboard(shape, odd=True)
    pixels = _pair(*(masked_affine_coupling(network, mask) for mask in masks), normalization)
    if num_scales == 1:
        return chain(repeat(pixels, num_pairs), flatten(shape))
    channels = _pair(affine_coupling(network, halves()), affine_coupling(network, halves(swap=True)), normalization)
    squeezed = (shape[0] // 2, shape[1] // 2, 4 * shape[2])
    inner = realnvp_bijection(
        (*squeezed[:2], 2 * shape[2]),
        network,
        num_scales=num_scales - 1,
        num_pairs=num_pairs,
        normalization=normalization,
    )
    return chain(repeat(pixels, num_pairs), squeeze(), repeat(channels, num_pairs), factor_out(inner, squeezed))


def realnvp_vector_bijection(
    network: Network, *, num_pairs: int = 4, normalization: Callable[[], Bijection] = batch_norm
) -> Bijection:
    """Make Real NVP for vectors [B, D], D at least 2.

    Args:
        network: features -> module (kept [B, D'], condition) -> (t, s), each [B, features].
        num_pairs: pairs of couplings.
        normalization: makes the layer after each coupling.
    """
    couplings = affine_coupling(network, interleaved()), affine_coupling(network, interleaved(swap=True))
    return repeat(_pair(*couplings, normalization), num_pairs)


def _pair(first: Bijection, second: Bijection, normalization: Callable[[], Bijection]) -> Bijection:
    return chain(first, normalization(), second, normalization())
