"""A store of a group: what one user's process leaves stops no other, and nothing begins in vain."""

import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore.lives import CONTRACT
from trajstore.cli import run
from trajstore.disk.locks import lock
from trajstore.errors import LockedError, StorageError
from trajstore.lifecycle import judge
from trajstore.recording.recover import discard_recording, seal_recording
from trajstore.store import Store
from trajstore.version.integrity import verify

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as other users")
ANNA, BERT, GROUP = 41_001, 41_002, 41_000


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the group bit set, in which every member of the group may write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "data").mkdir()
        os.chown(folder / "data", ANNA, GROUP)
        (folder / "data").chmod(0o2775)
        monkeypatch.setenv("TRAJSTORE_CACHE", str(folder / "data" / "cache"))
        yield folder / "data"


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported when it is needed, while it can be: Python may lie where no user gets."""
    folder = tmp_path_factory.mktemp("imported")
    store = folder / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAJSTORE_CACHE", str(folder / "cache"))
        for number in (1, 2):
            recording(store, 2 + number)()
            judged(store, number)()
        Store(store).rotate("expert", keep=1)
        Store(store).restore("expert@v1")
        lines = ("list", "doctor", "recover expert --seal", "quarantine expert@v1 --reason no")
        for line in lines:
            run([*line.split(), "--store", str(store)])


def start(user: int, act: Callable[[], object], umask: int = 0o002) -> tuple[int, int]:
    """Let a process of a user of the group begin; returns it, and where it tells its error."""
    told, tell = os.pipe()
    process = os.fork()
    if process:
        os.close(tell)
        return process, told
    try:
        os.setgroups([GROUP])
        os.setgid(GROUP)
        os.setuid(user)
        os.umask(umask)
        act()
    except BaseException:  # noqa: BLE001 - told to the parent
        os.write(tell, traceback.format_exc()[-4000:].encode())
    finally:
        os._exit(0)


def as_user(user: int, act: Callable[[], object], umask: int = 0o002) -> None:
    """Do something as a user of the group, to the end."""
    process, told = start(user, act, umask)
    with os.fdopen(told) as file:
        error = file.read()
    os.waitpid(process, 0)
    assert not error, error


def killed(user: int, act: Callable[[], object], there: Path, umask: int = 0o002) -> None:
    """Do something as a user, and kill it once a file is there."""
    process, told = start(user, act, umask)
    while not there.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(told)


def recording(store: Path, episodes: int, *, forever: bool = False) -> Callable[[], object]:
    def act() -> None:
        with Store(store).record("expert", schema=factories.SCHEMA, provenance={}) as recorder:
            for seed in range(recorder.episodes, episodes):
                recorder.add(factories.episode(seed))
            while forever:
                time.sleep(1)

    return act


def judged(store: Path, number: int) -> Callable[[], object]:
    return lambda: judge(store / f"expert/v{number}", CONTRACT)


def refused(act: Callable[[], object], error: type[Exception], words: str) -> Callable[[], None]:
    def refuse() -> None:
        with pytest.raises(error, match=words):
            act()

    return refuse


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_a_lock_that_is_held_names_its_holder_to_the_others(place: Path, umask: int) -> None:
    held = place / "held"

    def hold() -> None:
        with lock(place / ".x.lock", purpose="recording v3"):
            held.touch()
            time.sleep(60)

    def ask() -> None:
        with lock(place / ".x.lock", purpose="asking"):
            pytest.fail("two held it")

    process, told = start(ANNA, hold, umask)
    while not held.exists():
        time.sleep(0.01)
    assert (place / ".x.lock").stat().st_mode & 0o777 == 0o666 & ~umask
    as_user(BERT, refused(ask, LockedError, f"recording v3 by process {process}"))
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(told)


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_a_lock_that_was_left_by_a_kill_stops_no_other_user(place: Path, umask: int) -> None:
    def hold() -> None:
        with lock(place / ".x.lock", purpose="recording v3"):
            (place / "held").touch()
            time.sleep(60)

    def take() -> None:
        with lock(place / ".x.lock", purpose="recording v3"):
            assert (place / ".x.lock").stat().st_uid in (ANNA, BERT)

    killed(ANNA, hold, place / "held", umask)
    assert (place / ".x.lock").exists()
    as_user(BERT, take)
    assert not (place / ".x.lock").exists()


@pytest.mark.parametrize("how", ["go on", "seal", "discard", "recover --seal", "review"])
def test_what_a_kill_left_is_ended_by_another_user(place: Path, how: str) -> None:
    store = place / "store"
    target = store / "expert" / "v1"
    journal = store / "expert" / ".v1.recording" / "journal-main.log"
    killed(ANNA, recording(store, 3, forever=True), journal)
    acts: dict[str, Callable[[], object]] = {
        "go on": recording(store, 5),
        "seal": lambda: seal_recording(target),
        "discard": lambda: discard_recording(target),
        "recover --seal": lambda: run(["recover", "expert", "--seal", "--store", str(store)]),
        "review": recording(store, 5),
    }
    as_user(BERT, acts[how])
    assert target.exists() is (how != "discard")
    assert [it.name for it in target.parent.iterdir()] == ["v1"] * target.exists()
    if how == "review":
        line = ["quarantine", "expert@v1", "--reason", "no", "--store", str(store)]
        as_user(ANNA, lambda: run(line))
        as_user(BERT, lambda: run(line))
        assert len((place / "reviews.json").read_text().split('"reason"')) == 3


def test_a_version_that_is_shut_is_named_in_its_row(place: Path) -> None:
    store = place / "store"
    as_user(ANNA, recording(store, 3))
    as_user(BERT, recording(store, 4))
    (store / "expert/v1").chmod(0o700)
    (store / "shut").mkdir(mode=0o700)
    out = place / "out"

    def look(*line: str) -> Callable[[], object]:
        def act() -> None:
            with out.open("w") as file, redirect_stdout(file), redirect_stderr(file):
                status = run([*line, "--store", str(store)])
                file.write(f"status {status}")

        return act

    as_user(BERT, look("list"))
    told = " ".join(out.read_text().split())
    out.unlink()
    assert "expert v1 unreadable" in told and "expert v2 draft" in told
    assert "shut unreadable" in told and told.endswith("status 1")
    as_user(BERT, look("doctor"))
    told = " ".join(out.read_text().split())
    assert "expert@v1" in told and "EACCES" in told and "good expert@v2 draft" in told
    assert told.endswith("status 1")


def test_a_move_that_is_not_permitted_does_not_begin(place: Path) -> None:
    store = place / "store"
    as_user(ANNA, recording(store, 3))
    as_user(ANNA, judged(store, 1))
    as_user(ANNA, recording(store, 4), 0o022)  # its folders are hers alone
    as_user(ANNA, judged(store, 2))
    as_user(BERT, recording(store, 5))
    as_user(BERT, judged(store, 3))
    before = sorted(store.rglob("*"))

    def rotate() -> None:
        Store(store).rotate("expert", keep=1)

    as_user(BERT, refused(rotate, StorageError, f"v2: you may not remove .* user {ANNA}"))
    assert sorted(store.rglob("*")) == before and not (place / "archive").exists()
    as_user(ANNA, rotate)
    assert Store(store).versions("expert") == [3]
    assert not verify(Store(store).restore("expert@v2"), deep=True)


def test_another_users_recording_that_is_shut_is_refused_whole(place: Path) -> None:
    store = place / "store"
    journal = store / "expert" / ".v1.recording" / "journal-main.log"
    as_user(BERT, recording(store, 3))
    killed(
        ANNA,
        recording(store, 4, forever=True),
        store / "expert/.v2.recording" / journal.name,
        0o022,
    )
    before = sorted(it for it in store.rglob("*") if it.suffix != ".lock")
    target = store / "expert" / "v2"
    for act in (lambda: discard_recording(target), lambda: seal_recording(target)):
        as_user(BERT, refused(act, StorageError, "may not remove|EACCES"))
    assert sorted(it for it in store.rglob("*") if it.suffix != ".lock") == before
    as_user(ANNA, lambda: seal_recording(target))
    shutil.rmtree(store)
