"""A run is trained again if and only if what it is made from changed; until then it says so."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.learning import run as module
from pipelines.learning.run import (
    INTERRUPTED,
    PACKAGES,
    PLAN,
    code_digest,
    drop_other_seeds,
    is_finished,
    library_code,
    start_afresh,
    training_code,
    training_inputs,
    unfinished,
)
from pipelines.learning.runlog import RunRecord, RunStatus, read_run, write_run
from pipelines.learning.sealing import seal_run
from tests.pipelines.learning.test_runlog import EVALUATION
from trajstore.errors import StorageError

ROOT = Path(__file__).parents[3]
MADE = RunRecord(
    "baseline", 1, RunStatus.COMPLETED, 10, {"code": "ab"}, {"ppo": {"hidden": (8, 8), "clip": 0.2}}
)


def run(folder: Path, status: RunStatus = RunStatus.COMPLETED) -> Path:
    write_run(folder, replace(MADE, status=status))
    return folder


def test_a_completed_run_of_the_same_inputs_is_finished(tmp_path: Path) -> None:
    assert not is_finished(tmp_path, MADE)
    assert is_finished(run(tmp_path), MADE)


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.PARTIAL])
def test_a_run_that_did_not_complete_is_not(tmp_path: Path, status: RunStatus) -> None:
    assert not is_finished(run(tmp_path, status), MADE)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"code": "cd"}},
        {"inputs": {"code": "ab", "start": "x"}},
        {"parameters": {"ppo": {"hidden": (8, 8), "clip": 0.3}}},
        {"parameters": {}},
        {"arm": "finetune"},
        {"seed": 2},
    ],
)
def test_a_run_of_other_inputs_is_not(tmp_path: Path, change: dict[str, Any]) -> None:
    assert not is_finished(run(tmp_path), replace(MADE, **change))


def test_what_the_same_plan_left_is_kept_and_all_else_goes(tmp_path: Path) -> None:
    folder = tmp_path / "seed_1"
    start_afresh(folder, MADE)
    (folder / "checkpoint").mkdir()
    (folder / "evaluations.jsonl").touch()
    start_afresh(folder, MADE)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint", PLAN]
    start_afresh(folder, replace(MADE, parameters={}))
    assert [path.name for path in folder.iterdir()] == [PLAN]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_plan_that_cannot_be_read_is_another_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / PLAN).write_text(text)
    (tmp_path / "run" / "old").touch()
    start_afresh(tmp_path / "run", MADE)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [PLAN]


def test_runs_of_seeds_that_are_not_wanted_go(tmp_path: Path) -> None:
    for name in ("seed_1", "seed_2", "seed_10", "other"):
        (tmp_path / name).mkdir()
    drop_other_seeds(tmp_path, [1, 10, 11])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "seed_1", "seed_10"]
    drop_other_seeds(tmp_path / "nothing", [1])


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package elsewhere; its code is what a digest is taken over."""
    copy = tmp_path / "elsewhere" / "pipelines"
    shutil.copytree(ROOT / "pipelines", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "ROOT", copy)
    return copy


def test_the_same_code_elsewhere_has_the_same_digest(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = code_digest("expert")
    monkeypatch.setattr(module, "ROOT", ROOT / "pipelines")
    assert code_digest("expert") == digest != code_digest("finetune")


@pytest.mark.parametrize(
    ("name", "trains"),
    [
        ("learning/ppo.py", True),
        ("tasks/social_nav/kernel.py", True),
        ("tasks/social_nav/scenarios.yaml", True),
        ("tasks/social_nav/snqi_baseline.json", True),
        ("stages/finetune.py", True),
        ("stages/expert.py", False),
        ("comparison/arms.py", False),
        ("report/page.py", False),
        ("running/fanout.py", False),
        ("learning/__pycache__/ppo.pyc", False),
    ],
)
def test_an_edit_in_a_room_of_the_training_trains_again_and_no_other(
    copied: Path, tmp_path: Path, name: str, trains: bool
) -> None:
    seal_run(tmp_path, replace(MADE, inputs=training_inputs("finetune")))
    (copied / name).parent.mkdir(exist_ok=True)
    with (copied / name).open("a") as stream:
        stream.write("# changed\n")
    now = replace(MADE, inputs=training_inputs("finetune"))
    assert is_finished(tmp_path, now) is not trains


@pytest.mark.parametrize("stage", ["expert", "finetune", "pretrain"])
def test_every_file_of_every_room_counts(
    copied: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    library = copied.with_name("trajstore")
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "trajstore", library, ignore=hidden)
    monkeypatch.setattr(module, "LIBRARY", library)
    parts = [copied / part for part in training_code(stage)]
    parts += [library / part for part in library_code(stage)]
    files = [path for part in parts for path in (part, *part.rglob("*")) if path.is_file()]
    assert len(files) > 30
    digests = {code_digest(stage)}
    for path in files:
        with path.open("a") as stream:
            stream.write("# changed\n")
        digests.add(code_digest(stage))
    assert len(digests) == len(files) + 1


def test_a_file_of_another_name_trains_again(copied: Path) -> None:
    before = code_digest("expert")
    (copied / "learning/ppo.py").rename(copied / "learning/ppos.py")
    assert code_digest("expert") != before


@pytest.mark.parametrize("package", PACKAGES)
def test_another_version_of_what_computes_trains_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    seal_run(tmp_path, replace(MADE, inputs=training_inputs("expert")))
    known = module.version
    monkeypatch.setattr(module, "version", lambda name: known(name) + ".1" * (name == package))
    assert not is_finished(tmp_path, replace(MADE, inputs=training_inputs("expert")))


def test_a_digest_is_taken_over_what_the_pipeline_names() -> None:
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        stage = stage.get("do", stage)
        command = stage["cmd"].split()[3]
        if command in ("expert", "finetune", "pretrain"):
            named = {dep for dep in stage["deps"] if dep.startswith(("pipelines/", "trajstore"))}
            code = {f"pipelines/{part}" for part in training_code(command)}
            assert named == code | {f"trajstore/{part}" for part in library_code(command)}, name


def test_a_run_under_way_is_partial_and_then_what_the_block_says(tmp_path: Path) -> None:
    with unfinished(tmp_path, MADE):
        assert read_run(tmp_path).status is RunStatus.PARTIAL
        write_run(tmp_path, MADE)
    assert read_run(tmp_path).status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    ("error", "status", "note"),
    [
        (StorageError("disk: got none"), RunStatus.FAILED, "disk: got none"),
        (ZeroDivisionError(), RunStatus.FAILED, "ZeroDivisionError"),
        (KeyboardInterrupt(), RunStatus.PARTIAL, INTERRUPTED),
        (SystemExit(143), RunStatus.PARTIAL, INTERRUPTED),
    ],
)  # fmt: skip
def test_an_error_is_kept_with_its_message(
    tmp_path: Path, error: BaseException, status: RunStatus, note: str
) -> None:
    with pytest.raises(type(error)), unfinished(tmp_path, MADE):
        rows = [EVALUATION, EVALUATION | {"steps": 4096}]
        (tmp_path / "evaluations.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        raise error
    record = read_run(tmp_path)
    assert (record.status, list(record.notes), record.steps) == (status, [note], 4096)
    assert record.inputs == MADE.inputs
