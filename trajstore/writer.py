"""Write episodes into one new, sealed version."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trajstore import anomalies
from trajstore.chunks import RowWriter, row_writer
from trajstore.episode import Episode
from trajstore.errors import JournalError, SchemaError
from trajstore.fields import Axis, FieldSpec
from trajstore.files import FileRecord, make_directories, storing, whole_directory, write_file
from trajstore.layout import arrays_of, groups_of, metadata_files, projected_bytes
from trajstore.manifest import MANIFEST, Manifest, content_digest
from trajstore.part import Part
from trajstore.quota import DEFAULT_QUOTA_BYTES, check_quota
from trajstore.schema import EpisodeSchema
from trajstore.statistics import Statistics

BATCH_BYTES = 4 * 2**20
SCENARIO = "scenario"


def write_dataset(
    target: Path,
    episodes: Iterable[Episode],
    *,
    schema: EpisodeSchema,
    provenance: Mapping[str, Any],
    quota_bytes: int = DEFAULT_QUOTA_BYTES,
) -> Manifest:
    """Write episodes into a new version; it is there whole, or not at all.

    Args:
        target: folder of the version; must not exist.
        episodes: all of one schema. A sequence is read twice.
        schema: the fields of every episode.
        provenance: plain JSON values; no times, so that the same recipe gives the same bytes.
        quota_bytes: most that the version may take on disk, 25 GB unless told.

    Raises:
        SealedError: if the target exists.
        SchemaError: if an episode has another schema.
        JournalError: if there is no episode.
        QuotaExceededError: if the version would be larger; nothing was written.
        StorageError: if the operating system refuses.
    """
    known = episodes if isinstance(episodes, Sequence) else list(episodes)
    target = Path(target)
    part = Part("", len(known), sum(len(episode) for episode in known))
    check_not_empty(target, part)
    check_quota(target, needed=projected_bytes(schema, part), quota_bytes=quota_bytes)
    with whole_directory(target) as folder:
        return fill(folder, known, Contents(schema, part, provenance))


@dataclass(frozen=True, slots=True)
class Contents:
    """What is to be written: one part of episodes.

    Attributes:
        schema: the fields.
        part: where, and how many episodes and steps will come.
        provenance: of the version.
    """

    schema: EpisodeSchema
    part: Part
    provenance: Mapping[str, Any]


def check_not_empty(target: Path, part: Part) -> None:
    """Refuse to seal nothing.

    Raises:
        JournalError: if the part has no episode.
    """
    if not part.episodes:
        raise JournalError(f"version {target.name}: expected at least one episode, got none")


def fill(folder: Path, episodes: Iterable[Episode], contents: Contents) -> Manifest:
    """Write all files of a version into an empty folder, the manifest last.

    Raises:
        SchemaError: if an episode has another schema, or their number is not what was said.
        StorageError: if the operating system refuses.
    """
    with storing(folder):
        writer = _VersionWriter(folder, contents)
        try:
            for batch in _batches(episodes):
                writer.append(batch)
            manifest = writer.close()
        finally:
            writer.abandon()
        write_file(folder / MANIFEST, manifest.to_bytes())
    return manifest


def _batches(episodes: Iterable[Episode]) -> Iterator[list[Episode]]:
    """Lists of episodes of a few megabytes, so that NumPy has something to work on."""
    batch: list[Episode] = []
    size = 0
    for episode in episodes:
        batch.append(episode)
        size += sum(array.nbytes for array in episode.arrays.values())
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _VersionWriter:
    """Everything that grows while the episodes of a part pass by."""

    def __init__(self, folder: Path, contents: Contents) -> None:
        self._folder, self._contents = folder, contents
        self._statistics = Statistics(contents.schema)
        self._words: dict[str, dict[str, int]] = {
            field.name: {} for field in contents.schema.fields if field.is_text
        }
        self._scenarios: dict[str, int] = {}
        self._anomalies: dict[int, tuple[dict[str, object], ...]] = {}
        self._digests: list[bytes] = []
        self._steps = 0
        self.files: dict[str, FileRecord] = {}
        self._make_folders()
        self._writers: dict[str, RowWriter] = {
            name: row_writer(folder, spec)
            for name, spec in arrays_of(contents.schema, contents.part).items()
        }

    def append(self, batch: Sequence[Episode]) -> None:
        """Take the next episodes."""
        for episode in batch:
            if episode.schema != self._contents.schema:
                raise SchemaError("episode: expected the schema of its dataset, got another one")
        for field in self._contents.schema.fields:
            rows = self._rows(field, batch)
            self._statistics.add(field.name, rows)
            self._writers[field.name].append(rows)
        found = [anomalies.find(episode) for episode in batch]
        scores = [anomalies.score(one) for one in found]
        for index, one in enumerate(found, start=len(self._digests)):
            if one:
                self._anomalies[index] = tuple(anomaly.to_json() for anomaly in one)
        lengths = [len(episode) for episode in batch]
        digests = [bytes.fromhex(episode.digest) for episode in batch]
        self._writers["index/length"].append(np.array(lengths, "<i8"))
        self._writers["index/anomaly"].append(np.array(scores, "<f4"))
        self._writers["index/digest"].append(
            np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        )
        self._digests += digests
        self._steps += sum(lengths)

    def close(self) -> Manifest:
        """Finish all arrays; returns the manifest that describes them."""
        contents = self._contents
        got = Part(contents.part.path, len(self._digests), self._steps)
        if got != contents.part:
            raise SchemaError(f"episodes: expected {contents.part}, got {got}")
        for writer in self._writers.values():
            self.files |= writer.close()
        return Manifest(
            schema=contents.schema,
            content_digest=content_digest(contents.schema, self._digests),
            parts=(contents.part,),
            files=self.files,
            vocabularies={name: tuple(words) for name, words in self._words.items()},
            statistics=self._statistics.to_json(),
            scenario_counts=dict(self._scenarios),
            provenance=dict(contents.provenance),
            anomalies=self._anomalies,
        )

    def abandon(self) -> None:
        """Release all open files."""
        for writer in self._writers.values():
            writer.abandon()

    def _make_folders(self) -> None:
        contents = self._contents
        arrays = [spec.path for spec in arrays_of(contents.schema, contents.part).values()]
        for path in sorted({*groups_of(contents.schema, contents.part), *arrays}):
            make_directories(self._folder / path)
        for path, content in metadata_files(contents.schema, contents.part):
            self.files[path] = write_file(self._folder / path, content)

    def _rows(self, field: FieldSpec, batch: Sequence[Episode]) -> np.ndarray:
        arrays = [episode.arrays[field.name] for episode in batch]
        if field.is_text:
            return self._codes(field.name, [str(array[()]) for array in arrays])
        joined = np.stack(arrays) if field.axis is Axis.EPISODE else np.concatenate(arrays)
        return joined.astype(field.numpy_dtype, copy=False)

    def _codes(self, name: str, texts: Sequence[str]) -> np.ndarray:
        words = self._words[name]
        for text in texts:
            words.setdefault(text, len(words))
            if name == SCENARIO:
                self._scenarios[text] = self._scenarios.get(text, 0) + 1
        return np.array([words[text] for text in texts], "<i4")
