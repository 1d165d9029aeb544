"""The package as a whole: light to import, declared in full, arranged as the design says."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("genjax", "experiments", "benchmarks", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
CONFIGS = sorted(path for path in (ROOT / "experiments" / "configs").glob("*/*.py") if path.name != "__init__.py")
FAMILIES = {
    "autoregressive",
    "flows",
    "autoencoders",
    "adversarial",
    "diffusion",
    "flow_matching",
    "language",
    "multimodal",
    "classical",
}
PARTS = {"distributions", "pixels", "data_path", "nn", "processes", "solvers"}
ROOTS = {"contract", "errors"}
MODULE_OF = {  # what is imported under another name than it is installed
    "absl-py": "absl",
    "array-record": "array_record",
    "orbax-checkpoint": "orbax",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "tensorboardx": "tensorboardX",
    "tensorflow-datasets": "tensorflow_datasets",
    "ml-collections": "ml_collections",
}


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def run_python(code):
    """Run code in a fresh interpreter at the root and return what it printed as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of every module that a file imports, also inside its functions."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from genjax import nn` imports genjax.nn: one level more is named by each alias.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_import_genjax_is_light():
    code = (
        "import json, sys, time\n"
        "start = time.perf_counter(); import genjax; seconds = time.perf_counter() - start\n"
        "print(json.dumps([seconds, sorted(sys.modules)]))"
    )
    runs = [run_python(code) for _ in range(3)]
    assert sorted(seconds for seconds, _ in runs)[1] < 2.0
    heavy = {"tensorflow", "tensorflow_datasets", "matplotlib", "torch", "jax", "numpy"}
    assert not heavy & set(runs[0][1])


def test_no_family_imports_what_a_loss_does_not_need():
    names = sorted({"genjax." + path.name.removesuffix(".py") for path in (ROOT / "genjax").iterdir()})
    names = [name for name in names if name.split(".")[1] in FAMILIES | PARTS | ROOTS]
    code = (
        "import importlib, json, sys\n"
        f"for name in {names}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(run_python(code))
    assert "genjax.contract" in loaded
    heavy = {"tensorflow", "tensorflow_datasets", "matplotlib", "torch", "tensorboardX", "grain", "genjax.training"}
    assert not heavy & loaded


def test_genjax_names_its_subpackages_and_no_more():
    import genjax

    there = {path.name.removesuffix(".py") for path in (ROOT / "genjax").iterdir() if not path.name.startswith("_")}
    assert set(genjax.__all__) == there and genjax.__all__ == sorted(genjax.__all__)
    assert genjax.contract.Variables and "diffusion" in dir(genjax)
    with pytest.raises(AttributeError, match="no attribute 'difusion'; it has adversarial, "):
        genjax.difusion


def packaging():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


def requirements(text):
    """Return {requirement line} without comments."""
    return {line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")}


def test_requirements_repeat_setup_cfg():
    listed = (ROOT / "requirements.txt").read_text()
    assert requirements(listed) == requirements(packaging()["options"]["install_requires"])


def test_every_dependency_has_a_lower_and_an_upper_bound():
    setup = packaging()
    listed = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    every = set().union(*map(requirements, listed))
    for requirement in every:
        assert re.fullmatch(r"[\w.-]+(\[\w+\])?>=[\d.]+(dev0)?,<[\d.]+", requirement), requirement
    names = [requirement.split(">=")[0] for requirement in every]
    assert len(names) == len(set(names)), "two extras ask for other versions of one package"
    jax = {r.split(">=")[1] for lines in listed for r in requirements(lines) if re.match(r"jax(\[|>)", r)}
    assert len(jax) == 1, f"the accelerators' extras ask for another jax than install_requires: {jax}"


def test_everything_imported_is_declared():
    needed = requirements(packaging()["options"]["install_requires"])
    declared = {re.split(r"[\[>]", line)[0].lower().replace("_", "-") for line in needed}
    modules = {MODULE_OF.get(name, name) for name in declared}
    modules |= {"genjax", "experiments", *sys.stdlib_module_names}
    undeclared = {
        f"{name_of(path)}: {name}"
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in ("genjax", "experiments")
        for name in imports(path)
        if name.split(".")[0] not in modules
    }
    assert not undeclared


def test_make_parity_runs_every_test_beside_a_peer():
    """Those that skip where a package of the extra is absent carry the marker by which it finds them."""
    extras = packaging()["options.extras_require"]
    peers = {line.split(">=")[0] for line in requirements(extras["parity"])}
    texts = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)}
    beside = [path for path, text in texts.items() if any(re.search(rf"skip.*\"{peer}[\".]", text) for peer in peers)]
    assert len(beside) >= 7 and not [name_of(path) for path in beside if "mark.parity" not in texts[path]]
    assert "-m parity" in (ROOT / "Makefile").read_text()


