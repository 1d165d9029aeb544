"""What the launchers share: flags, configs, and how mistakes are told.

A config is a Python file with `get_config(variant)` and `build(config, axis_name=None)`; a workdir holds a
copy of it (`config.py`) and the values it ran with (`config.json`), so that a run can be sampled and
evaluated from its folder alone.
"""

import difflib
import importlib.util
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from genjax.errors import UserError

# What may differ between a run and its resumption: none of these changes what a step computes.
FREE_FIELDS = (
    "train.steps train.parallel train.log_every train.sample_every train.valid_every train.checkpoint_every train.keep "
    "data.dir data.workers data.valid_split data.test_split sample eval expected"
).split()


def launch(main: Callable[[], None], doc: str, *, with_config: bool) -> None:
    """Run a launcher: parse its flags, run it, and print a UserError as one sentence with exit code 2."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
    if with_config:
        config_flags.DEFINE_config_file("config", None, "Config file, or 'file.py:variant'.", lock_config=True)
        flags.mark_flag_as_required("config")

    def parse(argv: Sequence[str]) -> list[str]:
        if any(argument in ("--help", "-h", "-help", "--helpshort") for argument in argv[1:]):
            print(_usage(doc, with_config))
            sys.exit(0)
        try:
            return flags.FLAGS(list(argv))
        except Exception as error:
            sys.exit(_told(UserError(_flag_mistake(argv, error))))

    def run(_: Any) -> None:
        try:
            main()
        except UserError as error:
            sys.exit(_told(error))

    app.run(run, flags_parser=parse)


def load_module(path: str | pathlib.Path) -> ModuleType:
    """Import a config file by its path."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"there is no config file {path}; the configs are experiments/configs/<family>/<id>.py.")
    spec = importlib.util.spec_from_file_location(f"genjax_config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def claim_workdir(workdir: pathlib.Path, config: ConfigDict, config_file: str, *, write: bool) -> None:
    """Make the run's folder and put its config there; refuse one that belongs to another config.

    Raises:
        UserError: the folder holds a run whose config differs in a field that a run cannot change.
    """
    values = json.loads(config.to_json())
    stored = workdir / "config.json"
    if stored.exists():
        other = _flat(_read_json(stored))
        differing = sorted(
            name
            for name in (other.keys() | _flat(values).keys())
            if other.get(name) != _flat(values).get(name) and not any(name == f or name.startswith(f + ".") for f in FREE_FIELDS)
        )
        if differing:
            shown = ", ".join(f"{name} ({other.get(name)} there, {_flat(values).get(name)} here)" for name in differing[:4])
            raise UserError(
                f"{workdir} holds a run of another config: {shown}{' and more' if len(differing) > 4 else ''}; give "
                "another --workdir, or the run's own config to go on with it."
            )
    if write:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise UserError(f"the workdir {workdir} cannot be made ({error.strerror}); give another --workdir.") from error
        shutil.copyfile(config_file, workdir / "config.py")
        write_json(stored, values)


def read_workdir(workdir: pathlib.Path) -> tuple[ModuleType, ConfigDict]:
    """Return (config module, config) of the run in a folder."""
    if not (workdir / "config.json").is_file() or not (workdir / "config.py").is_file():
        raise UserError(f"{workdir} holds no run (no config.json and config.py); give the --workdir of experiments.train.")
    return load_module(workdir / "config.py"), ConfigDict(_read_json(workdir / "config.json")).lock()


def write_json(path: pathlib.Path, values: Any) -> None:
    """Write a JSON file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    os.replace(temporary, path)


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); restore it, or give another --workdir.") from error


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix[:-1]: values}
    return {name: value for key, inner in values.items() for name, value in _flat(inner, f"{prefix}{key}.").items()}


def _told(error: UserError) -> int:
    print(f"error: {error}", file=sys.stderr, flush=True)
    return 2


def _config_argument(argv: Sequence[str]) -> str | None:
    for i, argument in enumerate(argv):
        if argument.startswith(("--config=", "-config=")):
            return argument.split("=", 1)[1]
        if argument in ("--config", "-config") and i + 1 < len(argv):
            return argv[i + 1]
    return None


def _flag_mistake(argv: Sequence[str], error: Exception) -> str:
    """Return one sentence for whatever the flag parser stumbled over."""
    path = _config_argument(argv)
    if isinstance(error, UserError):
        return str(error)
    if path is not None:
        file, _, variant = path.partition(":")
        module = load_module(file)
        fields = _flat(json.loads(module.get_config(variant).to_json()))
        for argument in argv:
            name = argument.lstrip("-").split("=", 1)[0]
            if name.startswith("config.") and name[7:] not in fields:
                close = difflib.get_close_matches(name[7:], fields, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]}?" if close else "--help lists the fields."
                return f"the config has no field '{name[7:]}'; {hint}"
    return f"{' '.join(str(error).split())}; --help shows the usage."


def _usage(doc: str, with_config: bool) -> str:
    lines = [doc.strip(), "", "flags:"]
    module_flags = flags.FLAGS.flags_by_module_dict()
    own = [flag for name, group in module_flags.items() if name.startswith(("experiments", "__main__", sys.argv[0])) for flag in group]
    lines += [f"  --{flag.name}: {flag.help}" for flag in {flag.name: flag for flag in own}.values()]
    if with_config:
        common = pathlib.Path(__file__).parent / "configs" / "common.py"
        fields = [line.strip() for line in common.read_text().splitlines() if line.strip().startswith("config.") and "ConfigDict()" not in line]
        lines += ["", "fields of every config, as --config.<field>=<value>, with their defaults:"]
        lines += [f"  {line.removeprefix('config.')}" for line in fields]
    return "\n".join(lines)
