"""A stage of ``dvc.yaml`` depends on every module that can change what it writes."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipelines"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
HARMLESS = {
    "pipelines/fanout.py": "runs tasks side by side; results do not depend on how",
    "pipelines/params.py": "reads parameters, whose values DVC follows itself",
    "pipelines/progress.py": "shows progress",
    "pipelines/stage.py": "words of errors; the usual places, which dvc.yaml names as well",
    "pipelines/unfinished.py": "what a run that failed leaves behind",
}
"""Modules that decide nothing of what a finished stage writes, and why."""
RECORDS_ONLY = {"pipelines/settings.py"}
"""Modules that import others for the records of their parameters; what those do is not used."""
UNUSED = {"pipelines.pretrain": {"pipelines/metrics.py", "pipelines/snqi.py"}}
"""Imported on the way to something else: clones are not judged by any metric."""
DATA = {"pipelines/snqi.py": "pipelines/snqi_baseline.json"}
"""Files of the package that a module reads to compute with."""
JUDGING = ("pipelines.expert", "pipelines.finetune")
"""Stages that measure episodes."""


def path_of(module: str) -> str | None:
    """The file of a dotted name of ``pipelines``, relative to the root; none if it has none."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return str(path.relative_to(ROOT)) if path.is_file() else None


def imported(path: str) -> set[str]:
    """Files of ``pipelines`` that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    members = [f"{node.module}.{it.name}" for node in froms for it in node.names]
    names = {*plain, *members, *(str(node.module) for node in froms)}
    found = {path_of(name) for name in names if name.startswith("pipelines.")}
    return {path for path in found if path is not None}


def reached(path: str, *, through_records: bool) -> set[str]:
    """Files of ``pipelines`` that running a file imports, itself included."""
    found, waiting = {path}, [path]
    while waiting:
        one = waiting.pop()
        if one in RECORDS_ONLY and not through_records:
            continue
        waiting += imported(one) - found
        found |= imported(one)
    return found


def module_of(stage: str) -> str:
    match = re.search(r"python -m (\S+)", STAGES[stage]["cmd"])
    assert match, f"{stage}: expected a command that runs a module"
    return match[1]


def listed(stage: str) -> set[str]:
    return {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipelines/")}


def covers(deps: set[str], path: str) -> bool:
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_can_change_its_results(stage: str) -> None:
    module = module_of(stage)
    needed = reached(str(path_of(module)), through_records=False)
    needed -= HARMLESS.keys() | UNUSED.get(module, set())
    if module in JUDGING:
        needed |= {data for source, data in DATA.items() if source in needed}
    missing = sorted(path for path in needed if not covers(listed(stage), path))
    assert not missing, f"dvc.yaml, {stage}: add to its deps {missing}, or say why in HARMLESS"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_module_that_it_does_not_run(stage: str) -> None:
    module = module_of(stage)
    found = reached(str(path_of(module)), through_records=False)
    found |= {data for source, data in DATA.items() if source in found}
    stale = sorted(dep for dep in listed(stage) if not any(covers({dep}, path) for path in found))
    assert not stale, f"dvc.yaml, {stage}: take out of its deps {stale}"


def test_every_exception_names_a_file_that_exists() -> None:
    named = {*HARMLESS, *RECORDS_ONLY, *DATA, *DATA.values()}.union(*UNUSED.values())
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_the_walk_finds_what_is_imported_by_way_of_another_module() -> None:
    found = reached("pipelines/record.py", through_records=False)
    assert {"pipelines/approved.py", "pipelines/env/physics.py"} <= found
    assert "pipelines/ppo.py" not in found
    assert "pipelines/ppo.py" in reached("pipelines/record.py", through_records=True)
