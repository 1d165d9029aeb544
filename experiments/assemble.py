"""From a config to what the engine runs: the system, its data, its step on devices, its evaluation."""

import contextlib
import inspect
import pathlib
import traceback
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiments import cli
from genjax.contract import Variables
from genjax.data import Loader, Source, one_pass, open_source
from genjax.errors import UserError
from genjax.evaluation import likelihood
from genjax.training import books, lifting
from genjax.training.checkpoint import Checkpoints
from genjax.training.lifting import Lifted
from genjax.training.step import StepOptions, largest_repeat
from genjax.training.system import EvalContext, System

PARALLEL = ("jit", "sharded", "fsdp", "pmap")
PRECISIONS = ("float32", "bfloat16")


class Experiment(NamedTuple):
    """A config made ready to run.

    config: the config.
    system: built for sampling and evaluation, without a mapped axis.
    lifted: the training step on devices.
    stages: Variables of earlier stages.
    """

    config: ConfigDict
    system: System
    lifted: Lifted
    stages: dict[str, Variables]


def experiment(module: ModuleType, config: ConfigDict, *, parallel: str | None = None) -> Experiment:
    """Build the system of a config and lift its step.

    Args:
        module: the config's module.
        config: the config.
        parallel: overrides `train.parallel`; sampling and evaluation need no mesh.

    Raises:
        UserError: a field has a value that cannot be.
    """
    parallel = parallel or config.train.parallel
    check(config)
    systems, stages = _earlier_stages(config)
    extra = {"stages": systems} if systems else {}
    system = module.build(config, axis_name=None, **extra)
    options = StepOptions(
        accumulate=config.train.accumulate, clip_norm=config.train.clip_norm, ema_decay=config.train.ema_decay
    )
    if parallel == "pmap":
        lifted = lifting.lift_pmap(module.build(config, axis_name=lifting.AXIS, **extra), options)
    elif parallel == "jit":
        if jax.process_count() > 1:
            raise UserError("train.parallel=jit runs on one device; with several processes take sharded, fsdp or pmap.")
        lifted = lifting.lift_jit(system, options)
    else:
        lifted = lifting.lift_sharded(system, options, fsdp=parallel == "fsdp")
    if config.data.batch_size % (lifted.num_devices * config.train.accumulate):
        unit = lifted.num_devices * config.train.accumulate
        raise UserError(
            f"data.batch_size={config.data.batch_size} is not divisible by {lifted.num_devices} devices x "
            f"train.accumulate={config.train.accumulate}; take a multiple of {unit}."
        )
    return Experiment(config, system, lifted, stages)


def check(config: ConfigDict) -> None:
    """Raise UserError where a common field has a value that cannot be."""
    train = config.train
    if train.parallel not in PARALLEL:
        raise UserError(f"train.parallel={train.parallel!r} is none of {', '.join(PARALLEL)}.")
    if train.precision not in PRECISIONS:
        raise UserError(f"train.precision={train.precision!r} is none of {', '.join(PRECISIONS)}.")
    for name in ("steps", "steps_per_call", "log_every", "checkpoint_every", "accumulate", "keep"):
        if train[name] < 1:
            raise UserError(f"train.{name}={train[name]} must be at least 1.")
    if config.data.batch_size < 1:
        raise UserError(f"data.batch_size={config.data.batch_size} must be at least 1.")
    if not 0 <= train.ema_decay < 1:
        raise UserError(f"train.ema_decay={train.ema_decay} must lie in [0, 1).")
    if train.steps % train.steps_per_call:
        near = max(train.steps // train.steps_per_call, 1) * train.steps_per_call
        raise UserError(
            f"train.steps={train.steps} is not a multiple of train.steps_per_call={train.steps_per_call}; take "
            f"--config.train.steps={near} or --config.train.steps_per_call=1."
        )


@contextlib.contextmanager
def shapes_told(config: ConfigDict) -> Iterator[None]:
    """Turn what the library's own code says of shapes that do not fit into a UserError; JAX's errors stay as they are."""
    try:
        yield
    except ValueError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].partition(".")[0] != "genjax":
            raise
        raise UserError(f"the model of this config does not fit data.name={config.data.name!r}: {error}") from error


def training_loader(config: ConfigDict) -> Loader:
    """Return the loader of the training split: this process's part of each global batch."""
    source = open_source(config.data.name, config.data.split, config.data.dir)
    return Loader(
        source,
        batch_size=config.data.batch_size,
        seed=config.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=config.data.workers,
    )


def held_out(config: ConfigDict, split: str) -> Source:
    """Return a split of the config's data."""
    return open_source(config.data.name, split, config.data.dir)


def sampler_options(sample: Callable[..., Any], given: Sequence[str]) -> dict[str, float | int]:
    """Return the numbers that a model's sampler is to take, of texts such as 'truncation=0.5'.

    Args:
        sample: `GenerativeModel.sample`.
        given: texts NAME=NUMBER.

    Raises:
        UserError: a text is not of this form, or the sampler has no option of this name.
    """
    named = inspect.signature(sample).parameters.values()
    known = [p.name for p in named if p.kind is p.KEYWORD_ONLY and p.name != "condition"]
    options: dict[str, float | int] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in known:
            has = ", ".join(known) if known else "none"
            raise UserError(f"the sampler of this run has no option {name!r}; it has {has}.")
        try:
            options[name] = int(number) if number.lstrip("-").isdigit() else float(number)
        except ValueError as error:
            raise UserError(f"--option={text} is to be {name}=NUMBER, such as {name}=0.5.") from error
    return options


