"""DPM-Solver++ (Lu et al. 2022b) or UniPC (Zhao et al. 2023) on digits and MNIST: the training of diffusion/ddpm.

The steps are a sub-sequence of the model's. `experiments.evaluate` scores samples in few and in all steps (`curve`).

Variants: those of diffusion/ddpm, and
    unipc      as '', by UniPC.
"""

from ml_collections import ConfigDict

from experiments import denoisers
from experiments.configs.diffusion import ddim, ddpm
from genjax import diffusion, processes
from genjax.errors import UserError
from genjax.training.system import System

SOLVERS = {"dpm_solver++": diffusion.dpm_solver, "unipc": diffusion.unipc}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/dpm_solver", variant, (*ddpm.VARIANTS, "unipc"))
    config = ddpm.get_config("" if variant == "unipc" else variant)
    ddim.few_step_fields(config, "diffusion/dpm_solver", steps=10)
    config.sample.solver = "unipc" if variant == "unipc" else "dpm_solver++"
    config.sample.order = 2  # 1, 2 or 3
    if variant == "":
        config.expected.result = (
            "classifier-FID (ours) 8.4, 5.0, 4.6, 4.6, 4.7 in 5, 10, 20, 50 and all 200 steps (digits; floor 3.8)"
        )
        config.expected.cost = "10 minutes of a CPU core shared with others; evaluation 8 minutes"
    if variant == "unipc":
        config.expected.result = "not measured"
        config.expected.cost = "not measured"
    if variant == "tiny":
        ddim.tiny_curve(config)
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    if config.sample.solver not in SOLVERS:
        raise UserError(f"sample.solver={config.sample.solver!r} is none of {', '.join(SOLVERS)}.")
    solver, order = SOLVERS[config.sample.solver], config.sample.order

    def sampler_of(denoise: processes.Denoiser, schedule: processes.Schedule, steps: int) -> diffusion.Sampler:
        times = processes.sub_sequence(processes.num_steps(schedule), steps)
        return solver(denoise, lambda t: processes.marginal(schedule, t), times, order=order)

    return ddim.sampled_by(sampler_of, config, ddpm.build(config, axis_name=axis_name))
