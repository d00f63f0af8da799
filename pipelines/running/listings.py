"""What a remote of DVC would put into the outputs, checked before any of it is put there.

DVC writes wherever a listing (a ``.dir`` object) says, and believes that it is the one that was
pushed. Here every object has to be what its name says, and every path of a listing to stay inside
its output.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from loguru import logger

from trajstore.disk.files import open_file
from trajstore.disk.json_text import parse_json
from trajstore.errors import CorruptionError, TrajStoreError

MAX_LISTING_BYTES = 256 * 2**20
MAX_PATH = 4096
"""Letters of a path; no system takes more."""
RESERVED = {".git", ".dvc", ".gitattributes", ".gitignore", ".gitmodules", ".dvcignore"}
"""Names that git and DVC heed wherever they lie."""
_OBJECT = re.compile(r"[0-9a-f]{32}")


class PullError(TrajStoreError):
    """What was to be pulled is not what was pushed, or would not stay where it belongs."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """An output, and the MD5 of each of its files by path below it; of a file alone, by ``""``."""

    path: Path
    files: dict[str, str] = field(default_factory=dict)


def pull(folder: Path, *, remote: str | None = None, force: bool = False) -> list[Pulled]:
    """Bring every output of the pipeline in a folder to what ``dvc.lock`` says; return them.

    First the listings are fetched and checked, then the files, and then they are put in place.

    Args:
        folder: the root of the repository, or a folder inside it.
        remote: name of the DVC remote; its default unless given.
        force: replace files that were changed here and are nowhere else.

    Raises:
        PullError: a listing or a file is not what was pushed, a path would lead out of its
            output, or DVC refuses. Nothing was put in place.
    """
    try:
        with Repo(os.fspath(folder)) as repo:
            outs = list(_locked_outputs(repo))
            outputs = [_listed(repo, out, remote) for out in outs]
            for out, output in zip(outs, outputs, strict=True):
                check_links(Path(repo.root_dir), output)
                _check_kinds(repo, _remote_of(repo, out, remote), output)
            repo.drop_data_index()  # what an earlier pull may have believed
            repo.fetch(remote=remote)
            _check_objects(repo, outputs)
            repo.checkout(force=force)
    except (DvcException, OSError) as error:
        raise PullError(f"pull: DVC could not bring the outputs: {error}") from error
    return outputs


def _locked_outputs(repo: Any) -> Iterator[Any]:  # noqa: ANN401 - DVC tells no types
    for out in repo.index.outs:
        if not out.use_cache:
            continue
        kind, value = out.hash_info.name, str(out.hash_info.value or "")
        if not value:
            logger.warning("{}: in no lock, hence not pulled; run 'make repro'", out)
        elif kind != "md5" or not _OBJECT.fullmatch(value.removesuffix(".dir")):
            raise PullError(f"{out}: expected an MD5 in the lock, got {kind} {value!r}; correct it")
        elif not out.is_in_repo:
            raise PullError(f"{out}: expected an output inside the repository, got one outside")
        else:
            yield out


def _listed(repo: Any, out: Any, remote: str | None) -> Pulled:  # noqa: ANN401
    """An output as its listing tells it; the listing is fetched if the cache has no sound one."""
    place, oid = Path(out.fs_path), out.hash_info.value
    if not oid.endswith(".dir"):
        return Pulled(place, {"": oid})
    cached = Path(repo.cache.local.oid_to_path(oid))
    if not cached.is_file() or _md5(cached) != oid.removesuffix(".dir"):
        cached.unlink(missing_ok=True)
        source = _remote_of(repo, out, remote)
        with TemporaryDirectory() as folder:
            _fetch(source, oid, Path(folder, "listing"), where=str(out))
            repo.cache.local.add(str(Path(folder, "listing")), repo.fs, oid)
    return Pulled(place, parse_listing(cached.read_bytes(), where=str(out)))


def _fetch(source: Any, oid: str, target: Path, *, where: str) -> None:  # noqa: ANN401
    """Bring one listing from a remote; one that is another than its name says is refused."""
    path = source.oid_to_path(oid)
    _check_kind(source, oid, where)
    try:
        size = source.fs.info(path)["size"] or 0
        if size > MAX_LISTING_BYTES:
            raise PullError(f"{where}: expected a listing, got {size:,} bytes at {path}")
        source.fs.get_file(path, str(target))
    except FileNotFoundError as error:
        raise PullError(
            f"{where}: its listing is not in the remote, at {path}; run 'dvc push' where it is"
        ) from error
    except PullError:
        raise
    except Exception as error:  # what services raise has no root of its own
        raise PullError(f"{where}: the remote does not answer: {error!r}") from error
    if (got := _md5(target)) != oid.removesuffix(".dir"):
        raise PullError(
            f"{where}: expected the listing {oid} at {path}, got one with MD5 {got}; the remote "
            "was changed: push to a new one from a clone that is whole"
        )
    parse_listing(target.read_bytes(), where=where)


def _remote_of(repo: Any, out: Any, remote: str | None) -> Any:  # noqa: ANN401
    return repo.cloud.get_remote_odb(remote or out.remote, "pull")


def _check_kinds(repo: Any, source: Any, output: Pulled) -> None:  # noqa: ANN401
    """Refuse a pipe or a device in the place of an object: DVC would wait, or read for ever."""
    for oid in set(output.files.values()):
        _check_kind(source, oid, str(output.path))
        _check_kind(repo.cache.local, oid, str(output.path))


def _check_kind(odb: Any, oid: str, where: str) -> None:  # noqa: ANN401
    path = Path(odb.oid_to_path(oid))
    if odb.fs.protocol == "local" and os.path.lexists(path) and not path.is_file():
        raise PullError(f"{where}: expected a file at {path}, got something else; remove it")


def _md5(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def parse_listing(data: bytes, *, where: str) -> dict[str, str]:
    """The MD5 of each file by its path, of a listing all of whose paths stay inside its output.

    Raises:
        PullError: it is no listing, or a path is not plain, stands twice, or leads out.
    """
    try:
        entries = parse_json(data, where)
    except CorruptionError as error:
        raise PullError(str(error)) from error
    if not isinstance(entries, list):
        raise PullError(f"{where}: expected a list of files, got {type(entries).__name__}")
    files: dict[str, str] = {}
    for entry in entries:
        path, oid = _entry(entry, where)
        if path in files:
            raise PullError(f"{where}: expected each file once, got {path} twice")
        files[path] = oid
    for path in files:
        if inner := _above(path) & files.keys():
            raise PullError(f"{where}: expected a file or a folder, got both at {min(inner)}")
    return files


def _entry(entry: Any, where: str) -> tuple[str, str]:  # noqa: ANN401 - any JSON
    if not isinstance(entry, dict) or set(entry) != {"md5", "relpath"}:
        raise PullError(f"{where}: expected md5 and relpath of a file, got {ascii(entry)[:80]}")
    path, oid = entry["relpath"], entry["md5"]
    if not isinstance(path, str) or not is_plain(path):
        raise PullError(
            f"{where}: expected paths that stay inside it, got {ascii(path)[:80]}; do not use "
            "this remote"
        )
    if not isinstance(oid, str) or not _OBJECT.fullmatch(oid):
        raise PullError(f"{where}: expected an MD5 for {path}, got {ascii(oid)[:80]}")
    return path, oid


def is_plain(path: str) -> bool:
    """Whether a path of a listing names a file below its output, and none that git or DVC heeds.

    Example:
        >>> [is_plain(path) for path in ("seed_1/run.json", "../run.json", "/run.json", "a/.git/b")]
        [True, False, False, False]
    """
    parts = path.split("/")
    return (
        path.isprintable()
        and len(path) <= MAX_PATH
        and "\\" not in path
        and all(part.strip(" .") and part == part.strip() for part in parts)
        and all(len(part.encode()) <= 255 for part in parts)
        and not RESERVED & {part.lower().rstrip(". ") for part in parts}
    )


def _above(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts))}


def check_links(root: Path, output: Pulled) -> None:
    """Refuse links on the way to an output and below it, through which files would land elsewhere.

    Links to files are DVC's own, where it is set to link its cache.
    """
    above = output.path.relative_to(root).parts
    ways: Iterable[Path] = [root.joinpath(*above[:count]) for count in range(1, len(above) + 1)]
    for path in (*ways, *_folders(output.path)):
        if path.is_symlink() and (path.is_dir() or path != output.path):
            raise PullError(f"{path}: is a link to {path.readlink()}; remove it, and pull again")


def _folders(path: Path) -> Iterator[Path]:
    for folder, names, _ in os.walk(path):
        yield from (Path(folder, name) for name in names)


def _check_objects(repo: Any, outputs: Iterable[Pulled]) -> None:  # noqa: ANN401
    """Refuse files in the cache that are not what their names say; they are removed from it."""
    wrong: dict[str, str] = {}
    for output in outputs:
        for name, oid in output.files.items():
            cached = Path(repo.cache.local.oid_to_path(oid))
            if oid not in wrong and (found := _content(cached)) != oid:
                wrong[oid] = f"{output.path / name}: expected MD5 {oid}, got {found}"
    for oid in wrong:
        Path(repo.cache.local.oid_to_path(oid)).unlink(missing_ok=True)
    if wrong:
        raise PullError(
            f"{min(wrong.values())}; {len(wrong)} of the files that the remote gave are others "
            "than were pushed, and none was put in place: push to a new one from a whole clone"
        )


def _content(path: Path) -> str:
    try:
        return _md5(path)
    except (OSError, TrajStoreError) as error:
        return type(error).__name__
