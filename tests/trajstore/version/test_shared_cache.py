"""Several processes that read one URL, or one old pack, with one cache: none is in the way."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trajstore.lives import source
from trajstore.dataset import Dataset
from trajstore.lifecycle.archived import open_packed
from trajstore.quality.records import read_verdict
from trajstore.version import files
from trajstore.version.files import cache_folder, disposable, open_files

pytest.importorskip("fsspec")
FORK = multiprocessing.get_context("fork")
PACK_V1 = Path(__file__).parents[2] / "fixtures" / "pack_v1.zip"


def together(act: Callable[[], object], times: int, workers: int = 4) -> list[str]:
    told = FORK.Queue()

    def work() -> None:
        errors = []
        for _ in range(times):
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - told to the parent
                errors.append(f"{type(error).__name__}: {error}")
        told.put(errors)

    processes = [FORK.Process(target=work) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [error for _ in processes for error in told.get(timeout=120)]
    for process in processes:
        process.join()
    return found


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    return f"local://{source(tmp_path, 1)}"


def test_processes_that_open_one_url_see_it_whole(url: str) -> None:
    def act() -> None:
        dataset = Dataset.open(url)
        assert read_verdict(dataset.path) is not None
        assert len(dataset[0]) > 0

    assert together(act, 40) == []
    assert not list(cache_folder().rglob(".*"))


def test_what_another_process_uses_now_is_not_removed(url: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    others = open_files(url, kept=kept)
    used = [others.file(path) for path in others.manifest.files]
    small = open_files(url, kept=kept, most_bytes=1)
    for path in small.manifest.files:
        small.file(path)
    assert all(path.exists() for path in used)
    old = time.time_ns() - 2 * files.FRESH_NS
    for path in used:
        os.utime(path, ns=(old, old))
    small = open_files(url, kept=kept, most_bytes=1)
    small._make_room(used[0])
    assert [path.exists() for path in used] == [True] + [False] * (len(used) - 1)


def test_a_cached_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with disposable(tmp_path / "a" / "b") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o664
    assert [it.name for it in (tmp_path / "a").iterdir()] == ["b"]


def test_processes_that_open_one_old_pack_unpack_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))

    def act() -> None:
        assert len(list(open_packed(str(PACK_V1), lambda _: None))) > 0

    assert together(act, 5) == []
    (unpacked,) = (cache_folder() / "unpacked").iterdir()
    (unpacked / "manifest.json").unlink()  # as a cleaner of old files may do
    assert together(act, 3) == []
