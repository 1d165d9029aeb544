"""What configs of autoencoders with a matched prior share: is the distribution of their codes the prior?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax import evaluation as metrics
from genjax.classical import divergences
from genjax.contract import Array, Variables
from genjax.data import transforms
from genjax.training.system import EvalContext

MOST = 1_000  # codes in a test, whose cost is their square


def prior_match(context: EvalContext) -> dict[str, Any]:
    """Test held-out codes against draws of the prior by MMD under an RBF kernel of median bandwidth.

    Returns:
        'mmd_squared', unbiased, with the 'p_value' of 500 permutations (matched codes have one that is uniform on
        (0, 1]); 'mmd_squared_floor', the root of the mean square of five estimates between draws and draws; 'n' codes
        and as many draws; 'code_mean' and 'code_std', averages over coordinates, beside 'prior_std'.
    """
    methods = context.system.model.methods
    return match(context, methods["encode"], methods["draw_prior"])


def style_match(context: EvalContext) -> dict[str, Any]:
    """Do as `prior_match` for the styles of a semi-supervised model."""
    methods = context.system.model.methods
    return match(context, lambda *inputs: methods["encode"](*inputs).style, methods["draw_style"])


def aggregate_match(context: EvalContext) -> dict[str, Any]:
    """Do as `prior_match` for one draw of each q(z|x) of a VAE, whose aggregate is E_x q(z|x), against N(0, I).

    Returns:
        Also 'rate', the mean of KL(q(z|x) || N(0, I)) in nats, and its two parts (Hoffman and Johnson 2016):
        'aggregate' KL(E_x q(z|x) || N(0, I)), all that a Wasserstein autoencoder asks to vanish, and 'information'
        between x and z, which the rate charges as well and so pulls each q(z|x) over those of other pictures. Both are
        estimates: E_x is the mean over the held-out pictures, which bounds the information by log n. 'posterior_std' is
        that of q(z|x).
    """
    encode = context.system.model.methods["encode"]

    def draw_code(variables: Variables, key: Array, x: Array) -> Array:
        found = encode(variables, key, x)
        return found.mean + jnp.exp(found.log_std) * jax.random.normal(key, found.mean.shape)

    size = context.config.model.latent_dim
    found = match(context, draw_code, lambda variables, key, num: jax.random.normal(key, (num, size)))
    posteriors = [encode(context.variables, context.key, batch["x"]) for batch in context.test()]
    mean, log_std = (jnp.concatenate([getattr(q, name) for q in posteriors]) for name in ("mean", "log_std"))
    return found | rate_parts(context.key, mean, log_std) | {"posterior_std": float(jnp.mean(jnp.exp(log_std)))}


def rate_parts(key: Array, mean: Array, log_std: Array, *, num_draws: int = 64) -> dict[str, float]:
    """Return the mean rate of Gaussian posteriors, and its parts 'information' and 'aggregate', nats.

    rate = information + aggregate:  E KL(q(z|x) || p) = E KL(q(z|x) || q(z)) + KL(q(z) || p),  q(z) = E_x q(z|x).

    Args:
        key: of the draws.
        mean: [N, Z].
        log_std: [N, Z].
        num_draws: of each posterior.
    """
    rate = 0.5 * jnp.sum(mean**2 + jnp.exp(2.0 * log_std) - 1.0 - 2.0 * log_std, axis=1)

    def information(key: Array) -> Array:
        z = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        off = (z[:, None] - mean[None]) * jnp.exp(-log_std)[None]
        log_q = jnp.sum(-0.5 * off**2 - log_std[None], axis=-1)  # [N, N], of each draw under each posterior
        return jnp.mean(jnp.diagonal(log_q) - jax.nn.logsumexp(log_q, axis=1)) + jnp.log(float(len(mean)))

    shared = float(jnp.mean(jax.lax.map(information, jax.random.split(key, num_draws))))
    total = float(jnp.mean(rate))
    return {"rate": total, "information": shared, "aggregate": total - shared}


def match(context: EvalContext, encode: Any, draw: Any) -> dict[str, Any]:
    """Compare codes with draws; see `prior_match`.

    Args:
        context: of the run.
        encode: (variables, key, x) -> codes [B, Z].
        draw: (variables, key, num) -> [num, Z].
    """
    key = context.key
    encoder = jax.jit(encode)
    found = [encoder(context.variables, jax.random.fold_in(key, i), b["x"]) for i, b in enumerate(context.test())]
    codes = jnp.concatenate(found)[:MOST]
    num = len(codes)
    keys = jax.random.split(jax.random.fold_in(key, 1), 12)
    drawn = [draw(context.variables, k, num) for k in keys]
    kernel = divergences.rbf_kernel(bandwidth=metrics.median_distance(codes, drawn[0]))
    test = jax.jit(lambda k, x, y: metrics.two_sample_test(k, x, y, kernel, permutations=500))(key, codes, drawn[0])
    floor = [float(divergences.mmd_squared(x, y, kernel)) for x, y in zip(drawn[2::2], drawn[3::2])]
    return {
        "mmd_squared": float(test.mmd_squared),
        "p_value": float(test.p_value),
        "mmd_squared_floor": float(np.sqrt(np.mean(np.square(floor)))),
        "n": num,
        "code_mean": float(jnp.mean(jnp.abs(jnp.mean(codes, axis=0)))),
        "code_std": float(jnp.mean(jnp.std(codes, axis=0))),
        "prior_std": float(jnp.mean(jnp.std(drawn[0], axis=0))),
    }


def class_error(context: EvalContext) -> dict[str, Any]:
    """Return the share of held-out pictures whose class a semi-supervised model gets wrong, 'error', and 'n'."""
    encoder = jax.jit(context.system.model.methods["encode"])
    wrong = [
        np.asarray(encoder(context.variables, context.key, batch["x"]).log_probs.argmax(axis=1) != batch["label"])
        for batch in context.test()
    ]
    return {"error": float(np.mean(np.concatenate(wrong))), "n": len(np.concatenate(wrong))}


def label_some(share: float) -> transforms.Transform:
    """Return what adds 'labelled': the same share of pictures in every pass, chosen by a hash of their levels."""

    def transform(key: Array, batch: Any) -> Any:
        del key
        hashed = jax.vmap(transforms.hash_levels)(batch["x"])
        return {**batch, "labelled": (hashed >> 8).astype(jnp.float32) < share * 2.0**24}

    return transform
