"""Write episodes into one new, sealed version."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.disk.files import whole_directory, write_file
from trajstore.disk.system import FileRecord, Syncs, storing
from trajstore.episode import anomalies
from trajstore.episode.episode import Episode, check_episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import EpisodeSchema, check_is_schema
from trajstore.episode.screening import Batch, find_all
from trajstore.errors import (
    ArgumentError,
    JournalError,
    QuotaExceededError,
    SchemaError,
)
from trajstore.version.cameras import EncodedEpisode, recordable
from trajstore.version.chunks import FrameWriter, RowWriter, writer_of
from trajstore.version.claims import SCENARIO, Findings, check_readable, worst
from trajstore.version.episode_lists import BATCH_BYTES, gathered
from trajstore.version.files import LocalFiles, make_folder
from trajstore.version.lanes import Lane
from trajstore.version.layout import Part, arrays_of, groups_of, metadata_files, projected_bytes
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.reading import Assembly
from trajstore.version.statistics import CAMERA, Statistics

DEFAULT_QUOTA_BYTES = 25 * 10**9


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sealed.

    Attributes:
        quota_bytes: most that the version and what is held beside it may take on disk.
        held_bytes: of the journals that the episodes come from; they stay until it is sealed.
        extends: folder of the version whose episodes come first; its files are copied as they are.
    """

    schema: EpisodeSchema
    episodes: int
    steps: int
    provenance: Mapping[str, Any]
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    held_bytes: int = 0
    extends: Path | None = None


def check_recipe(schema: EpisodeSchema, provenance: Mapping[str, Any], quota_bytes: int) -> None:
    """Refuse what no version can be made of, before anything is written."""
    check_provenance(provenance)
    if not isinstance(quota_bytes, int) or isinstance(quota_bytes, bool) or quota_bytes < 1:
        raise ArgumentError(
            "quota_bytes: expected a whole number of bytes of 1 or more, got "
            f"{ascii(quota_bytes)[:80]}; leave it out for {DEFAULT_QUOTA_BYTES:,}"
        )
    check_is_schema(schema)


def check_quota(target: Path, *, needed: int, quota_bytes: int) -> None:
    """Refuse what would make a version take more bytes on disk than its quota."""
    if needed > quota_bytes:
        raise QuotaExceededError(
            f"version {target.name}: would take {needed:,} bytes, and its quota is "
            f"{quota_bytes:,}; record fewer episodes, start another dataset, or raise "
            "quota_bytes"
        )


def seal_version(target: Path, episodes: Iterable[Episode], plan: Plan) -> Manifest:
    """Write at least one episode into a new version; it is there whole, or not at all."""
    if not plan.episodes:
        raise JournalError(f"version {target.name}: holds no episode; record at least one")
    base = open_base(plan.extends, plan.schema)
    held = plan.held_bytes + (base.manifest.size_bytes if base else 0)
    needed = held + projected_bytes(plan.schema, _part(plan, base))
    check_quota(target, needed=needed, quota_bytes=plan.quota_bytes)
    with whole_directory(target) as folder:
        return fill(folder, episodes, plan)


def fill(folder: Path, episodes: Iterable[Episode], plan: Plan) -> Manifest:
    """Write all files of a version into an empty folder, the manifest last."""
    base = open_base(plan.extends, plan.schema)
    with storing(folder):
        writer = VersionWriter(folder, plan.schema, _part(plan, base))
        try:
            if base is not None:
                writer.take_over(base)
            writer.begin()
            known = plan.held_bytes + projected_bytes(plan.schema, _part(plan, base))
            for batch in gathered(map(recordable, episodes)):
                writer.append(batch)
                needed = known + writer.encoded_bytes
                check_quota(folder, needed=needed, quota_bytes=plan.quota_bytes)
            manifest = writer.close(plan.provenance)
        finally:
            writer.abandon()
        content = manifest.to_bytes()
        needed = plan.held_bytes + manifest.size_bytes + len(content)
        check_quota(folder, needed=needed, quota_bytes=plan.quota_bytes)
        check_readable(content)
        write_file(folder / MANIFEST, content)
    return manifest


def open_base(folder: Path | None, schema: EpisodeSchema) -> LocalFiles | None:
    """The version that is extended, if one is; refused if its episodes have another schema."""
    if folder is None:
        return None
    base = LocalFiles(folder)
    if base.manifest.schema != schema:
        raise SchemaError(
            f"{folder}: its schema differs from that of the new episodes in "
            f"{base.manifest.schema.difference(schema)}; extend a version of the same schema, "
            "or record another dataset"
        )
    return base


def _part(plan: Plan, base: LocalFiles | None) -> Part:
    path = f"parts/{len(base.manifest.parts)}" if base else ""
    return Part(path, plan.episodes, plan.steps)


