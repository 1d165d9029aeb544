"""The run's metrics file after writes, kills and resumptions; TensorBoard events read back; progress lines."""

import io
import json
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from genjax.errors import UserError
from genjax.training import metrics_log
from genjax.training.metrics_log import MetricsLog, progress, read_metrics


def lines(workdir):
    return (workdir / "metrics.jsonl").read_text().splitlines()


def strict_json(text):
    """Parse as JSON proper: the words NaN and Infinity, which Python's parser lets pass, are refused."""

    def refuse(word):
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def test_a_line_is_json_with_sorted_names_and_the_clock_last(tmp_path):
    with MetricsLog(tmp_path / "run", tensorboard=False) as log:
        log.write(3, {"time/steps_per_second": 7.5, "vae/loss": np.float32(0.1), "vae/distortion": 2})
        log.write(4, {"nats": -1.0}, kind="valid")
    first, second = (strict_json(line) for line in lines(tmp_path / "run"))
    assert list(first.items()) == [
        ("step", 3),
        ("kind", "train"),
        ("vae/distortion", 2.0),
        ("vae/loss", float(np.float32(0.1))),  # the number to the bit
        ("time/steps_per_second", 7.5),
    ]
    assert second == {"step": 4, "kind": "valid", "nats": -1.0}


def test_no_line_holds_what_json_does_not_know(tmp_path):
    with MetricsLog(tmp_path, tensorboard=False) as log:
        log.write(1, {"r1": float("nan"), "disc": float("inf"), "gen": float("-inf"), "ok": 1.0})
    assert strict_json(lines(tmp_path)[0]) == {"step": 1, "kind": "train", "disc": None, "gen": None, "ok": 1.0}


def test_lines_survive_a_kill(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from genjax.training.metrics_log import MetricsLog\n"
        "log = MetricsLog(sys.argv[1], tensorboard=False)\n"
        "for step in range(1, 4): log.write(step, {'loss': step / 3})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert [record["step"] for record in read_metrics(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("torn", [b"", b'{"step": 7, "ki', b'{"step": 7, "kind": "train"}'])
@pytest.mark.parametrize("resume_at", [0, 4, 6])
def test_a_killed_and_resumed_file_equals_an_uninterrupted_one(tmp_path, torn, resume_at):
    def run(log, steps):
        for step in steps:
            log.write(step, {"loss": 1.0 / step})
            if step % 2 == 0:
                log.write(step, {"nats": -step / 7}, kind="valid")

    with MetricsLog(tmp_path / "whole", tensorboard=False) as log:
        run(log, range(1, 9))
    with MetricsLog(tmp_path / "killed", tensorboard=False) as log:
        run(log, range(1, 7))
    with open(tmp_path / "killed" / "metrics.jsonl", "ab") as file:
        file.write(torn)
    with MetricsLog(tmp_path / "killed", tensorboard=False) as log:
        log.truncate(resume_at)
        run(log, range(resume_at + 1, 9))
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert os.listdir(tmp_path / "killed") == ["metrics.jsonl"]


def test_truncate_before_the_first_line_is_nothing(tmp_path):
    MetricsLog(tmp_path / "new", tensorboard=False).truncate(0)
    assert os.listdir(tmp_path / "new") == []


def test_truncate_that_fails_leaves_the_file(tmp_path, monkeypatch):
    with MetricsLog(tmp_path, tensorboard=False) as log:
        log.write(1, {"loss": 1.0})

    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr(metrics_log.os, "replace", fails)
    with pytest.raises(OSError, match="no space"):
        MetricsLog(tmp_path, tensorboard=False).truncate(0)
    assert len(read_metrics(tmp_path)) == 1


@pytest.mark.parametrize("broken", ["not json", "[]", '{"kind": "train"}', '{"step": "1", "kind": "train"}'])
def test_a_foreign_line_is_named(tmp_path, broken):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "kind": "train"}\n' + broken + "\n")
    with pytest.raises(UserError, match=re.escape("line 2 of") + ".*repair the file or move it away"):
        MetricsLog(tmp_path, tensorboard=False).truncate(1)
    with pytest.raises(UserError, match="line 2"):
        read_metrics(tmp_path)


