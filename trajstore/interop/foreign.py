"""Files of others: what they are, what leads out of them, and what their readers say of them."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trajstore.disk.files import open_file
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, NotFoundError, TrajStoreError

UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError,
    RuntimeError, TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What readers of other packages raise on files that are not theirs, or are damaged."""
LFS = b"version https://git-lfs"
"""How a file begins that stands for one that Git LFS has not fetched."""
_ABSENT = re.compile(r"[Oo]bject '([^']*)' doesn't exist")


def inside(source: Path, name: str) -> Path:
    """A file of a folder that is imported; a link or a name that leads out of it is refused."""
    path = source / str(name)
    check_inside(source, path)
    with open_file(path) as file:
        if file.read(len(LFS)) == LFS:
            raise CorruptionError(
                f"{source}: {name} is a pointer of Git LFS, not the file itself; run 'git lfs "
                "pull' in that folder"
            )
    return path


def check_inside(source: Path, path: Path) -> None:
    """Refuse what lies outside of a folder, by its name or through a link."""
    if not path.resolve().is_relative_to(source.resolve()):
        name = shown(str(path).removeprefix(f"{source}/"))
        raise CorruptionError(
            f"{source}: {name} leads out of it, to {shown(str(path.resolve()))}; "
            "copy that into the folder if it belongs there"
        )


@contextmanager
def reading(source: Path, what: str) -> Iterator[None]:
    """Turn what a foreign reader raises into a `CorruptionError` that tells what was expected."""
    if not source.exists():
        raise NotFoundError(f"{source}: there is nothing to import; check the path")
    for path in (source, *source.rglob("*")):
        if not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise CorruptionError(f"{source}: is not {what}: {path} is no file")
    try:
        yield
    except TrajStoreError:
        raise
    except UNREADABLE as error:
        why = f"is not {what}{_why(error, source)}; export it again"
        raise CorruptionError(f"{source}: {why}") from error


def _why(error: BaseException, source: Path) -> str:
    """What a foreign reader met, without the words of its programmer."""
    name = shown(str(getattr(error, "filename", None)).removeprefix(f"{source}/"))
    if isinstance(error, FileNotFoundError) and error.filename:
        return f", or not a whole one: {name} is missing"
    if isinstance(error, OSError) and error.strerror:
        return f" ({name}: {error.strerror.lower()})" if error.filename else f" ({error.strerror})"
    if isinstance(error, TypeError | AttributeError | AssertionError):
        return " (a value in it is missing, or of another kind than belongs there)"
    if isinstance(error, KeyError) and error.args and str(error.args[0]).isidentifier():
        return f" (it has no {shown(error.args[0])})"
    if absent := _ABSENT.search(str(error)):
        return f" (it has no {shown(absent[1])})"
    return f" ({shown(' '.join(str(error).split()) or type(error).__name__, 200)[1:-1]})"
