"""Provenance says what made a version, and nothing that differs between two equal runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from trajstore.episode.provenance import capture, check_provenance, git_state
from trajstore.errors import SchemaError
from trajstore.store import Store


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True
    )


def test_two_runs_say_the_same(tmp_path: Path) -> None:
    one, other = (capture(folder=tmp_path, parameters={"a": 1}, policy="p") for _ in range(2))
    assert one == other
    assert json.loads(json.dumps(one)) == one
    assert set(one["packages"]) == {"numpy", "trajstore", "zarr"}
    assert capture(folder=tmp_path, packages=["no-such-package"])["packages"] == {}


def test_the_commit_and_changes_are_noted(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "one")
    clean = git_state(tmp_path)
    (tmp_path / "a").write_text("2")
    assert clean is not None
    assert git_state(tmp_path) == clean | {"dirty": True} != clean


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One that holds ``program/run.py``."""
    folder = tmp_path / "repository"
    (folder / "program").mkdir(parents=True)
    (folder / "program/run.py").write_text("1")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def dirty(folder: Path, *code: Path) -> bool:
    state = git_state(folder, code)
    assert state is not None
    return bool(state["dirty"])


def test_a_repository_further_out_is_not_that_of_the_code(repository: Path) -> None:
    inner = repository / "unpacked"
    inner.mkdir()
    (inner / "run.py").write_text("1")
    assert git_state(inner) is None
    (repository / ".gitignore").write_text("unpacked\n")
    assert git_state(inner) is None
    git(inner, "init", "-q")
    assert git_state(inner) is None
    git(inner, "add", ".")
    git(inner, "commit", "-q", "-m", "two")
    own = git_state(inner)
    assert own is not None
    assert own["commit"] != (git_state(repository) or own)["commit"]


@pytest.mark.parametrize("name", ["helper.py", "program/helper.py", "a/b/helper.pyx", "ä\n.py"])
def test_a_module_that_git_does_not_know_makes_it_dirty(repository: Path, name: str) -> None:
    assert not dirty(repository / "program")
    (repository / "results.csv").write_text("1")
    assert not dirty(repository / "program")
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("1")
    assert dirty(repository / "program")


def test_only_the_code_that_is_named_counts(repository: Path) -> None:
    (repository / "notes.md").write_text("1")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "two")
    (repository / "notes.md").write_text("2")
    (repository / "other.py").write_text("1")
    program = repository / "program"
    assert dirty(program)
    assert not dirty(program, program, Path("/elsewhere"))
    (program / "run.py").unlink()
    assert dirty(program, program)


def test_the_repository_is_that_of_the_folder_whatever_the_environment_says(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = git_state(repository / "program")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert git_state(repository / "program") == told is not None


def test_a_setting_of_the_repository_runs_nothing(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "core.fsmonitor", f"touch {tmp_path}/ran; false")
    assert git_state(repository) is not None
    assert not (tmp_path / "ran").exists()


def test_the_program_is_where_its_code_lies_and_not_where_it_was_started(
    repository: Path, tmp_path: Path
) -> None:
    script = repository / "program/run.py"
    lines = ("from trajstore.episode.provenance import capture", "print(capture()['git'])")
    script.write_text("\n".join(lines))
    git(repository, "commit", "-q", "-a", "-m", "two")
    said = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert said.strip() == str(git_state(repository))


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_our_own_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"\['git'\] are names that trajstore fills in itself"):
        capture(folder=tmp_path, git="mine")


@pytest.mark.parametrize(
    ("provenance", "complaint"),
    [
        (None, "provenance: must be a dict .* got NoneType"),
        (np.zeros(2), "provenance: must be a dict .* got ndarray"),
        ({"a": [1.5, float("nan")]}, r"provenance\['a'\]\[1\]: .* got nan"),
        ({"a": np.zeros(2)}, r"provenance\['a'\]: .* got ndarray"),
        ({"a": "\ud800"}, r"provenance\['a'\]: expected a plain JSON value"),
        ({"a": {1: 2}}, r"provenance\['a'\]: expected names that are text, got 1"),
    ],
)
def test_a_provenance_that_is_no_json_is_refused_before_anything_is_made(
    tmp_path: Path, provenance: object, complaint: str
) -> None:
    with pytest.raises(SchemaError, match=complaint):
        check_provenance(provenance)
    with pytest.raises(SchemaError, match=complaint):
        Store(tmp_path / "store").record(
            "expert",
            schema=factories.SCHEMA,
            provenance=provenance,  # type: ignore[arg-type]
        )
    assert not (tmp_path / "store").exists()
