"""What a run writes about itself: metrics.jsonl, TensorBoard events, pictures, and a progress line.

metrics.jsonl has one JSON object a line: `step` and `kind` first, then the metrics by name, then those whose
names begin with 'time/'. The latter are measurements of the clock and differ between two runs; everything
before them is a function of the seed and the data. After a kill, `truncate(step)` takes back what was written
past the checkpoint that the run resumes from, so that the finished file equals that of a run never killed but
for its 'time/' values. For this the lines of a step must be written before its checkpoint is.
"""

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from genjax.errors import UserError
from genjax.evaluation import pictures

FILE = "metrics.jsonl"
CLOCK = "time/"


class MetricsLog:
    """Writes the metrics and pictures of one run into its folder.

    Args:
        workdir: the run's folder, made if missing. One process of a run writes; the others make no MetricsLog.
        tensorboard: whether events are written to `workdir/tensorboard` too.
    """

    def __init__(self, workdir: str | os.PathLike, *, tensorboard: bool):
        self._workdir = Path(workdir)
        self._workdir.mkdir(parents=True, exist_ok=True)
        self._tensorboard = tensorboard
        self._purge_step: int | None = None
        self._file: TextIO | None = None
        self._events: Any = None

    def write(self, step: int, metrics: Mapping[str, float], kind: str = "train") -> None:
        """Append one line, on disk when this returns even if the process is killed next.

        Args:
            step: number of steps made.
            metrics: name -> scalar. NaN means that there is no value (a lazy update that was not made) and
                is left out; an infinite value is written as null, since JSON has no word for it.
            kind: what was measured: 'train', 'valid', 'test'.
        """
        values = {name: float(value) for name, value in metrics.items()}
        values = {name: value for name, value in values.items() if not math.isnan(value)}
        if self._file is None:
            self._file = open(self._workdir / FILE, "a", encoding="utf-8")
        self._file.write(_line(step, kind, values) + "\n")
        self._file.flush()
        if self._tensorboard:
            for name, value in values.items():
                self._writer().add_scalar(f"{kind}/{name}", value, step)

    def images(self, step: int, name: str, images: Any) -> Path:
        """Write images `[N, H, W, C]` in [0, 1] as `pictures/<name>_<step>.png` and return its path."""
        return self._picture(step, name, pictures.grid(images))

    def scatter(self, step: int, name: str, points: Any, reference: Any = None) -> Path:
        """Write points `[N, 2]` over reference points as `pictures/<name>_<step>.png` and return its path."""
        return self._picture(step, name, pictures.scatter(points, reference))

    def picture(self, step: int, name: str, samples: Any, reference: Any = None) -> Path:
        """Write images or points, by their shape, as `pictures/<name>_<step>.png` and return its path."""
        return self._picture(step, name, pictures.picture(samples, reference))

    def truncate(self, step: int) -> None:
        """Take back everything past `step`: called once, before the first write of a resumed run.

        Lines of later steps and a last line that a kill cut short are dropped; the file is replaced in one
        move. TensorBoard hides the later events when it meets the first new one.

        Args:
            step: the step of the checkpoint that the run resumes from.

        Raises:
            UserError: a line other than the last is not one that `write` made.
        """
        self.close()
        self._purge_step = step + 1
        path = self._workdir / FILE
        if not path.exists():
            return
        kept = b"".join(line for line, record in _lines(path) if record["step"] <= step)
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(kept)
        os.replace(part, path)

    def close(self) -> None:
        """Close the files; the next write opens them again."""
        if self._file is not None:
            self._file.close()
        if self._events is not None:
            self._events.close()
        self._file = self._events = None

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _picture(self, step: int, name: str, pixels: Any) -> Path:
        if self._tensorboard:
            self._writer().add_image(name, pixels, step, dataformats="HWC")
        return pictures.write_png(self._workdir / "pictures" / f"{name}_{step:08d}.png", pixels)

    def _writer(self) -> Any:
        if self._events is None:
            from tensorboardX import SummaryWriter

            folder = str(self._workdir / "tensorboard")
            self._events = SummaryWriter(folder, purge_step=self._purge_step, flush_secs=10)
        return self._events


