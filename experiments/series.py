"""What the configs of made series share: their pictures, and how samples are judged.

    draw           series as curves
    sine_quality   how near samples are to a sine, and where their frequencies and amplitudes lie
    mmd_test       the two-sample test of RGAN, by the maximum mean discrepancy
    melody_rule    whether bars follow from those before them
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.evaluations import gather
from genjax.contract import Array
from genjax.data import open_source, series
from genjax.evaluation import median_distance, two_sample_test
from genjax.evaluation.mmd import rbf_kernel
from genjax.training.system import EvalContext

HEIGHT = 32  # pixels of a drawn curve
WIDEN = 2  # pixels of a step
FREQUENCIES = np.linspace(0.5, 5.5, 501)  # tried in fitting a sine, in waves a series


def draw(samples: Array) -> Array:
    """Draw series `[N, T, 1]` in [-1, 1] as white curves on black, `[N, HEIGHT, WIDEN T, 1]` in [0, 1]."""
    values = jnp.clip(jnp.repeat(samples[..., 0], WIDEN, axis=1), -1.0, 1.0)
    row = (1 - values) / 2 * (HEIGHT - 1)
    distance = jnp.abs(jnp.arange(HEIGHT, dtype=row.dtype)[None, :, None] - row[:, None, :])
    return jnp.clip(1.5 - distance, 0.0, 1.0)[..., None]


def sine_quality(context: EvalContext) -> dict[str, float]:
    """Fit a sine to each sample by least squares.

    Returns:
        'residual' (root mean square of what the best sine leaves), 'good' (share of samples whose residual is below
        0.1), mean and standard deviation of frequency and amplitude, and the same of held-out series behind '_of_test';
        for a model that is told the band of the frequency 'band_accuracy', the share of samples in the band they were
        asked for.
    """
    num, config = int(context.config.eval.num_samples), context.config
    condition = None
    if context.system.condition is not None:
        condition = np.arange(num, dtype=np.int32) % series.BANDS
    drawn = fit_sines(np.asarray(context.sample(num, condition))[..., 0])
    (test,) = gather(context.test(), "x")
    found = _summary(drawn) | _summary(fit_sines(test[:num, :, 0]), "_of_test")
    found |= {"n": num, "split": config.data.test_split}
    if condition is not None:
        bands = np.clip(np.floor(drawn["frequency"]).astype(int) - 1, 0, series.BANDS - 1)
        found["band_accuracy"] = float(np.mean(bands == condition))
    return found


def fit_sines(x: np.ndarray) -> dict[str, np.ndarray]:
    """Fit A sin(2 pi f t / T + phase) to each series.

    Args:
        x: `[N, T]`.

    Returns:
        'frequency' in waves a series, 'amplitude' and 'residual' (root mean square), each `[N]`.
    """
    steps = x.shape[1]
    angle = 2 * np.pi * FREQUENCIES[:, None] * np.arange(1, steps + 1) / steps
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=2)  # [F, T, 2]
    inverse = np.linalg.pinv(waves)
    weights = np.einsum("fct,nt->fnc", inverse, x)
    residual = np.sqrt(np.mean((x - np.einsum("ftc,fnc->fnt", waves, weights)) ** 2, axis=2))
    best = np.argmin(residual, axis=0), np.arange(len(x))
    amplitude = np.linalg.norm(weights[best], axis=1)
    return {"frequency": FREQUENCIES[best[0]], "amplitude": amplitude, "residual": residual[best]}


def mmd_test(context: EvalContext) -> dict[str, float]:
    """Ask whether samples and held-out series have one distribution, as RGAN does (Esteban et al. 2017, section 3.2.1).

    The kernel is exp(-|x - y|^2 / 2 s^2) on whole series; its bandwidth is the one, of a few around the median
    distance, whose MMD^2 / std is largest on one half of the series. The other half is tested, by permutation.

    Returns:
        'mmd2' and 'p_value' of samples against held-out series; the same of training series in the samples' place with
        '_floor' behind; 'bandwidth', 'n' series on each side of the test.
    """
    test = np.concatenate([_flat(batch["x"]) for batch in context.test()])
    num = min(int(context.config.eval.num_samples), len(test))
    drawn, test, half = _flat(context.sample(num)), test[:num], num // 2
    train = np.concatenate([_flat(batch["x"]) for batch in context.train()])[: num - half]
    bandwidth = best_bandwidth(drawn[:half], test[:half])
    kernel = rbf_kernel(bandwidth=bandwidth)
    outcome = two_sample_test(context.key, drawn[half:], test[half:], kernel)
    floor = two_sample_test(context.key, train, test[half:], kernel)
    return {
        "mmd2": float(outcome.mmd_squared),
        "p_value": float(outcome.p_value),
        "mmd2_floor": float(floor.mmd_squared),
        "p_value_floor": float(floor.p_value),
        "bandwidth": bandwidth,
        "n": num - half,
    }


def best_bandwidth(x: np.ndarray, y: np.ndarray) -> float:
    """Return the bandwidth, of the median distance times 2^-3, ..., 2^1, with the largest MMD^2 / std.

    Args:
        x, y: `[N, D]` both.
    """
    median = float(median_distance(jnp.asarray(x), jnp.asarray(y)))
    tried = [median * 2.0**power for power in range(-3, 2)]
    return max(tried, key=lambda bandwidth: float(power_ratio(jnp.asarray(x), jnp.asarray(y), bandwidth)))


@jax.jit
def power_ratio(x: Array, y: Array, bandwidth: float | Array) -> Array:
    """Return MMD^2 over its asymptotic standard deviation where the distributions differ, a measure of a test's power.

    With h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i): the mean of h over its standard deviation
    2 std_i(mean_j h_ij) / sqrt(N).

    Reference: Sutherland et al. 2017, eq. 3 and 5, https://arxiv.org/abs/1611.04488
    """
    kernel, num = rbf_kernel(bandwidth=bandwidth), x.shape[0]
    across = kernel(x, y)
    h = kernel(x, x) + kernel(y, y) - across - across.T
    h = h - jnp.diag(jnp.diag(h))
    rows = h.sum(axis=1) / (num - 1)
    return rows.mean() / (2 * jnp.std(rows) / jnp.sqrt(num) + 1e-8)


def draw_bars(bars: Array) -> Array:
    """Draw bars `[N, steps, pitches]` or melodies `[N, bars, steps, pitches]` as rolls `[N, pitches, T, 1]`."""
    rolls = bars.reshape(bars.shape[0], -1, bars.shape[-1])
    return jnp.flip(jnp.swapaxes(rolls, 1, 2), axis=1)[..., None]


def melody_rule(context: EvalContext) -> dict[str, float]:
    """Return how many bars follow from those before them, under held-out bars and in melodies made whole.

    Returns:
        'follows' (share of bars that are the bar before shifted by one or two degrees), 'shift_one' (which share of
        those by one; 0.5 in the data), 'steps' (share of steps shifted by one or two), 'chance' (share expected of bars
        at random, 2 / 8^8), 'follows_in_melodies', 'distinct_first_bars' (share of first bars that no other melody
        has), 'sharpness' (mean probability of the likeliest pitch), 'n'.
    """
    num = int(context.config.eval.num_samples)
    stored = open_source("melodies", context.config.data.test_split)
    all_bars = stored.fetch(np.arange(len(stored)))
    previous = all_bars["previous"][all_bars["label"] > 0][:num]
    bars = np.asarray(context.sample(len(previous), previous))
    shift = series.follows(previous, bars)
    by_step = (bars.argmax(-1) - previous.argmax(-1)) % series.DEGREES
    melody = jax.jit(functools.partial(context.system.model.methods["melody"], num_samples=num, num_bars=series.BARS))
    melodies = np.asarray(melody(context.variables, context.key))
    walked = series.follows(*(part.reshape(-1, *bars.shape[1:]) for part in (melodies[:, :-1], melodies[:, 1:])))
    return {
        "follows": float(np.mean(shift > 0)),
        "shift_one": float(np.mean(shift[shift > 0] == 1)) if np.any(shift > 0) else 0.0,
        "steps": float(np.mean(np.isin(by_step, series.SHIFTS))),
        "chance": len(series.SHIFTS) / series.DEGREES**series.STEPS,
        "follows_in_melodies": float(np.mean(walked > 0)),
        "distinct_first_bars": len(np.unique(melodies[:, 0].argmax(-1), axis=0)) / num,
        "sharpness": float(bars.max(axis=-1).mean()),
        "n": len(previous),
    }


def _flat(x: Array) -> np.ndarray:
    return np.asarray(x).reshape(len(x), -1)


def _summary(fitted: dict[str, np.ndarray], suffix: str = "") -> dict[str, float]:
    found = {"residual": float(fitted["residual"].mean()), "good": float(np.mean(fitted["residual"] < 0.1))}
    for name in ("frequency", "amplitude"):
        found |= {f"{name}_mean": float(fitted[name].mean()), f"{name}_std": float(fitted[name].std())}
    return {name + suffix: value for name, value in found.items()}
