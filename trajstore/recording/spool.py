"""The rows of an episode that is too large for memory: older ones lie in files without a name.

Frames of a field with a codec are encoded on their way there.
"""

import mmap
import os
from collections.abc import Callable, Iterable
from itertools import accumulate, count
from pathlib import Path

import numpy as np

from trajstore.disk import system
from trajstore.disk.system import storing, write_at
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.notes import Rows
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import StorageError
from trajstore.version.cameras import of_encoded
from trajstore.version.coders import Encoded, Encoder, Group

BLOCK_BYTES = 64 * 2**20
"""Most of the wide rows of all episodes under way that stays in memory."""
_ROW_BYTES = 120
"""What an array takes beside its numbers."""
_NUMBERS = count()


class Spool(Rows):
    """Rows whose wide ones go to files, a block after the other, when they are many.

    `append` and `block` belong to the thread that plays; `array` and what `block` returns to the
    one that writes, which calls them in order.

    Attributes:
        fresh_bytes: of the wide rows that are only in memory.
        narrow_bytes: of all other rows, roughly.
    """

    def __init__(self, schema: EpisodeSchema, folder: Path, check: Callable[[int], None]) -> None:
        super().__init__(schema)
        self._folder, self._check = folder, check
        self._wide = [it for it in schema.fields if _is_wide(it)]
        self._names = {it.name for it in self._wide}
        self._encoders = {it.name: Encoder(it) for it in schema.coded}
        self._sizes: dict[str, list[int]] = {name: [] for name in self._encoders}
        self._files: dict[str, tuple[int, int]] = {}
        self._failed: Exception | None = None
        self.fresh_bytes = self.narrow_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What the episode takes of memory."""
        return self.fresh_bytes + self.narrow_bytes

    def append(self, spec: FieldSpec, row: np.ndarray) -> None:
        """Take one row, which nobody changes any more."""
        super().append(spec, row)
        if spec.name in self._names:
            self.fresh_bytes += row.nbytes
        else:
            self.narrow_bytes += row.nbytes + _ROW_BYTES

    def block(self) -> Callable[[], None]:
        """Give up the wide rows in memory to what is returned, which writes them to their files."""
        rows = {spec.name: self.rows[spec.name] for spec in self._wide}
        self.rows |= {name: [] for name in rows}
        self.fresh_bytes = 0

        def write() -> None:
            try:
                self._write(rows)
            except Exception as error:
                self._failed = error
                raise

        return write

    def episode(self) -> Episode:
        """The episode of all rows; those of a file are mapped, and not read."""
        if self._failed is not None:
            raise StorageError(
                f"{self._folder}: could not be written earlier ({self._failed}); that episode "
                "is lost, those before it are safe"
            )
        if not self._encoders:
            return super().episode()
        plain = {spec.name: self.array(spec) for spec in self.schema.uncoded.fields}
        return of_encoded(
            self.schema, plain, {name: self._encoded(name) for name in self._encoders}
        )

    def array(self, spec: FieldSpec) -> np.ndarray:
        """All rows of a field in one array."""
        if spec.name not in self._files:
            return super().array(spec)
        self._write({spec.name: self.rows[spec.name]})
        return np.frombuffer(self._mapped(spec.name), spec.dtype).reshape(-1, *spec.shape)

    def _encoded(self, name: str) -> Encoded:
        """The frames of a field; those of a file are mapped, and not read."""
        encoder = self._encoders[name]
        groups: list[Group] = [*encoder.add(self.rows[name]), *encoder.end()]
        if name in self._files:
            self._put(name, groups)
            content, sizes = memoryview(self._mapped(name)), self._sizes[name]
            ends = accumulate(sizes)
            groups = [content[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        return encoder.encoded(groups)

    def _mapped(self, name: str) -> mmap.mmap:
        descriptor, size = self._files[name]
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ)

    def close(self) -> None:
        """Release the files; arrays that were made of them stay."""
        while self._files:
            os.close(self._files.popitem()[1][0])

    def _write(self, rows: dict[str, list[np.ndarray]]) -> None:
        self._check(sum(size for _, size in self._files.values()))
        with storing(self._folder):
            for name, found in rows.items():
                encoder = self._encoders.get(name)
                self._put(
                    name, encoder.add(found) if encoder else (it.data.cast("B") for it in found)
                )

    def _put(self, name: str, pieces: Iterable[Group]) -> None:
        descriptor, size = self._files.get(name) or (self._open(), 0)
        self._files[name] = descriptor, size
        for piece in pieces:
            write_at(descriptor, piece, size)
            size += len(piece)
            if name in self._sizes:
                self._sizes[name].append(len(piece))
        self._files[name] = descriptor, size

    def _open(self) -> int:
        """A new file that is gone with the process."""
        path = self._folder / f"rows-{os.getpid()}-{next(_NUMBERS)}.part"
        descriptor = system.OPS.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        system.OPS.unlink(path)
        return descriptor


def _is_wide(spec: FieldSpec) -> bool:
    return not (spec.is_narrow or spec.is_text or spec.axis is Axis.EPISODE)
