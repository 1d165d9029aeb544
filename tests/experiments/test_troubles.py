"""The spiral's numbers, and that the games of the other troubles can be built and moved."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import troubles


def test_spiral():
    found, figure = troubles.spiral(rate=0.2, steps=60)
    radius = {name.split(", ")[1]: value for name, value in found.items()}
    np.testing.assert_allclose(radius["simultaneous"], (1 + 0.2**2) ** 30, rtol=1e-4)
    np.testing.assert_allclose(radius["extragradient"], (1 - 0.2**2 + 0.2**4) ** 30, rtol=1e-4)
    assert 0.8 < radius["alternating"] < 1.2 and radius["average of alternating"] < 0.2
    assert len(figure.axes) == 2


def test_the_spread_of_a_minibatch_is_seen():
    """A point's score changes when another point of the batch moves, and a collapsed batch is told from a wide one."""
    player = troubles.MinibatchDiscriminator((8,))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)
    params = player.init(jax.random.key(0), x, train=True)
    jacobian = np.asarray(jax.jacobian(lambda x: player.apply(params, x, train=True))(x))
    assert np.all(np.abs(jacobian).sum(-1) > 0)
    assert np.isfinite(jax.grad(lambda x: player.apply(params, x, train=True).sum())(jnp.ones((5, 2)))).all()


def test_all_games_share_a_generator():
    batch = {"x": jnp.zeros((4, 2))}
    models = [system.model for system in troubles._games(10).values()]
    shapes = [jax.eval_shape(model.init, jax.random.key(0), batch).params["generator"] for model in models]
    assert all(jax.tree.map(jnp.shape, shape) == jax.tree.map(jnp.shape, shapes[0]) for shape in shapes)


def test_a_stronger_discriminator_leaves_the_minimax_loss_alone_without_gradient():
    found, figure = troubles.strong(steps=150, every=50)
    change = {name: norms["last"] / norms["first"] for name, norms in found.items()}
    assert change["minimax"] < 0.8 and change["non-saturating"] > 1.2
    assert 0.8 < change["Wasserstein, gradient penalty"] < 1.2
    assert len(figure.axes) == 1


def test_modes_are_counted_over_time_and_drawn(monkeypatch):
    plain = troubles._games(4)["plain"]
    monkeypatch.setattr(troubles, "_games", lambda steps: {"plain": plain})
    found, figure = troubles.collapse(steps=4, every=2, seeds=(0, 1))
    over_time, final = found["plain"]["covered_over_time"], found["plain"]["final"]
    assert [len(counts) for counts in over_time] == [2, 2] and [end["near"] for end in final] == [c[-1] for c in over_time]
    assert all(end["smallest"] == 0 for end in final) and len(figure.axes) == 5
