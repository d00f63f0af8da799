"""A version at a URL is read as it lies: only what is asked for comes, and a wrong object never."""

import copy
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import (
    CorruptionError,
    NameRefusedError,
    NotFoundError,
    StatusError,
    StorageError,
)
from trajstore.lifecycle import judge
from trajstore.quality.contract import Contract
from trajstore.store import Store
from trajstore.version import remote
from trajstore.version.files import FetchedFiles, open_files
from trajstore.version.integrity import verify
from trajstore.version.location import locate
from trajstore.version.manifest import Status

URL = "memory://bucket/data/expert/v1"
ROOT = "/bucket/data/expert"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("remote") / "v1"
    factories.dataset(path, count=8, schema=factories.WIDE_SCHEMA)
    return path


@pytest.fixture
def bucket(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The version at `URL`; the cache is ``cache`` in the test's folder."""
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    for path in local.rglob("*"):
        if path.is_file():
            memory.pipe(f"{ROOT}/v1/{path.relative_to(local)}", path.read_bytes())
    yield memory
    memory.rm("/bucket", recursive=True)


def fetched(cache: Path) -> dict[str, int]:
    return {it.name: it.stat().st_size for it in (cache / "objects").glob("??/*")}


def test_a_version_at_a_url_reads_as_the_one_in_a_folder(
    bucket: object, local: Path, tmp_path: Path
) -> None:
    here, there = Dataset.open(local), Dataset.open(URL)
    assert isinstance(there.files, FetchedFiles)
    assert there.where == URL
    assert [it.digest for it in there] == [it.digest for it in here]
    one = there.sample(64, rng=np.random.default_rng(1))
    for name, values in here.sample(64, rng=np.random.default_rng(1)).items():
        np.testing.assert_array_equal(one[name], values)
    again = copy.copy(there)
    assert again[3].digest == here[3].digest
    cached = Dataset.open(URL, cache=tmp_path / "decoded")
    np.testing.assert_array_equal(cached.column("camera/grid"), here.column("camera/grid"))


def test_only_the_files_that_are_asked_for_are_fetched_and_only_once(
    bucket: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(URL)
    assert fetched(tmp_path / "cache") == {}
    dataset.column("reward")
    files = dataset.manifest.files
    wanted = {record.sha256 for key, record in files.items() if key.startswith("step/reward/c")}
    assert fetched(tmp_path / "cache").keys() == wanted
    copied: list[str] = []
    fetch = remote.RemoteFolder.copy
    monkeypatch.setattr(
        remote.RemoteFolder,
        "copy",
        lambda self, key, *rest: (copied.append(key), fetch(self, key, *rest)),
    )
    Dataset.open(URL).column("reward")
    assert copied == []
    Dataset.open(URL).column("action")
    assert [key.split("/")[1] for key in copied] == ["action"]


def test_a_wrong_object_is_refused_and_not_kept(bucket: object, tmp_path: Path) -> None:
    key = "step/reward/c.0"
    whole = bucket.cat(f"{ROOT}/v1/{key}")
    for wrong in (whole[:-1], whole + b"\0", bytes([whole[0] ^ 1]) + whole[1:], b""):
        bucket.pipe(f"{ROOT}/v1/{key}", wrong)
        with pytest.raises(CorruptionError, match=r"reward/c.0: expected .* bytes with SHA-256"):
            Dataset.open(URL).column("reward")
    bucket.rm(f"{ROOT}/v1/{key}")
    with pytest.raises(CorruptionError, match="is missing, 456 bytes; push the version again"):
        Dataset.open(URL).column("reward")
    assert fetched(tmp_path / "cache") == {}
    assert not [it for it in (tmp_path / "cache").rglob(".*") if it.is_file()]


def test_a_file_that_was_changed_after_it_was_fetched_is_never_data(
    bucket: object, tmp_path: Path
) -> None:
    Dataset.open(URL).column("reward")
    (kept,) = (tmp_path / "cache" / "objects").glob("??/*")
    data = kept.read_bytes()
    kept.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(CorruptionError, match="crc32c"):
        Dataset.open(URL).column("reward")
    kept.write_bytes(b"")
    assert len(Dataset.open(URL).column("reward")) > 0


def test_the_cache_stays_below_its_bound_and_drops_what_was_used_longest_ago(
    bucket: object, tmp_path: Path, local: Path
) -> None:
    cache = tmp_path / "small"
    dataset = Dataset(open_files(URL, kept=cache, most_bytes=9_000))
    here = Dataset.open(local)
    for name in here.schema.names:
        np.testing.assert_array_equal(dataset.column(name), here.column(name))
        sizes = fetched(cache).values()
        assert sum(sizes) <= 9_000 or len(sizes) == 1
    assert fetched(cache)


def test_a_url_without_a_version_or_a_driver_is_refused_by_name(
    bucket: object, tmp_path: Path
) -> None:
    with pytest.raises(
        NotFoundError, match=r"no version there, it has no manifest.json; give the address"
    ):
        Dataset.open("memory://bucket/data/expert/v2")
    with pytest.raises(NameRefusedError, match=r"has a driver for, got 'nosuch'; use one such as"):
        Dataset.open("nosuch://bucket/v1")
    manifest = bucket.cat(f"{ROOT}/v1/manifest.json")
    bucket.pipe(f"{ROOT}/v1/manifest.json", manifest.replace(b'"steps"', b'"steqs"', 1))
    with pytest.raises(CorruptionError, match="expected a manifest"):
        Dataset.open(URL)


def test_a_url_that_cannot_be_reached_says_why_and_what_would_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", "nosuch://bucket/v1"]) == 2
    assert "expected a scheme that fsspec has a driver for" in capsys.readouterr().err
    assert run(["inspect", "http://127.0.0.1:1/x/v1"]) == 1
    assert "the service does not answer: Connection" in capsys.readouterr().err
    for url, wanted in (("gs://b/v1", "gcsfs"), ("s3://b/v1", '"trajstore[remote]"')):
        package = {"gs": "gcsfs", "s3": "s3fs"}[url[:2]]
        monkeypatch.setitem(sys.modules, package, None)
        assert run(["inspect", url]) == 1
        assert f"pip install {wanted}" in capsys.readouterr().err


class Down(fsspec.AbstractFileSystem):
    """A service whose driver fails with an error of its own."""

    protocol = "down"

    def open(self, *_: object, **__: object) -> object:
        raise LookupError("the endpoint does not answer")

    isdir = open


def test_a_service_that_does_not_answer_is_a_storage_error() -> None:
    fsspec.register_implementation("down", Down, clobber=True)
    with pytest.raises(StorageError, match="the service does not answer: LookupError"):
        Dataset.open("down://bucket/v1")
    for ask in (lambda it: it.names(), lambda it: it.reading("a.zip").__enter__()):
        with pytest.raises(StorageError, match="the service does not answer"):
            ask(locate("down://packs"))


def test_a_file_url_is_the_folder_that_it_names(local: Path) -> None:
    assert Dataset.open(local.as_uri()).path == local


def test_verify_of_a_url_names_what_verify_of_a_folder_names(
    bucket: object, local: Path, tmp_path: Path
) -> None:
    dataset = Dataset.open(URL)
    read: list[int] = []
    assert dataset.findings(deep=True, progress=read.append) == verify(local) == []
    assert sum(read) == dataset.manifest.size_bytes
    whole = bucket.cat(f"{ROOT}/v1/step/reward/c.0")
    bucket.pipe(f"{ROOT}/v1/step/reward/c.0", whole[:-1] + b"!")
    bucket.rm(f"{ROOT}/v1/state/zarr.json")
    bucket.pipe(f"{ROOT}/v1/stray/file", b"who put me here")
    found = dataset.findings()
    named = {(it.check, it.file) for it in found}
    assert ("files", "step/reward/c.0") in named
    assert ("files", "state/zarr.json") in named
    assert ("strays", "stray/file") in named
    assert not [it for it in found if "trajstore-" in it.message]
    assert any(it.message.startswith(f"{URL}/step/reward/c.0: expected") for it in found)


def test_verify_of_a_url_keeps_nothing_but_the_index(bucket: object, tmp_path: Path) -> None:
    dataset = Dataset.open(URL)
    assert dataset.findings() == []
    index = {it.sha256 for key, it in dataset.manifest.files.items() if key.startswith("index/")}
    assert fetched(tmp_path / "cache").keys() <= index


def test_another_manifest_than_the_one_that_was_opened_is_named(bucket: object) -> None:
    dataset = Dataset.open(URL)
    other = dataclasses.replace(dataset.manifest, provenance={"other": 1})
    bucket.pipe(f"{ROOT}/v1/manifest.json", other.to_bytes())
    [finding] = dataset.findings()
    assert (finding.check, finding.file) == ("manifest", "manifest.json")
    assert "the manifest changed since the version was opened" in finding.message


def test_every_changed_object_is_named_by_verify(bucket: object) -> None:
    dataset = Dataset.open(URL)
    rng = np.random.default_rng(2)
    for key, record in sorted(dataset.manifest.files.items()):
        whole = bucket.cat(f"{ROOT}/v1/{key}")
        place = int(rng.integers(record.size))
        changed = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        bucket.pipe(f"{ROOT}/v1/{key}", changed)
        assert key in {it.file for it in dataset.findings()}
        bucket.pipe(f"{ROOT}/v1/{key}", whole)
    assert dataset.findings() == []


def test_the_verdict_beside_the_url_counts(bucket: object, local: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.status_of_dataset(store.open(URL)) is Status.DRAFT
    judged = tmp_path / "copy" / "v1"
    factories.dataset(judged, count=8, schema=factories.WIDE_SCHEMA)
    judge(judged, Contract(minimum_episodes=1, required_scenarios=("nowhere/low",)))
    verdict = judged.with_name("v1.status.json")
    bucket.pipe(f"{ROOT}/v1.status.json", verdict.read_bytes())
    assert store.status_of_dataset(store.open(URL, purpose="inspection")) is Status.QUARANTINED
    with pytest.raises(StatusError, match="quarantined"):
        store.open(URL)
    bucket.rm(f"{ROOT}/v1.status.json")
    assert store.status_of_dataset(store.open(URL)) is Status.DRAFT


def test_the_commands_take_a_url_and_write_nothing_there(
    bucket: object, local: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: bucket.cat(path) for path in bucket.find("/bucket")}
    options = ["--store", str(tmp_path / "store")]

    def printed(*arguments: str, status: int = 0) -> str:
        found = run([*options, *arguments])
        out, err = capsys.readouterr()
        assert found == status, err
        return out

    facts = json.loads(printed("inspect", URL, "--json"))
    assert (facts["path"], facts["status"], facts["episodes"]) == (URL, "draft", 8)
    assert json.loads(printed("verify", URL, "--json")) == {
        "path": URL, "findings": [], "replay": None,
    }  # fmt: skip
    assert json.loads(printed("validate", URL, "--json", status=1))["status"] == "draft"
    assert json.loads(printed("diff", URL, str(local), "--json"))
    page = tmp_path / "page.html"
    printed("play", URL, "--no-open", "--out", str(page))
    assert page.stat().st_size > 0
    assert {path: bucket.cat(path) for path in bucket.find("/bucket")} == before
