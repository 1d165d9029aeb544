"""Any loss with any regularizer with any architecture, by config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import games
from experiments.configs.adversarial import attgan, biggan, cgan, cyclegan, dcgan, infogan, midinet, pix2pix, progan
from experiments.configs.adversarial import sagan, sngan, srgan, stargan, stylegan2, unrolled_gan
from experiments.configs.common import base
from genjax.errors import UserError


def config_of(**changes):
    config = base("adversarial/any")
    games.points(config)
    games.pictures(config)
    games.choices(config)
    games.tiny(config)
    config.model.update({"architecture": "mlp", "shape": (4, 4, 1), **changes})
    return config.lock()


def traced(config, model=None):
    """Return (variables, [metrics of each update]) as shapes."""
    model = model or games.assemble(config)
    batch = {"x": jax.ShapeDtypeStruct((3, *config.model.shape), jnp.float32)}
    batch["label"] = jax.ShapeDtypeStruct((3,), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(model.init, key, batch)
    outputs = [jax.eval_shape(update.loss, variables, batch, key, 0) for update in model.updates]
    assert all(loss.shape == () for loss, _ in outputs)
    return variables, [set(aux.metrics) for _, aux in outputs]


REGULARIZERS = list(config_of().model.regularizers)


@pytest.mark.parametrize("loss, architecture", [*((loss, "mlp") for loss in games.LOSSES), ("hinge", "sngan")])
def test_any_loss_with_all_regularizers_at_once(loss, architecture):
    changes = {"loss": loss, "architecture": architecture, "regularizers": dict.fromkeys(REGULARIZERS, 0.5)}
    _, (critic, generator) = traced(config_of(**changes))
    assert {*games.GRADIENT_PENALTIES, "consistency", *games.WEIGHT_PENALTIES} <= critic
    assert set(games.WEIGHT_PENALTIES) <= generator and not set(games.GRADIENT_PENALTIES) & generator


@pytest.mark.parametrize("loss", games.LOSSES)
def test_any_loss_alone_with_batch_normalization(loss):
    variables, metrics = traced(config_of(loss=loss, architecture="dcgan", clip=0.1))
    assert "batch_stats" in variables.state["discriminator"]
    assert not set.union(*metrics) & {*REGULARIZERS, *games.WEIGHT_PENALTIES}


def test_a_gradient_penalty_refuses_batch_normalization():
    for name in games.GRADIENT_PENALTIES:
        weights = dict.fromkeys(REGULARIZERS, 0.0) | {name: 1.0}
        with pytest.raises(ValueError, match="batch normalization"):
            traced(config_of(architecture="dcgan", regularizers=weights))


@pytest.fixture
def played(monkeypatch):
    """Add a loss named 'noted', and return the set of the players whose loss has been asked for."""
    asked, (_, hinges) = set(), games.losses(config_of(loss="hinge").model)
    noted = lambda player, loss: lambda *scores: asked.add(player) or loss(*scores)
    pair = noted("generator", lambda scores: -scores), noted("discriminator", hinges)
    monkeypatch.setitem(games.LOSSES, "noted", lambda model: pair)
    return asked


@pytest.mark.parametrize("module", [dcgan, cgan, sngan, sagan, biggan])
def test_configs_of_other_networks_have_the_same_fields(module, played):
    """The loss that a config names is played, with the regularizers that it weighs; its own figures are with none."""
    config = module.get_config("tiny")
    assert not any(config.model.regularizers.values()) and not config.model.clip
    config.model.loss, config.model.clip = "noted", 0.1
    on_gradients = () if module is dcgan else ("r1",)  # which has batch normalization
    on_weights = [name for name in REGULARIZERS if name.partition("_")[2] in games.WEIGHT_PENALTIES]
    config.model.regularizers.update(dict.fromkeys((*on_gradients, "consistency", *on_weights), 0.5))
    built = module.build(config).model
    _, (critic, generator) = traced(config, built)
    assert {*on_gradients, "consistency", *games.WEIGHT_PENALTIES} <= critic
    assert set(games.WEIGHT_PENALTIES) <= generator
    assert played == {"generator", "discriminator"} and built.updates[0].after is not None


OWN = {  # the loss and the weights of a paper, where they are not those of a GAN
    cyclegan: ("least_squares", {}),
    unrolled_gan: ("minimax", {}),
    progan: ("wasserstein", {"gradient_penalty": 10.0}),
    stargan: ("wasserstein", {"gradient_penalty": 10.0}),
    attgan: ("wasserstein", {"gradient_penalty": 10.0}),
    midinet: ("non_saturating", {"r1": 10.0, "r2": 10.0}),
}
SHAPES = {unrolled_gan: (2,), midinet: (8, 8), stylegan2: (4, 4, 1), stargan: (8, 8, 3), attgan: (8, 8, 3)}


@pytest.mark.parametrize(
    "module", [pix2pix, cyclegan, srgan, stargan, attgan, unrolled_gan, infogan, progan, stylegan2, midinet]
)
def test_configs_of_other_games_have_them_too(module, played):
    config = module.get_config("tiny")
    weights = config.model.regularizers
    own = config.model.loss, {name: weight for name, weight in weights.items() if weight}
    assert own == OWN.get(module, ("non_saturating", {})) and not config.model.clip
    config.model.update({"loss": "noted", "clip": 0.1, "discriminator_steps": 3})
    on_gradients = () if module in (srgan, infogan) else tuple(games.GRADIENT_PENALTIES)
    weights.update({name: 0.5 for name in weights if name in on_gradients or name not in games.GRADIENT_PENALTIES})
    built = module.build(config).model
    pictures = jax.ShapeDtypeStruct((4, *SHAPES.get(module, (8, 8, 1))), jnp.float32)
    batch = dict.fromkeys(("x", "y", "previous"), pictures)
    batch["label"] = jax.ShapeDtypeStruct((4,), jnp.int32)
    batch["attributes"] = jax.ShapeDtypeStruct((4, len(attgan.ATTRIBUTES)), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(built.init, key, batch)
    told = {update.name: jax.eval_shape(update.loss, variables, batch, key, 0)[1] for update in built.updates}
    metrics = {name: set(aux.metrics) for name, aux in told.items()}
    of_each = [f"{name}_{domain}" for name in on_gradients for domain in "ab"] if module is cyclegan else on_gradients
    expected = {*of_each, *games.WEIGHT_PENALTIES} | {"consistency"} & set(weights)
    (judge,) = {"discriminate", "discriminator"} & set(metrics)
    (make,) = {"generate", "generator", "edit"} & set(metrics)
    assert expected <= metrics[judge] and set(games.WEIGHT_PENALTIES) <= metrics[make]
    (update,) = (update for update in built.updates if update.name == judge)
    assert played == {"generator", "discriminator"} and update.repeat == 3
    params, _ = update.after({name: {"w": jnp.ones(2)} for name in variables.params}, {})
    clipped = {name for name, own in params.items() if own["w"].max() < 0.5}
    assert clipped == set(update.players)


def test_a_name_of_a_loss_is_that_loss():
    """Each by what it is at the middle, and far from it: log 2 or its target's square there, flat or steep here."""
    scores = np.array([0.0, -30.0], np.float32)
    slope = lambda loss: np.asarray(jax.grad(lambda s: loss(s).sum())(scores))
    found = {}
    for name in games.LOSSES:
        generator, discriminator = games.losses(config_of(loss=name, a=-1.0, b=3.0, c=2.0).model)
        terms = discriminator(scores, scores)
        found[name] = (float(terms.real[0]), float(terms.fake[0]), float(generator(scores)[0]), slope(generator)[1])
    log_two = np.log(2)
    expected = {
        "non_saturating": (log_two, log_two, log_two, -1),
        "minimax": (log_two, log_two, -log_two, 0),
        "least_squares": (4.5, 0.5, 2.0, -32),
        "wasserstein": (0, 0, 0, -1),
        "hinge": (1, 1, 0, -1),
    }
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)


