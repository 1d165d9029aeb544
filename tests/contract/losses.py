"""The table of public pure losses: one row for each, with examples to try it on. A new loss brings its row.

A row's function takes arrays with the examples along axis 0 (or a tuple of such) and returns `[B]`, or a NamedTuple of
these; what is the same for all examples (a schedule, weights) is bound in the row. Public functions whose names look
like a loss's and that are not in the table are in ELSEWHERE, with the reason.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax import adversarial, autoencoders, autoregressive, diffusion, flow_matching, flows, processes
from genjax.autoregressive.hidden_scan import init_weights
from genjax.nn import even_degrees
from genjax.pixels import to_symmetric

BATCH = 3
SCHEDULE = processes.cosine_schedule(5)


class Row(NamedTuple):
    """name: as in the family's `__all__`. function: arrays -> [B]. arguments: examples. wrong: what it must refuse."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    wrong: tuple[Any, ...]


def real(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(BATCH, *shape)), jnp.float32)


def bits(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 2, size=(BATCH, *shape)), jnp.float32)


def levels(*shape, number=17):
    return jnp.asarray(np.random.default_rng(0).integers(0, number, size=(BATCH, *shape)), jnp.uint8)


def made_network(x, degrees):
    """Every entry's logit is the sum of those before it."""
    return (jnp.cumsum(x, axis=1) - x)[..., None]


def quadratic_critic(x):
    """The squared norm of each example."""
    return (x**2).reshape(x.shape[0], -1).sum(axis=1)


POSTERIOR = autoencoders.Gaussian(real(2), 0.1 * real(2, seed=1))
NADE = init_weights(jax.random.key(0), num_dims=4, hidden=5, outputs=1)
RNADE = init_weights(jax.random.key(0), num_dims=4, hidden=5, outputs=6)
ORDER = jnp.arange(4)
SCALAR = jnp.float32(0.5)
KEY = jax.random.key(0)

