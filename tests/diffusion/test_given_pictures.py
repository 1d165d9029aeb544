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
POINT_OF = jax.jit(lambda t: point_at(PATH, t))  # samplers read grids off it outside of any jit
LEVELS, SHAPE = 17, (4, 4, 1)
STORED = np.random.default_rng(0).integers(0, LEVELS, (6, *SHAPE), np.uint8)
half_size = jax.jit(lambda x: low_resolution(x, 2, levels=LEVELS))


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
    mask = np.zeros((num, 4, 4, 1), np.float32)
    mask[:, :2] = 1.0
    return {"known": STORED[:num], "mask": mask}


def test_a_stage_goes_on_as_it_was_whatever_it_is_shown():
    path = data_path.dequantized_symmetric(LEVELS)
    stage = denoising_model(
        Small(), shape=SHAPE, data_path=path, path=PATH, times=uniform_between(0.01, 1.0), sampler_of=sampler_of
    )
    trained = jax.jit(stage.init)(KEY, {"x": STORED})
    model = mask_model()
    variables = jax.jit(model.init)(KEY, {"x": STORED}, diffusion=trained)
    fresh = jax.eval_shape(lambda: model.init(KEY, {"x": STORED}))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, fresh)
    x, t = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32), np.full(6, 0.4, np.float32)
    before = jax.jit(stage.methods["denoise"])(trained, KEY, x, t)
    after = jax.jit(model.methods["denoise"])(variables, KEY, x, t, condition=halves(6))
    np.testing.assert_allclose(after, before, atol=1e-5)
    wider = with_more_channels({"conv_in": {"kernel": np.ones((3, 3, 1, 5), np.float32)}}, 2)
    assert wider["network"]["conv_in"]["kernel"].shape == (3, 3, 3, 5)


def test_the_known_is_kept_and_seen():
    model, condition = mask_model(), halves(6)
    variables = jax.jit(model.init)(KEY, {"x": STORED})
    compiled = jax.jit(lambda condition: model.sample(variables, KEY, 6, condition=condition))
    sample = lambda condition: np.asarray(compiled(condition))
    replace = jax.jit(lambda known, mask: model.methods["replace"](variables, KEY, known, mask, resamples=2))
    for drawn in (sample(condition), np.asarray(replace(**condition))):
        assert drawn.dtype == np.uint8
        np.testing.assert_array_equal(drawn[:, :2], STORED[:, :2])
        assert np.mean(drawn[:, 2:] != STORED[:, 2:]) > 0.5
    other, hidden = ({**condition, "known": STORED.copy()} for _ in range(2))
    other["known"][:, 1] = 16 - STORED[:, 1]
    assert np.any(sample(other)[:, 2:] != sample(condition)[:, 2:])
    # What lies outside the mask is not seen.
    hidden["known"][:, 3] = 0
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
    known = np.full((4000, 1, 2, 1), int(levels * (left + 1.0) / 2.0), np.int32)
    mask = np.zeros((4000, 1, 2, 1), np.float32)
    mask[:, :, 0] = 1.0
    condition, variables = {"known": known, "mask": mask}, Variables({"denoiser": {}})
    drawn = jax.jit(lambda key: model.sample(variables, key, 4000, condition=condition))
    x = 2.0 * (np.asarray(drawn(KEY), np.float64)[:, 0, :, 0] + 0.5) / levels - 1.0
    np.testing.assert_allclose(x[:, 0], left, atol=1.0 / levels)
    std = (0.36 * VARIANCE) ** 0.5
    assert abs(x[:, 1].mean() - 0.8 * left) < 4 * std / 4000**0.5  # four standard errors
    assert abs(x[:, 1].std() - std) < 0.03 * std


def test_masks_are_boxes_of_every_kind():
    masks = 1 - np.asarray(jax.jit(lambda key: random_boxes(key, (4000, 5, 6)))(KEY))[..., 0]
    for box in masks[:200]:
        rows, columns = box.any(axis=1), box.any(axis=0)
        np.testing.assert_array_equal(box, np.outer(rows, columns))  # a product of ...
        for side in (rows, columns):
            assert scipy.ndimage.label(side)[1] == 1  # ... two intervals, neither empty
    assert np.mean(masks.all(axis=(1, 2))) > 0.25
    assert np.mean(masks.all(axis=2).any(axis=1)) > 0.5 and np.mean(~masks.all(axis=1).any(axis=1)) > 0.2


