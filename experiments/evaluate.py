"""Evaluate a trained run on the test split: python -m experiments.evaluate --workdir DIR

Writes DIR/eval.json: the held-out likelihood of every model that has one (mean nats an example, bits/dim,
standard error, exact or bound) and the evaluations that the config names. Averaged parameters are used where
the run keeps them.
"""

import math
import pathlib
import time
from typing import Any

import jax
from absl import flags

from experiments import assemble, cli
from genjax.errors import UserError

flags.DEFINE_string("which", "last", "Which checkpoint: last, or best by the validation split.")
flags.DEFINE_list("only", None, "Names of the evaluations to run; default all ('likelihood' among them).")
flags.DEFINE_integer("seed", 0, "Of the evaluation's own random numbers.")


def main() -> None:
    values = flags.FLAGS
    if values.which not in ("last", "best"):
        raise UserError(f"--which={values.which} is neither last nor best.")
    workdir = pathlib.Path(values.workdir)
    module, config = cli.read_workdir(workdir)
    run = assemble.experiment(module, config, parallel="jit")
    variables, step = assemble.trained_variables(run, workdir, which=values.which)
    context = assemble.eval_context(run, variables, jax.random.key(values.seed))
    evaluations = dict(run.system.evaluations)
    if run.system.model.log_prob is not None:
        evaluations = {"likelihood": assemble.likelihood_of} | evaluations
    unknown = [name for name in values.only or [] if name not in evaluations]
    if unknown:
        raise UserError(f"there is no evaluation {unknown[0]!r} of {config.name}; it has {', '.join(evaluations)}.")
    results = {
        "name": config.name,
        "data": config.data.name,
        "split": config.data.test_split,
        "step": step,
        "which": values.which,
        "averaged_parameters": bool(config.train.ema_decay),
        "seed": values.seed,
        "device": jax.devices()[0].device_kind,
    }
    for name in values.only or evaluations:
        began = time.perf_counter()
        results[name] = {key: _plain(value) for key, value in evaluations[name](context).items()}
        print(f"{name} ({time.perf_counter() - began:.1f} s)")
        for key, value in results[name].items():
            print(f"  {key:28s} {value:.6g}" if isinstance(value, float) else f"  {key:28s} {value}", flush=True)
        cli.write_json(workdir / "eval.json", results)
    cli.write_json(workdir / "eval.json", results)
    print(f"written to {workdir / 'eval.json'}")


def _plain(value: Any) -> Any:
    """Return a metric as JSON can hold it."""
    if isinstance(value, (str, int)):
        return value
    return float(value) if math.isfinite(value) else str(float(value))


if __name__ == "__main__":
    cli.launch(main, __doc__, with_config=False)
