"""Progressive growing: nothing changes at alpha = 0, layers are handed on, and what the players are made of."""

from functools import partial

import jax
import numpy as np
import pytest

from genjax.adversarial import hinge_discriminator_loss, hinge_generator_loss, progan, r1_penalty
from genjax.adversarial import wasserstein_discriminator_loss
from genjax.adversarial.progan import ProGANDiscriminator, ProGANGenerator, blend_pictures, with_drift

WIDE, NARROW = (6, 4), (6,)


def models():
    build = lambda side, features: progan(
        (side, side, 1),
        latent_dim=3,
        generator_features=features,
        discriminator_features=features,
        fade_steps=4,
        group=2,
    )
    return build(4, NARROW), build(8, WIDE)


def batch(side, seed=0):
    return {"x": np.random.default_rng(seed).uniform(-1, 1, (4, side, side, 1)).astype(np.float32)}


@pytest.fixture(scope="module")
def grown():
    """Return (small model, its variables, large model, its variables grown from the small one's)."""
    small, large = models()
    lower = jax.jit(small.init)(jax.random.key(0), batch(4))
    variables = jax.jit(lambda key, b, lower: large.init(key, b, lower=lower))(jax.random.key(1), batch(8), lower)
    return small, lower, large, variables


def at(variables, alpha):
    state = {player: {"fade": {"alpha": np.float32(alpha)}} for player in variables.state}
    return variables._replace(state=state)


def test_alpha_0_is_the_lower_resolution_upsampled(grown):
    small, lower, large, variables = grown
    z = np.random.default_rng(2).normal(size=(3, 3)).astype(np.float32)
    low = np.asarray(jax.jit(lambda v, z: small.methods["generate"](v, None, z))(lower, z))
    run = jax.jit(lambda v, z: large.methods["generate"](v, None, z))
    assert float(variables.state["generator"]["fade"]["alpha"]) == 0
    none, half, whole = (np.asarray(run(v, z)) for v in (variables, at(variables, 0.5), at(variables, 1.0)))
    np.testing.assert_allclose(none, low.repeat(2, 1).repeat(2, 2), rtol=1e-5, atol=1e-6)
    assert np.abs(whole - none).max() > 0.1
    np.testing.assert_allclose(half, 0.5 * (none + whole), rtol=1e-4, atol=1e-5)


