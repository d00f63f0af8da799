"""A store that may not be written is looked at like any other, and nothing in it is touched."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from trajstore.cli import run
from trajstore.lifecycle import judge
from trajstore.quality.contract import Contract
from trajstore.store import Store

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
    "os.symlink", "os.truncate", "os.utime",
}  # fmt: skip
SEEN: list[str] = []
WATCHED: list[str] = []
"""The folder that the audit hook looks at; hooks stay for the life of the process."""


def heard(event: str, arguments: tuple[object, ...]) -> None:
    """Note each attempt to change something in the watched folder."""
    if not WATCHED or (event != "open" and event not in CHANGES):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES):
        return
    paths = [os.fsdecode(it) for it in arguments[:2] if isinstance(it, str | bytes | Path)]
    SEEN.extend(f"{event} {it}" for it in paths if Path(it).absolute().is_relative_to(WATCHED[0]))


sys.addaudithook(heard)


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of the last change of all that lies below a folder."""
    found = {str(it): it.lstat() for it in [folder, *folder.rglob("*")]}
    return {path: (it.st_mode, it.st_size, it.st_mtime_ns) for path, it in found.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder without write permission: two live versions, an archived one, verdicts."""
    data = tmp_path_factory.mktemp("read_only") / "data"
    store = Store(data / "store")
    for number in (1, 2, 3):
        source = data / "in" / str(number) / "expert"
        factories.dataset(source, count=4, seed=9 * number, schema=factories.WIDE_SCHEMA)
        judge(source, Contract(minimum_episodes=2))
        store.publish(source, "expert")
    store.rotate("expert", keep=2)
    paths = [data, *data.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    yield data
    for path in paths:
        path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture
def watched(data: Path) -> Iterator[Path]:
    """The folder, watched: at the end nobody has tried to change it, and nothing has changed."""
    before = state(data)
    SEEN.clear()
    WATCHED.append(str(data))
    yield data
    WATCHED.clear()
    assert SEEN == []
    assert state(data) == before


@pytest.mark.parametrize(
    "command",
    [
        "list", "inspect expert", "inspect expert@v3 --json", "verify expert@v2 --deep",
        "du", "du expert", "diff expert@v2 expert@v3", "doctor", "recover",
        "validate expert --dry-run", "rotate expert --keep 1 --dry-run",
        "restore expert@v1 --dry-run",
        "inspect archive:expert@v1", "verify archive:expert@v1", "validate archive:expert@v1",
        "diff archive:expert@v1 expert", "play expert --no-open --out page.html",
        "play archive:expert@v1 --no-open --out page.html",
        "play expert --terminal --episode 1 --speed 100",
    ],
)  # fmt: skip
def test_commands_that_look_touch_nothing(
    watched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contract.json").write_text('{"minimum_episodes": 2}')
    options = ["--contract", "contract.json"] if command.startswith("validate") else []
    assert run(["--store", str(watched / "store"), *command.split(), *options]) == 0
    if "--out" in command:
        assert (tmp_path / "page.html").stat().st_size > 0


def test_reading_touches_nothing(watched: Path) -> None:
    store = Store(watched / "store")
    for reference in ("expert", "expert@v2", "archive:expert@v1"):
        dataset = store.open(reference, purpose="inspection")
        assert len(list(dataset)) == len(dataset.episodes["length"])
        assert len(dataset.sample(32, rng=np.random.default_rng(0))["reward"]) == 32
        next(iter(dataset.batches(8, rng=np.random.default_rng(0), window=4)))


def test_an_attempt_to_write_is_noticed(tmp_path: Path) -> None:
    SEEN.clear()
    WATCHED.append(str(tmp_path))
    (tmp_path / "new").write_bytes(b"")
    (tmp_path / "new").read_bytes()
    (tmp_path / "new").rename(tmp_path / "newer")
    WATCHED.clear()
    new = tmp_path / "new"
    found = SEEN.copy()
    assert found == [f"open {new}", f"os.rename {new}", f"os.rename {new}er"]
