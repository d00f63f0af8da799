"""A verdict is withdrawn before its version is looked at again, however that ends."""

import inspect
import itertools
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore import lives
from tests.trajstore.faults import count_operations, killed_at
from tests.trajstore.lives import CONTRACT, fill
from trajstore.cli import run
from trajstore.disk import system
from trajstore.errors import CorruptionError, StorageError
from trajstore.lifecycle import archived, judge, review
from trajstore.quality import CHECKS
from trajstore.quality.records import Verdict, read_verdict, status_path, write_verdict
from trajstore.quality.reviews import DAMAGE, read_reviews, standing
from trajstore.store import Store
from trajstore.version import files as version_files
from trajstore.version import integrity
from trajstore.version.manifest import Status


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A validated version."""
    path = tmp_path / "store/expert/v1"
    factories.dataset(path, count=4)
    judge(path, CONTRACT)
    assert Store(tmp_path / "store").status("expert@v1") is Status.VALIDATED
    return path


def dying(*_: object) -> list[object]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def in_a_fork(version: Path, check: object) -> int:
    """Judge in another process, with a check that may end it; returns its signal."""
    child = os.fork()
    if child == 0:
        judge(version, CONTRACT, checks={"first": check})  # type: ignore[dict-item]
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_kill_during_the_checks_leaves_a_draft_with_its_history(
    version: Path, tmp_path: Path
) -> None:
    assert in_a_fork(version, dying) == -signal.SIGKILL
    assert Store(tmp_path / "store").status("expert@v1") is Status.DRAFT
    verdict = read_verdict(version)
    assert verdict is not None
    assert [it["status"] for it in verdict.history] == ["validated", "draft"]
    assert "has not ended" in verdict.history[-1]["why"]
    judge(version, CONTRACT)
    assert Store(tmp_path / "store").status("expert@v1") is Status.VALIDATED


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, UnicodeError, RecursionError])
def test_whatever_a_check_raises_the_old_verdict_does_not_come_back(
    version: Path, error: type[BaseException]
) -> None:
    def failing(*_: object) -> list[object]:
        raise error("in the middle")

    with pytest.raises(error):
        judge(version, CONTRACT, checks={**CHECKS, "last": failing})  # type: ignore[dict-item]
    verdict = read_verdict(version)
    assert verdict is not None
    assert verdict.status is Status.DRAFT


def test_the_verdict_is_gone_while_checks_run_and_one_that_ends_well_adds_nothing(
    version: Path,
) -> None:
    before, seen = read_verdict(version), []

    def watching(*_: object) -> list[object]:
        seen.append(read_verdict(version))
        return []

    judge(version, CONTRACT, checks={**CHECKS, "last": watching})  # type: ignore[dict-item]
    assert [it.status for it in seen if it] == [Status.DRAFT]
    assert read_verdict(version) == before


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_a_kill_at_any_operation_never_leaves_what_was_judged_before(
    version: Path, tmp_path: Path, how: str
) -> None:
    """Once a check began; and the verdict can be read after each kill."""
    file, store = status_path(version), Store(tmp_path / "store")
    sound = file.read_bytes()
    (version / "stray").write_text("x")

    def work(acknowledge: Callable[[int], None]) -> None:
        def began(*_: object) -> list[object]:
            acknowledge(1)
            return []

        judge(version, CONTRACT, checks={"first": began, **CHECKS})  # type: ignore[dict-item]

    count = count_operations(lambda: work(lambda _: None))
    seen = set()
    for number in range(1, count + 1):
        file.write_bytes(sound)
        began = killed_at(number, how, work)
        status = store.status("expert@v1")
        assert not began or status is not Status.VALIDATED
        seen.add(status)
    assert {Status.VALIDATED, Status.DRAFT} <= seen


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_a_kill_at_any_operation_of_a_review_loses_none(tmp_path: Path, how: str) -> None:
    path = tmp_path / "reviews.json"
    review(path, "1" * 64, Status.QUARANTINED, reason="first")
    sound = path.read_bytes()

    def work(_: object) -> None:
        review(path, "2" * 64, Status.QUARANTINED, reason="second")

    count = count_operations(lambda: work(None))
    for number in range(1, count + 1):
        path.write_bytes(sound)
        killed_at(number, how, work)
        assert [it.reason for it in read_reviews(path)] in (["first"], ["first", "second"])
        review(path, "3" * 64, Status.QUARANTINED, reason="third")
        assert [it.reason for it in read_reviews(path)][-1] == "third"


def test_what_a_kill_leaves_of_a_verdict_goes_with_the_next(version: Path) -> None:
    file = status_path(version)
    sound, left = file.read_bytes(), 0
    (version / "stray").write_text("x")

    def work(_: object) -> None:
        judge(version, CONTRACT)

    for number in range(1, count_operations(lambda: work(None)) + 1):
        file.write_bytes(sound)
        killed_at(number, "before", work)
        left += len([*version.parent.glob(".*.partial")])
        write_verdict(version, Verdict(Status.DRAFT, "0" * 64))
        assert not [*version.parent.glob(".*.partial")]
    assert left


def test_a_quarantine_is_not_withdrawn_by_looking_again(version: Path, tmp_path: Path) -> None:
    """A draft may be opened for training by its name; a quarantined version may not."""
    (version / "stray").write_text("x")
    judge(version, CONTRACT)
    assert in_a_fork(version, dying) == -signal.SIGKILL
    assert Store(tmp_path / "store").status("expert@v1") is Status.QUARANTINED


def test_a_verdict_that_cannot_be_withdrawn_stops_before_the_checks(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def never(*_: object) -> list[object]:
        raise AssertionError("checked before the verdict was withdrawn")

    monkeypatch.setattr(system.OPS, "rename", refuse)
    with pytest.raises(StorageError):
        judge(version, CONTRACT, checks={"first": never})  # type: ignore[dict-item]


def test_judging_a_version_that_left_keeps_its_verdict(tmp_path: Path) -> None:
    shelf = lives.shelf(tmp_path)
    fill(shelf, tmp_path, 1)
    shelf.path(1).rename(tmp_path / "away")
    with pytest.raises(Exception, match="no version there"):
        judge(shelf.path(1), CONTRACT)
    verdict = read_verdict(shelf.path(1))
    assert verdict is not None
    assert verdict.status is Status.VALIDATED


HOSTILE = [b"x\xff", b"a\x1b[31mred", b"new\nline", b"tab\t", "\u202egnp.exe".encode(), b"[bold]"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_of_any_name_is_a_finding(
    version: Path, capfdbinary: pytest.CaptureFixture[bytes], name: bytes, options: list[str]
) -> None:
    Path(os.fsdecode(os.fsencode(version) + b"/" + name)).write_bytes(b"")
    root = version.parents[1]
    assert run(["--store", str(root), "validate", "expert@v1", *options]) == 1
    told = capfdbinary.readouterr().out
    assert b"strays" in told
    assert name in (b"[bold]",) or name not in told
    verdict = read_verdict(version)
    assert verdict is not None
    assert verdict.status is Status.QUARANTINED
    assert verdict.findings[0].message.isprintable()
    assert Store(root).status("expert@v1") is Status.QUARANTINED
    for command in ("inspect", "verify"):
        assert run(["--store", str(root), command, "expert@v1", *options]) in (0, 1)
        capfdbinary.readouterr()
    page = root.parent / "page.html"
    assert run(["--store", str(root), "play", "expert@v1", "--no-open", "--out", str(page)]) == 0


@pytest.mark.parametrize("spoil", ["stray", "cut", "missing", "link", "bits"])
def test_no_approval_outweighs_damage(version: Path, tmp_path: Path, spoil: str) -> None:
    store = Store(tmp_path / "store")
    digest = store.open("expert@v1").manifest.content_digest
    file = max(version.rglob("action/**/*"), key=lambda it: it.lstat().st_size * it.is_file())
    data = file.read_bytes()
    if spoil == "stray":
        (version / "stray").write_text("x")
    elif spoil == "link":
        (version / "link").symlink_to(tmp_path)
    elif spoil == "missing":
        file.unlink()
    elif spoil == "cut":
        file.write_bytes(data[:-1])
    else:
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    arguments = ["--store", str(store.root), "approve", "expert@v1", "--reason", "looks fine"]
    assert run(arguments) == 1, "what fails verification is not approved"
    assert not store.reviews.exists()
    judge(version, CONTRACT)
    review(store.reviews, digest, Status.VALIDATED, reason="by hand")
    assert store.status("expert@v1") is Status.QUARANTINED
    assert standing(version, store.reviews, digest) == ("quarantined", "")
    with pytest.raises(Exception, match="expert@v1: is quarantined, see 'trajstore inspect'"):
        store.open("expert@v1")
    (version / "stray").unlink(missing_ok=True)
    (version / "link").unlink(missing_ok=True)
    file.write_bytes(data)
    assert run(arguments) == 1, "the verdict is still on damaged data"
    judge(version, CONTRACT)
    assert store.status("expert@v1") is Status.VALIDATED
    assert run(arguments) == 0


def test_every_finding_of_verification_tells_of_damage() -> None:
    """Those of ``episodes`` are of a deep look; validation finds the same in ``contents``."""
    sources = (integrity, version_files, archived)
    names = [re.findall(r'finding\(\s*"(\w+)"', inspect.getsource(it)) for it in sources]
    assert all(names)
    assert {*itertools.chain(*names)} - {"episodes"} <= DAMAGE


def test_an_approval_still_outweighs_what_is_no_damage(version: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    contract = CONTRACT.from_json(CONTRACT.to_json() | {"max_steps": 1})
    judge(version, contract)
    assert store.status("expert@v1") is Status.QUARANTINED
    line = ["--store", str(store.root), "approve", "expert@v1", "--reason", "long ones are fine"]
    assert run(line) == 0
    assert store.status("expert@v1") is Status.VALIDATED


def test_a_flipped_verdict_is_named_by_its_file(
    version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = status_path(version)
    data = file.read_bytes()
    place = data.index(b"validated")
    file.write_bytes(data[:place] + b"V" + data[place + 1 :])
    with pytest.raises(CorruptionError, match=r"v1\.status\.json: "):
        Store(version.parents[1]).status("expert@v1")
    for line in (["list"], ["validate", "expert@v1"], ["inspect", "expert@v1"]):
        assert run(["--store", str(version.parents[1]), *line]) == 1
        assert "v1.status.json: expected a verdict" in capsys.readouterr().err
