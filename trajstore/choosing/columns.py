"""The columns that a condition on episodes can name, each read when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from trajstore.choosing.expression import unknown
from trajstore.choosing.marks import Known, Mark
from trajstore.episode.fields import Axis
from trajstore.errors import ArgumentError
from trajstore.version.reading import Assembly

_UNMARKED = Mark("")


class EpisodeColumns(Mapping[str, np.ndarray]):
    """Every episode field, ``length``, ``return``, ``anomaly``, ``digest``, ``episode`` (number).

    ``return`` is the sum of the rewards unless there is such a field. With marks, ``mark``,
    ``tags`` and ``note``; more columns that hold for all episodes are given by ``facts``. A field
    of the schema comes before any of these.
    """

    def __init__(self, assembly: Assembly, marks: Known | None, **facts: str) -> None:
        self._assembly = assembly
        self._makers: dict[str, Callable[[], np.ndarray]] = {
            name: partial(self._fact, text) for name, text in facts.items()
        }
        if marks is not None:
            self._makers["mark"] = lambda: np.array([it.mark for it in self._marks(marks)], "U")
            self._makers["note"] = lambda: np.array([it.note for it in self._marks(marks)], "U")
            self._makers["tags"] = partial(self._tags, marks)
        self._makers |= {
            "length": lambda: assembly.lengths,
            "anomaly": lambda: assembly.scores,
            "digest": lambda: np.array(self.digests()),
            "episode": lambda: np.arange(len(assembly.lengths)),
        }
        schema = assembly.manifest.schema
        reward = schema.roles.get("reward", "reward")
        if reward in schema.names and not schema.field(reward).shape:
            self._makers["return"] = partial(self._return, reward)
        fields = schema.on(Axis.EPISODE)
        self._makers |= {it.name: partial(assembly.column, it.name) for it in fields}
        self._known: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._known:
            self._known[name] = self._makers[name]()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def groups(self, by: str | None) -> list[object]:
        """The value of a column for each episode, or its digest; `ArgumentError` if there is none.

        Values that are not a number are one.
        """
        if by is None:
            return [*self.digests()]
        if by not in self._makers:
            raise unknown("by", by, list(self))
        column = self[by]
        if column.ndim > 1 or column.dtype.kind == "O":
            raise ArgumentError(f"by: expected a field of one value an episode, got {by!r}")
        return [None if value != value else value for value in column.tolist()]

    def digests(self) -> list[str]:
        """The digest of each episode, hexadecimal."""
        return [digest.hex() for digest in self._assembly.digests()]

    def _return(self, reward: str) -> np.ndarray:
        places, axis = self._assembly.places, self._assembly.manifest.schema.field(reward).axis
        rows = places.rows(axis)
        column = self._assembly.column(reward).astype(np.float64)
        sums: np.ndarray = np.add.reduceat(column, np.cumsum(rows) - rows)
        return sums

    def _fact(self, text: str) -> np.ndarray:
        return np.full(len(self._assembly.lengths), text)

    def _marks(self, marks: Known) -> list[Mark]:
        found = marks() if callable(marks) else marks
        return [found.get(digest, _UNMARKED) for digest in self.digests()]

    def _tags(self, marks: Known) -> np.ndarray:
        tags = np.empty(len(self._assembly.lengths), object)
        tags[:] = [frozenset(it.tags) for it in self._marks(marks)]
        return tags
