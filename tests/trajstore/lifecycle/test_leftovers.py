"""What an archive lacks, what lies in a restored version's place, and arguments of other types."""

import shutil
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore.lives import fill, shelf
from trajstore.cli import run
from trajstore.errors import ArgumentError, CorruptionError
from trajstore.lifecycle import restore, rotate
from trajstore.lifecycle.rotation import Retention
from trajstore.store import Store
from trajstore.version.integrity import verify


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two live versions and an archived one."""
    both = shelf(tmp_path)
    fill(both, tmp_path, 3)
    rotate(both, retention=Retention(validated=2))
    return Store(both.folder.parent)


def told(capsys: pytest.CaptureFixture[str], store: Store, status: int) -> str:
    assert run(["doctor", "--store", str(store.root)]) == status
    return " ".join(capsys.readouterr().out.split())


def test_doctor_says_what_the_archive_lacks(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"good archive {tmp_path / 'archive'}: 1 packs" in told(capsys, store, 0)
    shutil.move(tmp_path / "archive", tmp_path / "moved")
    text = told(capsys, store, 1)
    assert "bad archive:expert@v1 its pack expert-v1-" in text
    assert run(["doctor", "--store", str(store.root), "--archive", str(tmp_path / "moved")]) == 0
    capsys.readouterr()
    (tmp_path / "archive").write_text("a file")
    assert "bad archive" in told(capsys, store, 1)
    empty = Store(tmp_path / "empty" / "store")
    with empty.record("other", schema=factories.SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
    assert "no packs there yet" in told(capsys, empty, 0)


@pytest.mark.parametrize("damage", ["a byte", "a file gone", "no manifest", "a stray"])
def test_nothing_is_restored_over_a_damaged_version(
    store: Store, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.restore("expert@v1")
    file = path / "index" / "length" / "c.0"
    if damage == "a byte":
        data = bytearray(file.read_bytes())
        data[0] ^= 1
        file.write_bytes(data)
    elif damage == "a file gone":
        file.unlink()
    elif damage == "a stray":
        (path / "stray").touch()
    else:
        (path / "manifest.json").unlink()
    before = {it: it.read_bytes() for it in path.rglob("*") if it.is_file()}
    with pytest.raises(CorruptionError, match=r"move (?:it|that folder) .*restore again"):
        store.restore("expert@v1")
    assert run(["restore", "expert@v1", "--store", str(store.root)]) == 1
    assert str(path) in capsys.readouterr().err
    assert {it: it.read_bytes() for it in path.rglob("*") if it.is_file()} == before
    path.rename(path.parents[2] / "aside")
    assert not verify(store.restore("expert@v1"), deep=True)


@pytest.mark.parametrize("keep", [0, -1, "3", 2.0, True, None, float("nan"), [1]])
def test_how_many_stay_is_a_whole_number(store: Store, keep: object) -> None:
    with pytest.raises(
        ArgumentError, match=r"retention: expected validated >= 1 .* got validated="
    ):
        store.rotate("expert", keep=keep)  # type: ignore[arg-type]
    assert store.versions("expert") == [2, 3]


def test_a_switch_is_true_or_false(store: Store) -> None:
    for act in (
        lambda: store.rotate("expert", keep=1, dry_run="no"),  # type: ignore[arg-type]
        lambda: store.restore("expert@v1", dry_run=0),  # type: ignore[arg-type]
    ):
        with pytest.raises(ArgumentError, match="dry_run: expected True or False"):
            act()
    with pytest.raises(ArgumentError, match="path: expected text"):
        store.publish(None, "expert")  # type: ignore[arg-type]
    assert store.versions("expert") == [2, 3]


def test_a_restored_version_is_live_already(store: Store, tmp_path: Path) -> None:
    both = shelf(tmp_path)
    assert restore(both, 1) == restore(both, 1) == both.path(1)
    assert not verify(both.path(1), deep=True)
