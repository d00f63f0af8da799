"""The command line reference is what the commands say of themselves, every one of them."""

import runpy
from pathlib import Path

import click

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
