"""Examples in docstrings say what the code does."""

import doctest
from importlib import import_module

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src"
# The parts that only training runs need torch, which nobody else installs.
WITH_EXAMPLES = [
    path
    for path in sorted((SOURCE / "kneeline").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8") and "training" not in path.parts
]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_hold(path):
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    found = doctest.testmod(import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
