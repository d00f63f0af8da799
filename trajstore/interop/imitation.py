"""``imitation``: trajectories, transition batches for behavioural cloning, and its own format.

Its loaders run code from the files that they read, so nothing here uses them: reading is in
`trajstore.interop.imitation_files`.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trajstore.dataset import Dataset
from trajstore.disk.files import write_file
from trajstore.disk.json_text import canonical_json
from trajstore.episode.episode import Episode
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import SchemaError
from trajstore.interop.formats import INSTALL
from trajstore.interop.imitation_files import COLUMNS, REST, SIDECAR, import_dataset
from trajstore.interop.imported import Progress, about, check_has, unwatched, whole_export
from trajstore.version.reading import Where

try:
    import datasets  # type: ignore[import-untyped]
    from imitation.data import serialize, types
except ModuleNotFoundError as error:
    told = f"No module named {error.name!r}; {INSTALL[__name__]}"
    raise ModuleNotFoundError(told, name=error.name) from None

__all__ = ["TransitionBatches", "export_dataset", "import_dataset", "trajectories", "trajectory"]


def trajectory(episode: Episode) -> types.Trajectory:
    """An episode as imitation sees it; nested observations become ``DictObs``.

    ``terminal`` says that the task ended, ``terminated`` at the last step. Where the clock ended
    the episode it is false, as what would have followed still has a value; ``done`` of
    ``flatten_trajectories``, of `TransitionBatches` and ``terminated`` of torch's batches are
    the same.

    Raises:
        SchemaError: if there is no observation or action.
    """
    if ACTION not in episode.arrays:
        raise SchemaError(f"imitation needs the actions in one field {ACTION!r}, and there is none")
    known = {
        "obs": _observation(episode.arrays),
        "acts": episode[ACTION].copy(),
        "infos": None,
        "terminal": bool(episode["terminated"][-1]),
    }
    if REWARD not in episode.arrays:
        return types.Trajectory(**known)
    return types.TrajectoryWithRew(**known, rews=episode[REWARD].astype(np.float64))


def trajectories(dataset: Dataset, *, where: Where | None = None) -> list[types.Trajectory]:
    """All episodes, or those that ``where`` chooses, in memory; with rewards if there are any."""
    chosen = where(dataset.episodes) if callable(where) else where
    indices = range(len(dataset)) if chosen is None else np.flatnonzero(chosen).tolist()
    return [trajectory(dataset[index]) for index in indices]


class TransitionBatches:
    """Shuffled batches of transitions, as ``BC(demonstrations=...)`` takes them.

    Each pass has another order. Memory is that of one batch, so that the data may be larger
    than memory. The last, short batch is left out: ``BC`` refuses it. ``dones`` says that the
    task ended, as `trajectory` does, not that the clock did.
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
        fields = [*names, *following, ACTION, "terminated"]
        self._pass = partial(dataset.batches, size, where=where, fields=fields)
        self._size, self._rng = size, rng
        if len(self) < 1:
            raise ValueError(
                f"batches of {size}: there are fewer steps than that; ask for smaller ones"
            )

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
                "dones": batch["terminated"],
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
        raise SchemaError(f"imitation needs observations, and there is no field {OBSERVATION!r}")
    return types.DictObs(nested)


def export_dataset(
    dataset: Dataset, target: Path, *, progress: Progress = unwatched
) -> tuple[str, ...]:
    """Write a version in imitation's own format, in a new folder; all of it passes memory.

    What imitation has no place for lies beside its files, so that nothing is left out.

    Raises:
        SchemaError: if observations are nested, which imitation cannot save.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    if OBSERVATION not in dataset.schema.names:
        raise SchemaError(
            f"field {OBSERVATION!r}: imitation's format cannot hold nested observations; "
            "export to npz or minari"
        )
    check_has(dataset, ACTION, package="imitation")
    rest = {name: dataset.column(name) for name in _rest(dataset.schema)}
    with whole_export(target) as whole, _quiet():
        serialize.save(whole, trajectories(dataset))
        write_file(whole / SIDECAR, canonical_json(about(dataset)))
        np.savez(whole / REST, allow_pickle=False, **rest)
        progress(len(dataset))
    return ()


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
    return [name for name in schema.names if name not in COLUMNS]
