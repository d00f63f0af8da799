"""An archived version is looked at in its pack: the same values, and a wrong pack is refused."""

import copy
import json
from pathlib import Path

import fsspec
import numpy as np
import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import ArchiveError, NotFoundError
from trajstore.lifecycle import judge, review
from trajstore.quality.contract import Contract
from trajstore.quality.drift import diff
from trajstore.store import Store
from trajstore.version.files import FetchedFiles
from trajstore.version.manifest import Manifest, Status

CONTRACT = Contract(minimum_episodes=3)
COUNT = 6


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for what is fetched out of packs."""
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def filled(folder: Path, archive: str | None = None) -> Store:
    """A store of ``expert@v3``, with ``v1`` and ``v2`` in the archive; ``in`` has all three."""
    store = Store(folder / "store", archive=archive)
    for number in (1, 2, 3):
        source = folder / "in" / str(number) / "expert"
        factories.dataset(source, count=COUNT, seed=50 * number, schema=factories.WIDE_SCHEMA)
        judge(source, CONTRACT)
        store.publish(source, "expert")
    store.rotate("expert", keep=1)
    return store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archived")
    filled(folder)
    return folder


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, folder: Path) -> Store:
    """The store, with its archive in a folder or at a URL."""
    if request.param == "folder":
        return Store(folder / "store")
    url = f"memory://{folder.name}"
    memory = fsspec.filesystem("memory")
    for path in sorted((folder / "archive").iterdir()):
        memory.pipe(f"/{folder.name}/{path.name}", path.read_bytes())
    return Store(folder / "store", archive=url)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(it): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()}


def test_episodes_columns_and_batches_are_those_of_the_live_version(
    store: Store, folder: Path
) -> None:
    live = Dataset.open(folder / "in" / "1" / "expert")
    before = tree(folder)
    seen = store.open("archive:expert@v1", purpose="inspection")
    assert isinstance(seen.files, FetchedFiles)
    assert [it.digest for it in seen] == live.episodes["digest"].tolist()
    for name in live.schema.names:
        np.testing.assert_array_equal(seen.column(name), live.column(name))
    for name, values in live.episodes.items():
        np.testing.assert_array_equal(seen.episodes[name], values)
    one = seen.sample(64, rng=np.random.default_rng(3))
    other = live.sample(64, rng=np.random.default_rng(3))
    assert one.keys() == other.keys()
    for name, values in other.items():
        np.testing.assert_array_equal(one[name], values)
    assert tree(folder) == before


def test_a_closed_archived_version_lets_go_of_its_pack_and_a_copy_opens_it_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Store(folder / "store").open("archive:expert@v1", purpose="inspection")
    again = copy.copy(seen)
    assert again[0].digest == seen[0].digest
    assert repr(again) == repr(seen)
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "other"))
    unread = copy.copy(seen)
    unread.close()
    with pytest.raises(ArchiveError, match="closed"):
        unread.column("camera/grid")
    assert seen[COUNT - 1].digest


def test_a_bare_name_means_the_newest_archived_version_that_is_validated(folder: Path) -> None:
    store = Store(folder / "store", reviews=folder / "own.json")
    assert store.open("archive:expert", purpose="inspection").where == "archive:expert@v2"
    digest = store.shelf("expert").digest(2)
    review(store.reviews, digest, Status.QUARANTINED, reason="seen to be wrong")
    assert store.open("archive:expert", purpose="inspection").where == "archive:expert@v1"
    latest = store.open("archive:expert@latest", purpose="inspection")
    assert latest.where == "archive:expert@v2"
    assert store.status_of_dataset(latest) is Status.QUARANTINED


@pytest.mark.parametrize("reference", ["archive:expert@v3", "archive:expert@v9", "archive:nobody"])
def test_a_version_that_was_never_archived_is_not_found(folder: Path, reference: str) -> None:
    with pytest.raises(NotFoundError, match="there is no such"):
        Store(folder / "store").open(reference, purpose="inspection")


def test_training_from_the_archive_is_refused(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="is in the archive; first run"):
        Store(folder / "store").open("archive:expert@v1")


def test_a_sound_pack_has_no_findings_and_is_like_the_version_it_was(
    store: Store, folder: Path
) -> None:
    read: list[int] = []
    seen = store.open("archive:expert@v1", purpose="inspection")
    assert seen.findings(deep=True, progress=read.append) == []
    assert sum(read) == seen.manifest.size_bytes
    found = diff(Dataset.open(folder / "in" / "1" / "expert"), seen)
    assert found.same_content
    assert found.kept == COUNT


def test_a_changed_byte_of_a_pack_is_named_and_never_read_as_data(tmp_path: Path) -> None:
    store = filled(tmp_path)
    entry = store.shelf("expert").packed()[1]
    pack = tmp_path / "archive" / entry.archive
    whole = pack.read_bytes()
    rng = np.random.default_rng(5)
    digests = [it.digest for it in store.open("archive:expert@v1", purpose="inspection")]
    for place in rng.integers(len(whole), size=60).tolist():
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 8)
        pack.write_bytes(changed)
        try:
            seen = store.open("archive:expert@v1", purpose="inspection")
            assert seen.findings(), place
            assert [it.digest for it in seen] == digests
        except ArchiveError:
            continue
    pack.write_bytes(whole[:-1])
    with pytest.raises(ArchiveError):
        store.open("archive:expert@v1", purpose="inspection")
    pack.write_bytes(
        (tmp_path / "archive" / store.shelf("expert").packed()[2].archive).read_bytes()
    )
    with pytest.raises(ArchiveError, match="that the ledger names"):
        store.open("archive:expert@v1", purpose="inspection")
    pack.unlink()
    with pytest.raises(NotFoundError, match="there is no such pack"):
        store.open("archive:expert@v1", purpose="inspection")


def test_the_commands_look_into_the_archive_and_leave_all_as_it_is(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("TRAJSTORE_ARCHIVE", str(store.archive))
    monkeypatch.setenv("TRAJSTORE", str(folder / "store"))
    (tmp_path / "contract.json").write_text('{"minimum_episodes": 3}')
    before = tree(folder)
    page = tmp_path / "page.html"

    def printed(*arguments: str) -> str:
        status = run(arguments)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    facts = json.loads(printed("inspect", "archive:expert@v1", "--json"))
    assert (facts["status"], facts["path"]) == ("validated", "archive:expert@v1")
    assert facts["verdict"]["status"] == "validated"
    assert facts["content_digest"] == Manifest.read(folder / "in/1/expert").content_digest
    assert "archive:expert@v1" in printed("inspect", "archive:expert@v1")
    assert json.loads(printed("verify", "archive:expert@v1", "--deep", "--json"))["findings"] == []
    verdict = json.loads(printed("validate", "archive:expert@v1", "--json"))
    assert verdict["effective_status"] == "validated"
    assert json.loads(printed("diff", "archive:expert@v1", "expert@v3", "--json"))
    printed("play", "archive:expert@v1", "--no-open", "--out", str(page))
    assert "expert" in page.read_text()
    assert tree(folder) == before


def test_a_replay_of_an_archived_version_asks_what_builds_its_environment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--store", str(folder / "store"), "verify", "archive:expert@v1", "--replay", "1"]
    assert run(command) == 2
    assert "say what builds it: --environment" in capsys.readouterr().err
