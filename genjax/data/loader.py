"""Batches for training: an endless, shuffled, resumable stream; and one pass in order for evaluation.

Epoch e visits the N examples in the permutation pi_e that (seed, e) determines. The stream is
pi_0, pi_1, ... end to end; global batch i is its entries [i B, (i + 1) B), and process p of P holds the p-th of P
equal parts of it. So every example comes once an epoch, batches may span two epochs, B may exceed N, and the global
batch does not depend on the number of processes. Batch i is a function of (seed, i): the position is one integer,
and reading ahead cannot change it.

Nothing else is random here. Noise, flips and binarization are drawn on the device, by the transforms.

grain reads ahead in threads. Its own shuffle and batch cost some 5 us an example in Python, which bounds small
examples (see benchmarks/loader.py); here an element of the grain dataset is a whole block of batches, whose
indices are one slice of a permutation and whose examples are one gather.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from genjax.data.source import Examples, Source
from genjax.errors import UserError


class Loader:
    """An endless stream of batches of a source.

    Args:
        source: what to read.
        batch_size: global, over all processes.
        seed: of the order, 0..2**32-1.
        process_index, process_count: which part of each global batch is read here.
        workers: threads that read ahead; 0 reads when asked.
    Raises:
        UserError: where the batch cannot be divided over the processes.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        seed: int,
        process_index: int = 0,
        process_count: int = 1,
        workers: int = 2,
    ):
        if batch_size < 1 or batch_size % process_count:
            raise UserError(
                f"data.batch_size is {batch_size}: it is global and must be a positive multiple of the "
                f"number of processes, {process_count}."
            )
        if not 0 <= seed < 2**32:
            raise UserError(f"seed is {seed}: it must lie in 0..{2**32 - 1}.")
        if not 0 <= process_index < process_count:
            raise ValueError(f"process_index {process_index} is not in 0..{process_count - 1}.")
        self._source = source
        self._batch_size = batch_size
        self._seed = seed
        self._local = batch_size // process_count
        self._offset = process_index * self._local
        self._workers = workers
        self._position = 0  # global batches handed out
        self._group = 0  # batches that one element of the stream holds
        self._stream: Any = None
        self._permutation = functools.lru_cache(maxsize=4)(functools.partial(permutation, len(source), seed))

    def next(self, calls: int, repeat: int) -> Examples:
        """Return the next calls * repeat batches.

        Returns:
            Dict of arrays [calls, repeat, B / P, ...]; consecutive batches along the first two axes.
        """
        count = calls * repeat
        if count < 1:
            raise ValueError(f"calls and repeat must be positive, got {calls} and {repeat}.")
        group = count if self._source.in_memory else 1
        if self._stream is None or group != self._group:
            self._open(group, ahead=count // group + self._workers)
        try:
            parts = [next(self._stream) for _ in range(count // group)]
        except BaseException:  # an unreadable file, Ctrl-C in a notebook: the next call begins where this one did
            self.close()
            raise
        self._position += count
        lead = (calls, repeat, self._local)
        if len(parts) == 1:
            return {name: value.reshape(lead + value.shape[2:]) for name, value in parts[0].items()}
        return {name: np.concatenate([part[name] for part in parts]).reshape(lead + parts[0][name].shape[2:])
                for name in parts[0]}

    def state(self) -> dict[str, int]:
        """Return the position after the last `next`, as JSON; the same on every process."""
        return {
            "batches": self._position,
            "batch_size": self._batch_size,
            "seed": self._seed,
            "examples": len(self._source),
        }

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on from a position that `state` returned, to the bit.

        Raises:
            UserError: where it belongs to another stream (batch size, seed or number of examples differ).
        """
        own = self.state()
        different = [name for name in ("batch_size", "seed", "examples") if state[name] != own[name]]
        if different:
            told = " and ".join(f"{name} {state[name]} (now {own[name]})" for name in different)
            raise UserError(f"The checkpoint's position belongs to data with {told}: restore these, or start anew.")
        self.close()
        self._position = int(state["batches"])

    def close(self) -> None:
        """Stop reading ahead."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def _open(self, group: int, *, ahead: int) -> None:
        self.close()
        self._group = group
        read = functools.partial(self._read_group, first=self._position, group=group)
        self._stream = _read_ahead(read, 2**40, workers=self._workers, ahead=ahead)

    def _read_group(self, index: int, *, first: int, group: int) -> Examples:
        """Return this process's part of `group` consecutive batches, [group, B / P, ...]."""
        batch = first + index * group
        indices = self._order(batch * self._batch_size, (batch + group) * self._batch_size)
        local = indices.reshape(group, self._batch_size)[:, self._offset : self._offset + self._local]
        return self._source.fetch(local)

    def _order(self, start: int, stop: int) -> np.ndarray:
        """Return entries [start, stop) of the stream pi_0, pi_1, ..."""
        size = len(self._source)
        parts = []
        for epoch in range(start // size, (stop - 1) // size + 1):
            low, high = max(start - epoch * size, 0), min(stop - epoch * size, size)
            parts.append(self._permutation(epoch)[low:high])
        return np.concatenate(parts)


def permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of an epoch, a permutation of 0..size-1.

    numpy keeps the stream of RandomState for ever (NEP 19), that of its newer generators not: a run resumed under
    another numpy sees the same order.
    """
    # The epoch is a word of the seed, not added to it: else epoch 1 of seed 0 would be epoch 0 of seed 1.
    return np.random.RandomState([seed, epoch]).permutation(size)


def one_pass(source: Source, batch_size: int, *, workers: int = 2) -> Iterator[Examples]:
    """Iterate over every example once, in order; the last batch is as short as it comes out.

    Returns:
        Dicts of arrays [batch_size, ...], the last one [1..batch_size, ...].
    """
    if batch_size < 1:
        raise UserError(f"The batch size must be positive, got {batch_size}.")
    size = len(source)

    def read(index: int) -> Examples:
        return source.fetch(np.arange(index * batch_size, min((index + 1) * batch_size, size)))

    stream = _read_ahead(read, -(-size // batch_size), workers=workers, ahead=workers + 1)
    try:
        yield from stream
    finally:
        stream.close()


class _Elements:
    """What grain takes as a source: a length and elements by index."""

    def __init__(self, read: Callable[[int], Examples], length: int):
        self._read = read
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Examples:
        return self._read(index)


def _read_ahead(read: Callable[[int], Examples], length: int, *, workers: int, ahead: int) -> Any:
    """Return grain's iterator over read(0), ..., read(length - 1), `ahead` of them begun before they are asked for."""
    import grain

    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=ahead if workers else 0)
    return iter(grain.MapDataset.source(_Elements(read, length)).to_iter_dataset(options))
