"""One environment that others play: what it tells becomes episodes of a recorder."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from loguru import logger

from trajstore.episode.fields import Axis
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below, flatten
from trajstore.episode.playing import Step
from trajstore.errors import ArgumentError, SchemaError
from trajstore.recording.live import LiveEpisode
from trajstore.recording.recorder import Recorder

Cut = Literal["drop", "truncate"]
"""What becomes of an episode that is reset before its end."""
SEED = "seed"
_GOLDEN = 0x9E3779B1


class Seeds:
    """A seed for each reset: the one that is given, or the next of a sequence that follows from it.

    Args:
        root: where the sequence begins until a seed is given; drawn if ``None``.
    """

    def __init__(self, root: int | None = None) -> None:
        self._root, self._count = root, 0

    def next(self, given: int | None) -> int:
        """The seed of the next reset; within 32 bits unless given."""
        if given is not None:
            self._root, self._count = int(given), 0
            return int(given)
        if self._root is None:
            self._root = int(np.random.SeedSequence().generate_state(1)[0])
        self._count += 1
        first = int(np.random.SeedSequence(self._root).generate_state(1)[0])
        return (first + self._count * _GOLDEN) % 2**32


class Watched:
    """The episodes of one environment, one after another.

    Args:
        recorder: which records them; entered.
        cut: ``drop`` forgets an episode that is reset before its end, ``truncate`` records it with
            ``truncated`` at its last step. Without a step it is dropped.
        name: of the environment, for messages.

    Attributes:
        dropped: how many episodes with steps were cut and dropped.
    """

    def __init__(self, recorder: Recorder, cut: Cut, name: str) -> None:
        if cut not in get_args(Cut):
            raise ArgumentError(f"cut: expected one of {', '.join(get_args(Cut))}, got {cut!r}")
        self._recorder, self._cut, self._name = recorder, cut, name
        schema = recorder.schema
        self.names = frozenset(schema.names) | {SEED}
        self._moving = {it.name for it in schema.fields if it.axis is not Axis.EPISODE}
        self._moving |= {it for it in schema.names if below(it, OBSERVATION)}
        self._acts = any(below(it, ACTION) for it in self._moving)
        self._whole = set(schema.names) - self._moving - {SEED}
        self._seeded = SEED in schema.names
        self._episode: LiveEpisode | None = None
        self.dropped = 0

    def began(self, observation: Any, info: Mapping[str, Any], seed: int | None) -> None:  # noqa: ANN401
        """A reset has led to this; one that a seed in ``info`` tells of counts before ``seed``."""
        self.cut()
        values = self._seen(observation, info, self._moving | self._whole)
        if self._seeded:
            told = info.get(SEED, seed)
            if told is None:
                raise SchemaError(
                    f"field 'seed': {self._name} was reset without a seed; wrap each "
                    "environment: trajstore.interop.wrappers.SeededResets, or leave the field "
                    "out: schema_of(env, seeded=False)"
                )
            values[SEED] = told
        self._episode = self._recorder.begin(values)

    def acted(self, action: Any) -> None:  # noqa: ANN401
        """This is the action of the step to come; one that does not fit is refused before."""
        if self._episode is not None and self._acts:
            self._episode.act(flatten(ACTION, action, self.names))

    def stepped(self, step: Step) -> None:
        """The step has led to this; its end is that of the episode."""
        episode = self._episode
        if episode is None:
            return
        ends = {"terminated": step.terminated, "truncated": step.truncated}
        over = bool(step.terminated or step.truncated)
        names = self._moving | self._whole if over or self._cut == "truncate" else self._moving
        told = {**step.info, REWARD: step.reward, **ends}
        try:
            episode.step(self._seen(step.observation, told, names))
            if over:
                self._episode = None
                episode.end()
        except BaseException:
            self._episode = None
            episode.drop()
            raise

    def cut(self) -> None:
        """Nothing more will come of the episode under way, if there is one."""
        episode, self._episode = self._episode, None
        if episode is None:
            return
        if episode.steps and self._cut == "truncate":
            episode.end(truncated=True)
            return
        episode.drop()
        if episode.steps:
            self.dropped += 1
            logger.info("{}: an episode was cut at step {:,}, dropped", self._name, episode.steps)

    def _seen(
        self,
        observation: Any,  # noqa: ANN401
        info: Mapping[str, Any],
        names: set[str],
    ) -> dict[str, Any]:
        seen = flatten(OBSERVATION, observation, self.names)
        told = {name: value for name, value in info.items() if name in names}
        return {**told, **{name: value for name, value in seen.items() if name in names}}
