"""Augmentation against numpy's and scipy's transformations of pictures, its frequencies, and the controller of p."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from genjax.adversarial import AdaptiveAugmentation, Overfitting, augmentation
from genjax.adversarial import adaptive_augmentation as ada

STEPS = {"blit": (ada.BLIT, ()), "geometry": (ada.GEOMETRY, ()), "colour": ((), ada.COLOUR)}
EVERY = (*ada.BLIT, *ada.GEOMETRY, *ada.COLOUR)


def pictures(num=4, side=6, channels=3):
    return np.random.default_rng(0).uniform(-1, 1, (num, side, side, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def drawn():
    """Return every step's matrices for 2000 pictures of 8 x 16 at p = 0, 1/2, 1."""
    draw = jax.jit(lambda keys, p: [step(keys[i], 2000, p, (8, 16)) for i, step in enumerate(EVERY)])
    keys = jax.random.split(jax.random.key(0), len(EVERY))
    return {p: [np.asarray(m) for m in draw(keys, p)] for p in (0.0, 0.5, 1.0)}


def test_at_p_0_nothing_changes(drawn):
    for matrix in drawn[0.0]:
        np.testing.assert_allclose(matrix, np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape), atol=1e-6)
    x = pictures()
    whole = jax.jit(augmentation((*ada.BLIT, *ada.GEOMETRY), ada.COLOUR))
    np.testing.assert_allclose(whole(jax.random.key(1), x, 0.0), x, atol=1e-5)
    assert np.abs(np.asarray(whole(jax.random.key(1), x, 1.0)) - x).max() > 0.1


def test_steps_are_made_as_often_as_p_says(drawn):
    """With p: of one in two, a mirror and a luma flip; of three in four, a turn; of angles 1 - sqrt(1 - p)."""
    share = {ada.mirror: 0.25, ada.luma_flip: 0.25, ada.quarter_turns: 0.375, ada.rotation: 1 - math.sqrt(0.5)}
    for step, matrix in zip(EVERY, drawn[0.5]):
        if step is not ada.whole_shift:  # a shift may round to none
            made = (np.abs(matrix - np.eye(matrix.shape[-1])).max(axis=(1, 2)) > 1e-6).mean()
            assert abs(made - share.get(step, 0.5)) < 4 * 0.5 / math.sqrt(2000), step.__name__


def test_amounts_are_those_of_the_paper(drawn):
    found = dict(zip(EVERY, drawn[1.0]))
    near = functools.partial(np.testing.assert_allclose, rtol=0.08, atol=0.01)
    near(np.log2(found[ada.scale][:, 0, 0]).std(), 0.2)
    near(np.log2(found[ada.stretch][:, 0, 0] * found[ada.stretch][:, 1, 1]).std(), 0.0)
    near(np.log2(found[ada.stretch][:, 0, 0]).std(), 0.2)
    near(found[ada.shift][:, :2, 2].std(axis=0), [1.0, 2.0])  # an eighth of 8 and of 16
    assert set(np.unique(found[ada.whole_shift][:, :2, 2])) == {-2, -1, 0, 1, 2}
    near(found[ada.brightness][:, :3, 3].std(axis=0), [0.2] * 3)
    near(np.log2(found[ada.contrast][:, 0, 0]).std(), 0.5)
    grey, tinted = np.array([1, 1, 1, 0]), np.array([1, -1, 0, 0])
    near(np.log2(np.linalg.norm(found[ada.saturation] @ tinted, axis=1) / math.sqrt(2)).std(), 1.0)
    for step in (ada.hue, ada.saturation):
        np.testing.assert_allclose(found[step] @ grey, np.broadcast_to(grey, (2000, 4)), atol=1e-5)
    flipped = found[ada.luma_flip] @ grey
    assert set(np.round(flipped[:, 0])) == {-1, 1}
    np.testing.assert_allclose(found[ada.luma_flip] @ tinted, np.broadcast_to(tinted, (2000, 4)), atol=1e-5)
    for step in (ada.hue, ada.rotation, ada.quarter_turns):
        linear = found[step][:, :2, :2] if step is not ada.hue else found[step][:, :3, :3]
        np.testing.assert_allclose(np.linalg.det(linear), 1.0, rtol=1e-4)
        np.testing.assert_allclose(
            linear @ linear.transpose(0, 2, 1), np.broadcast_to(np.eye(len(linear[0])), linear.shape), atol=1e-5
        )


