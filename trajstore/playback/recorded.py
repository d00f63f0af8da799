"""Reading for playback: what can be read is shown, what cannot is named."""

from collections.abc import Mapping

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, FieldSpec
from trajstore.errors import CorruptionError, StorageError

WIDE_ROW_BYTES = 1024


class Recorded:
    """A dataset that may be damaged: unreadable fields are left out and remembered.

    Attributes:
        dataset: the version.
        table: columns of the episodes that could be read; ``length`` is always there.
        faults: what is wrong, by field.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Read the table of episodes.

        Raises:
            CorruptionError: if not even the lengths of the episodes can be read.
        """
        self.dataset = dataset
        self.faults: dict[str, str] = {}
        self._columns: dict[str, np.ndarray] = {}
        self.table = self._table()
        lengths = self.table["length"]
        self._starts = np.cumsum(lengths) - lengths

    def __len__(self) -> int:
        return len(self.dataset)

    def text(self, name: str) -> list[str]:
        """A text column of the table, one entry an episode; empty texts if it is not there."""
        if name not in self.table or self.table[name].dtype.kind not in "UO":
            return [""] * len(self)
        return [str(value) for value in self.table[name]]

    def scores(self) -> np.ndarray:
        """``float[N]``, anomaly score of each episode; zero where none is known."""
        return np.asarray(self.table.get("anomaly", np.zeros(len(self))), np.float64)

    def episode(self, index: int) -> Episode | None:
        """The whole episode; ``None`` if any of its fields cannot be read (see ``faults``)."""
        try:
            return self.dataset[index]
        except (CorruptionError, StorageError) as error:
            self.faults.setdefault("", str(error))
            return None

    def arrays(self, index: int) -> Mapping[str, np.ndarray]:
        """The narrow fields of an episode that can be read, for one that is not whole."""
        first = int(self._starts[index])
        stop = first + int(self.table["length"][index])
        found = {}
        for spec in self.dataset.schema.fields:
            rows = self._column(spec)
            if rows is None:
                continue
            if spec.axis is Axis.EPISODE:
                found[spec.name] = np.asarray(rows[index])
            else:
                extra = index if spec.axis is Axis.STATE else 0
                found[spec.name] = rows[first + extra : stop + extra + (spec.axis is Axis.STATE)]
        return found

    def _table(self) -> dict[str, np.ndarray]:
        try:
            return dict(self.dataset.episodes)
        except (CorruptionError, StorageError) as error:
            self.faults.setdefault("", str(error))
        table = {"length": self.dataset.lengths}
        for spec in self.dataset.schema.on(Axis.EPISODE):
            rows = self._column(spec)
            if rows is not None:
                table[spec.name] = rows
        return table

    def _column(self, spec: FieldSpec) -> np.ndarray | None:
        if spec.row_bytes > WIDE_ROW_BYTES or spec.name in self.faults:
            return None
        if spec.name not in self._columns:
            try:
                self._columns[spec.name] = self.dataset.column(spec.name)
            except (CorruptionError, StorageError) as error:
                self.faults[spec.name] = str(error)
                return None
        return self._columns[spec.name]
