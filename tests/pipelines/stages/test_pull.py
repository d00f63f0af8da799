"""What a remote gives is put in place only if it is what was pushed, and only where it belongs."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.learning.runlog import read_run
from pipelines.running.listings import PullError, is_plain, parse_listing, pull
from pipelines.stages import pull as stage
from pipelines.stages.repro import environment
from tests import factories
from tests.pipelines import runs, tiny

pytestmark = pytest.mark.slow

FILES = {"data/runs/a/seed_1/x": "1", "data/runs/a/seed_2/x": "2", "data/runs/b/y": "3"}
PIPELINE = """
stages:
  a: {cmd: "true", outs: [data/runs/a]}
  b: {cmd: "true", outs: [data/runs/b, data/z.txt]}
"""
OTHERS = {"pipelines/stats.py": "code", ".git/hooks/post-commit": "hook"}


def dvc(folder: Path, *words: str) -> None:
    command = (sys.executable, "-m", "dvc", *words)
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose outputs lie in a remote beside it, and nowhere else."""
    root = tmp_path_factory.mktemp("pushed")
    clone = root / "clone"
    write(clone, {**FILES, "data/z.txt": "4", "dvc.yaml": PIPELINE, **OTHERS})
    dvc(clone, "init", "--no-scm", "-q")
    dvc(clone, "remote", "add", "-q", "-d", "storage", "../remote")
    dvc(clone, "commit", "-f", "-q")
    dvc(clone, "push", "-q")
    shutil.rmtree(clone / "data")
    shutil.rmtree(clone / ".dvc/cache")
    return root


@pytest.fixture
def root(pushed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pushed, tmp_path / "root"))


def listings(root: Path) -> list[Path]:
    """Of the outputs a and b."""
    lock = (root / "clone/dvc.lock").read_text()
    found = sorted((root / "remote/files/md5").rglob("*.dir"))
    return sorted(found, key=lambda path: lock.index(path.parent.name + path.name))


def object_of(root: Path, content: str) -> Path:
    oid = hashlib.md5(content.encode()).hexdigest()
    return root / "remote/files/md5" / oid[:2] / oid[2:]


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def state(root: Path) -> dict[str, bytes]:
    """Everything but the remote and what is DVC's own."""
    return {
        name: data
        for name, data in tiny.contents(root).items()
        if not name.startswith(("remote/", "clone/.dvc/"))
    }


def test_what_was_pushed_is_brought_back_twice_and_from_a_named_remote(root: Path) -> None:
    outputs = pull(root / "clone", remote="storage")
    assert {path: (root / "clone" / path).read_text() for path in FILES} == FILES
    assert (root / "clone/data/z.txt").read_text() == "4"
    assert sum(len(output.files) for output in outputs) == 4
    pull(root / "clone")
    (root / "clone/data/runs/b/y").unlink()
    shutil.rmtree(root / "remote")
    pull(root / "clone/data/runs")
    assert (root / "clone/data/runs/b/y").read_text() == "3"


