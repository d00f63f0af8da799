"""Read one sealed version: episodes, columns, random steps and windows."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trajstore.choosing.choice import Criterion, Numbers, choose, mask_of
from trajstore.choosing.columns import EpisodeColumns
from trajstore.choosing.marks import Known, Marks
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema
from trajstore.version.files import LocalFiles, open_files
from trajstore.version.findings import Finding
from trajstore.version.gathering import Gathering
from trajstore.version.integrity import Progress, check
from trajstore.version.manifest import Manifest
from trajstore.version.reading import Assembly, Table, Where
from trajstore.version.sampling import (
    Batch,
    Batches,
    Position,
    Steps,
    check_count,
    check_generator,
    check_pass,
    episode_number,
)
from trajstore.version.selected import described, table_of

if TYPE_CHECKING:
    import zarr


class Dataset:
    """One sealed version, read where it lies.

    Opening reads the manifest. A file is looked at when something in it is first asked for:
    its presence, size and checksum are compared then, and what does not match is an error,
    never data. Memory does not grow with the dataset.
    """

    def __init__(
        self, files: LocalFiles, *, cache: Path | None = None, assembly: Assembly | None = None
    ) -> None:
        """Use ``Dataset.open``."""
        self.files, self.close = files, files.close
        self.path, self.where = files.path, files.where
        self._cache = cache
        self._assembly = assembly or Assembly.of(files, cache=cache)
        self._gathering = Gathering(self._assembly)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, cache: str | os.PathLike[str] | None = None
    ) -> "Dataset":
        """Open the version in a folder, or at a URL.

        This is the door for looking: it does not ask for the status, and opens a quarantined
        version too. For training use ``Store.open``, which refuses one.

        Args:
            path: of the version, or a URL that fsspec knows.
            cache: folder in which decoded rows of wide fields (images, grids) are kept, so
                that random access to them runs at the speed of narrow fields; it takes as
                many bytes as the rows and may be deleted at any time.

        Raises:
            NotFoundError: if there is no version.
            FormatError: if it is of a newer format.
            CorruptionError: if its manifest is not what was sealed.
            StorageError: if it is at a URL that cannot be reached.
        """
        kept = None if cache is None else Path(cache)
        return cls(open_files(path, kept=kept), cache=kept)

    def findings(self, *, deep: bool = False, progress: Progress = lambda _: None) -> list[Finding]:
        """Compare every byte of the version with its manifest; see ``version.integrity``.

        Raises:
            StorageError: if the version lies elsewhere and cannot be reached.
        """
        return check(self.files, deep=deep, progress=progress)

    def zarr(self) -> "zarr.Group":
        """The arrays as a Zarr group that cannot be written; xarray opens its groups.

        Example::

            steps = xarray.open_zarr(dataset.zarr().store, group="step", consolidated=False)
        """
        # Zarr is imported when it is asked for: a look at a store needs none of it.
        group: zarr.Group = import_module("trajstore.version.zarr_group").open_group(self.files)
        return group

    def __reduce__(self) -> tuple[Callable[..., "Dataset"], tuple[object, ...]]:
        return _reopened, (self.files.again, self._cache, self._assembly.chosen)

    def __repr__(self) -> str:
        whole = self._assembly.manifest.episodes
        of = f" of {whole:,}" if whole > len(self) else ""
        return f"Dataset({self.where!r}: {len(self):,}{of} episodes, {self.steps:,} steps)"

    def __len__(self) -> int:
        return self.manifest.episodes

    @cached_property
    def manifest(self) -> Manifest:
        """What the version holds; of a selection, what it would hold, but for statistics, files."""
        return described(self._assembly)

    @property
    def schema(self) -> EpisodeSchema:
        """The fields of every episode."""
        return self._assembly.manifest.schema

    def select(
        self, where: str | Where | None = None, *,
        episodes: Numbers | None = None,
        exclude: Numbers | None = None,
        marks: Marks | None = None,
    ) -> "Dataset":  # fmt: skip
        """Some of the episodes, in their order, as a dataset of their own; nothing is copied.

        ``findings`` and ``zarr`` of a selection are those of the whole version.

        Args:
            where: a condition such as ``"operator == 'bo' and success and anomaly < 1"``, see
                `trajstore.choosing.expression`; or as in ``sample``.
            episodes: those to choose from, numbers or text such as ``"0,4-9"``; all unless given.
            exclude: those to leave out, likewise.
            marks: by digest of the episode, as ``choosing.marks.read_marks`` gives them: those
                marked ``exclude`` are left out, and ``where`` can ask for ``tags`` and ``mark``.

        Raises:
            ArgumentError: if the condition is none, or ``episodes`` are no numbers.
            NotFoundError: if there is no such episode, or none is left.
        """
        return self.only(self.choose(Criterion(where, episodes, exclude, marks)))

    def choose(self, by: Criterion, known: Known | None = None, **facts: str) -> np.ndarray:
        """The numbers that ``select`` would give; a condition may ask for ``known`` marks."""
        columns = self.columns(known if by.marks is None else by.marks, **facts)
        return choose(columns, by, lambda: self.episodes, self.where)

    def columns(self, marks: Known | None = None, **facts: str) -> EpisodeColumns:
        """What a condition may ask for, with ``facts`` that are the same for every episode."""
        return EpisodeColumns(self._assembly, marks, **facts)

    def only(self, episodes: np.ndarray) -> "Dataset":
        """The episodes of these numbers, ``int64[n]``, as ``select`` gives them."""
        some = self._assembly.select(episodes)
        return Dataset(self.files, cache=self._cache, assembly=some)

    @property
    def steps(self) -> int:
        """Of all episodes together."""
        return self.manifest.steps

    @property
    def lengths(self) -> np.ndarray:
        """``int64[N]``, the steps of each episode.

        Raises:
            CorruptionError: if they do not add up to the manifest's.
        """
        return self._assembly.lengths

    @cached_property
    def episodes(self) -> Table:
        """One row an episode: its fields, ``length`` (steps), ``anomaly`` (score), ``digest``.

        Texts come as text, digests as hexadecimal text; the arrays are shared and read-only.
        """
        return table_of(self._assembly)

    def column(self, name: str) -> np.ndarray:
        """All rows of a field, episodes end to end; text as text; read-only.

        Raises:
            SchemaError: if there is no such field.
        """
        return self._assembly.column(name)

    def __getitem__(self, index: int) -> Episode:
        """The episode of that index; negative ones count from the end."""
        return self._assembly.episode(episode_number(index, len(self)))

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """The rows of one field, an episode at a time; read-only.

        Raises:
            SchemaError: if there is no such field.
        """
        return self._assembly.rows(name)

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))

    def sample(
        self,
        n: int,
        *,
        rng: np.random.Generator,
        fields: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> Batch:
        """Draw steps, uniformly and with replacement.

        Args:
            n: how many.
            rng: source of the draw.
            fields: columns of the result. ``None`` stands for every field of the step axis,
                ``[n, ...]``, and every state field twice: under its name the state before the
                step, under ``next_`` and its name the one after it.
            where: episodes to draw from.

        Returns:
            The columns, and ``episode`` and ``step``, ``int64[n]``.

        Raises:
            SchemaError: if a field is unknown.
            NotFoundError: if ``where`` leaves no episode.
            TypeError: if ``rng`` is no generator.
            ValueError: if ``n`` is negative.
        """
        check_count(n)
        check_generator(rng)
        steps = self._steps_of(where)
        found = steps.locate(rng.integers(steps.count, size=n))
        return self._gathering.batch(self._gathering.columns(fields), *found)

    def take(
        self, steps: Sequence[int] | np.ndarray, *, fields: Sequence[str] | None = None
    ) -> Batch:
        """Steps by number, counted through all episodes.

        Args:
            steps: ``int[n]``, each from 0 to ``steps - 1``.
            fields: columns, as in ``sample``.

        Raises:
            SchemaError: if a field is unknown.
            IndexError: if there is no such step.
        """
        found = self._gathering.located(steps)
        return self._gathering.batch(self._gathering.columns(fields), *found)

    def batches(
        self,
        size: int,
        *,
        rng: np.random.Generator | None = None,
        window: int | None = None,
        where: Where | None = None,
        fields: Sequence[str] | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> Batches:
        """Go once through all steps in a shuffled order, each step once.

        Args:
            size: steps or windows a batch.
            rng: draws the order; ``resume`` brings its own.
            window: steps of a window; then an item is a window that begins at a step and stays
                in its episode, columns are ``[size, window, ...]``, and ``mask`` is false where
                the window reaches past the episode's end (its last step is repeated there).
            where: episodes to take part.
            fields: columns, as in ``sample``.
            resume: a ``state()`` of such an iterator, to go on from there.

        Raises:
            SchemaError: if a field is unknown.
            NotFoundError: if ``where`` leaves no episode.
            TypeError: if ``rng`` is no generator.
            ValueError: if neither ``rng`` nor ``resume`` is given, a size is not positive, or
                ``resume`` is the state of another pass.
        """
        check_pass(size, window, rng, resume)
        steps = self._steps_of(where)
        seed = 0 if rng is None else int(rng.integers(2**62))
        position = Position(seed, 0, size, steps.count, window, self.manifest.content_digest)
        if resume is not None:
            position = position.resumed(resume)
        gather = partial(self._gathering.items, self._gathering.columns(fields), steps, window)
        return Batches(gather, position)

    def _steps_of(self, where: Where | None) -> Steps:
        mask = None if where is None else mask_of(where, lambda: self.episodes, len(self))
        return self._gathering.steps(mask)


def _reopened(
    again: Callable[[], LocalFiles], cache: Path | None, chosen: np.ndarray | None
) -> Dataset:
    whole = Dataset(again(), cache=cache)
    return whole if chosen is None else whole.only(chosen)
