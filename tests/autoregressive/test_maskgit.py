"""MaskGIT: its decoding against one-by-one decoding, its bound against the enumeration of orders."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax.autoregressive import (
    MaskedTokenTransformer,
    cosine_schedule,
    decode,
    mask_at_random,
    masked_token_nll,
    maskgit,
    order_agnostic_bound,
)
from tests.autoregressive.raster_checks import random_variables

LENGTH, LEVELS = 6, 4


def table_predictor(seed=0, length=LENGTH, levels=LEVELS):
    """A predictor that is no network: logits are a random linear function of the unmasked tokens."""
    random = np.random.RandomState(seed)
    bias = random.standard_normal((length, levels)).astype(np.float32)
    weight = random.standard_normal((length, levels + 1, length, levels)).astype(np.float32)

    def predict(tokens, masked):
        seen = jax.nn.one_hot(jnp.where(masked, levels, tokens), levels + 1)
        return jnp.einsum("bnk,nkml->bml", seen, weight) + bias[None]

    return predict


def blank(num, length=LENGTH):
    return np.zeros((num, length), np.int32), np.zeros((num, length), bool)


def decoded(seed, predict, tokens, known, **options):
    return np.asarray(jax.jit(lambda key: decode(key, predict, tokens, known, **options))(jax.random.key(seed)))


def one_by_one(predict, tokens, known):
    """Decode greedily in plain Python: each time the token that the network is surest of, out of all masked ones."""
    tokens, known = np.array(tokens), np.array(known)
    for row in range(len(tokens)):
        while not known[row].all():
            logits = np.asarray(predict(tokens[row : row + 1], ~known[row : row + 1]), np.float64)[0]
            p = np.where(known[row][:, None], -1, special.softmax(logits, axis=-1))
            place, value = np.unravel_index(np.argmax(p), p.shape)
            tokens[row, place], known[row, place] = value, True
    return tokens


def test_as_many_steps_as_tokens_decode_one_by_one():
    predict = jax.jit(table_predictor())
    greedy = {"temperature": 0.0, "choice_temperature": 0.0}
    known = np.array([[False] * 6, [False, True, False, False, True, False], [True] * 5 + [False], [True] * 6])
    tokens = np.array([[0] * 6, [0, 3, 0, 0, 1, 0], [1, 2, 3, 0, 1, 0], [3, 2, 1, 0, 1, 2]], np.int32)
    found = decoded(0, predict, tokens, known, steps=LENGTH, **greedy)
    np.testing.assert_array_equal(found, one_by_one(predict, tokens, known))


def test_the_schedule_of_decoding_is_the_cosine():
    """How many tokens are masked in the calls of an 8-step decoding of 64, against the formula in float64."""
    seen = []

    def predict(tokens, masked):
        jax.debug.callback(lambda count: seen.append(int(count)), masked[0].sum(), ordered=True)
        return jnp.zeros((*tokens.shape, LEVELS))

    decoded(0, predict, *blank(1, 64), steps=8)
    jax.effects_barrier()
    expected = [math.ceil(64 * math.cos(math.pi * t / 16)) for t in range(8)]
    assert seen == expected and expected[:3] == [64, 63, 60]


def test_what_is_known_stays_and_what_is_masked_is_not_read():
    predict = table_predictor()
    tokens = np.array([[3, 1, 2, 0, 2, 1], [3, 0, 0, 0, 2, 3]], np.int32)
    known = np.array([[True, False, False, True, True, False]] * 2)
    found = decoded(1, predict, tokens, known, steps=2, temperature=0.0, choice_temperature=0.0)
    np.testing.assert_array_equal(found[:, [0, 3, 4]], tokens[:, [0, 3, 4]])
    np.testing.assert_array_equal(found[0], found[1])


def test_one_step_draws_every_token_from_its_own_prediction():
    predict = table_predictor(length=2, levels=3)
    drawn = decoded(2, predict, *blank(20_000, 2), steps=1)
    tokens, known = blank(1, 2)
    p = special.softmax(np.asarray(jax.jit(predict)(tokens, ~known))[0], axis=-1)
    for place in range(2):
        np.testing.assert_allclose(np.bincount(drawn[:, place], minlength=3) / 20_000, p[place], atol=0.015)


def test_training_masks_follow_the_schedule():
    """The share of masked tokens has the mean of cos(pi r / 2), 2 / pi, and every place is masked as often."""
    masked = np.asarray(jax.jit(mask_at_random, static_argnums=(1, 2))(jax.random.key(3), 20_000, 40))
    assert masked.sum(axis=1).min() >= 1
    # ceil adds half a token on average: 1/80.
    np.testing.assert_allclose(masked.mean(axis=0), 2 / math.pi + 1 / 80, atol=0.015)
    np.testing.assert_allclose(cosine_schedule(np.array([0.0, 1 / 3, 1.0])), [1, math.sqrt(3) / 2, 0], atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_cross_entropy_over_masked_tokens(smoothing):
    random = np.random.RandomState(0)
    logits, tokens = random.standard_normal((3, 5, 4)), random.randint(4, size=(3, 5))
    masked = np.array([[1, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 1, 0]], bool)
    target = (1 - smoothing) * np.eye(4)[tokens] + smoothing / 4
    entropy = special.rel_entr(target, special.softmax(logits, axis=-1)).sum(-1) + special.entr(target).sum(-1)
    expected = [entropy[row][masked[row]].mean() for row in range(3)]
    nll = jax.jit(lambda *of: masked_token_nll(*of, label_smoothing=smoothing))
    found = nll(logits.astype(np.float32), tokens.astype(np.int32), masked)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_bound_is_below_the_likelihood_and_its_mean_is_that_over_all_orders():
    """3 tokens of 2 values: log p(x) = log of the mean over 6 orders, the bound the mean of the logs."""
    predict = jax.jit(table_predictor(length=3, levels=2))
    states = np.array(list(itertools.product([0, 1], repeat=3)), np.int32)
    by_order = []
    for order in itertools.permutations(range(3)):
        log_p, masked = np.zeros(8), np.ones((8, 3), bool)
        for place in order:
            logits = np.asarray(predict(states, masked), np.float64)
            log_p += special.log_softmax(logits, axis=-1)[np.arange(8), place, states[:, place]]
            masked[:, place] = False
        by_order.append(log_p)
    exact = special.logsumexp(by_order, axis=0) - math.log(6)
    np.testing.assert_allclose(np.exp(exact).sum(), 1.0, rtol=1e-5)
    keys = jax.random.split(jax.random.key(4), 4000)
    bounds = np.asarray(jax.jit(jax.vmap(lambda key: order_agnostic_bound(key, predict, states)))(keys))
    error = bounds.std(axis=0) / math.sqrt(4000)
    assert (np.abs(bounds.mean(axis=0) - np.mean(by_order, axis=0)) < 5 * error).all()
    assert (bounds.mean(axis=0) < exact).all()


@functools.cache
def built(num_classes=0):
    network = MaskedTokenTransformer(LEVELS, width=8, depth=1, heads=2)
    model = maskgit(network, (2, 3, 1), levels=LEVELS, steps=3, num_classes=num_classes)
    batch = {"x": np.zeros((2, 2, 3, 1), np.uint8), "label": np.zeros(2, np.int32)}
    return model, random_variables(model, batch)


def test_the_network_reads_what_is_not_masked_and_nothing_else():
    model, variables = built()
    outputs = jax.jit(lambda x, masked: model.methods["outputs"](variables, None, x, masked))
    x = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)[None, :, :, None]
    masked = np.array([[True, False, True], [False, True, True]])[:, :, None]
    start = np.asarray(outputs(x, masked))
    for place in np.ndindex(2, 3):
        other = x.copy()
        other[(0, *place, 0)] = (x[(0, *place, 0)] + 1) % LEVELS
        moved = np.abs(np.asarray(outputs(other, masked)) - start).max(axis=(0, 3, 4)) > 0
        assert moved.all() if not masked[(*place, 0)] else not moved.any()


def test_the_class_is_read_and_asked_for():
    model, variables = built(num_classes=3)
    x, masked = np.zeros((2, 2, 3, 1), np.uint8), np.ones((2, 3, 1), bool)
    outputs = jax.jit(lambda label: model.methods["outputs"](variables, None, x, masked, condition=label))
    one, other = (np.asarray(outputs(np.array([0, k], np.int32))) for k in (0, 2))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.abs(one[1] - other[1]).max() > 1e-3
    with pytest.raises(ValueError, match="give it a condition"):
        model.sample(variables, jax.random.key(0), 2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: masked_token_nll(np.zeros((2, 3, 4)), np.zeros((2, 4), int), np.ones((2, 4), bool)), "must be"),
        (lambda: masked_token_nll(np.zeros((2, 3, 4)), np.zeros((2, 3)), np.ones((2, 3), bool)), "must be integers"),
        (lambda: decode(jax.random.key(0), None, *blank(1), steps=0), "one step at least"),
        (
            lambda: built()[0].log_prob.fn(built()[1], jax.random.key(0), {"x": np.zeros((1, 2, 3, 1), np.float32)}),
            "integer tokens",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
