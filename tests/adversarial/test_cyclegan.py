"""CycleGAN: inverse generators, objectives of known networks, and the pool against one kept in plain Python."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from genjax.adversarial import (
    PatchGAN,
    Pool,
    ResidualGenerator,
    cyclegan,
    hinge_discriminator_loss,
    hinge_generator_loss,
    r2_penalty,
    show_from_pool,
)

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BATCH = {name: RNG.uniform(-1, 1, (6, 4, 4, 1)).astype(np.float32) for name in ("x", "y")}


class Linear(nn.Module):
    """a x + b."""

    a: float
    b: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        return self.param("a", nn.initializers.constant(self.a), ()) * x + self.b


class Pixels(nn.Module):
    """A score of each pixel, w times it."""

    w: float

    @nn.compact
    def __call__(self, x, *, train):
        return self.param("w", nn.initializers.constant(self.w), ()) * x[..., 0]


def losses_of(model):
    """Return (value, Aux) of each update at the initial Variables."""

    @jax.jit
    def run(batch):
        variables = model.init(KEY, batch)
        return [update.loss(variables, batch, KEY, 0) for update in model.updates]

    return jax.device_get(run(BATCH))


def test_inverse_generators_have_no_cycle_loss():
    for back, cycle in ((-0.5, 0), (0.5, None)):
        model = cyclegan(Linear(-2.0, 1.0), Linear(back, 0.5), Pixels(1.0), Pixels(1.0))
        _, aux = losses_of(model)[0]
        if cycle == 0:
            np.testing.assert_allclose(aux.metrics["cycle"], 0, atol=1e-6)
        else:
            assert aux.metrics["cycle"] > 0.1


def test_objectives_are_those_of_the_paper():
    model = cyclegan(Linear(0.5), Linear(3.0), Pixels(2.0), Pixels(-1.0), cycle_weight=7.0, identity_weight=2.0)
    x, y = np.asarray(BATCH["x"], np.float64), np.asarray(BATCH["y"], np.float64)
    (make, _), (judge, aux) = losses_of(model)
    adversarial = np.mean((-0.5 * x - 1) ** 2) + np.mean((2 * 3 * y - 1) ** 2)
    cycle = np.abs(1.5 * x - x).mean() + np.abs(1.5 * y - y).mean()
    identity = np.abs(0.5 * y - y).mean() + np.abs(3 * x - x).mean()
    np.testing.assert_allclose(make, adversarial + 7 * cycle + 2 * identity, rtol=1e-5)
    # The pools are empty: what is shown is new.
    of_a = (np.mean((2 * x - 1) ** 2) + np.mean((2 * 3 * y) ** 2)) / 2
    of_b = (np.mean((-y - 1) ** 2) + np.mean((-0.5 * x) ** 2)) / 2
    np.testing.assert_allclose(judge, of_a + of_b, rtol=1e-5)
    np.testing.assert_allclose(aux.memory["a"].pictures[:, 0], 3 * y, rtol=1e-6)
    np.testing.assert_allclose(aux.memory["b"].pictures[:, 0], 0.5 * x, rtol=1e-6)
    np.testing.assert_array_equal(aux.memory["a"].filled, 1)


def test_another_loss_and_a_penalty_are_played():
    """Hinge with R2: the mean score's gradient by each of 16 pixels is w / 16."""
    losses = {"generator_loss": hinge_generator_loss, "discriminator_loss": hinge_discriminator_loss}
    options = {"adversarial_weight": 1.0, "cycle_weight": 0.0, "regularizers": {"r2": r2_penalty}}
    model = cyclegan(Linear(0.5), Linear(3.0), Pixels(2.0), Pixels(-1.0), **losses, **options)
    x, y = np.asarray(BATCH["x"], np.float64), np.asarray(BATCH["y"], np.float64)
    (make, _), (judge, aux) = losses_of(model)
    np.testing.assert_allclose(make, np.mean(0.5 * x) - np.mean(2 * 3 * y), rtol=1e-4, atol=1e-6)
    hinge = lambda real, fake: np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    of_a, of_b = 5 * 16 * (2 / 16) ** 2, 5 * 16 * (1 / 16) ** 2
    np.testing.assert_allclose([aux.metrics["r2_a"], aux.metrics["r2_b"]], [of_a, of_b], rtol=1e-5)
    np.testing.assert_allclose(judge, hinge(2 * x, 6 * y) + hinge(-y, -0.5 * x) + of_a + of_b, rtol=1e-5)


