"""Penalties on gradients, scores and weights against linear algebra, on critics whose gradients are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import adversarial
from genjax.adversarial.regularizers import between

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
normal = lambda *shape: RANDOM.normal(size=shape).astype(np.float32)
REAL, FAKE, WEIGHTS = normal(5, 4, 3, 2), normal(5, 4, 3, 2), normal(4, 3, 2)
MATRIX = normal(3, 3)


def linear(x):
    return jnp.sum(x * WEIGHTS[None], axis=(1, 2, 3))


def quadratic(x):
    """x^T A x / 2 + sum x, whose gradient is (A + A^T) x / 2 + 1."""
    return 0.5 * jnp.sum((x @ MATRIX) * x, axis=1) + x.sum(axis=1)


def quadratic_gradient(x):
    return x @ (MATRIX + MATRIX.T) / 2 + 1


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_gradient_norm_of_a_linear_critic_is_the_norm_of_its_weights(scale):
    """Whatever x is; the two-sided penalty is lambda (|w| - 1)^2, the one-sided the same above 1 alone."""
    critic = lambda x: scale * linear(x)
    norm = scale * np.linalg.norm(WEIGHTS)
    assert (norm > 1) == (scale == 1.0)

    @jax.jit
    def run(real, fake):
        penalties = adversarial.gradient_penalty, adversarial.one_sided_gradient_penalty
        return adversarial.gradient_norm(critic, real), *(f(critic, real, fake, KEY, weight=3.0) for f in penalties)

    norms, two_sided, one_sided = run(REAL, FAKE)
    np.testing.assert_allclose(norms, np.full(5, norm), rtol=1e-6)
    np.testing.assert_allclose(two_sided, np.full(5, 3 * (norm - 1) ** 2), rtol=1e-5)
    np.testing.assert_allclose(one_sided, np.full(5, 3 * max(0, norm - 1) ** 2), rtol=1e-5)


def test_interpolates_are_uniform_on_the_lines():
    real, fake = normal(4000, 2), normal(4000, 2)
    found = np.asarray(jax.jit(between)(real, fake, KEY))
    eps = (found - real) / (fake - real)
    clear = np.abs(fake - real).min(axis=1) > 0.1  # elsewhere the division loses digits
    np.testing.assert_allclose(eps[clear, 0], eps[clear, 1], atol=1e-4)
    assert stats.kstest(eps[clear].mean(axis=1), "uniform").pvalue > 0.01
    for other in (fake[:, :1], fake[:5]):
        with pytest.raises(ValueError, match="must agree"):
            between(real, other, KEY)


def test_r1_and_r2_at_a_quadratic_critic():
    real, fake = normal(6, 3), normal(6, 3)
    penalties = adversarial.r1_penalty, adversarial.r2_penalty
    r1, r2 = jax.jit(lambda real, fake: [f(quadratic, real, fake, KEY, gamma=0.5) for f in penalties])(real, fake)
    np.testing.assert_allclose(r1, 0.25 * (quadratic_gradient(real) ** 2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(r2, 0.25 * (quadratic_gradient(fake) ** 2).sum(axis=1), rtol=1e-5)


def perceptron_penalty(weights, x):
    """Return sum over x of (|grad s| - 1)^2, s(x) = sum_j tanh(w_j . x), by hand in float64."""
    slopes = 1 - np.tanh(x @ weights) ** 2
    return ((np.linalg.norm(slopes @ weights.T, axis=1) - 1) ** 2).sum()


def test_double_backward_against_finite_differences():
    x, weights = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=(3, 4))
    x32 = x.astype(np.float32)

    def ours(w):  # real = fake: the line is one point
        return adversarial.gradient_penalty(lambda v: jnp.tanh(v @ w).sum(axis=1), x32, x32, KEY, weight=1.0).sum()

    value, gradient = jax.jit(jax.value_and_grad(ours))(weights.astype(np.float32))
    np.testing.assert_allclose(value, perceptron_penalty(weights, x), rtol=1e-5)
    units = 1e-5 * np.eye(12).reshape(12, 3, 4)
    differences = [perceptron_penalty(weights + u, x) - perceptron_penalty(weights - u, x) for u in units]
    np.testing.assert_allclose(gradient, np.reshape(differences, (3, 4)) / 2e-5, rtol=1e-4, atol=1e-5)


def test_a_dead_critic_has_a_finite_gradient():
    penalty = lambda w: adversarial.gradient_penalty(lambda x: x @ w, REAL[:, :, 0, 0], FAKE[:, :, 0, 0], KEY).sum()
    value, gradient = jax.device_get(jax.jit(jax.value_and_grad(penalty))(np.zeros(4, np.float32)))
    assert value == 50 and np.isfinite(gradient).all()  # lambda = 10, five examples, norm 0


@pytest.mark.parametrize("critic", [lambda x: x.sum(), lambda x: x, lambda x: x[:, :1]])
def test_scores_that_are_not_one_an_example_are_refused(critic):
    with pytest.raises(ValueError, match=r"scores of shape \[B\]"):
        adversarial.gradient_norm(critic, normal(4, 3))


def test_consistency_of_a_linear_critic():
    """A shift by delta moves its score by w . delta; an augmentation that does nothing costs nothing."""
    delta = normal(4, 3, 2)
    move = lambda key, x: x + delta[None]
    expected = np.full(5, 7.0 * float((WEIGHTS * delta).sum()) ** 2)
    penalty = jax.jit(partial(adversarial.consistency_penalty, linear), static_argnames="augment")
    found = penalty(REAL, FAKE, KEY, augment=move, real_weight=3.0, fake_weight=4.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    still = penalty(REAL, FAKE, KEY, augment=lambda key, x: x)
    np.testing.assert_array_equal(still, np.zeros(5))


def test_consistency_augments_real_and_generated_examples_apart():
    """With one of the weights at 0 the other kind does not count; the two get keys of their own."""
    noise = lambda key, x: x + jax.random.normal(key, x.shape)
    consistency = jax.jit(partial(adversarial.consistency_penalty, linear, augment=noise))
    penalty = lambda real, fake, **w: np.asarray(consistency(real, fake, KEY, **w))
    on_real, on_fake = penalty(REAL, FAKE, fake_weight=0.0), penalty(REAL, FAKE, real_weight=0.0)
    np.testing.assert_array_equal(on_real, penalty(REAL, 2 * FAKE, fake_weight=0.0))
    np.testing.assert_array_equal(on_fake, penalty(2 * REAL, FAKE, real_weight=0.0))
    np.testing.assert_allclose(on_real + on_fake, penalty(REAL, FAKE), rtol=1e-6)
    assert not np.allclose(on_real, on_fake, rtol=1e-2)


@jax.jit
def weight_penalties(params):
    return adversarial.orthogonal_penalty(params), adversarial.off_diagonal_penalty(params)


def test_orthogonal_penalties():
    """Orthonormal filters cost nothing; twice as long ones 9 each in the full form, and nothing off the diagonal."""
    rotation = stats.ortho_group(6, seed=0).rvs().astype(np.float32)
    kernel = rotation[:, :3].reshape(3, 1, 2, 3)  # three orthonormal filters of a convolution
    params = {"dense": {"kernel": rotation, "bias": normal(6)}, "conv": {"kernel": kernel, "scale": normal(3)}}
    np.testing.assert_allclose(weight_penalties(params), [0, 0], atol=1e-10)
    full, off_diagonal = weight_penalties(jax.tree.map(lambda p: 2 * p, params))
    np.testing.assert_allclose(full, 9 * (6 + 3), rtol=1e-5)
    np.testing.assert_allclose(off_diagonal, 0, atol=1e-8)


def test_off_diagonal_penalty_filter_by_filter():
    kernel = normal(2, 2, 3, 5)
    filters = kernel.astype(np.float64).transpose(3, 0, 1, 2).reshape(5, -1)
    inner = [filters[i] @ filters[j] for i in range(5) for j in range(5) if i != j]
    full, off_diagonal = weight_penalties({"k": kernel})
    np.testing.assert_allclose(off_diagonal, np.square(inner).sum(), rtol=1e-5)
    lengths = np.square(filters).sum(axis=1)
    expected = np.square(inner).sum() + np.square(lengths - 1).sum()
    np.testing.assert_allclose(full, expected, rtol=1e-5)


def test_a_weight_penalty_on_one_update():
    """The penalised player's loss and gradient gain those of the penalty; the other update is as it was."""
    generator, discriminator = adversarial.MLPGenerator((2,), (3,)), adversarial.MLPDiscriminator((3,))
    model = adversarial.gan(generator, discriminator, latent_dim=2)
    batch = {"x": normal(4, 2)}
    variables = jax.jit(model.init)(KEY, batch)
    _, plain = model.updates
    update = adversarial.penalize_weights(plain, "off_diagonal", adversarial.off_diagonal_penalty, weight=0.5)

    def value(update, params):
        variables_ = variables._replace(params={**variables.params, "generator": params})
        return update.loss(variables_, batch, KEY, 0)

    params = variables.params["generator"]

    @jax.jit
    def run(params):
        both = [jax.value_and_grad(partial(value, u), has_aux=True)(params) for u in (update, plain)]
        return *both, jax.value_and_grad(adversarial.off_diagonal_penalty)(params)

    ((loss, aux), gradient), ((before, _), plain_gradient), (penalty, slope) = jax.device_get(run(params))
    np.testing.assert_allclose(loss, before + 0.5 * penalty, rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["off_diagonal"], 0.5 * penalty, rtol=1e-6)
    expected = jax.tree.map(lambda a, b: a + 0.5 * b, plain_gradient, slope)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), gradient, expected)


