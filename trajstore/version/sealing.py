"""Everything of a version that grows while its episodes pass by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.disk import system
from trajstore.disk.files import copy_file, write_file
from trajstore.disk.system import FileRecord, Syncs
from trajstore.episode import anomalies
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import CorruptionError, SchemaError
from trajstore.version.chunks import RowWriter, read_blocks, read_rows, row_writer
from trajstore.version.layout import arrays_of, groups_of, metadata_files
from trajstore.version.manifest import Manifest, content_digest
from trajstore.version.part import Part
from trajstore.version.statistics import Statistics

SCENARIO = "scenario"


def open_base(folder: Path, schema: EpisodeSchema) -> Manifest:
    """The manifest of a version that is to be extended.

    Raises:
        NotFoundError: if there is no such version.
        SchemaError: if its episodes have another schema.
    """
    base = Manifest.read(folder)
    if base.schema != schema:
        raise SchemaError(f"{folder}: expected the schema of the episodes to come, got another one")
    return base


def read_digests(folder: Path, manifest: Manifest) -> list[bytes]:
    """The digests of a version's episodes in order, 32 bytes each.

    Raises:
        CorruptionError: if they are damaged.
    """
    found: list[bytes] = []
    for part in manifest.parts:
        rows = read_rows(folder, arrays_of(manifest.schema, part)["index/digest"])
        found += [row.tobytes() for row in rows]
    return found


class VersionWriter:
    """Writes one part of a version, and gathers what the manifest says of all of them.

    Use in this order: `take_over` at most once, `begin`, `append` as often as needed, `close`;
    `abandon` in any case.
    """

    def __init__(self, folder: Path, schema: EpisodeSchema, part: Part) -> None:
        self._folder, self._schema, self._part = folder, schema, part
        self._parts: tuple[Part, ...] = (part,)
        self._statistics = Statistics(schema)
        self._words: dict[str, dict[str, int]] = {
            field.name: {} for field in schema.fields if field.is_text
        }
        self._scenarios: dict[str, int] = {}
        self._anomalies: dict[int, tuple[Mapping[str, object], ...]] = {}
        self._digests: list[bytes] = []
        self._steps = 0
        self._files: dict[str, FileRecord] = {}
        self._writers: dict[str, RowWriter] = {}
        self._syncs = Syncs()

    def take_over(self, folder: Path, base: Manifest) -> None:
        """Begin with the episodes of another version: its files as they are, and its figures.

        Raises:
            CorruptionError: if a file is not what was sealed.
        """
        for path, record in sorted(base.files.items()):
            self._make_folder((self._folder / path).parent)
            if copy_file(folder / path, self._folder / path) != record:
                raise CorruptionError(f"{folder / path}: expected what was sealed, got other bytes")
            self._files[path] = record
        self._parts = (*base.parts, self._part)
        self._words = {
            name: {word: code for code, word in enumerate(words)}
            for name, words in base.vocabularies.items()
        }
        self._scenarios = dict(base.scenario_counts)
        self._anomalies = dict(base.anomalies)
        self._digests = read_digests(folder, base)
        for part in base.parts:
            for name, spec in arrays_of(base.schema, part).items():
                for block in read_blocks(folder, spec):
                    self._statistics.add(name, block)

    def begin(self) -> None:
        """Make the folders and the metadata, and open the arrays."""
        arrays = arrays_of(self._schema, self._part)
        paths = {spec.path for spec in arrays.values()}
        for path in sorted(paths.union(groups_of(self._schema, self._part))):
            self._make_folder(self._folder / path)
        for path, content in metadata_files(self._schema, self._part):
            if path not in self._files:
                self._files[path] = write_file(self._folder / path, content, self._syncs)
        self._writers = {
            name: row_writer(self._folder, spec, self._syncs) for name, spec in arrays.items()
        }

    def append(self, batch: Sequence[Episode]) -> None:
        """Take the next episodes.

        Raises:
            SchemaError: if one has another schema.
        """
        for episode in batch:
            check_episode(episode, self._schema)
        for field in self._schema.fields:
            rows = self._rows(field, batch)
            self._statistics.add(field.name, rows)
            self._writers[field.name].append(rows)
        self._append_index(batch)

    def _append_index(self, batch: Sequence[Episode]) -> None:
        found = [anomalies.find(episode) for episode in batch]
        for index, one in enumerate(found, start=len(self._digests)):
            if one:
                self._anomalies[index] = tuple(anomaly.to_json() for anomaly in one)
        scores = [anomalies.score(one) for one in found]
        lengths = [len(episode) for episode in batch]
        digests = [bytes.fromhex(episode.digest) for episode in batch]
        stacked = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        self._writers["index/length"].append(np.array(lengths, "<i8"))
        self._writers["index/anomaly"].append(np.array(scores, "<f4"))
        self._writers["index/digest"].append(stacked)
        self._digests += digests
        self._steps += sum(lengths)

    def close(self, provenance: Mapping[str, Any]) -> Manifest:
        """Finish all arrays; returns the manifest that describes the version.

        Raises:
            SchemaError: if other episodes came than the part says.
        """
        before = sum(part.episodes for part in self._parts[:-1])
        got = Part(self._part.path, len(self._digests) - before, self._steps)
        if got != self._part:
            raise SchemaError(f"episodes: expected {self._part}, got {got}")
        for writer in self._writers.values():
            self._files |= writer.close()
        self._syncs.wait()
        return Manifest(
            schema=self._schema,
            content_digest=content_digest(self._schema, self._digests),
            parts=self._parts,
            files=self._files,
            vocabularies={name: tuple(words) for name, words in self._words.items()},
            statistics=self._statistics.to_json(),
            scenario_counts=self._scenarios,
            provenance=dict(provenance),
            anomalies=self._anomalies,
        )

    def abandon(self) -> None:
        """Release all open files."""
        for writer in self._writers.values():
            writer.abandon()
        self._syncs.abandon()

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents; `whole_directory` makes them durable."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            system.OPS.mkdir(folder)

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
