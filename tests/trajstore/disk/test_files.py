"""A folder or file is there whole or not at all; a lock ends with its holder and names it."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trajstore.disk import files
from trajstore.disk import system as disk
from trajstore.disk.locks import lock
from trajstore.errors import (
    CorruptionError,
    LockedError,
    NotFoundError,
    SealedError,
    StorageError,
)

HOLD = """
import sys, time
from pathlib import Path
from trajstore.disk.locks import lock
with lock(Path(sys.argv[1]), purpose="recording v7"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "v1"
    with files.whole_directory(target) as folder:
        (folder / "a").write_bytes(b"1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in target.parent.iterdir()] == ["v1"]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.whole_directory(tmp_path / "v1") as folder:
        (folder / "deep").mkdir()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_litter_of_a_killed_writer_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".v1.sealing" / "old").mkdir(parents=True)
    with files.whole_directory(tmp_path / "v1") as folder:
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_never_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "v1"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SealedError, match="is sealed already"), files.whole_directory(target):
        pytest.fail("the block must not run")


def test_a_refusal_of_the_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk.OPS, "write", full)
    with pytest.raises(StorageError, match=r"x.json: .* \(ENOSPC\); free some space"):
        files.write_json(tmp_path / "x.json", 1)
    assert list(tmp_path.iterdir()) == []


def test_json_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, {"b": 1})
    files.write_json(path, {"b": [1.5, "\u00e9", None]})
    assert files.read_json(path) == {"b": [1.5, "\u00e9", None]}
    assert [found.name for found in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}, b"x", {1j}])
def test_what_is_no_json_is_not_written(tmp_path: Path, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        files.write_json(tmp_path / "x.json", value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data", [b"", b"{", b"NaN", b"[1, Infinity]", b"\xff", b"[" * 100_000, b"\xef\xbb\xbf1"]
)
def test_broken_json_is_corruption(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(CorruptionError, match=r"x.json: expected JSON"):
        files.read_json(tmp_path / "x.json")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no such file"):
        files.read_json(tmp_path / "x.json")


def test_a_tree_is_removed_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("1")
    (tmp_path / "gone" / "deep").mkdir(parents=True)
    (tmp_path / "gone" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "gone" / "folder").symlink_to(tmp_path)
    files.remove_tree(tmp_path / "gone")
    files.remove_tree(tmp_path / "gone")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_sizes_and_digests_are_those_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    record = files.write_file(tmp_path / "a" / "x", b"abc")
    assert record.size == files.size_bytes(tmp_path) == 3
    assert record.sha256 == files.digest(tmp_path / "a" / "x")
    assert files.copy_file(tmp_path / "a" / "x", tmp_path / "y") == record
    assert files.size_bytes(tmp_path / "absent") == 0


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        files.write_file(tmp_path / "x", b"abc")
    assert not (tmp_path / "elsewhere").exists()


def test_the_holder_of_a_lock_is_named_and_a_kill_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = f"in use by recording v7 by process {holder.pid} on"
        with pytest.raises(LockedError, match=message), lock(path, purpose="mine"):
            pytest.fail("the block must not run")
        holder.kill()
    with lock(path, purpose="mine"):
        assert json.loads(path.read_text())["purpose"] == "mine"
    assert not path.exists()


def test_shared_holders_keep_an_exclusive_one_out(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with (
        lock(path, purpose="one", shared=True),
        lock(path, purpose="two", shared=True),
        pytest.raises(LockedError),
        lock(path, purpose="three"),
    ):
        pytest.fail("the block must not run")
