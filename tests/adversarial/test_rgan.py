"""The LSTM against flax's, stepwise losses against their sum by hand, who sees which step, and what it learns."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from genjax.adversarial import rgan, stepwise_discriminator_loss, stepwise_generator_loss
from genjax.adversarial.rgan import LSTM, RecurrentDiscriminator, RecurrentGenerator

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


def test_the_lstm_is_flaxs():
    """The same weights in flax's cell, gate by gate (there: ii, if, ig, io and hi, hf, hg, ho with the biases)."""
    x, width = RANDOM.normal(size=(2, 4, 3)).astype(np.float32), 5
    params = jax.device_get(jax.jit(LSTM(width).init)(KEY, x)["params"])
    bias = RANDOM.normal(size=4 * width).astype(np.float32)
    params = {"input": {"kernel": params["input"]["kernel"], "bias": bias}, "recurrent": params["recurrent"]}
    theirs = {}
    for k, gate in enumerate("ifgo"):
        part = slice(k * width, (k + 1) * width)
        theirs[f"i{gate}"] = {"kernel": params["input"]["kernel"][:, part]}
        theirs[f"h{gate}"] = {"kernel": params["recurrent"][:, part], "bias": bias[part]}

    @jax.jit
    def both(x):
        cell, state = nn.LSTMCell(width), (jnp.zeros((2, width)), jnp.zeros((2, width)))
        states = []
        for t in range(4):
            state, h = cell.apply({"params": theirs}, state, x[:, t])
            states.append(h)
        return LSTM(width).apply({"params": params}, x), jnp.stack(states, axis=1)

    np.testing.assert_allclose(*both(x), atol=1e-6)


def test_the_forget_gate_starts_open():
    bias = jax.jit(LSTM(3).init)(KEY, np.zeros((1, 2, 4), np.float32))["params"]["input"]["bias"]
    np.testing.assert_array_equal(bias, [0] * 3 + [1] * 3 + [0] * 6)


def test_stepwise_losses():
    real, fake = RANDOM.normal(size=(2, 3, 4))
    losses = lambda real, fake: (stepwise_discriminator_loss(real, fake), stepwise_generator_loss(fake))
    terms, generator = jax.jit(losses)(real.astype(np.float32), fake.astype(np.float32))
    np.testing.assert_allclose(terms.real, [-np.log(expit(row)).sum() / 4 for row in real], rtol=1e-5)
    np.testing.assert_allclose(terms.fake, [-np.log(1 - expit(row)).sum() / 4 for row in fake], rtol=1e-5)
    np.testing.assert_allclose(generator, -np.log(expit(fake)).sum(1) / 4, rtol=1e-5)


@pytest.mark.parametrize(
    "player,shape", [(RecurrentGenerator((4, 2), 3), (4 * 2,)), (RecurrentDiscriminator(3), (4, 2))], ids=("G", "D")
)
def test_players_see_the_past_alone(player, shape):
    """d output_t / d input_s is 0 for s > t and not for s <= t."""
    x = RANDOM.normal(size=shape).astype(np.float32)
    run = lambda x: player.init_with_output(KEY, x[None], train=True)[0][0]
    jacobian = jax.jit(jax.jacobian(run))(x)
    reach = np.abs(np.asarray(jacobian)).reshape(4, -1, 4, 2).sum((1, 3)) > 0
    np.testing.assert_array_equal(reach, np.tril(np.ones((4, 4), bool)))


def test_classes_are_told_to_both_and_latents_are_dealt_to_steps():
    model = rgan((6, 1), latent_dim=2, generator_hidden=4, discriminator_hidden=4, num_classes=3)
    batch = {"x": np.zeros((5, 6, 1), np.float32), "label": np.array([0, 1, 2, 0, 1], np.int32)}
    variables, sample = jax.jit(model.init)(KEY, batch), jax.jit(model.sample, static_argnums=2)
    drawn = lambda label: np.asarray(sample(variables, KEY, 3, condition=np.array(label, np.int32)))
    one, other = drawn([0, 1, 2]), drawn([0, 2, 1])
    differ = np.any(one != other, axis=(1, 2))
    assert one.shape == (3, 6, 1) and list(differ) == [False, True, True]
    scores = np.asarray(jax.jit(model.methods["score"])(variables, KEY, batch["x"], batch["label"]))
    assert scores.shape == (5, 6) and np.any(scores[0] != scores[1]) and np.array_equal(scores[0], scores[3])
    with pytest.raises(ValueError, match="multiple"):
        jax.eval_shape(partial(RecurrentGenerator((4, 1), 3).init, train=True), KEY, np.zeros((1, 6), np.float32))


def test_one_score_a_series_is_refused():
    with pytest.raises(ValueError, match=r"scores \(6,\) of each example"):
        from genjax.adversarial import MLPDiscriminator, gan

        players = RecurrentGenerator((6, 1), 3), MLPDiscriminator((4,))
        model = gan(*players, latent_dim=6, score_shape=(6,))
        jax.eval_shape(model.init, KEY, {"x": np.zeros((2, 6, 1), np.float32)})
