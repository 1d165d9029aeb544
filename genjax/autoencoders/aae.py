"""Adversarial autoencoders (Makhzani et al. 2016, arXiv:1511.05644).

An autoencoder whose codes a discriminator cannot tell from draws of a prior p(z), which need be no more than drawn
from. A step is, each on what the one before left (section 2):

    reconstruct      encoder and decoder   descend -log p(x | z), z = encoder(x)
    discriminate     discriminator         tells z ~ p(z) (real) from encoder(x) (fake)
    regularize       encoder               descends the loss of being told apart

so the encoder moves twice, by two optimizers. `semi_supervised_aae` (section 5, figure 8) splits the code into a class
y, a softmax matched to the one-hot classes by a discriminator of its own, and a style z; on the examples that have a
label, a fourth update

    classify         encoder               descends -log q(y = label | x)
"""

from typing import Any, Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.coder import bind_coder
from genjax.autoencoders.latent_game import (
    ScoreLoss,
    ScoresLoss,
    discriminate,
    init_discriminator,
    init_with_discriminator,
    prior_model,
    score,
)
from genjax.autoencoders.latent_priors import Prior
from genjax.autoencoders.likelihoods import Likelihood
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables


def aae(
    encoder: nn.Module,
    decoder: nn.Module,
    discriminator: nn.Module,
    likelihood: Likelihood,
    *,
    latent_dim: int,
    prior: Prior,
    discriminator_loss: ScoresLoss,
    encoder_loss: ScoreLoss,
) -> GenerativeModel:
    """Build an adversarial autoencoder with a deterministic encoder.

    Args:
        encoder: x [B, ...] -> codes [B, latent_dim]. No collections beside 'params'.
        decoder: z [B, latent_dim] -> [B, ..., n C], n = likelihood.outputs_per_entry. Likewise.
        discriminator: (codes [B, Z], train=) -> scores [B]. Likewise.
        likelihood: p(x|z).
        latent_dim: Z.
        prior: (key, (N, Z)) -> draws.
        discriminator_loss: (scores of draws, scores of codes) -> (real [B], fake [B]).
        encoder_loss: scores of codes -> [B].

    Returns:
        A model with the updates 'reconstruct', 'discriminate' and 'regularize'; see `latent_game.prior_model`.
    """
    coder = bind_coder(encoder, decoder, likelihood, latent_dim=latent_dim)

    def reconstruct(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        codes = coder.encode(variables.params, batch["x"])
        distortion = jnp.mean(-likelihood.log_prob(batch["x"], coder.decode(variables.params, codes)))
        return distortion, Aux(variables.state, {"distortion": distortion})

    def tell_apart(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        codes, params = coder.encode(variables.params, batch["x"]), variables.params["discriminator"]
        drawn = prior(key, codes.shape)
        total, metrics = discriminate(discriminator, params, drawn, codes, loss=discriminator_loss)
        return total, Aux(variables.state, metrics)

    def regularize(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        codes = coder.encode(variables.params, batch["x"])
        scores = score(discriminator, variables.params["discriminator"], codes)
        return jnp.mean(encoder_loss(scores)), Aux(variables.state, {"score": jnp.mean(scores)})

    updates = (
        Update("reconstruct", ("encoder", "decoder"), reconstruct),
        Update("discriminate", ("discriminator",), tell_apart),
        Update("regularize", ("encoder",), regularize),
    )
    init = init_with_discriminator(coder, discriminator, latent_dim=latent_dim)
    return prior_model(init, updates, coder, likelihood, prior, latent_dim=latent_dim)


class ClassAndStyle(NamedTuple):
    """A code in two parts.

    log_probs: log q(y|x), [B, K].
    style: z, [B, Z].
    """

    log_probs: Array
    style: Array


def labelled_cross_entropy(log_probs: Array, labels: Array, labelled: Array) -> Array:
    """Return -log q(label) where an example is labelled, else 0.

    Args:
        log_probs: [B, K], log-probabilities.
        labels: [B], integers; read where labelled.
        labelled: [B], boolean.

    Returns:
        [B], nats.
    """
    if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1] or labelled.shape != labels.shape:
        shapes = f"{log_probs.shape}, {labels.shape} and {labelled.shape}"
        raise ValueError(f"log_probs, labels and labelled have shapes {shapes}; they must be [B, K], [B] and [B].")
    picked = jnp.take_along_axis(log_probs, labels[:, None].astype(jnp.int32), axis=1)[:, 0]
    return jnp.where(labelled, -picked, 0.0)


def semi_supervised_aae(
    encoder: nn.Module,
    decoder: nn.Module,
    class_discriminator: nn.Module,
    style_discriminator: nn.Module,
    likelihood: Likelihood,
    *,
    num_classes: int,
    style_dim: int,
    style_prior: Prior,
    discriminator_loss: ScoresLoss,
    encoder_loss: ScoreLoss,
) -> GenerativeModel:
    """Build the semi-supervised variant.

    Args:
        encoder: x [B, ...] -> [B, K + Z], K logits and the style. No collections beside 'params'.
        decoder: [B, K + Z], class probabilities and style -> [B, ..., n C]. Likewise.
        class_discriminator: (probabilities [B, K], train=) -> scores [B]; real are one-hot classes, equally likely.
        style_discriminator: (styles [B, Z], train=) -> scores [B].
        likelihood: p(x | y, z).
        num_classes: K.
        style_dim: Z.
        style_prior: (key, (N, Z)) -> draws.
        discriminator_loss, encoder_loss: as for `aae`.

    Returns:
        A model of batches with 'label' int32 [B] and 'labelled' bool [B] beside 'x', with the updates 'reconstruct',
        'discriminate' (both discriminators), 'regularize' and 'classify'. `sample` takes classes int32 [num] as
        condition. Methods: encode(x) -> ClassAndStyle; decode(labels [B], style [B, Z]) -> E[x|y, z];
        reconstruct(x) -> [B, ...]; draw_style(num) -> [num, Z].
    """
    parts = _Parts(encoder, decoder, likelihood, num_classes, style_dim)
    discriminators = {"class": class_discriminator, "style": style_discriminator}

    def reconstruct(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        found = parts.encode(variables.params, batch["x"])
        outputs = parts.decode(variables.params, jnp.exp(found.log_probs), found.style)
        distortion = jnp.mean(-likelihood.log_prob(batch["x"], outputs))
        return distortion, Aux(variables.state, {"distortion": distortion})

    def of_codes(variables: Variables, x: Array) -> dict[str, Array]:
        found = parts.encode(variables.params, x)
        return {"class": jnp.exp(found.log_probs), "style": found.style}

    def tell_apart(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del step
        class_key, style_key = jax.random.split(key)
        num = batch["x"].shape[0]
        classes = jax.random.randint(class_key, (num,), 0, num_classes)
        drawn = {"class": jax.nn.one_hot(classes, num_classes), "style": style_prior(style_key, (num, style_dim))}
        codes, metrics, total = of_codes(variables, batch["x"]), {}, 0.0
        for name, module in discriminators.items():
            params = variables.params[f"{name}_discriminator"]
            loss, terms = discriminate(module, params, drawn[name], codes[name], loss=discriminator_loss)
            total = total + loss
            metrics |= {f"{name}_{term}": value for term, value in terms.items()}
        return total, Aux(variables.state, metrics)

    def regularize(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        codes = of_codes(variables, batch["x"])
        losses = {
            name: jnp.mean(encoder_loss(score(module, variables.params[f"{name}_discriminator"], codes[name])))
            for name, module in discriminators.items()
        }
        return sum(losses.values()), Aux(variables.state, losses)

    def classify(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        log_probs = parts.encode(variables.params, batch["x"]).log_probs
        nats = labelled_cross_entropy(log_probs, batch["label"], batch["labelled"])
        # Divided by the size of the batch, not by the labels in it: means over devices are means over all.
        return jnp.mean(nats), Aux(variables.state, {"labelled": jnp.mean(batch["labelled"].astype(jnp.float32))})

    def init(key: Array, batch: Batch) -> Variables:
        coder_key, *keys = jax.random.split(key, 3)
        params = parts.init(coder_key, batch["x"])
        sizes = {"class": num_classes, "style": style_dim}
        for (name, module), own_key in zip(discriminators.items(), keys):
            codes = jnp.zeros((batch["x"].shape[0], sizes[name]))
            params[f"{name}_discriminator"] = init_discriminator(module, own_key, codes)
        return Variables(params)

    updates = (
        Update("reconstruct", ("encoder", "decoder"), reconstruct),
        Update("discriminate", ("class_discriminator", "style_discriminator"), tell_apart),
        Update("regularize", ("encoder",), regularize),
        Update("classify", ("encoder",), classify),
    )
    return _class_model(init, updates, parts, style_prior)


class _Parts(NamedTuple):
    """Encoder and decoder of classes and styles, as pure functions."""

    encoder: nn.Module
    decoder: nn.Module
    likelihood: Likelihood
    num_classes: int
    style_dim: int

    def init(self, key: Array, x: Array) -> dict[str, PyTree]:
        encoder_key, decoder_key = jax.random.split(key)
        codes, encoder = self.encoder.init_with_output(encoder_key, x)
        if codes.shape != (x.shape[0], self.num_classes + self.style_dim):
            wanted = f"[B, {self.num_classes} + {self.style_dim}]"
            raise ValueError(f"the encoder returned shape {codes.shape}; classes and styles are {wanted}.")
        outputs, decoder = self.decoder.init_with_output(decoder_key, codes)
        require_outputs(outputs, x, self.likelihood.outputs_per_entry)
        return {"encoder": only_params("encoder", encoder), "decoder": only_params("decoder", decoder)}

    def encode(self, params: PyTree, x: Array) -> ClassAndStyle:
        codes = widened(self.encoder.apply({"params": params["encoder"]}, x))
        return ClassAndStyle(jax.nn.log_softmax(codes[:, : self.num_classes]), codes[:, self.num_classes :])

    def decode(self, params: PyTree, probs: Array, style: Array) -> Array:
        return widened(self.decoder.apply({"params": params["decoder"]}, jnp.concatenate([probs, style], axis=-1)))


def _class_model(
    init: Callable[[Array, Batch], Variables], updates: tuple[Update, ...], parts: _Parts, style_prior: Prior
) -> GenerativeModel:
    def encode(variables: Variables, key: Array, x: Array) -> ClassAndStyle:
        del key
        return parts.encode(variables.params, x)

    def decode(variables: Variables, key: Array, labels: Array, style: Array) -> Array:
        del key
        probs = jax.nn.one_hot(labels, parts.num_classes)
        return parts.likelihood.mean(parts.decode(variables.params, probs, style))

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        found = encode(variables, key, x)
        return parts.likelihood.mean(parts.decode(variables.params, jnp.exp(found.log_probs), found.style))

    def draw_style(variables: Variables, key: Array, num: int) -> Array:
        del variables
        return style_prior(key, (num, parts.style_dim))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: Any = None) -> Array:
        if condition is None or condition.shape != (num_samples,):
            raise ValueError(f"this model draws pictures of classes: give int32 labels [{num_samples}] as condition.")
        return decode(variables, key, condition, draw_style(variables, key, num_samples))

    methods = {method.__name__: method for method in (encode, decode, reconstruct, draw_style)}
    return GenerativeModel(init, updates, sample, methods=methods)
