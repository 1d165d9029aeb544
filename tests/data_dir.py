"""Where real, prepared data sets lie, and the mark of tests that need them."""

import os
import pathlib

import pytest

_REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

TFDS_DIR = pathlib.Path(os.environ.get("GENJAX_TFDS") or _REPOSITORY.parent / "shared" / "tfds")

needs_tfds = pytest.mark.skipif(
    not (TFDS_DIR / "mnist").is_dir(),
    reason=f"needs the sets prepared under {TFDS_DIR} (GENJAX_TFDS names another folder)",
)
