"""Conditional flow matching (Lipman et al. 2023; Tong et al. 2024).

Variants:
    ''         eight gaussians in the plane: torchcfm's network and straight lines.
    moons      torchcfm's two moons.
    diffusion  eight gaussians along the variance-preserving diffusion path.
    digits     8 x 8 digits in all 17 levels, in minutes on a CPU.
    mnist      28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    mnist_cpu  the same of logits, with a network on 2 x 2 patches, small enough for a CPU. Likewise.
    tiny       points of the plane, small enough to compile in a second.

`--config.model.num_classes=10 --config.model.label_dropout=0.1 --config.model.guidance=2.0` makes a model of digits
conditional on their class and guides it.
"""

from ml_collections import ConfigDict

from experiments import fields
from experiments.configs.common import base
from genjax import flow_matching
from genjax.errors import UserError
from genjax.training.system import System

VARIANTS = ("", "moons", "diffusion", "digits", "mnist", "mnist_cpu", "tiny")
MEASURED = {  # variant: result, cost
    "": (
        "2.869 +- 0.007 nats, eight gaussians (entropy 2.832); 2-Wasserstein 0.199, floor 0.189",
        "13 s on one CPU core",
    ),
    "moons": (
        "2.526 +- 0.006 nats (entropy at most 2.08); 2-Wasserstein 0.220, floor 0.299",
        "12 s on one CPU core",
    ),
    "diffusion": (
        "2.862 +- 0.007 nats, eight gaussians (entropy 2.832); 2-Wasserstein 0.234, floor 0.189",
        "12 s on one CPU core",
    ),
    "digits": (
        "1.854 +- 0.014 bits/dim by the ODE, digits test split; classifier-FID (ours) 5.15",
        "6 minutes on a CPU core shared with others",
    ),
    "mnist_cpu": (
        "1.306 bits/dim (0.018) by the ODE, 256 test pictures; classifier-FID (ours) 112.7, floor 24.3: half can be read",
        "25 minutes on one CPU core, 6 more for the likelihood",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    if variant not in VARIANTS:
        named = ", ".join(repr(name) for name in VARIANTS)
        raise UserError(f"flow_matching/cfm has no variant {variant!r}; it has {named}.")
    config = base("flow_matching/cfm")
    fields.point_fields(config)
    changes = {
        "moons": _moons,
        "diffusion": _diffusion,
        "digits": _digits,
        "mnist": _mnist,
        "mnist_cpu": _mnist_cpu,
        "tiny": fields.tiny_fields,
    }
    if variant:
        changes[variant](config)
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    return config


def _moons(config: ConfigDict) -> None:
    config.data.name = "toy2d/two_moons_torchcfm"


def _diffusion(config: ConfigDict) -> None:
    config.model.interpolant = "diffusion"
    config.model.span = (0.0, 0.9999)  # the velocity grows like 1 / sqrt(1 - t)


def _digits(config: ConfigDict) -> None:
    fields.picture_fields(config)
    _transport(config)


def _mnist(config: ConfigDict) -> None:
    fields.mnist_fields(config)
    _transport(config)


def _mnist_cpu(config: ConfigDict) -> None:
    fields.mnist_cpu_fields(config)
    _transport(config)
    config.data.test_split = "test[:256]"
    config.train.steps = 4_000
    config.train.checkpoint_every = 1_000
    config.model.times = "logit_normal"
    config.model.logit_normal = (2.0, 2.0)  # most bits are near the data
    config.model.likelihood_steps = 50


def _transport(config: ConfigDict) -> None:
    config.model.interpolant = "transport"
    config.model.sigma = 1e-4  # sigma_min


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    interpolant = fields.chosen(fields.INTERPOLANTS, "interpolant", config.model)(config.model)
    times = fields.chosen(fields.TIMES, "times", config.model)(config.model)
    model = flow_matching.cfm(fields.field_of(config, fields.network(config)), interpolant, times=times)
    return fields.system_of(config, model)
