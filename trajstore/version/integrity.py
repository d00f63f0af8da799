"""Is a version, byte for byte, what was sealed?"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from trajstore.disk.mapping import open_sealed
from trajstore.disk.system import FileRecord
from trajstore.episode.episode import Episode
from trajstore.errors import CorruptionError, FormatError, StorageError, TrajStoreError
from trajstore.version.assembly import Assembly
from trajstore.version.files import LocalFiles
from trajstore.version.findings import Finding, Severity
from trajstore.version.layout import arrays_of, metadata_files
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.shards import check_file

Progress = Callable[[int], None]
"""Called with the bytes that were read since the last call."""

_READ_BYTES = 2**20
_THREADS = 2


def verify(path: Path, *, deep: bool = False, progress: Progress = lambda _: None) -> list[Finding]:
    """Compare every byte of a version with what its manifest records, and the manifest with itself.

    Presence, kind, size and SHA-256 of every file; files and folders that nobody sealed, links;
    checksums of every chunk; metadata against the schema; lengths and digests of the episodes.
    Nothing is written.

    Args:
        path: folder of the version.
        deep: also read every episode, check it against the schema, and compute its digest.
        progress: told of the bytes read.

    Returns:
        All findings; none if the version is sound.

    Raises:
        NotFoundError: if there is no version.
    """
    path = Path(path)
    try:
        manifest = Manifest.read(path)
    except (CorruptionError, FormatError, StorageError) as error:
        return [_finding("manifest", str(error), MANIFEST)]
    findings = [*_strays(path, manifest), *_listing(manifest)]
    findings += _files(path, manifest, progress)
    files = LocalFiles(path, manifest)
    findings += _checksums(files, {found.file for found in findings if found.check == "files"})
    findings += _episodes(files, deep=deep)
    return findings


def check(files: LocalFiles, *, deep: bool, progress: Progress) -> list[Finding]:
    """The same for a version wherever it lies, and what is wrong with that place.

    One that lies elsewhere is copied into a temporary folder and compared there.

    Raises:
        StorageError: if there is no room for a copy.
    """
    found = [] if files.origin is None else [*files.origin.findings()]
    with files.whole() as (folder, wrong):
        for it in verify(folder, deep=deep, progress=progress):
            message = it.message.replace(str(folder), files.where)
            if it.check == "files" and it.file is not None:
                message = wrong.get(it.file, message)
            found.append(replace(it, message=message))
    return found


def _finding(
    check: str, message: str, file: str | None = None, episode: int | None = None
) -> Finding:
    return Finding(Severity.BLOCKING, check, message, file=file, episode=episode)


def _strays(root: Path, manifest: Manifest) -> Iterator[Finding]:
    """Whatever lies in the folder and was not sealed."""
    sealed = {*manifest.files, MANIFEST}
    folders = {parent for file in sealed for parent in _parents(file)}
    for key, entry in _walk(root, ""):
        if entry.is_symlink():
            yield _finding(
                "links", f"{key}: expected no link, got one to {Path(entry.path).readlink()}", key
            )
        elif entry.is_dir():
            if key not in folders:
                yield _finding("strays", f"{key}: expected no such folder, got one", key)
        elif key not in sealed:
            yield _finding("strays", f"{key}: expected no such file, got one; remove it", key)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            key = f"{prefix}{entry.name}"
            yield key, entry
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{key}/")


def _parents(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


def _listing(manifest: Manifest) -> Iterator[Finding]:
    """Whether the manifest lists the files that the schema calls for, and no others."""
    expected: set[str] = set()
    for part in manifest.parts:
        for key, content in metadata_files(manifest.schema, part):
            expected.add(key)
            record = manifest.files.get(key)
            if record and record.sha256 != hashlib.sha256(content).hexdigest():
                yield _finding("metadata", f"{key}: expected what the schema says, got other", key)
        for spec in arrays_of(manifest.schema, part).values():
            expected |= {spec.file_path(number) for number in range(spec.file_count)}
    for key in sorted(expected ^ manifest.files.keys()):
        wanted = "an entry" if key in expected else "no entry"
        yield _finding("manifest", f"{key}: expected {wanted} in the manifest", key)


def _files(root: Path, manifest: Manifest, progress: Progress) -> Iterator[Finding]:
    """Files that are missing, or have another size or other bytes."""
    with ThreadPoolExecutor(_THREADS) as pool:
        messages = pool.map(lambda key: _damage(root, key, manifest.files[key]), manifest.files)
        for key, message in zip(manifest.files, messages, strict=True):
            progress(manifest.files[key].size)
            if message:
                yield _finding("files", message, key)


def _damage(root: Path, key: str, record: FileRecord) -> str | None:
    """What is wrong with one file, in words; ``None`` if nothing is."""
    try:
        descriptor = open_sealed(root / key, record.size)
    except TrajStoreError as error:
        return str(error)
    sha = hashlib.sha256()
    buffer = memoryview(bytearray(min(_READ_BYTES, record.size)))
    try:
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                sha.update(buffer[:count])
    except OSError as error:
        return f"{root / key}: expected readable bytes, got {error.strerror}; check the disk"
    if sha.hexdigest() != record.sha256:
        return (
            f"{root / key}: expected bytes with SHA-256 {record.sha256[:16]}..., got "
            f"{sha.hexdigest()[:16]}...; get the version anew from its remote"
        )
    return None


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
                    yield _finding("checksums", str(error), path)


def _episodes(files: LocalFiles, *, deep: bool) -> Iterator[Finding]:
    """Lengths and digests that do not fit together; ``deep`` reads the episodes for it."""
    root, manifest = files.where, files.manifest
    assembly = Assembly.of(files)
    try:
        digests = [row.tobytes() for row in assembly.index("digest")]
        count = len(assembly.lengths)
    except TrajStoreError as error:
        yield _finding("index", str(error))
        return
    if content_digest(manifest.schema, digests) != manifest.content_digest:
        yield _finding("index", f"{root}: expected the content digest of its episodes, got another")
    for index in range(count if deep else 0):
        message = _content(assembly, index, digests[index].hex())
        if message:
            yield _finding("episodes", f"episode {index}: {message}", episode=index)


def _content(assembly: Assembly, index: int, digest: str) -> str | None:
    try:
        episode = Episode(assembly.manifest.schema, assembly.arrays(index))
    except TrajStoreError as error:
        return str(error)
    if episode.digest != digest:
        return f"expected content with digest {digest[:16]}..., got {episode.digest[:16]}..."
    return None
