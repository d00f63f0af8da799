"""An object server that dies at any of its calls: one error of ours, and nothing is lost."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trajstore.lives import CONTRACT, source
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.errors import StorageError, TrajStoreError
from trajstore.lifecycle import judge
from trajstore.store import Store
from trajstore.version.integrity import verify
from trajstore.version.location import locate

fsspec = pytest.importorskip("fsspec")
memory = pytest.importorskip("fsspec.implementations.memory")
URL = "dying://bucket/packs"


class ServiceError(Exception):
    """What a driver raises that is no `OSError`, as botocore does."""


class _File:
    def __init__(self, file: Any, strike: Callable[[], None]) -> None:
        self._file, self._strike = file, strike

    def __getattr__(self, name: str) -> object:
        if name in ("read", "write", "close"):
            self._strike()
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()  # type: ignore[operator]


class Dying(memory.MemoryFileSystem):  # type: ignore[misc]
    """A service that lives for a number of calls; -1 is for ever."""

    protocol = "dying"
    store: dict[str, Any] = {}  # noqa: RUF012 - fsspec's
    pseudo_dirs = [""]  # noqa: RUF012 - fsspec's
    cachable = False
    left = -1
    calls = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("dying://").strip("/")

    @classmethod
    def strike(cls) -> None:
        cls.calls += 1
        if cls.left == 0:
            raise ServiceError("EndpointConnectionError: the server went away")
        cls.left -= 1

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.strike()
        return getattr(super(), name)(*arguments, **options)

    def open(self, *arguments: Any, **options: Any) -> Any:
        return _File(self._call("open", *arguments, **options), self.strike)

    def ls(self, *arguments: Any, **options: Any) -> Any:
        return self._call("ls", *arguments, **options)

    def mv(self, *arguments: Any, **options: Any) -> Any:
        return self._call("mv", *arguments, **options)

    def makedirs(self, *arguments: Any, **options: Any) -> Any:
        return self._call("makedirs", *arguments, **options)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Dying]]:
    fsspec.register_implementation("dying", Dying, clobber=True)
    Dying.store.clear()
    monkeypatch.setattr(Dying, "left", -1)
    monkeypatch.setattr(Dying, "calls", 0)
    yield Dying
    Dying.store.clear()


def test_a_rotation_is_cut_off_at_any_call_and_finished_by_the_next(
    tmp_path: Path, service: type[Dying], capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store", archive=URL)
    for seed in (1, 2):
        store.publish(source(tmp_path, 100 * seed), "expert")
    want = store.open("expert@v1").manifest.content_digest
    line = ["rotate", "expert", "--keep", "1", "--store", str(store.root), "--archive", URL]
    failures = 0
    while True:
        service.left = failures
        if run(line) == 0:
            break
        failures += 3
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1 and "the server went away" in told
        live = store.versions("expert")
        service.left = -1
        if 1 in live:
            assert not verify(store.path("expert@v1"), deep=True)
        else:  # it is removed last of all, when the pack was read back
            assert store.open("archive:expert@v1", purpose="inspection").findings(deep=True) == []
        assert failures < 500
    assert failures > 20
    assert store.versions("expert") == [2]
    seen = store.open("archive:expert@v1", purpose="inspection")
    assert seen.manifest.content_digest == want and not seen.findings(deep=True)


def test_reading_from_a_service_that_dies_is_one_error(
    tmp_path: Path, service: type[Dying], capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store", archive=URL)
    for seed in (1, 2):
        store.publish(source(tmp_path, 100 * seed), "expert")
    store.rotate("expert", keep=1)
    places = ["--store", str(store.root), "--archive", URL]
    for line in (["verify", "archive:expert@v1", "--deep"], ["restore", "expert@v1"], ["doctor"]):
        service.left, service.calls = -1, 0
        if line[0] != "restore":
            assert run([*line, *places]) == 0
        for left in range(0, min(service.calls, 12) or 12, 2):
            service.left = left
            assert run([*line, *places]) == 1
            told = capsys.readouterr()
            assert "the server went away" in " ".join((told.out + told.err).split())
            assert "Traceback" not in told.err
    service.left = -1
    assert not verify(store.restore("expert@v1"), deep=True)


def test_a_version_at_a_service_that_dies_is_one_error(
    tmp_path: Path, service: type[Dying], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source(tmp_path, 1)
    judge(path, CONTRACT)
    files = fsspec.filesystem("dying")
    for file in path.rglob("*"):
        if file.is_file():
            files.pipe(f"/bucket/v1/{file.relative_to(path)}", file.read_bytes())
    for left in range(0, 30, 4):
        monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / f"cache{left}"))
        service.left = left
        with pytest.raises(StorageError, match="the server went away"):
            [it.digest for it in Dataset.open("dying://bucket/v1")]
    service.left = -1
    assert len(list(Dataset.open("dying://bucket/v1"))) == 4


ODD = [
    *("zip://x::file:///etc/hosts", "tar://x::file:///etc/hosts", "zip://x::file:///nowhere"),
    *("zip://", "://", "a://b", "simplecache://x", "reference::file:///etc/hosts", "nowhere://x"),
    *("zip://*::file:///etc/host*", "zip://a::zip://b::file:///etc/hosts", "generic://x", "s3://"),
    *("http://", "http://[", "file:///%00", "file://other/x", "memory://", "data://,x", "local://"),
    *("git://nowhere", "jlab://x", "dbfs://x", "cached://x", "filecache::zip://x::memory://y"),
]

REFUSALS = (
    "expected |: no version there, it has no manifest.json; give the |: the service does not "
    "answer: |:// needs a package that is not installed .*: pip install "
)


@pytest.mark.parametrize("url", ODD)
def test_an_odd_url_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("inspect", "verify", "validate", "du"):
        assert run([command, url]) in (1, 2)
        told = capsys.readouterr()
        assert len(told.err.splitlines()) == 1 and not told.out
    for act in (lambda: locate(url).names(), lambda: Dataset.open(url)):
        try:
            act()
        except TrajStoreError as error:
            assert re.search(REFUSALS, str(error))
