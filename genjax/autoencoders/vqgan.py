"""VQGAN (Esser, Rombach and Ommer 2021, arXiv:2012.09841): a VQ-VAE that a discriminator of patches keeps sharp.

    L_rec   = mean |x - x~| + p(x, x~)                         p a perceptual distance                  (section 3.1)
    L_VQ    = L_rec + codebook and commitment terms                                                            (4)
    L_GAN   = scores of patches, real x against x~ = decoder(quantized)                                        (5)

    encoder and decoder descend   L_VQ - weight lambda mean D(x~)
    the discriminator descends    mean max(0, 1 - D(x)) + mean max(0, 1 + D(x~))
    lambda = |dL_rec / dG| / (|dL_GAN / dG| + delta),   G the decoder's last layer                             (7)

so that both terms pull equally at the picture. The discriminator joins at a step of its own, before which the pictures
are not worth judging. As the authors' code has it, and their text has not: |x - x~| beside p, the hinge instead of
(5)'s logarithms, and the weight. Code vectors are moving averages (`genjax.autoencoders.quantization`), not moved by
(4).

The perceptual network's arrays lie in the state, as everything frozen does. The prior of the codes is a transformer
(`code_transformer`), bound by `code_prior`; encoder and decoder are convolutions, so that a grid of codes larger than
that of training decodes to a larger picture.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from genjax.autoencoders import quantization as vq
from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.vq_vae import Codes, require_grid
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables
from genjax.nn.conv import Conv

Perceptual = Callable[[PyTree, Array, Array], Array]  # weights, x, x~ -> [B]


class PatchTerms(NamedTuple):
    """The two terms of the discriminator's hinge, each [B]; its loss is their sum.

    real: of patches of data.
    fake: of patches of reconstructions.
    """

    real: Array
    fake: Array


class PatchDiscriminator(nn.Module):
    """Pictures [B, H, W, C] -> scores [B, h, w], each of the patch it sees (Isola et al. 2017).

    widths: channels; all but the first convolution halve the side.
    dtype: compute dtype.
    """

    widths: Sequence[int] = (32, 64)
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for index, width in enumerate(self.widths):
            size, stride = (3, 1) if index == 0 else (4, 2)
            x = nn.leaky_relu(Conv(width, kernel_size=size, stride=stride, dtype=self.dtype)(x), 0.2)
        return Conv(1, kernel_size=3, dtype=self.dtype)(x)[..., 0]


def patch_hinge_loss(real_scores: Array, fake_scores: Array) -> PatchTerms:
    """Return mean max(0, 1 - D(x)) and mean max(0, 1 + D(x~)) over the patches of each picture.

    Args:
        real_scores: [B, h, w].
        fake_scores: [B, h, w].

    Returns:
        PatchTerms of [B].
    """
    _require_patches(real_scores)
    _require_patches(fake_scores)
    over_patches = lambda values: jnp.mean(values, axis=(1, 2))
    return PatchTerms(over_patches(nn.relu(1.0 - real_scores)), over_patches(nn.relu(1.0 + fake_scores)))


def patch_generator_loss(fake_scores: Array) -> Array:
    """Return -D(x~), averaged over the patches of each picture: [B, h, w] -> [B]."""
    _require_patches(fake_scores)
    return -jnp.mean(fake_scores, axis=(1, 2))


def adaptive_weight(
    reconstruction: Array, adversarial: Array, *, delta: float = 1e-6, largest: float = 1e4
) -> Array:
    """Return |dL_rec / dG| / (|dL_GAN / dG| + delta), at most `largest`, without gradient.

    Args:
        reconstruction: gradient of L_rec by the weights of the decoder's last layer, any shape.
        adversarial: gradient of L_GAN by the same.
        delta: for an L_GAN that does not depend on them.
        largest: cuts the ratio.

    Returns:
        Scalar.

    Reference: Esser et al. 2021, eq. 7.
    """
    if reconstruction.shape != adversarial.shape:
        shapes = f"{reconstruction.shape} and {adversarial.shape}"
        raise ValueError(f"the gradients have shapes {shapes}; both must be by the same weights.")
    length = lambda gradient: jnp.sqrt(jnp.sum(gradient**2))
    return lax.stop_gradient(jnp.minimum(length(reconstruction) / (length(adversarial) + delta), largest))


def vqgan(
    encoder: nn.Module,
    decoder: nn.Module,
    discriminator: nn.Module,
    *,
    perceptual: Perceptual,
    perceptual_weights: Callable[[], PyTree],
    num_codes: int,
    grid: tuple[int, int],
    commitment: float = 0.25,
    adversarial_weight: float = 0.8,
    start: int = 0,
    decay: float = 0.99,
    restart_below: float = 0.0,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Build a VQGAN's first stage.

    Args:
        encoder: x [B, H, W, C] -> z [B, h, w, D]. No collections beside 'params'.
        decoder: e [B, h, w, D] -> x~ [B, H, W, C], its last layer named 'last' (`GridDecoder`). Likewise.
        discriminator: x -> scores of patches [B, h', w']. Likewise.
        perceptual: (weights, x, x~) -> [B], in the space of x.
        perceptual_weights: () -> the arrays it reads; `init` puts them into the state.
        num_codes: K.
        grid: (h, w).
        commitment: beta.
        adversarial_weight: on lambda; 0.8 in the authors' configs.
        start: the step at which the discriminator joins.
        decay: of the codebook's moving averages.
        restart_below: see `quantization.restart_dead_codes`.
        axis_name: mapped axis over which codes and the gradients of lambda are taken together under pmap.

    Returns:
        A model with the updates 'autoencode' (encoder and decoder) and 'discriminate'. There is no likelihood. `sample`
        decodes codes that are equally likely. Methods, each (variables, key, ...): codes(x), from_codes(codes),
        sample_from_codes(codes), the same, reconstruct(x), and sample_mean(num); see `vq_vae_ema`.
    """

    def apply(name: str, module: nn.Module, params: PyTree, x: Array) -> Array:
        return widened(module.apply({"params": params[name]}, x))

    def mean_over_devices(tree: PyTree) -> PyTree:
        return tree if axis_name is None else lax.pmean(tree, axis_name)

    def init(key: Array, batch: Batch) -> Variables:
        keys, x = jax.random.split(key, 4), batch["x"]
        z, encoder_variables = encoder.init_with_output(keys[0], x)
        require_grid(z, x, grid)
        again, decoder_variables = decoder.init_with_output(keys[1], z)
        require_outputs(again, x, 1)
        scores, discriminator_variables = discriminator.init_with_output(keys[2], x)
        _require_patches(scores)
        found = {"encoder": encoder_variables, "decoder": decoder_variables, "discriminator": discriminator_variables}
        state = {"codebook": vq.initial_codebook(keys[3], widened(z), num_codes)}
        state["perceptual"] = jax.tree.map(jnp.asarray, perceptual_weights())
        return Variables({name: only_params(name, variables) for name, variables in found.items()}, state)

    def quantized(variables: Variables, x: Array) -> vq.Quantized:
        z = apply("encoder", encoder, variables.params, x)
        book = variables.state["codebook"]
        return vq.quantize(book, z, decay=decay, restart_below=restart_below, axis_name=axis_name)

    def terms(variables: Variables, x: Array, again: Array) -> dict[str, Array]:
        absolute = jnp.mean(jnp.abs(x - again))
        perceived = jnp.mean(perceptual(variables.state["perceptual"], x, again))
        scores = apply("discriminator", discriminator, variables.params, again)
        return {"absolute": absolute, "perceptual": perceived, "fooled": jnp.mean(patch_generator_loss(scores))}

    def weight_of(variables: Variables, x: Array, vectors: Array) -> Array:
        """Return lambda; nothing here is differentiated by the engine."""
        variables, vectors = lax.stop_gradient((variables, vectors))
        last = variables.params["decoder"]["last"]

        def parts(kernel: Array) -> tuple[Array, Array]:
            params = {"decoder": {**variables.params["decoder"], "last": {**last, "kernel": kernel}}}
            found = terms(variables, x, apply("decoder", decoder, params, vectors))
            return found["absolute"] + found["perceptual"], found["fooled"]

        _, pull_back = jax.vjp(parts, last["kernel"])
        one, zero = jnp.ones(()), jnp.zeros(())
        gradients = mean_over_devices((pull_back((one, zero))[0], pull_back((zero, one))[0]))
        return adaptive_weight(*gradients)

    def autoencode(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key
        found = quantized(variables, batch["x"])
        metrics = terms(variables, batch["x"], apply("decoder", decoder, variables.params, found.vectors))
        metrics["commitment"] = jnp.mean(found.commitment)
        ratio = weight_of(variables, batch["x"], found.vectors)
        joined = adversarial_weight * (step >= start).astype(jnp.float32)
        total = metrics["absolute"] + metrics["perceptual"] + commitment * metrics["commitment"]
        metrics |= {"adaptive_weight": ratio} | vq.use_metrics(found.codebook)
        state = {**variables.state, "codebook": found.codebook}
        return total + joined * ratio * metrics["fooled"], Aux(state, metrics)

    def discriminate(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key
        again = apply("decoder", decoder, variables.params, quantized(variables, batch["x"]).vectors)
        judged = (apply("discriminator", discriminator, variables.params, pictures) for pictures in (batch["x"], again))
        hinge = patch_hinge_loss(*judged)
        metrics = {"real": jnp.mean(hinge.real), "fake": jnp.mean(hinge.fake)}
        joined = (step >= start).astype(jnp.float32)
        return joined * (metrics["real"] + metrics["fake"]), Aux(variables.state, metrics)

    def codes(variables: Variables, key: Array, x: Array) -> Codes:
        del key
        z = apply("encoder", encoder, variables.params, x)
        return (vq.nearest_codes(z, variables.state["codebook"].vectors),)

    def from_codes(variables: Variables, key: Array, codes: Codes) -> Array:
        del key
        return apply("decoder", decoder, variables.params, vq.look_up(codes[0], variables.state["codebook"].vectors))

    def reconstruct(variables: Variables, key: Array, x: Array) -> Array:
        return from_codes(variables, key, codes(variables, key, x))

    def sample_mean(variables: Variables, key: Array, num: int) -> Array:
        return from_codes(variables, key, (jax.random.randint(key, (num, *grid), 0, num_codes),))

    def sample(variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None) -> Array:
        if condition is not None:
            raise ValueError("the codes of this model are drawn at random: sample takes no condition.")
        return sample_mean(variables, key, num_samples)

    updates = (
        Update("autoencode", ("encoder", "decoder"), autoencode),
        Update("discriminate", ("discriminator",), discriminate),
    )
    methods = {method.__name__: method for method in (codes, from_codes, reconstruct, sample_mean)}
    return GenerativeModel(init, updates, sample, methods=methods | {"sample_from_codes": from_codes})


def _require_patches(scores: Array) -> None:
    if scores.ndim != 3:
        raise ValueError(f"scores have shape {scores.shape}; a discriminator of patches gives [B, h, w].")