def test_alpha_0_scores_as_the_lower_resolution_does(grown):
    small, lower, large, variables = grown
    x = batch(8)["x"]
    pooled = x.reshape(4, 4, 2, 4, 2, 1).mean(axis=(2, 4))
    score = jax.jit(lambda v, x: large.methods["score"](v, None, x))
    expected = np.asarray(jax.jit(lambda v, x: small.methods["score"](v, None, x))(lower, pooled))
    np.testing.assert_allclose(score(variables, x), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(np.asarray(score(at(variables, 1.0), x)) - expected).max() > 1e-3


def test_layers_are_handed_on_by_name(grown):
    _, lower, _, variables = grown
    for player, tree in variables.params.items():
        for name, layer in tree.items():
            if name in lower.params[player]:
                jax.tree.map(np.testing.assert_array_equal, layer, lower.params[player][name])
        new = set(tree) - set(lower.params[player])
        side = {"generator": "to_rgb_8", "discriminator": "from_rgb_8"}[player]
        assert new == {"conv_8_0", "conv_8_1", side}


def test_a_lower_run_that_does_not_fit_is_refused(grown):
    _, lower, large, variables = grown
    strange = lower._replace(params={**lower.params, "generator": {"conv_4": {"kernel": np.ones(3, np.float32)}}})
    for wrong in (variables, strange):
        with pytest.raises(ValueError, match="does not fit"):
            jax.eval_shape(partial(large.init, lower=wrong), jax.random.key(1), batch(8))


def test_alpha_goes_up_a_step_at_a_time_and_stays_at_one(grown):
    _, _, large, variables = grown
    discriminate, generate = large.updates
    assert discriminate.after is None
    state, seen, after = variables.state, [], jax.jit(generate.after)
    for _ in range(6):
        _, state = after(variables.params, state)
        alphas = [float(state[player]["fade"]["alpha"]) for player in ("generator", "discriminator")]
        assert alphas[0] == alphas[1]
        seen.append(alphas[0])
    np.testing.assert_allclose(seen, [0.25, 0.5, 0.75, 1, 1, 1])


def test_real_pictures_are_blended_as_far_as_the_players():
    x, blend = batch(8)["x"], jax.jit(blend_pictures)
    pooled = x.reshape(4, 4, 2, 4, 2, 1).mean(axis=(2, 4)).repeat(2, 1).repeat(2, 2)
    for alpha in (0.0, 0.25, 1.0):
        np.testing.assert_allclose(blend(np.float32(alpha), x), pooled + alpha * (x - pooled), atol=1e-6)


def test_discriminator_loss_sees_blended_pictures(grown):
    """At alpha = 0 details below half the resolution cannot change the loss; at 1 they do."""
    _, _, large, variables = grown
    loss = jax.jit(large.updates[0].loss)
    checks = (-1.0) ** np.add.outer(np.arange(8), np.arange(8))[None, :, :, None]
    fine = {"x": batch(8)["x"] + 0.5 * checks.astype(np.float32)}
    value = lambda v, b: float(loss(v, b, jax.random.key(3), 0)[0])
    np.testing.assert_allclose(value(variables, fine), value(variables, batch(8)), rtol=1e-5)
    assert abs(value(at(variables, 1.0), fine) - value(at(variables, 1.0), batch(8))) > 1e-3


def test_drift_adds_the_squared_score_of_real_examples_alone():
    real, fake = np.array([[3, -1], [2, 5]], np.float32)
    terms = jax.jit(with_drift(wasserstein_discriminator_loss, weight=0.5))(real, fake)
    np.testing.assert_allclose(terms.real, [-3.0 + 4.5, 1.0 + 0.5])
    np.testing.assert_allclose(terms.fake, [2.0, 5.0])


def test_other_losses_and_penalties_may_be_played():
    options = {"latent_dim": 3, "generator_features": NARROW, "discriminator_features": NARROW, "group": 2}
    hinge = {"generator_loss": hinge_generator_loss, "discriminator_loss": hinge_discriminator_loss}
    model = progan((4, 4, 1), **options, **hinge, drift_weight=0.0, regularizers={"r1": r1_penalty})
    key = jax.random.key(0)

    @jax.jit
    def run(batch):
        variables = model.init(key, batch)
        score = lambda x: model.methods["score"](variables, key, x)
        return score(batch["x"]), model.updates[0].loss(variables, batch, key, 0)[1].metrics

    scores, metrics = jax.device_get(run(batch(4)))
    assert set(metrics) == {"real", "fake", "real_score", "fake_score", "r1"}
    np.testing.assert_allclose(metrics["real"], np.maximum(0, 1 - scores).mean(), rtol=1e-5)
    own = progan((4, 4, 1), **options)
    shapes = jax.eval_shape(lambda b: own.updates[0].loss(own.init(key, b), b, key, 0)[1].metrics, batch(4))
    assert set(shapes) == {"real", "fake", "real_score", "fake_score", "gradient_penalty"}


def test_number_of_parameters_of_the_paper():
    """Table 2 of the paper, 1024 x 1024: 23.1 million parameters in each player, biases included."""
    features = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    shapes = lambda module, x: jax.eval_shape(lambda: module.init(jax.random.key(0), x, train=True))["params"]
    generator = shapes(ProGANGenerator(features, 3), np.zeros((1, 512), np.float32))
    discriminator = shapes(ProGANDiscriminator(features), np.zeros((1, 1024, 1024, 3), np.float32))
    # While it fades in, each has the 1 x 1 convolution of half the side too.
    assert round((count(generator) - count(generator["to_rgb_512"])) / 1e6, 1) == 23.1
    assert round((count(discriminator) - count(discriminator["from_rgb_512"])) / 1e6, 1) == 23.1


def test_sizes_that_do_not_fit_the_features_are_refused():
    with pytest.raises(ValueError, match="are for pictures of 8 x 8"):
        progan((4, 4, 1), generator_features=WIDE, discriminator_features=WIDE)
    with pytest.raises(ValueError, match="at least one step"):
        progan((8, 8, 1), generator_features=WIDE, discriminator_features=WIDE, fade_steps=0)
