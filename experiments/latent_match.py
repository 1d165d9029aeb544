"""What configs of autoencoders with a matched prior share: is the distribution of their codes the prior?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import evaluations
from genjax import evaluation as metrics
from genjax.classical import divergences
from genjax.contract import Array
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
    return match(context, encode=lambda found: found, draws="draw_prior")


def style_match(context: EvalContext) -> dict[str, Any]:
    """Do as `prior_match` for the styles of a semi-supervised model."""
    return match(context, encode=lambda found: found.style, draws="draw_style")


def match(context: EvalContext, *, encode: Any, draws: str) -> dict[str, Any]:
    """Compare what `encode` takes of the model's codes with what its method `draws` draws; see `prior_match`."""
    methods, key = context.system.model.methods, context.key
    encoder = jax.jit(lambda variables, x: encode(methods["encode"](variables, key, x)))
    codes = jnp.concatenate([encoder(context.variables, batch["x"]) for batch in context.test()])[:MOST]
    num = len(codes)
    keys = jax.random.split(jax.random.fold_in(key, 1), 12)
    drawn = [methods[draws](context.variables, k, num) for k in keys]
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


def class_agreement(context: EvalContext) -> dict[str, Any]:
    """Return the share of samples that the classifier of the data finds in the class they were asked for."""
    classifier = evaluations.classifier_of(context.config.data.name, context.config.data.dir)
    wanted = np.arange(int(context.config.eval.num_samples)) % 10
    samples = context.sample(len(wanted), condition=jnp.asarray(wanted, jnp.int32))
    found = metrics.embed(classifier, np.asarray(context.system.to_picture(samples), np.float32))
    return {"agreement": float(np.mean(found.log_probs.argmax(axis=1) == wanted)), "features": classifier.name}


def label_some(share: float) -> transforms.Transform:
    """Return what adds 'labelled': the same share of pictures in every pass, chosen by a hash of their stored levels."""

    def transform(key: Array, batch: Any) -> Any:
        del key
        hashed = jax.vmap(transforms.hash_levels)(batch["x"])
        return {**batch, "labelled": (hashed >> 8).astype(jnp.float32) < share * 2.0**24}

    return transform
