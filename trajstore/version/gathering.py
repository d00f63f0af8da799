"""Steps and windows of a version's episodes, put together to batches."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from trajstore.episode.fields import Axis
from trajstore.errors import NotFoundError
from trajstore.version.reading import Assembly, Columns, RowSet
from trajstore.version.sampling import Batch, Steps, window_steps


class Gathering:
    """Turns numbers of steps into their values."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def columns(self, fields: Sequence[str] | None) -> Columns:
        """The columns of a batch; `SchemaError` if a field is unknown."""
        return self._all if fields is None else Columns(self._assembly.manifest.schema, fields)

    def steps(self, mask: np.ndarray | None) -> Steps:
        """The steps of episodes, ``bool[N]``, of all unless given; refused if there are none."""
        if mask is None:
            return self.all_steps
        if not mask.any():
            raise NotFoundError(f"{self._assembly.where}: 'where' leaves no episode to draw from")
        return Steps(self._assembly.lengths, mask)

    def located(self, steps: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Episode and step of steps by number; `IndexError` if there is no such step."""
        items, count = np.asarray(steps, np.int64), self.all_steps.count
        if items.size and not 0 <= items.min() <= items.max() < count:
            raise IndexError(
                f"steps: expected 0 to {count - 1}, got {items.min()} to {items.max()}"
            )
        return self.all_steps.locate(items)

    @cached_property
    def all_steps(self) -> Steps:
        """The steps of all episodes."""
        return Steps(self._assembly.lengths)

    @cached_property
    def _all(self) -> Columns:
        return Columns(self._assembly.manifest.schema, None)

    def batch(self, columns: Columns, episode: np.ndarray, step: np.ndarray) -> Batch:
        """The columns at steps of episodes, and which these are."""
        assembly = self._assembly
        fields, first = assembly.fields, assembly.places.first
        rows = (first[axis][episode] + step for axis in (Axis.STEP, Axis.STATE))
        batch = columns.fill(fields, *rows)
        if columns.episodes:
            numbers = first[Axis.EPISODE][episode.reshape(len(episode))]
            chosen = RowSet(numbers)
            for name in columns.episodes:
                batch[name] = chosen.of(fields[name])
        for name, spec in columns.texts.items():
            batch[name] = assembly.words(spec, batch[name])
        batch["episode"], batch["step"] = episode, step
        return batch

    def items(self, columns: Columns, steps: Steps, window: int | None, items: np.ndarray) -> Batch:
        """The columns of steps, or of windows that begin at them, and a ``mask`` of the latter."""
        episode, step = steps.locate(items)
        if window is None:
            return self.batch(columns, episode, step)
        within, mask = window_steps(step, self._assembly.lengths[episode], window)
        batch = self.batch(columns, episode[:, None], within)
        return {**batch, "episode": episode, "step": step, "mask": mask}
