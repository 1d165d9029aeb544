"""VAE-GAN: each player's terms by hand for linear networks, and that pixels enter through features alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from genjax import adversarial
from genjax import autoencoders as ae

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(5, 2, 2, 1)).astype(np.float32)


class Encoder(nn.Module):
    """A code that is almost certain, so that the noise of q is out of the way."""

    @nn.compact
    def __call__(self, x):
        mean = nn.Dense(2)(x.reshape(x.shape[0], -1))
        return mean, jnp.full_like(mean, -16.0)


class Judge(nn.Module):
    """Features W x, score w times the first feature."""

    @nn.compact
    def __call__(self, x):
        features = nn.Dense(3)(x.reshape(x.shape[0], -1))
        return ae.Judgement(features, features[:, 0] * self.param("w", nn.initializers.constant(0.7), ()))


def model(similarity=0.3):
    return ae.vae_gan(
        Encoder(),
        ae.MLPDecoder((2, 2, 1), 1, ()),
        Judge(),
        latent_dim=2,
        similarity=similarity,
        discriminator_loss=adversarial.gan_discriminator_loss,
        decoder_loss=adversarial.non_saturating_generator_loss,
    )


def dense(tree, h):
    return h @ np.asarray(tree["kernel"], np.float64) + np.asarray(tree["bias"], np.float64)


def test_terms_and_players():
    built = model()
    variables = jax.jit(built.init)(KEY, {"x": X})
    params = variables.params
    flat = X.astype(np.float64).reshape(5, 4)
    mean = dense(params["encoder"]["Dense_0"], flat)
    decode = lambda z: dense(params["decoder"]["MLP_0"]["Dense_0"], z)
    judge = lambda x: dense(params["discriminator"]["Dense_0"], x)
    like = 0.5 * ((judge(flat) - judge(decode(mean))) ** 2).sum(axis=1).mean()
    rate = 0.5 * (mean**2 + np.exp(-32.0) - 1 + 32.0).sum(axis=1).mean()
    nats = lambda scores: -np.log(scipy.stats.logistic.cdf(scores))
    score = lambda x: 0.7 * judge(x)[:, 0]
    from_prior = jax.jit(lambda key: jax.random.normal(jax.random.split(key)[1], (5, 2)))
    drawn = score(decode(np.asarray(from_prior(KEY), np.float64)))
    remade = score(decode(mean))
    wanted = {
        "encoder": rate + like,
        "decoder": 0.3 * like + np.mean(nats(remade) + nats(drawn)),
        "discriminator": np.mean(nats(score(flat)) + nats(-remade) + nats(-drawn)),
    }
    assert [update.name for update in built.updates] == list(wanted)
    for update in built.updates:
        assert update.players == (update.name,)
        loss, _ = jax.jit(update.loss)(variables, {"x": X}, KEY, jnp.int32(0))
        np.testing.assert_allclose(loss, wanted[update.name], rtol=1e-5, err_msg=update.name)


def test_what_features_do_not_see_costs_nothing():
    """A change of the picture in the null space of the features leaves the reconstruction term as it is."""
    features = np.random.default_rng(0).normal(size=(4, 3))
    null = np.linalg.svd(features.T)[2][-1]
    seen = lambda x: (x @ features).astype(np.float32)
    x, y = np.random.default_rng(1).normal(size=(2, 5, 4))
    distortion = jax.jit(ae.feature_distortion)
    before, after = distortion(seen(x), seen(y)), distortion(seen(x), seen(y + 3.0 * null))
    np.testing.assert_allclose(before, after, rtol=1e-4)
    wanted = -scipy.stats.norm.logpdf(x @ features, y @ features).sum(axis=1) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(before, wanted, rtol=1e-4)
    with pytest.raises(ValueError, match="same"):
        ae.feature_distortion(seen(x), seen(y)[:, :2])


def test_samples_interpolations_and_the_judge():
    built = model()
    variables = jax.jit(built.init)(KEY, {"x": X})
    interpolate = jax.jit(built.methods["interpolate"], static_argnames="num")
    line = np.asarray(interpolate(variables, KEY, X, X[::-1], num=3))
    rebuilt = jax.jit(built.methods["reconstruct"])(variables, KEY, X)
    np.testing.assert_allclose(line[:, 0], rebuilt, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(line[:, 2], line[::-1, 0], rtol=1e-4, atol=1e-5)
    assert jax.eval_shape(lambda v: built.sample(v, KEY, 3), variables).shape == (3, 2, 2, 1)
    found = jax.eval_shape(lambda: ae.ConvJudge((4, 8), 6).init_with_output(KEY, jnp.zeros((2, 8, 8, 1)))[0])
    assert found.features.shape == (2, 6) and found.scores.shape == (2,)
