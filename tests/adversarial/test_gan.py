"""The game: its steps by hand, who moves when, what may be plugged in, and what a generator can do."""

import functools
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit

from genjax.adversarial import MLPDiscriminator, MLPGenerator, dcgan, gan, lerp, minimax_generator_loss, slerp
from genjax.training.state import init_state, variables_of
from genjax.training.step import StepOptions, make_step
from genjax.training.system import System

SEED = np.asarray(jax.random.key_data(jax.random.key(0)))
KEY = jax.random.key(1)


class Shift(nn.Module):
    """G(z) = z + theta, on numbers."""

    @nn.compact
    def __call__(self, z, *, train):
        return z + self.param("theta", nn.initializers.constant(-0.7), (1, 1))


class Slope(nn.Module):
    """Score = w . x + b."""

    @nn.compact
    def __call__(self, x, *, train):
        w = self.param("w", nn.initializers.constant(0.4), (x.shape[-1],))
        return x @ w + self.param("b", nn.initializers.constant(-0.2), (1,))


ones = lambda key, shape: jnp.ones(shape)  # a prior without randomness, so that a step can be made by hand


def system_of(model, rate=0.1):
    return System(model, {"generator": optax.sgd(rate), "discriminator": optax.sgd(rate)})


def step_once(system, batches):
    batches = {name: x[None] for name, x in batches.items()}
    first = {name: x[0, 0] for name, x in batches.items()}
    state = jax.jit(partial(init_state, system, False))(SEED, first, {})
    new, metrics = jax.jit(make_step(system))(state, batches)
    return state, new, {name: float(x[0]) for name, x in metrics.items()}


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("minimax", [False, True])
def test_a_step_by_hand(k, minimax):
    """k discriminator moves on their own minibatches, then a generator move against the moved discriminator."""
    x = np.array([[[2.0], [1.0]], [[0.5], [3.0]]], np.float32)[:k]
    loss = {"generator_loss": minimax_generator_loss} if minimax else {}
    model = gan(Shift(), Slope(), latent_dim=1, prior=ones, discriminator_steps=k, **loss)
    _, new, metrics = step_once(system_of(model), {"x": x})

    theta, w, b, rate = -0.7, 0.4, -0.2, 0.1
    g = 1.0 + theta
    for r in range(k):
        reject, accept = 1 - expit(w * x[r, :, 0] + b), expit(w * g + b)  # errors on real and on generated examples
        w, b = w + rate * (np.mean(reject * x[r, :, 0]) - accept * g), b + rate * (np.mean(reject) - accept)
    last_score = w * g + b
    theta += rate * w * (expit(last_score) if minimax else 1 - expit(last_score))

    np.testing.assert_allclose(new.params["discriminator"]["w"], [w], rtol=1e-5)
    np.testing.assert_allclose(new.params["discriminator"]["b"], [b], rtol=1e-5)
    np.testing.assert_allclose(new.params["generator"]["theta"], [[theta]], rtol=1e-5)
    np.testing.assert_allclose(metrics["generator/fake_score"], last_score, rtol=1e-5)
    assert metrics["discriminator/loss"] == pytest.approx(metrics["discriminator/real"] + metrics["discriminator/fake"])


LATENTS = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)


@functools.cache
def small_dcgan():
    options = {"latent_dim": 3, "generator_features": (3, 4), "discriminator_features": (3, 4)}
    model = dcgan((8, 8, 1), **options, prior=lambda key, shape: jnp.asarray(LATENTS))
    batch = {"x": np.random.default_rng(7).uniform(-1, 1, (6, 8, 8, 1)).astype(np.float32)}
    return model, jax.device_get(jax.jit(model.init)(jax.random.key(8), batch)), batch


@functools.cache
def gradient_and_aux(index):
    """Of one update of the small DCGAN, by the parameters of its player."""
    model, variables, batch = small_dcgan()
    update = model.updates[index]
    (mover,) = update.players

    def loss(params):
        return update.loss(variables._replace(params={**variables.params, mover: params}), batch, KEY, 0)

    return jax.device_get(jax.jit(jax.grad(loss, has_aux=True))(variables.params[mover]))


def test_each_update_moves_its_player_and_its_statistics_alone():
    model, variables, _ = small_dcgan()
    for index, (update, other) in enumerate(zip(model.updates, ("generator", "discriminator"))):
        (mover,) = update.players
        gradient, aux = gradient_and_aux(index)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), mover
        changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), variables.state, aux.state)
        assert all(jax.tree.leaves(changed[mover])) and not any(jax.tree.leaves(changed[other]))
        assert jax.tree.structure(aux.state) == jax.tree.structure(variables.state)


def test_the_engine_holds_the_other_player_still():
    model = gan(Shift(), Slope(), latent_dim=1)
    for still, moving in (("generator", "discriminator"), ("discriminator", "generator")):
        system = System(model, {still: optax.sgd(0.0), moving: optax.sgd(0.1)})
        old, new, _ = step_once(system, {"x": np.ones((1, 6, 1), np.float32)})
        same = jax.tree.map(np.array_equal, old.params, new.params)
        assert all(jax.tree.leaves(same[still])) and not all(jax.tree.leaves(same[moving]))


