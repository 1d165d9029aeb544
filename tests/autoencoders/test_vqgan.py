"""VQGAN: lambda and both objectives by hand for a linear decoder; the transformer by enumeration and a plain loop."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs.autoencoders import vqgan_prior
from genjax import autoencoders as ae
from tests.autoregressive.raster_checks import random_variables

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(6, 4, 4, 1)).astype(np.float32)


class Squares(nn.Module):
    """Squares of 2 x 2 pixels -> vectors [2], or back, by one matrix named 'last'."""

    outputs: int
    back: bool

    @nn.compact
    def __call__(self, x):
        if not self.back:
            x = x.reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 2, 2, 4)
        x = nn.Dense(self.outputs, name="last")(x)
        return x.reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4, 1) if self.back else x


class Judge(nn.Module):
    """A score a square: its mean, times w."""

    @nn.compact
    def __call__(self, x):
        w = self.param("w", nn.initializers.constant(0.7), ())
        return w * x.reshape(-1, 2, 2, 2, 2).mean(axis=(2, 4))


def build(**options):
    squared = lambda weights, x, y: weights * jnp.sum((x - y) ** 2, axis=(1, 2, 3))
    settings = {"num_codes": 5, "grid": (2, 2), "commitment": 0.3, "adversarial_weight": 0.8} | options
    networks = Squares(2, False), Squares(4, True), Judge()
    return ae.vqgan(*networks, perceptual=squared, perceptual_weights=lambda: np.float32(0.05), **settings)


def test_lambda_and_both_objectives():
    model = build(start=3)
    variables = jax.jit(model.init)(KEY, {"x": X})
    autoencode, discriminate = (jax.jit(update.loss) for update in model.updates)
    codes = jax.jit(model.methods["codes"])(variables, KEY, X)
    e = np.asarray(variables.state["codebook"].vectors, np.float64)[np.asarray(codes[0])]
    last = variables.params["decoder"]["last"]
    kernel, bias = (np.asarray(last[name], np.float64) for name in ("kernel", "bias"))
    squares = X.astype(np.float64).reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 2, 2, 4)
    again = e @ kernel + bias
    off = again - squares
    # d/dG of mean |off| + 0.05 sum off^2 / B, and of -mean over squares of 0.7 mean(again).
    of_reconstruction = np.einsum("bijd,bijp->dp", e, np.sign(off) / off.size + 0.1 * off / len(X))
    of_adversary = np.einsum("bijd,bijp->dp", e, np.full(off.shape, -0.7 / off.size))
    ratio = np.linalg.norm(of_reconstruction) / (np.linalg.norm(of_adversary) + 1e-6)
    scores = 0.7 * again.mean(axis=-1)
    reconstruction = np.abs(off).mean() + 0.05 * (off**2).sum(axis=(1, 2, 3)).mean()
    (_, aux), batch = autoencode(variables, {"x": X}, KEY, jnp.int32(0)), {"x": X}
    np.testing.assert_allclose(aux.metrics["adaptive_weight"], ratio, rtol=1e-4)
    committed = float(aux.metrics["commitment"])
    for step, joined in ((2, 0.0), (3, 0.8)):
        loss, _ = autoencode(variables, batch, KEY, jnp.int32(step))
        wanted = reconstruction + 0.3 * committed - joined * ratio * scores.mean()
        np.testing.assert_allclose(loss, wanted, rtol=1e-4)
        loss, _ = discriminate(variables, batch, KEY, jnp.int32(step))
        hinge = np.maximum(0, 1 - 0.7 * squares.mean(-1)).mean() + np.maximum(0, 1 + scores).mean()
        np.testing.assert_allclose(loss, (joined > 0) * hinge, rtol=1e-4)
    # lambda is no part of the gradient: that of the total is the sum of both, lambda a number.
    loss = lambda kernel: model.updates[0].loss(
        variables._replace(params={**variables.params, "decoder": {"last": {**last, "kernel": kernel}}}),
        batch, KEY, jnp.int32(3),
    )[0]  # fmt: skip
    gradient = jax.jit(jax.grad(loss))(last["kernel"])
    np.testing.assert_allclose(gradient, of_reconstruction + 0.8 * ratio * of_adversary, rtol=1e-3, atol=1e-5)


def test_the_ratio_is_cut_and_survives_an_adversary_without_gradient():
    g, adaptive_weight = np.float32([3.0, 4.0]), jax.jit(ae.adaptive_weight)
    np.testing.assert_allclose(adaptive_weight(g, 2 * g), 0.5, rtol=1e-5)
    assert float(adaptive_weight(g, 0 * g)) == 1e4
    assert float(adaptive_weight(g, 0 * g, largest=np.inf)) == pytest.approx(5e6)
    with pytest.raises(ValueError, match="same weights"):
        ae.adaptive_weight(g, g[:1])


def test_hinge_is_a_mean_over_patches():
    real, fake = np.float32([[[2.0, 0.5], [-1.0, 1.0]]]), np.float32([[[-2.0, 0.0], [1.0, -0.5]]])
    terms = jax.jit(ae.patch_hinge_loss)(real, fake)
    np.testing.assert_array_equal(terms.real, [(0 + 0.5 + 2 + 0) / 4])
    np.testing.assert_array_equal(terms.fake, [(0 + 1 + 2 + 0.5) / 4])
    np.testing.assert_array_equal(jax.jit(ae.patch_generator_loss)(fake), [1.5 / 4])
    with pytest.raises(ValueError, match="patches"):
        ae.patch_generator_loss(fake[0])


def test_decoders_are_convolutions_and_take_larger_grids():
    decoder = ae.GridDecoder((4,), 1, 1)
    params = jax.eval_shape(decoder.init, KEY, np.zeros((1, 2, 2, 3), np.float32))
    shape = lambda h, w: jax.eval_shape(decoder.apply, params, jax.ShapeDtypeStruct((1, h, w, 3), jnp.float32)).shape
    assert shape(2, 2) == (1, 4, 4, 1) and shape(3, 5) == (1, 6, 10, 1)


def transformer(grid, num_codes=2, num_classes=2):
    network = ae.CodeTransformer(num_codes, 8, 1, 2, num_classes)
    model = ae.transformer_prior(network, grid=grid, conditional=num_classes > 0)
    batch = {"x": np.zeros((2, *grid, 1), np.int32), "condition": np.zeros(2, np.int32)}
    return network, model, random_variables(model, batch)


def test_probabilities_of_all_grids_sum_to_one_and_samples_have_them():
    _, model, variables = transformer((2, 2))
    every = np.array(list(itertools.product([0, 1], repeat=4)), np.int32)
    score = jax.jit(model.log_prob.fn)
    batch = lambda label: {"x": every.reshape(16, 2, 2, 1), "condition": np.full(16, label, np.int32)}
    p, other = (np.exp(np.asarray(score(variables, KEY, batch(label)), np.float64)) for label in (0, 1))
    np.testing.assert_allclose([p.sum(), other.sum()], 1.0, rtol=1e-5)
    assert np.abs(np.log(p) - np.log(other)).max() > 0.1  # the class is heard
    num = 6000
    drawn = jax.jit(model.sample, static_argnums=2)(variables, KEY, num, condition=np.zeros(num, np.int32))
    found = np.bincount(np.asarray(drawn).reshape(num, 4) @ [8, 4, 2, 1], minlength=16) / num
    np.testing.assert_allclose(found, p, atol=5 * np.sqrt(p.max() / num))


def test_larger_grids_are_drawn_by_the_window_around_each_code():
    """Temperature near zero: the draw is the argmax, which a plain loop over windows finds too."""
    network, model, variables = transformer((2, 3), num_codes=5)
    label, size = np.int32([0, 1]), (4, 5)
    sample = jax.jit(model.sample, static_argnums=2, static_argnames="grid")
    draw = lambda **grid: np.asarray(sample(variables, KEY, 2, condition=label, temperature=1e-6, **grid))
    logits_of = jax.jit(lambda codes: network.apply({"params": variables.params["transformer"]}, codes, label))
    codes = np.zeros((2, *size), np.int32)
    for i in range(4):
        top = {0: 0, 1: 0, 2: 1, 3: 2}[i]  # two rows, the code in the second where the grid allows
        for j in range(5):
            left = {0: 0, 1: 0, 2: 1, 3: 2, 4: 2}[j]  # three columns, the code in the middle one
            seen = codes[:, top : top + 2, left : left + 3].reshape(2, 6)
            logits = np.asarray(logits_of(seen))[:, 3 * (i - top) + j - left]
            codes[:, i, j] = logits.argmax(axis=-1)
    np.testing.assert_array_equal(draw(grid=size)[..., 0], codes)
    assert len(np.unique(codes)) > 1
    np.testing.assert_array_equal(draw(grid=(2, 3)), draw())
    with pytest.raises(ValueError, match="smaller"):
        draw(grid=(1, 3))
    with pytest.raises(ValueError, match="conditional"):
        model.sample(variables, KEY, 2)


def test_from_noise_to_pictures_larger_than_those_of_training():
    """The whole way of the second stage: class, codes by the window, pictures by the first stage's decoder."""
    config = vqgan_prior.get_config("tiny")
    config.sample.grid = (5, 6)
    system = vqgan_prior.build(config)
    batch = {"x": np.zeros((2, 8, 8, 1), np.float32), "label": np.zeros(2, np.int32)}
    variables = jax.eval_shape(system.model.init, KEY, batch)
    assert jax.eval_shape(lambda v: system.preview(v, KEY, 3), variables).shape == (3, 10, 12, 1)
    draw = lambda v: system.model.sample(v, KEY, 2, condition=batch["label"])
    assert jax.eval_shape(draw, variables).shape == (2, 8, 8, 1)
