"""HDF5 files that are looked through before any row is read: no links out, no sizes but their own.

HDF5 can name other files in five ways, and can declare arrays of any size that were never written.
"""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trajstore.disk.files import open_file
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError

PLAIN_FILTERS = frozenset({1, 2, 3, 32000})
"""Deflate, shuffle, Fletcher's checksum, LZF: what h5py itself brings."""
MAX_RATIO, FREE_BYTES = 100, 64 * 2**20
"""How much larger than in the file an array may become that is larger than the free bytes."""
MAX_DEPTH = 32
MAX_ATTRIBUTE_BYTES = 65_536


@contextmanager
def opened(path: Path, *, checked: bool = False) -> Iterator[h5py.File]:
    """A file for reading, once all of its structure was looked through, unless it was before.

    Raises:
        CorruptionError: if something in it leads to another file or place, or is claimed to be
            larger than what the file holds, named by its path in the file.
    """
    with open_file(path) as plain:
        size = plain.seek(0, 2)
    if not size:
        raise CorruptionError(f"{path}: expected an HDF5 file, got an empty one")
    with h5py.File(path, "r") as file:
        if not checked:
            _check(file, path, size)
        yield file


def _check(file: h5py.File, path: Path, size: int) -> None:
    seen: set[int] = set()
    stored = 0
    pending: list[tuple[str, Any, int]] = [("", file["/"], 0)]
    while pending:
        above, group, depth = pending.pop()
        for key in group:
            name = f"{above}/{key}"
            where = f"{path}: {shown(name)}"
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink) or depth > MAX_DEPTH:
                raise CorruptionError(
                    f"{where}: expected data in its own place, got {_target(link)}; "
                    "import only files that hold their data themselves"
                )
            item = group[key]
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                raise CorruptionError(f"{where}: expected data once, got it by a second name")
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append((name, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                stored += _checked_bytes(item, where)
    if stored > size:
        raise CorruptionError(
            f"{path}: expected at most the {size:,} bytes of the file, got arrays of {stored:,}"
        )


def _target(link: Any) -> str:  # noqa: ANN401 - any kind of link
    """What a link is and where it leads, for a message."""
    if isinstance(link, h5py.ExternalLink):
        return f"a link to {shown(link.path)} of the file {shown(link.filename)}"
    if isinstance(link, h5py.SoftLink):
        return f"a link to {shown(link.path)}"
    return "folders nested too deep" if isinstance(link, h5py.HardLink) else "an unknown link"


def _checked_bytes(item: h5py.Dataset, where: str) -> int:
    """Bytes of an array in the file; refused before its rows are touched if they are elsewhere."""
    made = item.id.get_create_plist()
    if made.get_external_count():
        raise CorruptionError(
            f"{where}: expected data in the file itself, got external storage in "
            f"{shown(made.get_external(0)[0])}; import only files that hold their data themselves"
        )
    if made.get_layout() == h5py.h5d.VIRTUAL:
        raise CorruptionError(
            f"{where}: expected data in the file itself, got a virtual dataset over "
            f"{shown(made.get_virtual_filename(0))}; import only files that hold their data"
        )
    filters = {made.get_filter(place)[0] for place in range(made.get_nfilters())}
    if filters - PLAIN_FILTERS:
        raise CorruptionError(
            f"{where}: is packed with filters {sorted(filters)}, which are not read here; "
            "write it anew with h5repack -f NONE"
        )
    if item.shape is None:
        raise CorruptionError(f"{where}: expected an array, got an empty one")
    claimed = prod(item.shape) * item.id.get_type().get_size()
    stored = int(item.id.get_storage_size())
    most = stored if not filters else max(MAX_RATIO * stored, FREE_BYTES)
    if item.chunks is not None:
        sides = zip(item.shape, item.chunks, strict=True)
        written = prod(-(-rows // chunk) for rows, chunk in sides) == item.id.get_num_chunks()
    else:
        written = bool(stored) or not claimed
    if claimed > most or not written:
        raise CorruptionError(
            f"{where}: expected the {claimed:,} bytes that it claims, got {stored:,} in the file; "
            "export it again, or if it is deflated, write it anew with h5repack -f NONE"
        )
    return stored


def array(item: Any, where: str) -> np.ndarray:  # noqa: ANN401 - a group, a dataset
    """The numbers of a dataset.

    Raises:
        CorruptionError: if it is a group, or holds something else.
    """
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf":
        raise CorruptionError(f"{where}: expected an array of numbers, got {_kind(item)}")
    found: np.ndarray = np.asarray(item[()])
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def texts(item: h5py.Dataset, where: str) -> list[str]:
    """The texts of a dataset.

    Raises:
        CorruptionError: if it holds something else.
    """
    if not is_text(item) or item.ndim != 1:
        raise CorruptionError(f"{where}: expected texts, got {_kind(item)}")
    at_once = min(1024, max(1, FREE_BYTES // max(1, item.file.id.get_filesize())))
    found: list[str] = []
    longest = 1
    for row in range(0, len(item), at_once):
        for text in item[row : row + at_once]:
            found.append(text.decode() if isinstance(text, bytes) else str(text))
            longest = max(longest, len(found[-1]))
        if 4 * longest * len(item) > FREE_BYTES:
            raise CorruptionError(
                f"{where}: expected texts of at most {FREE_BYTES:,} bytes in all, got one of "
                f"{longest:,} letters in {len(item):,} rows"
            )
    return found


def is_text(item: h5py.Dataset) -> bool:
    """Whether a dataset holds text."""
    return h5py.check_string_dtype(item.dtype) is not None


def attributes(item: h5py.Group) -> dict[str, Any]:
    """The short attributes of a group: numbers, arrays of them, text; ``None`` for others."""
    found: dict[str, Any] = {}
    for name in item.attrs:
        attribute = h5py.h5a.open(item.id, name.encode())
        if attribute.shape is None:
            found[name] = None
            continue
        size = prod(attribute.shape or (1,)) * attribute.get_type().get_size()
        if size > MAX_ATTRIBUTE_BYTES or attribute.get_storage_size() > MAX_ATTRIBUTE_BYTES:
            found[name] = None
            continue
        value = item.attrs[name]
        plain = isinstance(value, str | np.generic) or (
            isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        )
        found[name] = value if plain else None
    return found


def leaves(group: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays below a group, by their names joined by ``/``."""
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            yield from leaves(item, f"{above}{key}/")
        else:
            yield f"{above}{key}", item


def unplaced(group: h5py.Group, above: str = "", known: Container[str] = ()) -> Iterator[str]:
    """What lies below a group and becomes nothing, in words: attributes, groups without data."""
    for key, item in group.items():
        name = f"{above}{key}"
        for attribute in item.attrs:
            if attribute not in known:
                yield f"attribute {shown(attribute)} of {shown(name)}: no place"
        if isinstance(item, h5py.Group):
            if not len(item):
                yield f"group {shown(name)}: nothing in it"
            yield from unplaced(item, f"{name}/", known)


def _kind(item: Any) -> str:  # noqa: ANN401 - a group, a dataset
    return str(item.dtype) if isinstance(item, h5py.Dataset) else "a group"
