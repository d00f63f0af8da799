"""However a command ends, it is one line and an exit status; never a traceback."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import process, run
from trajstore.errors import CorruptionError, NotFoundError

PACKAGES = ("trajstore", "pipelines")
SITE = re.compile(r"<frozen|init_import_site|_finder\.py|importlib")
"""Lines of a traceback of an interpreter that did not come to our code yet."""


def environment(**more: str) -> dict[str, str]:
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "HOME": "/nonexistent"}
    return plain | more


def shell(line: str, cwd: Path, **more: str) -> tuple[int, str, str]:
    """Exit status of a shell's line, in which P stands for Python, and its two streams."""
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; P={sys.executable}; {line}"],
        cwd=cwd, env=environment(**more), capture_output=True, check=False,
    )  # fmt: skip
    coding = "cp1252" if "cp1252" in more.values() else "utf-8"
    return done.returncode, done.stdout.decode(coding), done.stderr.decode(coding, "replace")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in it."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "data/store/expert").mkdir(parents=True)
    factories.dataset(folder / "data/store/expert/v1", provenance={"by": "\u00e9 \U0001f600"})
    return folder


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("$P -m trajstore list >&-", 1, "output: Bad file descriptor"),
        ("$P -m trajstore inspect expert@v1 --json >&-", 1, "output: Bad file descriptor"),
        ("$P -m trajstore --help >&-", 1, "output: Bad file descriptor"),
        ("$P -m trajstore list 2>&-", 0, "^$"),
        ("$P -m trajstore list <&-", 0, "^$"),
        ("$P -m trajstore nope 2>&-", 2, "^$"),
        ("$P -m trajstore inspect nope >&- 2>&- <&-", 2, "^$"),
        ("$P -m trajstore inspect nope 2>/dev/full", 2, "^$"),
        ("$P -m trajstore inspect expert@v1 | true", 141, "^$"),
        ("$P -m pipelines >&-", 1, "^output: Bad file descriptor"),
        ("$P -m pipelines 2>&- >&- <&-", 1, "^$"),
        ("$P -m pipelines >/dev/full", 1, "^output: No space left"),
        ("$P -m pipelines compare 2>&-", 1, "^$"),
        ("$P -m pipelines nope 2>&-", 2, "^$"),
    ],
)
def test_a_stream_that_is_closed_is_no_traceback(
    place: Path, line: str, status: int, said: str
) -> None:
    found, _, err = shell(line, place)
    assert (found, bool(re.search(said, err))) == (status, True), err
    assert err.count("\n") <= 1


@pytest.mark.parametrize("package", PACKAGES)
def test_a_reader_that_goes_away_is_no_traceback(place: Path, package: str) -> None:
    listing = "inspect expert@v1" if package == "trajstore" else "--help"
    status, out, err = shell(f"$P -m {package} {listing} | head -1", place)
    assert (status in (0, 141), out.count("\n"), err) == (True, 1, "")


@pytest.mark.parametrize(
    "more",
    [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "cp1252"},
     {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C", "PYTHONUTF8": "0",
      "PYTHONCOERCECLOCALE": "0"}],
    ids=str,
)  # fmt: skip
def test_any_letter_is_written_in_any_encoding(
    place: Path, more: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "data/store").mkdir(parents=True)
    shutil.copytree(place / "data/store", tmp_path / "\u00e9")
    for words in ("--store \u00e9 list", "--store \u00e9 inspect expert@v1", "--store \u00e9 du"):
        status, _, err = shell(f"$P -m trajstore {words}", tmp_path, **more)
        assert (status, err) == (0, "")
    for command in ("list", "inspect expert@v1"):
        status, out, err = shell(
            f"$P -m trajstore --store \u00e9 {command} --json", tmp_path, **more
        )
        assert (status, err) == (0, "")
        record = json.loads(out)
        shown = (record[0] if command == "list" else record)["path"]
        assert "\u00e9" in os.fsencode(shown).decode()
    status, _, err = shell("$P -m trajstore inspect \u00e9@v1", tmp_path, **more)
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    "words",
    [
        "inspect $'\\xff'", "--store $'\\xff' list", "list $'\\xff'", "inspect expert@v1$'\\xff'",
        "quarantine expert@v1 --reason $'\\xff'",
        "$'\\xff'", "verify ./$'\\xff'", "diff expert@v1 $'\\xff'",
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_refused_in_a_line(place: Path, words: str) -> None:
    before = sorted(place.rglob("*"))
    status, _, err = shell(f"$P -m trajstore {words}", place)
    assert status in (1, 2)
    assert "Traceback" not in err
    assert "Error" in err or err.count("\n") == 1
    assert [it for it in place.rglob("*") if it not in before] == []


def interrupted(place: Path, words: list[str], delay: float, number: int) -> tuple[int, str]:
    child = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=place, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(delay)
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    return child.returncode, err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words",
    [["trajstore", "validate", "expert@v1"], ["trajstore", "list"], ["pipelines", "compare"]],
)
def test_a_signal_at_any_time_is_no_traceback(place: Path, words: list[str], number: int) -> None:
    """Before Python comes to the first line of the package, a traceback is the interpreter's."""
    allowed = {130, -number, 0, 1}
    for step in range(1, 17):
        status, err = interrupted(place, words, step * 0.06, number)
        assert status in allowed, (status, err)
        ours = [it for it in err.splitlines() if "/trajstore/" in it or "/pipelines/" in it]
        assert "Traceback" not in err or (SITE.search(err) and not ours), err


