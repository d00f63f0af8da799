"""Reading for playback: what can be read is shown, what cannot is named."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode import anomalies, plugins
from trajstore.episode.episode import Episode
from trajstore.episode.roles import RADII
from trajstore.episode.schema import Axis, FieldSpec
from trajstore.errors import CorruptionError, PluginError, StorageError

RADIUS = 0.3
STEP_SECONDS = 0.1
"""Of a scene whose provenance does not tell."""
RATES = ("fps", "frame_rate", "render_fps")
"""Keys of a provenance that tell steps a second."""


class Seen(NamedTuple):
    """One episode, as far as it can be read.

    Attributes:
        episode: whole; ``None`` if any of its fields cannot be read (see ``Viewed.faults``).
        arrays: the fields by name; of an episode that is not whole the narrow ones.
        scene: those of them that have a role, by role.
        marks: anomalies as JSON: what detectors find now, or what was sealed if it is not whole.
    """

    episode: Episode | None
    arrays: Mapping[str, np.ndarray]
    scene: Mapping[str, np.ndarray]
    marks: list[dict[str, Any]]


class Viewed:
    """A dataset that may be damaged: unreadable fields are left out and remembered.

    Attributes:
        starts: ``int64[N]``, number of each episode's first step.
        table: columns of the episodes that could be read; ``length`` is always there.
        faults: what is wrong, by field.
        dt: seconds of a step; ``None`` if unknown.
        radii: of the agent and of others, metres.
        unfit: detectors that flag most episodes, and how many; they do not score.
        left_aside: why detectors of other packages could not be used, one text each.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Read the table of episodes; refused if not even their lengths can be read."""
        self.dataset, self.manifest = dataset, dataset.manifest
        self.faults: dict[str, str] = {}
        self.unfit = anomalies.unfit(self.manifest.anomalies, len(self))
        self._detectors, wrong = plugins.detectors()
        self.left_aside = dict.fromkeys(map(str, wrong))
        self._columns: dict[str, np.ndarray] = {}
        self.table = self._table()
        lengths = self.table["length"]
        self.starts = np.cumsum(lengths) - lengths
        known, scene = self.manifest.provenance, "pose" in dataset.schema.roles
        self.dt = _seconds(known) or (STEP_SECONDS if scene else None)
        agent, others = (number_of(known, *RADII[it]) or RADIUS for it in ("agent", "others"))
        self.radii = agent, others

    def __len__(self) -> int:
        return len(self.dataset)

    def text(self, name: str) -> list[str]:
        """A text column of the table, one entry an episode; empty texts if it is not there."""
        if name not in self.table or self.table[name].dtype.kind not in "UO":
            return [""] * len(self)
        return list(map(str, self.table[name]))

    def words(self, index: int) -> tuple[str, str]:
        """Scenario and outcome of an episode; empty where they are not known."""
        names = ("scenario", self.dataset.schema.roles.get("outcome", "outcome"))
        scenario, outcome = (str(self.table[it][index]) if it in self.table else "" for it in names)
        return scenario, outcome or self.successes[index]

    @cached_property
    def successes(self) -> list[str]:
        """``success`` or ``failed`` by the field ``success``; empty texts where there is none."""
        success = self.table.get("success")
        if success is None or success.dtype != bool or success.ndim > 1:
            return [""] * len(self)
        return ["success" if it else "failed" for it in success.tolist()]

    def scores(self) -> np.ndarray:
        """``float[N]``, anomaly score of each episode; zero where none is known."""
        return np.asarray(self.table.get("anomaly", np.zeros(len(self))), np.float64)

    def worst(self) -> int:
        """The episode with the highest anomaly score."""
        return int(self.scores().argmax())

    def see(self, index: int) -> Seen:
        """Read one episode and find its anomalies."""
        try:
            episode = self.dataset[index]
        except (CorruptionError, StorageError) as error:
            self.faults.setdefault("", str(error))
            arrays = self._readable(index)
            marks = [dict(one) for one in self.manifest.anomalies.get(index, ())]
            return Seen(None, arrays, self.dataset.schema.in_roles(arrays), marks)
        marks = [one.to_json() for one in (*anomalies.find(episode), *self._found(episode))]
        return Seen(episode, episode.arrays, episode.schema.in_roles(episode.arrays), marks)

    def _found(self, episode: Episode) -> Iterator[anomalies.Anomaly]:
        """What detectors of other packages find."""
        for detector in self._detectors:
            try:
                yield from detector.find(episode)
            except PluginError as error:
                self.left_aside[str(error)] = None

    def _readable(self, index: int) -> dict[str, np.ndarray]:
        """Rows of an episode that is not whole, of the narrow fields that can be read."""
        first = int(self.starts[index])
        stop = first + int(self.table["length"][index])
        found = {}
        for spec, rows in self._narrow(self.dataset.schema.fields):
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
        lengths = self.dataset.lengths
        found = self._narrow(self.dataset.schema.on(Axis.EPISODE))
        return {"length": lengths, **{spec.name: rows for spec, rows in found}}

    def _narrow(self, fields: Iterable[FieldSpec]) -> Iterator[tuple[FieldSpec, np.ndarray]]:
        """The narrow fields that can be read, each with all of its rows."""
        for spec in fields:
            if not spec.is_narrow or spec.name in self.faults:
                continue
            if spec.name not in self._columns:
                try:
                    self._columns[spec.name] = self.dataset.column(spec.name)
                except (CorruptionError, StorageError) as error:
                    self.faults[spec.name] = str(error)
                    continue
            yield spec, self._columns[spec.name]


def _seconds(known: Mapping[str, Any]) -> float | None:
    """Of a step, as the provenance tells it, or as frames a second."""
    rate = number_of(known, *RATES)
    return number_of(known, "dt") or (rate and 1.0 / rate)


def number_of(record: Mapping[str, Any], *keys: str) -> float | None:
    """The first positive number of one of these names in the record, level by level."""
    level = [record]
    while level:
        for key in keys:
            for one in level:
                value = one.get(key)
                if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
                    return float(value)
        level = [item for one in level for item in one.values() if isinstance(item, Mapping)]
    return None
