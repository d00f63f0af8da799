"""A store finds the version that is meant, numbers are never used twice, hostile names stop."""

import logging
from pathlib import Path

import pytest

import trajstore
from tests import factories
from trajstore.disk.files import write_json
from trajstore.errors import (
    ArgumentError,
    NameRefusedError,
    NotFoundError,
    StatusError,
    StorageError,
)
from trajstore.quality.records import Verdict, write_verdict
from trajstore.store import Store
from trajstore.version.manifest import Manifest, Status

SCHEMA = factories.SCHEMA


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def record(store: Store, seed: int, *, extends: str | None = None) -> Path:
    with store.record("expert", schema=SCHEMA, provenance={}, extends=extends) as recorder:
        recorder.add(factories.episode(seed))
    return store.path("expert@latest")


def judge(path: Path, status: Status) -> None:
    write_verdict(path, Verdict(status, Manifest.read(path).content_digest))


def test_versions_are_numbered_and_found(store: Store) -> None:
    assert store.datasets() == [] and store.versions("expert") == []
    paths = [record(store, seed) for seed in range(3)]
    assert [path.name for path in paths] == ["v1", "v2", "v3"]
    assert store.datasets() == ["expert"]
    assert store.versions("expert") == [1, 2, 3]
    assert store.path("expert@v2") == store.path(paths[1]) == store.path(str(paths[1]))
    assert int(store.open("expert@v2")[0]["seed"]) == 1


def test_a_bare_name_means_the_newest_validated_version(store: Store) -> None:
    paths = [record(store, seed) for seed in range(3)]
    with pytest.raises(NotFoundError, match=r"no version is validated yet; .*expert@v3"):
        store.open("expert")
    judge(paths[0], Status.VALIDATED)
    judge(paths[1], Status.VALIDATED)
    assert store.path("expert") == paths[1]
    judge(paths[1], Status.QUARANTINED)
    assert store.path("expert") == paths[0]


def test_a_quarantined_version_opens_for_inspection_only(store: Store) -> None:
    path = record(store, 0)
    assert store.status("expert@v1") is Status.DRAFT
    judge(path, Status.QUARANTINED)
    with pytest.raises(StatusError, match="is quarantined"):
        store.open("expert@v1")
    assert len(store.open("expert@v1", purpose="inspection")) == 1


def test_a_purpose_that_is_none_opens_nothing(store: Store) -> None:
    judge(record(store, 0), Status.QUARANTINED)
    with pytest.raises(ValueError, match="expected 'training' or 'inspection', got 'inspecton'"):
        store.open("expert@v1", purpose="inspecton")  # type: ignore[arg-type]


def test_a_verdict_on_other_content_does_not_count(store: Store) -> None:
    path = record(store, 0)
    write_verdict(path, Verdict(Status.VALIDATED, "0" * 64))
    assert store.status("expert@v1") is Status.DRAFT


def test_a_number_is_not_used_again(store: Store) -> None:
    path = record(store, 0)
    write_json(path.with_name("v7.status.json"), {})
    assert record(store, 1).name == "v8"


def test_an_unfinished_recording_is_resumed(store: Store) -> None:
    with pytest.raises(RuntimeError), store.record("expert", schema=SCHEMA, provenance={}) as begun:
        begun.add(factories.episode(0))
        raise RuntimeError
    assert [found.name for found in store.unfinished("expert")] == ["v1"]
    with store.record("expert", schema=SCHEMA, provenance={}) as begun:
        assert begun.episodes == 1
        begun.add(factories.episode(1))
    assert len(store.open("expert@v1")) == 2


def test_a_recording_whose_number_was_taken_goes_on_under_the_next(store: Store) -> None:
    with pytest.raises(RuntimeError), store.record("expert", schema=SCHEMA, provenance={}) as begun:
        begun.add(factories.episode(0))
        raise RuntimeError
    factories.dataset(store.folder("expert") / "v1", seed=9)
    with store.record("expert", schema=SCHEMA, provenance={}) as begun:
        assert begun.episodes == 1
    assert store.versions("expert") == [1, 2]
    assert store.unfinished("expert") == []


def test_a_version_extends_another_by_reference(store: Store) -> None:
    first = Manifest.read(record(store, 0))
    second = Manifest.read(record(store, 1, extends="expert@v1"))
    assert second.episodes == 2
    assert first.files.items() <= second.files.items()


@pytest.mark.parametrize("name", ["../x", "/x", "", "Expert", "\u0435xpert", "a/b", ".", "a\0"])
def test_a_hostile_name_changes_nothing(store: Store, name: str) -> None:
    with pytest.raises(NameRefusedError):
        store.record(name, schema=SCHEMA, provenance={})
    with pytest.raises(NameRefusedError):
        store.versions(name)
    assert not store.root.exists()


@pytest.mark.parametrize("reference", ["expert", "expert@v9", "expert@latest", "./nowhere", "../x"])
def test_what_is_not_there_is_named(store: Store, reference: str) -> None:
    with pytest.raises(NotFoundError, match=r"no version (of it|at)"):
        store.open(reference)


def test_foreign_folders_are_passed_over(store: Store) -> None:
    record(store, 0)
    for name in ("Not A Dataset", ".hidden", "empty"):
        (store.root / name).mkdir()
    (store.folder("expert") / "v5").mkdir()
    assert store.datasets() == ["expert"]
    assert store.versions("expert") == [1]


def test_the_package_gives_its_names_and_is_quiet(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in trajstore.__all__:
            assert getattr(trajstore, name).__name__ == name
    assert dir(trajstore) == sorted(trajstore.__all__)
    assert not caplog.records
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = trajstore.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "reference", ["archive:expert@v1", "archive:expert", "archive:expert@latest"]
)
def test_a_live_version_is_not_taken_for_an_archived_one(store: Store, reference: str) -> None:
    judge(record(store, 0), Status.VALIDATED)
    with pytest.raises(NotFoundError, match="is in the archive; first run"):
        store.open(reference)


def test_reviews_lie_beside_the_store_unless_told(store: Store, tmp_path: Path) -> None:
    assert store.reviews == tmp_path / "reviews.json"
    assert Store(store.root, reviews=tmp_path / "own.json").reviews == tmp_path / "own.json"
    assert store.shelf("expert").reviews == tmp_path / "reviews.json"


@pytest.mark.parametrize(
    "name", [".hidden", "Odd name", "v1", "-", "\u00e9t\u00e9", "v1.status.json"]
)
def test_a_stray_folder_does_not_hide_the_datasets(store: Store, name: str) -> None:
    record(store, 0)
    (store.root / name / "v1").mkdir(parents=True)
    assert set(store.datasets()) <= {"expert", "v1"}
    assert "expert" in store.datasets()


@pytest.mark.parametrize("place", [None, 3, b"x", "", "a\0b", ["store"]], ids=repr)
def test_what_is_no_path_is_refused(tmp_path: Path, place: object) -> None:
    with pytest.raises(ArgumentError, match="store: root: expected a path as text"):
        Store(place)  # type: ignore[arg-type]
    if place is not None:
        with pytest.raises(ArgumentError, match="store: archive: expected a path as text"):
            Store(tmp_path, archive=place)  # type: ignore[arg-type]


def test_a_file_in_place_of_the_store_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rec.py"
    file.write_text("")
    with pytest.raises(StorageError, match=r"at .*rec\.py; move what is in the way, or choose"):
        Store(file).record("kk", schema=SCHEMA, provenance={}).__enter__()
    assert file.read_text() == ""
