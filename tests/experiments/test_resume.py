"""A run that is killed and started again is, to the bit, the run that was never killed."""

import signal

import numpy as np

from tests.experiments.processes import finish, metrics, parameters, train, wait_for

STEPS = 600


def test_killed_and_preempted_runs_resume_to_the_bit(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = (f"--config.train.steps={STEPS}", "--config.train.keep=3")
    uninterrupted = train(whole, *arguments, f"--config.train.checkpoint_every={STEPS}")
    arguments += ("--config.train.checkpoint_every=20",)

    checkpoints = lambda: sorted(int(p.name) for p in (broken / "checkpoints").glob("*") if p.name.isdigit())
    lines = lambda: (broken / "metrics.jsonl").read_bytes().count(b"\n") if (broken / "metrics.jsonl").exists() else 0

    process = train(broken, *arguments)  # killed before its first checkpoint
    wait_for(lambda: lines() > 0, process)
    process.kill()
    process.communicate()

    process = train(broken, *arguments)  # killed while it writes checkpoints
    wait_for(lambda: checkpoints()[-1:] > [100], process)
    process.kill()
    process.communicate()
    # As if the kill had fallen into the writing of a line and of a checkpoint.
    with open(broken / "metrics.jsonl", "a") as file:
        file.write('{"step": 9999, "ki')
    (broken / "checkpoints" / "9998.orbax-checkpoint-tmp").mkdir()

    process = train(broken, *arguments)  # preempted: saves first
    before = checkpoints()[-1]
    wait_for(lambda: checkpoints()[-1] > before + 60, process)
    process.send_signal(signal.SIGTERM)
    _, err = finish(process, code=143)
    assert "SIGTERM" in err and f"stopped at step {checkpoints()[-1]}" in err
    assert checkpoints()[-1] < STEPS, "the signal came too late for this test to mean anything"

    out, _ = finish(train(broken, *arguments))
    assert "resuming at step" in out
    finish(uninterrupted)
    assert metrics(broken) == metrics(whole)
    ours, theirs = parameters(broken, STEPS), parameters(whole, STEPS)
    assert ours.keys() == theirs.keys() and len(ours) > 8
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