def test_running_statistics_are_those_of_the_generated_batch():
    """After the generator's update: 0.9 old + 0.1 new; the first feature map is linear in the latents."""
    _, variables, _ = small_dcgan()
    _, aux = gradient_and_aux(1)
    kernel = np.asarray(variables.params["generator"]["ConvTranspose_0"]["kernel"], np.float64)[::-1, ::-1]
    first_map = np.einsum("bl,hwlf->bhwf", LATENTS.astype(np.float64), kernel)
    found = aux.state["generator"]["batch_stats"]["BatchNorm_0"]["norm"]
    np.testing.assert_allclose(found["mean"], 0.1 * first_map.mean((0, 1, 2)), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * first_map.var((0, 1, 2)), rtol=1e-6)


def test_samples_use_running_statistics():
    """A sample does not depend on the batch it is drawn in, but on the statistics that the state holds."""
    model, variables, _ = small_dcgan()
    narrow = jax.tree.map(lambda s: 1e-4 * s, variables.state)  # variances as small as those of a fresh network
    z = np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)
    generate = jax.jit(model.methods["generate"])
    together = np.asarray(generate(variables._replace(state=narrow), KEY, z))
    apart = np.concatenate([generate(variables._replace(state=narrow), KEY, z[i : i + 1]) for i in range(5)])
    assert together.std() > 1e-3
    np.testing.assert_allclose(together, apart, atol=1e-6)
    assert np.abs(generate(variables, KEY, z) - together).max() > 1e-3


def test_a_regularizer_is_added_and_differentiated():
    """The squared gradient norm of a linear critic is |w|^2 at every point."""

    def penalty(critic, real, fake, key):
        x = 0.5 * (real + fake)
        return jnp.sum(jax.grad(lambda x: critic(x).sum())(x) ** 2, axis=-1)

    model = gan(MLPGenerator((3,), (4,)), Slope(), latent_dim=2, regularizers={"penalty": penalty})
    plain = gan(MLPGenerator((3,), (4,)), Slope(), latent_dim=2)
    batch = {"x": np.random.default_rng(5).normal(size=(5, 3)).astype(np.float32)}
    variables = jax.jit(model.init)(KEY, batch)

    @jax.jit
    def both(w):
        losses = [lambda w, m=m: m.updates[0].loss(_with_slope(variables, w), batch, KEY, 0) for m in (model, plain)]
        return [jax.value_and_grad(loss, has_aux=True)(w) for loss in losses]

    w = np.array([1, -2, 0.5], np.float32)
    ((total, aux), gradient), (_, rest) = jax.device_get(both(w))
    np.testing.assert_allclose(aux.metrics["penalty"], 5.25, rtol=1e-6)
    np.testing.assert_allclose(total, aux.metrics["real"] + aux.metrics["fake"] + 5.25, rtol=1e-6)
    np.testing.assert_allclose(gradient - rest, 2 * w, rtol=1e-5)


def _with_slope(variables, w):
    discriminator = {**variables.params["discriminator"], "w": w}
    return variables._replace(params={**variables.params, "discriminator": discriminator})


def test_what_follows_a_discriminator_move():
    def clip(params, state):
        clipped = jax.tree.map(lambda p: p.clip(-0.1, 0.1), params["discriminator"])
        return {**params, "discriminator": clipped}, state

    model = gan(Shift(), Slope(), latent_dim=1, prior=ones, discriminator_after=clip)
    _, new, _ = step_once(system_of(model), {"x": np.ones((1, 4, 1), np.float32)})
    assert np.abs(new.params["discriminator"]["w"]).max() <= 0.1 + 1e-7


class LabelledGenerator(nn.Module):
    @nn.compact
    def __call__(self, z, label, *, train):
        return z + label[:, None].astype(z.dtype) + self.param("theta", nn.initializers.zeros, (1, 1))


class LabelledDiscriminator(nn.Module):
    @nn.compact
    def __call__(self, x, label, *, train):
        return x[:, 0] * self.param("w", nn.initializers.ones, (3,))[label]


