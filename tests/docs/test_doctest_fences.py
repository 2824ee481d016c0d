"""The reference shows the examples of docstrings as code."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("griffe", reason="needs mkdocstrings of the docs extra")

HOOK = Path(__file__).parents[2] / "docs" / "hooks" / "doctests.py"


def test_an_example_and_its_result_are_fenced_and_nothing_else():
    spec = importlib.util.spec_from_file_location("doctests", HOOK)
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    text = "Add.\n\n>>> 1 + 1\n2\n>>> 2 + 2\n4\n\nEnd."
    assert hook.fenced(text) == "Add.\n\n```pycon\n>>> 1 + 1\n2\n>>> 2 + 2\n4\n```\n\nEnd."
    assert hook.fenced("No example.") == "No example."