ADVERSARIAL = [
    Row("attribute_loss", adversarial.attribute_loss, (real(4), bits(4)), (real(4), real())),
    Row("categorical_bound", adversarial.categorical_bound, (real(3), jax.nn.one_hot(jnp.arange(3), 3)), (real(), real())),
    Row("uniform_bound", adversarial.uniform_bound, (real(2), real(2, seed=1)), (real(), real())),
    Row("feature_loss", adversarial.feature_loss, (real(2, 2, 3), real(2, 2, 3, seed=1)), (real(4), real(4))),
    Row("pixel_loss", adversarial.pixel_loss, (real(2, 2, 1), real(2, 2, 1, seed=1)), (real(4), real(4))),
    Row("gan_discriminator_loss", adversarial.gan_discriminator_loss, (real(), real(seed=1)), (real(1), real(1))),
    Row("minimax_generator_loss", adversarial.minimax_generator_loss, (real(),), (real(1),)),
    Row("non_saturating_generator_loss", adversarial.non_saturating_generator_loss, (real(),), (real(1),)),
    Row(
        "began_discriminator_loss",
        lambda x, y: adversarial.began_discriminator_loss(x, y, SCALAR),
        (real(), real(seed=1)),
        (real(1), real(1)),
    ),
    Row("began_generator_loss", adversarial.began_generator_loss, (real(),), (real(1),)),
    Row(
        "hinge_discriminator_loss",
        adversarial.hinge_discriminator_loss,
        (0.1 * real(), 0.1 * real(seed=1)),  # inside the margin
        (real(1), real(1)),
    ),
    Row("hinge_generator_loss", adversarial.hinge_generator_loss, (real(),), (real(1),)),
    Row("l1_loss", adversarial.l1_loss, (real(4), real(4, seed=1)), (real(4), real(3))),
    Row("label_loss", adversarial.label_loss, (real(4), jnp.array([0, 3, 1])), (real(4), jnp.zeros((BATCH, 2), int))),
    Row(
        "least_squares_discriminator_loss",
        adversarial.least_squares_discriminator_loss,
        (real(), real(seed=1)),
        (real(1), real(1)),
    ),
    Row("least_squares_generator_loss", adversarial.least_squares_generator_loss, (real(),), (real(1),)),
    Row("path_length_penalty", lambda x: adversarial.path_length_penalty(x, SCALAR), (real(),), (real(1),)),
    Row("r1_penalty", lambda x: adversarial.r1_penalty(quadratic_critic, x, x, KEY), (real(4),), (real(),)),
    Row("r2_penalty", lambda x: adversarial.r2_penalty(quadratic_critic, x, x, KEY), (real(4),), (real(),)),
    Row("stepwise_discriminator_loss", adversarial.stepwise_discriminator_loss, (real(4), real(4, seed=1)), (real(), real())),
    Row("stepwise_generator_loss", adversarial.stepwise_generator_loss, (real(4),), (real(),)),
    Row("student_loss", adversarial.student_loss, (real(), bits()), (real(1), real(1))),
    Row(
        "wasserstein_discriminator_loss",
        adversarial.wasserstein_discriminator_loss,
        (real(), real(seed=1)),
        (real(1), real(1)),
    ),
    Row(
        "ambiguity_loss",
        lambda logits, label: adversarial.ambiguity_loss(logits, label, jnp.array([1, 0, 3, 2])),
        (real(4), jnp.array([0, 3, 1])),
        (real(), jnp.array([0, 3, 1])),
    ),
    Row(
        "geographical_loss",
        adversarial.geographical_loss,
        (real(2, 2, 1), bits(2, 2, 1)),
        (real(2, 2), bits(2, 2)),
    ),
    Row("adaptive_loss", lambda losses: adversarial.adaptive_loss(losses**2), (real(2),), (real(),)),
    Row("contrast_loss", adversarial.contrast_loss, (real(2, 2, 3), real(2, 2, 3, seed=1)), (real(3), real(3))),
    Row("detector_loss", adversarial.detector_loss, (real(4), bits(4)), (real(), bits())),
    Row(
        "style_loss",
        lambda made, x: adversarial.style_loss(adversarial.style_filters(1, (2,)), made, x),
        (real(4, 4, 1), real(4, 4, 1, seed=1)),
        (real(4, 4), real(4, 4)),
    ),
    Row("wasserstein_generator_loss", adversarial.wasserstein_generator_loss, (real(),), (real(1),)),
    Row("matching_aware_loss", adversarial.matching_aware_loss, (real(), real(seed=1), real(seed=2)), (real(1),) * 3),
    Row(
        "placement_loss",
        lambda log_p, places, known: adversarial.placement_loss(log_p, places, known),
        (jax.nn.log_softmax(real(2, 2)), jnp.array([[0, 1], [1, 0], [1, 0]]), jnp.ones((BATCH, 2))),
        (real(2), jnp.zeros((BATCH, 2), int), jnp.ones((BATCH, 2))),
    ),
]

AUTOENCODERS = [
    Row("analytic_rate", autoencoders.analytic_rate, (POSTERIOR, real(2)), (autoencoders.Gaussian(real(), real()), real())),
    Row("sampled_rate", autoencoders.sampled_rate, (POSTERIOR, real(2)), (autoencoders.Gaussian(real(), real()), real())),
    Row("elbo", autoencoders.elbo, (autoencoders.Terms(real(), real(seed=1)),), (autoencoders.Terms(SCALAR, real(2)),)),
    Row("bernoulli_log_likelihood", autoencoders.bernoulli_log_likelihood, (bits(2, 2), real(2, 2)), (SCALAR, SCALAR)),
    Row(
        "gaussian_log_likelihood",
        lambda x, mean: autoencoders.gaussian_log_likelihood(x, mean, log_std=0.1),
        (real(4), real(4, seed=1)),
        (SCALAR, SCALAR),
    ),
    Row(
        "discretized_logistic_log_likelihood",
        lambda x, mean, log_scale: autoencoders.discretized_logistic_log_likelihood(
            x, mean, log_scale=log_scale, levels=17
        ),
        (to_symmetric(levels(4), 17), real(4), 0.1 * real(4, seed=1)),
        (SCALAR, SCALAR, SCALAR),
    ),
    Row(
        "tangent_penalty",
        lambda x, tangents: autoencoders.tangent_penalty(jnp.tanh, x, tangents),
        (real(4), real(2, 4, seed=1)),
        (real(4), real(4)),
    ),
    Row("jacobian_penalty", lambda x: autoencoders.jacobian_penalty(jnp.tanh, x), (real(4),), (real(),)),
    Row(
        "sigmoid_layer_penalty",
        lambda codes: autoencoders.sigmoid_layer_penalty(codes, jnp.ones((2, 4))),
        (jax.nn.sigmoid(real(4)),),
        (SCALAR,),
    ),
    Row("codebook_loss", autoencoders.codebook_loss, (real(4, 2), real(4, 2, seed=1)), (real(2), real(2))),
    Row("commitment_loss", autoencoders.commitment_loss, (real(4, 2), real(4, 2, seed=1)), (real(2), real(2))),
    Row("uniform_kl", autoencoders.uniform_kl, (real(4, 5),), (real(5),)),
    Row("patch_hinge_loss", autoencoders.patch_hinge_loss, (real(2, 2), real(2, 2, seed=1)), (real(2), real(2))),
    Row("patch_generator_loss", autoencoders.patch_generator_loss, (real(2, 2),), (real(2),)),
]

