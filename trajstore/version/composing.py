"""A new version of episodes that are sealed already: their files are taken over where they can be.

A part of which at least half is wanted is taken over as it is, byte for byte; what lies in it of
other episodes is a gap. So a remote that stores files by content gets little, and nothing is
encoded anew. What else is wanted is written into parts of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.disk.files import copy_file, whole_directory, write_file
from trajstore.disk.system import FileRecord, Syncs, storing
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.version.chunks import FrameWriter, RowWriter, writer_of
from trajstore.version.coders import Encoded
from trajstore.version.files import LocalFiles, make_folder
from trajstore.version.layout import (
    FIRST,
    INDEX,
    Part,
    arrays_of,
    groups_of,
    metadata_files,
    projected_bytes,
)
from trajstore.version.manifest import MANIFEST, Manifest, content_digest
from trajstore.version.reading import Assembly
from trajstore.version.selected import (
    checked,
    first_rows,
    joined_anomalies,
    rows_before,
    scenario_counts,
    statistics_of,
    summed,
    texts_of,
)
from trajstore.version.writer import check_quota


class Source:
    """Episodes of a sealed version that a new one takes, by number, in order; ``int64[n]``."""

    def __init__(self, files: LocalFiles, episodes: np.ndarray) -> None:
        self.files, self.episodes = files, episodes
        self.whole = Assembly.of(files)

    @cached_property
    def assembly(self) -> Assembly:
        """These episodes alone."""
        return self.whole.select(self.episodes)

    def copy(self, path: str, target: Path) -> FileRecord:
        """Copy a file, which must be what was sealed."""
        record = self.files.record(path)
        if copy_file(self.files.file(path), target) != record:
            raise CorruptionError(
                f"{self.files.where}/{path}: changed since it was sealed; get the version anew "
                "from its remote"
            )
        return record


@dataclass(frozen=True, slots=True)
class Piece:
    """Episodes that become one part of the new version.

    Attributes:
        part: of the new version.
        origin: the part whose files are taken over, of the one source; ``None`` if all is written.
        taken: sources with the numbers of their episodes.
    """

    part: Part
    origin: Part | None
    taken: tuple[tuple[Source, np.ndarray], ...]

    def assemblies(self) -> list[Assembly]:
        """The episodes, those of each source."""
        return [source.whole.select(numbers) for source, numbers in self.taken]


def pieces_of(sources: Sequence[Source], *, anew: bool = False) -> list[Piece]:
    """The parts of a new version; ``anew`` takes none over."""
    pieces: list[Piece] = []
    for source in sources:
        begin = 0
        for part in source.files.manifest.parts:
            own = (source.episodes >= begin) & (source.episodes < begin + part.episodes)
            numbers = source.episodes[own]
            begin += part.episodes
            if not len(numbers):
                continue
            steps = int(source.whole.lengths[numbers].sum())
            recorded = part.recorded or (part.episodes, part.steps)
            kept = not anew and 2 * steps >= recorded[1]
            gaps = recorded if kept and recorded != (len(numbers), steps) else None
            made = Part("", len(numbers), steps, gaps)
            piece = Piece(made, part if kept else None, ((source, numbers),))
            if pieces and not kept and pieces[-1].origin is None:
                piece = _joined(pieces.pop(), piece)
            pieces.append(piece)
    return [_at(number, piece) for number, piece in enumerate(pieces)]


def _joined(one: Piece, other: Piece) -> Piece:
    episodes, steps = (
        getattr(one.part, it) + getattr(other.part, it) for it in ("episodes", "steps")
    )
    return Piece(Part("", episodes, steps), None, (*one.taken, *other.taken))


def _at(number: int, piece: Piece) -> Piece:
    part = piece.part
    path = f"parts/{number}" if number else ""
    return Piece(Part(path, part.episodes, part.steps, part.recorded), piece.origin, piece.taken)


def _is_shared(field: FieldSpec) -> bool:
    """Whether files of a field can be taken over; codes of texts are those of one version."""
    return field.axis is not Axis.EPISODE and not field.is_text


def shared_files(piece: Piece) -> Iterator[tuple[str, str]]:
    """Paths of the files that a piece takes over: in its source, and in the new version."""
    if piece.origin is None:
        return
    [(source, _)] = piece.taken
    schema = source.files.manifest.schema
    old, new = arrays_of(schema, piece.origin), arrays_of(schema, piece.part)
    for spec in schema.fields:
        if _is_shared(spec):
            yield from zip(old[spec.name].file_paths(), new[spec.name].file_paths(), strict=True)


def shared_bytes(pieces: Sequence[Piece]) -> int:
    """Bytes of the files that are taken over."""
    return sum(
        piece.taken[0][0].files.record(old).size
        for piece in pieces
        for old, _ in shared_files(piece)
    )


def compose(
    target: Path,
    sources: Sequence[Source],
    provenance: Mapping[str, Any],
    *,
    quota_bytes: int,
    anew: bool = False,
) -> Manifest:
    """Write a new version of the episodes of sources of one schema; it is there whole, or not.

    Raises:
        SealedError: if the target exists.
        CorruptionError: if a source is not what was sealed.
        QuotaExceededError: if the version would be larger; nothing of it stays.
        StorageError: if the operating system refuses.
    """
    pieces, schema = pieces_of(sources, anew=anew), sources[0].files.manifest.schema
    written = (projected_bytes(schema, it.part) for it in pieces if it.origin is None)
    check_quota(target, needed=shared_bytes(pieces) + sum(written), quota_bytes=quota_bytes)
    with whole_directory(target) as folder, storing(folder):
        manifest = _Composer(folder, sources, pieces).write(provenance)
        content = manifest.to_bytes()
        check_quota(target, needed=manifest.size_bytes + len(content), quota_bytes=quota_bytes)
        write_file(folder / MANIFEST, content)
    return manifest


class _Composer:
    """Writes the files of a version into an empty folder."""

    def __init__(self, folder: Path, sources: Sequence[Source], pieces: Sequence[Piece]) -> None:
        self._folder, self._sources, self._pieces = folder, sources, pieces
        self._schema = sources[0].files.manifest.schema
        self._files: dict[str, FileRecord] = {}
        self._syncs = Syncs()
        self._words = self._vocabularies()

    def write(self, provenance: Mapping[str, Any]) -> Manifest:
        """Write everything but the manifest; returns that."""
        try:
            for piece in self._pieces:
                self._write_metadata(piece.part)
                for old, new in shared_files(piece):
                    self._files[new] = piece.taken[0][0].copy(old, self._folder / new)
                self._write_rows(piece)
            self._syncs.wait()
        finally:
            self._syncs.abandon()
        chosen = [source.assembly for source in self._sources]
        return Manifest(
            schema=self._schema,
            content_digest=content_digest(self._schema, chain(*(it.digests() for it in chosen))),
            parts=tuple(piece.part for piece in self._pieces),
            files=self._files,
            vocabularies={name: tuple(words) for name, words in self._words.items()},
            statistics=statistics_of(chosen),
            scenario_counts=summed([scenario_counts(it) for it in chosen]),
            provenance=dict(provenance),
            anomalies=joined_anomalies(chosen),
        )

    def _vocabularies(self) -> dict[str, dict[str, int]]:
        """Of each text field, the code of each word, in the order in which they come up."""
        words: dict[str, dict[str, int]] = {}
        for field in self._schema.fields:
            if field.is_text:
                found = chain(*(texts_of(it.assembly, field) for it in self._sources))
                texts = dict.fromkeys(found)
                words[field.name] = {text: code for code, text in enumerate(texts)}
        return words

    def _write_metadata(self, part: Part) -> None:
        arrays = arrays_of(self._schema, part).values()
        for path in sorted({*(spec.path for spec in arrays), *groups_of(self._schema, part)}):
            make_folder(self._folder / path)
        # Zarr is imported when something is written, for a look at a store needs none of it.
        check_metadata = import_module("trajstore.version.zarr_group").check_metadata
        for path, content in metadata_files(self._schema, part):
            check_metadata(content)
            if path not in self._files:
                self._files[path] = write_file(self._folder / path, content, self._syncs)

    def _write_rows(self, piece: Piece) -> None:
        """Write the index and the fields of the episode axis; all fields if none is taken over."""
        fields = self._schema.fields if piece.origin is not None else ()
        shared = {field.name for field in fields if _is_shared(field)}
        writers: dict[str, RowWriter] = {
            name: writer_of(spec)(self._folder, spec, self._syncs)
            for name, spec in arrays_of(self._schema, piece.part).items()
            if name not in shared
        }
        try:
            for assembly in piece.assemblies():
                self._append(writers, assembly, piece)
            for writer in writers.values():
                self._files |= writer.close()
        finally:
            for writer in writers.values():
                writer.abandon()

    def _append(self, writers: Mapping[str, RowWriter], assembly: Assembly, piece: Piece) -> None:
        for name, index in INDEX.items():
            writers[index.name].append(assembly.index(name))
        if piece.origin is not None and FIRST.name in writers:
            writers[FIRST.name].append(first_rows(assembly, piece.origin))
        for field in self._schema.on(Axis.EPISODE):
            for rows in assembly.blocks(field):
                coded = self._codes(field, assembly.words(field, rows)) if field.is_text else rows
                writers[field.name].append(coded)
        if piece.origin is not None:
            self._append_texts(writers, assembly, piece.origin)
            return
        for number, episode in enumerate(checked(assembly)):
            self._append_episode(writers, episode, assembly.encoded(number))

    def _append_episode(
        self, writers: Mapping[str, RowWriter], episode: Episode, frames: Mapping[str, Encoded]
    ) -> None:
        for field in self._schema.fields:
            if field.axis is Axis.EPISODE:
                continue
            rows, writer = episode.arrays[field.name], writers[field.name]
            if isinstance(writer, FrameWriter):
                writer.append_groups(frames[field.name].groups, len(rows))
            else:
                writer.append(self._codes(field, rows) if field.is_text else rows)

    def _append_texts(
        self, writers: Mapping[str, RowWriter], assembly: Assembly, origin: Part
    ) -> None:
        """All rows of texts of a part that is taken over; in its gaps they say nothing of it."""
        for field in self._schema.fields:
            if field.is_text and field.axis is not Axis.EPISODE:
                known = assembly.manifest.vocabularies[field.name]
                table = np.array([self._words[field.name].get(it, 0) for it in known], "<i4")
                first, rows = rows_before(assembly, origin, field.axis), assembly.fields[field.name]
                codes = rows.span(first, first + origin.rows(field.axis))
                assembly.words(field, np.unique(codes))
                writers[field.name].append(table[codes])

    def _codes(self, field: FieldSpec, texts: np.ndarray) -> np.ndarray:
        words = self._words[field.name]
        codes = [words[text] for text in texts.ravel().tolist()]
        return np.array(codes, field.numpy_dtype).reshape(texts.shape)