def test_a_regularizer_of_a_name_is_that_regularizer():
    """On the critic 2 |x|^2: its gradient is 4 x, its norms 4 |x|."""
    real, fake = np.full((3, 1, 1, 1), 0.5, np.float32), np.full((3, 1, 1, 1), -0.75, np.float32)
    critic = lambda x: 2 * (x**2).sum(axis=(1, 2, 3))
    weights = dict.fromkeys(games.GRADIENT_PENALTIES, 0.1)
    chosen = games.regularizers(config_of(shape=(1, 1, 1), regularizers=dict.fromkeys(REGULARIZERS, 0.0) | weights).model)
    assert set(chosen) == set(weights)  # what has no weight is not there
    at = lambda name, x, y: np.asarray(chosen[name](critic, x, y, jax.random.key(0)))
    np.testing.assert_allclose(at("r1", real, fake), 0.05 * 2.0**2, rtol=1e-5)
    np.testing.assert_allclose(at("r2", real, fake), 0.05 * 3.0**2, rtol=1e-5)
    # With both examples in one place there is one point between them.
    near = 0.2 * real
    np.testing.assert_allclose(at("gradient_penalty", near, near), 0.1 * (0.4 - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(at("one_sided_gradient_penalty", near, near), 0, atol=1e-7)
    np.testing.assert_allclose(at("one_sided_gradient_penalty", real, real), 0.1 * (2 - 1) ** 2, rtol=1e-5)


def test_names_that_there_are_not():
    for changes in ({"loss": "cubic"}, {"architecture": "oracle"}, {"architecture": "dcgan", "shape": (2,)}):
        (name, value) = next(iter(changes.items()))
        with pytest.raises(UserError, match=f"model.{name}='{value}'"):
            games.assemble(config_of(**changes))


def test_augmentations():
    """Pictures move by whole pixels, points by noise of standard deviation 0.05."""
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 1)).astype(np.float32)
    found = np.asarray(games.shifted(jax.random.key(0), x))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    places = [(i, j) for i in range(3) for j in range(3)]
    moved = {next(p for p in places if np.array_equal(padded[b, p[0] :, p[1] :][:8, :8], found[b])) for b in range(20)}
    assert len(moved) > 5
    noise = games.jittered(jax.random.key(1), jnp.zeros((2000, 2)))
    np.testing.assert_allclose(np.std(noise), 0.05, rtol=0.05)
    np.testing.assert_array_equal(games.moved(jax.random.key(0), x), found)
    np.testing.assert_array_equal(games.moved(jax.random.key(1), jnp.zeros((2000, 2))), noise)


def test_a_falling_rate_ends_at_0_after_a_players_own_moves():
    """Eleven steps of three moves: constant for the 15 moves of five steps, then 18 moves down."""
    rate = games.falling(0.6, 11, 3)
    found = [float(rate(move)) for move in (0, 15, 24, 33, 40)]
    np.testing.assert_allclose(found, [0.6, 0.6, 0.3, 0, 0], atol=1e-7)
