"""What users import: the names of ``docs/public-names.txt``, and no others.

A name that comes or goes is a change for users: write it into that file, and into the changelog.
"""

import importlib
from pathlib import Path

import pytest

PINNED = Path(__file__).parents[1] / "docs" / "public-names.txt"


def pinned() -> dict[str, list[str]]:
    """The public modules, each with its names."""
    modules: dict[str, list[str]] = {}
    for line in PINNED.read_text("utf-8").splitlines():
        if line.startswith("    "):
            modules[list(modules)[-1]] += line.split()
        elif line and not line.startswith("#"):
            modules[line] = []
    return modules


@pytest.mark.parametrize("module", pinned())
def test_module_has_the_names_that_are_pinned(module: str):
    names = pinned()[module]
    stated: list[str] = importlib.import_module(module).__all__

    came, went = sorted(set(stated) - set(names)), sorted(set(names) - set(stated))
    assert (came, went) == ([], []), f"{module}: came {came}, went {went}"


def test_names_can_be_imported():
    for module, names in pinned().items():
        found = vars(importlib.import_module(module))
        assert not [name for name in names if name not in found], module


def test_there_are_no_more_than_can_be_known():
    assert sum(map(len, pinned().values())) <= 200
