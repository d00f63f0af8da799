"""Imports point down, modules are small, optional packages stay in their own corner."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "trajstore"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
OPTIONAL = {"torch", "stable_baselines3", "imitation", "gymnasium", "matplotlib", "PIL", "minari"}
MEDIA = {"interop", "playback", "replay"}
"""Where optional packages may be imported."""
MAY_SPAWN = {"provenance", "playback"}


def name_of(path: Path) -> str:
    """Module or package right below ``trajstore`` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names that the file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    members = {f"{node.module}.{it.name}" for node in froms for it in node.names}
    return (
        plain
        | {member for member in members if member.startswith("trajstore.")}
        | {node.module or "" for node in froms if node.module != "trajstore"}
    )


def below() -> dict[str, set[str]]:
    """What each module or package of the library imports from it."""
    found: dict[str, set[str]] = {name_of(path): set() for path in MODULES}
    for path in MODULES:
        own = name_of(path)
        parts = [name.split(".") for name in imported(path) if name.startswith("trajstore.")]
        found[own] |= {part[1] for part in parts if part[1] in found and part[1] != own}
    return found


def floors() -> dict[str, int]:
    """The floor of each module: one above the highest that it imports; fails on a circle."""
    graph, found = below(), dict[str, int]()
    while len(found) < len(graph):
        ready = {name for name in graph.keys() - found.keys() if graph[name] <= found.keys()}
        assert ready, f"these import each other: {sorted(graph.keys() - found.keys())}"
        found |= {name: 1 + max((found[it] for it in graph[name]), default=-1) for name in ready}
    return found


ORDER = [
    "errors", "fields", "schema", "episode", "layout", "journal", "chunks", "sealing", "writer",
    "recorder", "store", "cli",
]  # fmt: skip
"""The spine of the library: each of these may use those before it, never one behind it."""


def test_no_module_imports_in_a_circle() -> None:
    assert floors()["errors"] == 0


def test_the_spine_stands_in_its_order() -> None:
    graph = below()
    for place, name in enumerate(ORDER):
        reached, waiting = set[str](), list(graph.get(name, ()))
        while waiting:
            one = waiting.pop()
            if one not in reached:
                reached.add(one)
                waiting += graph[one]
        assert not reached & set(ORDER[place:]), f"{name} reaches up"


def test_everything_stands_on_errors_and_below_the_command() -> None:
    graph = below()
    assert graph["errors"] == set()
    assert {name for name, used in graph.items() if "cli" in used} <= {"__main__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small_and_keeps_to_the_library(path: Path) -> None:
    own, names = name_of(path), imported(path)
    assert len(path.read_text().splitlines()) <= 300
    assert not [name for name in names if name.split(".")[0] in ("pipelines", "tests")]
    packages = {name.split(".")[0] for name in names}
    if own not in MEDIA:
        assert not packages & OPTIONAL
    assert not packages & {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
    if own not in MAY_SPAWN:
        assert "subprocess" not in packages
