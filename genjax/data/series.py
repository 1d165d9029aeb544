"""Made series: sine waves, and melodies whose bars follow from one another.

sines/<T>: float32 [T, 1], x_t = A sin(2 pi f t / T + phase), t = 1..T, with A ~ U[0.1, 0.9], f ~ U[1, 5) waves in the
    series and phase ~ U[-pi, pi): the first experiment of RGAN (Esteban et al. 2017, section 4.1), whose T is 30. The
    label
    is the band of the frequency: k for f in [k + 1, k + 2), k = 0..3.

melodies: float32 [8, 8], a bar of 8 steps on 8 degrees of a scale, one of them at a step (one-hot along the last axis),
    with the bar before it as 'previous'. A melody has 4 bars: the first is a walk of at most two degrees a step; each
    later one is the bar before it, all of it shifted by one or by two degrees (with equal chance), round the scale. The
    first bar's 'previous' is empty, all zero. So a bar that follows has exactly two right answers, and `follows` tells.
    The label is the place of the bar in its melody, 0..3.

Every split is drawn once from a seed of its own, so that figures can be compared.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

SIZES = {"train": 10_000, "test": 2_000}
_SEEDS = {"train": 0, "test": 1}

BANDS = 4
STEPS, DEGREES, BARS = 8, 8, 4
SHIFTS = (1, 2)


def open_sines(name: str, length: int, split: str) -> Source:
    """Open sine waves of `length` steps, float32 [length, 1], with the band of their frequency; 'train' or 'test'."""
    x, label = _sines(length, split)
    names = tuple(f"{band + 1} to {band + 2} waves" for band in range(BANDS))
    return from_arrays(SourceInfo(name, split, x.shape[1:], x.dtype, 0, BANDS, names), {"x": x, "label": label})


@functools.cache
def _sines(length: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(_SEEDS[split])
    num = SIZES[split]
    amplitude, frequency = random.uniform(0.1, 0.9, (num, 1)), random.uniform(1.0, 1.0 + BANDS, (num, 1))
    phase = random.uniform(-np.pi, np.pi, (num, 1))
    x = amplitude * np.sin(2 * np.pi * frequency * np.arange(1, length + 1) / length + phase)
    label = np.minimum(np.floor(frequency[:, 0]).astype(np.int32) - 1, BANDS - 1)
    return x[..., None].astype(np.float32), label


def open_melodies(split: str) -> Source:
    """Open bars of melodies, float32 [8, 8], each with its 'previous'; split 'train' or 'test'."""
    x, previous, label = _melodies(split)
    names = tuple(f"bar {bar + 1}" for bar in range(BARS))
    info = SourceInfo("melodies", split, x.shape[1:], x.dtype, 0, BARS, names)
    return from_arrays(info, {"x": x, "previous": previous, "label": label})


@functools.cache
def _melodies(split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(_SEEDS[split])
    num = SIZES[split] // BARS
    moves = random.randint(-2, 3, (num, STEPS))
    moves[:, 0] = random.randint(DEGREES, size=num)
    shifts = np.cumsum(random.choice(SHIFTS, (num, BARS, 1)), axis=1)
    degrees = (np.cumsum(moves, axis=1)[:, None] + shifts) % DEGREES  # [N, BARS, STEPS]
    bars = np.eye(DEGREES, dtype=np.float32)[degrees]
    previous = np.concatenate([np.zeros_like(bars[:, :1]), bars[:, :-1]], axis=1)
    label = np.tile(np.arange(BARS, dtype=np.int32), num)
    return bars.reshape(-1, STEPS, DEGREES), previous.reshape(-1, STEPS, DEGREES), label


def follows(previous: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Return by how many degrees each bar is the one before it, shifted: 1 or 2, and 0 where it is neither.

    Args:
        previous: one-hot bars [N, STEPS, DEGREES], not empty.
        bars: the bars after them, likewise; scores of degrees will do, of which the largest counts.

    Returns:
        int [N].
    """
    before, after = np.argmax(previous, axis=-1), np.argmax(bars, axis=-1)
    shift = (after - before) % DEGREES
    same = (shift == shift[:, :1]).all(axis=1)
    return np.where(same & np.isin(shift[:, 0], SHIFTS), shift[:, 0], 0)
