"""RESULTS.md and the configs name one another: every config has a row, and what a row is of can be run."""

import re

import pytest

from experiments import cli
from genjax.errors import UserError
from tests.contract.cases import CONFIGS, IDS
from tests.test_docs import ROOT

RESULTS = (ROOT / "experiments" / "RESULTS.md").read_text()
FIRST_CELLS = [line.split("|")[1] for line in RESULTS.splitlines() if line.startswith("|")]


def variants_of(path):
    """Return a config's variants, as it names them itself where one is asked for that there is not."""
    with pytest.raises(UserError) as told:
        cli.load_module(path).get_config("no such variant")
    return set(re.findall(r"'([\w.]*)'", str(told.value).partition("it has")[2]))


def named():
    """Yield (config file, variant or '') of every cell; ':b' after `a.py:x` or `a.py` is of a.py too."""
    for cell in FIRST_CELLS:
        file = ""
        for name, variant in re.findall(r"`(?:[\w]+/)?(\w+\.py)?(?::(\w+))?[^`]*`", cell):
            file = name or file
            if file:
                yield file, variant


@pytest.mark.parametrize("path", CONFIGS, ids=IDS)
def test_every_config_has_a_row_and_rows_name_its_variants(path):
    found = {variant for file, variant in named() if file == path.name}
    assert found, f"{path.name} has no row in RESULTS.md, measured or not"
    assert found - {""} <= variants_of(path), f"rows of {path.name} name variants that it does not have"


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.parent.name == "adversarial"])
def test_every_variant_of_a_game_has_a_row(path):
    missing = variants_of(path) - {variant for file, variant in named() if file == path.name} - {"", "tiny"}
    assert not missing, f"RESULTS.md has no row, measured or not, of {path.name}:{', :'.join(sorted(missing))}"
