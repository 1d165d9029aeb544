"""Claims that are shown on a trained run of digits; see `experiments.claims`."""

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from experiments import assemble, cli
from experiments.configs.common import pixel_path
from experiments.configs.diffusion import score_sde as score_sde_config
from genjax import diffusion, processes, solvers
from genjax.contract import Array, Variables
from genjax.data import open_source
from genjax.errors import UserError

Claim = tuple[dict[str, Any], Figure]


class Run(NamedTuple):
    """A trained run.

    experiment: as assembled.
    config: its config.
    variables: averaged parameters in place.
    """

    experiment: assemble.Experiment
    config: ConfigDict
    variables: Variables

    def denoise(self, variables: Variables) -> processes.Denoiser:
        """Return the denoiser of variables."""
        method = self.experiment.system.model.methods["denoise"]
        return lambda x, t: method(variables, None, x, jnp.broadcast_to(t, x.shape[:1]))


def read(workdir: str) -> Run:
    """Return the run in a folder."""
    module, config = cli.read_workdir(pathlib.Path(workdir))
    experiment = assemble.experiment(module, config, parallel="jit")
    return Run(experiment, config, assemble.trained_variables(experiment, pathlib.Path(workdir))[0])


def bounds(*, workdir: str, num: int = 360, keys: int = 2, intervals: int = 100) -> Claim:
    """Score held-out pictures by the bound and by the flow of one score-based model, on the same dequantized pictures.

    Args:
        workdir: of a run of diffusion/score_sde.
        num: pictures.
        keys: estimates of the bound that are averaged; the flow's trace is estimated once.
        intervals: of the bound's integral; the flow makes a step in two of them.

    Returns:
        'bound' and 'flow' in bits/dim, each with '_stderr' over pictures, 'difference' and its '_stderr'; the figure.
    """
    run = read(workdir)
    data = run.config.data
    stored = jnp.asarray(open_source(data.name, data.test_split, data.dir).fetch(np.arange(num))["x"])
    y, log_det = pixel_path(run.config.model).to_model(jax.random.key(0), stored)
    bound, flow = (jax.jit(score) for score in _scores(run, intervals))
    draws = [np.asarray(bound(run.variables, key, y), np.float64) for key in jax.random.split(jax.random.key(1), keys)]
    nats = {"bound": np.mean(draws, axis=0), "flow": np.asarray(flow(run.variables, jax.random.key(2), y), np.float64)}
    bits = {name: (each - np.asarray(log_det)) / (y[0].size * np.log(2.0)) for name, each in nats.items()}
    bits["difference"] = bits["bound"] - bits["flow"]
    found: dict[str, Any] = {name: float(each.mean()) for name, each in bits.items()}
    found |= {f"{name}_stderr": float(each.std() / np.sqrt(num)) for name, each in bits.items()}
    axes = (figure := Figure(figsize=(3.6, 3.6), layout="constrained")).subplots()
    axes.scatter(bits["flow"], bits["bound"], s=3)
    axes.axline((2.0, 2.0), slope=1.0, color="0.6", linewidth=0.8)
    axes.set_xlabel("flow, bits/dim"), axes.set_ylabel("bound, bits/dim"), axes.set_aspect("equal")
    return found | {"pictures": num, "keys": keys}, figure


def _scores(run: Run, intervals: int) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """Return bound and flow, each (variables, key, y) -> -log p(y) [B]."""
    model = run.config.model
    path = score_sde_config.PATHS[model.path](model)
    end = processes.point_at(path, jnp.float32(1.0))
    end_std = float(jnp.sqrt(end.sigma**2 + (end.alpha * model.data_std) ** 2))
    times = lambda count: diffusion.flow_likelihood(path, count, start=model.start).times

    def bound(variables: Variables, key: Array, y: Array) -> Array:
        options = {"end_std": end_std, "data_std": model.data_std}
        return sum(diffusion.path_bound(key, run.denoise(variables), path, y, times(intervals), **options))

    def flow(variables: Variables, key: Array, y: Array) -> Array:
        velocity = processes.probability_flow(run.denoise(variables), path)
        options = {"trace": solvers.rademacher_trace(), "tableau": solvers.HEUN, "end_std": end_std}
        return -diffusion.ode_log_prob(key, velocity, y, times(intervals // 2), **options)

    return bound, flow


def guidance(*, workdir: str) -> Claim:
    """Draw what guidance gives and takes: the evaluation 'guidance' of a run.

    Args:
        workdir: of an evaluated run of diffusion/cfg or diffusion/classifier_guidance.

    Returns:
        'at', the strengths, and 'accuracy', 'precision', 'recall', 'classifier_fid' in lists; the figure.

    Raises:
        UserError: the run has not been evaluated, or has no such evaluation.
    """
    found = _against(workdir, "guidance", "accuracy", "precision", "recall", "classifier_fid")
    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in ("accuracy", "precision", "recall"):
        left.plot(found["at"], found[name], marker="o", markersize=3, label=name)
    left.legend(), left.set_ylim(0.0, 1.02)
    right.plot(found["at"], found["classifier_fid"], marker="o", markersize=3)
    right.set_ylabel("classifier-FID (ours)"), right.set_ylim(0.0)
    for axes in (left, right):
        axes.set_xlabel("strength of guidance")
    return found, figure


def steps(*, workdir: str) -> Claim:
    """Draw how the quality of samples depends on the number of steps: the evaluation 'curve' of a run.

    Args:
        workdir: of an evaluated run of diffusion/ddim or diffusion/dpm_solver.

    Returns:
        'at', the numbers of steps, and 'classifier_fid' in lists; the figure.

    Raises:
        UserError: the run has not been evaluated, or has no such evaluation.
    """
    found = _against(workdir, "curve", "classifier_fid")
    axes = (figure := Figure(figsize=(4.0, 3.0), layout="constrained")).subplots()
    axes.semilogx(found["at"], found["classifier_fid"], marker="o", markersize=3)
    axes.set_xticks(found["at"], [f"{count:g}" for count in found["at"]]), axes.minorticks_off()
    axes.set_xlabel("steps"), axes.set_ylabel("classifier-FID (ours)"), axes.set_ylim(0.0)
    return found, figure


def _against(workdir: str, evaluation: str, *names: str) -> dict[str, Any]:
    """Return the numbers '<name>_<number>' of an evaluation of a run in lists, and the numbers themselves as 'at'."""
    file = pathlib.Path(workdir) / "eval.json"
    if not file.exists():
        raise UserError(f"{workdir} has no eval.json; run python -m experiments.evaluate --workdir {workdir} first.")
    measured = json.loads(file.read_text()).get(evaluation)
    if not measured:
        raise UserError(f"{file} has no evaluation '{evaluation}'; is this a run of another config?")
    found = {name: {} for name in names}
    for key, value in measured.items():
        if (match := re.fullmatch(r"(\w+?)_([0-9.]+)", key)) and match[1] in found:
            found[match[1]][float(match[2])] = value
    at = sorted(found[names[0]])
    return {"at": at} | {name: [found[name][number] for number in at] for name in names}
