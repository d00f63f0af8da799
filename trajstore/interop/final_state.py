"""Files that hold no state after the last action: how they become episodes, which have one."""

from enum import StrEnum

import numpy as np

from trajstore.episode.fields import Axis
from trajstore.errors import SchemaError

Arrays = dict[str, np.ndarray]


class FinalState(StrEnum):
    """What stands for the state after the last action of an episode, where a file holds none."""

    DROP = "drop"
    """The last observation does; the action taken from it is left out, with reward and end."""
    REPEAT = "repeat"
    """The last observation again: every action is kept, the last state is made up."""
    NONE = "none"
    """Nothing: observations lie on the step axis, and no sample has a next observation."""

    @property
    def axis(self) -> Axis:
        """Of the observations."""
        return Axis.STEP if self is FinalState.NONE else Axis.STATE

    def arrays(self, where: str, states: Arrays, steps: Arrays) -> Arrays:
        """All arrays of an episode of ``T`` rows of states and of steps.

        Raises:
            SchemaError: if an episode of one row would lose its only action.
        """
        if self is FinalState.NONE:
            return {**states, **steps}
        if self is FinalState.REPEAT:
            return {**{name: _repeated(rows) for name, rows in states.items()}, **steps}
        count = len(next(iter(steps.values())))
        if count < 2:
            raise SchemaError(
                f"{where}: has one frame, which is kept as the state after the last action, so "
                "that no step is left; to keep such episodes: --final-state repeat"
            )
        return {**states, **{name: rows[:-1] for name, rows in steps.items()}}

    def ends(self, length: int, *, terminated: bool, marked: bool) -> Arrays:
        """The two ends of an episode of ``length`` rows.

        Args:
            length: rows in the file.
            terminated: whether the task ended with the last action.
            marked: whether something says so or the clock ended it; else ``truncated`` stays
                false too.
        """
        dropped = self is FinalState.DROP
        ends: np.ndarray = np.zeros((2, max(length - dropped, 0)), bool)
        ends[0, -1:] = terminated and not dropped
        ends[1, -1:] = (marked or dropped) and not ends[0, -1:]
        return {"terminated": ends[0], "truncated": ends[1]}

    def note(self) -> str:
        """How it was taken, for whoever imports."""
        told = {
            FinalState.DROP: "the last action of each episode, its reward and its end are left "
            "out, so that every episode is truncated; other choices: --final-state repeat or none",
            FinalState.REPEAT: "the last observation of each episode stands twice",
            FinalState.NONE: "observations lie on the step axis, without a next one",
        }
        return f"no state after the last action comes from the file: {told[self]}"


def _repeated(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, rows[-1:]])


def check_following(states: np.ndarray, following: np.ndarray, where: str) -> None:
    """Refuse next observations that are not the observations of the next step."""
    same = (states[1:] == following[:-1]) | (states[1:] != states[1:])
    if not same.all():
        row = int(np.flatnonzero(~same.reshape(len(same), -1).all(axis=1))[0])
        raise SchemaError(
            f"{where}: the next observation of step {row} is not the observation of step "
            f"{row + 1}; to leave all next observations out: --final-state drop"
        )
