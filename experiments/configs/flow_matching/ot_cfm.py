"""Optimal-transport flow matching, and Schroedinger bridges (Tong et al. 2024).

Variants:
    ''             eight gaussians in the plane, exact coupling of minibatches; network and steps of flow_matching/cfm.
    moons          torchcfm's two moons.
    between        from torchcfm's eight gaussians to its two moons.
    sinkhorn       eight gaussians, entropic coupling.
    bridge         eight gaussians, Schroedinger bridge with flow and score, sampled by its stochastic equation.
    digits         8 x 8 digits in all 17 levels.
    mnist          28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    tiny, bridge_tiny    points of the plane, small enough to compile in a second.
"""

from ml_collections import ConfigDict

from experiments import fields
from experiments.configs.common import base
from genjax import flow_matching
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "moons", "between", "sinkhorn", "bridge", "digits", "mnist", "tiny", "bridge_tiny")
COUPLINGS = {
    "exact": lambda model: flow_matching.exact_coupling,
    "sinkhorn": lambda model: flow_matching.sinkhorn_coupling(model.regularization, iterations=model.iterations),
    "independent": lambda model: flow_matching.independent_coupling,
}
MEASURED = {  # variant: result, cost
    "": (
        "2.848 +- 0.007 nats, eight gaussians (entropy 2.832); 2-Wasserstein 0.223, floor 0.189, straightness 0.008",
        "1.5 minutes on one CPU core",
    ),
    "bridge": (
        "2-Wasserstein 0.256 by the stochastic equation, floor 0.189",
        "1.5 minutes on one CPU core",
    ),
    "between": (
        "2-Wasserstein 0.232 to the moons, floor 0.299",
        "1.5 minutes on one CPU core",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flow_matching/ot_cfm has no variant {variant!r}; it has {named}.")
    config = base("flow_matching/ot_cfm")
    fields.point_fields(config)
    config.model.coupling = "exact"  # exact, sinkhorn or independent
    config.model.regularization = 0.5  # r of Sinkhorn, a squared distance
    config.model.iterations = 50  # of Sinkhorn
    config.model.bridge = False  # Schroedinger bridge d x = sigma dw, with the score
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    changes = {
        "moons": _moons,
        "between": _between,
        "sinkhorn": _sinkhorn,
        "bridge": _bridge,
        "digits": fields.picture_fields,
        "mnist": fields.mnist_fields,
        "tiny": fields.tiny_fields,
        "bridge_tiny": _bridge_tiny,
    }
    if variant:
        changes[variant](config)
    return config


def _moons(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons_torchcfm"


def _between(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons_torchcfm"
    config.model.source = "toy2d/eight_gaussians_torchcfm"


def _sinkhorn(config: ConfigDict) -> None:
    config.model.coupling = "sinkhorn"


def _bridge(config: ConfigDict) -> None:
    config.model.bridge = True
    config.model.sigma = 1.0
    config.model.span = (1e-3, 1.0 - 1e-3)
    config.model.steps = 100  # of the stochastic equation


def _bridge_tiny(config: ConfigDict) -> None:
    fields.tiny_fields(config)
    _bridge(config)
    config.model.steps = 2


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; under pmap each device couples its own part of the batch, so `axis_name` is not used."""
    del axis_name
    model, field = config.model, fields.field_of(config, fields.network(config))
    if model.bridge:
        built = flow_matching.sb_cfm(field, sigma=model.sigma, num_steps=model.steps, iterations=model.iterations)
        return fields.system_of(config, built)
    coupling = fields.chosen(COUPLINGS, "coupling", model)(model)
    times = fields.chosen(fields.TIMES, "times", model)(model)
    return fields.system_of(config, flow_matching.ot_cfm(field, sigma=model.sigma, coupling=coupling, times=times))