def test_ctrl_c_while_modules_load_ends_the_process_at_once(place: Path, tmp_path: Path) -> None:
    """A module that turns the exception into another one cannot hide it."""
    (tmp_path / "slow.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT); [0 for _ in range(9)]\n"
        "except BaseException as error:\n    raise ImportError('hidden') from error\n"
    )
    code = "from trajstore.cli.process import loading\nwith loading():\n    import slow\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(PYTHONPATH=f"{Path.cwd()}:{tmp_path}"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def limited(place: Path, kind: int, value: int, *words: str) -> tuple[int, str]:
    def limit() -> None:
        resource.setrlimit(kind, (value, value))

    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=place, env=environment(OPENBLAS_NUM_THREADS="1"), preexec_fn=limit,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("files", [6, 8, 10, 14])
@pytest.mark.parametrize("words", ["list", "verify expert@v1 --deep", "validate expert@v1"])
def test_too_many_open_files_are_told(place: Path, files: int, words: str) -> None:
    status, err = limited(place, resource.RLIMIT_NOFILE, files, "trajstore", *words.split())
    assert "Traceback" not in err
    assert status in (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [40, 60, 80, 110, 150, 200, 300])
@pytest.mark.parametrize("words", ["trajstore list", "trajstore verify expert@v1 --deep"])
def test_too_little_memory_is_told(place: Path, mebibytes: int, words: str) -> None:
    status, err = limited(place, resource.RLIMIT_AS, mebibytes * 2**20, *words.split())
    assert "Traceback" not in err, err
    assert status in (0, 1, -signal.SIGABRT, -signal.SIGSEGV)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError(), 1, "out of memory"),
        (RecursionError("deep"), 1, "values are nested too deep"),
        (UnicodeEncodeError("ascii", "\udcff", 0, 1, "no"), 1, "a text has letters"),
        (ImportError("broken", name="x"), 1, "x cannot be imported: broken"),
        (OSError(24, "Too many open files", "y"), 1, "y: Too many open files"),
        (NotFoundError("z"), 2, "z"),
        (CorruptionError("z"), 1, "z"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_ends_a_command_is_a_line_and_a_status(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("trajstore.cli.looking.version_lines", fail)
    assert run(["list"]) == status
    err = capsys.readouterr().err.lstrip()
    assert err.startswith(f"trajstore: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("ours", "status", "said"),
    [
        (True, process.FAULT, r"this is a fault of trajstore: ZeroDivisionError: a\\nb at {}"),
        (False, 1, r"ZeroDivisionError: a\\nb at {}\d+, which is no part of trajstore; correct it"),
    ],
)
def test_a_fault_is_told_with_its_place_and_whose_it_is(
    monkeypatch: pytest.MonkeyPatch, ours: bool, status: int, said: str
) -> None:
    if ours:
        monkeypatch.setattr("trajstore.__path__", [str(Path(__file__).parent)])
    lines: list[str] = []
    try:
        raise ZeroDivisionError("a\nb")
    except ZeroDivisionError as error:
        assert process.told(error, lines.append) == status
    assert re.match(said.format(r"test_process\.py:"), *lines)


def test_what_a_library_refuses_belongs_to_whoever_called_it(tmp_path: Path) -> None:
    (tmp_path / "own_world.py").write_text("import json\ndef build():\n    json.dumps({1, 2})\n")
    code = compile((tmp_path / "own_world.py").read_text(), str(tmp_path / "own_world.py"), "exec")
    space: dict[str, Callable[[], None]] = {}
    exec(code, space)
    lines: list[str] = []
    try:
        space["build"]()
    except TypeError as error:
        assert process.told(error, lines.append) == 1
    assert "at own_world.py:3, which is no part of trajstore" in lines[0]
