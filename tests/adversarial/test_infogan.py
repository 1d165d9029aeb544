"""The bound on information against enumeration, the codes' layout, who descends what, and the naming of categories."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from genjax.adversarial import Codes, InfoGANDiscriminator, InfoGANGenerator, Lambdas
from genjax.adversarial import categorical_bound, draw_latents, hinge_discriminator_loss, hinge_generator_loss, infogan
from genjax.adversarial import match_codes, r2_penalty, uniform_bound
from genjax.adversarial.info_networks import Recognition

KEY = jax.random.key(0)
CODES = Codes(noise=3, categories=4, numbers=2)


def mean_bound(joint, q):
    """E log Q(c|x) + H(c) over a table p(c, x), Q a table [x, c]."""
    pairs = list(itertools.product(*map(range, joint.shape)))
    logits = np.log([q[x] for _, x in pairs]).astype(np.float32)
    code = np.eye(joint.shape[0], dtype=np.float32)[[c for c, _ in pairs]]
    bound = np.asarray(jax.jit(categorical_bound)(logits, code), np.float64)
    return float(np.array([joint[pair] for pair in pairs]) @ bound)


def test_bound_is_at_most_the_information_and_equal_at_the_posterior():
    rng = np.random.default_rng(0)
    given = rng.dirichlet(np.ones(5), size=3)  # p(x | c)
    joint = given / 3
    posterior = (joint / joint.sum(0)).T
    information = np.sum(joint * np.log(joint / (joint.sum(0) / 3)))
    np.testing.assert_allclose(mean_bound(joint, posterior), information, rtol=1e-4)
    for q in rng.dirichlet(np.ones(3), size=(4, 5)):
        assert mean_bound(joint, q) < information - 1e-3
    assert information < np.log(3)


def test_bound_is_the_entropy_for_a_perfect_q():
    """Each picture gives its category away, and Q knows: H(c) = log K, and no Q exceeds it."""
    joint = np.zeros((3, 5))
    joint[0, 0] = joint[0, 3] = joint[2, 4] = joint[2, 1] = 1 / 6
    joint[1, 2] = 1 / 3
    certain = 1e-30
    q = np.full((5, 3), certain)
    q[[0, 3, 2, 4, 1], [0, 0, 1, 2, 2]] = 1
    np.testing.assert_allclose(mean_bound(joint, q), np.log(3), rtol=1e-6)
    assert mean_bound(joint, np.full((5, 3), 1 / 3)) == pytest.approx(0.0, abs=1e-6)


def test_bound_of_numbers_is_by_quadrature():
    """One number, Q's mean 0.4 c: E log N(c; 0.4 c, 1) + log 2 over c uniform on [-1, 1]."""
    expected = integrate.quad(lambda c: 0.5 * stats.norm.logpdf(c, 0.4 * c), -1, 1)[0] + np.log(2)
    c = np.linspace(-1, 1, 20001)[1::2]
    bound = jax.jit(uniform_bound)
    found = np.asarray(bound((0.4 * c).astype(np.float32)[:, None], c.astype(np.float32)[:, None]))
    np.testing.assert_allclose(found.mean(), expected, rtol=1e-4)
    both = bound(np.array([[0.1, -0.3]], np.float32), np.array([[0.2, 0.5]], np.float32))
    np.testing.assert_allclose(both, [stats.norm.logpdf([0.2, 0.5], [0.1, -0.3]).sum() + 2 * np.log(2)], rtol=1e-5)


def test_latents_have_their_parts():
    z = np.asarray(jax.jit(lambda key: draw_latents(CODES, key, (4000, CODES.width)))(KEY))
    noise, category, numbers = np.split(z, [3, 7], axis=1)
    assert set(np.unique(category)) == {0, 1} and np.all(category.sum(1) == 1)
    np.testing.assert_allclose(category.mean(0), 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 4000))
    assert stats.kstest(noise.reshape(-1), "norm").pvalue > 1e-3
    assert stats.kstest(numbers.reshape(-1), stats.uniform(-1, 2).cdf).pvalue > 1e-3


def small(**lambdas):
    generator = InfoGANGenerator((4, 4, 1), (4,), 6)
    discriminator = InfoGANDiscriminator((4,), 6, 5, CODES)
    return infogan(generator, discriminator, codes=CODES, lambdas=Lambdas(**lambdas))


BATCH = {"x": np.random.default_rng(0).uniform(-1, 1, (6, 4, 4, 1)).astype(np.float32)}


@functools.cache
def initialized():
    """Variables of `small`, which do not depend on its lambdas."""
    return jax.jit(small().init)(KEY, BATCH)


