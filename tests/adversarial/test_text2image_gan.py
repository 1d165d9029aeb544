"""Text to pictures: the losses by enumeration, the game's signs by the optimum, and who learns from whom."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from genjax.adversarial import (
    PictureEncoder,
    TextDiscriminator,
    TextEncoder,
    TextGenerator,
    matching_aware_loss,
    ranking_loss,
    text2image_gan,
)
from genjax.adversarial.text_matching import TextFeatures

KEY = jax.random.key(0)


def test_matching_aware_loss_is_the_papers_line_of_probabilities():
    real, mismatched, fake = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32) * 3
    terms = jax.device_get(jax.jit(matching_aware_loss)(real, mismatched, fake))
    ascended = np.log(expit(real)) + (np.log(1 - expit(mismatched)) + np.log(1 - expit(fake))) / 2
    np.testing.assert_allclose(-sum(terms), ascended, rtol=1e-5)


def test_the_optimal_score_balances_real_against_both_wrongs():
    """With densities r, w, f of the three kinds of pairs, the best score is log r - log((w + f) / 2)."""
    r, w, f = 0.6, 0.3, 0.05

    def expected(score):
        terms = matching_aware_loss(score[None], score[None], score[None])
        return (r * terms.real + w * terms.mismatched + f * terms.fake)[0]

    best = np.log(r) - np.log((w + f) / 2)
    slope = jax.jit(jax.grad(expected))
    np.testing.assert_allclose(slope(np.float32(best)), 0, atol=1e-6)
    assert float(slope(np.float32(best + 0.1))) > 0 > float(slope(np.float32(best - 0.1)))


def test_ranking_loss_by_enumeration():
    rng = np.random.default_rng(1)
    similarity, label = rng.normal(size=(5, 5)).astype(np.float32), np.array([0, 1, 0, 2, 1])
    rank = jax.jit(ranking_loss)
    terms = jax.device_get(rank(similarity, label[:, None] != label, margin=0.7))
    for i in range(5):
        others = [j for j in range(5) if label[j] != label[i]]
        picture = np.mean([max(0, 0.7 + similarity[i, j] - similarity[i, i]) for j in others])
        text = np.mean([max(0, 0.7 + similarity[j, i] - similarity[i, i]) for j in others])
        np.testing.assert_allclose([terms.picture[i], terms.text[i]], [picture, text], rtol=1e-5)
    separated = jax.device_get(rank(2 * np.eye(5, dtype=np.float32), ~np.eye(5, dtype=bool), margin=1.0))
    assert not np.any(separated.picture) and not np.any(separated.text)
    alone = jax.device_get(rank(np.ones((2, 2), np.float32), np.zeros((2, 2), bool)))
    assert not np.any(alone.picture)
    with pytest.raises(ValueError, match="square matrices"):
        ranking_loss(np.ones((2, 3), np.float32), np.ones((2, 3), bool))


def test_padding_does_not_reach_the_sentence():
    encoder = TextEncoder(9, 4)
    apply = jax.jit(functools.partial(encoder.apply, train=False))
    text = np.array([[3, 5, 2, 0, 0], [5, 3, 2, 0, 0], [0, 0, 0, 0, 0]], np.int32)
    variables = jax.device_get(jax.jit(functools.partial(encoder.init, train=False))(KEY, text))
    said = jax.device_get(apply(variables, text))
    np.testing.assert_array_equal(said.mask, [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    assert np.isfinite(said.sentence).all()
    assert np.abs(said.sentence[0] - said.sentence[1]).max() > 1e-3  # the order of words counts
    params = variables["params"]
    place, embedding = params["place"].copy(), params["word"]["embedding"].copy()
    place[3:] *= 2
    embedding[0] *= -3
    other = {"place": place, "word": {"embedding": embedding}}
    behind = jax.device_get(apply({"params": {**params, **other}}, text))
    np.testing.assert_allclose(behind.sentence[:2], said.sentence[:2], atol=1e-6)
    np.testing.assert_allclose(behind.words[:2, :3], said.words[:2, :3], atol=1e-6)
    assert np.abs(behind.words[:2, 3:] - said.words[:2, 3:]).max() > 1e-3


def networks():
    return (
        TextGenerator((8, 8, 3), (3, 4), told=3),
        TextDiscriminator((3, 4), told=3),
        TextEncoder(9, 4),
        PictureEncoder(4, (3,)),
    )


@functools.cache
def small():
    model = text2image_gan(*networks(), latent_dim=3)
    rng = np.random.default_rng(2)
    batch = {
        "x": rng.uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32),
        "text": rng.integers(1, 9, (4, 5)).astype(np.int32),
        "label": np.array([0, 1, 2, 2], np.int32),
    }
    return model, jax.jit(model.init)(KEY, batch), batch


def test_each_update_has_gradients_for_its_players():
    model, variables, batch = small()
    for update in model.updates:
        own = {player: variables.params[player] for player in update.players}

        def loss(params, update=update):
            return update.loss(variables._replace(params={**variables.params, **params}), batch, KEY, 0)

        gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name
        changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), variables.state, aux.state)
        moved = {player for player, tree in changed.items() if any(jax.tree.leaves(tree))}
        assert moved == set(update.players) & {"generator", "discriminator"}


class Match(nn.Module):
    """Score = w times the picture's mean times the embedding."""

    @nn.compact
    def __call__(self, x, embedding, *, train):
        return self.param("w", nn.initializers.ones, (1,)) * x.mean((1, 2, 3)) * embedding[:, 0]