def test_both_players_are_told_the_condition():
    label_of = lambda batch: batch["label"]
    model = gan(LabelledGenerator(), LabelledDiscriminator(), latent_dim=1, prior=ones, condition_of=label_of)
    batch = {"x": np.ones((4, 1), np.float32), "label": np.array([0, 2, 2, 0], np.int32)}
    variables = jax.jit(model.init)(KEY, batch)
    samples = jax.jit(model.sample, static_argnums=2)(variables, KEY, 3, condition=np.array([0, 1, 2], np.int32))
    np.testing.assert_allclose(samples, [[1.0], [2.0], [3.0]])
    zeros, labels = np.zeros((2, 1), np.float32), np.array([0, 2], np.int32)
    interpolate = jax.jit(partial(model.methods["interpolate"], num_steps=3, path=lerp))
    walk = np.asarray(interpolate(variables, KEY, zeros, zeros + 1, labels))
    np.testing.assert_allclose(walk[..., 0], [[0.0, 0.5, 1.0], [2.0, 2.5, 3.0]])
    loss = lambda w: model.updates[0].loss(_with_slope(variables, w), batch, KEY, 0)[0]
    gradient = np.asarray(jax.jit(jax.grad(loss))(np.ones(3, np.float32)))
    assert gradient[1] == 0 and gradient[0] != 0 and gradient[2] != 0  # label 1 is not in the batch
    with pytest.raises(ValueError, match="conditional: give"):
        model.sample(variables, KEY, 3)
    plain = gan(Shift(), Slope(), latent_dim=1)
    with pytest.raises(ValueError, match="unconditional"):
        shapes = jax.eval_shape(plain.init, KEY, {"x": np.ones((2, 1), np.float32)})
        plain.sample(shapes, KEY, 3, condition=np.zeros(3, np.float32))


def test_networks_that_do_not_fit_are_refused():
    batch = {"x": np.ones((4, 3), np.float32)}
    with pytest.raises(ValueError, match=r"makes examples \(2,\), but the data are \(3,\)"):
        jax.eval_shape(gan(MLPGenerator((2,), (4,)), MLPDiscriminator((4,)), latent_dim=2).init, KEY, batch)
    with pytest.raises(ValueError, match="one score an example"):
        jax.eval_shape(gan(MLPGenerator((3,), (4,)), MLPGenerator((1,), (4,)), latent_dim=2).init, KEY, batch)


def test_walks_and_arithmetic_start_from_generated_examples():
    model = gan(MLPGenerator((2,), (8,)), MLPDiscriminator((8,)), latent_dim=3)
    variables = jax.jit(model.init)(KEY, {"x": np.ones((1, 2), np.float32)})
    a, b, c = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)
    generated = jax.jit(model.methods["generate"])
    generate = lambda z: np.asarray(generated(variables, KEY, z))
    for path in (slerp, lerp):
        walk = np.asarray(jax.jit(partial(model.methods["interpolate"], num_steps=5, path=path))(variables, KEY, a, b))
        assert walk.shape == (4, 5, 2)
        np.testing.assert_allclose(walk[:, 0], generate(a), atol=1e-5)
        np.testing.assert_allclose(walk[:, -1], generate(b), atol=1e-5)
    arithmetic = jax.jit(model.methods["arithmetic"], static_argnames="num_samples")
    found = np.asarray(arithmetic(variables, KEY, a, b, c, num_samples=50, noise_scale=0.25))
    centre = a.mean(0) - b.mean(0) + c.mean(0)
    np.testing.assert_allclose(found[0], generate(np.tile(centre, (4, 1)))[0], atol=1e-6)
    assert found.shape == (50, 2) and np.unique(found, axis=0).shape == (50, 2)
    still = arithmetic(variables, KEY, a, b, c, num_samples=50, noise_scale=0.0)
    np.testing.assert_allclose(still, np.repeat(found[:1], 50, axis=0), atol=1e-6)


def test_the_networks_compute_in_their_dtype_and_scores_are_float32():
    model = gan(MLPGenerator((2,), (8,), dtype=jnp.bfloat16), MLPDiscriminator((8,), dtype=jnp.bfloat16), latent_dim=3)
    variables = jax.eval_shape(model.init, KEY, {"x": jnp.ones((1, 2))})
    assert {leaf.dtype for leaf in jax.tree.leaves(variables.params)} == {jnp.dtype("float32")}
    assert jax.eval_shape(partial(model.sample, num_samples=2), variables, KEY).dtype == jnp.float32
    assert jax.eval_shape(model.methods["score"], variables, KEY, jnp.ones((4, 2))).dtype == jnp.float32
    use = partial(MLPGenerator((2,), (8,), dtype=jnp.bfloat16).apply, train=False)
    made = jax.eval_shape(use, {"params": variables.params["generator"]}, jnp.ones((1, 3)))
    assert made.dtype == jnp.bfloat16


def test_a_gan_learns_a_shift():
    """Data N(2, 1), G(z) = z + theta: the players settle with theta near 2."""
    model = gan(Shift(), MLPDiscriminator((16,)), latent_dim=1)
    system = System(model, {name: optax.adam(0.02, b1=0.5) for name in ("generator", "discriminator")})
    x = 2 + np.random.default_rng(0).normal(size=(300, 1, 128, 1)).astype(np.float32)
    state = jax.jit(partial(init_state, system, True))(SEED, {"x": x[0, 0]}, {})
    state, _ = jax.jit(make_step(system, StepOptions(ema_decay=0.98)))(state, {"x": x})
    theta = np.asarray(variables_of(state).params["generator"]["theta"])[0, 0]
    assert abs(theta - 2) < 0.2, theta