def test_resampling_is_scipys():
    """Mirrored, turned, shifted by whole pixels: pixels change places; by any matrix: scipy's bilinear resampling."""
    x = pictures(num=1, side=5, channels=2)[0]
    bend = np.array([[0.9, 0.3, 0.4], [-0.2, 1.1, -0.7], [0, 0, 1]])
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    shift = np.array([[1, 0, 0], [0, 1, 2], [0, 0, 1]])
    matrices = np.stack([np.diag([1.0, -1, 1]), turn, shift, bend]).astype(np.float32)
    found = np.asarray(jax.jit(ada.resample)(np.stack([x] * 4), matrices))
    np.testing.assert_allclose(found[0], x[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(found[1], np.rot90(x, -1), atol=1e-5)
    np.testing.assert_allclose(found[2], np.pad(x, ((0, 0), (0, 2), (0, 0)), mode="reflect")[:, 2:], atol=1e-5)
    offset = bend[:2, 2] + 2.0 - bend[:2, :2] @ np.array([2.0, 2.0])
    for c in range(2):
        expected = scipy.ndimage.affine_transform(x[..., c], bend[:2, :2], offset, order=1, mode="mirror")
        np.testing.assert_allclose(found[3, ..., c], expected, atol=1e-5)


def test_the_last_geometric_step_is_undone_first():
    """Shifted and then mirrored: what stood k left of the middle stands k right of it, moved with the picture."""
    move = lambda key, num, p, size: jnp.broadcast_to(jnp.asarray([[1.0, 0, 0], [0, 1, -1], [0, 0, 1]]), (num, 3, 3))
    flip = lambda key, num, p, size: jnp.broadcast_to(jnp.diag(jnp.asarray([1.0, -1, 1])), (num, 3, 3))
    x = pictures(num=1, side=5, channels=1)
    shifted = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)), mode="reflect")[:, :, :5]  # to the right by one
    found = jax.jit(augmentation((move, flip)))(jax.random.key(0), x, 0.5)
    np.testing.assert_allclose(found, shifted[:, :, ::-1], atol=1e-5)


def test_colours_are_transformed_and_grey_ones_by_their_mean():
    x, matrix = pictures(), np.random.default_rng(1).normal(size=(4, 4, 4)).astype(np.float32)
    matrix[:, 3] = [0, 0, 0, 1]
    recolour = jax.jit(ada.recolour)
    homogeneous = np.concatenate([x, np.ones((4, 6, 6, 1))], axis=-1)
    expected = np.stack([h @ m.T for h, m in zip(homogeneous, matrix)])[..., :3]
    np.testing.assert_allclose(recolour(x, matrix), expected, atol=1e-5)
    grey = np.repeat(x[..., :1], 3, axis=-1)
    np.testing.assert_allclose(
        recolour(x[..., :1], matrix)[..., 0], np.asarray(recolour(grey, matrix)).mean(axis=-1), atol=1e-5
    )


def test_p_moves_towards_the_target_and_stays_a_probability():
    rules = AdaptiveAugmentation(augment=None, target=0.6, images=1000, every=4)
    move = jax.jit(functools.partial(ada.adapt, rules), static_argnums=1)
    seen = lambda p, sign, steps: Overfitting(*(np.float32(v) for v in (p, sign, steps)))
    p_after = lambda *state: float(move(seen(*state), 16)[0].p)
    after, share = move(seen(0.5, 4 * 0.9, 4.0), 16)
    np.testing.assert_allclose([after.p, share, after.sign, after.steps], [0.5 + 4 * 16 / 1000, 0.9, 0, 0], rtol=1e-6)
    assert p_after(0.5, 4 * 0.5, 4.0) < 0.5
    assert p_after(0.01, 0.0, 4.0) == 0 and p_after(0.99, 4.0, 4.0) == 1
    state, observe = jax.jit(lambda: ada.init_overfitting(rules))(), jax.jit(ada.observe)
    for scores in ([3, -1], [0.5, 2]):
        state = jax.device_get(observe(state, np.array(scores, np.float32)))
    np.testing.assert_allclose([state.sign / state.steps, state.steps], [0.5, 2])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="takes pictures"):
        augmentation(ada.BLIT)(jax.random.key(0), np.ones((2, 3), np.float32), 0.5)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        ada.recolour(np.ones((1, 2, 2, 2), np.float32), np.eye(4, dtype=np.float32)[None])
