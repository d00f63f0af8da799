"""A place is what it is, however it is spelled, and what is named by mistake is told for it."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore.lives import CONTRACT
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import ArgumentError, NotFoundError, StatusError
from trajstore.lifecycle import judge, review
from trajstore.lifecycle.kinds import kind_of
from trajstore.quality.records import read_verdict
from trajstore.quality.reviews import read_reviews
from trajstore.store import Store
from trajstore.version.location import check_lasting, is_url, place
from trajstore.version.manifest import Status


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a store of two judged versions, of which the second is quarantined."""
    folder = tmp_path / "home" / "data"
    store = Store(folder / "store")
    for number in (1, 2):
        with store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder:
            for seed in range(4):
                recorder.add(factories.episode(10 * number + seed))
        judge(store.path(f"expert@v{number}"), CONTRACT)
    digest = store.open("expert@v2").manifest.content_digest
    review(store.reviews, digest, Status.QUARANTINED, reason="wrong scale")
    (tmp_path / "linked").symlink_to(folder)
    (tmp_path / "link to the store").symlink_to(folder / "store")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(folder / "store" / "expert")
    yield folder
    os.chdir("/")


SPELLINGS: dict[str, Callable[[Path], str | Path]] = {
    "absolute": lambda data: data / "store",
    "text": lambda data: f"{data}/store",
    "a slash at the end": lambda data: f"{data}/store/",
    "slashes": lambda data: f"//{data}//store///",
    "up": lambda _: "..",
    "up and down": lambda _: Path("../../store"),
    "dots": lambda data: f"{data}/./store/expert/../../store/.",
    "home": lambda _: "~/data/store",
    "a path of home": lambda _: Path("~/data/store"),
    "a linked parent": lambda data: data.parent.parent / "linked" / "store",
    "a link": lambda data: data.parent.parent / "link to the store",
    "a link and up": lambda data: f"{data.parent.parent}/link to the store/../store",
    "file URL": lambda data: f"file://{data}/store",
    "file URL of this machine": lambda data: f"FILE://localhost{data}/store",
    "a file URL made a path": lambda data: Path(f"file://{data}/store"),
    "quoted file URL": lambda data: f"file://{data.parent.parent}/link%20to%20the%20store",
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
def test_a_quarantine_is_seen_from_every_spelling(
    data: Path,
    spelled: Callable[[Path], str | Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store(spelled(data))
    assert (store.root, store.reviews) == (data / "store", data / "reviews.json")
    assert store.archive == data / "archive"
    monkeypatch.chdir(data)  # which changes no more what the store is
    assert store.status("expert@v2") is Status.QUARANTINED
    with pytest.raises(StatusError):
        store.open("expert@v2")
    monkeypatch.chdir(data / "store" / "expert")
    if not isinstance(spelled(data), Path):
        assert run(["validate", "expert@v2", "--store", str(spelled(data))]) == 1
        assert "by review quarantined" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("named", ["path", "file URL", "dot"])
def test_a_version_of_another_store_is_judged_by_its_own_reviews_too(
    data: Path, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = data / "store" / "expert" / "v2"
    monkeypatch.chdir(version)
    text = {"path": str(version), "file URL": f"file://{version}", "dot": "."}[named]
    other = Store(tmp_path / "other" / "store")
    assert other.status(text) is Status.QUARANTINED
    with pytest.raises(StatusError, match="is quarantined"):
        other.open(text)
    with pytest.raises(StatusError):
        other.publish(text, "expert")
    assert not other.datasets()
    monkeypatch.setenv("TRAJSTORE_REVIEWS", str(tmp_path / "mine.json"))
    with pytest.raises(StatusError):
        Store(tmp_path / "other" / "store").open(text)


@pytest.mark.parametrize(
    "version",
    ["v2", "./v2", "v2/", "../expert/v2", "v2/state/..", "~/data/store/expert/v2", "FILE", "LINK"],
)
def test_a_version_is_judged_alike_from_every_spelling(
    data: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data.parent / "elsewhere").symlink_to(data / "store" / "expert" / "v2")
    named = {"FILE": f"file://{data}/store/expert/v2", "LINK": str(data.parent / "elsewhere")}
    text = named.get(version, version if "/" in version else f"./{version}")
    assert Store("..").path(text) == data / "store" / "expert" / "v2"
    assert read_verdict(Dataset.open(text).path) is not None
    assert Store("..").status(text) is Status.QUARANTINED
    (data / "reviews.json").unlink()
    assert Store("..").status(text) is Status.VALIDATED
    monkeypatch.chdir(data / "store" / "expert" / "v2")
    assert Store("../..").status(".") is Status.VALIDATED


def test_archive_and_reviews_are_places_too(data: Path) -> None:
    store = Store("..", archive="~/packs", reviews=f"file://{data}/own.json")
    assert (store.archive, store.reviews) == (data.parent / "packs", data / "own.json")
    store = Store("..", archive=f"file://{data}/packs", reviews=data / "x" / ".." / "own.json")
    assert (store.archive, store.reviews) == (data / "packs", data / "own.json")
    store.rotate("expert", keep=1)
    assert Store("..", archive="s3://bucket/packs/").archive == "s3://bucket/packs/"
    (data / "link.json").symlink_to(data / "own.json")
    review(
        Store("..", reviews=data / "link.json").reviews, "ab" * 32, Status.VALIDATED, reason="seen"
    )
    assert (data / "link.json").is_symlink() and len(read_reviews(data / "own.json")) == 1


def test_a_store_made_in_python_reads_the_same_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_REVIEWS", "~/data/other.json")
    monkeypatch.setenv("TRAJSTORE_ARCHIVE", "../../packs")
    store = Store("..")
    assert (store.reviews, store.archive) == (data / "other.json", data / "packs")
    assert store.status("expert@v2") is Status.VALIDATED
    chosen = Store("..", archive="packs", reviews=data / "reviews.json")
    assert chosen.status("expert@v2") is Status.QUARANTINED
    assert chosen.archive == data / "store" / "expert" / "packs"
    monkeypatch.setenv("TRAJSTORE_REVIEWS", "")
    assert Store("..").reviews == data / "reviews.json"


@pytest.mark.parametrize("where", ["s3://bucket/store", "memory://x", "zip://a::file:///b"])
def test_a_store_and_its_reviews_lie_on_this_machine(tmp_path: Path, where: str) -> None:
    for arguments in ((where,), (tmp_path, None, where)):
        with pytest.raises(ArgumentError, match="expected a path of this machine"):
            Store(*arguments)


@pytest.mark.parametrize("where", ["~nobody-of-that-name/x", "file://other/x", "", 7, "loop/x"])
def test_a_path_that_means_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ArgumentError, match=r"expected|no user of that name|leads nowhere"):
        place(where)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "loop"]


def test_what_is_called_like_home_is_not_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place("./~/x") == tmp_path / "~" / "x"
    assert place("a~/x") == tmp_path / "a~" / "x"
    assert not is_url("file:///x") and is_url("zip://x::file:///y")


@pytest.mark.parametrize("where", ["memory://x", "simplecache::memory://x", "MEMORY:///"])
def test_no_command_moves_the_last_copy_into_memory(
    data: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ArgumentError, match="the memory of this process ends with it"):
        check_lasting(where)
    for line in (["rotate", "expert"], ["publish", "v1", "--name", "other"]):
        assert run([*line, "--archive", where, "--store", ".."]) == 2
        assert "the memory of this process ends with it" in capsys.readouterr().err
    assert Store("..").datasets() == ["expert"] and Store("..").versions("expert") == [1, 2]


KINDS = [
    ("", "the folder around the store"),
    ("store", "a store, of expert, gone; name a version of it"),
    ("store/expert", "a dataset; name a version of it: "),
    ("store/gone", "a dataset whose versions are all in the archive"),
    ("store/expert/v1/state", "a folder inside of the version"),
    ("store/expert/v1/index/length", "a folder inside of the version"),
    ("store/expert/v1/manifest.json", "its manifest; name the folder"),
    ("store/expert/.v3.recording", "an unfinished recording"),
    ("store/expert/v4", "an unfinished recording, no version yet; see 'trajstore recover'"),
    ("packs", "an archive; name a pack of it"),
    ("empty", "an empty folder"),
    ("other", "a folder that holds none"),
    ("nowhere", "nothing there"),
    ("reviews.json", "a file"),
]


@pytest.mark.parametrize(("where", "told"), KINDS)
def test_what_is_no_version_is_told_for_what_it_is(
    data: Path, where: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store("..", archive=data / "packs")
    store.rotate("expert", keep=1)
    store.restore("expert@v1") if 1 not in store.versions("expert") else None
    (data / "packs").mkdir(exist_ok=True)
    (data / "packs" / f"expert-v1-{'ab' * 6}.zip").touch()
    (data / "empty").mkdir()
    (data / "other/deep/run").mkdir(parents=True)
    (data / "other/deep/run/zarr.json").write_text("{}")
    (data / "store/gone").mkdir()
    (data / "store/gone/ledger.jsonl").touch()
    (data / "store/expert/.v3.recording").mkdir()
    (data / "store/expert/.v4.recording").mkdir()
    (data / "store/expert/.v4.recording/recording.json").touch()
    for command in ("inspect", "verify", "validate", "du"):
        assert run([command, f"{data}/{where}", "--store", ".."]) == 2
        line = capsys.readouterr().err
        assert told in line and len(line.splitlines()) == 1, line
        assert "dvc" not in line and "is missing beside the arrays" not in line
    assert told in kind_of(data / where)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (".", "the folder around the store"),
        ("store/expert", "a dataset; name a version"),
        ("store/expert/v1", "no store there: a version"),
        ("store/expert/v1/state", "a folder inside of"),
        ("nowhere", "none there"),
    ],
)
def test_what_is_no_store_is_told_for_what_it_is(
    data: Path, where: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("list", "du", "recover"):
        assert run([command, "--store", str(data / where)]) == 2
        assert told in capsys.readouterr().err
    (data / "new").mkdir()
    assert run(["list", "--store", str(data / "new")]) == 0


def test_a_version_that_lost_its_manifest_is_still_told_for_one(data: Path) -> None:
    (data / "store/expert/v1/manifest.json").unlink()
    assert Store("..").shelf("expert").bereft() == [1]
    shutil.rmtree(data / "store/expert/v1/state")
    assert Store("..").shelf("expert").bereft() == [1]


ORDERS = [
    ("--store A list", "A"), ("list --store A", "A"), ("--store B list --store A", "A"),
    ("list --store A --json", "A"), ("list expert --store A", "A"), ("list --store=A", "A"),
    ("list --store B --store A", "A"), ("--store A --store B list", "B"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "counts"), ORDERS)
@pytest.mark.parametrize("named", ["", "C"])
def test_the_store_is_named_before_or_behind_a_command(
    data: Path,
    line: str,
    counts: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(data)
    monkeypatch.setenv("TRAJSTORE", named)
    shutil.copytree("store", "A")
    shutil.copytree("store", "B")
    shutil.rmtree("B/expert/v2")
    shutil.rmtree("store")
    assert run(line.split()) == 0
    assert ("v2" in capsys.readouterr().out) is (counts == "A")


@pytest.mark.parametrize("option", ["--store", "--archive", "--reviews"])
def test_an_empty_place_is_wrong_use(
    data: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["--store", str(data / "store")]
    for line in (
        [option, "", "list", *usual],
        ["list", *usual, option, ""],
        ["list", f"{option}="],
    ):
        assert run(line) == 2, line
        told = capsys.readouterr()
        assert "the path is empty" in told.err
        assert not told.out


def test_archive_and_reviews_are_named_before_or_behind_a_command(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data)
    monkeypatch.setenv("TRAJSTORE_REVIEWS", "none.json")
    own = ["--reviews", "reviews.json", "--store", "store"]
    for line in (
        ["inspect", "expert@v2", "--json", *own],
        [*own, "inspect", "expert@v2", "--json"],
    ):
        assert run(line) == 0
        assert '"status": "quarantined"' in capsys.readouterr().out
    packs = ["--archive", "packs", "--store", "store"]
    assert run(["rotate", "expert", "--keep", "1", "--keep-quarantined", "0", *packs]) == 0
    assert len(list((data / "packs").iterdir())) == 1 and not (data / "archive").exists()
    assert run([*packs, "inspect", "archive:expert@latest"]) == 0
    assert run(["inspect", "archive:expert@latest", *packs]) == 0


def test_every_command_shows_where_the_places_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from trajstore.cli import COMMANDS

    for name in COMMANDS.keys() - {"completion"}:
        assert run([name, "--help"]) == 0
        told = capsys.readouterr().out
        assert all(f"--{option}" in told for option in ("store", "archive", "reviews")), name


def test_a_pack_is_opened_by_its_path(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store("..", archive=data / "packs")
    want = [it.digest for it in Dataset.open("v1")]
    store.rotate("expert", keep=1)
    with store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(99))
        recorder.add(factories.episode(98))
    judge(store.path("expert@v3"), CONTRACT)
    review(data / "reviews.json", store.shelf("expert").digest(3), Status.VALIDATED, reason="ok")
    store.rotate("expert", keep=1)
    (pack,) = (data / "packs").iterdir()
    where = os.path.relpath(pack)
    assert [it.digest for it in store.open(where, purpose="inspection")] == want
    opened = store.open(pack, purpose="inspection")
    assert [it.digest for it in copy.copy(opened)] == want
    assert store.status_of_dataset(opened) is Status.VALIDATED
    with pytest.raises(NotFoundError, match="a pack, which is for looking"):
        store.open(pack)
    lines = [
        *("inspect", "verify --deep", "validate", "du", "play --no-open --out x.html"),
        *("diff expert@v3", "export --to npz x.npz", "quarantine --reason no"),
        *("approve --reason yes", "restore"),
    ]
    for line in lines:
        name, *rest = line.split()
        command = [name, where, *rest]
        assert run([*command, "--store", "..", "--archive", str(data / "packs")]) == 0, line
        capsys.readouterr()
    assert 1 in store.versions("expert")
    other = data / "elsewhere" / "a.zip"
    other.parent.mkdir()
    shutil.copy(pack, other)
    assert run(["verify", str(other), "--deep", "--store", "/nowhere/store"]) == 0
    damaged = bytearray(other.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    other.write_bytes(damaged)
    assert run(["verify", str(other), "--deep", "--store", "/nowhere/store"]) == 1