def test_reading_by_kind_and_without_the_clock(tmp_path):
    with pytest.raises(UserError, match="name the folder of a run"):
        read_metrics(tmp_path)
    with MetricsLog(tmp_path, tensorboard=False) as log:
        log.write(1, {"loss": 1.0, "time/seconds": 3.0})
        log.write(1, {"nats": -2.0}, kind="valid")
    assert read_metrics(tmp_path, "valid") == [{"step": 1, "kind": "valid", "nats": -2.0}]
    assert read_metrics(tmp_path, clock=False)[0] == {"step": 1, "kind": "train", "loss": 1.0}


def events(workdir):
    """Read (tag, step, scalar or None) of every value from the event files, by the TFRecord layout.

    A record is its length (uint64), the length's checksum (uint32), the bytes, and their checksum (uint32).
    """
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((workdir / "tensorboard").iterdir(), key=lambda p: p.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            for value in event.summary.value:
                scalar = value.simple_value if value.HasField("simple_value") else None
                found.append((value.tag, event.step, scalar))
            if event.HasField("session_log") and event.session_log.status:
                found.append(("session", event.step, event.session_log.status))
    return found


def test_tensorboard_gets_the_same_and_hides_what_a_resumed_run_takes_back(tmp_path):
    with MetricsLog(tmp_path, tensorboard=True) as log:
        log.write(1, {"loss": 0.5, "lazy": float("nan")})
        log.images(1, "samples", np.zeros((4, 8, 8, 1), np.float32))
    assert [(tag, step) for tag, step, _ in events(tmp_path)] == [("train/loss", 1), ("samples", 1)]
    assert events(tmp_path)[0][2] == 0.5
    with MetricsLog(tmp_path, tensorboard=True) as log:
        log.truncate(0)
        log.write(1, {"loss": 0.25})
    restarted = ("session", 1, 1)  # SessionLog.START: readers drop the events of this step and later ones
    assert restarted in events(tmp_path) and ("train/loss", 1, 0.25) in events(tmp_path)


def test_pictures_are_named_by_their_step(tmp_path):
    with MetricsLog(tmp_path, tensorboard=False) as log:
        images = log.images(20, "samples", np.zeros((4, 8, 8, 3), np.float32))
        points = log.scatter(20, "points", np.zeros((4, 2)), np.ones((4, 2)))
        either = log.picture(21, "points", np.zeros((4, 2)))
    assert [path.relative_to(tmp_path).as_posix() for path in (images, points, either)] == [
        "pictures/samples_00000020.png",
        "pictures/points_00000020.png",
        "pictures/points_00000021.png",
    ]
    for path in (images, points, either):
        with Image.open(path) as image:
            image.verify()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_step_loss_speed_and_time_left():
    stream = Terminal()
    with progress(200, 100, stream=stream) as bar:
        bar.update(150, loss=0.123456)
        bar.write("a checkpoint is written")
        bar.update(200, loss=0.1)
    text = stream.getvalue()
    assert "step 100/200" in text and "step 200/200" in text and "100%" in text
    assert "loss 0.1," in text and "a checkpoint is written\n" in text
    assert re.search(r"[\d.?]+ steps/s, [\d:?]+ left", text)


def test_a_file_gets_few_lines_and_the_last_step(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(metrics_log.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with progress(7210, every=10.0, stream=stream) as bar:
        for step in range(10, 7211, 10):
            now[0] += 0.1  # 100 steps a second
            bar.update(step, loss=2.0)
    told = stream.getvalue().splitlines()
    assert len(told) in (7, 8)  # 72 seconds, a line every ten (or 10.1) and one at the end
    assert re.fullmatch(r"step 10[01]0/7210, loss 2, 100 steps/s, 01:0[12] left", told[0])
    assert told[-1].startswith("step 7210/7210, loss 2, ") and told[-1].endswith("00:00 left")
    assert metrics_log._duration(3 * 3600 + 62) == "3:01:02"
