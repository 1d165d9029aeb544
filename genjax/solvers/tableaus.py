"""Butcher tableaus: explicit Runge-Kutta schemes as data that check themselves.

    k_i = f(x + h sum_{j < i} a_ij k_j,  t + c_i h),      x' = x + h sum_i b_i k_i

A pair has a second row of weights, of the order below; the difference of the two results estimates the error of a
step, by which `genjax.solvers.adaptive` chooses h.

    EULER               1         MIDPOINT, HEUN, RALSTON    2         RK4             4
    BOGACKI_SHAMPINE    3 (2)     DORMAND_PRINCE             5 (4)

Reference: Hairer, Norsett and Wanner 1993, Solving Ordinary Differential Equations I, chapter II.
"""

import math
from typing import NamedTuple


class Tableau(NamedTuple):
    """An explicit scheme of s stages.

    a: rows of 0, 1, ..., s - 1 numbers.
    b: s weights.
    c: s places inside a step.
    order: the global error is O(h^order).
    error: b minus the weights of the embedded scheme, or () without one.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    error: tuple[float, ...] = ()


def tableau(
    a: tuple[tuple[float, ...], ...], b: tuple[float, ...], *, order: int, embedded: tuple[float, ...] = ()
) -> Tableau:
    """Build a tableau; c are the sums of the rows of a.

    Args:
        a: rows of 0, 1, ..., s - 1 numbers.
        b: s weights that sum to 1.
        order: of the scheme.
        embedded: s weights of the scheme that estimates the error, or ().

    Raises:
        ValueError: rows of wrong length, or weights that do not sum to 1.
    """
    if tuple(map(len, a)) != tuple(range(len(b))):
        raise ValueError(f"rows of lengths {tuple(map(len, a))} make no explicit scheme of {len(b)} stages.")
    for weights in (b, embedded or b):
        if len(weights) != len(b) or not math.isclose(math.fsum(weights), 1.0, abs_tol=1e-12):
            raise ValueError(f"the weights {weights} must be {len(b)} numbers that sum to 1.")
    error = tuple(x - y for x, y in zip(b, embedded))
    return Tableau(a, b, tuple(math.fsum(row) for row in a), order, error)


EULER = tableau(((),), (1.0,), order=1)
MIDPOINT = tableau(((), (1 / 2,)), (0.0, 1.0), order=2)
HEUN = tableau(((), (1.0,)), (1 / 2, 1 / 2), order=2)
RALSTON = tableau(((), (2 / 3,)), (1 / 4, 3 / 4), order=2)
RK4 = tableau(((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), order=4)
BOGACKI_SHAMPINE = tableau(
    ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (2 / 9, 1 / 3, 4 / 9, 0.0),
    order=3,
    embedded=(7 / 24, 1 / 4, 1 / 3, 1 / 8),
)
DORMAND_PRINCE = tableau(
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
    order=5,
    embedded=(5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
)
