"""AttGAN: objectives of known networks by hand, the classifiers' loss against scipy, what attributes reach."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import bernoulli

from genjax.adversarial import (
    AttGANDecoder,
    AttGANDiscriminator,
    AttGANEncoder,
    AttGANWeights,
    Judgement,
    attgan,
    attribute_loss,
    gradient_penalty,
    hinge_discriminator_loss,
    hinge_generator_loss,
    r2_penalty,
)

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (6, 4, 4, 1)).astype(np.float32)
A = np.array([[0, 1], [1, 1], [1, 0], [0, 0], [1, 1], [0, 1]], np.float32)
BATCH = {"x": X, "attributes": A}


class Doubled(nn.Module):
    """2 x."""

    @nn.compact
    def __call__(self, x, *, train):
        return self.param("a", nn.initializers.constant(2.0), ()) * x


class Moved(nn.Module):
    """A quarter of the code, and a tenth for each attribute."""

    @nn.compact
    def __call__(self, code, attributes, *, train):
        return self.param("a", nn.initializers.constant(0.25), ()) * code + 0.1 * attributes.sum(1).reshape(-1, 1, 1, 1)


class Mean(nn.Module):
    """Scores are 3 times the sum of the pixels, logits (sum, -sum)."""

    @nn.compact
    def __call__(self, x, *, train):
        total = x.sum(axis=(1, 2, 3))
        score = self.param("w", nn.initializers.constant(3.0), ()) * total
        return Judgement(score, total[:, None] * jnp.array([[1.0, -1.0]]))


def cross_entropy(total, attributes):
    """Of the logits (sum, -sum), by scipy."""
    on = 1 / (1 + np.exp(-np.stack([total, -total], axis=1)))
    return -bernoulli.logpmf(attributes, on).sum(axis=1)


def test_attribute_loss_is_the_log_probability_of_independent_coins():
    logits = RNG.normal(size=(6, 2)).astype(np.float32)
    expected = -bernoulli.logpmf(A, 1 / (1 + np.exp(-logits.astype(np.float64)))).sum(axis=1)
    np.testing.assert_allclose(jax.jit(attribute_loss)(logits, A), expected, rtol=1e-5)


def test_objectives_are_those_of_the_paper():
    # All pictures have the same attributes, so that it does not matter whose are taken.
    same = np.tile(np.array([1.0, 0.0], np.float32), (6, 1))
    batch = {"x": X, "attributes": same}
    penalty = {"gradient_penalty": functools.partial(gradient_penalty, weight=11.0)}
    model = attgan(Doubled(), Moved(), Mean(), weights=AttGANWeights(5.0, 7.0, 2.0), regularizers=penalty)
    judge, edit = model.updates
    assert judge.repeat == 5 and edit.players == ("encoder", "decoder")
    made = 0.5 * X.astype(np.float64) + 0.1
    total, total_made = X.sum(axis=(1, 2, 3), dtype=np.float64), made.sum(axis=(1, 2, 3))

    @jax.jit
    def losses(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0)[0] for update in model.updates]

    judged, edited = losses(batch)
    # The gradient is 3 at each of 16 pixels, wherever it is taken.
    expected = 3 * (total_made - total).mean() + 11 * (12 - 1) ** 2 + 2 * cross_entropy(total, same).mean()
    np.testing.assert_allclose(judged, expected, rtol=1e-5)
    expected = -3 * total_made.mean() + 7 * cross_entropy(total_made, same).mean() + 5 * np.abs(made - X).mean()
    np.testing.assert_allclose(edited, expected, rtol=1e-5)


def test_another_loss_and_a_penalty_are_played():
    """Hinge with R2: the gradient is 3 at each of 16 pixels. All pictures have the same attributes."""
    losses = {"generator_loss": hinge_generator_loss, "discriminator_loss": hinge_discriminator_loss}
    model = attgan(Doubled(), Moved(), Mean(), regularizers={"r2": r2_penalty}, **losses)
    batch = {"x": X, "attributes": np.tile(np.array([1.0, 0.0], np.float32), (6, 1))}
    variables = jax.jit(model.init)(KEY, batch)
    seen = [jax.jit(update.loss)(variables, batch, KEY, 0)[1].metrics for update in model.updates]
    real = 3 * X.sum(axis=(1, 2, 3), dtype=np.float64)
    fake = 0.5 * real + 3 * 16 * 0.1
    np.testing.assert_allclose(seen[0]["real"], np.maximum(0, 1 - real).mean(), rtol=1e-4)
    np.testing.assert_allclose(seen[0]["fake"], np.maximum(0, 1 + fake).mean(), rtol=1e-4)
    np.testing.assert_allclose(seen[0]["r2"], 5 * 16 * 3.0**2, rtol=1e-5)
    np.testing.assert_allclose(seen[1]["adversarial"], -fake.mean(), rtol=1e-4)
    assert set(seen[0]) == {"real", "fake", "r2", "attributes"}


class Squared(nn.Module):
    """Scores are 3 times the square of the sum of the pixels, logits (sum, -sum)."""

    @nn.compact
    def __call__(self, x, *, train):
        total = x.sum(axis=(1, 2, 3))
        score = self.param("w", nn.initializers.constant(3.0), ()) * total**2
        return Judgement(score, total[:, None] * jnp.array([[1.0, -1.0]]))


def test_pictures_are_edited_to_attributes_of_the_batch_and_rebuilt_with_their_own():
    """Of two pictures with other attributes: each keeps its own or has the other's, and every term knows which."""
    model = attgan(Doubled(), Moved(), Squared(), weights=AttGANWeights(5.0, 7.0, 2.0))
    x, own = X[:2].astype(np.float64), np.array([[0, 1], [1, 1]])
    two = {"x": X[:2], "attributes": own.astype(np.float32)}
    variables, keys = jax.jit(lambda batch: (model.init(KEY, batch), jax.random.split(KEY, 12)))(two)
    make = lambda attributes: 0.5 * x + 0.1 * attributes.sum(axis=1).reshape(-1, 1, 1, 1)
    expected = []
    for asked in (own, own[::-1]):
        total = make(asked).sum(axis=(1, 2, 3))
        fake = 3 * (total**2).mean()
        expected.append([fake, -fake, 7 * cross_entropy(total, asked).mean(), 5 * np.abs(make(own) - x).mean()])
    judge, edit = (
        jax.jit(jax.vmap(lambda key, loss=update.loss: loss(variables, two, key, 0)[1].metrics))(keys)
        for update in model.updates
    )
    names = ("adversarial", "attributes", "reconstruction")
    for terms, kept in (([judge["fake"]], slice(0, 1)), ([edit[n] for n in names], slice(1, 4))):
        found, wanted = np.stack(terms, axis=1), np.array(expected)[:, kept]
        nearest = np.abs(found[:, None] - wanted[None]).sum(axis=2).argmin(axis=1)
        np.testing.assert_allclose(found, wanted[nearest], rtol=1e-4)
        assert set(nearest) == {0, 1}


