"""The references are what commands and docstrings say of themselves, every one of them."""

import re
import runpy
from pathlib import Path

import click

import trajstore as library
from trajstore.cli import trajstore

DOCS = Path(__file__).parents[1] / "docs"


def test_the_reference_is_the_help_of_the_commands() -> None:
    made = runpy.run_path(str(DOCS / "make_reference.py"))["reference"]()
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert written == made, "run: python docs/make_reference.py"


def test_every_command_has_a_section() -> None:
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    for name in trajstore.list_commands(click.Context(trajstore)):
        assert f"## `trajstore {name}`" in written


def test_the_python_reference_has_every_public_name() -> None:
    written = (DOCS / "api.md").read_text(encoding="utf-8")
    names = {
        line.rpartition(".")[2] for line in re.findall(r"^\.\. auto\w+:: (\S+)", written, re.M)
    }
    errors = {name for name in library.__all__ if name.endswith("Error")}  # of a module, all shown
    assert "automodule:: trajstore.errors" in written
    assert set(library.__all__) - errors <= names
