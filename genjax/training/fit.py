"""Training in memory: for notebooks, for the classifiers behind the metrics, for a first try.

The same step as a launched run, without its folder: no checkpoints, no log.
"""

from typing import Any

import jax
import numpy as np

from genjax.contract import Variables
from genjax.errors import UserError
from genjax.training.books import check_finite
from genjax.training.lifting import averaged_variables, lift_jit
from genjax.training.loop import first_batch
from genjax.training.metrics_log import progress
from genjax.training.step import StepOptions, largest_repeat, lazy_updates
from genjax.training.system import System


def fit(
    system: System,
    loader: Any,
    *,
    steps: int,
    steps_per_call: int = 20,
    seed: int = 0,
    options: StepOptions = StepOptions(),
    stages: dict[str, Variables] | None = None,
    show: bool = False,
) -> tuple[Variables, dict[str, np.ndarray]]:
    """Train a system on one device.

    Args:
        system: the system.
        loader: a `genjax.data.Loader`.
        steps: how many; a multiple of steps_per_call.
        steps_per_call: steps in one dispatch.
        seed: of the whole run.
        options: clipping, averaging, accumulation.
        stages: Variables of earlier stages.
        show: whether to show a progress bar.

    Returns:
        (Variables, with averaged parameters in place where options.ema_decay > 0; metrics, arrays `[steps]`).

    Raises:
        UserError: steps is not a multiple of steps_per_call, or a value is not finite.
    """
    if steps < 1 or steps % steps_per_call:
        raise UserError(f"steps={steps} is not a positive multiple of steps_per_call={steps_per_call}.")
    lifted = lift_jit(system, options)
    state = lifted.init(np.asarray(jax.random.key_data(jax.random.key(seed))), first_batch(loader), stages or {})
    history: list[dict[str, np.ndarray]] = []

    def read(metrics: dict[str, jax.Array]) -> None:
        values = {name: np.asarray(value) for name, value in metrics.items()}
        check_finite(values, len(history) * steps_per_call, lazy_updates(system))
        history.append(values)
        if bar:
            losses = {name: float(v[-1]) for name, v in values.items() if name.endswith("/loss")}
            bar.update(len(history) * steps_per_call, **{name.removesuffix("/loss"): v for name, v in losses.items()})

    bar, pending = progress(steps) if show else None, None
    for _ in range(steps // steps_per_call):
        state, metrics = lifted.step(state, lifted.put(loader.next(steps_per_call, largest_repeat(system))))
        if pending is not None:
            read(pending)
        pending = metrics
    read(pending)
    if bar:
        bar.close()
    return averaged_variables(lifted, state), {name: np.concatenate([h[name] for h in history]) for name in history[0]}