ONE = hashlib.md5(b"1").hexdigest()
ENTRIES: dict[str, Any] = {
    "up": [{"md5": ONE, "relpath": "../../../pipelines/stats.py"}],
    "up from within": [{"md5": ONE, "relpath": "seed_1/../../../../pipelines/stats.py"}],
    "up to a hook": [{"md5": ONE, "relpath": "../../../.git/hooks/post-commit"}],
    "up and out of the repository": [{"md5": ONE, "relpath": "../../../../outside"}],
    "absolute": [{"md5": ONE, "relpath": "/tmp/outside"}],
    "nothing": [{"md5": ONE, "relpath": ""}],
    "here": [{"md5": ONE, "relpath": "."}],
    "an empty part": [{"md5": ONE, "relpath": "seed_1//x"}],
    "three dots": [{"md5": ONE, "relpath": "seed_1/.../x"}],
    "a repository inside": [{"md5": ONE, "relpath": "seed_1/.git/config"}],
    "a repository, in capitals": [{"md5": ONE, "relpath": ".GIT/hooks/post-commit"}],
    "what git heeds": [{"md5": ONE, "relpath": ".gitattributes"}],
    "a backslash": [{"md5": ONE, "relpath": "..\\..\\x"}],
    "a line end": [{"md5": ONE, "relpath": "x\ny"}],
    "an invisible letter": [{"md5": ONE, "relpath": ".g\u200cit/config"}],
    "half a letter": [{"md5": ONE, "relpath": "\ud800"}],
    "a long path": [{"md5": ONE, "relpath": "x/" * 200_000 + "x"}],
    "a long name": [{"md5": ONE, "relpath": "x" * 256}],
    "no text": [{"md5": ONE, "relpath": ["x"]}],
    "twice": [{"md5": ONE, "relpath": "x"}] * 2,
    "a file and a folder": [{"md5": ONE, "relpath": "x"}, {"md5": ONE, "relpath": "x/y"}],
    "a digest that leads out": [{"md5": "../../../../remote/files/md5/x", "relpath": "x"}],
    "a listing in a listing": [{"md5": ONE + ".dir", "relpath": "x"}],
    "a remote of its own": [{"md5": ONE, "relpath": "x", "remote": "other"}],
    "no digest": [{"relpath": "x"}],
    "no list": {"md5": ONE, "relpath": "x"},
    "no entry": [ONE],
}
RAW = {
    "no JSON": b"[{",
    "a key twice": b'[{"md5": "%s", "relpath": "x", "relpath": "../y"}]' % ONE.encode(),
    "no text at all": b"\xff\xfe",
}
HOSTILE = {**{name: json.dumps(it).encode() for name, it in ENTRIES.items()}, **RAW}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_listing_is_refused_by_itself(name: str) -> None:
    with pytest.raises(PullError, match="here: expected "):
        parse_listing(HOSTILE[name], where="here")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_listing_puts_nothing_in_place_even_if_the_lock_names_it(
    root: Path, name: str
) -> None:
    """With the lock changed too the listing is what its name says: its paths are what is wrong."""
    before, data = state(root), HOSTILE[name]
    listing = listings(root)[0]
    honest, hostile = listing.parent.name + listing.stem, hashlib.md5(data).hexdigest()
    put(listing, data)
    with pytest.raises(PullError, match=r"data/runs/a: expected the listing .* got one with MD5"):
        pull(root / "clone")
    assert state(root) == before
    put(root / "remote/files/md5" / hostile[:2] / f"{hostile[2:]}.dir", data)
    lock = root / "clone/dvc.lock"
    lock.write_text(lock.read_text().replace(honest, hostile))
    before = state(root)
    with pytest.raises(PullError, match=r"data/runs/a: expected "):
        pull(root / "clone")
    assert state(root) == before


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    put(one, second)
    put(other, first)


CHANGES: dict[str, Callable[[Path], None]] = {
    "two listings swapped": lambda root: swap(*listings(root)),
    "two files swapped": lambda root: swap(object_of(root, "1"), object_of(root, "2")),
    "a file changed": lambda root: put(object_of(root, "1"), b"9"),
    "a file emptied": lambda root: put(object_of(root, "4"), b""),
    "a file gone": lambda root: object_of(root, "1").unlink(),
    "a listing gone": lambda root: listings(root)[0].unlink(),
    "a listing cut": lambda root: put(listings(root)[1], listings(root)[1].read_bytes()[:-9]),
    "the remote gone": lambda root: shutil.rmtree(root / "remote"),
}


