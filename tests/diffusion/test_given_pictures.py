"""Models that see pictures: a widened network is the old one, masks are boxes, the known is kept, cascades chain."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from genjax import data_path, processes
from genjax.contract import Variables
from genjax.diffusion import (
    WithPictures,
    augmented,
    average_pool,
    cascade,
    ddim,
    denoising_model,
    dpm_solver,
    enlarged,
    known_and_mask,
    low_resolution,
    mask_channel,
    random_boxes,
    super_resolution,
    uniform_between,
    with_more_channels,
)
from genjax.nn import Conv
from genjax.processes import point_at

KEY = jax.random.key(0)
PATH = processes.linear_path()
POINT_OF = lambda t: point_at(PATH, t)
LEVELS, SHAPE = 17, (4, 4, 1)
STORED = jnp.asarray(np.random.default_rng(0).integers(0, LEVELS, (6, *SHAPE)), jnp.uint8)


class Small(nn.Module):
    """A network of two convolutions that hears its time."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        h = jnp.tanh(Conv(5, padding=1, name="conv_in")(x) + 0.01 * t[:, None, None, None])
        return Conv(1, padding=1, name="conv_out")(h)


def sampler_of(denoise):
    return ddim(denoise, POINT_OF, np.linspace(1.0, 0.01, 5), eta=1.0)


def mask_model():
    return mask_channel(
        Small(), PATH, shape=SHAPE, levels=LEVELS, sampler_of=sampler_of, replacing_sampler_of=sampler_of
    )


def halves(num):
    return {"known": STORED[:num], "mask": jnp.zeros((num, 4, 4, 1)).at[:, :2].set(1.0)}


def test_a_stage_goes_on_as_it_was_whatever_it_is_shown():
    path = data_path.dequantized_symmetric(LEVELS)
    stage = denoising_model(
        Small(), shape=SHAPE, data_path=path, path=PATH, times=uniform_between(0.01, 1.0), sampler_of=sampler_of
    )
    trained = stage.init(KEY, {"x": STORED})
    model = mask_model()
    variables = model.init(KEY, {"x": STORED}, diffusion=trained)
    fresh = jax.eval_shape(lambda: model.init(KEY, {"x": STORED}))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, fresh)
    x, t = jax.random.normal(KEY, (6, *SHAPE)), jnp.full(6, 0.4)
    before = stage.methods["denoise"](trained, KEY, x, t)
    np.testing.assert_allclose(model.methods["denoise"](variables, KEY, x, t, condition=halves(6)), before, atol=1e-5)
    wider = with_more_channels({"conv_in": {"kernel": jnp.ones((3, 3, 1, 5))}}, 2)
    assert wider["network"]["conv_in"]["kernel"].shape == (3, 3, 3, 5)


def test_the_known_is_kept_and_seen():
    model, condition = mask_model(), halves(6)
    variables = model.init(KEY, {"x": STORED})
    for drawn in (
        model.sample(variables, KEY, 6, condition=condition),
        model.methods["replace"](variables, KEY, condition["known"], condition["mask"], resamples=2),
    ):
        assert drawn.dtype == jnp.uint8
        np.testing.assert_array_equal(drawn[:, :2], STORED[:, :2])
        assert np.mean(np.asarray(drawn[:, 2:] != STORED[:, 2:])) > 0.5
    other = {"known": condition["known"].at[:, 1].set(16 - condition["known"][:, 1]), "mask": condition["mask"]}
    moved = model.sample(variables, KEY, 6, condition=other)
    assert np.any(moved[:, 2:] != model.sample(variables, KEY, 6, condition=condition)[:, 2:])
    # What lies outside the mask is not seen.
    hidden = {"known": condition["known"].at[:, 3].set(0), "mask": condition["mask"]}
    np.testing.assert_array_equal(known_and_mask(LEVELS)(hidden), known_and_mask(LEVELS)(condition))


VARIANCE = 0.1


class ExactConditional(nn.Module):
    """E[eps | x_t, known] of two pixels N(0, C), C = 0.1 [[1, 0.8], [0.8, 1]], of whom the left one may be known."""

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        x_t, known, mask = (x[..., i].reshape(-1, 2) for i in range(3))
        share = jax.nn.sigmoid(-0.08 * t)[:, None]  # t is 25 ln(sigma / alpha), and alpha^2 + sigma^2 = 1
        alpha, sigma = jnp.sqrt(share), jnp.sqrt(1.0 - share)
        x_t = x_t / jnp.sqrt(1.0 / (sigma**2 + alpha**2 * VARIANCE))
        # Given the left pixel, the right one is N(0.8 left, 0.36 variance) and independent of x_t's left pixel.
        mean, variance = 0.8 * known[:, :1], 0.36 * VARIANCE
        right = mean + alpha * variance * (x_t[:, 1:] - alpha * mean) / (alpha**2 * variance + sigma**2)
        x0 = jnp.concatenate([known[:, :1], right], axis=1)
        return ((x_t - alpha * x0) / sigma).reshape(*x.shape[:-1], 1)


