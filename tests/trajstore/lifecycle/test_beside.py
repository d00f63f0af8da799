"""Who works on one dataset, or on a store that is not there yet, at the same time: none loses."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore.lives import CONTRACT, shelf, source
from trajstore.disk.files import clear_sealing, make_directories, whole_directory
from trajstore.errors import LockedError
from trajstore.lifecycle import Shelf, judge, publish
from trajstore.lifecycle.moving import finish
from trajstore.recording.bulk import write_dataset
from trajstore.store import Store
from trajstore.version.integrity import verify

FORK = multiprocessing.get_context("fork")
TRIALS = 12


def side_by_side(*acts: Callable[[], object]) -> list[str]:
    """Let each act run in a process of its own, all at one instant; returns their errors."""
    gate, told = FORK.Barrier(len(acts)), FORK.Queue()

    def begin(act: Callable[[], object]) -> None:
        gate.wait()
        try:
            act()
            told.put("")
        except BaseException as error:  # noqa: BLE001 - told to the parent
            told.put(f"{type(error).__name__}: {error}")

    processes = [FORK.Process(target=begin, args=(act,)) for act in acts]
    for process in processes:
        process.start()
    errors = [told.get(timeout=60) for _ in acts]
    for process in processes:
        process.join()
    return [error for error in errors if error]


def recording(root: Path, name: str, seed: int) -> Callable[[], None]:
    def act() -> None:
        with Store(root).record(name, schema=factories.SCHEMA, provenance={}) as recorder:
            recorder.add(factories.episode(seed))

    return act


def test_a_store_that_is_not_there_yet_takes_several_at_once(tmp_path: Path) -> None:
    for trial in range(TRIALS):
        root = tmp_path / str(trial) / "new" / "store"
        names = ["a", "b", "c", "d"]
        assert not side_by_side(*(recording(root, it, trial) for it in names))
        assert Store(root).datasets() == names


def test_publishing_beside_a_recorder_gives_each_a_number(tmp_path: Path) -> None:
    ready = source(tmp_path, 7)
    for trial in range(TRIALS):
        root = tmp_path / str(trial) / "store"
        acts = [lambda root=root: Store(root).publish(ready, "expert")]
        assert not side_by_side(*acts, recording(root, "expert", trial))
        both = Store(root).shelf("expert")
        assert both.live() == [1, 2]
        assert not any(verify(both.path(number), deep=True) for number in (1, 2))
        assert not [it.name for it in both.folder.iterdir() if it.name.startswith(".")]


def test_recording_publishing_restoring_and_extending_go_on_beside_each_other(
    tmp_path: Path,
) -> None:
    root = tmp_path / "store"
    store = Store(root)
    for seed in (1, 2, 3):
        store.publish(source(tmp_path, 100 * seed), "expert")
    store.rotate("expert", keep=2)
    ready = source(tmp_path, 900)

    def extend() -> None:
        with Store(root).record(
            "expert", schema=factories.SCHEMA, provenance={}, extends="expert@v3"
        ) as recorder:
            recorder.add(factories.episode(5))

    def write() -> None:
        factories.dataset(root / "other" / "v1", seed=40)

    acts = [lambda: Store(root).publish(ready, "expert"), extend, write]
    assert not side_by_side(*acts)
    assert not side_by_side(lambda: Store(root).restore("expert@v1"), extend, write_more(root))
    for name in ("expert", "other"):
        both = store.shelf(name)
        assert not any(verify(both.path(number), deep=True) for number in both.live())
    assert {1, 3, 4, 5, 6} <= {*store.versions("expert"), *store.shelf("expert").packed()}


def write_more(root: Path) -> Callable[[], object]:
    return lambda: factories.dataset(root / "other" / "v2", seed=80)


def test_publishing_passes_over_a_number_that_is_written_at_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = shelf(tmp_path)
    ready = source(tmp_path, 7)
    asked = iter([1, 1])
    monkeypatch.setattr(Shelf, "next_version", lambda _: next(asked, 2))
    with whole_directory(both.path(1)) as folder:
        (folder / "mine").touch()
        used = Shelf.used
        monkeypatch.setattr(Shelf, "used", lambda it: used(it) - {1})
        assert publish(both, ready).version == 2
    assert (both.path(1) / "mine").exists()


def test_a_number_is_taken_before_anything_is_written(tmp_path: Path) -> None:
    both = shelf(tmp_path)
    with both.claimed() as one, both.claimed() as other:
        assert (one, other) == (1, 2)
    assert both.next_version() == 1
    assert list(both.folder.iterdir()) == []
    recorder = Store(tmp_path / "store").record("expert", schema=factories.SCHEMA, provenance={})
    assert publish(both, source(tmp_path, 1)).version == 2
    with recorder:
        recorder.add(factories.episode(1))
    assert both.live() == [1, 2]


def test_a_folder_that_is_being_sealed_belongs_to_one(tmp_path: Path) -> None:
    target = tmp_path / "store" / "expert" / "v1"
    with whole_directory(target) as folder:
        (folder / "mine").touch()
        with pytest.raises(LockedError, match="sealing v1 by process"), whole_directory(target):
            pytest.fail("two had it")
        clear_sealing(target)
        finish(Shelf(target.parent, tmp_path / "archive", tmp_path / "reviews.json"))
        assert (folder / "mine").exists()
    assert [it.name for it in target.parent.iterdir()] == ["v1"]


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    both = shelf(tmp_path)
    process = os.fork()
    if not process:
        with both.claimed() as number, whole_directory(both.path(number)):
            os._exit(9)
    os.waitpid(process, 0)
    assert {it.name for it in both.folder.iterdir()} == {
        *(".v1.number.lock", ".v1.sealing", ".v1.sealing.lock")
    }
    assert publish(both, source(tmp_path, 1)).version == 1
    assert {it.name for it in both.folder.iterdir()} == {"v1", "v1.status.json", "ledger.jsonl"}


def test_a_version_that_a_recording_extends_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for seed in (1, 2):
        store.publish(source(tmp_path, 100 * seed), "expert")
    recorder = store.record("expert", schema=factories.SCHEMA, provenance={}, extends="expert@v1")
    with recorder:
        recorder.add(factories.episode(5))
        reasons = {it.version: it.reason for it in store.rotate("expert", keep=1)}
        assert reasons[1] == "in use"
    judge(store.path("expert@v3"), CONTRACT)
    store.rotate("expert", keep=1)
    assert store.versions("expert") == [3]


def test_folders_are_made_by_several_threads_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def make() -> None:
        try:
            make_directories(tmp_path / "a" / "b" / "c" / "d")
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    for _ in range(20):
        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in ("a/b/c/d", "a/b/c", "a/b", "a"):
            (tmp_path / name).rmdir()
    assert not errors
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match="exists"):
        make_directories(tmp_path / "a" / "b")
    with pytest.raises(OSError, match="exists"):
        make_directories(tmp_path / "a")


def test_bulk_writing_beside_a_publication_keeps_what_it_writes(tmp_path: Path) -> None:
    both = shelf(tmp_path)
    ready = source(tmp_path, 1)
    episodes = factories.episodes(5)

    def slowly() -> object:
        yield from episodes[:3]
        publish(both, ready)
        yield from episodes[3:]

    write_dataset(both.path(7), slowly(), schema=factories.SCHEMA, provenance={})  # type: ignore[arg-type]
    assert len(both.live()) == 2
    assert not any(verify(both.path(number), deep=True) for number in both.live())
