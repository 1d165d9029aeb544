"""VQ-VAE: its loss by hand in NumPy, its gradients, its bound, and the second stage against an enumeration of codes."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.cluster.vq
import scipy.stats

from experiments.codes import CodePixelCNN, map_of_codes
from genjax import autoencoders as ae
from genjax.autoregressive.categorical import softmax_head
from genjax.autoregressive.raster import raster_model
from genjax.contract import Variables
from tests.autoregressive.raster_checks import filled, random_variables

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(6, 4, 4, 1)).astype(np.float32)


class Linear(nn.Module):
    """Squares of 2 x 2 pixels -> vectors [2], place by place, so that all can be written out."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x.reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 2, 2, 4))


class LinearBack(nn.Module):
    @nn.compact
    def __call__(self, z):
        return nn.Dense(4)(z).reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4, 1)


def build(builder, **options):
    settings = {"num_codes": 5, "grid": (2, 2)} | options
    return builder(Linear(), LinearBack(), ae.fixed_gaussian(0.5), **settings)


def by_hand(params, vectors, x):
    """Return distortion, squared distances, codes and the pieces of the linear model, in float64."""
    dense = lambda name: [np.asarray(params[name]["Dense_0"][leaf], np.float64) for leaf in ("kernel", "bias")]
    squares = np.asarray(x, np.float64).reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 2, 2, 4)
    (w, b), (v, c) = dense("encoder"), dense("decoder")
    z = squares @ w + b
    codes, distance = scipy.cluster.vq.vq(z.reshape(-1, 2), np.asarray(vectors, np.float64))
    e = np.asarray(vectors, np.float64)[codes].reshape(z.shape)
    nats = -scipy.stats.norm.logpdf(squares, e @ v + c, 0.5).sum(axis=(1, 2, 3))
    return nats, (distance**2).reshape(-1, 4).mean(axis=1), codes.reshape(-1, 2, 2), (squares, z, e, v, c)


def test_loss_and_bound_are_the_papers():
    model = build(ae.vq_vae, commitment=0.3)
    variables = jax.jit(model.init)(KEY, {"x": X})
    vectors = variables.params["codebook"]["vectors"]
    nats, squared, codes, _ = by_hand(variables.params, vectors, X)
    loss, aux = jax.jit(model.updates[0].loss)(variables, {"x": X}, KEY, jnp.int32(0))
    np.testing.assert_allclose(loss, np.mean(nats + 1.3 * squared), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["commitment"], np.mean(squared), rtol=1e-4)
    np.testing.assert_array_equal(jax.jit(model.methods["codes"])(variables, KEY, X)[0], codes)
    bound = jax.jit(model.log_prob.fn)(variables, KEY, {"x": X})
    np.testing.assert_allclose(bound, -nats - 4 * np.log(5), rtol=1e-5)


@pytest.mark.parametrize("builder", [ae.vq_vae, ae.vq_vae_ema])
def test_the_encoder_gets_the_gradient_of_the_decoder_input(builder):
    """d L / d z = d(-log p) / d e + 2 beta (z - e) / 4, written out for the linear model."""
    model = build(builder, commitment=0.3)
    variables = jax.jit(model.init)(KEY, {"x": X})
    vectors = variables.params["codebook"]["vectors"] if builder is ae.vq_vae else variables.state["codebook"].vectors
    loss = lambda params: model.updates[0].loss(variables._replace(params=params), {"x": X}, KEY, jnp.int32(0))[0]
    gradient = jax.jit(jax.grad(loss))(dict(variables.params))
    _, _, _, (squares, z, e, v, c) = by_hand(variables.params, vectors, X)
    of_e = ((e @ v + c - squares) / 0.25) @ v.T / len(X)
    of_z = of_e + 0.3 * 2 * (z - e) / 4 / len(X)
    wanted = np.einsum("bijp,bijd->pd", squares, of_z)
    np.testing.assert_allclose(gradient["encoder"]["Dense_0"]["kernel"], wanted, rtol=1e-4, atol=1e-5)


