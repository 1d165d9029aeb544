"""Every example once an epoch; one stream whatever the processes, threads, shapes of a call and restarts."""

import itertools
import json
import threading
import time

import numpy as np
import pytest

from genjax.data import Loader, Source, from_arrays, one_pass
from genjax.data.source import SourceInfo
from genjax.errors import UserError

INFO = SourceInfo("numbers", "train", (), np.dtype(np.int64))


def numbers(size: int, *, in_memory: bool = True) -> Source:
    """Return a source whose example i is i, with a label that belongs to it."""
    memory = from_arrays(INFO, {"x": np.arange(size), "label": 7 * np.arange(size)})
    return memory if in_memory else Source(memory.info, size, memory.read, in_memory=False)


def stream(loader: Loader, batches: int) -> np.ndarray:
    return loader.next(batches, 1)["x"][:, 0]


@pytest.mark.parametrize("in_memory", (True, False))
@pytest.mark.parametrize("batch_size", (4, 12, 50))
def test_every_example_comes_once_an_epoch(in_memory, batch_size):
    size, epochs = 12, 25
    batches = stream(Loader(numbers(size, in_memory=in_memory), batch_size=batch_size, seed=0), size * epochs // 4)
    order = batches.reshape(-1)[: size * epochs].reshape(epochs, size)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(size), (epochs, 1)))
    assert len({tuple(epoch) for epoch in order}) == epochs, "epochs must be shuffled apart"


def test_orders_of_seeds_and_epochs_are_unrelated():
    orders = {seed: stream(Loader(numbers(100), batch_size=100, seed=seed), 5) for seed in range(5)}
    every = np.concatenate(list(orders.values()))
    assert len({tuple(order) for order in every}) == 25
    # The place of an example in one order says nothing of its place in another: |correlation| < 5 / sqrt(100).
    correlation = np.corrcoef(np.argsort(every, axis=1))
    assert np.abs(correlation[~np.eye(25, dtype=bool)]).max() < 0.5


def test_entries_of_an_example_stay_together_and_keep_their_shape():
    x = np.random.RandomState(0).randint(256, size=(40, 4, 5, 3)).astype(np.uint8)
    source = from_arrays(INFO, {"x": x, "label": x.reshape(40, -1).sum(axis=1).astype(np.int32)})
    batch = Loader(source, batch_size=8, seed=1).next(3, 2)
    assert batch["x"].shape == (3, 2, 8, 4, 5, 3) and batch["x"].dtype == np.uint8
    np.testing.assert_array_equal(batch["x"].astype(int).sum(axis=(3, 4, 5)), batch["label"])


@pytest.mark.parametrize("in_memory", (True, False))
@pytest.mark.parametrize("workers", (0, 1, 3))
def test_the_stream_depends_on_neither_threads_nor_shape_of_a_call(in_memory, workers):
    expected = stream(Loader(numbers(50), batch_size=6, seed=3), 20)
    loader = Loader(numbers(50, in_memory=in_memory), batch_size=6, seed=3, workers=workers)
    got = [loader.next(calls, repeat)["x"].reshape(-1, 6) for calls, repeat in ((1, 1), (2, 3), (3, 2), (1, 1), (6, 1))]
    np.testing.assert_array_equal(np.concatenate(got), expected)


@pytest.mark.parametrize("in_memory", (True, False))
def test_processes_hold_the_parts_of_one_global_batch(in_memory):
    expected = stream(Loader(numbers(50), batch_size=12, seed=3), 7)
    parts = [
        Loader(numbers(50, in_memory=in_memory), batch_size=12, seed=3, process_index=index, process_count=4)
        for index in range(4)
    ]
    np.testing.assert_array_equal(np.concatenate([stream(part, 7) for part in parts], axis=1), expected)
    assert len({json.dumps(part.state()) for part in parts}) == 1, "the position is the same on every process"


@pytest.mark.parametrize("in_memory", (True, False))
def test_a_restored_loader_goes_on_to_the_bit(in_memory):
    source = numbers(50, in_memory=in_memory)
    whole = stream(Loader(source, batch_size=7, seed=5), 40)
    first = Loader(source, batch_size=7, seed=5, workers=3)
    first.next(3, 2)
    position = json.dumps(first.state())  # elements have been read ahead by now; the position must not count them
    first.next(4, 1)
    second = Loader(source, batch_size=7, seed=5, workers=1)
    second.restore(json.loads(position))
    np.testing.assert_array_equal(stream(second, 34), whole[6:])
    first.restore(json.loads(position))  # backwards, on a loader in use
    np.testing.assert_array_equal(stream(first, 34), whole[6:])
    assert first.state() == second.state()


def test_reading_goes_ahead_while_nobody_asks():
    seen = []

    def read(indices):
        seen.append(threading.current_thread().name)
        return {"x": indices}

    loader = Loader(Source(INFO, 10, read, in_memory=False), batch_size=2, seed=0, workers=2)
    loader.next(1, 1)
    deadline = time.monotonic() + 10
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(seen) >= 3 and threading.current_thread().name not in seen
    loader.close()


def test_an_error_while_reading_ahead_reaches_the_caller():
    def read(indices):
        raise UserError("'cat.png' is broken: mend it.")

    with pytest.raises(UserError, match="cat.png"):
        Loader(Source(INFO, 10, read), batch_size=2, seed=0).next(1, 1)


def test_a_call_that_failed_can_be_made_again():
    broken = {17}

    def read(indices):
        if broken & set(indices.tolist()):
            raise UserError("'17.png' is broken: mend it.")
        return {"x": indices}

    loader = Loader(Source(INFO, 20, read, in_memory=False), batch_size=4, seed=0)
    with pytest.raises(UserError):
        loader.next(5, 1)
    broken.clear()
    np.testing.assert_array_equal(stream(loader, 5), stream(Loader(numbers(20), batch_size=4, seed=0), 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 10, "seed": 0, "process_count": 4}, "data.batch_size is 10.*multiple.*processes, 4"),
        ({"batch_size": 0, "seed": 0}, "data.batch_size is 0"),
        ({"batch_size": 4, "seed": -1}, "seed is -1"),
        ({"batch_size": 4, "seed": 2**32}, "seed is 4294967296"),
    ],
)
def test_wrong_arguments_are_told_in_a_sentence(arguments, message):
    with pytest.raises(UserError, match=message):
        Loader(numbers(20), **arguments)


@pytest.mark.parametrize(
    ("size", "arguments", "message"),
    [
        (20, {"batch_size": 8, "seed": 0}, r"batch_size 4 \(now 8\)"),
        (20, {"batch_size": 4, "seed": 1}, r"seed 0 \(now 1\)"),
        (21, {"batch_size": 4, "seed": 0}, r"examples 20 \(now 21\)"),
    ],
)
def test_a_position_of_another_stream_is_refused(size, arguments, message):
    position = Loader(numbers(20), batch_size=4, seed=0).state()
    with pytest.raises(UserError, match=message):
        Loader(numbers(size), **arguments).restore(position)


@pytest.mark.parametrize("in_memory", (True, False))
def test_one_pass_gives_every_example_once_in_order(in_memory):
    batches = [batch["x"] for batch in one_pass(numbers(23, in_memory=in_memory), 5)]
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(23))
    assert [len(batch["x"]) for batch in one_pass(numbers(3), 5)] == [3]
    started = itertools.islice(one_pass(numbers(23), 5), 1)  # may be left early
    assert len(list(started)) == 1
