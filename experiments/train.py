"""Train a system: python -m experiments.train --config experiments/configs/<family>/<id>.py --workdir DIR

    --config file.py:variant       a variant of the config, e.g. ddpm.py:tiny
    --config.<field>=<value>       any field, e.g. --config.train.steps=2000 --config.data.name=mnist
    --config.train.parallel=...    jit (one device), sharded, fsdp (all devices of all processes), pmap

The same command goes on from the newest checkpoint in DIR, to the bit as if it had never stopped. On SIGTERM
the run saves first and exits with 143. DIR then holds samples.png, metrics.jsonl, config.json, config.py and
checkpoints/.
"""

import pathlib
import sys
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments import assemble, cli
from genjax.contract import Variables
from genjax.training import books, distributed, loop, report
from genjax.training.step import StepOptions, lazy_updates, make_step
from genjax.training.system import draw

flags.DEFINE_boolean("distributed", False, "Join the processes that the cluster's environment names (SLURM, TPU, Kubernetes).")
flags.DEFINE_string("coordinator", None, "host:port of process 0, where the cluster is not detected.")
flags.DEFINE_integer("num_processes", None, "How many processes take part.")
flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
flags.DEFINE_boolean("tensorboard", True, "Also write TensorBoard event files.")


def main() -> None:
    values = flags.FLAGS
    distributed.initialize(
        detect=values.distributed,
        coordinator=values.coordinator,
        num_processes=values.num_processes,
        process_id=values.process_id,
    )
    workdir, config, config_file = pathlib.Path(values.workdir), values.config, values["config"].config_filename.partition(":")[0]
    module = cli.load_module(config_file)
    run = assemble.experiment(module, config)
    loader = assemble.training_loader(config)
    cli.claim_workdir(workdir, config, config_file, write=distributed.is_writer())
    try:
        with assemble.shapes_told(config):
            state = loop.train(
                run.lifted,
                loader,
                _options(config),
                workdir,
                seed=config.seed,
                repeat=assemble.repeat_of(run),
                lazy=lazy_updates(run.system),
                stages=run.stages,
                hooks=_hooks(run),
                tensorboard=values.tensorboard,
            )
    except loop.Preempted as stop:
        print(stop, file=sys.stderr, flush=True)
        sys.exit(143)
    if distributed.is_writer():
        print(_closing(workdir, int(np.asarray(state.step).reshape(-1)[0])), flush=True)


def _options(config: Any) -> loop.LoopOptions:
    train = config.train
    return loop.LoopOptions(**{name: train[name] for name in loop.LoopOptions._fields})


def _hooks(run: assemble.Experiment) -> loop.Hooks:
    config, system, lifted = run.config, run.system, run.lifted

    @jax.jit
    def drawn(variables: Variables, step: np.ndarray) -> jax.Array:
        # A host number in, so that every process of a run can call it alike.
        key = jax.random.fold_in(jax.random.key(config.seed), step)
        return system.to_picture(draw(system, variables, key, config.sample.num))

    reference = assemble.reference_picture(run)

    def sample(variables: Variables, step: int) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(books.local(drawn(variables, np.int32(step)))), reference

    def started(state: Any, batches: Any) -> float | None:
        # By every process: under pmap, reading the state is an exchange among them.
        lines = report.describe(state, lifted, parallel=config.train.parallel, precision=config.train.precision)
        if distributed.is_writer():
            print(lines, flush=True)
        return report.utilization_unit(make_step(system, StepOptions()), lifted, state, batches)

    return loop.Hooks(validate=assemble.validator(run), draw=sample, started=started)


def _closing(workdir: pathlib.Path, step: int) -> str:
    return (
        f"trained {step} steps; {workdir} holds samples.png, metrics.jsonl, config.json and checkpoints/\n"
        f"next:  python -m experiments.sample --workdir {workdir} --num 64\n"
        f"       python -m experiments.evaluate --workdir {workdir}"
    )


if __name__ == "__main__":
    cli.launch(main, __doc__, with_config=True)
