"""StarGAN: objectives of known networks by hand, what the label does, the domains that samples are asked for."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.adversarial import (
    ResidualGenerator,
    SpatialTransformer,
    StarGANDiscriminator,
    StarGANGenerator,
    StarGANPerceptron,
    gradient_penalty,
    hinge_discriminator_loss,
    hinge_generator_loss,
    r1_penalty,
    r2_penalty,
    stargan,
)
from genjax.adversarial.stargan import Judgement

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (6, 4, 4, 1)).astype(np.float32)
BATCH = {"x": X, "label": np.arange(6, dtype=np.int32) % 3}


class Shifted(nn.Module):
    """Half of x, and `by` for each step from domain 0."""

    by: float = 0.0

    @nn.compact
    def __call__(self, x, label, *, train):
        return self.param("a", nn.initializers.constant(0.5), ()) * x + self.by * label.reshape(-1, 1, 1, 1).astype(
            x.dtype
        )


class Mean(nn.Module):
    """Scores are 3 times the sum of the pixels, logits (sum, 0, -sum)."""

    @nn.compact
    def __call__(self, x, *, train):
        total = x.sum(axis=(1, 2, 3))
        return Judgement(
            self.param("w", nn.initializers.constant(3.0), ()) * total, total[:, None] * jnp.array([[1, 0, -1.0]])
        )


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_objectives_are_those_of_the_paper():
    penalty = {"gradient_penalty": functools.partial(gradient_penalty, weight=11.0)}
    model = stargan(Shifted(), Mean(), num_domains=3, class_weight=2.0, reconstruction_weight=7.0, regularizers=penalty)
    assert model.updates[0].repeat == 5

    @jax.jit
    def losses(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0) for update in model.updates]

    (judged, _), (made, aux) = jax.device_get(losses(BATCH))
    total = X.sum(axis=(1, 2, 3), dtype=np.float64)
    label = np.asarray(BATCH["label"])
    logs = lambda total: log_softmax(total[:, None] * np.array([1, 0, -1]))
    domain = -logs(total)[range(6), label].mean()
    penalty = (np.sqrt(16 * 3.0**2) - 1) ** 2  # the gradient is 3 at each of 16 pixels, wherever it is taken
    expected = -3 * total.mean() + 3 * 0.5 * total.mean() + 11 * penalty + 2 * domain
    np.testing.assert_allclose(judged, expected, rtol=1e-5)
    rest = made - aux.metrics["domain"]
    np.testing.assert_allclose(rest, -3 * 0.5 * total.mean() + 7 * 0.75 * np.abs(X).mean(), rtol=1e-4)


def test_another_loss_and_a_penalty_are_played():
    """Hinge with R2: the gradient is 3 at each of 16 pixels."""
    losses = {"generator_loss": hinge_generator_loss, "discriminator_loss": hinge_discriminator_loss}
    model = stargan(Shifted(), Mean(), num_domains=3, regularizers={"r2": r2_penalty}, **losses)
    variables = jax.jit(model.init)(KEY, BATCH)
    seen = [jax.jit(update.loss)(variables, BATCH, KEY, 0)[1].metrics for update in model.updates]
    real = 3 * X.sum(axis=(1, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(seen[0]["real"], np.maximum(0, 1 - real).mean(), rtol=1e-4)
    np.testing.assert_allclose(seen[0]["fake"], np.maximum(0, 1 + 0.5 * real).mean(), rtol=1e-4)
    np.testing.assert_allclose(seen[0]["r2"], 5 * 16 * 3.0**2, rtol=1e-5)
    np.testing.assert_allclose(seen[1]["adversarial"], -0.5 * real.mean(), rtol=1e-4)
    assert set(seen[0]) == {"real", "fake", "r2", "domain"}


def test_the_generator_makes_one_domain_and_comes_back_from_it_to_the_pictures_own():
    """For one picture of domain 2, each draw of the wanted domain has its three terms, by hand."""
    model = stargan(Shifted(0.1), Mean(), num_domains=3, class_weight=2.0, reconstruction_weight=7.0)
    one = {"x": X[:1], "label": np.array([2], np.int32)}
    variables, keys = jax.jit(lambda batch: (model.init(KEY, batch), jax.random.split(KEY, 20)))(one)
    x = X[0].astype(np.float64)
    expected = []
    for wanted in range(3):
        made = 0.5 * x + 0.1 * wanted
        logs = log_softmax(made.sum() * np.array([[1, 0, -1]]))[0]
        back = 7 * np.abs(0.5 * made + 0.1 * 2 - x).mean()
        expected.append([-3 * made.sum(), -2 * logs[wanted], back])
    terms = jax.jit(jax.vmap(lambda key: model.updates[1].loss(variables, one, key, 0)[1].metrics))(keys)
    found = np.stack([terms[name] for name in ("adversarial", "domain", "reconstruction")], axis=1)
    nearest = np.abs(found[:, None] - np.array(expected)[None]).sum(axis=2).argmin(axis=1)
    np.testing.assert_allclose(found, np.array(expected)[nearest], rtol=1e-4)
    assert set(nearest) == {0, 1, 2}


class FromTo(nn.Module):
    """Half of x, a tenth for each step of the domain to go to from 0, a hundredth for that to come from."""

    @nn.compact
    def __call__(self, x, label, source, *, train):
        level = lambda domain: domain.reshape(-1, 1, 1, 1).astype(x.dtype)
        return self.param("a", nn.initializers.constant(0.5), ()) * x + 0.1 * level(label) + 0.01 * level(source)


class Each(nn.Module):
    """Scores are 3, 6 and 9 times the sum of the pixels, logits (sum, 0, -sum)."""

    @nn.compact
    def __call__(self, x, *, train):
        judged = Mean()(x, train=train)
        return judged._replace(score=judged.score[:, None] * jnp.array([[1.0, 2.0, 3.0]]))


def test_both_domains_are_told_and_pictures_scored_as_ones_of_theirs():
    """For one picture of domain 2, each draw of the wanted domain has its terms, by hand."""
    options = {"class_weight": 0.0, "reconstruction_weight": 7.0, "regularizers": {"r1": r1_penalty}}
    model = stargan(FromTo(), Each(), num_domains=3, both_domains=True, **options)
    one = {"x": X[:1], "label": np.array([2], np.int32)}
    variables, keys = jax.jit(lambda batch: (model.init(KEY, batch), jax.random.split(KEY, 20)))(one)
    x = X[0].astype(np.float64)
    expected = []
    for wanted in range(3):
        made = 0.5 * x + 0.1 * wanted + 0.01 * 2
        score = 3 * (wanted + 1) * made.sum()
        expected.append([score, -score, 7 * np.abs(0.5 * made + 0.1 * 2 + 0.01 * wanted - x).mean()])
    judged, made = (
        jax.jit(jax.vmap(lambda key, loss=update.loss: loss(variables, one, key, 0)[1].metrics))(keys)
        for update in model.updates
    )
    np.testing.assert_allclose(judged["real"], -9 * x.sum(), rtol=1e-4)
    np.testing.assert_allclose(judged["r1"], 5 * 16 * 9.0**2, rtol=1e-4)  # 9 at each of 16 pixels
    for found, kept in (([judged["fake"]], slice(0, 1)), ([made["adversarial"], made["reconstruction"]], slice(1, 3))):
        found, wanted = np.stack(found, axis=1), np.array(expected)[:, kept]
        nearest = np.abs(found[:, None] - wanted[None]).sum(axis=2).argmin(axis=1)
        np.testing.assert_allclose(found, wanted[nearest], rtol=1e-4)
        assert set(nearest) == {0, 1, 2}


def test_the_domain_that_a_picture_comes_from_is_read():
    model = stargan(FromTo(), Each(), num_domains=3, both_domains=True)
    variables = jax.jit(model.init)(KEY, BATCH)
    label = np.array([0, 1, 2, 2, 1, 0], np.int32)
    read = np.where(X.sum(axis=(1, 2, 3)) > 0, 0, 2)  # the likeliest by (sum, 0, -sum)
    assert set(read) == {0, 2}
    level = lambda domain: domain.reshape(-1, 1, 1, 1)
    expected = 0.5 * X + 0.1 * level(label) + 0.01 * level(read)
    np.testing.assert_allclose(jax.jit(model.methods["translate"])(variables, KEY, X, label), expected, rtol=1e-5)


def test_a_perceptron_scores_a_picture_as_one_of_each_domain():
    network = StarGANPerceptron((5,), 3)
    judged, variables = jax.jit(functools.partial(network.init_with_output, train=True))(KEY, X)
    assert judged.score.shape == judged.logits.shape == (6, 3)
    sizes = jax.tree.map(np.shape, variables["params"])
    assert sizes["score"]["kernel"] == sizes["domain"]["kernel"] == (5, 3)
    with pytest.raises(ValueError, match=r"gives scores \[B\] and"):
        jax.eval_shape(stargan(Shifted(), network, num_domains=3).init, KEY, BATCH)
    with pytest.raises(ValueError, match=r"gives scores \[B, 3\] and"):
        jax.eval_shape(stargan(FromTo(), Mean(), num_domains=3, both_domains=True).init, KEY, BATCH)


def test_the_generator_is_told_a_pair_of_domains_by_one_channel_of_nine():
    network = StarGANGenerator(SpatialTransformer(1, 4), 3)
    start = jax.jit(functools.partial(network.init, train=False))
    pair = np.array([1, 2, 0, 0, 1, 2], np.int32), np.array([2, 2, 0, 1, 0, 1], np.int32)
    params = start(KEY, X, *pair)["params"]["network"]
    assert params["table"].shape == (9, 4)
    turned = np.array([np.eye(2), -np.eye(2), [[0, 1], [-1, 0]], [[1, 0], [0, -1]]], np.float32)
    table = np.zeros((9, 4), np.float32)
    table[3 * 1 + 2, 1] = table[3 * 2 + 1, 3] = 1
    params = {"network": {**params, "turned": turned, "table": table}}
    made = network.apply({"params": params}, X, *pair, train=False)
    expected = [X[0, ::-1, ::-1], *X[1:5], X[5, :, ::-1]]
    np.testing.assert_allclose(made, np.stack(expected), atol=1e-5)


@functools.cache
def small():
    network = ResidualGenerator((3,), 1, blocks=0, outer_kernel=3, reflect=False, normalize_first=False)
    model = stargan(StarGANGenerator(network, 3), StarGANDiscriminator((4,), 3), num_domains=3)
    return model, jax.jit(model.init)(KEY, BATCH)


def test_each_update_reaches_every_weight_of_its_player():
    model, variables = small()
    for update in model.updates:
        own = {player: variables.params[player] for player in update.players}

        def loss(own, update=update):
            return update.loss(variables._replace(params={**variables.params, **own}), BATCH, KEY, 0)[0]

        gradient = jax.jit(jax.grad(loss))(own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name


def test_samples_are_of_the_domain_asked_for():
    model, variables = small()
    sample = jax.jit(model.sample, static_argnums=2)
    drawn = lambda condition: np.asarray(sample(variables, KEY, 6, condition=condition))
    told = {"label": np.array([0, 1, 2, 2, 1, 0], np.int32), "given": BATCH["x"]}
    made = drawn(told)
    alone = jax.jit(model.methods["translate"])
    np.testing.assert_allclose(made, alone(variables, KEY, BATCH["x"], told["label"]), atol=1e-6)
    other = drawn({**told, "label": told["label"][::-1]})
    changed = np.abs(made - other).max(axis=(1, 2, 3)) > 0
    np.testing.assert_array_equal(changed, told["label"] != told["label"][::-1])
    # Without pictures they are drawn from the first batch, without domains these are drawn too.
    for condition in ({"label": told["label"]}, None):
        assert np.abs(drawn(condition) - made).max() > 0
    with pytest.raises(ValueError, match="holds 'label' and 'given'"):
        model.sample(variables, KEY, 6, condition={"domain": told["label"]})
    classes = jax.jit(model.methods["classify"])(variables, KEY, BATCH["x"])
    np.testing.assert_allclose(np.exp(classes).sum(axis=1), 1, rtol=1e-5)


def test_a_discriminator_without_a_logit_for_each_domain_is_refused():
    model = stargan(Shifted(), StarGANDiscriminator((4,), 2), num_domains=3)
    with pytest.raises(ValueError, match=r"logits \[B, 3\], not"):
        jax.eval_shape(model.init, KEY, BATCH)
