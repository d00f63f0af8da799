"""What lies at a path where a version was expected, in words for whoever named it."""

import re
from pathlib import Path

from trajstore.disk.files import is_there
from trajstore.episode.names import is_name, version_number
from trajstore.lifecycle.ledger import LEDGER
from trajstore.lifecycle.shelf import PACK
from trajstore.recording.unfinished import RECORD, is_begun
from trajstore.version.manifest import MANIFEST

_RECORDING = re.compile(r"\.(.+)\.(?:recording|dropped)")
_UNFINISHED = "an unfinished recording, no version yet; see 'trajstore recover'"
_MOST = 5


def kind_of(path: Path) -> str:
    """What a path leads to, if it is no version, and what to name instead.

    Example:
        >>> kind_of(Path("/nowhere"))
        'nothing there'
    """
    try:
        return _kind(path)
    except OSError as error:
        return f"what may not be looked into ({error.strerror})"


def _kind(path: Path) -> str:
    if not path.is_dir():
        missing = _UNFINISHED if is_begun(path) else "nothing there"
        return _file(path) if is_there(path) else missing
    if (path / RECORD).exists() or _RECORDING.fullmatch(path.name):
        return _UNFINISHED
    if is_there(path / MANIFEST):
        return "a version"
    for parent in path.parents[:4]:
        if (parent / MANIFEST).exists():
            return f"a folder inside of the version {parent}; name that one"
    return _folder(path, sorted(it.name for it in path.iterdir()))


def _folder(path: Path, names: list[str]) -> str:
    if versions := _versions(path):
        return f"a dataset; name a version of it: {_listed(versions)}"
    if LEDGER in names:
        return "a dataset whose versions are all in the archive; see 'trajstore list'"
    if datasets := _datasets(path):
        return (
            f"a store, of {_listed(datasets)}; name a version of it, such as "
            f"{datasets[0]}@latest with --store {path}"
        )
    if packs := [name for name in names if PACK.fullmatch(name)]:
        return f"an archive; name a pack of it: {_listed([str(path / it) for it in packs])}"
    if stores := [name for name in names if _datasets(path / name)]:
        return f"the folder around the store {path / stores[0]}; name a version of that"
    return "a folder that holds none" if names else "an empty folder"


def _file(path: Path) -> str:
    if path.name == MANIFEST:
        return f"its manifest; name the folder: {path.parent}"
    if PACK.fullmatch(path.name):
        return "a pack, which is for looking only; bring its version back: trajstore restore"
    return "a file" if path.is_file() else "a pipe, a device or a socket"


def _versions(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    found = [it for it in path.iterdir() if version_number(it.name) and is_there(it / MANIFEST)]
    return [str(it) for it in sorted(found, key=lambda it: int(it.name[1:]))]


def _datasets(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    inside = (it for it in path.iterdir() if is_name(it.name))
    return sorted(it.name for it in inside if _versions(it) or (it / LEDGER).exists())


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_MOST]) + (", ..." if len(names) > _MOST else "")