def trained_variables(run: Experiment, workdir: pathlib.Path, *, which: str = "last") -> tuple[Variables, int]:
    """Return (variables with averaged parameters in place, step) of a run's checkpoint.

    Args:
        run: the experiment, lifted on one device.
        workdir: the run's folder.
        which: 'last', or 'best' by the validation split.
    """
    folder = workdir / ("best" if which == "best" else "checkpoints")
    if not folder.is_dir():
        wanted = "was scored on a validation split" if which == "best" else "was trained"
        raise UserError(f"{workdir} holds no {which} checkpoint: no run there {wanted}; train it first.")
    checkpoints = Checkpoints(folder, keep=run.config.train.keep)
    target = run.lifted.restore(_seed(run.config), example_batch(run.config), run.stages)
    state, record = checkpoints.restore(target)
    return lifting.averaged_variables(run.lifted, state), int(record["step"])


def example_batch(config: ConfigDict) -> dict[str, np.ndarray]:
    """Return one batch of the training split as stored, for shapes."""
    source = open_source(config.data.name, config.data.split, config.data.dir)
    return source.fetch(np.arange(config.data.batch_size) % len(source))


def reference_picture(run: Experiment) -> np.ndarray:
    """Return training data as it is drawn, to stand beside samples."""
    batch = jax.jit(run.system.transform)(jax.random.key(0), example_batch(run.config))
    return np.asarray(run.system.to_picture(batch["x"]))


def eval_context(run: Experiment, variables: Variables, key: jax.Array) -> EvalContext:
    """Return what evaluations may use, with the test split held out."""
    config, system = run.config, run.system
    transform = jax.jit(system.transform)
    size = config.eval.batch_size

    def batches(split: str) -> Callable[[], Any]:
        def one() -> Any:
            for i, batch in enumerate(one_pass(held_out(config, split), size)):
                yield transform(jax.random.fold_in(key, i), {name: jnp.asarray(x) for name, x in batch.items()})

        return one

    drawn = jax.jit(system.model.sample, static_argnums=2)

    def sample(num: int, condition: Any = None) -> jax.Array:
        """Draw in chunks of the evaluation's batch size, so that one program serves them all."""
        chunks = []
        for start in range(0, num, size):
            part_key = jax.random.fold_in(jax.random.fold_in(key, 10**6), start)
            part = None
            if condition is not None:
                index = np.minimum(np.arange(start, start + size), num - 1)
                part = jax.tree.map(lambda x: jnp.asarray(x)[index], condition)
            elif system.condition is not None:
                part = system.condition(jax.random.fold_in(part_key, 1), size)
            chunks.append(np.asarray(drawn(variables, part_key, size, condition=part)))
        return jnp.asarray(np.concatenate(chunks)[:num])

    return EvalContext(
        system=system,
        variables=variables,
        key=key,
        train=batches(config.data.split),
        test=batches(config.data.test_split),
        sample=sample,
        config=config,
    )


def likelihood_of(context: EvalContext) -> dict[str, Any]:
    """Return the held-out likelihood of a model that has one; an evaluation like those a config names."""
    log_prob = context.system.model.log_prob
    result = likelihood.held_out_likelihood(log_prob.fn, context.variables, context.key, context.test())
    return dict(result._asdict(), kind=log_prob.kind)


def validator(run: Experiment) -> Callable[[Variables], dict[str, float]] | None:
    """Return Variables -> {'nats': mean log-likelihood, ...} on the validation split, or None without one.

    The random numbers are the same at every call, so that scores of different steps compare.
    """
    config, system = run.config, run.system
    if not config.data.valid_split or system.model.log_prob is None:
        return None
    source = held_out(config, config.data.valid_split)

    @jax.jit
    def score(variables: Variables, index: np.ndarray, batch: Any) -> jax.Array:
        # Host arrays and an index in, so that every process of a run can call it alike.
        transform_key, key = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), index))
        return system.model.log_prob.fn(variables, key, system.transform(transform_key, batch))

    def validate(variables: Variables) -> dict[str, float]:
        nats = [
            np.asarray(books.local(score(variables, np.int32(i), batch)))
            for i, batch in enumerate(one_pass(source, min(config.eval.batch_size, len(source))))
        ]
        result = likelihood.summarize(np.concatenate(nats), int(np.prod(source.info.shape)))
        return {"nats": -result.nll, "bits_per_dim": result.bits_per_dim}

    return validate


def repeat_of(run: Experiment) -> int:
    """Return minibatches a step."""
    return largest_repeat(run.system)


def _seed(config: ConfigDict) -> np.ndarray:
    return np.asarray(jax.random.key_data(jax.random.key(config.seed)))


def _earlier_stages(config: ConfigDict) -> tuple[dict[str, System], dict[str, Variables]]:
    systems, variables = {}, {}
    for name, folder in config.get("stages", {}).items():
        if not folder:
            raise UserError(f"stages.{name} is empty; give --config.stages.{name}=WORKDIR of the run that trained it.")
        module, stage_config = cli.read_workdir(pathlib.Path(folder))
        stage = experiment(module, stage_config, parallel="jit")
        systems[name] = stage.system
        variables[name], _ = trained_variables(stage, pathlib.Path(folder))
    return systems, variables
