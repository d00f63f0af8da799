"""A run is trained again if and only if what it was made from has changed."""

import shutil
from pathlib import Path

import pytest

from pipelines.learning import inputs
from pipelines.learning.inputs import PLAN, code_digest, drop_other_seeds, is_finished, start_afresh
from pipelines.learning.runlog import RunRecord, RunStatus, write_run

MADE = {"inputs": {"code": "ab"}, "parameters": {"ppo": {"hidden": (8, 8), "clip": 0.2}}}


def run(folder: Path, status: RunStatus = RunStatus.COMPLETED) -> Path:
    write_run(folder, RunRecord("baseline", 1, status, 10, **MADE))
    return folder


def test_a_completed_run_of_the_same_inputs_is_finished(tmp_path: Path) -> None:
    assert not is_finished(tmp_path, **MADE)
    assert is_finished(run(tmp_path), **MADE)


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.PARTIAL])
def test_a_run_that_did_not_complete_is_not(tmp_path: Path, status: RunStatus) -> None:
    assert not is_finished(run(tmp_path, status), **MADE)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"code": "cd"}},
        {"inputs": {"code": "ab", "start": "x"}},
        {"parameters": {"ppo": {"hidden": (8, 8), "clip": 0.3}}},
        {"parameters": {}},
    ],
)
def test_a_run_of_other_inputs_is_not(tmp_path: Path, change: dict[str, dict]) -> None:
    assert not is_finished(run(tmp_path), **(MADE | change))


def test_what_the_same_plan_left_is_kept_and_all_else_goes(tmp_path: Path) -> None:
    folder = tmp_path / "seed_1"
    start_afresh(folder, **MADE)
    (folder / "checkpoint").mkdir()
    start_afresh(folder, **MADE)
    assert (folder / "checkpoint").exists()
    start_afresh(folder, **(MADE | {"parameters": {}}))
    assert [path.name for path in folder.iterdir()] == [PLAN]


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_plan_that_cannot_be_read_is_another_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / PLAN).write_text(text)
    (tmp_path / "run" / "old").touch()
    start_afresh(tmp_path / "run", **MADE)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [PLAN]


def test_runs_of_seeds_that_are_not_wanted_go(tmp_path: Path) -> None:
    for name in ("seed_1", "seed_2", "seed_10", "other"):
        (tmp_path / name).mkdir()
    drop_other_seeds(tmp_path, [1, 10, 11])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "seed_1", "seed_10"]
    drop_other_seeds(tmp_path / "nothing", [1])


def test_the_code_s_digest_changes_with_any_of_its_files_and_with_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(inputs.__file__).parent
    copy = tmp_path / "pipelines"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(inputs, "__file__", str(copy / "inputs.py"))
    before = code_digest()
    (copy / "report" / "notes.py").write_text("x = 1\n")
    (copy / "env" / "cache.pyc").write_bytes(b"x")
    assert code_digest() == before
    digests = {before}
    for name in ("ppo.py", "training.py", "env/kernel.py", "env/scenarios.yaml"):
        with (copy / name).open("a") as stream:
            stream.write("# changed\n")
        digests.add(code_digest())
    (copy / "env" / "kernel.py").rename(copy / "env" / "kernels.py")
    digests.add(code_digest())
    assert len(digests) == 6


def test_every_named_module_of_the_training_is_there() -> None:
    root = Path(inputs.__file__).parent
    assert all((root / part).exists() for part in inputs.TRAINING_CODE)
