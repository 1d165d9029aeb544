"""Ready evaluations of models with a continuous code, for a config to attach: (EvalContext) -> {metric: value}.

    System(..., evaluations={"reconstruction": latents.reconstruction, "holes": latents.holes})

They ask the model for its methods by name: `reconstruct`, `encode`, `infer`, `terms`, `interpolate`, `sample_mean`,
`importance_weighted`. Pictures are compared where they are looked at, behind the system's `to_picture`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.evaluations import classifier_of
from genjax import evaluation as metrics
from genjax.autoencoders import active_units, averaged
from genjax.classical import pca, pca_decode, pca_encode
from genjax.contract import Array, Batch, Variables
from genjax.evaluation.likelihood import held_out_likelihood
from genjax.training.system import EvalContext


def importance_weighted(context: EvalContext) -> dict[str, Any]:
    """Return the importance-weighted bound on the test split, which nears log p(x) from below.

    Reads config.eval.importance_samples and config.eval.chunk.
    """
    estimate, settings = context.system.model.methods["importance_weighted"], context.config.eval

    def log_prob(variables: Variables, key: Array, batch: Batch) -> Array:
        return estimate(variables, key, batch["x"], num_samples=settings.importance_samples, chunk=settings.chunk)

    result = held_out_likelihood(log_prob, context.variables, context.key, context.test())
    return {**result._asdict(), "importance_samples": settings.importance_samples}


def units(context: EvalContext) -> dict[str, Any]:
    """Return how many latents of a Gaussian code move with x, over the test split."""
    encode = context.system.model.methods["encode"]
    mean = jax.jit(lambda variables, x: encode(variables, context.key, x).mean)
    means = jnp.concatenate([mean(context.variables, batch["x"]) for batch in context.test()])
    return {"active_units": int(active_units(means)), "latent_dim": means.shape[1]}


def sampled_units(context: EvalContext, *, num_draws: int = 512) -> dict[str, Any]:
    """Return `units` where E_q[z|x] has no closed form: the mean of `num_draws` draws of the method `infer`.

    Those leave 1 / num_draws of the posterior's variance in the mean, well below the threshold of 0.01.
    """
    infer = context.system.model.methods["infer"]

    @jax.jit
    def mean(variables: Variables, x: Array) -> Array:
        return averaged(context.key, lambda key: infer(variables, key, x), num_samples=num_draws)

    means = jnp.concatenate([mean(context.variables, batch["x"]) for batch in context.test()])
    return {"active_units": int(active_units(means)), "latent_dim": means.shape[1]}


def free_energy(context: EvalContext) -> dict[str, Any]:
    """Return the mean rate and distortion over the test split, each of 64 draws an example, and their sum."""
    terms, sums, count = context.system.model.methods["terms"], 0.0, 0

    @jax.jit
    def both(variables: Variables, key: Array, x: Array) -> Array:
        """Return rate (of all layers) and distortion of each example, [2, B]."""
        return jnp.stack([values.reshape(-1, len(x)).sum(axis=0) for values in terms(variables, key, x)])

    for index, batch in enumerate(context.test()):
        values = both(context.variables, jax.random.fold_in(context.key, index), batch["x"])
        sums, count = sums + np.asarray(values, np.float64).sum(axis=1), count + len(batch["x"])
    rate, distortion = (float(value) for value in sums / count)
    return {"rate": rate, "distortion": distortion, "free_energy": rate + distortion, "num_draws": 64}


def reconstruction(context: EvalContext) -> dict[str, Any]:
    """Return mean squared error, PSNR and SSIM of reconstructed test pictures."""
    return qualities(*rebuilt_pictures(context))


def reconstruction_against_pca(context: EvalContext) -> dict[str, Any]:
    """Return `reconstruction`, and the same of as many principal components as the code has entries ('pca_' before).

    The components are those of the training split. Reads config.model.latent_dim.
    """
    pictures, rebuilt = rebuilt_pictures(context)
    look = context.system.to_picture
    train = np.concatenate([np.asarray(look(batch["x"])) for batch in context.train()])
    flat = lambda images: jnp.asarray(images.reshape(len(images), -1))
    fitted = pca(flat(train), context.config.model.latent_dim)
    projected = pca_decode(pca_encode(flat(pictures), fitted), fitted)
    linear = np.clip(np.asarray(projected), 0.0, 1.0).reshape(pictures.shape)
    by_pca = {f"pca_{name}": value for name, value in qualities(pictures, linear).items()}
    return qualities(pictures, rebuilt) | by_pca


def holes(context: EvalContext) -> dict[str, Any]:
    """Tell how far from data lies what the code space decodes to, in the features of a classifier trained here.

    A set of pictures is described by the mean distance of its members to their nearest training picture and by the
    mean probability of their likeliest class. The sets: test pictures, their reconstructions, the middles between the
    codes of two test pictures, and draws of a code.

    Returns:
        'distance_<set>' and 'confidence_<set>', 'features' (the classifier), 'n' pictures a set.
    """
    data, methods = context.config.data, context.system.model.methods
    classifier = classifier_of(data.name, data.dir)
    look = lambda x: np.clip(np.asarray(context.system.to_picture(x), np.float32), 0.0, 1.0)
    x = jnp.concatenate([batch["x"] for batch in context.test()])
    y = jax.random.permutation(context.key, x)
    middle = jax.jit(lambda variables, x, y: methods["interpolate"](variables, context.key, x, y, num=3)[:, 1])
    sets = {
        "test": x,
        "reconstructed": jax.jit(methods["reconstruct"])(context.variables, context.key, x),
        "middles": middle(context.variables, x, y),
        "draws": jax.jit(methods["sample_mean"], static_argnums=2)(context.variables, context.key, len(x)),
    }
    train = metrics.embed(classifier, np.concatenate([look(batch["x"]) for batch in context.train()])).features
    result: dict[str, Any] = {}
    for name, pictures in sets.items():
        embedding = metrics.embed(classifier, look(pictures))
        result[f"distance_{name}"] = float(_nearest(embedding.features, train).mean())
        result[f"confidence_{name}"] = float(np.exp(embedding.log_probs.max(axis=1)).mean())
    return result | {"features": classifier.name, "n": len(x)}


def rebuilt_pictures(context: EvalContext) -> tuple[np.ndarray, np.ndarray]:
    """Return test pictures and their reconstructions, [N, H, W, C] in [0, 1] behind `to_picture`."""
    rebuild = jax.jit(context.system.model.methods["reconstruct"])
    look = lambda x: np.clip(np.asarray(context.system.to_picture(x), np.float32), 0.0, 1.0)
    pictures, rebuilt = [], []
    for index, batch in enumerate(context.test()):
        pictures.append(look(batch["x"]))
        rebuilt.append(look(rebuild(context.variables, jax.random.fold_in(context.key, index), batch["x"])))
    return np.concatenate(pictures), np.concatenate(rebuilt)


def qualities(pictures: np.ndarray, rebuilt: np.ndarray) -> dict[str, float]:
    """Return means over pictures [N, H, W, C] in [0, 1]; SSIM under uniform windows of 7 x 7."""
    x, y = jnp.asarray(pictures), jnp.asarray(rebuilt)
    error = metrics.mean_squared_error(x, y).mean()
    return {
        "mse": float(error),
        # A picture rebuilt without error has an infinite PSNR; the mean error's is finite.
        "psnr_of_mean": float(-10.0 * jnp.log10(error)),
        "ssim": float(metrics.uniform_ssim(x, y).mean()),
    }


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of each of points [N, D] to the nearest of others [M, D]."""
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2.0 * points @ others.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0.0))
