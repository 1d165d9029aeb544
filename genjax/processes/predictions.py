"""What a network may predict along a path, and the exact way from each to every other.

Given x_t = alpha x_0 + sigma eps, any one of these determines all:

    EPS        eps                                                     Ho et al. 2020, eq. 11
    X0         x_0                                                     Ho et al. 2020, section 3.2
    V          v = alpha eps - sigma x_0                               Salimans & Ho 2022, appendix D
    SCORE      -eps / sigma; of its mean, grad log q(x_t)              Song et al. 2021, eq. 9
    VELOCITY   u = alpha' x_0 + sigma' eps, with x_t' = u              Lipman et al. 2023; Albergo et al. 2023

A `Prediction` holds three functions that are linear in the data, the noise and x_t: the target of training, and the
two ways back. By linearity they hold for conditional means as well: what a network trained with squared error
predicts, converted, is what it would have predicted in the other form. There is no information about eps at sigma = 0
nor about x_0 at alpha = 0, and conversions there divide by zero; the identities (X0 to x_0, EPS to eps) do not.
"""

from collections.abc import Callable
from typing import NamedTuple

from genjax.contract import Array
from genjax.processes.gaussian import Point, like


class Prediction(NamedTuple):
    """One form of prediction.

    name: for messages.
    target: (x0, eps, point) -> what the network is trained to predict.
    to_x0: (prediction, x_t, point) -> x_0.
    to_eps: (prediction, x_t, point) -> eps.

    Arrays are [B, ...]; the point is one time, or one an example.
    """

    name: str
    target: Callable[[Array, Array, Point], Array]
    to_x0: Callable[[Array, Array, Point], Array]
    to_eps: Callable[[Array, Array, Point], Array]


def convert(prediction: Array, x_t: Array, point: Point, *, source: Prediction, target: Prediction) -> Array:
    """Turn a prediction of one form into another.

    Args:
        prediction: [B, ...], of the form `source`.
        x_t: [B, ...], where it was made.
        point: the path there.
        source: the form it has.
        target: the form it shall have.

    Returns:
        [B, ...], of the form `target`.
    """
    if source is target:
        return prediction
    x0, eps = source.to_x0(prediction, x_t, point), source.to_eps(prediction, x_t, point)
    return target.target(x0, eps, point)


def x0_of_eps(eps: Array, x_t: Array, point: Point) -> Array:
    """Return x_0 = (x_t - sigma eps) / alpha."""
    return (x_t - like(point.sigma, x_t) * eps) / like(point.alpha, x_t)


def eps_of_x0(x0: Array, x_t: Array, point: Point) -> Array:
    """Return eps = (x_t - alpha x_0) / sigma."""
    return (x_t - like(point.alpha, x_t) * x0) / like(point.sigma, x_t)


def _v(x0: Array, eps: Array, point: Point) -> Array:
    return like(point.alpha, x0) * eps - like(point.sigma, x0) * x0


def _x0_of_v(v: Array, x_t: Array, point: Point) -> Array:
    alpha, sigma = like(point.alpha, x_t), like(point.sigma, x_t)
    return (alpha * x_t - sigma * v) / (alpha**2 + sigma**2)


def _eps_of_v(v: Array, x_t: Array, point: Point) -> Array:
    alpha, sigma = like(point.alpha, x_t), like(point.sigma, x_t)
    return (sigma * x_t + alpha * v) / (alpha**2 + sigma**2)


def _eps_of_score(score: Array, x_t: Array, point: Point) -> Array:
    return -like(point.sigma, x_t) * score


def _rates(point: Point, x: Array) -> tuple[Array, Array]:
    if point.alpha_rate is None or point.sigma_rate is None:
        raise ValueError("a velocity needs the rates of alpha and sigma; a schedule of discrete steps has none.")
    return like(point.alpha_rate, x), like(point.sigma_rate, x)


def _velocity(x0: Array, eps: Array, point: Point) -> Array:
    alpha_rate, sigma_rate = _rates(point, x0)
    return alpha_rate * x0 + sigma_rate * eps


def _x0_of_velocity(u: Array, x_t: Array, point: Point) -> Array:
    """Solve x_t = alpha x_0 + sigma eps and u = alpha' x_0 + sigma' eps for x_0."""
    alpha_rate, sigma_rate = _rates(point, x_t)
    alpha, sigma = like(point.alpha, x_t), like(point.sigma, x_t)
    return (sigma_rate * x_t - sigma * u) / (alpha * sigma_rate - sigma * alpha_rate)


def _eps_of_velocity(u: Array, x_t: Array, point: Point) -> Array:
    """Solve the same two equations for eps."""
    alpha_rate, sigma_rate = _rates(point, x_t)
    alpha, sigma = like(point.alpha, x_t), like(point.sigma, x_t)
    return (alpha * u - alpha_rate * x_t) / (alpha * sigma_rate - sigma * alpha_rate)


EPS = Prediction(
    name="eps",
    target=lambda x0, eps, point: eps,
    to_x0=x0_of_eps,
    to_eps=lambda eps, x_t, point: eps,
)

X0 = Prediction(
    name="x0",
    target=lambda x0, eps, point: x0,
    to_x0=lambda x0, x_t, point: x0,
    to_eps=eps_of_x0,
)

V = Prediction(name="v", target=_v, to_x0=_x0_of_v, to_eps=_eps_of_v)

SCORE = Prediction(
    name="score",
    target=lambda x0, eps, point: -eps / like(point.sigma, eps),
    to_x0=lambda score, x_t, point: x0_of_eps(_eps_of_score(score, x_t, point), x_t, point),
    to_eps=_eps_of_score,
)

VELOCITY = Prediction(name="velocity", target=_velocity, to_x0=_x0_of_velocity, to_eps=_eps_of_velocity)
