"""A pyramid by hand: sizes, the climb of equations 1 to 3, the fixed noise, the penalty pixel by pixel, what is frozen."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import PatchNetwork, pixel_gradient_penalty, pyramid_sizes, resize, singan

KEY = jax.random.key(0)


def resized(x, size):
    return np.asarray(jax.jit(resize, static_argnums=1)(x, size))


def test_sizes_are_in_equal_ratios():
    assert pyramid_sizes((250, 200), coarsest=25, num_scales=4) == ((31, 25), (62, 50), (125, 100), (250, 200))
    assert pyramid_sizes((8, 8), coarsest=3, num_scales=1) == ((8, 8),)
    for wrong in ({"coarsest": 8, "num_scales": 2}, {"coarsest": 3, "num_scales": 0}):
        with pytest.raises(ValueError, match="coarsest one smaller"):
            pyramid_sizes((8, 8), **wrong)


def test_resizing_keeps_what_is_flat_and_means_of_what_shrinks():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(resized(np.ones((1, 5, 7, 2), np.float32), (9, 4)), 1, atol=1e-6)
    ramp = np.tile(np.arange(16, dtype=np.float32)[None, :, None, None], (1, 1, 4, 1))
    np.testing.assert_allclose(resized(ramp, (8, 4))[0, 2:-2, 0, 0], 2 * np.arange(2, 6) + 0.5, atol=1e-4)
    np.testing.assert_allclose(resized(x, (12, 12)), x, atol=1e-6)


class Brighten(nn.Module):
    """psi adds theta to what it sees."""

    @nn.compact
    def __call__(self, x, *, train):
        return x + self.param("theta", nn.initializers.constant(0.1), (1, 1, 1, 1))


class Linear(nn.Module):
    """Scores w . pixel."""

    @nn.compact
    def __call__(self, x, *, train):
        return x @ self.param("w", nn.initializers.constant(0.5), (x.shape[-1], 1))


SIZES = ((3, 3), (4, 4), (6, 6))


@functools.cache  # one object, so that its compiled functions serve all tests
def pyramid_of(num):
    return singan(Brighten(), Linear(), sizes=SIZES[:num], margin=0)


def initialized(num, key, picture, **coarser):
    return jax.device_get(jax.jit(pyramid_of(num).init)(key, {"x": picture}, **coarser))


@functools.cache
def trained():
    """Return the Variables of each scale, their generators moved apart as training would, and its picture."""
    picture = np.random.default_rng(1).uniform(-1, 1, (1, 12, 12, 2)).astype(np.float32)
    found, coarser = [], {}
    for n in range(3):
        of_scale = resized(picture, SIZES[n])
        variables = initialized(n + 1, jax.random.key(n), of_scale, **coarser)
        generator = {"theta": np.full((1, 1, 1, 1), 0.1 * (n + 1), np.float32)}
        variables = variables._replace(params={**variables.params, "generator": generator})
        coarser = {"coarser": variables}
        found.append((variables, of_scale))
    return found


def reconstructed(num, variables):
    return np.asarray(jax.jit(pyramid_of(num).methods["reconstruct"])(variables, KEY))


def test_the_reconstruction_and_the_noise_levels_by_hand():
    (first, _), (second, x1), (third, x2) = trained()
    drawn = np.tanh(first.state["noise"][None] + np.float32(0.1))  # psi of z* over nothing
    np.testing.assert_allclose(reconstructed(1, first), drawn, atol=1e-5)
    under = resized(drawn, (4, 4))
    np.testing.assert_allclose(second.state["stds"], [1, 0.1 * np.sqrt(np.mean((under - x1) ** 2))], rtol=1e-4)
    drawn = under + np.tanh(under + np.float32(0.2))
    np.testing.assert_allclose(reconstructed(2, second), drawn, atol=1e-5)
    under = resized(drawn, (6, 6))
    np.testing.assert_allclose(third.state["stds"][2], 0.1 * np.sqrt(np.mean((under - x2) ** 2)), rtol=1e-4)
    found = reconstructed(3, third)
    np.testing.assert_allclose(found, under + np.tanh(under + 0.3), atol=1e-5)
    loss, aux = jax.device_get(jax.jit(pyramid_of(3).updates[1].loss)(third, {"x": x2}, KEY, 0))
    error = np.mean((found - x2) ** 2)
    np.testing.assert_allclose(aux.metrics["reconstruction"], error, rtol=1e-4)
    np.testing.assert_allclose(loss, aux.metrics["adversarial"] + 10 * error, rtol=1e-4)


def test_scales_below_are_frozen_and_a_scale_starts_from_the_one_below():
    picture = trained()[1][1]
    first = trained()[0][0]
    second = initialized(2, KEY, picture, coarser=first)
    np.testing.assert_array_equal(second.params["generator"]["theta"], first.params["generator"]["theta"])
    assert len(second.state["below"]) == 1
    np.testing.assert_array_equal(second.state["below"][0]["theta"], first.params["generator"]["theta"])
    for update in pyramid_of(2).updates:
        _, aux = jax.jit(update.loss)(second, {"x": picture}, KEY, 0)
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, aux.state, second.state)))


def test_samples_of_every_size_and_what_is_injected():
    model, (variables, x) = pyramid_of(3), trained()[2]
    samples = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 2))
    assert samples.shape == (2, 6, 6, 2) and np.any(samples[0] != samples[1])
    stretched = jax.eval_shape(functools.partial(model.sample, num_samples=1, stretch=(1.5, 2.0)), variables, KEY)
    assert stretched.shape == (1, 9, 12, 2)
    quiet = variables._replace(state={**variables.state, "stds": np.zeros(3, np.float32)})
    # Without noise what enters at the last scale comes out as y + tanh(y + theta).
    under = resized(resized(x, (4, 4)), (6, 6))
    drawn = jax.jit(functools.partial(model.methods["inject"], first=2))(quiet, KEY, x)
    np.testing.assert_allclose(drawn, under + np.tanh(under + 0.3), atol=1e-5)
    with pytest.raises(ValueError, match="scales 1 to 2"):
        model.methods["inject"](quiet, KEY, x, first=3)
    with pytest.raises(ValueError, match="no `condition`"):
        model.sample(variables, KEY, 1, condition=np.zeros(1, np.float32))


def test_the_critics_loss_by_hand():
    """A linear critic has the gradient w at every pixel; the penalty is (|w| - 1)^2."""
    model, (variables, x) = pyramid_of(1), trained()[0]
    w = np.array([[3.0], [-4.0]], np.float32)
    variables = variables._replace(params={**variables.params, "critic": {"w": w}})
    critic_loss = jax.jit(model.updates[0].loss)
    loss, aux = jax.device_get(critic_loss(variables, {"x": x}, KEY, 0))
    np.testing.assert_allclose(aux.metrics["penalty"], 16.0, rtol=1e-5)
    np.testing.assert_allclose(loss, -aux.metrics["distance"] + 1.6, rtol=1e-5)
    shift = critic_loss(variables, {"x": x + 1}, KEY, 0)[1].metrics["distance"]
    np.testing.assert_allclose(np.asarray(shift) - aux.metrics["distance"], -1.0, rtol=1e-4)  # w . (1, 1)


def test_the_pixel_penalty_by_finite_differences():
    rng = np.random.default_rng(2)
    real, fake = rng.normal(size=(2, 2, 3, 3, 2)).astype(np.float32)
    critic = lambda x: jnp.sin(x[:, :-1, :-1] * x[:, 1:, 1:]).sum(-1)
    # With real = fake there is one line: the point itself.
    penalty = jax.jit(lambda real, fake: pixel_gradient_penalty(critic, real, fake, KEY))
    found = np.asarray(penalty(real, real))
    total = lambda x: np.sin(x[:-1, :-1] * x[1:, 1:]).sum()
    for i in range(2):
        x, gradient = np.asarray(real[i], np.float64), np.zeros((3, 3, 2))
        for place in np.ndindex(3, 3, 2):
            step = np.zeros_like(x)
            step[place] = 1e-5
            gradient[place] = (total(x + step) - total(x - step)) / 2e-5
        expected = np.mean((np.linalg.norm(gradient, axis=-1) - 1) ** 2)
        np.testing.assert_allclose(found[i], expected, rtol=1e-4)
    assert np.all(np.asarray(penalty(real, fake)) != found)


def test_patches_are_seen_alone_and_pictures_normalized_alone():
    network = PatchNetwork(4, 1, depth=2)
    x = np.random.default_rng(3).normal(size=(3, 9, 9, 3)).astype(np.float32)
    variables = jax.jit(functools.partial(network.init, train=True))(KEY, x)
    apply = jax.jit(functools.partial(network.apply, train=True))
    first_alone = x * np.array([1, 0, 0], np.float32)[:, None, None, None]
    whole, alone = (np.asarray(apply(variables, pictures)) for pictures in (x, first_alone))
    assert whole.shape == (3, 3, 3, 1)
    np.testing.assert_allclose(alone[0], whole[0], atol=1e-5)


def test_stages_that_do_not_fit_are_refused():
    (first, x0), (second, x1), _ = trained()
    with pytest.raises(ValueError, match="train the scales in their order"):
        pyramid_of(2).init(KEY, {"x": x1})
    with pytest.raises(ValueError, match="train the scales in their order"):
        pyramid_of(2).init(KEY, {"x": x1}, coarser=second)
    with pytest.raises(ValueError, match=r"of pictures \(4, 4\)"):
        pyramid_of(2).init(KEY, {"x": x0}, coarser=first)
    with pytest.raises(ValueError, match="With margin 1"):
        singan(Brighten(), Linear(), sizes=((3, 3),), margin=1).init(KEY, {"x": x0})
    with pytest.raises(ValueError, match="at least one scale"):
        singan(Brighten(), Linear(), sizes=(), margin=1)