def test_the_codebook_moves_with_its_batch_and_restarts():
    moved = build(ae.vq_vae_ema, decay=0.5)
    variables = jax.jit(moved.init)(KEY, {"x": X})
    book = variables.state["codebook"]
    _, aux = jax.jit(moved.updates[0].loss)(variables, {"x": X}, KEY, jnp.int32(0))
    _, _, codes, (_, z, _, _, _) = by_hand(variables.params, book.vectors, X)
    n = 0.5 * np.asarray(book.counts) + 0.5 * np.bincount(codes.reshape(-1), minlength=5)
    m = 0.5 * np.asarray(book.counts)[:, None] * np.asarray(book.vectors)
    np.add.at(m, codes.reshape(-1), 0.5 * z.reshape(-1, 2))
    np.testing.assert_allclose(aux.state["codebook"].vectors, m / n[:, None], rtol=1e-4, atol=1e-5)

    after = jax.jit(build(ae.vq_vae, restart_below=0.5).updates[0].after)
    vectors, counts = np.arange(10, dtype=np.float32).reshape(5, 2), np.float32([0.0, 4.0, 3.0, 3.0, 9.0])
    params, state = jax.tree.map(np.asarray, after({"codebook": {"vectors": vectors}}, {"counts": counts}))
    np.testing.assert_allclose(params["codebook"]["vectors"][0], 1.01 * vectors[4], rtol=1e-6)
    np.testing.assert_allclose(state["counts"], [4.5, 4.0, 3.0, 3.0, 4.5])


def test_a_wrong_grid_and_a_condition_are_refused():
    with pytest.raises(ValueError, match="grid"):
        jax.eval_shape(build(ae.vq_vae_ema, grid=(4, 2)).init, KEY, {"x": X})
    model = build(ae.vq_vae_ema)
    with pytest.raises(ValueError, match="no condition"):
        model.sample(jax.eval_shape(model.init, KEY, {"x": X}), KEY, 2, condition=np.zeros(2, np.int32))


class SecondStage:
    """Two codes at 2 x 2 places: 16 pictures of codes, which can be listed."""

    def __init__(self):
        self.stage = build(ae.vq_vae_ema, num_codes=2)
        self.frozen = jax.jit(self.stage.init)(KEY, {"x": X})
        network = CodePixelCNN(2, features=4, layers=2, first_kernel=3, num_classes=3)
        prior = raster_model(
            network, softmax_head(2, 1), player="p", shape=(2, 2, 1), levels=2, condition_of=lambda b: b["condition"]
        )
        self.model = ae.code_prior(
            self.stage, [ae.Level("prior", prior)], stage_name="vq", condition_of=lambda batch: batch["label"]
        )
        self.label = np.arange(6, dtype=np.int32) % 3
        self.batch = {"x": X, "label": self.label}
        init = lambda frozen: self.model.init(KEY, self.batch, vq=frozen)
        state = jax.jit(lambda frozen: init(frozen).state)(self.frozen)
        self.variables = Variables(filled(jax.eval_shape(init, self.frozen).params), state)
        self.prior_log_prob = jax.jit(prior.log_prob.fn)


@functools.cache
def second_stage():
    return SecondStage()


ALL = np.array(list(itertools.product([0, 1], repeat=4)), np.int32).reshape(16, 2, 2, 1)


def test_the_bound_lies_below_the_sum_over_all_codes():
    """log sum_c P(c) p(x|c) over all 16 codes, and the bound from its single term."""
    s = second_stage()
    own = Variables(s.variables.params["prior"])
    nats = {}
    for label in range(3):
        told = {"x": ALL, "condition": np.full(16, label, np.int32)}
        nats[label] = np.asarray(s.prior_log_prob(own, KEY, told), np.float64)
        np.testing.assert_allclose(np.exp(nats[label]).sum(), 1.0, rtol=1e-5)  # of all codes
    bound = np.asarray(jax.jit(s.model.log_prob.fn)(s.variables, KEY, s.batch))
    codes = np.asarray(jax.jit(s.stage.methods["codes"])(s.frozen, KEY, X)[0])
    code_distortion = jax.jit(s.stage.methods["code_distortion"])
    for i, label in enumerate(s.label):
        same = np.broadcast_to(X[i : i + 1], (16, 4, 4, 1))
        distortion = code_distortion(s.frozen, KEY, same, (ALL[..., 0],))
        terms = nats[label] - np.asarray(distortion, np.float64)
        own_code = int("".join(map(str, codes[i].reshape(-1))), 2)
        np.testing.assert_allclose(bound[i], terms[own_code], rtol=1e-4)
        assert bound[i] <= np.logaddexp.reduce(terms) + 1e-4


