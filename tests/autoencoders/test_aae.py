"""Adversarial autoencoders: priors by their moments and lengths, objectives by hand, players that move."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from experiments.latent_match import label_some
from genjax import adversarial
from genjax import autoencoders as ae

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(6, 2, 2, 1)).astype(np.float32)
LOSSES = {
    "discriminator_loss": adversarial.gan_discriminator_loss,
    "encoder_loss": adversarial.non_saturating_generator_loss,
}


def test_mixture_has_its_components():
    prior = jax.jit(ae.mixture_prior(5, radius=4.0, spread=(0.5, 0.1)), static_argnums=1)
    z = np.asarray(prior(KEY, (20_000, 2)), np.float64)
    angles = 2 * np.pi * np.arange(5) / 5
    centres = 4.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    nearest = np.argmin(((z[:, None] - centres[None]) ** 2).sum(-1), axis=1)
    assert scipy.stats.chisquare(np.bincount(nearest, minlength=5)).pvalue > 1e-3
    for k, angle in enumerate(angles):
        mine, direction = z[nearest == k], np.array([np.cos(angle), np.sin(angle)])
        along, across = mine @ direction - 4.0, mine @ [-direction[1], direction[0]]
        assert scipy.stats.kstest(along, "norm", (0, 0.5)).pvalue > 1e-3
        assert scipy.stats.kstest(across, "norm", (0, 0.1)).pvalue > 1e-3


def test_swiss_roll_is_uniform_along_its_length():
    turns, radius = 1.5, 3.0
    prior = jax.jit(ae.swiss_roll_prior(turns=turns, radius=radius, std=0.0), static_argnums=1)
    z = np.asarray(prior(KEY, (4_000, 2)), np.float64)
    end = 2 * np.pi * turns
    angle = np.linalg.norm(z, axis=1) * end / radius
    spiral = radius / end * angle[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(z, spiral, atol=1e-4)
    speed = lambda a: radius / end * np.sqrt(1 + a**2)
    length = lambda a: scipy.integrate.quad(speed, 0, a)[0]
    share = np.array([length(a) for a in angle[:1000]]) / length(end)
    assert scipy.stats.kstest(share, "uniform").pvalue > 1e-3
    with pytest.raises(ValueError, match="plane"):
        ae.swiss_roll_prior()(KEY, (5, 3))


class Known(nn.Module):
    """A discriminator whose score is w times the first coordinate."""

    @nn.compact
    def __call__(self, z, *, train):
        return z[:, 0] * self.param("w", nn.initializers.constant(0.7), ())


def affine(params, name):
    return [np.asarray(params[name]["MLP_0"]["Dense_0"][leaf], np.float64) for leaf in ("kernel", "bias")]


def nats(params, x, codes):
    v, c = affine(params, "decoder")
    return -scipy.stats.norm.logpdf(np.asarray(x).reshape(len(x), -1), codes @ v + c, 0.5).sum(axis=1)


def test_the_three_objectives_and_their_players():
    prior = lambda key, shape: jnp.full(shape, 0.4)
    networks = ae.MLPCoder(2, ()), ae.MLPDecoder((2, 2, 1), 1, ())
    model = ae.aae(*networks, Known(), ae.fixed_gaussian(0.5), latent_dim=2, prior=prior, **LOSSES)
    variables, batch = jax.jit(model.init)(KEY, {"x": X}), {"x": X}
    w, b = affine(variables.params, "encoder")
    codes = X.reshape(6, -1) @ w + b
    real, fake = scipy.stats.logistic.cdf(0.7 * 0.4), scipy.stats.logistic.cdf(0.7 * codes[:, 0])
    wanted = {
        "reconstruct": (("encoder", "decoder"), nats(variables.params, X, codes).mean()),
        "discriminate": (("discriminator",), -np.log(real) - np.mean(np.log(1 - fake))),
        "regularize": (("encoder",), -np.mean(np.log(fake))),
    }
    assert [update.name for update in model.updates] == list(wanted)
    for update in model.updates:
        players, loss = wanted[update.name]
        assert update.players == players
        np.testing.assert_allclose(jax.jit(update.loss)(variables, batch, KEY, jnp.int32(0))[0], loss, rtol=1e-5)


def test_the_semi_supervised_objectives_and_their_players():
    prior = lambda key, shape: jnp.full(shape, 0.4)
    networks = ae.MLPCoder(5, ()), ae.MLPDecoder((2, 2, 1), 1, ())
    model = ae.semi_supervised_aae(
        *networks, Known(), Known(), ae.fixed_gaussian(0.5), num_classes=3, style_dim=2, style_prior=prior, **LOSSES
    )
    label, labelled = np.int32([0, 1, 2, 0, 1, 2]), np.asarray([True, False, False, True, True, False])
    batch = {"x": X, "label": label, "labelled": labelled}
    variables = jax.jit(model.init)(KEY, batch)
    w, b = affine(variables.params, "encoder")
    out = X.reshape(6, -1) @ w + b
    probs = np.exp(out[:, :3]) / np.exp(out[:, :3]).sum(axis=1, keepdims=True)
    codes = np.concatenate([probs, out[:, 3:]], axis=1)
    found = jax.jit(lambda v: {u.name: u.loss(v, batch, KEY, jnp.int32(0)) for u in model.updates})(variables)
    losses = {name: float(loss) for name, (loss, _) in found.items()}
    np.testing.assert_allclose(losses["reconstruct"], nats(variables.params, X, codes).mean(), rtol=1e-5)
    np.testing.assert_allclose(losses["classify"], -np.sum(np.log(probs)[[0, 3, 4], [0, 0, 1]]) / 6, rtol=1e-5)
    fake = lambda column: np.log(scipy.stats.logistic.cdf(0.7 * column))
    np.testing.assert_allclose(losses["regularize"], -np.mean(fake(probs[:, 0]) + fake(out[:, 3])), rtol=1e-5)
    metrics = found[model.updates[1].name][1].metrics
    np.testing.assert_allclose(metrics["style_real"], -fake(0.4), rtol=1e-5)
    np.testing.assert_allclose(metrics["class_fake"], np.mean(-fake(-probs[:, 0])), rtol=1e-5)
    assert [u.players for u in model.updates[2:]] == [("encoder",), ("encoder",)]
    samples = jax.jit(model.sample, static_argnums=2)(variables, KEY, 4, condition=np.arange(4, dtype=np.int32) % 3)
    samples = np.asarray(samples)
    assert samples.shape == (4, 2, 2, 1) and np.any(samples[0] != samples[1])
    with pytest.raises(ValueError, match="labels"):
        model.sample(variables, KEY, 4)


def test_the_same_pictures_are_labelled_in_every_pass():
    x, label = np.random.default_rng(0).integers(0, 17, (3000, 4, 4, 1), np.uint8), jax.jit(label_some(0.1))
    first = np.asarray(label(KEY, {"x": x})["labelled"])
    again = np.asarray(label(jax.random.key(9), {"x": x[::-1]})["labelled"])[::-1]
    np.testing.assert_array_equal(first, again)
    assert scipy.stats.binomtest(int(first.sum()), 3000, 0.1).pvalue > 1e-3
