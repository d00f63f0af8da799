"""Pack a version into one file, read it where it lies, compare it, unpack it.

A pack holds the version's manifest and its arrays in the archive profile (`packing`).
What is compared is the content: the digest of every episode, computed from the unpacked rows.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np

from trajstore.dataset import Dataset
from trajstore.disk.files import MAX_JSON_BYTES, whole_directory
from trajstore.disk.system import storing
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, FieldSpec
from trajstore.errors import ArchiveError, CorruptionError, TrajStoreError
from trajstore.lifecycle.packing import decode, encode, metadata, most_bytes, packed_arrays
from trajstore.lifecycle.zipped import Write, ZipReader, ZipWriter
from trajstore.version.layout import ArraySpec
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.part import Part
from trajstore.version.writer import Contents, fill


def pack(dataset: Dataset, write: Write) -> None:
    """Pack a version; the same version gives the same bytes.

    Args:
        dataset: any sealed version.
        write: takes the bytes of the pack, from the first to the last.

    Raises:
        CorruptionError: if the version is damaged.
        StorageError: if the operating system refuses.
    """
    manifest = dataset.manifest
    part = Part("", manifest.episodes, manifest.steps)
    arrays = packed_arrays(dataset.schema, part)
    with storing(dataset.path):
        entries = ZipWriter(write)
        columns = {name: _Column(spec, entries) for name, spec in arrays.items()}
        codes = {name: _codes(words) for name, words in manifest.vocabularies.items()}
        for episode in dataset:
            for field in dataset.schema.fields:
                columns[field.name].append(_rows(field, episode, codes))
        for name, values in _index(dataset).items():
            columns[name].append(values)
        for column in columns.values():
            column.close()
        for path, content in metadata(dataset.schema, part).items():
            entries.add(path, content)
        entries.add(MANIFEST, manifest.to_bytes())
        entries.close()


MAX_EPISODES = 10_000_000


class Pack(Sequence[Episode]):
    """A pack, read where it lies: the manifest, and episodes as they are asked for.

    Reading episodes in order decodes each chunk once; memory holds one chunk a field.

    Raises:
        ArchiveError: if the file is no pack, or one that was changed; it is refused before
            anything of it is used, and takes no more memory than a chunk must have.
    """

    def __init__(self, file: BinaryIO, where: object = "pack") -> None:
        """Read the directory of a seekable binary file; ``where`` names it in errors."""
        self._where = str(where)
        self._zip = ZipReader(file, where)
        try:
            content = self._zip.read(MANIFEST, most=MAX_JSON_BYTES)
            self.manifest = Manifest.from_bytes(content, f"{where}: {MANIFEST}")
        except CorruptionError as error:
            raise ArchiveError(str(error)) from error
        if self.manifest.episodes > MAX_EPISODES:
            raise ArchiveError(f"{where}: expected at most {MAX_EPISODES:,} episodes, got more")
        part = Part("", self.manifest.episodes, self.manifest.steps)
        self.arrays = packed_arrays(self.manifest.schema, part)
        self._check_entries(part)
        self._held: dict[str, tuple[int, np.ndarray]] = {}
        self.lengths = self.span("index/length", 0, len(self))
        if np.any(self.lengths < 1) or int(self.lengths.sum()) != self.manifest.steps:
            raise ArchiveError(f"{where}: expected lengths that add up to the steps, got others")
        self._starts = np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return self.manifest.episodes

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> list[Episode]: ...
    def __getitem__(self, index: int | slice) -> Episode | list[Episode]:
        """Return the episode of that index, checked against the schema.

        Raises:
            ArchiveError: if its bytes are not those that were packed.
        """
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"episode {index}: expected 0 to {len(self) - 1}")
        index %= len(self)
        first, steps = int(self._starts[index]), int(self.lengths[index])
        spans = {
            Axis.STATE: (first + index, first + steps + index + 1),
            Axis.STEP: (first, first + steps),
            Axis.EPISODE: (index, index + 1),
        }
        arrays = {
            field.name: self._values(field, *spans[field.axis])
            for field in self.manifest.schema.fields
        }
        try:
            return Episode(self.manifest.schema, arrays)
        except TrajStoreError as error:
            raise ArchiveError(f"{self._where}: episode {index}: {error}") from error

    def check(self) -> None:
        """Compare the content with the content digest, every episode of it.

        Raises:
            ArchiveError: if it is another.
        """
        digests = [bytes.fromhex(episode.digest) for episode in self]
        found = content_digest(self.manifest.schema, digests)
        listed = self.span("index/digest", 0, len(self)).tobytes()
        self.span("index/anomaly", 0, len(self))
        if found != self.manifest.content_digest or listed != b"".join(digests):
            raise ArchiveError(
                f"{self._where}: expected content {self.manifest.content_digest[:12]}, "
                f"got {found[:12]}; restore from another copy"
            )

    def _check_entries(self, part: Part) -> None:
        described = metadata(self.manifest.schema, part)
        expected = {MANIFEST, *described}
        if sum(spec.file_count for spec in self.arrays.values()) > len(self._zip.records):
            raise ArchiveError(f"{self._where}: expected every chunk, got fewer entries")
        for spec in self.arrays.values():
            expected |= {spec.file_path(number) for number in range(spec.file_count)}
        if expected != set(self._zip.records):
            odd = min(expected ^ set(self._zip.records))
            raise ArchiveError(f"{self._where}: expected the entries of a version, not so {odd!r}")
        for name, content in described.items():
            if self._zip.records[name].sha256 != hashlib.sha256(content).hexdigest():
                raise ArchiveError(f"{self._where}: expected {name} as the manifest has it")

    def _values(self, field: FieldSpec, first: int, stop: int) -> np.ndarray:
        rows = self.span(field.name, first, stop)
        if field.axis is not Axis.EPISODE:
            return rows.astype(field.dtype, copy=False)
        if not field.is_text:
            return rows.reshape(field.shape).astype(field.dtype, copy=False)
        words = self.manifest.vocabularies.get(field.name, ())
        code = int(rows[0])
        if not 0 <= code < len(words):
            raise ArchiveError(
                f"{self._where}: {field.name}: expected a code of a word, got {code}"
            )
        return np.array(words[code])

    def span(self, name: str, first: int, stop: int) -> np.ndarray:
        """Rows of a field or of the index, texts as codes; raises as asking for an episode does."""
        spec = self.arrays[name]
        pieces = []
        for number in range(first // spec.chunk_rows, -(-stop // spec.chunk_rows)):
            start = number * spec.chunk_rows
            chunk = self._chunk(name, spec, number)
            pieces.append(chunk[max(first - start, 0) : stop - start])
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _chunk(self, name: str, spec: ArraySpec, number: int) -> np.ndarray:
        held = self._held.get(name)
        if held is None or held[0] != number:
            data = self._zip.read(spec.file_path(number), most=most_bytes(spec))
            held = self._held[name] = (number, decode(spec, data))
        return held[1]


def unpack(packed: Pack, target: Path) -> Manifest:
    """Write the version of a pack into a new folder; it is there whole and right, or not at all.

    Raises:
        ArchiveError: if the content is not that of the pack's manifest.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    manifest = packed.manifest
    part = Part("", manifest.episodes, manifest.steps)
    contents = Contents(manifest.schema, part, manifest.provenance)
    with whole_directory(target) as folder:
        written = fill(folder, packed, contents)
        if written.content_digest != manifest.content_digest:
            raise ArchiveError(
                f"{target.name}: expected content {manifest.content_digest[:12]}, "
                f"got {written.content_digest[:12]}; restore from another copy"
            )
    return written