def test_clipping():
    params = {"discriminator": {"w": normal(5, 5)}, "generator": {"w": normal(5, 5)}}
    after, state = jax.device_get(jax.jit(adversarial.clip_weights("discriminator", 0.3))(params, {"kept": 1}))
    np.testing.assert_array_equal(after["discriminator"]["w"], np.clip(params["discriminator"]["w"], -0.3, 0.3))
    np.testing.assert_array_equal(after["generator"]["w"], params["generator"]["w"])
    assert state == {"kept": 1} and np.abs(after["discriminator"]["w"]).max() <= np.float32(0.3)
    for bound in (0.0, -1.0):
        with pytest.raises(ValueError, match="positive"):
            adversarial.clip_weights("discriminator", bound)


def test_path_lengths_of_a_linear_synthesis():
    """G(w) = w A: the Jacobian is A, and |J^T y| = |A y|; with a style a layer, the root of the mean of squares."""
    matrix, noise = normal(3, 8), normal(5, 2, 2, 2)
    synthesize = lambda w: (w @ matrix).reshape(-1, 2, 2, 2)
    found = jax.jit(partial(adversarial.path_lengths, synthesize))(normal(5, 3), noise)
    np.testing.assert_allclose(found, np.linalg.norm(noise.reshape(5, 8) @ matrix.T, axis=1), rtol=1e-5)

    layers = normal(2, 3, 8)
    by_layer = lambda w: jnp.einsum("bld,ldp->bp", w, layers).reshape(-1, 2, 2, 2)
    found = jax.jit(partial(adversarial.path_lengths, by_layer))(normal(5, 2, 3), noise)
    squares = [(noise.reshape(5, 8) @ layer.T) ** 2 for layer in layers]
    np.testing.assert_allclose(found, np.sqrt(np.sum(squares, axis=(0, 2)) / 2), rtol=1e-5)
    with pytest.raises(ValueError, match="noise of the shape"):
        adversarial.path_lengths(synthesize, normal(5, 3), noise[:, :1])


def test_batch_normalization_is_refused_under_a_penalty():
    options = {"latent_dim": 2, "generator_features": (2, 2), "discriminator_features": (2, 2)}
    model = adversarial.refuse_batch_normalization(adversarial.dcgan((4, 4, 1), **options))
    with pytest.raises(ValueError, match="batch normalization"):
        jax.eval_shape(model.init, KEY, {"x": np.zeros((2, 4, 4, 1), np.float32)})