@pytest.mark.parametrize("verify", ["true", "false"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_remote_that_was_changed_puts_nothing_in_place(
    root: Path, name: str, verify: str
) -> None:
    dvc(root / "clone", "config", "remote.storage.verify", verify)
    CHANGES[name](root)
    before = state(root)
    with pytest.raises(PullError):
        pull(root / "clone")
    assert state(root) == before


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["file", "listing", "cached file"])
def test_what_is_no_file_is_refused_and_never_waited_for(root: Path, kind: str, place: str) -> None:
    path = listings(root)[0] if place == "listing" else object_of(root, "1")
    if place == "cached file":
        pull(root / "clone")
        shutil.rmtree(root / "clone/data")
        path = root / "clone/.dvc/cache" / path.relative_to(root / "remote")
    path.unlink()
    KINDS[kind](path)
    before = state(root)
    with pytest.raises(PullError, match=r"data/runs/a: expected a file at "):
        pull(root / "clone")
    assert state(root) == before


@pytest.mark.parametrize("place", ["data", "data/runs", "data/runs/a", "data/runs/a/seed_1"])
def test_a_link_on_the_way_is_no_way_out(root: Path, place: str) -> None:
    outside = root / "outside"
    outside.mkdir()
    (outside / "kept").write_text("mine")
    link = root / "clone" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    before = state(root)
    with pytest.raises(PullError, match="is a link to"):
        pull(root / "clone")
    assert state(root) == before


@pytest.mark.parametrize("place", ["data/z.txt", "data/runs/a/seed_1/x"])
def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(root: Path, place: str) -> None:
    outside = root / "outside"
    outside.write_text("mine")
    link = root / "clone" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(PullError):
        pull(root / "clone")
    assert outside.read_text() == "mine"
    pull(root / "clone", force=True)
    assert outside.read_text() == "mine"
    assert not link.is_symlink()


def test_what_an_earlier_pull_believed_is_not_believed_again(root: Path) -> None:
    """DVC has put the hostile listing into its cache and into its index."""
    listing = listings(root)[0]
    honest = listing.read_bytes()
    put(listing, HOSTILE["up"])
    dvc(root / "clone", "config", "remote.storage.verify", "false")
    dvc(root / "clone", "pull", "-q")
    stats = root / "clone/pipelines/stats.py"
    if stats.read_text() == "code":
        pytest.fail("this release of DVC keeps inside: say so in the documents")
    stats.write_text("code")
    put(listing, honest)
    pull(root / "clone", force=True)
    assert {path: (root / "clone" / path).read_text() for path in FILES} == FILES
    assert stats.read_text() == "code"


def test_what_was_changed_here_is_replaced_only_by_force(root: Path) -> None:
    pull(root / "clone")
    mine = root / "clone/data/runs/b/y"
    mine.chmod(0o644)
    mine.write_text("mine")
    with pytest.raises(PullError, match="unsaved files"):
        pull(root / "clone")
    assert mine.read_text() == "mine"
    pull(root / "clone", force=True)
    assert mine.read_text() == "3"


@pytest.mark.parametrize(
    ("path", "plain"),
    [("a", True), ("a b/c-d_e.json", True), ("ä/é", True), (".a", True), ("a.git", True),
     ("c/0/0", True), ("a/..", False), ("~/x", True), (" a", False), ("a ", False)],
)  # fmt: skip
def test_plain_paths(path: str, plain: bool) -> None:
    assert is_plain(path) == plain


def test_versions_and_runs_that_do_not_hold_are_named(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "expert/v1")
    curve = runs.Curve(0.9, 0.9, 1.0)
    runs.write_arm(tmp_path / "finetune", curve, arm="finetune", seeds=range(2), grid=[0, 8])
    runs.write_expert(tmp_path / "models")
    assert list(stage.faults(tmp_path)) == []
    chunk = tmp_path / "expert/v1/step/reward/c.0"
    put(chunk, chunk.read_bytes()[:-1])
    folder = tmp_path / "finetune/seed_1"
    put(folder / "evaluations.jsonl", b"")
    assert read_run(folder).seed == 1
    (tmp_path / "models/episodes.jsonl").unlink()
    told = list(stage.faults(tmp_path))
    assert any("step/reward/c.0" in text for text in told)
    assert any("seed_1/evaluations.jsonl: expected the file that was sealed" in it for it in told)
    assert any("models/episodes.jsonl: expected the file that was sealed" in it for it in told)


def test_the_command_says_what_it_did_in_a_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root / "clone")
    assert stage.main([]) == 0
    put(listings(root)[0], b"[]")
    shutil.rmtree(root / "clone/.dvc/cache")
    assert stage.main([]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("data/runs/a: expected the listing")
