"""VAE with a normalizing flow as posterior, on binarized digits; the networks of autoencoders/vae.py.

Here the flows of `genjax.flows` meet `genjax.autoencoders.flow_vae`, which takes them as two functions.

Variants:
    ''       16 planar steps, whose parameters the encoder gives (Rezende and Mohamed 2015).
    iaf      4 inverse autoregressive layers under a context (Kingma et al. 2016).
    none     K = 0: the VAE with the sampled rate, to compare with.
    tiny     as 'iaf', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import latents
from experiments.configs.common import base
from genjax import autoencoders, flows
from genjax.contract import Array, PyTree
from genjax.data import transforms
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "iaf", "none", "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"autoencoders/flow_vae has no variant {variant!r}; it has {named}.")
    config = base("autoencoders/flow_vae")
    _default(config)
    changes = {"iaf": _iaf, "none": _none, "tiny": _tiny}
    if variant:
        config.expected.result = config.expected.cost = "not measured"
        changes[variant](config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.batch_size = 128
    config.train.steps = 20_000
    config.train.steps_per_call = 100
    config.train.log_every = 500
    config.train.checkpoint_every = 5_000
    config.train.learning_rate = 1e-3  # at the start of a cosine

    config.model.shape = (8, 8, 1)
    config.model.levels = 17
    config.model.hidden = (200, 200)  # widths of the encoder's layers; the decoder has them reversed
    config.model.latent_dim = 16
    config.model.flow = "planar"  # or iaf
    config.model.num_steps = 16  # K
    config.model.flow_hidden = (64,)  # of the iaf's masked networks
    config.model.context_dim = 32  # of the iaf's context

    config.eval.importance_samples = 5000  # k of the bound that stands for log p(x)
    config.eval.chunk = 100  # of them decoded at a time

    config.expected.result = "free energy 22.40 nats, without flow 22.54; digits test split, dynamically binarized"
    config.expected.cost = "1 minute on one CPU core"


def _iaf(config: ConfigDict) -> None:
    config.model.flow = "iaf"
    config.model.num_steps = 4


def _none(config: ConfigDict) -> None:
    config.model.num_steps = 0


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.eval.importance_samples = 20
    config.eval.chunk = 10
    _iaf(config)
    config.model.hidden = (8,)
    config.model.latent_dim = 2
    config.model.num_steps = 2
    config.model.flow_hidden = (8,)
    config.model.context_dim = 3


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, dtype = config.model, jnp.dtype(config.train.precision)
    widths, latent_dim = tuple(model.hidden), model.latent_dim
    flow, context_dim = _flow(config, dtype)
    built = autoencoders.flow_vae(
        autoencoders.MLPFlowEncoder(latent_dim, context_dim, widths, jax.nn.relu, dtype=dtype),
        autoencoders.MLPDecoder(tuple(model.shape), 1, widths[::-1], jax.nn.relu, dtype=dtype),
        autoencoders.bernoulli(),
        flow,
        latent_dim=latent_dim,
    )
    rate = optax.cosine_decay_schedule(config.train.learning_rate, config.train.steps)
    return System(
        model=built,
        optimizers={"flow_vae": optax.adam(rate)},
        transform=transforms.binarize_dynamic(model.levels),
        preview=built.methods["sample_mean"],
        evaluations={
            "iwae": latents.importance_weighted,
            "free_energy": latents.free_energy,
            "units": latents.sampled_units,
            "reconstruction": latents.reconstruction,
        },
    )


def _flow(config: ConfigDict, dtype: jnp.dtype) -> tuple[autoencoders.LatentFlow, int]:
    """Return the flow and the size of the context that it reads."""
    model = config.model
    size, num = model.latent_dim, model.num_steps
    if model.flow == "planar":

        def forward(weights: PyTree, z0: Array, context: Array) -> tuple[Array, Array]:
            del weights
            each = context.reshape(z0.shape[0], num, 2 * size + 1).transpose(1, 0, 2)
            return flows.planar_flow(z0, flows.Planar(each[..., :size], each[..., size:-1], each[..., -1]))

        return autoencoders.LatentFlow(lambda key, z0, context: {}, forward), num * (2 * size + 1)
    if model.flow != "iaf" or num < 1:
        raise UserError(f"model.flow={model.flow!r} is none of planar, iaf, or an iaf has no steps.")
    # MAF's direction from z_0 to z_K, one pass a layer: turned round, an inverse autoregressive flow's density.
    bijection = flows.maf_bijection(size, tuple(model.flow_hidden), num_layers=num, conditioned=True, dtype=dtype)
    start = lambda key, z0, context: bijection.init(key, z0, context).params
    carry = lambda weights, z0, context: bijection.forward(flows.Weights(weights), z0, context)
    return autoencoders.LatentFlow(start, carry), model.context_dim
