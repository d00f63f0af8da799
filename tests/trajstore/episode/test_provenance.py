"""Provenance says what made a version, and nothing that differs between two equal runs."""

import json
import subprocess
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


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) is None


def test_our_own_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"got \['git'\]"):
        capture(folder=tmp_path, git="mine")


@pytest.mark.parametrize(
    ("provenance", "complaint"),
    [
        (None, "provenance: expected a mapping .* got NoneType"),
        (np.zeros(2), "provenance: expected a mapping .* got ndarray"),
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
