"""This project's store: checked episodes, chunks with checksums, a manifest, one rename."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.data import Source
from benchmarks.peers import Batch
from trajstore.dataset import Dataset

if TYPE_CHECKING:
    from trajstore.episode.codec import Codec
    from trajstore.episode.schema import EpisodeSchema

LOADED_TO_WRITE = ("trajstore.recording.bulk", "trajstore.version.zarr_group")
"""What other peers import at the top as well, and what those who only read are spared."""


def schema_of(source: Source, codec: "Codec | None" = None) -> "EpisodeSchema":
    """The fields of a source, those of its cameras with a codec."""
    from trajstore.episode.fields import Axis, FieldSpec
    from trajstore.episode.schema import EpisodeSchema

    return EpisodeSchema(
        tuple(
            FieldSpec(
                name,
                Axis.STEP,
                rows.shape[1:],
                rows.dtype.name,
                codec=codec if rows.ndim == 4 else None,
            )
            for name, rows in source.fields.items()
        )
    )


def write(path: Path, source: Source, codec: "Codec | None" = None) -> None:
    from trajstore.episode.episode import Episode
    from trajstore.recording.bulk import write_dataset

    schema = schema_of(source, codec)
    episodes = [Episode(schema, arrays) for arrays in source.episodes()]
    write_dataset(path, episodes, schema=schema, provenance={"source": source.name})


class StoreReader:
    def __init__(self, path: Path, cache: Path | None = None) -> None:
        self.data = Dataset.open(path, cache=cache)
        self.names = self.data.schema.names
        self._passes: dict[tuple[int, int], Iterator[Batch]] = {}

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        return self.data.sample(size, rng=rng)

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        """The next batch of a shuffled pass; a new pass when one is done."""
        batch = next(self._passes.get((size, length), iter(())), None)
        if batch is None or len(batch["mask"]) < size:
            self._passes[size, length] = self.data.batches(size, rng=rng, window=length)
            batch = next(self._passes[size, length])
        return batch

    def episode(self, index: int) -> Batch:
        return dict(self.data[index].arrays)

    def sequential(self) -> Iterator[Batch]:
        for episode in self.data:
            yield dict(episode.arrays)


def open_store(path: Path) -> StoreReader:
    return StoreReader(path)
