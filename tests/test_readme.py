"""Every command and program of README and pages that is marked to run, runs; the others exist.

A block is marked by the line before it: ``<!-- run -->`` for commands, ``<!-- run: name.py -->``
for a program that the commands call. All of one page run in one folder, in order.
"""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from trajstore.cli import trajstore

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
RUN = [page for page in PAGES if "<!-- run" in page.read_text(encoding="utf-8")]
FENCE = re.compile(r"(?:<!-- run(?:: (\S+))? -->\n)?```(\w+)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(?:#[^)]*)?\)")
LATER: set[str] = set()
"""Written by the experiment's author when it has run."""


class Block(NamedTuple):
    """A fenced block: its language, text, whether it is marked, and as what file."""

    language: str
    text: str
    marked: bool
    file: str


def blocks(page: Path) -> list[Block]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(it[2], it[3], it[0].startswith("<!--"), it[1] or "") for it in found]


def commands(page: Path) -> list[list[str]]:
    """The command lines of a page, as words, without prompt, comment and redirection."""
    shells = [it.text for it in blocks(page) if it.language in ("sh", "console")]
    lines = [line.removeprefix("$ ") for text in shells for line in text.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def all_commands(name: str) -> list[list[str]]:
    return [words for page in PAGES for words in commands(page) if words[0] == name]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_what_is_marked_runs(page: Path, tmp_path: Path) -> None:
    script = ["set -euo pipefail"]
    for block in blocks(page):
        if block.marked and block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.marked:
            script.append(block.text)
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": paths, "PYTHONPATH": str(ROOT), "BROWSER": "true %s"}
    env |= {"OMP_NUM_THREADS": "1", "SDL_VIDEODRIVER": "dummy"}
    done = subprocess.run(
        ["bash", "-xc", "\n".join(script)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr


def test_make_is_asked_for_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    asked = {word for words in all_commands("make") for word in words[1:]}
    asked |= {it for page in PAGES for it in re.findall(r"`make ([a-z-]+)`", page.read_text())}
    assert {"repro", "test"} <= asked
    assert asked <= targets


def test_commands_have_the_options_that_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Path, "convert", lambda self, value, *_: Path(value))
    shown = all_commands("trajstore")
    assert len(shown) > 20
    top = click.Context(
        trajstore, obj={"root": "store"}, info_name="trajstore", **trajstore.context_settings
    )
    for words in shown:
        with trajstore.make_context("trajstore", words[1:], parent=top) as context:
            name, command, rest = trajstore.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            assert command is not None
            command.make_context(name, rest, parent=context)


def test_modules_that_are_run_exist() -> None:
    modules = {words[2] for words in all_commands("python") if words[1] == "-m"}
    assert "pipelines" in modules
    assert all(find_spec(module) for module in modules)


def test_dvc_knows_the_commands_that_are_shown() -> None:
    shown = [words[1:] for words in all_commands("dvc")]
    assert ["push"] in shown
    program = (
        "import json, sys\nfrom dvc.cli import parse_args\n"
        "for words in json.load(sys.stdin): parse_args(words)\n"
    )
    text = str(shown).replace("'", '"')
    subprocess.run([sys.executable, "-c", program], input=text, text=True, check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / link).resolve()
        later = target.is_relative_to(ROOT) and str(target.relative_to(ROOT)) in LATER
        assert target.exists() or later, link