def test_sampled_codes_have_the_priors_probabilities_and_their_class_matters():
    s = second_stage()
    num = 6000
    label = np.full(num, 1, np.int32)
    draw = jax.jit(s.model.methods["sample_codes"], static_argnums=2)
    (codes,) = draw(s.variables, KEY, num, condition=label)
    found = np.bincount(np.asarray(codes).reshape(num, 4) @ [8, 4, 2, 1], minlength=16) / num
    own = Variables(s.variables.params["prior"])
    told = {"x": ALL, "condition": np.full(16, 1, np.int32)}
    p = np.exp(np.asarray(s.prior_log_prob(own, KEY, told)))
    np.testing.assert_allclose(found, p, atol=5 * np.sqrt(0.25 / num))
    assert p.max() > 1.5 / 16


def test_the_stage_is_frozen_and_asked_for():
    s = second_stage()
    passed = []  # under jit, which hands out its own arrays

    @jax.jit
    def loss(variables):
        value, aux = s.model.updates[0].loss(variables, s.batch, KEY, jnp.int32(0))
        passed.append(aux.state["stage"] is variables.state["stage"])
        return value

    assert np.isfinite(loss(s.variables)) and all(passed) and s.model.updates[0].players == ("prior",)
    with pytest.raises(ValueError, match="vq="):
        jax.eval_shape(s.model.init, KEY, s.batch)


def test_code_pixelcnn_sees_codes_before_and_no_other_and_samples_incrementally_as_naively():
    shape, levels = (2, 3, 1), 5
    network = CodePixelCNN(levels, features=4, layers=2, first_kernel=3)
    told = dict(player="p", shape=shape, levels=levels, condition_of=lambda batch: batch["condition"])
    model = raster_model(network, softmax_head(levels, 1), **told)
    random = np.random.default_rng(0)
    maps = random.normal(size=(3, 2, 3, 2)).astype(np.float32)
    x = random.integers(0, levels, (3, *shape), np.int32)
    variables = random_variables(model, {"x": x, "condition": maps})
    outputs = jax.jit(lambda x: model.methods["outputs"](variables, KEY, x, condition=maps))
    before = np.asarray(outputs(x)).reshape(3, 6, levels)
    for place in range(6):
        changed = x.copy().reshape(3, 6)
        changed[:, place] = (changed[:, place] + 1) % levels
        moved = np.asarray(outputs(changed.reshape(3, *shape))).reshape(3, 6, levels)
        differ = np.any(np.abs(moved - before) > 1e-6, axis=(0, 2))
        assert not differ[: place + 1].any() and (place == 5 or differ[place + 1])
    quick, slow = (jax.jit(f, static_argnums=2) for f in (model.sample, model.methods["sample_naive"]))
    np.testing.assert_array_equal(quick(variables, KEY, 3, condition=maps), slow(variables, KEY, 3, condition=maps))


def test_a_finer_grid_is_told_the_code_above_it_and_the_class():
    told_of = jax.jit(lambda coarse, label: map_of_codes(coarse, (4, 4), 3, label, 5))
    told = np.asarray(told_of(np.int32([[[0, 1], [2, 1]]]), np.int32([4])))
    assert told.shape == (1, 4, 4, 8)
    np.testing.assert_array_equal(told[0, :, :, :3].argmax(-1), np.kron([[0, 1], [2, 1]], np.ones((2, 2))))
    assert np.all(told[..., 3:].argmax(-1) == 4) and np.all(told.sum(-1) == 2)