DIFFUSION = [
    Row("simple_loss", diffusion.simple_loss, (real(2, 2), real(2, 2, seed=1)), (SCALAR, SCALAR)),
    Row("simple_loss_per_dim", diffusion.simple_loss_per_dim, (real(2, 2), real(2, 2, seed=1)), (SCALAR, SCALAR)),
    Row("prior_kl", lambda x0: diffusion.prior_kl(x0, SCHEDULE), (real(2, 2),), (SCALAR,)),
    Row(
        "transition_kl",
        lambda x0, estimate, t: diffusion.transition_kl(x0, estimate, t, SCHEDULE, processes.lower_variance(SCHEDULE)),
        (real(2, 2), real(2, 2, seed=1), jnp.array([2, 3, 5])),
        (real(2, 2), real(2, 2), jnp.array([[2], [3], [5]])),
    ),
    Row(
        "total_bound",
        lambda prior, transitions, decoder: diffusion.total_bound(
            diffusion.BoundTerms(prior, jnp.moveaxis(transitions, 0, 1), decoder)
        ),
        (real(), real(4), real(seed=1)),
        (real(2), real(4), real()),
    ),
    Row(
        "explicit_score_loss",
        lambda x, target: diffusion.explicit_score_loss(jnp.tanh, x, target),
        (real(4), real(4, seed=1)),
        (real(4), real(3)),
    ),
    Row("implicit_score_loss", lambda x: diffusion.implicit_score_loss(jnp.tanh, x), (real(4),), (SCALAR,)),
    Row(
        "sliced_score_loss",
        lambda x, v: diffusion.sliced_score_loss(jnp.tanh, x, v),
        (real(4), real(4, seed=1)),
        (real(4), real(3)),
    ),
    Row(
        "sliced_score_loss_vr",
        lambda x, v: diffusion.sliced_score_loss_vr(jnp.tanh, x, v),
        (real(4), real(4, seed=1)),
        (real(4), real(3)),
    ),
    Row(
        "denoising_score_loss",
        lambda x, eps: diffusion.denoising_score_loss(jnp.tanh, x, eps, sigma=0.5),
        (real(4), real(4, seed=1)),
        (real(4), real(3)),
    ),
    Row("contrastive_loss", diffusion.contrastive_loss, (real(), real(seed=1)), (real(2), real(2))),
    Row(
        "denoising_loss",
        lambda output, x0, eps, t: diffusion.denoising_loss(
            output, x0, eps, processes.point_at(processes.cosine_path(), t)
        ),
        (real(2, 2), real(2, 2, seed=1), real(2, 2, seed=2), jnp.array([0.2, 0.5, 0.9])),
        (real(2, 2), real(2, 3), real(2, 2), jnp.array([0.2, 0.5, 0.9])),
    ),
    Row(
        "step_bound",
        lambda x0, estimate, v, t: diffusion.step_bound(x0, estimate, v, t, SCHEDULE, levels=17),
        (to_symmetric(levels(2, 2), 17), 0.1 * real(2, 2), 0.1 * real(2, 2, seed=1), jnp.array([1, 3, 5])),
        (real(2, 2), real(2, 3), real(2, 2), jnp.array([1, 3, 5])),
    ),
    Row("classification_loss", diffusion.classification_loss, (real(4), jnp.array([0, 3, 1])), (real(4), jnp.zeros((BATCH, 2), int))),
]

