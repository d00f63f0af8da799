"""Rooms stand on floors, imports point down, and optional packages stay in their own corner."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS: dict[str, list[set[str]]] = {
    "trajstore": [
        {"errors"},
        {"disk"},
        {"episode"},
        {"version"},
        {"choosing"},
        {"dataset"},
        {"recording", "quality"},
        {"lifecycle"},
        {"curation"},
        {"store"},
        {"interop", "playback"},
        {"cli"},
        {"__main__"},
    ],
    "pipelines": [
        {"running"},
        {"tasks"},
        {"learning"},
        {"comparison"},
        {"report"},
        {"table"},
        {"stages"},
        {"__main__"},
    ],
}
"""Rooms and the modules at the door, from the ground up; none knows another of its own floor."""
DOOR = {"trajstore": 8, "pipelines": 4}
"""Most modules of a package that lie in no room."""
OPTIONAL = {"torch", "stable_baselines3", "imitation", "gymnasium", "matplotlib", "PIL", "minari"}
MEDIA = {"interop", "playback"}
"""Rooms of ``trajstore`` in which optional packages may be imported."""
UNPICKLING = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
MAY_SPAWN = {"episode/provenance.py", "playback/media.py"}
MAY_DISCOVER = {"episode/plugins.py"}
"""Modules of ``trajstore`` that ask what other installed packages offer."""
MAY_IMPORT_BY_NAME = {
    *(
        "__init__.py",
        "dataset.py",
        "version/coders.py",
        "version/composing.py",
        "version/location.py",
        "version/writer.py",
        "playback/card.py",
    ),
    *("cli/__init__.py", "cli/environments.py", "cli/exchange.py", "interop/environment.py"),
    *("interop/formats.py", "interop/lerobot_cameras.py", "interop/lerobot_files.py"),
}
"""Modules of ``trajstore`` that import what a table of ours, or the user, names."""
MODULES = sorted(
    path for package in FLOORS for path in (ROOT / package).rglob("*.py") if path.parent.name
)


def room_of(path: Path) -> tuple[str, str]:
    """Package and room (or module at the door) of a file."""
    package, *rest = path.relative_to(ROOT).parts
    return package, rest[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it; by ``import_module`` and the like too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            name = called.id if isinstance(called, ast.Name) else called
            if name in ("import_module", "__import__", "find_spec", "entry_points"):
                yield from _named(node)


def calls(path: Path) -> Iterator[str]:
    """Names of functions and methods that a file calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr


def _named(call: ast.Call) -> Iterator[str]:
    """What a call names: constants, and the beginnings of formatted texts."""
    for argument in [*call.args, *(word.value for word in call.keywords)]:
        for node in ast.walk(argument):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value.rstrip(".")


def floor_of(package: str, room: str) -> int:
    found = [level for level, rooms in enumerate(FLOORS[package]) if room in rooms]
    assert found, f"{package}/{room} stands on no floor: add it to FLOORS, or to a room"
    return found[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    package, room = room_of(path)
    for name in imported(path):
        top, _, rest = name.partition(".")
        assert not (package == "trajstore" and top == "pipelines"), f"{path} reaches {name}"
        assert top != "tests"
        other = rest.partition(".")[0]
        if top != package or other == room or room == "__init__" or not rest:
            continue
        if (ROOT / package / other).is_dir() or (ROOT / package / f"{other}.py").is_file():
            assert floor_of(package, other) < floor_of(package, room), (
                f"{path} imports {name}, which does not stand below it"
            )


@pytest.mark.parametrize("package", FLOORS)
def test_within_a_room_no_module_imports_in_a_circle(package: str) -> None:
    below: dict[str, set[str]] = {}
    for path in (ROOT / package).rglob("*.py"):
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        below[own] = {name for name in imported(path) if name.startswith(f"{package}.")}
    modules = set(below)
    graph = {
        own: {it if it in modules else it.rpartition(".")[0] for it in names} & modules - {own}
        for own, names in below.items()
        if not own.endswith("__init__")
    }
    while graph:
        ready = [own for own, names in graph.items() if not names & graph.keys()]
        assert ready, f"these import each other: {sorted(graph)}"
        for own in ready:
            del graph[own]


@pytest.mark.parametrize("package", FLOORS)
def test_few_modules_lie_at_the_door(package: str) -> None:
    door = sorted(path.name for path in (ROOT / package).glob("*.py"))
    assert len(door) <= DOOR[package], door


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), f"{path}: expected a sentence at its head"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_to_its_corner(path: Path) -> None:
    package, room = room_of(path)
    tops = {name.partition(".")[0] for name in imported(path)}
    allowed = {"joblib"} if package == "pipelines" else set()
    if path.name == "export.py" and room == "learning":  # it writes, and reads tensors alone
        allowed |= {"cloudpickle"}
    assert not tops & (UNPICKLING - allowed)
    if package == "trajstore" and room not in MEDIA and path.name != "environments.py":
        assert not tops & OPTIONAL, f"{path} imports {tops & OPTIONAL}"
    if package == "trajstore" and str(path.relative_to(ROOT / package)) not in MAY_SPAWN:
        assert "subprocess" not in tops


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_few_modules_choose_what_is_imported(path: Path) -> None:
    package, _ = room_of(path)
    here, called = str(path.relative_to(ROOT / package)), set(calls(path))
    assert not called & {"eval", "exec", "__import__"}
    if package == "trajstore":
        assert "entry_points" not in called or here in MAY_DISCOVER
        assert "import_module" not in called or here in MAY_IMPORT_BY_NAME


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_but_that_of_tasks_knows_a_task(path: Path) -> None:
    if room_of(path) != ("pipelines", "tasks"):
        assert not [it for it in imported(path) if it.startswith("pipelines.tasks.social_nav")]


def test_the_walk_sees_imports_by_name(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text(
        'import importlib\nfrom importlib import import_module\nx = import_module("pipelines.a")\n'
        'y = importlib.import_module(f"pipelines.{x}")\nz = __import__("tests.b")\n'
    )
    assert {"pipelines.a", "pipelines", "tests.b"} <= set(imported(hidden))
