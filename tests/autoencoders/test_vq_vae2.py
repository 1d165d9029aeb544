"""VQ-VAE-2: its loss from parts that SciPy quantizes, and both priors together against an enumeration of all codes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.cluster.vq

from experiments.codes import CodePixelCNN, map_of_codes
from genjax import autoencoders as ae
from genjax.autoregressive.categorical import softmax_head
from genjax.autoregressive.raster import raster_model
from genjax.contract import Variables
from tests.autoregressive.raster_checks import filled

KEY = jax.random.key(0)
X = np.random.default_rng(1).normal(size=(5, 4, 4, 1)).astype(np.float32)
LABEL = np.arange(5, dtype=np.int32) % 2
NETWORKS = ae.TwoLevelNetworks(
    bottom=ae.GridEncoder((4,), 4, 1),
    top=ae.GridEncoder((4,), 2, 1),
    merge=ae.HalvesMerge(4, 3),
    decoder=ae.TwoLevelDecoder((4,), 1, 1),
)


@functools.cache
def first_stage():
    model = ae.vq_vae2(NETWORKS, ae.fixed_gaussian(0.5), num_codes=2, grid=(1, 1), commitment=0.3)
    return model, jax.jit(model.init)(KEY, {"x": X})


def quantized(z, vectors):
    codes, distance = scipy.cluster.vq.vq(np.asarray(z).reshape(-1, z.shape[-1]), np.asarray(vectors))
    squared = (distance**2).reshape(len(z), -1).mean(axis=1)
    return np.asarray(vectors)[codes].reshape(z.shape), codes.reshape(z.shape[:3]), squared


def test_loss_and_bound_are_the_papers():
    model, variables = first_stage()
    apply = lambda name, *x: jax.jit(getattr(NETWORKS, name).apply)({"params": variables.params["encoder"][name]}, *x)
    h = apply("bottom", X)
    e_top, top, committed_top = quantized(apply("top", h), variables.state["top"].vectors)
    z_bottom, vectors = apply("merge", h, e_top), variables.state["bottom"].vectors
    e_bottom, bottom, committed_bottom = quantized(z_bottom, vectors)
    decoder = {"params": variables.params["decoder"]}
    mean = jax.jit(NETWORKS.decoder.apply)(decoder, e_bottom, e_top)
    squares = ((X - np.asarray(mean)) ** 2).sum(axis=(1, 2, 3))
    nats = squares / (2 * 0.25) + 16 * (np.log(0.5) + 0.5 * np.log(2 * np.pi))

    @jax.jit  # one program, which runs the networks once
    def found(variables):
        loss, _ = model.updates[0].loss(variables, {"x": X}, KEY, jnp.int32(0))
        return loss, model.methods["codes"](variables, KEY, X), model.log_prob.fn(variables, KEY, {"x": X})

    loss, codes, bound = found(variables)
    np.testing.assert_allclose(loss, np.mean(nats + 0.3 * (committed_top + committed_bottom)), rtol=1e-5)
    for ours, wanted in zip(codes, (top, bottom), strict=True):
        np.testing.assert_array_equal(ours, wanted)
    np.testing.assert_allclose(bound, -nats - 5 * np.log(2), rtol=1e-5)
    assert set(model.updates[0].players) == {"encoder", "decoder"}


def test_every_part_gets_a_gradient():
    model, variables = first_stage()
    loss = lambda params: model.updates[0].loss(variables._replace(params=params), {"x": X}, KEY, jnp.int32(0))[0]
    gradient = jax.jit(jax.grad(loss))(dict(variables.params))
    assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))


def priors():
    def prior(grid, num_classes):
        network = CodePixelCNN(2, features=4, layers=2, first_kernel=3, num_classes=num_classes)
        of = lambda batch: batch["condition"]
        return raster_model(network, softmax_head(2, 1), player="p", shape=(*grid, 1), levels=2, condition_of=of)

    told = lambda before, labels: map_of_codes(before[0], (2, 2), 2, labels, 2)
    return [ae.Level("top", prior((1, 1), 2)), ae.Level("bottom", prior((2, 2), 0), told)]


def test_probabilities_of_all_codes_sum_to_one_and_samples_have_them():
    stage, frozen = first_stage()
    levels = priors()
    model = ae.code_prior(stage, levels, stage_name="vq", condition_of=lambda batch: batch["label"])
    init = lambda frozen: model.init(KEY, {"x": X, "label": LABEL}, vq=frozen)
    state = jax.jit(lambda frozen: init(frozen).state)(frozen)
    variables = Variables(filled(jax.eval_shape(init, frozen).params), state)
    every = np.array(list(itertools.product([0, 1], repeat=5)), np.int32)
    top, bottom = every[:, :1].reshape(-1, 1, 1), every[:, 1:].reshape(-1, 2, 2)
    label = np.ones(32, np.int32)

    def nats(level, x, told):
        own = Variables(variables.params[level.name])
        return level.prior.log_prob.fn(own, KEY, {"x": x[..., None], "condition": told})

    @jax.jit
    def total(top, bottom):
        return nats(levels[0], top, label) + nats(levels[1], bottom, map_of_codes(top, (2, 2), 2, label, 2))

    p = np.exp(np.asarray(total(top, bottom), np.float64))
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-5)
    # The bottom prior listens to the top code: P(bottom | top) is not the same under both.
    ratio = np.log(p[:16] / p[:16].sum()) - np.log(p[16:] / p[16:].sum())
    assert np.abs(ratio).max() > 0.1

    num = 6000
    draw = jax.jit(model.methods["sample_codes"], static_argnums=2)
    drawn = draw(variables, KEY, num, condition=np.ones(num, np.int32))
    flat = np.concatenate([np.asarray(grid).reshape(num, -1) for grid in drawn], axis=1)
    found = np.bincount(flat @ [16, 8, 4, 2, 1], minlength=32) / num
    np.testing.assert_allclose(found, p, atol=5 * np.sqrt(p.max() / num))
    assert [update.name for update in model.updates] == ["top", "bottom"]
