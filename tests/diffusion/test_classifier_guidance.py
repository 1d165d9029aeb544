"""Guidance of a mixture's model by its own classifier: samples are its components', as sharp as the scale says."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import data_path, processes
from genjax.contract import GenerativeModel, Variables
from genjax.diffusion import (
    NoisyClassifier,
    classification_loss,
    classifier_guidance,
    classifier_guided,
    ddim,
    mean_shifted,
    step_variances,
    uniform_between,
)
from genjax.processes import point_at
from tests.diffusion import exact

KEY = jax.random.key(0)
FAST_KEY = jax.random.key(0, impl="rbg")  # for many draws: they take a third of the time
PATH = processes.linear_path()
POINT_OF = jax.jit(lambda t: point_at(PATH, t))  # samplers read grids off it outside of any jit
MIXTURE = exact.Mixture([0.3, 0.7], [[-0.8, 0.0], [0.6, 0.3]], [0.3, 0.4])
TIMES = processes.log_snr_times(POINT_OF, 60, start=1.0, end=0.001)


class ExactClassifier(nn.Module):
    """log p(k | x_t) of the mixture, read off c_in x_t and the level it is told; times a parameter."""

    @nn.compact
    def __call__(self, x, level, *, train=False):
        one = self.param("one", nn.initializers.ones_init(), ())
        ratio = jnp.exp(4.0 * level[0] / 100.0)
        alpha = 1.0 / jnp.sqrt(1.0 + ratio**2)
        x_t = x * jnp.sqrt((ratio * alpha) ** 2 + alpha**2)
        return one * MIXTURE.responsibilities(x_t, alpha, ratio * alpha)


def stage_denoise(variables, key, x, point):
    del key
    assert "frozen" in variables.params  # it is handed the stage's own variables
    return MIXTURE.denoiser(lambda t: point)(x, jnp.float32(0.0))


STAGE = GenerativeModel(
    init=lambda key, batch: Variables({"frozen": jnp.ones(())}), updates=(), sample=None, methods={"denoise_at": stage_denoise}
)


def by_eps(denoise, log_classifier, scale):
    return ddim(classifier_guided(denoise, log_classifier, POINT_OF, scale=scale), POINT_OF, TIMES)


def by_mean(denoise, log_classifier, scale):
    times = processes.log_snr_times(POINT_OF, 400, start=1.0, end=0.001)  # the shift is right for small steps
    sampler = ddim(denoise, POINT_OF, times, eta=1.0)
    return mean_shifted(sampler, log_classifier, step_variances(POINT_OF, times), scale=scale)


def model_of(sampler_of):
    return classifier_guidance(
        ExactClassifier(),
        STAGE,
        PATH,
        shape=(2,),
        data_path=data_path.continuous(),
        times=uniform_between(0.001, 1.0),
        sampler_of=sampler_of,
    )


@pytest.mark.parametrize("sampler_of", [by_eps, by_mean])
def test_samples_at_scale_one_are_the_components(sampler_of):
    model, num = model_of(sampler_of), 3000
    variables = jax.jit(model.init)(KEY, {"x": np.zeros((4, 2), np.float32), "label": np.zeros(4, np.int32)})
    drawn = jax.jit(lambda label, scale: model.sample(variables, FAST_KEY, 2 * num, condition=label, scale=scale))
    label = np.arange(2 * num, dtype=np.int32) % 2
    x = np.asarray(drawn(label, 1.0))
    for k in (0, 1):
        of = x[k::2]
        np.testing.assert_allclose(of.mean(axis=0), MIXTURE.means[k], atol=0.03)
        np.testing.assert_allclose(of.std(axis=0), MIXTURE.stds[k], atol=0.03)
    free = np.asarray(drawn(label, 0.0))
    mean = MIXTURE.weights @ MIXTURE.means
    np.testing.assert_allclose(free.mean(axis=0), mean, atol=0.05)
    sharp = np.asarray(drawn(label, 4.0))
    responsibilities = jax.jit(lambda x: MIXTURE.responsibilities(x, 1.0, 0.0))
    right = lambda x: np.exp(np.asarray(responsibilities(x)))[np.arange(2 * num), label].mean()
    assert right(free) < 0.62 < right(x) < right(sharp)


def test_the_loss_of_the_true_classifier_is_the_conditional_entropy():
    """E -log p(y | x_t) over the mixture, at one time, by draws in float64."""
    random = np.random.default_rng(0)
    label = random.choice(2, size=40_000, p=MIXTURE.weights)
    x = MIXTURE.means[label] + MIXTURE.stds[label, None] * random.normal(size=(40_000, 2))
    model = classifier_guidance(
        ExactClassifier(), STAGE, PATH, shape=(2,), data_path=data_path.continuous(), sampler_of=by_eps,
        times=lambda key, shape: jnp.full(shape, 0.2),
    )  # fmt: skip
    batch = {"x": x.astype(np.float32), "label": label.astype(np.int32)}
    variables = jax.jit(model.init)(KEY, batch)
    value, aux = jax.jit(model.updates[0].loss)(variables, batch, KEY, np.int32(0))
    alpha, sigma = (float(f(jnp.float32(0.2))) for f in PATH)
    x_t = alpha * x + sigma * random.normal(size=x.shape)
    parts = [exact.Mixture([1.0], MIXTURE.means[k : k + 1], MIXTURE.stds[k : k + 1]) for k in (0, 1)]
    joint = np.stack([np.log(w) + part.log_prob(x_t, alpha, sigma) for w, part in zip(MIXTURE.weights, parts)])
    surprise = MIXTURE.log_prob(x_t, alpha, sigma) - joint[label, np.arange(len(x))]
    assert float(value) == pytest.approx(surprise.mean(), abs=8 * surprise.std() / np.sqrt(len(x)))
    assert float(aux.metrics["accuracy"]) == pytest.approx(np.mean(joint.argmax(axis=0) == label), abs=0.015)


def test_variances_are_the_posteriors():
    """1 / variance is the precision that x_s has from x_0 alone plus what x_t adds (Bayes)."""
    alpha, sigma = processes.coefficients(POINT_OF, TIMES)
    a = alpha[:-1] / alpha[1:]
    fresh = sigma[:-1] ** 2 - (a * sigma[1:]) ** 2
    np.testing.assert_allclose(step_variances(POINT_OF, TIMES), 1.0 / (1.0 / sigma[1:] ** 2 + a**2 / fresh), rtol=1e-6)


def test_the_network_starts_without_an_opinion_of_its_own_level():
    network = NoisyClassifier(3, channels=(4, 8), groups=2)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    level = np.zeros(2, np.float32)
    logits, shapes = jax.eval_shape(network.init_with_output, KEY, x, level)
    assert logits.shape == (2, 3) and logits.dtype == np.float32
    random = np.random.default_rng(1)
    varied = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    apply = jax.jit(network.apply)
    assert np.any(np.asarray(apply(varied, x, level + 50)) != apply(varied, x, level))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="must be \\[B, K\\]"):
        classification_loss(np.zeros((3, 2), np.float32), np.zeros((3, 1), np.int32))
    model = model_of(by_eps)
    with pytest.raises(ValueError, match="give labels"):
        jax.eval_shape(lambda key: model.sample(model.init(key, {"x": jnp.zeros((4, 2))}), key, 3), KEY)