class VersionWriter:
    """Writes one part of a version: `take_over` perhaps, `begin`, `append`, `close`, `abandon`."""

    def __init__(self, folder: Path, schema: EpisodeSchema, part: Part) -> None:
        self._folder, self._schema, self._part = folder, schema, part
        self._parts: tuple[Part, ...] = (part,)
        self._statistics = Statistics(schema)
        self._words: dict[str, dict[str, int]] = {
            field.name: {} for field in schema.fields if field.is_text
        }
        self._scenarios: dict[str, int] = {}
        self._anomalies: dict[int, Findings] = {}
        self._digests: list[bytes] = []
        self._steps = 0
        self.encoded_bytes = 0
        self._files: dict[str, FileRecord] = {}
        self._writers: dict[str, RowWriter] = {}
        self._cameras: dict[str, FrameWriter] = {}
        self._syncs = Syncs()
        beside = projected_bytes(schema, part) >= BATCH_BYTES
        self._hashing, self._filing = Lane(beside=beside), Lane(beside=beside)

    def take_over(self, source: LocalFiles) -> None:
        """Begin with the episodes of another version: its files as they are, and its figures."""
        base = source.manifest
        source.copy_all(self._folder)
        self._files = dict(base.files)
        self._parts = (*base.parts, self._part)
        self._words = {
            name: {word: code for code, word in enumerate(words)}
            for name, words in base.vocabularies.items()
        }
        self._scenarios = dict(base.scenario_counts)
        self._anomalies = dict(base.anomalies)
        assembly = Assembly.of(source)
        self._digests = assembly.digests()
        for field in base.schema.fields:
            for rows in assembly.blocks(field):
                self._statistics.add(field.name, rows)
            if field.codec is not None:
                known = base.statistics.get(field.name, {}).get(CAMERA, {})
                self._statistics.of(field.name).add_encoded(known)

    def begin(self) -> None:
        """Make the folders and the metadata, and open the arrays."""
        arrays = arrays_of(self._schema, self._part)
        paths = {spec.path for spec in arrays.values()}
        for path in sorted(paths.union(groups_of(self._schema, self._part))):
            make_folder(self._folder / path)
        # Zarr is imported when something is written, for a look at a store needs none of it.
        check_metadata = import_module("trajstore.version.zarr_group").check_metadata
        for path, content in metadata_files(self._schema, self._part):
            check_metadata(content)
            if path not in self._files:
                self._files[path] = write_file(self._folder / path, content, self._syncs)
        self._writers = {
            name: writer_of(spec)(self._folder, spec, self._syncs) for name, spec in arrays.items()
        }
        self._cameras = {k: it for k, it in self._writers.items() if isinstance(it, FrameWriter)}

    def append(self, batch: Sequence[Episode]) -> None:
        """Take the next episodes."""
        for episode in batch:
            check_episode(episode, self._schema)
        for episode in batch:
            if isinstance(episode, EncodedEpisode):
                self._append_frames(episode)
        digests = self._hashing.give(_digests, batch)
        columns = {field.name: self._rows(field, batch) for field in self._schema.uncoded.fields}
        for name, rows in columns.items():
            self._filing.give(self._writers[name].append, rows)
        for name, rows in columns.items():
            self._statistics.add(name, rows)
        self._append_index(batch, find_all(Batch(batch, columns)), digests)

    def _append_frames(self, episode: EncodedEpisode) -> None:
        for spec in self._schema.coded:
            encoded, figures = episode.encoded[spec.name], self._statistics.of(spec.name)
            count = spec.rows(len(episode))[0]
            self._filing.give(self._cameras[spec.name].append_groups, encoded.groups, count)
            seen = episode.seen(spec)
            figures.add_seen(count, seen.low, seen.high, partial(episode.frames_at, spec))
            figures.add_encoded(encoded.figures)
            self.encoded_bytes += encoded.size

    def _append_index(
        self,
        batch: Sequence[Episode],
        found: list[list[anomalies.Anomaly]],
        hashed: "Future[list[bytes]]",
    ) -> None:
        for index, one in enumerate(found, start=len(self._digests)):
            if one:
                self._anomalies[index] = tuple(anomaly.to_json() for anomaly in one)
        scores = [anomalies.score(one) for one in found]
        lengths = [len(episode) for episode in batch]
        digests = hashed.result()
        stacked = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        for name, rows in {
            "index/length": np.array(lengths, "<i8"),
            "index/anomaly": np.array(scores, "<f4"),
            "index/digest": stacked,
        }.items():
            self._filing.give(self._writers[name].append, rows)
        self._digests += digests
        self._steps += sum(lengths)

    def close(self, provenance: Mapping[str, Any]) -> Manifest:
        """Finish all arrays; returns the manifest that describes the version."""
        before = sum(part.episodes for part in self._parts[:-1])
        got = Part(self._part.path, len(self._digests) - before, self._steps)
        if got != self._part:
            raise SchemaError(f"episodes: expected {self._part}, got {got}")
        self._filing.wait()
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
            anomalies=worst(self._anomalies),
        )

    def abandon(self) -> None:
        """Release all threads and open files."""
        self._hashing.abandon()
        self._filing.abandon()
        for writer in self._writers.values():
            writer.abandon()
        self._syncs.abandon()

    def _rows(self, field: FieldSpec, batch: Sequence[Episode]) -> np.ndarray:
        arrays = [episode.arrays[field.name] for episode in batch]
        if field.is_text:
            return self._codes(
                field.name, [it for array in arrays for it in array.ravel().tolist()]
            )
        joined = arrays[0]
        if len(arrays) > 1 or field.axis is Axis.EPISODE:
            joined = np.stack(arrays) if field.axis is Axis.EPISODE else np.concatenate(arrays)
        return joined.astype(field.numpy_dtype, copy=False)

    def _codes(self, name: str, texts: Sequence[str]) -> np.ndarray:
        words = self._words[name]
        for text in texts:
            words.setdefault(text, len(words))
            if name == SCENARIO:
                self._scenarios[text] = self._scenarios.get(text, 0) + 1
        return np.array([words[text] for text in texts], "<i4")


def _digests(episodes: Iterable[Episode]) -> list[bytes]:
    return [bytes.fromhex(episode.digest) for episode in episodes]
