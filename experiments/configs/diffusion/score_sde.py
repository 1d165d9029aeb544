"""Score-based models by stochastic differential equations (Song et al. 2021) on digits and MNIST.

Variants:
    ''              the variance-preserving equation (VP), 8 x 8 digits in all 17 levels, in minutes on a CPU.
    likelihood      VP, times drawn as the likelihood weighs them: more bits, looser digits, bound and flow agree.
    sub_vp          less noise on the way.
    ve              variance exploding, geometric sigma.
    ve_exponential  variance exploding, d x = s^t dw.
    mnist           28 x 28, 256 levels, sub-VP; for an accelerator. Needs --config.data.dir.
    mnist_cpu       28 x 28, VP, of logits, on 2 x 2 patches, small enough for a CPU. Likewise.
    tiny            as '', small enough to compile in seconds.
"""

from ml_collections import ConfigDict

from experiments import denoisers
from experiments.configs.common import base, mnist_logits, pixel_fields, pixel_path
from genjax import diffusion, processes, solvers
from genjax.processes import Denoiser, Path, point_at
from genjax.training.system import System

VARIANTS = ("", "likelihood", "sub_vp", "ve", "ve_exponential", "mnist", "mnist_cpu", "tiny")
PATHS = {
    "vp": lambda model: processes.linear_path(),
    "sub_vp": lambda model: processes.sub_vp_path(),
    "ve": lambda model: processes.exploding_path(model.sigma_min, model.sigma_max),
    "ve_exponential": lambda model: processes.exponential_path(model.base),
}
TIMES = {
    "uniform": lambda path, start: diffusion.uniform_between(start, 1.0),
    "importance": lambda path, start: diffusion.importance_times(path, start, 1.0),
}
WEIGHTS = {"simple": processes.simple_weight, "likelihood": processes.likelihood_weight}
RANGES = {"symmetric": processes.clip_symmetric, "logit": lambda x0: x0}
SAMPLERS = ("predictor_corrector", "reverse_diffusion", "ancestral", "euler_maruyama", "flow")

MEASURED = {  # variant: result, cost
    "": (
        "VP: 2.003 bits/dim (0.014) by the ODE; classifier-FID (ours) 9.3 in 60 corrected steps; digits can be read",
        "28 min beside other work",
    ),
    "likelihood": (
        "1.979 bits/dim (0.014) by the ODE, the bound agrees; classifier-FID (ours) 15.1 in 60 corrected steps",
        "5 minutes on one core, 4 more for the figures",
    ),
    "mnist_cpu": (
        "1.295 bits/dim (0.017) by the ODE, 256 test pictures; classifier-FID (ours) 107.9 (floor 24.3), most readable",
        "40 minutes on a CPU core shared with others, 3 more for the likelihood",
    ),
}


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/score_sde", variant, VARIANTS)
    config = base("diffusion/score_sde")
    denoisers.picture_fields(config)
    pixel_fields(config)
    config.model.path = variant if variant in PATHS else "vp"
    config.model.sigma_min = 0.02  # of the geometric path
    config.model.sigma_max = 20.0
    config.model.base = 25.0  # s, of the exponential path
    config.model.start = 0.001  # first time of training, last of sampling; the likelihood takes data to stand there
    config.model.weight = "simple"  # simple or likelihood
    config.model.times = "uniform"  # in training; importance: as likelihood weighs them, to go with weight simple
    config.model.sampler = "predictor_corrector"
    config.model.steps = 60
    config.model.spacing = 1.0  # power of equal steps that the times of sampling are; above 1 most lie near the data
    config.model.signal_to_noise = 0.16  # of the corrector
    config.model.likelihood_steps = 40  # of the probability-flow ODE
    if variant == "likelihood":
        config.model.times = "importance"
    if variant == "mnist":
        denoisers.mnist_fields(config)
        config.model.path = "sub_vp"
        config.model.steps = 500
        config.model.likelihood_steps = 100
    if config.model.path == "sub_vp":
        config.model.start = 0.01  # its sigma is that of VP squared
    if variant == "mnist_cpu":
        denoisers.mnist_cpu_fields(config)
        config.data.test_split = "test[:256]"
        mnist_logits(config)
        config.model.start = 1e-4  # sigma 0.003
        config.model.times = "importance"
        config.model.spacing = 2.0
    if variant == "tiny":
        denoisers.tiny_pictures(config)
        config.model.steps = 2
        config.model.likelihood_steps = 2
    config.expected.result, config.expected.cost = MEASURED.get(variant, ("not measured", "not measured"))
    return config


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""
    del axis_name
    model = config.model
    path = denoisers.chosen(PATHS, "path", model)(model)
    denoisers.chosen(dict.fromkeys(SAMPLERS), "sampler", model)
    return denoisers.picture_system(
        config,
        diffusion.score_sde(
            denoisers.unet(config),
            path,
            shape=tuple(model.shape),
            data_path=pixel_path(model),
            sampler_of=lambda denoise: _sampler(denoise, path, config),
            times=denoisers.chosen(TIMES, "times", model)(path, model.start),
            weight=denoisers.chosen(WEIGHTS, "weight", model),
            data_std=model.data_std,
            constrain=RANGES[model.reals],
            likelihood=diffusion.flow_likelihood(path, model.likelihood_steps, start=model.start),
        ),
    )


def _sampler(denoise: Denoiser, path: Path, config: ConfigDict) -> diffusion.Sampler:
    model, point_of = config.model, lambda t: point_at(path, t)
    times = processes.uniform_times(model.steps, end=model.start ** (1.0 / model.spacing)) ** model.spacing
    predictor = diffusion.reverse_diffusion(denoise, point_of, times)
    if model.sampler == "flow":
        spaced = processes.log_snr_times(point_of, model.steps, start=1.0, end=model.start)
        return diffusion.flow_sampler(denoise, path, spaced, tableau=solvers.HEUN)
    return {
        "predictor_corrector": diffusion.corrected(predictor, denoise, point_of, signal_to_noise=model.signal_to_noise),
        "reverse_diffusion": predictor,
        "ancestral": diffusion.ddim(denoise, point_of, times, eta=1.0),
        "euler_maruyama": diffusion.euler_maruyama(denoise, path, times),
    }[model.sampler]
