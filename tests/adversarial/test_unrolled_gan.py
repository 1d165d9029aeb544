"""Unrolling: K = 0 is the GAN to the bit, and the gradient through K steps is that of the game played by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit

from genjax.adversarial import MLPDiscriminator, MLPGenerator, gan, hinge_discriminator_loss, hinge_generator_loss
from genjax.adversarial import minimax_generator_loss, r2_penalty, unroll, unrolled_gan
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.training.system import System
from tests.adversarial.test_gan import Shift, Slope, ones

SEED = np.asarray(jax.random.key_data(jax.random.key(0)))
KEY = jax.random.key(1)
X = np.array([[2.0], [1.0], [-0.5]])


def played_by_hand(theta, steps, eta):
    """-f_K of the one-number game G(z) = 1 + theta, score = w x + b, in float64; the discriminator descends f."""
    w, b, x, g = 0.4, -0.2, X[:, 0], 1.0 + theta
    for _ in range(steps):
        reject, accept = 1 - expit(w * x + b), expit(w * g + b)
        w, b = w + eta * (np.mean(reject * x) - accept * g), b + eta * (np.mean(reject) - accept)
    return np.mean(np.log(expit(w * x + b))) + np.log(expit(-(w * g + b)))


def generator_loss_of(steps, eta):
    options = {"latent_dim": 1, "prior": ones, "unroll_steps": steps, "inner_optimizer": optax.sgd(eta)}
    model = unrolled_gan(Shift(), Slope(), **options)
    batch = {"x": X.astype(np.float32)}

    def loss(theta):
        variables = model.init(KEY, batch)
        params = {**variables.params, "generator": {"theta": theta[None, None]}}
        return model.updates[1].loss(variables._replace(params=params), batch, KEY, 0)[0]

    return loss


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_the_gradient_is_the_finite_difference_of_the_game_by_hand(steps):
    eta, theta, h = 0.7, -0.7, 1e-5
    value, gradient = jax.jit(jax.value_and_grad(generator_loss_of(steps, eta)))(np.float32(theta))
    difference = (played_by_hand(theta + h, steps, eta) - played_by_hand(theta - h, steps, eta)) / (2 * h)
    np.testing.assert_allclose(value, played_by_hand(theta, steps, eta), rtol=1e-5)
    np.testing.assert_allclose(gradient, difference, rtol=1e-4)


def test_the_reaction_of_the_discriminator_is_in_the_gradient():
    """Moving theta against a discriminator that is K ahead but held there gives another gradient."""
    eta, theta, h, steps = 0.7, -0.7, 1e-5, 5
    gradient = jax.jit(jax.grad(generator_loss_of(steps, eta)))(np.float32(theta))
    w, b, x = 0.4, -0.2, X[:, 0]
    for _ in range(steps):
        g = 1.0 + theta
        reject, accept = 1 - expit(w * x + b), expit(w * g + b)
        w, b = w + eta * (np.mean(reject * x) - accept * g), b + eta * (np.mean(reject) - accept)
    held = lambda t: np.log(expit(-(w * (1.0 + t) + b)))
    assert abs(float(gradient) - (held(theta + h) - held(theta - h)) / (2 * h)) > 0.04  # a tenth of the gradient


def test_another_loss_and_a_penalty_are_played_and_unrolled():
    """Hinge with R2, whose gradient is w: one step from w = 0.4 and b = -0.2, where no hinge is flat."""
    eta, g, x = 0.05, 0.3, X[:, 0]
    losses = {"generator_loss": hinge_generator_loss, "discriminator_loss": hinge_discriminator_loss}
    options = {"prior": ones, "unroll_steps": 1, "inner_optimizer": optax.sgd(eta), "regularizers": {"r2": r2_penalty}}
    model = unrolled_gan(Shift(), Slope(), latent_dim=1, **losses, **options)

    @jax.jit
    def run(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0) for update in model.updates]

    (_, judged), (made, _) = run({"x": X.astype(np.float32)})
    np.testing.assert_allclose(judged.metrics["r2"], 5 * 0.4**2, rtol=1e-6)
    w = 0.4 - eta * (g - x.mean() + 10 * 0.4)  # b stays
    np.testing.assert_allclose(made, -(w * g - 0.2) - np.maximum(0, 1 - (w * x - 0.2)).mean(), rtol=1e-5)


def test_unrolled_descent_of_a_quadratic_has_its_closed_form():
    """p <- p - eta (a p - c): p_K = c/a + (1 - eta a)^K (p_0 - c/a), and dp_K/dc = (1 - (1 - eta a)^K) / a."""
    a, eta, steps = 2.0, 0.1, 6

    def ahead(c):
        loss = lambda p, key: 0.5 * a * p**2 - c * p
        sgd = optax.sgd(eta)
        return unroll(loss, jnp.float32(0.3), sgd.init(jnp.float32(0.3)), KEY, optimizer=sgd, steps=steps)[0]

    value, slope = jax.jit(jax.value_and_grad(ahead))(np.float32(1.5))
    shrink = (1 - eta * a) ** steps
    np.testing.assert_allclose(value, 0.75 + shrink * (0.3 - 0.75), rtol=1e-6)
    np.testing.assert_allclose(slope, (1 - shrink) / a, rtol=1e-5)


def test_an_unrolled_adam_takes_the_steps_of_adam():
    params, optimizer = {"p": np.array([0.3, -2], np.float32)}, optax.adam(0.05)
    loss = lambda tree, key: jnp.sum(jnp.cosh(tree["p"]))

    @jax.jit
    def both(params):
        memory = optimizer.init(params)
        found, after_one = unroll(loss, params, memory, KEY, optimizer=optimizer, steps=4)
        with jax.numpy_dtype_promotion("standard"):
            for _ in range(4):
                moves, memory = optimizer.update({"p": jnp.sinh(params["p"])}, memory)
                params = optax.apply_updates(params, moves)
        return found, after_one, params

    found, after_one, moved = jax.device_get(both(params))
    np.testing.assert_allclose(after_one[0].nu["p"], 0.001 * np.sinh([0.3, -2.0]) ** 2, rtol=1e-5)
    assert after_one[0].count == 1
    np.testing.assert_allclose(found["p"], moved["p"], rtol=1e-6)


def test_without_steps_it_is_the_gan_to_the_bit():
    players = MLPGenerator((2,), (8,)), MLPDiscriminator((8,))
    plain = gan(*players, latent_dim=2, generator_loss=minimax_generator_loss)
    unrolled = unrolled_gan(*players, latent_dim=2, unroll_steps=0, inner_optimizer=optax.sgd(0.1))
    x = np.random.default_rng(0).normal(size=(3, 1, 16, 2)).astype(np.float32)
    final = []
    for model in (plain, unrolled):
        system = System(model, {name: optax.adam(1e-2) for name in ("generator", "discriminator")})
        state = jax.jit(partial(init_state, system, False))(SEED, {"x": x[0, 0]}, {})
        final.append(jax.jit(make_step(system))(state, {"x": x})[0].params)
    jax.tree.map(np.testing.assert_array_equal, *final)


def test_the_inner_optimizer_gathers_what_the_discriminators_does():
    """Its moments after n steps of training are those of n gradients, near the discriminator's own."""
    adam = optax.adam(1e-3, eps_root=1e-12)
    players = MLPGenerator((2,), (4,)), MLPDiscriminator((4,))
    model = unrolled_gan(*players, latent_dim=2, unroll_steps=2, inner_optimizer=adam)
    system = System(model, {"generator": optax.sgd(1e-3), "discriminator": adam})
    x = np.random.default_rng(0).normal(size=(20, 1, 256, 2)).astype(np.float32)
    state = jax.jit(partial(init_state, system, False))(SEED, {"x": x[0, 0]}, {})
    state, _ = jax.jit(make_step(system))(state, {"x": x})
    ours, theirs = jax.device_get((state.state["unrolled"][0], state.opt["discriminator"][0]))
    assert ours.count == theirs.count == 20
    far = lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b)
    kernels = [jax.tree.leaves(moments.nu) for moments in (ours, theirs)]
    assert all(far(a, b) < 0.2 for a, b in zip(*kernels))


def test_the_discriminator_moves_as_in_a_gan():
    """What was unrolled is thrown away: one update of the discriminator does not depend on K."""
    batch = {"x": X.astype(np.float32)}
    losses = []
    for steps in (0, 3):
        options = {"latent_dim": 1, "unroll_steps": steps, "inner_optimizer": optax.sgd(0.5)}
        model = unrolled_gan(Shift(), Slope(), **options)
        first_loss = jax.jit(lambda batch: model.updates[0].loss(model.init(KEY, batch), batch, KEY, 0)[0])
        losses.append(float(first_loss(batch)))
    assert losses[0] == losses[1]


def test_a_negative_number_of_steps_is_refused():
    with pytest.raises(ValueError, match="0 or more"):
        unroll(lambda p, key: p, np.float32(0.0), (), KEY, optimizer=optax.sgd(0.1), steps=-1)