def test_a_pool_shows_new_or_past_fakes_and_keeps_what_was_traded_in():
    """Fakes are numbers that tell their step, so that a pool in plain Python can be held against each slot's."""
    batch, size, steps = 400, 3, 12
    pool = Pool(np.zeros((batch, size, 1), np.float32), np.zeros(batch, np.int32))
    show = jax.jit(lambda step, pool, new: show_from_pool(jax.random.fold_in(KEY, step), pool, new))
    kept, traded = [[] for _ in range(batch)], []
    for step in range(steps):
        new = float(step + 1)
        shown, pool = show(step, pool, np.full((batch, 1), new, np.float32))
        for slot, seen in enumerate(np.asarray(shown)[:, 0]):
            past = kept[slot]
            if len(past) < size:
                assert seen == new
                past.append(new)
            elif seen != new:
                past[past.index(seen)] = new  # raises where it was not there
        if step >= size:
            traded.append(np.mean(np.asarray(shown) != new))
        held = np.sort(np.asarray(pool.pictures)[..., 0], axis=1)
        for slot, past in enumerate(kept):
            np.testing.assert_array_equal(held[slot, size - len(past) :], sorted(past))
        np.testing.assert_array_equal(pool.filled, min(step + 1, size))
    # Half of 3,600 trade places: 4.5 standard deviations.
    assert abs(np.mean(traded) - 0.5) < 4.5 * 0.5 / np.sqrt(9 * batch)


def test_every_place_of_a_full_pool_is_as_likely():
    pictures = np.tile(np.arange(1, 5, dtype=np.float32)[None, :, None], (4000, 1, 1))
    pool = Pool(pictures, np.full(4000, 4, np.int32))
    shown, after = jax.device_get(jax.jit(show_from_pool)(KEY, pool, np.zeros((4000, 1), np.float32)))
    counts = np.bincount(shown[:, 0].astype(int), minlength=5)
    # Chi squared with 4 degrees of freedom, at 1e-4.
    assert ((counts - [2000, 500, 500, 500, 500]) ** 2 / np.array([2000, 500, 500, 500, 500])).sum() < 23.5
    np.testing.assert_array_equal(np.sum(after.pictures == 0, axis=(1, 2)), shown[:, 0] > 0)
    with pytest.raises(ValueError, match="take no fakes"):
        show_from_pool(KEY, pool, np.zeros((4000, 2), np.float32))


@functools.cache
def small():
    patches = PatchGAN((), (), 3)
    generators = (ResidualGenerator((3,), 1, blocks=1, outer_kernel=1) for _ in range(2))
    model = cyclegan(*generators, patches, patches, identity_weight=5.0, pool_size=2)
    return model, jax.jit(model.init)(KEY, BATCH)


def test_each_update_reaches_every_weight_of_its_players():
    model, variables = small()
    for update in model.updates:
        own = {player: variables.params[player] for player in update.players}

        def loss(own, update=update):
            return update.loss(variables._replace(params={**variables.params, **own}), BATCH, KEY, 0)[0]

        gradient = jax.jit(jax.grad(loss))(own)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient)), update.name


def test_samples_are_pictures_of_a_made_of_b():
    model, variables = small()
    drawn = jax.jit(model.sample, static_argnums=2)
    given = drawn(variables, KEY, 6, condition=BATCH["y"])
    np.testing.assert_allclose(given, jax.jit(model.methods["translate"])(variables, KEY, BATCH["y"]), atol=1e-6)
    made, gallery = np.asarray(drawn(variables, KEY, 9)), np.asarray(given)
    assert all(np.abs(gallery - picture).max(axis=(1, 2, 3)).min() < 1e-5 for picture in made)
    with pytest.raises(ValueError, match="One picture a sample"):
        model.sample(variables, KEY, 3, condition=BATCH["y"])


def test_a_generator_of_the_wrong_domain_is_refused():
    wide = {**BATCH, "y": np.zeros((6, 4, 4, 3), np.float32)}
    model = cyclegan(Linear(1.0), Linear(1.0), Pixels(1.0), Pixels(1.0))
    with pytest.raises(ValueError, match=r"g_ab makes pictures \(4, 4, 1\), but its domain has \(4, 4, 3\)"):
        jax.eval_shape(model.init, KEY, wide)
