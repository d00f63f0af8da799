"""A pipe, a socket, a device or a folder in place of any file: named, never waited for."""

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore.lives import CONTRACT
from trajstore.cli import run
from trajstore.lifecycle import judge
from trajstore.store import Store

COMMANDS = [
    *("list", "doctor", "du", "recover", "recover expert --seal", "recover expert --salvage"),
    *("inspect expert@v1", "verify expert@v1 --deep", "validate expert@v1", "du expert@v1"),
    *("diff expert@v1 expert@v3", "play expert@v1 --no-open --out {out}/x.html"),
    *("export expert@v1 --to npz {out}/x.npz", "quarantine expert@v1 --reason no"),
    *("inspect archive:expert@v2", "verify archive:expert@v2", "restore expert@v2 --dry-run"),
    *("publish {v1} --name other --dry-run", "rotate expert --dry-run", "inspect {v1}"),
]
FILES = [
    *("store/expert/v1/manifest.json", "store/expert/v1.status.json", "reviews.json"),
    *("store/expert/v1.replay.json", "store/expert/ledger.jsonl", "contract.json"),
    *("store/expert/.v4.recording/recording.json", "store/expert/v1/index/length/c.0"),
    *("store/expert/.v4.recording/journal-main.log", "store/expert/v1", "PACK"),
    *("store/expert/v1/zarr.json", "store/expert/.v4.lock", "store/expert/.v4.recording"),
]


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two live versions, an archived one, and an unfinished recording."""
    folder = tmp_path_factory.mktemp("whole")
    store = Store(folder / "store")
    for number, keep in ((1, 3), (2, 3), (3, 3)):
        with store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder:
            for seed in range(4):
                recorder.add(factories.episode(10 * number + seed))
        judge(folder / f"store/expert/v{number}", CONTRACT)
        store.rotate("expert", keep=keep)
    store.rotate("expert", keep=1)
    store.restore("expert@v1")
    with (
        pytest.raises(KeyError),
        store.record("expert", schema=factories.SCHEMA, provenance={}) as recorder,
    ):
        recorder.add(factories.episode(1))
        raise KeyError
    for name in ("reviews.json", "contract.json", "store/expert/v1.replay.json"):
        (folder / name).touch()
    return folder


@pytest.fixture
def _patience() -> Iterator[None]:
    """Nothing of this takes a minute, unless it waits for a pipe."""
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.mark.usefixtures("_patience")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_command_waits_for_what_is_no_file(
    whole: Path, tmp_path: Path, kind: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(whole, folder)
    for name in ("reviews.json", "contract.json", "store/expert/v1.replay.json"):
        (folder / name).unlink()
    pack = next((folder / "archive").glob("expert-v2-*.zip"))
    path = pack if file == "PACK" else folder / file
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    KINDS[kind](path)
    places = {"out": tmp_path, "v1": folder / "store/expert/v1"}
    for command in COMMANDS:
        status = run([*command.format(**places).split(), "--store", str(folder / "store")])
        told = capsys.readouterr()
        assert status in (0, 1, 2), (command, told.err)
        assert len(told.err.splitlines()) <= 3, (command, told.err)
        assert status == 0 or told.err or told.out, command


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_named_by_a_path_is_told_for_what_it_is(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    KINDS[kind](tmp_path / "x")
    for name in ("x", "x/", "x/."):
        assert run(["inspect", f"{tmp_path}/{name}"]) == 2
        told = capsys.readouterr().err
        assert "an empty folder" in told if kind == "folder" else "a pipe, a device" in told


@pytest.mark.usefixtures("_patience")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("package", ["npz", "minari", "imitation"])
def test_no_import_waits_for_what_is_no_file(
    tmp_path: Path, kind: str, package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip({"npz": "numpy"}.get(package, package))
    KINDS[kind](tmp_path / "x")
    (tmp_path / "folder" / "data").mkdir(parents=True)
    KINDS[kind](tmp_path / "folder" / "data" / "main_data.hdf5")
    places = ["--from", package, "--as", "a", "--store", str(tmp_path / "store")]
    for name in ("x", "folder"):
        assert run(["import", str(tmp_path / name), *places]) == 1
        assert "is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["export {v1} --to npz {x}", "card {v1} --out {x}", "play {v1} --no-open --out {x}",
     "publish {x}", "inspect {x}", "import {x} --from npz --as a", "list --store {x}",
     "copy {v1} --to {x}", "select {v1} --episodes 0 --as a --marks {x}"],
)  # fmt: skip
@pytest.mark.parametrize("below", ["", "/y"])
def test_a_link_that_leads_to_itself_is_a_line(
    whole: Path, tmp_path: Path, line: str, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").symlink_to("x")
    places = {"v1": whole / "store/expert/v1", "x": f"{tmp_path}/x{below}"}
    words = line.format(**places).split()
    own = [] if "--store" in words else ["--store", str(whole / "store")]
    assert run([*words, *own]) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()[-1:]) == 1
    assert sorted(it.name for it in tmp_path.iterdir()) == ["x"]
