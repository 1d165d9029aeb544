"""NICE, non-linear independent components estimation (Dinh et al. 2014, arXiv:1410.8516).

Additive couplings on even and odd entries by turns, then a factor for each entry:

    h = coupling_L o ... o coupling_1 (x),    z = exp(l) h,    log_det = sum_d l_d                       (section 3.3)

with independent logistic (or normal) z. Couplings keep volumes: only l says which directions matter.
"""

from genjax.flows.bijection import Bijection, chain, repeat
from genjax.flows.couplings import Network, additive_coupling, interleaved
from genjax.flows.normalization import scaling
from genjax.flows.shapes import flatten


def nice_bijection(shape: tuple[int, ...], network: Network, *, num_pairs: int = 2) -> Bijection:
    """Make NICE of x [B, *shape].

    Args:
        shape: of one x.
        network: features -> module (kept [B, D'], condition) -> t [B, features].
        num_pairs: pairs of couplings; 2 are the paper's four.

    Returns:
        A bijection to [B, D].
    """
    pair = chain(additive_coupling(network, interleaved()), additive_coupling(network, interleaved(swap=True)))
    return chain(flatten(shape), repeat(pair, num_pairs), scaling())
