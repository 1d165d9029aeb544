"""Paths, their velocities and couplings beside torchcfm's, on the same points, times and noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import flow_matching, processes

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'bench')")
torchcfm = pytest.importorskip("torchcfm", reason="parity with torchcfm needs the extra 'bench'")
from torchcfm.optimal_transport import OTPlanSampler  # noqa: E402

RANDOM = np.random.default_rng(0)
X0, X1, NOISE = (RANDOM.normal(size=(16, 2)).astype(np.float32) for _ in range(3))
T = np.linspace(0.05, 0.95, 16).astype(np.float32)
SIGMA = 0.3
TRANSPORT = flow_matching.gaussian_interpolant(processes.straight_path(SIGMA))
COSINE = flow_matching.gaussian_interpolant(processes.cosine_path())


@pytest.mark.parametrize(
    "interpolant, peer, first, noise",
    [
        (flow_matching.straight_interpolant(SIGMA), "ConditionalFlowMatcher", X0, NOISE),
        (TRANSPORT, "TargetConditionalFlowMatcher", NOISE, NOISE),
        (flow_matching.bridge_interpolant(SIGMA), "SchrodingerBridgeConditionalFlowMatcher", X0, NOISE),
        (COSINE, "VariancePreservingConditionalFlowMatcher", X0, NOISE),
    ],
    ids=["straight", "transport", "bridge", "cosine"],
)
def test_paths_and_velocities(interpolant, peer, first, noise):
    """What is the source here is noise to theirs on the transport path; the cosine path is free of noise."""
    matcher = getattr(torchcfm, peer)(sigma=0.0 if peer.startswith("Variance") else SIGMA)
    x0, x1, eps, t = (torch.from_numpy(each) for each in (X0, X1, NOISE, T))
    x_t = matcher.sample_xt(x0, x1, t, eps)
    velocity = matcher.compute_conditional_flow(x0, x1, t, x_t)
    place, rate = flow_matching.interpolate(interpolant, *(jnp.asarray(each) for each in (first, X1, noise, T)))
    np.testing.assert_allclose(place, x_t.numpy(), atol=1e-5)
    np.testing.assert_allclose(rate, velocity.numpy(), atol=1e-4, rtol=1e-4)
    assert np.abs(np.asarray(place) - X1).max() > 0.1


def test_couplings():
    """Their exact plan is the permutation by which ours finds an x_0 for each x_1; their entropic plan is ours."""
    x0, x1 = torch.from_numpy(X0), torch.from_numpy(X1)
    plan = OTPlanSampler(method="exact").get_map(x0, x1)
    chosen = np.asarray(flow_matching.exact_coupling(jax.random.key(0), jnp.asarray(X0), jnp.asarray(X1)))
    np.testing.assert_array_equal(chosen, plan.argmax(axis=0))
    entropic = OTPlanSampler(method="sinkhorn", reg=0.5).get_map(x0, x1)
    cost = flow_matching.squared_distances(jnp.asarray(X0), jnp.asarray(X1))
    log_plan = flow_matching.sinkhorn_log_plan(cost, 0.5, iterations=500)
    np.testing.assert_allclose(np.exp(log_plan), entropic, atol=1e-5)