class _Column:
    """The chunks of one array, written as soon as they are full."""

    def __init__(self, spec: ArraySpec, entries: ZipWriter) -> None:
        self._spec, self._entries = spec, entries
        self._chunk = np.zeros((spec.chunk_rows, *spec.field.shape), spec.field.numpy_dtype)
        self._filled = self._number = 0

    def append(self, rows: np.ndarray) -> None:
        while len(rows):
            room = self._spec.chunk_rows - self._filled
            taken = rows[:room]
            self._chunk[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[room:]
            if self._filled == self._spec.chunk_rows:
                self._flush()

    def close(self) -> None:
        if self._filled:
            self._chunk[self._filled :] = 0
            self._flush()

    def _flush(self) -> None:
        self._entries.add(self._spec.file_path(self._number), encode(self._spec.field, self._chunk))
        self._number, self._filled = self._number + 1, 0


def _codes(words: Sequence[str]) -> Mapping[str, int]:
    return {word: code for code, word in enumerate(words)}


def _rows(field: FieldSpec, episode: Episode, codes: Mapping[str, Mapping[str, int]]) -> np.ndarray:
    if field.is_text:
        return np.array([codes[field.name][str(episode[field.name])]], np.int32)
    values = episode.arrays[field.name]
    return values[None] if field.axis is Axis.EPISODE else values


def _index(dataset: Dataset) -> dict[str, np.ndarray]:
    table = dataset.episodes
    digests = np.frombuffer(bytes.fromhex("".join(table["digest"])), np.uint8).reshape(-1, 32)
    return {
        "index/length": table["length"],
        "index/digest": digests,
        "index/anomaly": table["anomaly"],
    }
