"""Each mistake gets one sentence that names the cause and the way out, a non-zero exit, and destroys nothing."""

import shutil

import pytest

from tests.experiments.processes import finish, metrics, start, train

TINY = ("--config.train.steps=4", "--config.train.log_every=2", "--config.train.checkpoint_every=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short finished run."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    finish(train(workdir, *TINY))
    return workdir


BEFORE_A_RUN = {
    "field": (("--config.train.stepz=4",), "no field 'train.stepz'; did you mean train.steps?"),
    "type": (("--config.train.steps=many",), "many"),
    "dataset": (("--config.data.name=digit",), "digits"),
    "split": (("--config.data.split=training",), "train"),
    "parallel": (("--config.train.parallel=tpu",), "jit, sharded, fsdp, pmap"),
    "devices": (("--config.data.batch_size=15", "--config.train.parallel=sharded"), "multiple of 2"),
    "steps": (("--config.train.steps=5",), "--config.train.steps=4"),
    "config file": (("--config=experiments/configs/none.py",), "experiments/configs/none.py"),
}


def test_mistakes_in_a_config(tmp_path):
    started = {name: train(tmp_path / name, *args, devices=2) for name, (args, _) in BEFORE_A_RUN.items()}
    for name, process in started.items():
        _, err = finish(process, code=2)
        assert_one_sentence(err, BEFORE_A_RUN[name][1])
        assert not (tmp_path / name).exists()


def test_mistakes_with_a_workdir(finished, tmp_path):
    corrupt, empty = tmp_path / "corrupt", tmp_path / "empty"
    shutil.copytree(finished, corrupt)
    for file in (corrupt / "checkpoints" / "4" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    empty.mkdir()
    before = metrics(finished)
    cases = {
        "another config's workdir": (train(finished, *TINY, "--config.seed=1"), "seed (0 there, 1 here)"),
        "corrupt checkpoint": (train(corrupt, *TINY, "--config.train.steps=8"), "go on from step 2"),
        "no run": (start("sample", f"--workdir={empty}"), "holds no run"),
        "no evaluation": (start("evaluate", f"--workdir={finished}", "--only=fid"), "no evaluation 'fid'"),
        "non-finite": (train(tmp_path / "nan", *TINY[1:], "--config.model.blow_up_at=6"), "nll/loss is nan at step 7"),
    }
    for process, told in cases.values():
        _, err = finish(process, code=2)
        assert_one_sentence(err, told)
    assert metrics(finished) == before
    assert metrics(corrupt) == before
    assert (corrupt / "checkpoints" / "4").exists() and (corrupt / "checkpoints" / "2").exists()
    # What was written before the loss blew up is whole: the newest checkpoint is of the last good step.
    assert {path.name for path in (tmp_path / "nan" / "checkpoints").iterdir()} == {"4", "6"}
    assert [line["step"] for line in metrics(tmp_path / "nan") if line["kind"] == "train"] == [2, 4, 6]


def test_the_way_out_of_a_corrupt_checkpoint(finished, tmp_path):
    """Moving the folder away, as the sentence says, goes on from the one before."""
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    shutil.rmtree(workdir / "checkpoints" / "4")
    out, _ = finish(train(workdir, *TINY))
    assert "resuming at step 2 of 4" in out
    assert metrics(workdir) == metrics(finished)


def test_help_names_the_fields():
    out, _ = finish(start("train", "--help"))
    for word in ("--workdir", "--config", "train.steps_per_call", "train.parallel", "data.batch_size", "--coordinator"):
        assert word in out


def assert_one_sentence(err: str, told: str) -> None:
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in err, err
    assert told in lines[0], lines[0]
