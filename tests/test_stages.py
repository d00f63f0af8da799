"""What a stage of ``dvc.yaml`` depends on: whole rooms, every one that can change its results."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
HARMLESS = {"pipelines/running", "trajstore/disk", "trajstore/errors.py", "trajstore/interop"}
"""Rooms that decide nothing of what a finished stage writes: how tasks run, how bytes are kept, and
what plays an episode again.
"""
DIRECT = {"validate", "record"}
"""Stages whose results are what the library makes; the others use it to read and write."""


def rooms(path: Path) -> set[str]:
    """Rooms of ``pipelines`` that a file imports, and those behind them."""
    found: set[str] = set()
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pipelines."):
            found.add("/".join(str(node.module).split(".")[:2]))
    return found


def reached(path: Path) -> set[str]:
    found, waiting = set[str](), rooms(path)
    while waiting:
        room = waiting.pop()
        if room not in found:
            found.add(room)
            for module in (ROOT / room).rglob("*.py"):
                waiting |= rooms(module)
    return found


def module_of(stage: str) -> Path:
    words = STAGES[stage]["cmd"].split()
    assert words[:3] == ["python", "-m", "pipelines"]
    return ROOT / "pipelines" / "stages" / f"{words[3]}.py"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_the_rooms_that_can_change_its_results_and_no_others(stage: str) -> None:
    module = module_of(stage)
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipelines/")}
    own = str(module.relative_to(ROOT))
    assert named == {own, *(reached(module) - HARMLESS)}, f"dvc.yaml, {stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_the_rooms_of_the_library_that_can_change_its_results(stage: str) -> None:
    """Those that the world and the stage itself import, and those behind them."""
    if stage in DIRECT | {"publish"}:
        return
    waiting, found = {ROOT / "pipelines/tasks", module_of(stage)}, set[Path]()
    while waiting:
        place = waiting.pop()
        for module in [place] if place.is_file() else place.rglob("*.py"):
            reached = library(module) - found - {ROOT / name for name in HARMLESS}
            found |= reached
            waiting |= reached
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith("trajstore")}
    wanted = {str(place.relative_to(ROOT)) for place in found}
    if stage == "compare":  # reads two numbers of a manifest, and no episode
        wanted -= {"trajstore/episode"}
    assert named == wanted, f"dvc.yaml, {stage}"


def library(path: Path) -> set[Path]:
    """Rooms of ``trajstore``, and modules at its door, that a file imports."""
    names = {
        str(node.module).split(".")[1]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("trajstore.")
    }
    doors = {ROOT / "trajstore" / name for name in names}
    return {door if door.is_dir() else door.with_suffix(".py") for door in doors}


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_library_makes_depends_on_the_library(stage: str) -> None:
    assert ("trajstore" in STAGES[stage]["deps"]) == (stage in DIRECT)


def test_the_file_is_short() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 150
