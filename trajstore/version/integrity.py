"""Is a version, byte for byte, what was sealed? Told wherever it lies, without a copy of it."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from trajstore.episode.episode import Episode
from trajstore.errors import (
    CorruptionError,
    FormatError,
    StorageError,
    TrajStoreError,
)
from trajstore.version.files import LocalFiles
from trajstore.version.findings import Finding, finding
from trajstore.version.layout import arrays_of, metadata_files
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.reading import Assembly
from trajstore.version.wide import check_file

Progress = Callable[[int], None]
"""Called with the bytes that were read since the last call."""

STRETCH_BYTES = 256 * 2**20
"""A deep look lets go of all files after so many bytes of episodes; fetched ones take room."""
_THREADS = 2


def verify(path: Path, *, deep: bool = False, progress: Progress = lambda _: None) -> list[Finding]:
    """Compare every byte of a version with what its manifest records, and the manifest with itself.

    Presence, kind, size and SHA-256 of every file; files and folders that nobody sealed, links;
    checksums of every chunk; metadata against the schema; lengths and digests of the episodes.
    Nothing is written.

    Args:
        path: folder of the version, which must be there.
        deep: also read every episode, check it against the schema, and compute its digest.
        progress: told of the bytes read.
    """
    try:
        files = LocalFiles(Path(path))
    except (CorruptionError, FormatError, StorageError) as error:
        return [finding("manifest", str(error), MANIFEST)]
    return _compared(files, deep=deep, progress=progress)


def check(
    files: LocalFiles, *, deep: bool = False, progress: Progress = lambda _: None
) -> list[Finding]:
    """The same for an open version wherever it lies, and what is wrong with that place.

    A file that lies elsewhere is read once from there and not kept; chunks have no second look
    then. Episodes, if they are wanted, come through the cache, a stretch of them at a time.
    """
    found = [] if files.origin is None else [*files.origin.findings()]
    try:
        changed = files.read_manifest() != files.manifest
    except (CorruptionError, FormatError, StorageError) as error:
        return [*found, finding("manifest", str(error), MANIFEST)]
    if changed:
        wanted = "the manifest changed since the version was opened; open it again"
        return [*found, finding("manifest", f"{files.where}/{MANIFEST}: {wanted}", MANIFEST)]
    return found + _compared(files, deep=deep, progress=progress)


def _compared(files: LocalFiles, *, deep: bool, progress: Progress) -> list[Finding]:
    findings = [*files.strays(), *_listing(files.manifest), *_files(files, progress)]
    if files.origin is None:
        damaged = {found.file for found in findings if found.check == "files"}
        findings += _checksums(files, damaged)
    return [*findings, *_episodes(files, deep=deep)]


def _listing(manifest: Manifest) -> Iterator[Finding]:
    """Whether the manifest lists the files that the schema calls for, and no others."""
    expected: set[str] = set()
    for part in manifest.parts:
        for key, content in metadata_files(manifest.schema, part):
            expected.add(key)
            record = manifest.files.get(key)
            if record and record.sha256 != hashlib.sha256(content).hexdigest():
                yield finding("metadata", f"{key}: expected what the schema says, got other", key)
        for spec in arrays_of(manifest.schema, part).values():
            expected |= {spec.file_path(number) for number in range(spec.file_count)}
    for key in sorted(expected ^ manifest.files.keys()):
        wanted = "an entry" if key in expected else "no entry"
        yield finding("manifest", f"{key}: expected {wanted} in the manifest", key)


def _files(files: LocalFiles, progress: Progress) -> Iterator[Finding]:
    """Files that are missing, or have another size or other bytes."""
    records = files.manifest.files
    with ThreadPoolExecutor(_THREADS if files.origin is None else 1) as pool:
        messages = pool.map(partial(_damage, files), records)
        for (key, record), message in zip(records.items(), messages, strict=True):
            progress(record.size)
            if message:
                yield finding("files", message, key)


def _damage(files: LocalFiles, key: str) -> str | None:
    """What is wrong with one file, in words; ``None`` if nothing is."""
    try:
        files.copy(key, lambda _: None)
    except TrajStoreError as error:
        return _told(files, error)
    return None


def _told(files: LocalFiles, error: TrajStoreError) -> str:
    """What an error says of the version; that its place cannot be reached says nothing of it."""
    if files.origin is not None and isinstance(error, StorageError):
        raise error
    return str(error)


def _checksums(files: LocalFiles, damaged: set[str | None]) -> Iterator[Finding]:
    """Chunks whose own checksums differ, in files that are otherwise as sealed."""
    manifest = files.manifest
    for part in manifest.parts:
        for spec in arrays_of(manifest.schema, part).values():
            for number, path in enumerate(spec.file_paths()):
                if path in damaged or path not in manifest.files:
                    continue
                try:
                    check_file(spec, number, files)
                except CorruptionError as error:
                    yield finding("checksums", str(error), path)


def _episodes(files: LocalFiles, *, deep: bool) -> Iterator[Finding]:
    """Lengths and digests that do not fit together; ``deep`` reads the episodes for it."""
    manifest = files.manifest
    assembly = Assembly.of(files)
    try:
        digests = assembly.digests()
        lengths = assembly.lengths.tolist()
        if deep:
            assembly.index("anomaly")
    except TrajStoreError as error:
        yield finding("index", _told(files, error))
        return
    if content_digest(manifest.schema, digests) != manifest.content_digest:
        where = files.where
        yield finding("index", f"{where}: expected the content digest of its episodes, got another")
    step_bytes = sum(field.row_bytes for field in manifest.schema.fields)
    held = 0
    for index in range(manifest.episodes if deep else 0):
        held += step_bytes * lengths[index]
        if held > STRETCH_BYTES:
            assembly, held = Assembly.of(files), 0
        message = _content(files, assembly, index, digests[index].hex())
        if message:
            yield finding("episodes", f"episode {index}: {message}", episode=index)


def _content(files: LocalFiles, assembly: Assembly, index: int, digest: str) -> str | None:
    try:
        episode = Episode(files.manifest.schema, assembly.arrays(index))
    except TrajStoreError as error:
        return _told(files, error)
    if episode.digest != digest:
        return f"expected content with digest {digest[:16]}..., got {episode.digest[:16]}..."
    return None
