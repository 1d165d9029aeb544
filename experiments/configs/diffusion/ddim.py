"""DDIM (Song, Meng & Ermon 2021) on digits and MNIST: the training of diffusion/ddpm, samples in few steps.

The steps are a sub-sequence of the model's. `experiments.evaluate` scores samples in few and in all steps (`curve`), and
how far the picture of a picture's noise is from it (`inversion`). The training is diffusion/ddpm's to the last bit, whose
figure is that of the ancestral sampler over all steps.

Variants: those of diffusion/ddpm.
    ''         8 x 8 digits in all 17 levels, in minutes on a CPU.
    mnist      28 x 28, 256 levels; for an accelerator. Needs --config.data.dir.
    mnist_cpu  the same with a network small enough for a CPU. Likewise.
    tiny       as '', small enough to compile in seconds.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import denoisers, evaluations
from experiments.configs.diffusion import ddpm
from genjax import diffusion, processes
from genjax.contract import Array, PyTree, Variables
from genjax.pixels import from_symmetric, to_symmetric
from genjax.training import EvalContext
from genjax.training.system import System

SamplerOf = Callable[[processes.Denoiser, processes.Schedule, int], diffusion.Sampler]


def get_config(variant: str = "") -> ConfigDict:
    """Return the config of a variant."""
    denoisers.require_variant("diffusion/ddim", variant, ddpm.VARIANTS)
    config = ddpm.get_config(variant)
    few_step_fields(config, "diffusion/ddim", steps=20)
    config.sample.eta = 0.0  # from 0, deterministic, to 1, where all steps are DDPM with the lower variance
    if variant == "":
        config.expected.result = (
            "classifier-FID (ours) 11.7, 6.4, 5.2, 4.7, 4.7 in 5, 10, 20, 50, 200 steps; a picture comes back from its "
            "noise within 1.39, 0.63, 0.26, 0.04 of 16 levels in 5, 10, 20, 50"
        )
        config.expected.cost = "14 min beside other work"
    if variant == "tiny":
        tiny_curve(config)
    return config


def few_step_fields(config: ConfigDict, name: str, *, steps: int) -> None:
    """Set what a sampler in few steps adds to a config of diffusion/ddpm."""
    config.name = name
    config.sample.steps = steps
    config.eval.curve = (5, 10, 20, 50)  # numbers of steps at which samples are scored, and all there are


def tiny_curve(config: ConfigDict) -> None:
    """Set the fields of steps for a model of four, with the smallest network."""
    config.model.channels = (4,)
    config.model.blocks = 0
    config.model.attention = ()
    config.sample.steps = 2
    config.eval.curve = (2,)


def build(config: ConfigDict, *, axis_name: str | None = None) -> System:
    """Build the system; nothing in it is coupled over the batch, so `axis_name` is not used."""

    def sampler_of(denoise: processes.Denoiser, schedule: processes.Schedule, steps: int) -> diffusion.Sampler:
        times = processes.sub_sequence(processes.num_steps(schedule), steps)
        point_of = lambda t: processes.marginal(schedule, t)
        return diffusion.ddim(denoise, point_of, times, eta=config.sample.eta)

    return with_codes(config, sampled_by(sampler_of, config, ddpm.build(config, axis_name=axis_name)))


def with_codes(config: ConfigDict, system: System) -> System:
    """Return a system of diffusion/ddpm that finds the noise of a picture, and the picture of a noise.

    Without noise on the way DDIM is a map, whose inverse its steps approximate. It stands on the model's first step,
    where sigma > 0. Methods, each (variables, key, ...), `steps` static, the config's where it is None:

        encode(x, *, condition, steps) -> [B, ...]    the noise of stored x
        decode(z, *, condition, steps) -> [B, ...]    stored x

    Reference: Song et al. 2021 (DDIM), section 5.4.
    """
    model, levels = system.model, config.model.levels
    schedule = ddpm.SCHEDULES[config.model.schedule](config.model)
    point_of = lambda t: processes.marginal(schedule, t)

    def prepared(variables: Variables, condition: PyTree, steps: int | None) -> tuple[processes.Denoiser, np.ndarray]:
        num = config.sample.steps if steps is None else steps
        down_to_one = np.unique(np.append(processes.sub_sequence(config.model.steps, num)[:-1], 1))[::-1]
        return lambda x, t: model.methods["denoise"](variables, None, x, t, condition=condition), down_to_one

    def encode(variables: Variables, key: Array, x: Array, *, condition: PyTree = None, steps: int | None = None) -> Array:
        denoise, times = prepared(variables, condition, steps)
        return diffusion.invert(denoise, point_of, times[::-1], schedule.alpha[1] * to_symmetric(x, levels))

    def decode(variables: Variables, key: Array, z: Array, *, condition: PyTree = None, steps: int | None = None) -> Array:
        denoise, times = prepared(variables, condition, steps)
        x = diffusion.draw_from(diffusion.ddim(denoise, point_of, times), key, z)
        return from_symmetric(x / schedule.alpha[1], levels)

    scored = {"inversion": inversion} if system.evaluations else {}
    return system._replace(
        model=model._replace(methods=dict(model.methods) | {"encode": encode, "decode": decode}),
        evaluations=dict(system.evaluations) | scored,
    )


def inversion(context: EvalContext) -> dict[str, Any]:
    """Find the noise of held-out pictures and the pictures of that noise.

    Returns:
        For each number of steps N of `config.eval.curve`: 'error_N', the mean of |x - decode(encode(x))| in levels,
        and 'std_N', the noise's standard deviation, 1 if pictures and model had one distribution.
    """
    config, methods = context.config, context.system.model.methods
    x = jnp.concatenate([batch["x"] for batch in context.test()][:1])
    result: dict[str, Any] = {}
    for steps in config.eval.curve:
        z = jax.jit(functools.partial(methods["encode"], steps=steps))(context.variables, context.key, x)
        again = jax.jit(functools.partial(methods["decode"], steps=steps))(context.variables, context.key, z)
        result[f"error_{steps}"] = float(jnp.mean(jnp.abs(again.astype(jnp.float32) - x.astype(jnp.float32))))
        result[f"std_{steps}"] = float(jnp.std(z))
    return result


def sampled_by(sampler_of: SamplerOf, config: ConfigDict, system: System) -> System:
    """Return a system of diffusion/ddpm that draws by another sampler.

    Args:
        sampler_of: (denoiser, schedule, number of steps) -> sampler.
        config: with the fields of `few_step_fields`.
        system: `ddpm.build` of it.

    Returns:
        The system; its model's `sample` and `trajectory` take `steps`, static, where it shall not be the config's. Where
        samples are scored, so are those of each length of `config.eval.curve`.
    """
    model, shape = system.model, tuple(config.model.shape)
    schedule = ddpm.SCHEDULES[config.model.schedule](config.model)

    def sampler(variables: Variables, condition: PyTree, steps: int | None) -> diffusion.Sampler:
        denoise = lambda x, t: model.methods["denoise"](variables, None, x, t, condition=condition)
        return sampler_of(denoise, schedule, config.sample.steps if steps is None else steps)

    def sample(
        variables: Variables, key: Array, num_samples: int, *, condition: PyTree = None, steps: int | None = None
    ) -> Array:
        x0 = diffusion.draw(sampler(variables, condition, steps), key, (num_samples, *shape))
        return from_symmetric(x0, config.model.levels)

    def trajectory(
        variables: Variables, key: Array, num: int, *, frames: int, condition: PyTree = None, steps: int | None = None
    ) -> diffusion.Trajectory:
        chosen = sampler(variables, condition, steps)
        return diffusion.draw_trajectory(chosen, key, (num, *shape), frames=frames)

    scored = {"curve": steps_curve} if system.evaluations else {}
    return system._replace(
        model=model._replace(sample=sample, methods=dict(model.methods) | {"trajectory": trajectory}),
        evaluations=dict(system.evaluations) | scored,
    )


def steps_curve(context: EvalContext) -> dict[str, Any]:
    """Score samples drawn in few and in more steps, from the same noise.

    Args:
        context: of a system whose `sample` takes `steps`.

    Returns:
        'classifier_fid_N' for each number of steps N of `config.eval.curve` and for all there are;
        'classifier_fid_floor' (training against held-out pictures).
    """
    config = context.config
    classifier, total = evaluations.classifier_of(config.data.name, config.data.dir), config.model.steps
    result: dict[str, Any] = {}
    for steps in sorted({steps for steps in config.eval.curve if steps < total} | {total}):
        sample = functools.partial(context.system.model.sample, steps=steps)
        found = evaluations.compare_pictures(context._replace(sample=_in_chunks(context, sample)), classifier)
        result[f"classifier_fid_{steps}"] = found["classifier_fid"]
        result["classifier_fid_floor"] = found["classifier_fid_floor"]
    return result


def _in_chunks(context: EvalContext, sample: Callable[..., Array]) -> Callable[..., Array]:
    """Return (num) -> samples, drawn in chunks of the evaluation's batch size, so that one program serves them all."""
    size, drawn = context.config.eval.batch_size, jax.jit(sample, static_argnums=2)

    def draw(num: int) -> Array:
        chunks = []
        for start in range(0, num, size):
            key, condition_key = jax.random.split(jax.random.fold_in(context.key, start))
            given = context.system.condition
            condition = None if given is None else given(condition_key, size)
            chunks.append(drawn(context.variables, key, size, condition=condition))
        return jnp.concatenate(chunks)[:num]

    return draw
