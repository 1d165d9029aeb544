"""Improved denoising diffusion (Nichol & Dhariwal 2021) on digits and MNIST.

Variants:
    ''     8 x 8 digits in all 17 levels, the hybrid loss, in minutes on a CPU.
    bound  the same trained on the bound itself, steps drawn by importance.
    mnist  28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    mnist_cpu  28 x 28 on 2 x 2 patches, trained on the bound, small enough for a CPU. Likewise.
    tiny   as 'bound', small enough to compile in seconds.
"""

from ml_collections import ConfigDict

from experiments import denoisers
from experiments.configs.common import base
from genjax import diffusion, processes
from genjax.training.system import System

VARIANTS = ("", "bound", "mnist", "mnist_cpu", "tiny")
OBJECTIVES = {
    "hybrid": lambda model: diffusion.hybrid(model.bound_weight),
    "bound": lambda model: diffusion.whole_bound(),
    "constrained_bound": lambda model: diffusion.constrained_bound(model.error_weight),
}
STEPS = {
    "uniform": lambda model: diffusion.uniform_steps(model.steps),
    "importance": lambda model: diffusion.importance_steps(model.steps, floor=model.drawn_alike),
}

MEASURED = {  # variant: result, cost
    "": (
        "bound 1.855 bits/dim (0.014), diffusion/ddpm's is 2.00; classifier-FID (ours) 5.20 in 50 steps; digits can be read",
        "23 min beside other work",
    ),
    "mnist_cpu": (
        "bound 1.291 bits/dim (0.019) of 256 test pictures; most digits can be read",
        "26 minutes on one CPU core, 10 more for the bound",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/iddpm", variant, VARIANTS)
    config = base("diffusion/iddpm")
    denoisers.picture_fields(config)
    config.train.steps = 2_000
    config.model.steps = 200  # T; see diffusion/ddpm for why so few, and for the offset
    config.model.offset = 0.1  # s of the cosine schedule
    config.model.objective = "hybrid"  # hybrid, bound or constrained_bound
    config.model.bound_weight = 1e-3  # lambda of the hybrid
    config.model.error_weight = 1.0  # of the squared error beside the constrained bound
    config.model.drawn = "uniform"  # steps of training: uniform or importance
    config.model.drawn_alike = 0.001  # share of the draws by importance that is made alike
    config.model.sample_steps = 50  # of the T
    if variant in ("bound", "tiny"):
        config.model.objective, config.model.drawn = "bound", "importance"
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.model.steps = 1000
        config.model.offset = 0.008
        config.model.sample_steps = 100
    if variant == "mnist_cpu":
        denoisers.mnist_cpu_fields(config)
        config.data.test_split = "test[:256]"  # of T steps each
        config.data.batch_size = 64
        config.train.steps = 4_000
        config.train.checkpoint_every = 1_000
        config.model.fourier = (5, 6, 7)  # steps of grey are 2^-7 apart
        config.train.learning_rate = 1e-3
        config.model.objective, config.model.drawn = "constrained_bound", "importance"
        config.model.error_weight = 10.0  # the squared error is about 0.03, the bound 1.3
        config.model.drawn_alike = 0.5  # or the noisy half of the steps is seldom seen, and strokes break
        config.model.steps = 1000
        config.model.offset = 0.008
        config.model.sample_steps = 100
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.steps = 4
        config.model.sample_steps = 2
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; under pmap (`axis_name`) the losses that importance sampling has seen are gathered."""
    model = config.model
    return denoisers.picture_system(
        config,
        diffusion.iddpm(
            denoisers.unet(config, out_channels=2 * model.shape[-1]),
            processes.cosine_schedule(model.steps, offset=model.offset),
            shape=tuple(model.shape),
            levels=model.levels,
            objective=denoisers.chosen(OBJECTIVES, "objective", model)(model),
            steps=denoisers.chosen(STEPS, "drawn", model)(model),
            sample_steps=model.sample_steps,
            axis_name=axis_name,
        ),
    )
