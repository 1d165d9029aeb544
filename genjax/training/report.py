"""What a run says of itself: parameters, device, precision, and how much of the device it uses."""

import jax

from genjax.contract import Batch
from genjax.training.lifting import Lifted
from genjax.training.state import TrainState, count_parameters
from genjax.training.step import StepFn

# Dense bfloat16 peak, FLOP/s, from the vendors' datasheets.
PEAK_BF16_FLOPS = {
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "TPU v3": 61.5e12,  # per core, as JAX counts devices there
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
}


def peak_flops(device: jax.Device) -> float | None:
    """Return the device's dense bfloat16 peak in FLOP/s, or None where it is not known."""
    matches = [name for name in PEAK_BF16_FLOPS if device.device_kind.startswith(name)]
    return PEAK_BF16_FLOPS[max(matches, key=len)] if matches else None


def utilization_unit(step: StepFn, lifted: Lifted, state: TrainState, batches: Batch) -> float | None:
    """Return the fraction of the devices' bfloat16 peak that one step a second takes, or None where not known.

    A loop's body is counted once by XLA whatever its length, so a single step is lowered and the count is a
    lower bound for models that scan inside one. Skipped under pmap and where the peak is not known.

    Args:
        step: the step, not lifted.
        lifted: the step on devices, for their number.
        state: the state on the devices.
        batches: device batches `[calls, repeat, B, ...]`, global shapes.
    """
    peak = peak_flops(jax.devices()[0])
    if peak is None or state.step.ndim:
        return None
    shape = lambda x, s: jax.ShapeDtypeStruct(s, x.dtype)
    one = {name: shape(x, (1,) + x.shape[1:]) for name, x in batches.items()}
    cost = jax.jit(step).lower(jax.tree.map(lambda x: shape(x, x.shape), state), one).cost_analysis()
    flops = cost.get("flops", 0.0) if cost else 0.0
    return flops / (peak * lifted.num_devices) if flops > 0 else None


def describe(state: TrainState, lifted: Lifted, *, parallel: str, precision: str) -> str:
    """Return the lines a run starts with: parameters a player, devices, lifting, precision."""
    state = lifted.canonical(state)
    players = ", ".join(f"{name} {count_parameters(tree):,}" for name, tree in state.params.items())
    device = jax.devices()[0]
    return (
        f"parameters  {count_parameters(state.params):,} ({players})\n"
        f"devices     {lifted.num_devices} x {device.device_kind} ({device.platform}), {jax.process_count()} "
        f"process(es), {parallel}\n"
        f"precision   {precision} compute, float32 parameters"
    )
