"""The builder: what the loss starts from, what the network is told, ranges, and mistakes."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import processes
from genjax.diffusion import ddpm, simple_loss, simple_loss_per_dim, total_bound

KEY = jax.random.key(0)
SCHEDULE = processes.cosine_schedule(6, offset=0.1)
SHAPE, LEVELS = (2, 3, 1), 17


class Told(nn.Module):
    """Return the time, and the condition, that the network was told; times a parameter."""

    factor: float = 1.0

    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        scale = self.param("scale", nn.initializers.constant(self.factor), ())
        told = t.astype(jnp.float32) + (0.0 if condition is None else 100.0 * condition.astype(jnp.float32))
        return scale * jnp.broadcast_to(told.reshape(-1, 1, 1, 1), x.shape)


def model_of(network=Told(), **options):
    return ddpm(network, SCHEDULE, shape=SHAPE, levels=LEVELS, **options)


def batch_of(size=4):
    x = np.random.default_rng(0).integers(0, LEVELS, (size, *SHAPE), np.uint8)
    return {"x": x, "label": np.arange(size, dtype=np.int32)}


def started(model):
    return jax.jit(model.init)(KEY, batch_of())


def test_a_network_that_returns_zero_has_the_variance_of_its_target():
    """One for the noise; for x_0 the mean square of the data."""
    batch = batch_of(4096)
    square = float(np.mean((batch["x"] / 8.0 - 1.0) ** 2))
    for prediction, expected in ((processes.EPS, 1.0), (processes.X0, square)):
        model = model_of(Told(0.0), prediction=prediction)
        loss, aux = jax.jit(model.updates[0].loss)(started(model), batch, KEY, np.int32(0))
        assert float(loss) == pytest.approx(expected, abs=5 * np.sqrt(2 / (4096 * 6)))
        assert float(aux.metrics["mse"]) == float(loss)


def test_loss_is_a_sum_or_a_mean_an_example():
    output, target = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    expected = [np.sum((target[i] - output[i]) ** 2) for i in range(5)]
    np.testing.assert_allclose(jax.jit(simple_loss)(output, target), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(simple_loss_per_dim)(output, target), np.array(expected) / 12, rtol=1e-5)
    for loss in (simple_loss, simple_loss_per_dim):
        with pytest.raises(ValueError, match="without an axis of examples"):
            loss(output[0, 0, 0], target[0, 0, 0])
        with pytest.raises(ValueError, match="differ"):
            loss(output, target[:, :1])


def test_init_is_abstract():
    model, batch = model_of(condition_of=lambda batch: batch["label"]), batch_of()
    shapes = jax.eval_shape(model.init, KEY, batch)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), started(model)
    )


def test_the_network_counts_from_zero_and_hears_its_condition():
    model, batch = model_of(condition_of=lambda batch: batch["label"]), batch_of()
    x_t, t = np.zeros((4, *SHAPE), np.float32), np.array([1, 2, 3, 6], np.int32)
    told = np.asarray(jax.jit(model.methods["predict"])(started(model), KEY, x_t, t, condition=batch["label"]))
    assert told[:, 0, 0, 0].tolist() == [0.0, 101.0, 202.0, 305.0]


def test_samples_are_stored_integers_that_the_trajectory_ends_in():
    model = model_of()
    variables = started(model)
    x = np.asarray(jax.jit(model.sample, static_argnums=2)(variables, KEY, 3))
    assert x.shape == (3, *SHAPE) and x.dtype == np.uint8 and x.max() < LEVELS
    path = jax.jit(lambda variables: model.methods["trajectory"](variables, KEY, 3, frames=2).x)(variables)
    path = np.asarray(path)
    np.testing.assert_array_equal(np.round((path[-1] + 1) * 8), x)
    assert np.abs(jax.jit(model.methods["denoise"])(variables, KEY, 9 * path[0], np.int32(3))).max() <= 1.0


def test_log_prob_is_minus_the_bound():
    model, batch = model_of(), batch_of()
    variables = started(model)
    terms = jax.device_get(jax.jit(model.methods["bound_terms"])(variables, KEY, batch))
    assert model.log_prob.kind == "lower_bound"
    np.testing.assert_allclose(jax.jit(model.log_prob.fn)(variables, KEY, batch), -total_bound(terms), rtol=1e-6)


def test_forward_starts_from_scaled_levels():
    model = model_of()
    x = np.full((20_000, *SHAPE), 12, np.uint8)  # 12 of 0 ... 16 is 0.5 of [-1, 1]
    x_t = np.asarray(jax.jit(model.methods["forward"])(started(model), KEY, x, np.full(20_000, 2, np.int32)))
    n = x_t.size
    assert float(x_t.mean()) == pytest.approx(0.5 * SCHEDULE.alpha[2], abs=5 * SCHEDULE.sigma[2] / np.sqrt(n))
    assert float(x_t.std()) == pytest.approx(SCHEDULE.sigma[2], abs=5 * SCHEDULE.sigma[2] / np.sqrt(2 * n))


class Narrow(nn.Module):
    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        return nn.Dense(1)(x)[..., :0]


class Statistics(nn.Module):
    @nn.compact
    def __call__(self, x, t, condition=None, *, train=False):
        return nn.BatchNorm(use_running_average=not train)(x)


def test_mistakes_are_named():
    model, conditional = model_of(), model_of(condition_of=lambda batch: batch["label"])
    with pytest.raises(ValueError, match="was built for \\(2, 3, 1\\)"):
        jax.eval_shape(model.init, KEY, {"x": np.zeros((4, 5, 5, 1), np.uint8)})
    with pytest.raises(ValueError, match="they must be equal"):
        jax.eval_shape(model_of(Narrow()).init, KEY, batch_of())
    with pytest.raises(ValueError, match="batch_stats"):
        jax.eval_shape(model_of(Statistics()).init, KEY, batch_of())
    with pytest.raises(ValueError, match="takes no condition"):
        model.sample(jax.eval_shape(model.init, KEY, batch_of()), KEY, 2, condition=np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="give a condition"):
        conditional.sample(jax.eval_shape(conditional.init, KEY, batch_of()), KEY, 2)