AUTOREGRESSIVE = [
    Row("nade_log_prob", lambda x: autoregressive.nade_log_prob(x, NADE, ORDER), (bits(4),), (bits(2, 2),)),
    Row("rnade_log_prob", lambda x: autoregressive.rnade_log_prob(x, RNADE, ORDER), (real(4),), (real(2, 2),)),
    Row(
        "made_log_prob",
        lambda x: autoregressive.made_log_prob(
            x, even_degrees(range(4), (5,)), network=made_network, conditional=autoregressive.bernoulli()
        ),
        (bits(4),),
        (bits(2, 2),),
    ),
    Row(
        "softmax_log_prob",
        autoregressive.softmax_log_prob,
        (levels(4), real(4, 17)),
        (jnp.uint8(3), jnp.zeros(17)),
    ),
    Row(
        "mixture_log_prob",
        lambda x, outputs: autoregressive.mixture_log_prob(x, outputs, levels=17),
        (levels(2, 2, 3), real(2, 2, 20)),
        (levels(2, 2), real(2, 20)),
    ),
]

FLOWS = [
    Row(
        "change_of_variables",
        lambda z, log_det: flows.change_of_variables(z, log_det, flows.standard_normal()),
        (real(2, 2), real(seed=1)),
        (real(2, 2), real(2)),
    ),
    Row("free_energy", lambda log_q, energy: flows.free_energy(log_q, energy, 0.5), (real(), real(seed=1)), (real(2),) * 2),
]

FLOW_MATCHING = [
    Row("flow_matching_loss", flow_matching.flow_matching_loss, (real(2, 2), real(2, 2, seed=1)), (SCALAR, SCALAR)),
    Row(
        "flow_matching_loss_per_dim",
        flow_matching.flow_matching_loss_per_dim,
        (real(2, 2), real(2, 2, seed=1)),
        (SCALAR, SCALAR),
    ),
    Row(
        "bridge_score_loss",
        lambda drift, noise, std: flow_matching.bridge_score_loss(drift, noise, std, sigma=0.5),
        (real(2, 2), real(2, 2, seed=1), jnp.array([0.1, 0.2, 0.3])),
        (real(2, 2), real(2, 2, seed=1), jnp.ones((BATCH, 1))),
    ),
]

LOSSES = [*ADVERSARIAL, *AUTOENCODERS, *DIFFUSION, *AUTOREGRESSIVE, *FLOWS, *FLOW_MATCHING]

ELSEWHERE = {
    "pixel_gradient_penalty": "draws, for all examples at once",
    "teacher_losses": "one value a teacher, checked in tests/adversarial/test_pategan.py",
    "ranking_loss": "of all pairs of a minibatch, checked in tests/adversarial/test_text2image_gan.py",
    "gradient_penalty": "draws, for all examples at once",
    "one_sided_gradient_penalty": "draws, for all examples at once",
    "consistency_penalty": "draws, for all examples at once",
    "orthogonal_penalty": "of weights, checked in tests/adversarial/test_regularizers.py",
    "off_diagonal_penalty": "of weights, checked in tests/adversarial/test_regularizers.py",
    "bound_terms": "draws, for all examples at once",
    "learned_bound_terms": "draws, for all examples at once",
    "path_bound": "draws, for all examples at once",
    "whole_bound": "an objective, of losses",
    "constrained_bound": "an objective, of losses",
    "elbo_terms": "draws, for all examples at once",
    "log_weights": "draws, for all examples at once",
    "order_agnostic_bound": "draws, for all examples at once",
    "reparameterized_bound": "reduces samples [k, B], checked in tests/autoencoders",
    "doubly_reparameterized_bound": "reduces samples [k, B], checked in tests/autoencoders",
    "importance_weighted_bound": "reduces samples [k, B], checked in tests/autoencoders",
    "ensemble_log_prob": "made_log_prob over masks, checked in tests/autoregressive",
    "ode_log_prob": "solves an equation, checked in tests/diffusion/test_likelihood.py",
    "generalized_kl": "of a matrix (classical)",
    "tied_sigmoid_penalty": "sigmoid_layer_penalty read from parameters, checked in tests/autoencoders",
    "gaussian_kl": "of two distributions, not of examples (classical)",
    "categorical_log_prob": "entry by entry",
    "colour_log_probs": "entry by entry",
    "discretized_normal_log_prob": "entry by entry",
    "gaussian_mixture_log_prob": "entry by entry",
}