def layer_of(module: str) -> str | None:
    """Return the subpackage of genjax that a dotted module name lies in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "genjax" and len(parts) > 1 else None


def may_import(layer: str) -> set[str]:
    """Return the subpackages of genjax that one may import: arrows of the house run one way."""
    if layer in ROOTS:
        return set()
    if layer in PARTS:
        return ROOTS | PARTS
    if layer in FAMILIES:
        others = FAMILIES if layer == "multimodal" else {layer}
        return ROOTS | PARTS | others
    below = ROOTS | PARTS | FAMILIES
    return {"data": below, "evaluation": below | {"data"}, "training": below | {"data", "evaluation"}}[layer] | {layer}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.is_relative_to(ROOT / "genjax")], ids=name_of)
def test_arrows_run_one_way(path):
    layer = path.relative_to(ROOT / "genjax").parts[0].removesuffix(".py")
    if layer == "__init__":
        assert set(imports(path)) <= {"importlib", "typing.Any"}
        return
    for module in imports(path):
        assert module.split(".")[0] not in ("experiments", "benchmarks", "tests"), module
        target = layer_of(module)
        assert target is None or target == layer or target in may_import(layer), f"{layer} imports {module}"
    if layer == "contract":
        assert {m.split(".")[0] for m in imports(path)} - set(sys.stdlib_module_names) == {"jax"}


def test_the_arrow_check_sees_every_form_of_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    folder = tmp_path / "genjax" / "diffusion"
    folder.mkdir(parents=True)
    path = folder / "wrong.py"
    path.write_text(
        "from genjax import training\nimport genjax.data.loader\nfrom ..flows import nice\n"
        "from . import ddpm\ndef f():\n    from genjax.evaluation.pictures import grid\n"
    )
    assert [layer_of(module) for module in imports(path)] == ["training", "data", "flows", "diffusion", "evaluation"]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.stat().st_size], ids=name_of)
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


def test_no_file_is_two():
    # An __init__.py is a list of names, a line each, however many there are.
    files = [path for path in SOURCES if path.name != "__init__.py"]
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in files}
    assert not {name: n for name, n in lengths.items() if n > 400 and name.startswith(("genjax/", "experiments/"))}


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_a_config_has_its_two_functions(path):
    functions = {node.name: node.args for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {"get_config", "build"} <= set(functions)
    assert [a.arg for a in functions["get_config"].args] == ["variant"] and len(functions["get_config"].defaults) == 1
    assert [a.arg for a in functions["build"].args] == ["config"]
    assert "axis_name" in [a.arg for a in functions["build"].kwonlyargs]


def test_continuous_integration_runs_make_test():
    script = (ROOT / ".ci" / "run").read_text()
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "exec make test"]


@pytest.mark.parametrize("python", ["{tmp}/old", "{tmp}/missing"])
def test_make_asks_for_a_newer_python_in_one_sentence(tmp_path, python):
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\nexit 1\n")  # what the version check exits with below 3.11
    old.chmod(0o755)
    named = python.format(tmp=tmp_path)
    command = ["make", "train", f"PYTHON={named}", f"VENV={tmp_path / 'venv'}"]
    # The suite itself may run under make, whose variables must not reach this one.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode != 0 and not (tmp_path / "venv").exists()
    assert f"genjax needs Python 3.11 or newer, and {named} is not; install one and name it" in done.stderr
