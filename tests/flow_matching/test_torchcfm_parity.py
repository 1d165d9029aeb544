"""Paths, their velocities and couplings beside torchcfm's, on the same points, times and noise, in float64."""

import jax
import numpy as np
import pytest

from genjax import flow_matching, processes

torch = pytest.importorskip("torch", reason="parity with torchcfm needs the extra 'parity'")
torchcfm = pytest.importorskip("torchcfm", reason="parity with torchcfm needs the extra 'parity'")
from torchcfm.optimal_transport import OTPlanSampler  # noqa: E402

pytestmark = pytest.mark.parity

X0, X1, NOISE = np.random.default_rng(0).normal(size=(3, 16, 2))
T = np.linspace(0.05, 0.95, 16)
SIGMA = 0.3
TRANSPORT = flow_matching.gaussian_interpolant(processes.straight_path(SIGMA))
COSINE = flow_matching.gaussian_interpolant(processes.cosine_path())


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    "interpolant, peer, first",
    [
        (flow_matching.straight_interpolant(SIGMA), "ConditionalFlowMatcher", X0),
        (TRANSPORT, "TargetConditionalFlowMatcher", NOISE),
        (flow_matching.bridge_interpolant(SIGMA), "SchrodingerBridgeConditionalFlowMatcher", X0),
        (COSINE, "VariancePreservingConditionalFlowMatcher", X0),
    ],
    ids=["straight", "transport", "bridge", "cosine"],
)
def test_paths_and_velocities(interpolant, peer, first):
    """What is the source here is noise to theirs on the transport path; the cosine path is free of noise."""
    matcher = getattr(torchcfm, peer)(sigma=0.0 if peer.startswith("Variance") else SIGMA)
    x0, x1, eps, t = (torch.from_numpy(each) for each in (X0, X1, NOISE, T))
    x_t = matcher.sample_xt(x0, x1, t, eps)
    velocity = matcher.compute_conditional_flow(x0, x1, t, x_t)
    place, rate = jax.jit(lambda *each: flow_matching.interpolate(interpolant, *each))(first, X1, NOISE, T)
    assert np.abs(place - X1).max() > 0.1
    np.testing.assert_allclose(place, x_t.numpy(), rtol=1e-12, atol=1e-14)
    # Theirs divide by s_t^2 + 1e-8 on the bridge.
    np.testing.assert_allclose(rate, velocity.numpy(), rtol=1e-5 if "Bridge" in peer else 1e-11, atol=1e-14)


def test_couplings():
    """Their exact plan is the permutation by which ours finds an x_0 for each x_1; their entropic plan is ours."""
    x0, x1 = torch.from_numpy(X0), torch.from_numpy(X1)
    plan = OTPlanSampler(method="exact").get_map(x0, x1)
    chosen = np.asarray(jax.jit(flow_matching.exact_coupling)(jax.random.key(0), X0, X1))
    np.testing.assert_array_equal(chosen, plan.argmax(axis=0))
    entropic = OTPlanSampler(method="sinkhorn", reg=0.5).get_map(x0, x1)
    cost = flow_matching.squared_distances(X0, X1)
    log_plan = flow_matching.sinkhorn_log_plan(cost, 0.5, iterations=500)
    np.testing.assert_allclose(np.exp(log_plan), entropic, atol=1e-7)  # theirs stop at 1e-9 of the marginals


def test_the_weight_of_the_score():
    """Their training of scores is E |lambda_t d + e|^2, d the network's drift."""
    matcher = torchcfm.SchrodingerBridgeConditionalFlowMatcher(sigma=SIGMA)
    weight = matcher.compute_lambda(torch.from_numpy(T)[:, None]).numpy()
    std = flow_matching.bridge_interpolant(SIGMA).std(T)
    loss = jax.jit(lambda drift, noise: flow_matching.bridge_score_loss(drift, noise, std, sigma=SIGMA))(X0, NOISE)
    theirs = np.sum((weight * X0 + NOISE) ** 2, axis=1)  # with 1e-8 added to sigma^2
    np.testing.assert_allclose(loss, theirs, rtol=1e-6)