def read_metrics(workdir: str | os.PathLike, kind: str | None = None, *, clock: bool = True) -> list[dict[str, Any]]:
    """Read a run's metrics.jsonl.

    Args:
        workdir: the run's folder.
        kind: only the lines of this kind; None for all.
        clock: whether the 'time/' values are included.

    Returns:
        One dict a line, in the order written.

    Raises:
        UserError: the run has no metrics, or a line other than the last cannot be read.
    """
    path = Path(workdir) / FILE
    if not path.exists():
        raise UserError(f"'{workdir}' has no {FILE}; name the folder of a run that was started.")
    records = [record for _, record in _lines(path) if kind in (None, record["kind"])]
    return [{k: v for k, v in record.items() if clock or not k.startswith(CLOCK)} for record in records]


def _line(step: int, kind: str, values: Mapping[str, float]) -> str:
    ordered = sorted(values, key=lambda name: (name.startswith(CLOCK), name))
    finite = {name: values[name] if math.isfinite(values[name]) else None for name in ordered}
    return json.dumps({"step": int(step), "kind": kind, **finite}, allow_nan=False)


def _lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """Return (line, record) of every whole line; a last one without its newline was cut short."""
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return [(line, _record(path, number, line)) for number, line in enumerate(whole, start=1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
        assert isinstance(record["step"], int) and isinstance(record["kind"], str)
    except (ValueError, TypeError, KeyError, AssertionError):
        raise UserError(
            f"line {number} of '{path}' is not one that a run wrote; repair the file or move it away."
        ) from None
    return record


class Progress:
    """A line that tells how far a run is; see `progress`."""

    def __init__(self, total: int, initial: int, every: float, stream: TextIO):
        self._total, self._step, self._every, self._stream = total, initial, every, stream
        self._told = (time.monotonic(), initial)
        self._bar = _bar(total, initial, stream) if stream.isatty() else None

    def update(self, step: int, **watched: float) -> None:
        """Show that `step` steps are made, with the metrics that a person watches (`loss=...`)."""
        text = ", ".join(f"{name} {value:.4g}" for name, value in watched.items())
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._step)
        self._step = step
        if self._bar is None and (step >= self._total or time.monotonic() - self._told[0] >= self._every):
            self._tell(text)

    def write(self, text: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _tell(self, text: str) -> None:
        now, (then, before) = time.monotonic(), self._told
        rate = (self._step - before) / max(now - then, 1e-9)
        left = _duration((self._total - self._step) / rate) if rate > 0 else "?"
        parts = [f"step {self._step}/{self._total}", text, f"{rate:.3g} steps/s", f"{left} left"]
        self.write(", ".join(part for part in parts if part))
        self._told = (now, self._step)


def progress(total: int, initial: int = 0, *, every: float = 10.0, stream: TextIO | None = None) -> Progress:
    """Tell how far a run is, with its loss, steps a second and time left.

    Args:
        total: steps of the whole run.
        initial: steps made before this process started.
        every: seconds between two lines where the stream is not a terminal and a bar would flood a file.
        stream: where to; by default stderr.

    Returns:
        A Progress, to be used in a `with` block: a bar on a terminal, elsewhere plain lines.
    """
    return Progress(total, initial, every, sys.stderr if stream is None else stream)


def _bar(total: int, initial: int, stream: TextIO) -> Any:
    from tqdm import tqdm

    layout = "step {n_fmt}/{total_fmt} |{bar}| {percentage:3.0f}%{postfix}, {rate_noinv_fmt}, {remaining} left"
    return tqdm(total=total, initial=initial, unit=" steps", file=stream, bar_format=layout, dynamic_ncols=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
