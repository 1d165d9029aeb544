"""SN-GAN's networks: the blocks' shortcuts, the projection's form, and a u that moves in one update alone."""

import functools
from functools import partial

import jax
import numpy as np
import pytest
from scipy.special import log_softmax

from genjax.adversarial import discriminator_block, first_discriminator_block, generator_block
from genjax.adversarial import projection_score, sngan
from genjax.adversarial.residual import double_side, halve_side

KEY = jax.random.key(0)


def test_projection_is_the_log_ratio_of_log_linear_posteriors():
    """log p(y|x) + log p(x) - log q(y|x) - log q(x), both posteriors softmaxes of phi (Miyato & Koyama, eq. 3-5)."""
    rng = np.random.default_rng(0)
    phi, of_p, of_q, ratio = (
        rng.normal(size=(5, 3)),
        rng.normal(size=(4, 3)),
        rng.normal(size=(4, 3)),
        rng.normal(size=5),
    )
    label = np.array([0, 3, 2, 1, 3])
    log_p, log_q = (log_softmax(phi @ v.T, axis=1)[np.arange(5), label] for v in (of_p, of_q))
    plain = ratio - np.log(np.exp(phi @ of_p.T).sum(1)) + np.log(np.exp(phi @ of_q.T).sum(1))
    single = [a.astype(np.float32) for a in (phi, (of_p - of_q)[label], plain)]
    np.testing.assert_allclose(jax.jit(projection_score)(*single), log_p - log_q + ratio, rtol=1e-4, atol=1e-5)


def test_sides_are_doubled_and_halved():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    doubled, halved = jax.jit(lambda x: (double_side(x), halve_side(x)))(x)
    np.testing.assert_array_equal(doubled, x.repeat(2, axis=1).repeat(2, axis=2))
    blocks = np.array([[x[:, i : i + 2, j : j + 2].mean((1, 2)) for j in (0, 2, 4)] for i in (0, 2)])
    np.testing.assert_allclose(halved, np.moveaxis(blocks, 2, 0), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="cannot be halved"):
        halve_side(np.ones((1, 3, 4, 1), np.float32))


def test_blocks_are_figure_8():
    """With plain functions for layers: the order of the operations, written out in the paper's order."""
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    kernels = iter(())

    def conv(features, kernel_size, use_bias=True):
        matrix, bias = next(kernels), 0.3 if use_bias else 0.0
        return lambda h: (1.0 if kernel_size == 1 else 2.0) * h @ matrix + bias

    rng = np.random.default_rng(1)
    a, b, c = (rng.normal(size=s).astype(np.float32) for s in ((3, 5), (5, 5), (3, 5)))
    relu, norm = lambda h: np.maximum(h, 0), lambda h: 0.5 * h + 1
    up, down = lambda h: h.repeat(2, 1).repeat(2, 2), lambda h: h.reshape(2, 2, 2, 2, 2, -1).mean((2, 4))

    kernels = iter((a, b, c))
    found = jax.jit(lambda x: generator_block(x, 5, conv=conv, norm=norm))(x)
    expected = 2 * relu(norm(2 * up(relu(norm(x))) @ a)) @ b + up(x) @ c
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    kernels = iter((a, b, c))
    found = jax.jit(lambda x: discriminator_block(x, 5, conv=conv))(x)
    expected = down(2 * relu(2 * relu(x) @ a + 0.3) @ b + 0.3) + down(x @ c + 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    kernels = iter((a, b, c))
    found = jax.jit(lambda x: first_discriminator_block(x, 5, conv=conv))(x)
    expected = down(2 * relu(2 * x @ a + 0.3) @ b + 0.3) + down(x @ c + 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)

    kernels = iter((np.eye(3, dtype=np.float32),) * 2)
    found = jax.jit(lambda x: discriminator_block(x, 3, conv=conv, halve=False))(x)
    np.testing.assert_allclose(found, 2 * relu(2 * relu(x) + 0.3) + 0.3 + x, rtol=1e-4, atol=1e-4)


@functools.cache
def small():
    model = sngan(
        (4, 4, 1), num_classes=3, latent_dim=3, generator_features=(4,), discriminator_features=(4, 4), halvings=1
    )
    x = np.random.default_rng(0).uniform(-1, 1, (6, 4, 4, 1)).astype(np.float32)
    batch = {"x": x, "label": np.array([0, 1, 2, 0, 1, 2], np.int32)}
    return model, jax.jit(model.init)(KEY, batch), batch


def test_u_moves_in_the_discriminators_own_update_alone():
    model, variables, batch = small()
    moved = {}
    for update in model.updates:
        (mover,) = update.players

        def loss(params):
            return update.loss(variables._replace(params={**variables.params, mover: params}), batch, KEY, 0)

        gradient, aux = jax.jit(jax.grad(loss, has_aux=True))(variables.params[mover])
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), mover
        moved[mover] = jax.tree.map(lambda a, b: not np.array_equal(a, b), variables.state, aux.state)
    assert set(variables.state["discriminator"]) == {"spectral"} and set(variables.state["generator"]) == {
        "batch_stats"
    }
    assert (
        len(jax.tree.leaves(variables.state["discriminator"])) == 7
    )  # one of each convolution, the score, the classes
    own = moved["discriminator"]["discriminator"]["spectral"]
    at_rest = {"SpectralConv_2", "score"}  # matrices of one column and of one row: their first round is exact
    assert {name for name in own if not own[name]["u"]} <= at_rest
    assert not any(jax.tree.leaves(moved["discriminator"]["generator"]))
    assert not any(jax.tree.leaves(moved["generator"]["discriminator"]))
    assert all(jax.tree.leaves(moved["generator"]["generator"]))


def test_a_class_moves_the_score_by_its_projection_alone():
    """Scores under two classes differ by <v_y - v_y', phi>: the class is in no other place of the discriminator."""
    model, variables, batch = small()
    scored = jax.jit(model.methods["score"])
    score = lambda variables, c: np.asarray(scored(variables, KEY, batch["x"], np.full(6, c, np.int32)))
    scores = np.stack([score(variables, c) for c in range(3)])
    params = variables.params["discriminator"]
    table = {**params, "embed": {"kernel": np.asarray(params["embed"]["kernel"])[[0, 1, 0]]}}
    same = variables._replace(params={**variables.params, "discriminator": table})
    zero, two = (score(same, c) for c in (0, 2))
    np.testing.assert_array_equal(zero, two)
    assert np.abs(scores[0] - scores[2]).max() > 1e-4


def test_without_classes_no_one_is_told():
    options = {"generator_features": (4,), "discriminator_features": (4,), "halvings": 1}
    model = sngan((4, 4, 1), latent_dim=3, **options)
    variables = jax.eval_shape(model.init, KEY, {"x": np.ones((2, 4, 4, 1), np.float32)})
    names = "".join(jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables))
    assert "embed" not in names and "gain" not in names
    assert jax.eval_shape(partial(model.sample, num_samples=3), variables, KEY).shape == (3, 4, 4, 1)
