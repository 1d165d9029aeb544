"""Made seismograms: three components of ground motion, with an earthquake in them or without.

seismograms[/<num>]: float32 [64, 3] (vertical, north, east), label 1 where there is an event and 0 for noise alone,
half of each; <num> training records, 400 unless another number is given, and 1,000 test records. The largest absolute
value of a record is 1.

Noise is a first-order autoregression with coefficient 0.6. An event adds two arrivals. P comes at step 8 to 24 and
moves the vertical most, S comes 6 to 20 steps later, is 1.5 to 3 times as large, slower, and moves the horizontals
most:

    A exp(-(t - t_a) / tau) sin(2 pi f (t - t_a) + phase),  t >= t_a

with f in [0.15, 0.25] waves a step for P and [0.06, 0.12] for S, tau in [4, 8] and [8, 14] steps. The amplitude of P is
0.8 to 2 standard deviations of the noise. The arrivals are stored as 'arrivals', float32 [2] in steps, -1 where there
is none.
"""

import functools

import numpy as np

from genjax.data.source import Source, SourceInfo, from_arrays

STEPS, COMPONENTS = 64, 3
TEST_SIZE = 1000
NAMES = ("noise", "event")


def open_seismograms(name: str, num: int, split: str) -> Source:
    """Open `num` training records or the test records, float32 [64, 3] with labels and arrivals."""
    x, label, arrivals = _records(num if split == "train" else TEST_SIZE, seed=int(split == "test"))
    info = SourceInfo(name, split, x.shape[1:], x.dtype, 0, 2, NAMES)
    return from_arrays(info, {"x": x, "label": label, "arrivals": arrivals})


@functools.cache
def _records(num: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    label = (np.arange(num) % 2).astype(np.int32)
    noise = random.normal(size=(num, STEPS + 20, COMPONENTS))
    for step in range(1, STEPS + 20):
        noise[:, step] = 0.6 * noise[:, step - 1] + 0.8 * noise[:, step]
    p = random.uniform(8, 24, num)
    s = p + random.uniform(6, 20, num)
    size = random.uniform(0.8, 2, num)
    larger = size * random.uniform(1.5, 3, num)
    x = noise[:, 20:]
    x = x + label[:, None, None] * _arrival(random, p, size, (0.15, 0.25), (4, 8), (1.0, 0.4, 0.4))
    x = x + label[:, None, None] * _arrival(random, s, larger, (0.06, 0.12), (8, 14), (0.4, 1.0, 1.0))
    x /= np.abs(x).max(axis=(1, 2), keepdims=True)
    arrivals = np.where(label[:, None] == 1, np.stack([p, s], axis=1), -1)
    return x.astype(np.float32), label, arrivals.astype(np.float32)


def _arrival(
    random: np.random.RandomState,
    start: np.ndarray,
    size: np.ndarray,
    frequencies: tuple[float, float],
    decays: tuple[float, float],
    polarization: tuple[float, ...],
) -> np.ndarray:
    """Return damped waves that set in at `start` [N], [N, STEPS, COMPONENTS]."""
    num = len(start)
    since = np.arange(STEPS) - start[:, None]
    frequency, decay = random.uniform(*frequencies, (num, 1)), random.uniform(*decays, (num, 1))
    phase = random.uniform(0, 2 * np.pi, (num, 1, COMPONENTS))
    wave = np.sin(2 * np.pi * (frequency * since)[..., None] + phase)
    envelope = np.where(since >= 0, np.exp(-np.maximum(since, 0) / decay), 0.0)
    shares = np.array(polarization) * random.uniform(0.6, 1.4, (num, 1, COMPONENTS))
    return size[:, None, None] * envelope[..., None] * wave * shares
