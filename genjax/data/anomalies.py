"""Made series with anomalies in some of them, also in the training series: nobody has sorted them out.

anomalies[/<T>]: float32 [T, 2], T = 32 unless another number is given, with 'anomaly' uint8 [T], 1 at the steps that
are anomalous. Two channels swing together,

    a sin(2 pi f t / T + phase)     and     0.8 a sin(2 pi f t / T + phase + pi / 3),

both with noise of standard deviation 0.05, a ~ U[0.6, 1], f ~ U[1, 3] waves in the series. A fifth of the training
series and half of the test series have one of

    a spike     one step of one channel is off by 1 to 1.5,
    a shift     T/8 to T/4 steps of both channels are off by 0.5 to 0.8,
    a break     one channel stands still at its last value for T/4 to T/2 steps.

The label says which: 0 for none, 1 to 3. 4,000 training and 1,000 test series.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

SIZES = {"train": 4000, "test": 1000}
SHARES = {"train": 0.2, "test": 0.5}
NAMES = ("none", "spike", "shift", "break")
_SEEDS = {"train": 0, "test": 1}


def open_anomalies(name: str, length: int, split: str) -> Source:
    """Open the series, float32 [length, 2] with 'anomaly' uint8 [length] and the kind as label; 'train' or 'test'."""
    x, anomaly, label = _series(length, split)
    info = SourceInfo(name, split, x.shape[1:], x.dtype, 0, len(NAMES), NAMES)
    return from_arrays(info, {"x": x, "anomaly": anomaly, "label": label})


@functools.cache
def _series(length: int, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random, num = np.random.RandomState(_SEEDS[split]), SIZES[split]
    x = clean_series(random, num, length)
    label = np.where(random.uniform(size=num) < SHARES[split], random.randint(1, 4, num), 0).astype(np.int32)
    anomaly = np.zeros((num, length), np.uint8)
    for one in np.flatnonzero(label):
        steps = _disturb(random, x[one], label[one])
        anomaly[one, steps] = 1
    return x.astype(np.float32), anomaly, label


def clean_series(random: np.random.RandomState, num: int, length: int) -> np.ndarray:
    """Return series without anomalies, [num, length, 2]."""
    size, frequency, phase = (random.uniform(*of, (num, 1)) for of in ((0.6, 1.0), (1.0, 3.0), (-np.pi, np.pi)))
    angle = 2 * np.pi * frequency * np.arange(length) / length + phase
    x = np.stack([size * np.sin(angle), 0.8 * size * np.sin(angle + np.pi / 3)], axis=-1)
    return x + 0.05 * random.normal(size=x.shape)


def _disturb(random: np.random.RandomState, x: np.ndarray, kind: int) -> slice:
    """Put an anomaly into a series [T, 2] and return its steps."""
    length, sign, channel = len(x), random.choice([-1, 1]), random.randint(2)
    widths = {1: (1, 1), 2: (max(1, length // 8), max(1, length // 4)), 3: (max(1, length // 4), max(1, length // 2))}
    width = random.randint(widths[kind][0], widths[kind][1] + 1)
    start = random.randint(1, length - width + 1)
    steps = slice(start, start + width)
    if kind == 1:
        x[steps, channel] += sign * random.uniform(1.0, 1.5)
    elif kind == 2:
        x[steps] += sign * random.uniform(0.5, 0.8)
    else:
        x[steps, channel] = x[start - 1, channel]
    return steps