@functools.cache
def small():
    networks = AttGANEncoder((3, 4)), AttGANDecoder((4,), 1), AttGANDiscriminator((3,), 4, 2)
    model = attgan(*networks)
    return model, jax.jit(model.init)(KEY, BATCH)


def test_each_update_reaches_every_weight_of_its_players():
    model, variables = small()
    for update in model.updates:
        own = {player: variables.params[player] for player in update.players}

        def loss(own, update=update):
            return update.loss(variables._replace(params={**variables.params, **own}), BATCH, KEY, 0)

        gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name
    same = jax.tree.map(np.array_equal, aux.state["decoder"], variables.state["decoder"])
    assert not any(jax.tree.leaves(same)), "running statistics"


def test_the_papers_networks_meet_at_every_size():
    """Halved three times and doubled three times; the map before the code stands beside the first one of the decoder."""
    x, attributes = np.zeros((2, 16, 16, 3), np.float32), np.zeros((2, 5), np.float32)
    shape = lambda module, *inputs: jax.eval_shape(
        lambda *given: module.init_with_output(KEY, *given, train=True)[0], *inputs
    )
    code = shape(AttGANEncoder((4, 5, 6)), x)
    assert (code.code.shape, code.beside.shape) == ((2, 2, 2, 6), (2, 4, 4, 5))
    assert shape(AttGANDecoder((6, 5), 3), code, attributes).shape == x.shape


def test_local_networks_edit_a_place_by_what_is_near_it_and_by_means():
    """One pixel of a grey picture is changed: 5 x 5 places see it; all others see the same, wherever they are."""
    encoder, decoder = AttGANEncoder((3, 4), local=True), AttGANDecoder((4, 3), 1, local=True)
    grey = np.full((1, 8, 8, 1), 0.3, np.float32)
    spot = grey.copy()
    spot[0, 1, 2] = -0.8

    @jax.jit
    def edits(attributes):
        code, variables = encoder.init_with_output(KEY, grey, train=False)
        edit, told = decoder.init_with_output(KEY, code, attributes, train=False)
        return edit, decoder.apply(told, encoder.apply(variables, spot, train=False), attributes, train=False)

    plain, spotted = (np.asarray(edit)[0, ..., 0] for edit in edits(A[:1]))
    near = np.zeros((8, 8), bool)
    near[:4, :5] = True
    far = spotted[~near]
    np.testing.assert_allclose(plain, np.full((8, 8), plain[0, 0]), atol=1e-6)
    np.testing.assert_allclose(far, np.full(far.shape, far[0]), atol=1e-6)
    assert np.abs(far[0] - plain[0, 0]) > 1e-4, "the means"
    assert np.median(np.abs(spotted[near] - far[0])) > 1e-4


def test_samples_are_edits_to_what_is_asked_for():
    model, variables = small()
    sample = jax.jit(model.sample, static_argnums=2)
    drawn = lambda condition: np.asarray(sample(variables, KEY, 6, condition=condition))
    told = {"attributes": BATCH["attributes"], "given": BATCH["x"]}
    made = drawn(told)
    alone = jax.jit(model.methods["translate"])
    np.testing.assert_allclose(made, alone(variables, KEY, BATCH["x"], BATCH["attributes"]), atol=1e-6)
    other = drawn({**told, "attributes": told["attributes"][::-1]})
    changed = np.abs(made - other).max(axis=(1, 2, 3)) > 0
    np.testing.assert_array_equal(changed, np.any(A != A[::-1], axis=1))
    for condition in ({"attributes": told["attributes"]}, None):
        assert np.abs(drawn(condition) - made).max() > 0
    with pytest.raises(ValueError, match="holds 'attributes' and 'given'"):
        model.sample(variables, KEY, 6, condition={"label": told["attributes"]})
