"""``imitation``: trajectories, transition batches for behavioural cloning, and its own format.

Its loaders run code from the files that they read, so nothing here uses them.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import numpy as np
from imitation.data import serialize, types

from trajstore.dataset import Dataset
from trajstore.disk.files import canonical_json, read_json, write_file
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below, step_schema
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import SchemaError
from trajstore.interop.imported import Imported, about, check_has, read_about, reading, whole_export
from trajstore.version.reading import Where

EXPECTED = "a folder that imitation saved"
_COLUMNS = {OBSERVATION: "obs", ACTION: "acts", REWARD: "rews"}
"""Fields that imitation has a place for, and how it calls them."""
SIDECAR, REST = "trajstore.json", "trajstore.npz"
"""Beside imitation's own files: schema and provenance, and the fields that it has no place for."""


def trajectory(episode: Episode) -> types.TrajectoryWithRew:
    """An episode as imitation sees it; nested observations become ``DictObs``.

    Raises:
        SchemaError: if there is no observation, action or reward.
    """
    return types.TrajectoryWithRew(
        obs=_observation(episode.arrays),
        acts=episode[ACTION].copy(),
        infos=None,
        terminal=bool(episode["terminated"][-1]),
        rews=episode[REWARD].astype(np.float64),
    )


def trajectories(dataset: Dataset, *, where: Where | None = None) -> list[types.TrajectoryWithRew]:
    """All episodes, or those that ``where`` chooses, in memory."""
    chosen = where(dataset.episodes) if callable(where) else where
    indices = range(len(dataset)) if chosen is None else np.flatnonzero(chosen).tolist()
    return [trajectory(dataset[index]) for index in indices]


class TransitionBatches:
    """Shuffled batches of transitions, as ``BC(demonstrations=...)`` takes them.

    Each pass has another order. Memory is that of one batch, so that the data may be larger
    than memory. The last, short batch is left out: ``BC`` refuses it.
    """

    def __init__(
        self, dataset: Dataset, size: int, *, rng: np.random.Generator, where: Where | None = None
    ) -> None:
        """Prepare; ``size`` is BC's ``batch_size``.

        Raises:
            ValueError: if there are fewer steps than one batch has.
        """
        names = [name for name in dataset.schema.names if below(name, OBSERVATION)]
        following = [f"next_{name}" for name in names]
        fields = [*names, *following, ACTION, "terminated", "truncated"]
        self._pass = partial(dataset.batches, size, where=where, fields=fields)
        self._size, self._rng = size, rng
        if len(self) < 1:
            raise ValueError(f"batches of {size}: expected at least {size} steps, got fewer")

    def __len__(self) -> int:
        return self._pass(rng=np.random.default_rng(0)).items // self._size

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for batch in self._pass(rng=self._rng):
            if len(batch["step"]) < self._size:
                return
            following = {
                name.removeprefix("next_"): values
                for name, values in batch.items()
                if name.startswith("next_")
            }
            yield {
                "obs": _observation(batch),
                "acts": batch[ACTION],
                "next_obs": _observation(following),
                "dones": batch["terminated"] | batch["truncated"],
                "infos": np.full(self._size, {}),
            }


def _observation(arrays: Mapping[str, np.ndarray]) -> Any:  # noqa: ANN401 - array or DictObs
    if OBSERVATION in arrays:
        return np.array(arrays[OBSERVATION])
    nested = {
        name.removeprefix(f"{OBSERVATION}/"): np.array(values)
        for name, values in arrays.items()
        if below(name, OBSERVATION)
    }
    if not nested:
        raise SchemaError(f"field {OBSERVATION!r}: expected observations, got none")
    return types.DictObs(nested)


def export_dataset(dataset: Dataset, target: Path) -> None:
    """Write a version in imitation's own format, in a new folder; all of it passes memory.

    Raises:
        SchemaError: if observations are nested, which imitation cannot save.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    if OBSERVATION not in dataset.schema.names:
        raise SchemaError(
            f"field {OBSERVATION!r}: expected one field of observations, got nested ones, which "
            "imitation's format cannot hold; export to npz or minari"
        )
    check_has(dataset, ACTION, REWARD, package="imitation")
    rest = {name: dataset.column(name) for name in _rest(dataset.schema)}
    with whole_export(target) as whole, _quiet():
        serialize.save(whole, trajectories(dataset))
        write_file(whole / SIDECAR, canonical_json(about(dataset)))
        np.savez(whole / REST, allow_pickle=False, **rest)


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither the progress bars of the package ``datasets`` nor imitation's warning about it."""
    shown = datasets.are_progress_bars_disabled() is False
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "keys will default", DeprecationWarning)
            yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _rest(schema: EpisodeSchema) -> list[str]:
    return [name for name in schema.names if name not in _COLUMNS]


def import_dataset(source: Path) -> Imported:
    """Read data in imitation's own format, exported from here or saved by imitation.

    Without our own files beside it, the schema is what the arrays show. Its ``infos`` are not
    read: they may hold code.

    Raises:
        NotFoundError: if there is no such folder.
        CorruptionError: if it is something else.
    """
    with reading(source, EXPECTED), _quiet():
        table = datasets.load_from_disk(str(source)).with_format("numpy")
        table = table.remove_columns("infos")
        rest: dict[str, np.ndarray] = {}
        if (source / SIDECAR).exists():
            schema, provenance = read_about(read_json(source / SIDECAR))
            with np.load(source / REST, allow_pickle=False) as file:
                rest = {name: file[name] for name in _rest(schema)}
        else:
            schema, provenance = _shown(table[0]), {"imported_from": "imitation"}
    return Imported(schema, provenance, _episodes(table, schema, source, rest))


def _episodes(
    table: Any,  # noqa: ANN401 - of datasets
    schema: EpisodeSchema,
    source: Path,
    rest: Mapping[str, np.ndarray],
) -> Iterator[Episode]:
    """The episodes of a table; ``rest`` holds what it has no place for, unless others saved it."""
    with reading(source, EXPECTED):
        first = 0
        for index, row in enumerate(table):
            last = first + len(row["acts"])
            arrays = {}
            for name, column in _COLUMNS.items():
                spec = schema.field(name)
                values = np.asarray(row[column]).astype(spec.dtype)
                arrays[name] = values.reshape(spec.rows(last - first))
            ends = np.zeros((2, last - first), bool)
            ends[0 if row["terminal"] else 1, -1] = True
            arrays["terminated"], arrays["truncated"] = ends
            for name, whole in rest.items():
                chosen: Any = {
                    Axis.EPISODE: index,
                    Axis.STATE: slice(first + index, last + index + 1),
                    Axis.STEP: slice(first, last),
                }[schema.field(name).axis]
                arrays[name] = np.asarray(whole[chosen])
            yield Episode(schema, arrays)
            first = last


def _shown(row: Mapping[str, Any]) -> EpisodeSchema:
    if "rews" not in row:
        raise SchemaError("field 'reward': expected trajectories with rewards, got none")
    found = {name: np.asarray(row[column]) for name, column in _COLUMNS.items()}
    observation, action = (
        FieldSpec(name, axis, found[name].shape[1:], found[name].dtype.name)
        for name, axis in ((OBSERVATION, Axis.STATE), (ACTION, Axis.STEP))
    )
    return step_schema([observation], [action], reward=found[REWARD].dtype.name)
