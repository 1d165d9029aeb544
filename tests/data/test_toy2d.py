"""Densities against integrals and against the points that the samplers draw."""

import functools

import numpy as np
import pytest
import scipy.stats

from genjax.data import open_source
from genjax.data.toy2d import SETS

WITH_DENSITY = [name for name, toy in SETS.items() if toy.log_density is not None]

# Centre and reach of a square that holds all but 1e-8 of the mass, cells along a side (a cell is smaller than the
# noise, and then sums over midpoints converge like the exponential), and of how many equal parts it holds one: for
# sets whose modes are needles, one mode.
GRIDS = {
    "eight_gaussians": ((0, 0), 6.0, 60, 1),
    "two_moons": ((0.5, 0.25), 2.3, 80, 1),
    "checkerboard": ((0, 0), 4.0, 80, 1),
    "spirals": ((0, 0), 4.5, 160, 1),
    "rings": ((0, 0), 3.6, 160, 1),
    "ring_of_8": ((1, 0), 0.07, 20, 8),
    "grid_of_25": ((0, 0), 0.35, 20, 25),
    "eight_gaussians_torchcfm": ((0, 0), 9.0, 60, 1),
}


@functools.cache
def grid(name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Return midpoints [N, 2] of the cells, log p of each [N], and the area of one times the number of parts."""
    centre, reach, cells, parts = GRIDS[name]
    step = 2 * reach / cells
    axis = np.linspace(-reach + step / 2, reach - step / 2, cells)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + np.array(centre)
    return points, SETS[name].log_density(points), parts * step**2


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_a_density_integrates_to_one_and_has_the_entropy_told(name):
    _, log_p, area = grid(name)
    p = np.exp(log_p)
    assert area * p.sum() == pytest.approx(1.0, abs=1e-7)
    entropy = -area * np.sum(p * np.where(p > 0, log_p, 0.0))
    assert entropy == pytest.approx(SETS[name].entropy, abs=1e-6)


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_points_follow_their_density(name):
    """E[-log p] of the points is the entropy, and E[p] is the integral of p^2: a wrong sampler fails one of them."""
    toy, num = SETS[name], 10_000
    _, log_p_grid, area = grid(name)
    log_p = toy.log_density(toy.sample(np.random.RandomState(7), num)[0])
    for values, expected in ((-log_p, toy.entropy), (np.exp(log_p), area * np.sum(np.exp(2 * log_p_grid)))):
        assert abs(values.mean() - expected) <= 4.5 * values.std() / num**0.5 + 1e-6 * expected


@pytest.mark.parametrize("name", [name for name in WITH_DENSITY if GRIDS[name][3] == 1])
def test_points_fill_the_plane_as_their_density_does(name):
    """Chi-square over coarse cells, whose probabilities are sums of the fine grid."""
    centre, reach, _, _ = GRIDS[name]
    points, log_p, area = grid(name)
    edges = [np.linspace(c - reach, c + reach, 21) for c in centre]  # each coarse cell holds whole fine ones
    expected = np.histogram2d(*points.T, bins=edges, weights=area * np.exp(log_p))[0]
    num = 50_000
    found = np.histogram2d(*SETS[name].sample(np.random.RandomState(11), num)[0].T, bins=edges)[0]
    filled = expected * num > 10
    rest = num - np.array([found[filled].sum(), num * expected[filled].sum()])
    observed, wanted = np.append(found[filled], rest[0]), np.append(num * expected[filled], rest[1])
    keep = wanted > 5
    statistic = np.sum((observed[keep] - wanted[keep]) ** 2 / wanted[keep])
    assert scipy.stats.chi2.sf(statistic, keep.sum() - 1) > 1e-4


def test_the_peer_eight_gaussians_have_variance_root_one_tenth():
    toy = SETS["eight_gaussians_torchcfm"]
    points, label = toy.sample(np.random.RandomState(0), 40_000)
    np.testing.assert_allclose(np.linalg.norm(toy.centers, axis=1), 5.0)
    noise = points - toy.centers[label]
    np.testing.assert_allclose(np.cov(noise.T), 0.31623 * np.eye(2), atol=0.01)
    np.testing.assert_allclose(np.bincount(label) / len(label), 0.125, atol=0.01)


def test_the_peer_moons_have_diagonal_noise():
    """3 x - 1 is undone; the difference of the coordinates names the angle, and the rest is one number of U(0, 0.2)."""
    points, label = SETS["two_moons_torchcfm"].sample(np.random.RandomState(0), 5_000)
    x = (points + 1) / 3
    angles = np.linspace(0, np.pi, 20_001)
    for moon, curve in enumerate([(np.cos(angles), np.sin(angles)), (1 - np.cos(angles), 0.5 - np.sin(angles))]):
        difference, rest = curve[0] - curve[1], []
        for first, second in x[label == moon][:300]:
            near = np.abs(difference - (first - second)) < 3e-4
            shift = first - curve[0][near]  # on the right branch this is the noise
            inside = shift[(shift > -1e-3) & (shift < 0.2 + 1e-3)]
            assert len(inside), "no point of the half circle lies below on the diagonal"
            rest.append(inside[0])
        assert np.mean(rest) == pytest.approx(0.1, abs=0.04)


def test_pinwheel_has_five_turned_arms_of_the_right_size():
    points, label = SETS["pinwheel"].sample(np.random.RandomState(0), 100_000)
    # The shear is a rotation of each point: |x|^2 / 4 has the mean 1 + 0.3^2 + 0.1^2 of the flat arm.
    assert np.mean(points**2) * 2 / 4 == pytest.approx(1.10, abs=0.01)
    means = np.stack([points[label == arm].mean(axis=0) for arm in range(5)]) @ np.array([1, 1j])
    turns = np.angle(np.roll(means, -1) / means)
    np.testing.assert_allclose(turns, -2 * np.pi / 5, atol=0.02)  # the same arm, a fifth of a turn on, clockwise


@pytest.mark.parametrize("name", SETS)
def test_sets_open_the_same_every_time_and_split_apart(name):
    train, test = (open_source(f"toy2d/{name}", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (100_000, 20_000)
    first, again = (open_source(f"toy2d/{name}", "test").fetch(np.arange(100)) for _ in range(2))
    np.testing.assert_array_equal(first["x"], again["x"])
    assert first["x"].dtype == np.float32 and first["label"].dtype == np.int32
    label = train.fetch(np.arange(1000))["label"]
    assert set(label) == set(range(train.info.num_classes))
    assert not np.isin(train.fetch(np.arange(1000))["x"], first["x"]).all(axis=1).any()


def test_points_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\[N, 2\]"):
        SETS["spirals"].log_density(np.zeros((3, 3)))
