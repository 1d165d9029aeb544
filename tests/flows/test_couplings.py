"""Couplings and what is built of them (NICE, Real NVP, Glow): Jacobians through squeeze and split, inverses, state."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from genjax import flows
from tests.flows.oracles import at_random, check, mass, measured

KEY = jax.random.key(1)
RANDOM = np.random.default_rng(1)
VECTORS = RANDOM.normal(size=(4, 5)).astype(np.float32)
PICTURES = RANDOM.normal(size=(2, 4, 4, 2)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 2]]


def additive(features):
    return flows.CouplingMLP(features, (8,))


def affine(features):
    return flows.TanhScale(flows.CouplingMLP(2 * features, (8,)))


def resnet(features):
    return flows.TanhScale(flows.CouplingResNet(2 * features, channels=4, blocks=1))


def conv(features):
    return flows.SigmoidScale(flows.CouplingConv(2 * features, channels=4))


@pytest.mark.parametrize("partition", [flows.halves, flows.interleaved])
@pytest.mark.parametrize("swap", [False, True])
def test_partitions_of_an_odd_number_of_entries(partition, swap):
    split, join = partition(swap=swap)
    kept, moved = split(VECTORS)
    assert kept.shape[1] + moved.shape[1] == 5 and abs(kept.shape[1] - moved.shape[1]) == 1
    np.testing.assert_array_equal(jax.jit(lambda x: join(*split(x)))(VECTORS), VECTORS)


@pytest.mark.parametrize("swap", [False, True])
def test_couplings_of_vectors(swap):
    z, log_det = check(flows.additive_coupling(additive, flows.interleaved(swap=swap)), VECTORS)
    np.testing.assert_array_equal(log_det, 0.0)
    check(flows.affine_coupling(affine, flows.halves(swap=swap)), VECTORS)


def test_a_masked_coupling_keeps_what_the_mask_keeps_to_the_bit():
    mask = flows.checkerboard((4, 4, 2))
    z, _ = check(flows.masked_affine_coupling(resnet, mask), PICTURES, scale=0.1)
    z = np.asarray(z)
    np.testing.assert_array_equal(z * mask[None], PICTURES * mask[None])
    assert np.all((z != PICTURES) == (mask[None] == 0))


def test_the_two_checkerboards_alternate():
    even, odd = flows.checkerboard((3, 4, 2)), flows.checkerboard((3, 4, 2), odd=True)
    np.testing.assert_array_equal(even + odd, 1.0)
    assert even[0, 0].all() and not even[0, 1].any() and not even[1, 0].any() and even[1, 1].all()


def test_nice():
    z, log_det = check(flows.nice_bijection((2, 2, 1), additive), PICTURES[:, :2, :2, :1])
    assert np.ptp(log_det) == 0.0 != log_det[0]  # volumes change by the scale layer alone


def test_realnvp_through_two_scales():
    body = lambda features: flows.TanhScale(flows.CouplingConv(2 * features, channels=3))
    bijection = flows.realnvp_bijection((4, 4, 1), body, num_scales=2, num_pairs=1)
    check(bijection, PICTURES[..., :1], scale=0.1)


def test_realnvp_of_vectors():
    check(flows.realnvp_vector_bijection(affine, num_pairs=2), VECTORS)


@pytest.mark.parametrize("mixing", [flows.invertible_conv, flows.invertible_conv_lu], ids=["plain", "lu"])
def test_glow_through_two_levels(mixing):
    options = dict(prior=conv, num_levels=2, num_steps=2, mixing=mixing, class_prior=True)
    check(flows.glow_bijection((4, 4, 2), conv, **options), PICTURES, LABELS, scale=0.1)


def test_every_entry_of_a_multi_scale_latent_hangs_on_the_class():
    bijection = flows.glow_bijection((4, 4, 2), conv, prior=conv, num_levels=2, num_steps=1, class_prior=True)
    weights = at_random(bijection, KEY, PICTURES, LABELS)
    forward = jax.jit(lambda labels: bijection.forward(weights, PICTURES, labels)[0])
    assert np.all(np.asarray(forward(LABELS)) != forward(np.roll(LABELS, 1, 1)))


def test_the_factored_out_entries_have_a_density_that_hangs_on_the_rest():
    """The learned prior of a level: its Gaussian, in closed form, is what the coupling gives."""
    coupling = flows.affine_coupling(conv, flows.halves(swap=True))
    weights = at_random(coupling, KEY, PICTURES)
    z, log_det, *_ = measured(coupling, weights, PICTURES)
    heads = jax.jit(lambda x: conv(1).apply({"params": weights.params}, x, None))(PICTURES[..., 1:])
    shift, log_scale = (np.asarray(head, np.float64) for head in heads)
    mean, std = -shift * np.exp(-log_scale), np.exp(-log_scale)
    closed = norm.logpdf(PICTURES[..., :1], mean, std).sum(axis=(1, 2, 3))
    by_flow = norm.logpdf(z[..., :1]).sum(axis=(1, 2, 3)) + log_det
    np.testing.assert_allclose(by_flow, closed, rtol=1e-4)


@pytest.mark.parametrize("mixing", [flows.invertible_conv, flows.invertible_conv_lu], ids=["plain", "lu"])
def test_log_det_of_the_1x1_convolution_is_that_of_its_matrix_at_every_pixel(mixing):
    layer = mixing()
    x = RANDOM.normal(size=(2, 3, 2, 4)).astype(np.float32)
    weights = at_random(layer, KEY, x)
    _, log_det = check(layer, x, weights=weights)
    # The matrix itself: images of the unit vectors.
    columns, _ = jax.jit(lambda x: layer.forward(weights, x, None))(np.eye(4, dtype=np.float32).reshape(4, 1, 1, 4))
    by_matrix = 3 * 2 * np.linalg.slogdet(np.asarray(columns, np.float64).reshape(4, 4))[1]
    np.testing.assert_allclose(log_det, by_matrix, rtol=1e-5)


@pytest.mark.parametrize("mixing", [flows.invertible_conv, flows.invertible_conv_lu], ids=["plain", "lu"])
def test_the_1x1_convolution_starts_as_a_rotation(mixing):
    layer = mixing()

    @jax.jit
    def started(x):
        return layer.forward(layer.init(KEY, PICTURES[..., :1].repeat(5, -1), None), x, None)

    matrix, log_det = started(np.eye(5, dtype=np.float32).reshape(5, 1, 1, 5))
    matrix = np.asarray(matrix).reshape(5, 5)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-6)


def test_the_permutation_of_the_lu_form_is_no_parameter():
    weights = jax.eval_shape(lambda x: flows.invertible_conv_lu().init(KEY, x, None), PICTURES)
    assert set(weights.params) == {"lower", "upper", "log_scale"} and set(weights.state) == {"permutation", "sign"}


def test_the_density_of_vectors_integrates_to_one():
    bijection = flows.chain(flows.realnvp_vector_bijection(affine, num_pairs=2), flows.scaling())
    weights = at_random(bijection, KEY, VECTORS[:, :2], scale=0.1)
    for base in (flows.standard_normal(), flows.standard_logistic()):
        density = jax.jit(lambda x: flows.change_of_variables(*bijection.forward(weights, x, None), base))
        assert abs(mass(density, half_width=30.0, points=1200) - 1.0) < 2e-3


def test_couplings_start_as_the_identity():
    for coupling in (flows.affine_coupling(affine, flows.halves()), flows.additive_coupling(additive, flows.halves())):
        z, log_det = jax.jit(lambda x: coupling.forward(coupling.init(KEY, x, None), x, None))(VECTORS)
        np.testing.assert_array_equal(z, VECTORS)
        np.testing.assert_array_equal(log_det, 0.0)