class Paint(nn.Module):
    """A picture of one colour, the embedding plus theta."""

    @nn.compact
    def __call__(self, z, embedding, *, train):
        light = embedding[:, 0] + self.param("theta", nn.initializers.zeros, (1,))
        return jnp.broadcast_to(light[:, None, None, None], (len(z), 1, 1, 1))


class Say(nn.Module):
    """The embedding is the first token."""

    @nn.compact
    def __call__(self, text, *, train):
        told = self.param("scale", nn.initializers.ones, (1, 1)) * text[:, :1].astype(jnp.float32)
        return TextFeatures(told[:, None], jnp.ones(text.shape), told)


class See(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return self.param("scale", nn.initializers.ones, (1, 1)) * x[:, 0, 0]


@pytest.mark.parametrize("beta", [None, 0.25])
def test_a_game_by_hand(beta):
    """Three pictures with texts 1, 2, 3, of which the last two have one label: their texts do not mismatch."""
    model = text2image_gan(Paint(), Match(), Say(), See(), latent_dim=1, beta=beta)
    light, told = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    batch = {
        "x": light[:, None, None, None].astype(np.float32),
        "text": np.array([[1], [2], [3]], np.int32),
        "label": np.array([0, 1, 1], np.int32),
    }

    @jax.jit
    def losses(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0)[0] for update in model.updates]

    embed, discriminator, generator = losses(batch)
    other = np.array([3.0, 1.0, 2.0])
    wrong = -np.log(1 - expit(light * other)) * np.array([1, 1, 0])  # example 2 meets the text of 1, same label
    fake = -np.log(1 - expit(told * told))
    np.testing.assert_allclose(discriminator, np.mean(-np.log(expit(light * told)) + (wrong + fake) / 2), rtol=1e-5)
    own = np.mean(-np.log(expit(told**2)))
    mixed = 0 if beta is None else np.mean(-np.log(expit((beta * told + (1 - beta) * other) ** 2)))
    np.testing.assert_allclose(generator, own + mixed, rtol=1e-5)
    s = light[:, None] * told
    rows = [(0, [1, 2]), (1, [0]), (2, [0])]
    hinge = lambda i, j: max(0, 1 + s[i, j] - s[i, i]) + max(0, 1 + s[j, i] - s[i, i])
    expected = sum(np.mean([hinge(i, j) for j in js]) for i, js in rows)
    np.testing.assert_allclose(embed, expected / 3, rtol=1e-5)


def test_what_a_trained_model_can_do():
    model, variables, batch = small()
    latents, text = np.random.default_rng(3).normal(size=(2, 3)).astype(np.float32), batch["text"]
    between = jax.jit(functools.partial(model.methods["between_texts"], num_steps=2))
    walk = np.asarray(between(variables, KEY, latents, text[:2], text[2:]))
    assert walk.shape == (2, 2, 8, 8, 3)
    generate = jax.jit(model.methods["generate"])
    np.testing.assert_allclose(walk[:, 0], generate(variables, KEY, latents, text[:2]), atol=1e-5)
    np.testing.assert_allclose(walk[:, -1], generate(variables, KEY, latents, text[2:]), atol=1e-5)
    score = jax.jit(model.methods["score"])
    scores, others = (np.asarray(score(variables, KEY, batch["x"], t)) for t in (text, text[::-1]))
    assert scores.shape == (4,) and np.any(scores != others)
    with pytest.raises(ValueError, match="give `condition`"):
        model.sample(variables, KEY, 3)


def test_encoders_of_two_sizes_are_refused():
    generator, discriminator, text, _ = networks()
    _, _, batch = small()
    with pytest.raises(ValueError, match="embeddings of one size"):
        model = text2image_gan(generator, discriminator, text, PictureEncoder(5, (3,)), latent_dim=3)
        jax.eval_shape(model.init, KEY, batch)
