"""Planar and radial flows (Rezende and Mohamed 2015), as densities of points and fitted to the paper's energies.

Variants:
    ''             32 planar steps as a density of two moons, by maximum likelihood.
    radial         as '', with radial steps.
    u1 u2 u3 u4    32 planar steps fitted to an energy without data, by the free energy. The data set gives the number
                   of examples alone; what is drawn and scored beside the samples comes from the energy itself.
    tiny           as '', small enough to compile in a second.
"""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments import evaluations
from experiments.configs.common import base
from genjax import flows
from genjax.contract import Array, Batch
from genjax.data import toy2d
from genjax.errors import UserError
from genjax.training.system import EvalContext, System

POTENTIALS = {
    "u1": flows.potential_1,
    "u2": flows.potential_2,
    "u3": flows.potential_3,
    "u4": flows.potential_4,
}
VARIANTS = ("", "radial", *POTENTIALS, "tiny")


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flows/planar has no variant {variant!r}; it has {named}.")
    config = base("flows/planar")
    _default(config)
    if variant == "radial":
        config.model.layer = "radial"
        config.expected.result = "not measured"
        config.expected.cost = "not measured"
    if variant in POTENTIALS:
        _potential(config, variant)
    if variant == "tiny":
        _tiny(config)
    return config


def _default(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons"
    config.data.batch_size = 512
    config.train.steps = 20_000
    config.train.steps_per_call = 200
    config.train.log_every = 1_000
    config.train.checkpoint_every = 5_000
    config.train.ema_decay = 0.999
    config.train.clip_norm = 10.0
    config.train.learning_rate = 5e-3  # at the start of a cosine

    config.model.layer = "planar"  # or radial
    config.model.potential = ""  # u1, u2, u3 or u4; '' for the density of data
    config.model.num_layers = 32
    config.model.init_scale = 0.5
    config.model.anneal_steps = 5_000  # over which an energy's weight rises to 1

    config.eval.num_samples = 2000

    config.expected.result = "1.045 nats on two moons, test split, last weights, seed 0; entropy 1.008"
    config.expected.cost = "under half a minute on one core of a CPU"


def _potential(config: ConfigDict, name: str) -> None:
    config.model.potential = name
    gap = {"u1": 0.007, "u2": 0.002, "u3": 0.060, "u4": 0.014}[name]
    config.expected.result = f"KL(q || p) = {gap} nats: free energy of 100,000 samples against log Z by integration"


def _tiny(config: ConfigDict) -> None:
    config.data.batch_size = 16
    config.train.steps = 4
    config.train.steps_per_call = 2
    config.model.num_layers = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model, train = config.model, config.train
    layers = {
        "planar": lambda: flows.planar_layer(model.init_scale, dtype=jnp.dtype(train.precision)),
        "radial": lambda: flows.radial_layer(model.init_scale),
    }
    if model.layer not in layers:
        raise UserError(f"model.layer={model.layer!r} is none of {', '.join(layers)}.")
    if model.potential and model.potential not in POTENTIALS:
        raise UserError(f"model.potential={model.potential!r} is none of {', '.join(POTENTIALS)}.")
    bijection = flows.repeat(layers[model.layer](), model.num_layers)
    optimizers = {"flow": optax.adam(optax.cosine_decay_schedule(train.learning_rate, train.steps))}
    if not model.potential:
        return System(flows.flow_model(bijection, shape=(2,)), optimizers, evaluations=_density_evaluations(config))
    potential = POTENTIALS[model.potential]

    def draw(key: Array, batch: Batch) -> Batch:
        return {"x": flows.potential_sample(key, potential, batch["x"].shape[0])}

    return System(
        flows.fitted_flow(bijection, potential, anneal_steps=model.anneal_steps),
        optimizers,
        transform=draw,
        evaluations={"fit": _fit, "wasserstein": evaluations.wasserstein},
    )


def _density_evaluations(config: ConfigDict) -> dict:
    """Return the distance of samples, and what the likelihood is to be read against."""
    name = config.data.name.removeprefix("toy2d/")
    found = {"wasserstein": evaluations.wasserstein}
    if name in toy2d.SETS and toy2d.SETS[name].entropy is not None:
        found["entropy"] = lambda context: {"entropy_nats": toy2d.SETS[name].entropy}
    return found


def _fit(context: EvalContext) -> dict[str, float]:
    """Return the free energy of many samples beside its bound, -log Z; their difference is KL(q || p)."""
    potential = POTENTIALS[context.config.model.potential]
    num, free_energy = 100_000, jax.jit(context.system.model.methods["free_energy"], static_argnums=2)
    energies = free_energy(context.variables, context.key, num)
    free, log_z = float(energies.mean()), flows.log_normalizer(potential)
    return {
        "free_energy": free,
        "minus_log_normalizer": -log_z,
        "kl_q_p": free + log_z,
        "kl_stderr": float(energies.std()) / num**0.5,
    }
