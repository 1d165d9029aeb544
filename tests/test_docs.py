"""The documents say what is true: their Python runs, their files work, their links lead somewhere."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.configs.common import base
from tests.xla_flags import quick_on

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").rglob("*.md")])
DOCUMENTS = [path for path in DOCUMENTS if path.name != "RESULTS.md"]


class Block(NamedTuple):
    """A fenced block: its language, the file that its first line names ('' for none), and its text."""

    language: str
    file: str
    text: str


def blocks(path):
    fenced = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    found = []
    for language, text in fenced:
        named = re.match(r"# file: (\S+)\n", text)
        found.append(Block(language, named[1] if named else "", text[named.end() :] if named else text))
    return found


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "``", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if not re.match(r"\w+:", target):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def fields_of(config):
    """The names of all fields of a config, dotted."""
    found = set()
    for name, value in config.items():
        found |= {name} | ({f"{name}.{inner}" for inner in fields_of(value)} if hasattr(value, "items") else set())
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_named_files_and_fields_exist(path):
    text, made_here = path.read_text(), {block.file for block in blocks(path)}
    for name in set(re.findall(r"(?:genjax|experiments|tests|docs|benchmarks)/[\w/.-]+\.\w+", text)) - made_here:
        assert (ROOT / name).exists(), f"{path.name} names {name}, which is not there"
    shown = re.findall(r"--config (experiments/configs/[\w/]+)\.py(?::(\w+))?", text)
    there = {(name, variant) for name, variant in shown if (ROOT / f"{name}.py").exists()}
    configs = [importlib.import_module(name.replace("/", ".")).get_config(variant) for name, variant in there]
    known = fields_of(base("any/one")).union(*map(fields_of, configs))
    for field in set(re.findall(r"--config\.([a-z_.]+)=", text)):
        assert field in known, f"{path.name} sets {field}, which neither every config nor one of the page's has"


EXECUTED = [path for path in DOCUMENTS if any(block.language == "python" and not block.file for block in blocks(path))]


@pytest.mark.parametrize("path", EXECUTED, ids=name_of)
def test_python_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__document__"}
    for block in blocks(path):
        if block.language == "python" and not block.file:
            exec(compile(block.text, f"<{path.name}>", "exec"), namespace)  # one namespace: a page is read downwards


@pytest.fixture
def clone(tmp_path):
    """A copy of the tree into which files can be written."""
    for folder in ("genjax", "experiments", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def run(command, folder):
    """Run a line of a bash block as in an activated environment, on one CPU device, and return what it prints."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    env |= {"PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": quick_on(1)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(["bash", "-ec", command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_worked_system_trains_from_its_page_alone(clone):
    page = blocks(ROOT / "docs" / "adding_a_system.md")
    for block in page:
        if block.file:
            path = clone / block.file
            assert not path.exists(), f"{block.file} is in the tree already; the page needs another example"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    (commands,) = [block.text.splitlines() for block in page if block.language == "bash"]
    printed = [run(command, clone) for command in commands]
    assert "1 passed" in printed[0]
    workdir = clone / "runs" / "mixture"
    assert (workdir / "samples.png").exists() and (workdir / "metrics.jsonl").exists()
    nats = -float(re.search(r"nll\s+(-?[\d.]+)", printed[2])[1])
    # -25.2 is what independent pixels reach, each with its frequency in the training split.
    assert -19.5 < nats < -17.5, f"the page says about -18.6 nats a held-out picture, the run has {nats}"