def test_lambda_l_i_is_in_both_losses_and_q_learns_from_it_alone():
    """The losses fall by lambda L_I, part by part; Q's head has no gradient without it."""
    models = [small(category=a, numbers=b) for a, b in ((0.0, 0.0), (0.3, 0.7))]
    variables = initialized()
    for index, player in enumerate(("discriminator", "generator")):
        losses, gradients = [], []
        for model in models:

            def loss(params, update=model.updates[index], player=player):
                return update.loss(variables._replace(params={**variables.params, player: params}), BATCH, KEY, 0)

            if player == "generator":  # whose gradient is not looked at
                run = lambda params, loss=loss: (loss(params), None)
            else:
                run = jax.value_and_grad(loss, has_aux=True)
            (value, aux), gradient = jax.jit(run)(variables.params[player])
            losses.append(float(value))
            gradients.append(gradient)
        information = 0.3 * float(aux.metrics["category_bound"]) + 0.7 * float(aux.metrics["numbers_bound"])
        np.testing.assert_allclose(losses[0] - losses[1], information, rtol=1e-4, atol=1e-5)
        if player == "discriminator":
            dense = ("q_hidden", "q_logits", "q_mean", "score")
            learning = [{name for name in dense if np.abs(g[name]["kernel"]).max() > 0} for g in gradients]
            assert learning == [{"score"}, set(dense)]
        moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), variables.state, aux.state)
        other = ({"discriminator", "generator"} - {player}).pop()
        assert all(jax.tree.leaves(moved[player])) and not any(jax.tree.leaves(moved[other]))


class Grey(nn.Module):
    """Pictures of 0.5 everywhere."""

    @nn.compact
    def __call__(self, z, *, train):
        return jnp.broadcast_to(self.param("level", nn.initializers.constant(0.5), ()), (z.shape[0], 4, 4, 1))


class Total(nn.Module):
    """Scores are 3 times the sum of the pixels; Q reads nothing."""

    @nn.compact
    def __call__(self, x, *, train):
        score = self.param("w", nn.initializers.constant(3.0), ()) * x.sum(axis=(1, 2, 3))
        return Recognition(score, jnp.zeros((x.shape[0], 4)), jnp.zeros((x.shape[0], 2)))


def test_another_loss_and_a_penalty_are_played():
    """Hinge with R2: the gradient is 3 at each of 16 pixels."""
    losses = {"generator_loss": hinge_generator_loss, "discriminator_loss": hinge_discriminator_loss}
    options = {"codes": CODES, "lambdas": Lambdas(0.3, 0.0), "regularizers": {"r2": r2_penalty}}
    options |= {"discriminator_steps": 2, "discriminator_after": lambda params, state: (params, state)}
    model = infogan(Grey(), Total(), **losses, **options)
    assert model.updates[0].repeat == 2 and model.updates[0].after is not None and model.updates[1].after is None

    @jax.jit
    def run(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0) for update in model.updates]

    (judged, aux), (made, _) = run(BATCH)
    real = 3 * BATCH["x"].sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(aux.metrics["r2"], 5 * 16 * 3.0**2, rtol=1e-5)
    # Of a category of which nothing is read the bound is 0.
    np.testing.assert_allclose(judged, np.maximum(0, 1 - real).mean() + 1 + 3 * 8 + 5 * 16 * 3.0**2, rtol=1e-5)
    np.testing.assert_allclose(made, -3 * 8, rtol=1e-5)


def test_one_code_is_varied_and_the_rest_kept():
    model, variables = small(), initialized()
    latents = np.asarray(jax.jit(lambda key: draw_latents(CODES, key, (3, CODES.width)))(KEY))
    generate = jax.jit(model.methods["generate"])
    by_category = np.asarray(jax.jit(model.methods["vary_category"])(variables, KEY, latents))
    assert by_category.shape == (3, 4, 4, 4, 1)
    for k in range(4):
        by_hand = latents.copy()
        by_hand[:, 3:7] = np.eye(4)[k]
        np.testing.assert_allclose(by_category[:, k], generate(variables, KEY, by_hand), atol=1e-6)
    values = np.array([-1, 0.5], np.float32)
    vary_number = jax.jit(model.methods["vary_number"], static_argnames="index")
    by_number = np.asarray(vary_number(variables, KEY, latents, values, index=1))
    by_hand = latents.copy()
    by_hand[:, 8] = 0.5
    np.testing.assert_allclose(by_number[:, 1], generate(variables, KEY, by_hand), atol=1e-6)
    with pytest.raises(ValueError, match="no number 2"):
        vary_number(variables, KEY, latents, values, index=2)


def test_categories_are_named_as_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 4, size=(2, 60))
    right = lambda names: int(np.sum(np.asarray(names)[codes] == labels))
    best = max(right(names) for names in itertools.permutations(range(4)))
    found = match_codes(codes, labels, 4)
    assert right(found) == best and sorted(found) == [0, 1, 2, 3]
    hidden = np.array([2, 0, 3, 1])
    np.testing.assert_array_equal(match_codes(codes, hidden[codes], 4), hidden)
    with pytest.raises(ValueError, match="same shape"):
        match_codes(codes, labels[:5], 4)
