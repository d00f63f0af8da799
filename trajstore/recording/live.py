"""Episodes of a loop that belongs to somebody else: begun, stepped and ended one call at a time.

The loop's thread copies and checks; a thread beside it writes. An episode that is ended is durable
a moment later, see `Recorder.wait`; one that a crash interrupts is lost alone.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from loguru import logger

from trajstore.episode.episode import Episode
from trajstore.episode.nesting import flatten
from trajstore.episode.notes import ENDS, Notes, Taken
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import JournalError
from trajstore.recording.beside import Beside
from trajstore.recording.spool import BLOCK_BYTES, Spool

LEAST_BLOCK_BYTES = 2**20
_TOLD_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Recorded:
    """What live episodes ask of the recorder that they become part of.

    Attributes:
        folder: where rows that do not fit into memory may lie for a while.
        check_open: refuses what would not become durable, after the end or in a fork.
        check_room: refuses more bytes than the quota leaves room for.
        put: takes an episode, not yet durable.
        sync: makes durable what was put.
    """

    name: str
    schema: EpisodeSchema
    folder: Path
    check_open: Callable[[], None]
    check_room: Callable[[int], None]
    put: Callable[[Episode], None]
    sync: Callable[[], None]


class Live:
    """The episodes of one recorder that are under way, and the thread that writes them."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self._beside = Beside(recorded.sync)
        self._under_way: dict[int, LiveEpisode] = {}
        self._guard = threading.Lock()
        self._numbers = count()
        self.lag = 0.0

    def begin(self, values: Mapping[str, Any]) -> "LiveEpisode":
        """Begin an episode."""
        self.check()
        episode = LiveEpisode(self, next(self._numbers), values)
        with self._guard:
            self._under_way[episode.number] = episode
        return episode

    def check(self) -> None:
        """Refuse to go on where nothing would become durable; raise what writing failed with."""
        self.recorded.check_open()
        self._beside.check()

    def wait(self) -> None:
        """Return when all episodes that were ended are durable."""
        self.recorded.check_open()
        self._beside.wait()

    def put(self, work: Callable[[], None], size: int) -> float:
        """Leave work to the thread beside; says how long the loop was held up."""
        waited = self._beside.put(work, size)
        with self._guard:
            self.lag += waited
        return waited

    def leave(self, episode: "LiveEpisode") -> None:
        """Forget an episode that is not under way any more."""
        with self._guard:
            self._under_way.pop(episode.number, None)

    @property
    def most_fresh(self) -> int:
        """Bytes of wide rows that each episode under way may keep in memory."""
        return max(BLOCK_BYTES // max(1, len(self._under_way)), LEAST_BLOCK_BYTES)

    def end(self, *, failing: bool) -> None:
        """Drop what is under way, make durable what was ended; raise what failed.

        ``failing`` says that another error is on its way, beside which failures are only told.
        """
        for episode in list(self._under_way.values()):
            name, steps = self.recorded.name, episode.steps
            logger.warning("{}: dropped {}, which was not ended", name, f"{steps:,} steps")
            episode.drop()
        self._beside.end()
        try:
            self._beside.check()
        except Exception as error:
            if not failing:
                raise
            logger.error("{}: an episode is lost: {}", self.recorded.name, error)


class LiveEpisode:
    """An episode under way; made by `Recorder.begin`.

    Threads may share it. When a call is refused, nothing of it is noted, and the episode goes on.

    Attributes:
        number: of this episode among those that this recorder has begun.
        steps: taken so far.
        lag: how long calls waited in all because the disk was behind, seconds; nothing is dropped.
        slowest: the longest that one call has held up the loop, seconds.
    """

    def __init__(self, live: Live, number: int, values: Mapping[str, Any]) -> None:
        recorded = live.recorded
        self._live, self.number = live, number
        self._rows = Spool(recorded.schema, recorded.folder, recorded.check_room)
        self._notes = Notes(
            recorded.schema,
            f"of episode {number} under way",
            source="a value for it",
            strict=True,
            rows=self._rows,
        )
        self._guard = threading.Lock()
        self._over: bool | None = False
        self._acted: Taken | None = None
        self.steps, self.lag, self.slowest, self._told = 0, 0.0, 0.0, 0.0
        given = self._flat(values, "begin")
        self._whole = self._early(given, "begin")
        self._notes.keep(self._notes.state(given, "the beginning", 0))

    def act(self, values: Mapping[str, Any]) -> None:
        """Note the action of the next step before it is taken; `step` then needs none.

        Raises:
            SchemaError: if it does not fit the fields at and below ``action``.
            JournalError: as `step`.
        """
        with self._guard:
            self._check()
            self._acted = self._notes.action(self._flat(values, "act"), self.steps)

    def step(self, values: Mapping[str, Any]) -> None:
        """Note one step: its action, what it led to, and the state after it.

        Args:
            values: of every field of the step and state axes, copied at once. Nested values go
                under the name above them: ``{"observation": {"front": image, "joints": angles}}``.
                ``terminated`` and ``truncated`` are ``False`` unless given.

        Raises:
            SchemaError: if a value is missing, is of another shape, does not fit its field, or has
                none; the message names field and step.
            JournalError: if the episode is over, the recorder closed, or this a fork.
            QuotaExceededError: if an earlier episode, or this one, found no room; that one is lost.
            StorageError: if an earlier episode, or this one, could not be written; it is lost.
        """
        begun = time.monotonic()
        with self._guard:
            self._check()
            given = dict.fromkeys(ENDS, False) | self._flat(values, "step")
            acted = self._notes.action(given, self.steps) if self._acted is None else self._acted
            step = self._notes.step(given, self.steps)
            state = self._notes.state(given, f"step {self.steps}", self.steps + 1)
            whole = self._early(given, "step")
            self._notes.keep(acted + step + state)
            self._whole |= whole
            self._acted = None
            self._over = any(row.item() for spec, row in step if spec.name in ENDS)
            self.steps += 1
            if self._rows.fresh_bytes >= self._live.most_fresh:
                size = self._rows.fresh_bytes
                self._tell(self._live.put(self._rows.block(), size))
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def end(self, values: Mapping[str, Any] | None = None, *, truncated: bool = False) -> None:
        """End the episode; it becomes durable beside the loop, see `Recorder.wait`.

        Args:
            values: of fields of the episode axis that `begin` was not given.
            truncated: whether it was cut short, and not brought to its end; where the last step
                said how it ended, that counts.

        Raises:
            SchemaError: if no step was taken, or a value is missing or does not fit; `end` it
                again, or `drop` it.
            JournalError: as `step`.
        """
        with self._guard:
            self._check(over=True)
            given = self._flat(values or {}, "end")
            whole = self._notes.end(self._whole | given)
            if not self.steps:
                raise JournalError(
                    f"{self._live.recorded.name}: an episode without a step cannot be "
                    "recorded; drop it: episode.drop()"
                )
            if not self._over:
                self._notes.mark_end(terminated=not truncated, truncated=bool(truncated))
            self._notes.keep(whole)
            self._over = None
            self._live.leave(self)
            self._tell(self._live.put(self._finish, self._rows.held_bytes))

    def drop(self) -> None:
        """Forget the episode; nothing of it is recorded. One that was ended stays as it is."""
        with self._guard:
            if self._over is not None:
                self._over = None
                self._live.leave(self)
                self._live.put(self._rows.close, 0)

    def _finish(self) -> None:
        """In the thread beside: put the episode, whole now, where it becomes durable."""
        with ExitStack() as stack:
            stack.callback(self._rows.close)
            self._live.recorded.put(self._notes.episode())

    def _check(self, *, over: bool = False) -> None:
        self._live.check()
        if self._over is None or (self._over and not over):
            state = "ended or dropped" if self._over is None else f"over at step {self.steps - 1}"
            raise JournalError(
                f"{self._live.recorded.name}: this episode is {state}; begin another: "
                "recorder.begin(...)"
            )

    def _flat(self, values: Mapping[str, Any], call: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            found |= flatten(name, value, self._notes.known)
        self._notes.refuse_others(found, "an episode", call, "declare a field of that name")
        return found

    def _early(self, given: Mapping[str, Any], call: str) -> dict[str, Any]:
        return {spec.name: row for spec, row in self._notes.early(given, call)}

    def _tell(self, waited: float) -> None:
        self.lag += waited
        if self.lag > 2 * self._told + _TOLD_SECONDS:
            self._told = self.lag
            logger.warning(
                "{}: the disk is behind: step {} of an episode waited {:.2f} s ({:.2f} s in all); "
                "nothing was dropped",
                self._live.recorded.name, self.steps - 1, waited, self.lag,
            )  # fmt: skip
