"""The tables of DPM-Solver++ and UniPC: the order of one step, against quadrature of the solution's integral."""

import numpy as np
import pytest
import scipy.integrate

from genjax.diffusion.multistep import dpm_solver_table, unipc_tables


def x0(log_ratio):
    """Some smooth estimate of x_0 along the way, as a function of l = log(alpha / sigma)."""
    return np.sin(1.3 * log_ratio + 0.5) + 0.2 * log_ratio


def local_errors(weights_of):
    """Return errors of a step from l = 0, after uneven steps before it, for three lengths."""
    errors = []
    for h in (0.4, 0.2, 0.1):
        # Grid of l: ..., -2.3 h, -0.9 h, 0, h, on the variance-preserving circle.
        places = np.array([-3.1, -2.3, -0.9, 0.0, 1.0, 2.2]) * h
        alpha, sigma = np.sqrt(1 / (1 + np.exp(-2 * places))), np.sqrt(1 / (1 + np.exp(2 * places)))
        weights, estimates = weights_of(alpha, sigma, places)
        # x_t = keep x_s + sigma_t int e^l x0(l) dl
        exact = sigma[4] * scipy.integrate.quad(lambda l: np.exp(l) * x0(l), 0.0, h, epsabs=1e-14)[0]
        errors.append(abs(weights @ estimates - exact))
    return np.array(errors)


def assert_order(errors, order):
    """A step of order p errs by h^{p + 1}."""
    slopes = np.log2(errors[:-1] / errors[1:])
    assert slopes[-1] > order + 0.6, (errors, slopes)
    assert slopes[-1] < order + 1.6, (errors, slopes)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_step_of_dpm_solver_has_its_order(order):
    def weights_of(alpha, sigma, places):
        table = dpm_solver_table(alpha, sigma, order=order, lower_order_final=False)
        assert table.keep[3] == pytest.approx(sigma[4] / sigma[3])
        return table.weights[3], x0(places[3 - np.arange(order)])

    assert_order(local_errors(weights_of), order)


@pytest.mark.parametrize("b", ["bh1", "bh2"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_step_of_unipc_has_its_order_and_a_correction_one_more(order, b):
    def predicted(alpha, sigma, places):
        table, _ = unipc_tables(alpha, sigma, order=order, b=b, lower_order_final=False)
        return table.weights[3], x0(places[3 - np.arange(order + 1)])

    def corrected(alpha, sigma, places):
        _, table = unipc_tables(alpha, sigma, order=order, b=b, lower_order_final=False)
        return table.weights[4], x0(places[4 - np.arange(order + 1)])

    assert_order(local_errors(predicted), order)
    assert_order(local_errors(corrected), order + 1)


def test_a_step_to_no_noise_returns_the_estimate():
    alpha, sigma = np.array([0.2, 0.6, 0.9, 1.0]), np.array([0.9, 0.7, 0.3, 0.0])
    tables = (dpm_solver_table(alpha, sigma, order=3, lower_order_final=False), unipc_tables(alpha, sigma, order=3)[0])
    for table in tables:
        assert table.keep[-1] == 0.0 and table.weights[-1].tolist() == [1.0] + [0.0] * (table.weights.shape[1] - 1)
        assert np.all(np.isfinite(table.weights))
