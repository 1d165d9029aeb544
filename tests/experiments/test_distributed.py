"""Two processes with a device each are one process with two devices."""

import socket

import numpy as np
import pytest

from tests.experiments.processes import finish, metrics, parameters, train


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("parallel", ["fsdp", "pmap"])
def test_two_processes_are_one(tmp_path, parallel):
    arguments = (f"--config.train.parallel={parallel}", "--config.train.steps=12")
    one, two = tmp_path / "one", tmp_path / "two"
    alone = train(one, *arguments, devices=2)
    together = ("--num_processes=2", f"--coordinator=127.0.0.1:{free_port()}")
    pair = [train(two, *arguments, *together, f"--process_id={i}") for i in range(2)]
    out, _ = finish(alone)
    assert f"2 x cpu (cpu), 1 process(es), {parallel}" in out
    (first, _), (second, _) = [finish(process) for process in pair]
    assert f"2 x cpu (cpu), 2 process(es), {parallel}" in first and "trained 12 steps" in first
    assert "trained" not in second, "one process speaks, and writes"
    ours, theirs = metrics(two), metrics(one)
    assert len(ours) == len(theirs) and any(line["kind"] == "valid" for line in ours)
    for a, b in zip(ours, theirs):
        assert a.keys() == b.keys()
        for name in a.keys() - {"kind"}:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5, err_msg=name)
    a, b = parameters(two, 12), parameters(one, 12)
    for name in b:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert (two / "samples.png").exists()


def test_half_a_cluster_is_told(tmp_path):
    _, err = finish(train(tmp_path / "run", "--num_processes=2"), code=2)
    assert err.startswith("error: COORDINATOR_ADDRESS, PROCESS_ID missing")
