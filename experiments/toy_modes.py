"""Modes of a toy2d mixture that samples cover: an evaluation for a config to attach to its system.

    System(..., evaluations={"modes": toy_modes.modes})
"""

import jax.numpy as jnp

from genjax.data import toy2d
from genjax.evaluation import mode_coverage
from genjax.training.system import EvalContext


def modes(context: EvalContext) -> dict[str, float]:
    """Return how many modes the samples cover and which share of them is within 3 standard deviations of one.

    smallest_mode: share of the good samples that the least visited mode gets; 1 / modes where all are equal.
    """
    toy = toy2d.SETS[context.config.data.name.removeprefix("toy2d/")]
    num = int(context.config.eval.num_samples)
    found = mode_coverage(context.sample(num), jnp.asarray(toy.centers, jnp.float32), std=toy.std)
    return {
        "modes_covered": int(found.covered),
        "modes": len(toy.centers),
        "high_quality": float(found.high_quality),
        "smallest_mode": float(found.counts.min() / jnp.maximum(found.counts.sum(), 1)),
        "n": num,
    }