def test_a_normal_is_completed_to_its_conditional():
    """The optimum given the left pixel draws N(0.8 left, 0.36 variance): scales, channels and masks are as they say."""
    levels, times = 4096, processes.log_snr_times(POINT_OF, 32, start=1.0, end=0.001)
    model = mask_channel(
        ExactConditional(), PATH, shape=(1, 2, 1), levels=levels, data_std=VARIANCE**0.5,
        sampler_of=lambda denoise: dpm_solver(denoise, POINT_OF, times),
        replacing_sampler_of=lambda denoise: dpm_solver(denoise, POINT_OF, times),
    )  # fmt: skip
    left = 0.4
    known = jnp.full((4000, 1, 2, 1), int(levels * (left + 1.0) / 2.0), jnp.int32)
    mask = jnp.zeros((4000, 1, 2, 1)).at[:, :, 0].set(1.0)
    condition, variables = {"known": known, "mask": mask}, Variables({"denoiser": {}})
    drawn = jax.jit(lambda key: model.sample(variables, key, 4000, condition=condition))
    x = 2.0 * (np.asarray(drawn(KEY), np.float64)[:, 0, :, 0] + 0.5) / levels - 1.0
    np.testing.assert_allclose(x[:, 0], left, atol=1.0 / levels)
    std = (0.36 * VARIANCE) ** 0.5
    assert abs(x[:, 1].mean() - 0.8 * left) < 4 * std / 4000**0.5  # four standard errors
    assert abs(x[:, 1].std() - std) < 0.03 * std


def test_masks_are_boxes_of_every_kind():
    masks = 1 - np.asarray(random_boxes(KEY, (4000, 5, 6)))[..., 0]
    for box in masks[:200]:
        rows, columns = box.any(axis=1), box.any(axis=0)
        np.testing.assert_array_equal(box, np.outer(rows, columns))  # a product of ...
        for side in (rows, columns):
            assert scipy.ndimage.label(side)[1] == 1  # ... two intervals, neither empty
    assert np.mean(masks.all(axis=(1, 2))) > 0.25
    assert np.mean(masks.all(axis=2).any(axis=1)) > 0.5 and np.mean(~masks.all(axis=1).any(axis=1)) > 0.2


def test_low_resolution_is_the_mean_of_what_is_stored():
    low = low_resolution(STORED, 2, levels=LEVELS)
    blocks = np.asarray(STORED, np.float64)[..., 0].reshape(6, 2, 2, 2, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(low[..., 0], (2 * blocks + 1) / LEVELS - 1, atol=1e-6)
    np.testing.assert_allclose(average_pool(enlarged(jnp.full((1, 2, 2, 1), 0.3), 2), 2), 0.3, atol=1e-6)
    noisy = augmented(KEY, jnp.full((20_000, 1, 1, 1), 2.0), jnp.full(20_000, 0.6))
    assert float(noisy.mean()) == pytest.approx(1.6, abs=0.03) and float(noisy.std()) == pytest.approx(0.6, abs=0.02)


def upper_model():
    return super_resolution(
        Small(), PATH, shape=SHAPE, levels=LEVELS, factor=2, sampler_of=sampler_of, max_augmentation=0.5
    )


def test_super_resolution_hears_its_condition_and_its_noise():
    model, low = upper_model(), low_resolution(STORED, 2, levels=LEVELS)
    variables = model.init(KEY, {"x": STORED})
    drawn = model.sample(variables, KEY, 6, condition={"low": low})
    assert drawn.shape == STORED.shape and drawn.dtype == jnp.uint8
    assert np.any(drawn != model.sample(variables, KEY, 6, condition={"low": -low}))
    assert np.any(drawn != model.sample(variables, KEY, 6, condition={"low": low}, augmentation=0.4))
    np.testing.assert_array_equal(drawn, model.sample(variables, KEY, 6, condition={"low": low}, augmentation=0.0))


def test_a_cascade_enlarges_what_its_base_draws():
    upper = upper_model()
    base = denoising_model(
        Small(), shape=(2, 2, 1), data_path=data_path.continuous(), path=PATH, times=uniform_between(0.01, 1.0),
        sampler_of=sampler_of,
    )  # fmt: skip
    model = cascade(base, upper, lambda x: low_resolution(x, 2, levels=LEVELS), augmentation=0.1)
    stage = upper.init(KEY, {"x": STORED})
    variables = model.init(KEY, {"x": STORED}, upper=stage)
    base_key, upper_key = jax.random.split(jax.random.key(3))
    low = model.methods["small"](variables, base_key, 4)
    assert low.shape == (4, 2, 2, 1)
    expected = upper.sample(stage, upper_key, 4, condition={"low": low}, augmentation=0.1)
    np.testing.assert_array_equal(model.sample(variables, jax.random.key(3), 4), expected)
    value, aux = model.updates[0].loss(variables, {"x": STORED}, KEY, jnp.int32(0))
    small = {"x": low_resolution(STORED, 2, levels=LEVELS)}
    alone, _ = base.updates[0].loss(variables._replace(state=()), small, KEY, jnp.int32(0))
    assert float(value) == float(alone) and aux.state["upper"] is variables.state["upper"]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="do not tile"):
        average_pool(jnp.zeros((1, 5, 4, 1)), 2)
    with pytest.raises(ValueError, match="do not fit x"):
        network = WithPictures(Small(), lambda condition: condition)
        network.init(KEY, jnp.zeros((2, 4, 4, 1)), jnp.zeros(2), jnp.zeros((2, 3, 3, 1)))
    with pytest.raises(ValueError, match="give \\{'low'"):
        upper_model().sample(upper_model().init(KEY, {"x": STORED}), KEY, 2)
