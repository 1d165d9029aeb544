"""VQ-VAE-2, codes on two levels (Razavi, van den Oord and Vinyals 2019, arXiv:1906.00446).

    h     = bottom encoder(x)                   a grid
    z_top = top encoder(h),  e_top = its code vectors        the grid, half as large: what is global
    z_bot = merge(h, e_top),  e_bot = its code vectors       what is left: details               (Algorithm 1)
    p(x | e_top, e_bot) by decoder(e_bot, e_top)

Both codebooks are moving averages; the loss is that of VQ-VAE with a commitment term a level,

    L = -log p(x | e_top, e_bot) + beta (|z_top - sg[e_top]|^2 + |z_bot - sg[e_bot]|^2)                            (2)

in nats of the picture, and averages over places. Priors are fitted afterwards, that of the bottom codes told the top
ones (section 3.2; `genjax.autoencoders.code_prior`).
"""

from typing import Any, Callable, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.autoencoders import quantization as vq
from genjax.autoencoders.binding import only_params, require_outputs, widened
from genjax.autoencoders.grid_networks import GridDecoder, HalvesMerge
from genjax.autoencoders.likelihoods import Likelihood
from genjax.autoencoders.vq_vae import DiscreteStage, discrete_model, require_grid
from genjax.contract import Array, Aux, Batch, GenerativeModel, PyTree, Update, Variables

LEVELS = ("top", "bottom")


class TwoLevelNetworks(NamedTuple):
    """The networks, Linen modules with parameters alone.

    bottom: x [B, H, W, C] -> h [B, 2 h, 2 w, F].
    top: h -> z_top [B, h, w, D].
    merge: (h, e_top) -> z_bot [B, 2 h, 2 w, D'].
    decoder: (e_bot, e_top) -> [B, H, W, n C], n = likelihood.outputs_per_entry.
    """

    bottom: nn.Module
    top: nn.Module
    merge: nn.Module
    decoder: nn.Module


class TwoLevelDecoder(nn.Module):
    """(e_bot, e_top) -> [B, H, W, outputs]: the top doubled and laid on the bottom, then a `GridDecoder`.

    widths, outputs, blocks: see `GridDecoder`.
    dtype: compute dtype.
    """

    widths: tuple[int, ...]
    outputs: int
    blocks: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(self, bottom: Array, top: Array) -> Array:
        both = HalvesMerge(self.widths[0], self.widths[0], self.dtype, name="merge")(bottom, top)
        return GridDecoder(self.widths, self.outputs, self.blocks, self.dtype, name="grid")(both)


class _Answer(NamedTuple):
    """What the encoders make of a batch, of each level."""

    top: vq.Quantized
    bottom: vq.Quantized


def vq_vae2(
    networks: TwoLevelNetworks,
    likelihood: Likelihood,
    *,
    num_codes: int,
    grid: tuple[int, int],
    commitment: float = 0.25,
    decay: float = 0.99,
    restart_below: float = 0.0,
    axis_name: str | None = None,
) -> GenerativeModel:
    """Build a VQ-VAE-2.

    Args:
        networks: see TwoLevelNetworks.
        likelihood: p(x | codes).
        num_codes: K of either level.
        grid: (h, w) of the top codes; the bottom ones have twice that.
        commitment: beta.
        decay: of the codebooks' moving averages.
        restart_below: see `quantization.restart_dead_codes`.
        axis_name: mapped axis over which the use of codes is added under pmap; None elsewhere.

    Returns:
        A model with one update 'vq_vae2' that moves 'encoder' (bottom, top and merge) and 'decoder'. `sample`,
        `log_prob` and methods are those of `vq_vae_ema`, with codes (top, bottom).

    Raises:
        ValueError: from `init`, where the networks do not fit the data, the grids or the likelihood.
    """
    grids = (grid, (2 * grid[0], 2 * grid[1]))
    quantize = lambda book, z: vq.quantize(book, z, decay=decay, restart_below=restart_below, axis_name=axis_name)

    def part(params: PyTree, name: str, *inputs: Array) -> Array:
        return widened(getattr(networks, name).apply({"params": params["encoder"][name]}, *inputs))

    def answer(params: PyTree, state: PyTree, x: Array) -> _Answer:
        h = part(params, "bottom", x)
        top = quantize(state["top"], part(params, "top", h))
        return _Answer(top, quantize(state["bottom"], part(params, "merge", h, top.vectors)))

    def decode(params: PyTree, bottom: Array, top: Array) -> Array:
        return widened(networks.decoder.apply({"params": params["decoder"]}, bottom, top))

    def loss(variables: Variables, batch: Batch, key: Array, step: Array) -> tuple[Array, Aux]:
        del key, step
        found = answer(variables.params, variables.state, batch["x"])
        outputs = decode(variables.params, found.bottom.vectors, found.top.vectors)
        metrics = {"distortion": jnp.mean(-likelihood.log_prob(batch["x"], outputs))}
        for name, level in zip(LEVELS, found):
            metrics[f"commitment_{name}"] = jnp.mean(level.commitment)
            metrics |= {f"{metric}_{name}": value for metric, value in vq.use_metrics(level.codebook).items()}
        total = metrics["distortion"] + commitment * (metrics["commitment_top"] + metrics["commitment_bottom"])
        return total, Aux({"top": found.top.codebook, "bottom": found.bottom.codebook}, metrics)

    def codes(variables: Variables, x: Array) -> tuple[Array, Array]:
        found = answer(variables.params, variables.state, x)
        return found.top.codes, found.bottom.codes

    def decode_codes(variables: Variables, codes: tuple[Array, ...]) -> Array:
        top, bottom = (vq.look_up(grid, variables.state[name].vectors) for grid, name in zip(codes, LEVELS))
        return decode(variables.params, bottom, top)

    stage = DiscreteStage((num_codes, num_codes), codes, decode_codes, likelihood)
    init = _initializer(networks, likelihood, grids, num_codes)
    return discrete_model(init, (Update("vq_vae2", ("encoder", "decoder"), loss),), stage, grids)


def _initializer(
    networks: TwoLevelNetworks, likelihood: Likelihood, grids: tuple[tuple[int, int], ...], num_codes: int
) -> Callable[[Array, Batch], Variables]:
    def init(key: Array, batch: Batch) -> Variables:
        keys = jax.random.split(key, 6)
        x, encoder = batch["x"], {}

        def start(name: str, key: Array, *inputs: Array) -> Array:
            output, variables = getattr(networks, name).init_with_output(key, *inputs)
            encoder[name] = only_params(name, variables)
            return widened(output)

        h = start("bottom", keys[0], x)
        z_top = start("top", keys[1], h)
        require_grid(z_top, x, grids[0])
        top = vq.initial_codebook(keys[2], z_top, num_codes)
        e_top = vq.look_up(vq.nearest_codes(z_top, top.vectors), top.vectors)
        z_bottom = start("merge", keys[3], h, e_top)
        require_grid(z_bottom, x, grids[1])
        outputs, decoder = networks.decoder.init_with_output(keys[4], z_bottom, e_top)
        require_outputs(outputs, x, likelihood.outputs_per_entry)
        params = {"encoder": encoder, "decoder": only_params("decoder", decoder)}
        return Variables(params, {"top": top, "bottom": vq.initial_codebook(keys[5], z_bottom, num_codes)})

    return init
