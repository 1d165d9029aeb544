"""Parallel decoding of masked tokens by confidence (Chang et al. 2022, MaskGIT, arXiv:2202.04200, section 3.2).

N tokens start masked. In step t = 1 ... T the network predicts all of them at once, each masked token is drawn, and all
but the least confident

    n_t = ceil(gamma(t / T) N),    gamma(r) = cos(pi r / 2)

of the drawn ones stay; the others are masked again. A token that stays never changes. At least one token stays a step,
so that T = N steps decode one by one, the most confident first.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.contract import Array


def cosine_schedule(progress: Array | float) -> Array:
    """Return gamma(r) = cos(pi r / 2), the share of tokens that is masked; r in [0, 1]."""
    return jnp.cos(0.5 * math.pi * jnp.asarray(progress, jnp.float32))


def mask_at_random(key: Array, num: int, length: int) -> Array:
    """Draw the masks of a training batch: r ~ U(0, 1), then ceil(gamma(r) N) places of N.

    Args:
        key: draws r and the places.
        num: B.
        length: N.

    Returns:
        boolean [B, N], True where masked; at least one an example.

    Reference: Chang et al. 2022, section 3.1.
    """
    ratio_key, place_key = jax.random.split(key)
    ratio = cosine_schedule(jax.random.uniform(ratio_key, (num,)))
    count = jnp.clip(jnp.ceil(ratio * length), 1, length)
    return ranks(jax.random.uniform(place_key, (num, length))) < count[:, None].astype(jnp.int32)


def masked_token_nll(logits: Array, tokens: Array, masked: Array, *, label_smoothing: float = 0.0) -> Array:
    """Return the mean cross-entropy over the masked tokens.

    Args:
        logits: [B, N, K], floating.
        tokens: [B, N], integers in 0..K-1.
        masked: boolean [B, N], at least one True an example.
        label_smoothing: e: the target is 1 - e at the token and e / K everywhere.

    Returns:
        [B], nats per masked token.

    Raises:
        ValueError: shapes or dtypes that do not fit.

    Reference: Chang et al. 2022, eq. 1 (there a sum over the masked tokens); label smoothing in appendix A.
    """
    if tokens.ndim != 2 or logits.shape[:2] != tokens.shape or masked.shape != tokens.shape:
        raise ValueError(
            f"tokens {tokens.shape} and masked {masked.shape} must be [B, N], and logits {logits.shape} [B, N, K]."
        )
    if not jnp.issubdtype(tokens.dtype, jnp.integer) or masked.dtype != jnp.bool_:
        raise ValueError(f"tokens must be integers and masked boolean, got {tokens.dtype} and {masked.dtype}.")
    log_probs = jax.nn.log_softmax(logits)
    right = jnp.take_along_axis(log_probs, tokens.astype(jnp.int32)[..., None], axis=-1)[..., 0]
    target = (1.0 - label_smoothing) * right + label_smoothing * jnp.mean(log_probs, axis=-1)
    weight = masked.astype(logits.dtype)
    return -jnp.sum(weight * target, axis=1) / jnp.sum(weight, axis=1)


def decode(
    key: Array,
    predict: Callable[[Array, Array], Array],
    tokens: Array,
    known: Array,
    *,
    steps: int,
    temperature: Array | float = 1.0,
    choice_temperature: Array | float = 4.5,
) -> Array:
    """Fill in the unknown tokens in `steps` parallel steps.

    Args:
        key: draws the tokens and the noise on their confidence.
        predict: (tokens [B, N], masked [B, N]) -> logits [B, N, K]; what tokens holds where masked is not to be read.
        tokens: int32 [B, N], read where known.
        known: boolean [B, N].
        steps: T, at least 1 (static).
        temperature: of the tokens; 0 takes the likeliest.
        choice_temperature: tau; the confidence of a token is log p + tau (1 - t / T) g, g standard Gumbel noise: 0 is
            greedy in the order.

    Returns:
        int32 [B, N], tokens where known.

    Raises:
        ValueError: no steps.
    """
    if steps < 1:
        raise ValueError(f"decoding takes one step at least, got {steps}.")
    num_unknown = jnp.sum(~known, axis=1).astype(jnp.float32)
    progress = jnp.arange(1, steps + 1, dtype=jnp.float32) / steps

    def step(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        (filled, masked), (r, key) = carry, inputs
        token_key, choice_key = jax.random.split(key)
        logits = predict(filled, masked)
        noise = jax.random.gumbel(token_key, logits.shape)
        drawn = jnp.argmax(logits + temperature * noise, axis=-1).astype(jnp.int32)
        log_p = jnp.take_along_axis(jax.nn.log_softmax(logits), drawn[..., None], axis=-1)[..., 0]
        confidence = log_p + choice_temperature * (1.0 - r) * jax.random.gumbel(choice_key, log_p.shape)
        filled = jnp.where(masked, drawn, filled)
        remain = _remaining(r, num_unknown, jnp.sum(masked, axis=1))
        masked = masked & (ranks(jnp.where(masked, confidence, jnp.inf)) < remain[:, None])
        return (filled, masked), None

    (filled, _), _ = jax.lax.scan(step, (tokens, ~known), (progress, jax.random.split(key, steps)))
    return filled


def order_agnostic_bound(key: Array, predict: Callable[[Array, Array], Array], tokens: Array) -> Array:
    """Bound the log-probability of tokens that are decoded one by one in a random order.

    With s a random permutation, drawn anew for each example, Jensen's inequality over it gives

        log p(x) >= E_s sum_t log p(x_s(t) | x_s(<t)) = E_s sum_t 1/(N - t + 1) sum_(k >= t) log p(x_s(k) | x_s(<t)),

    taken at one s and all t, by N calls of the network.

    Args:
        key: draws s.
        predict: (tokens [B, N], masked [B, N]) -> logits [B, N, K].
        tokens: int32 [B, N].

    Returns:
        [B], nats; its mean over keys is below log p(x).

    Reference: Uria et al. 2014, eq. 5; Hoogeboom et al. 2022 (ARDM), eq. 3.
    """
    place = ranks(jax.random.uniform(key, tokens.shape))

    def at(t: Array) -> Array:
        masked = place >= t
        return -masked_token_nll(predict(tokens, masked), tokens, masked)

    return jnp.sum(jax.lax.map(at, jnp.arange(tokens.shape[1], dtype=place.dtype)), axis=0)


def ranks(values: Array) -> Array:
    """Return the place of each entry among the sorted entries of its row, int32 [B, N]."""
    return jnp.argsort(jnp.argsort(values, axis=1), axis=1).astype(jnp.int32)


def _remaining(r: Array, num_unknown: Array, num_masked: Array) -> Array:
    """Return how many tokens are masked after a step that brings the progress to r, int32 [B]."""
    # A ten-thousandth less: rounding must not leave a token masked at the end, where the cosine is 0.
    scheduled = jnp.ceil(cosine_schedule(r) * num_unknown - 1e-4).astype(jnp.int32)
    return jnp.clip(jnp.minimum(scheduled, num_masked.astype(jnp.int32) - 1), 0)
