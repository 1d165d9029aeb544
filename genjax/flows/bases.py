"""Base densities: what a flow maps the data to. All entries of z are independent.

    standard_normal      log p(z) = -(z^2 + log 2 pi) / 2
    standard_logistic    log p(z) = -log(1 + e^z) - log(1 + e^-z)          (NICE, section 3.3)
"""

from typing import Callable, NamedTuple

import jax

from genjax.contract import Array
from genjax.distributions import normal_log_prob, per_example


class Base(NamedTuple):
    """A density of z [B, ...].

    log_prob: z -> nats [B].
    sample: (key, shape) -> z of that shape.
    """

    log_prob: Callable[[Array], Array]
    sample: Callable[[Array, tuple[int, ...]], Array]


def standard_normal() -> Base:
    """Make N(0, I)."""
    return Base(lambda z: per_example(normal_log_prob(z, 0.0, log_std=0.0)), jax.random.normal)


def standard_logistic() -> Base:
    """Make the product of standard logistic densities, whose tails are heavier than the normal's."""
    log_prob = lambda z: per_example(jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z))
    return Base(log_prob, jax.random.logistic)