def test_low_resolution_is_the_mean_of_what_is_stored():
    low = np.asarray(half_size(STORED))
    blocks = np.asarray(STORED, np.float64)[..., 0].reshape(6, 2, 2, 2, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(low[..., 0], (2 * blocks + 1) / LEVELS - 1, atol=1e-6)
    flat = np.full((1, 2, 2, 1), 0.3, np.float32)
    np.testing.assert_allclose(jax.jit(lambda x: average_pool(enlarged(x, 2), 2))(flat), 0.3, atol=1e-6)
    twos, levels = np.full((20_000, 1, 1, 1), 2.0, np.float32), np.full(20_000, 0.6, np.float32)
    noisy = np.asarray(jax.jit(augmented)(KEY, twos, levels))
    assert float(noisy.mean()) == pytest.approx(1.6, abs=0.03) and float(noisy.std()) == pytest.approx(0.6, abs=0.02)


def upper_model():
    return super_resolution(
        Small(), PATH, shape=SHAPE, levels=LEVELS, factor=2, sampler_of=sampler_of, max_augmentation=0.5
    )


def test_super_resolution_hears_its_condition_and_its_noise():
    model, low = upper_model(), np.asarray(half_size(STORED))
    variables = jax.jit(model.init)(KEY, {"x": STORED})
    compiled = jax.jit(lambda low, **options: model.sample(variables, KEY, 6, condition={"low": low}, **options))
    sample = lambda low, **options: np.asarray(compiled(low, **options))
    drawn = sample(low)
    assert drawn.shape == STORED.shape and drawn.dtype == np.uint8
    assert np.any(drawn != sample(-low))
    assert np.any(drawn != sample(low, augmentation=0.4))
    np.testing.assert_array_equal(drawn, sample(low, augmentation=0.0))


def test_a_cascade_enlarges_what_its_base_draws():
    upper = upper_model()
    base = denoising_model(
        Small(), shape=(2, 2, 1), data_path=data_path.continuous(), path=PATH, times=uniform_between(0.01, 1.0),
        sampler_of=sampler_of,
    )  # fmt: skip
    model = cascade(base, upper, half_size, augmentation=0.1)
    stage = jax.jit(upper.init)(KEY, {"x": STORED})
    variables = jax.jit(model.init)(KEY, {"x": STORED}, upper=stage)

    @jax.jit
    def by_stages(variables, stage, key):
        base_key, upper_key = jax.random.split(key)
        low = model.methods["small"](variables, base_key, 4)
        assert low.shape == (4, 2, 2, 1)
        return upper.sample(stage, upper_key, 4, condition={"low": low}, augmentation=0.1)

    drawn = jax.jit(lambda variables, key: model.sample(variables, key, 4))(variables, KEY)
    np.testing.assert_array_equal(drawn, by_stages(variables, stage, KEY))

    @jax.jit
    def losses(variables, x):
        value, aux = model.updates[0].loss(variables, {"x": x}, KEY, np.int32(0))
        alone, _ = base.updates[0].loss(variables._replace(state=()), {"x": half_size(x)}, KEY, np.int32(0))
        assert all(a is b for a, b in zip(*map(jax.tree.leaves, (aux.state["upper"], variables.state["upper"]))))
        return value, alone

    value, alone = losses(variables, STORED)
    assert float(value) == float(alone)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="do not tile"):
        average_pool(np.zeros((1, 5, 4, 1), np.float32), 2)
    with pytest.raises(ValueError, match="do not fit x"):
        network = WithPictures(Small(), lambda condition: condition)
        jax.eval_shape(network.init, KEY, np.zeros((2, 4, 4, 1)), np.zeros(2), np.zeros((2, 3, 3, 1)))
    with pytest.raises(ValueError, match="give \\{'low'"):
        upper_model().sample(Variables({}), KEY, 2)
