"""Gymnasium: the schema of an environment's episodes, and episodes of any environment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from operator import index
from typing import Any

import gymnasium as gym
import numpy as np

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec, check_values, limits
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, below, flatten, step_schema
from trajstore.episode.playing import Step, advance, begin
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.values import row_of
from trajstore.errors import SchemaError
from trajstore.interop.spaces import fields_of, space_of

__all__ = ["Act", "fields_of", "record", "schema_of", "space_of"]

Act = Callable[[Any], Any]
"""From an observation to an action, both as the environment's spaces describe them."""


def schema_of(
    env: gym.Env[Any, Any],
    *,
    extra: Iterable[FieldSpec] = (),
    strict: bool = False,
    constant: Iterable[str] = (),
) -> EpisodeSchema:
    """The schema of an environment's episodes.

    Args:
        env: whose spaces become the fields below ``observation`` and ``action``.
        extra: fields that the environment reports in ``info`` under their names.
        strict: whether observations outside of their space are refused. Else they are recorded,
            counted in the manifest, and validation warns of them.
        constant: observation fields that stay the same for a whole episode, such as
            ``observation/mission``: they go on the episode axis.

    Raises:
        SchemaError: if it is no single environment, or a space has no form as fields.
    """
    check_single(env)
    seen = fields_of(OBSERVATION, env.observation_space, axis=Axis.STATE, strict=strict)
    still = set(constant)
    unknown = sorted(still - {spec.name for spec in seen})
    if unknown:
        raise SchemaError(
            f"field {unknown[0]!r}: expected one of {', '.join(it.name for it in seen)} as constant"
        )
    return step_schema(
        [replace(it, axis=Axis.EPISODE) if it.name in still else it for it in seen],
        fields_of(ACTION, env.action_space, axis=Axis.STEP),
        FieldSpec("seed", Axis.EPISODE, (), "int64", description="given to reset"),
        *extra,
    )


def check_single(env: Any) -> None:  # noqa: ANN401 - whatever is given
    """Refuse what is no environment, or several that are stepped together."""
    count = getattr(getattr(env, "unwrapped", env), "num_envs", None)
    if count is not None:
        raise SchemaError(
            f"environment: expected a single one, got {type(env).__name__} of {count} that are "
            "stepped together; record one of them, and the others in processes of their own, see "
            "docs/environments.md, 'Several workers'"
        )
    usable = all(callable(getattr(env, it, None)) for it in ("reset", "step"))
    if isinstance(env, type) or not usable:
        raise SchemaError(
            "environment: expected one with reset and step, as gymnasium.make makes it, got "
            f"{type(env).__name__}"
        )


def record(
    env: gym.Env[Any, Any],
    act: Act,
    *,
    seeds: Iterable[int],
    schema: EpisodeSchema | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Episode]:
    """Play episodes to their end, one a seed.

    Observations, actions, rewards and ends are recorded as the environment returns them, each
    copied when it comes and none rounded; of an environment that resets itself the last
    observation is taken from ``info``. ``seed`` is the seed; every other field of the schema is
    taken from ``info`` under its name: of ``reset`` and each step for a state field, of each step
    for a step field, of the last step (or of ``reset``) for an episode field.

    Args:
        env: any Gymnasium environment; it should end its episodes (``TimeLimit`` does).
        act: the policy.
        seeds: for ``reset``; ``recorder.missing(seeds)`` are those that are not recorded yet.
        schema: of the episodes; that of the spaces if ``None``.
        options: for ``reset``.

    Raises:
        SchemaError: if ``env`` is no single environment, an episode does not fit the schema, or
            ``info`` lacks a field; the message names field, step and value.
    """
    check_single(env)
    chosen = schema_of(env) if schema is None else schema
    return (_episode(env, act, index(seed), chosen, options) for seed in seeds)


def _episode(
    env: gym.Env[Any, Any],
    act: Act,
    seed: int,
    schema: EpisodeSchema,
    options: Mapping[str, Any] | None,
) -> Episode:
    told = None if options is None else deepcopy(dict(options))
    observation, info = begin(env, seed, told)
    notes = _Notes(schema, f"of seed {seed}")
    first = {it.name: deepcopy(info[it.name]) for it in schema.on(Axis.EPISODE) if it.name in info}
    notes.state(observation, info, "reset")
    steps, ended = 0, False
    while not ended:
        action = act(observation)
        notes.action(action, steps)
        step = advance(env, action)
        notes.step(step, steps)
        ended = bool(step.terminated or step.truncated)
        notes.state(step.observation, step.info, f"step {steps}")
        observation, steps = step.observation, steps + 1
    if not step.final:
        _check_final(env)
    notes.whole({**first, **step.info, "seed": seed})
    return notes.episode()


class _Notes:
    """The rows of one episode, each copied when it comes."""

    def __init__(self, schema: EpisodeSchema, of: str) -> None:
        self._schema, self._of = schema, of
        self._known = set(schema.names)
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in schema.names}
        self._states = schema.on(Axis.STATE)
        self._actions = [it for it in schema.on(Axis.STEP) if below(it.name, ACTION)]
        self._steps = [it for it in schema.on(Axis.STEP) if not below(it.name, ACTION)]
        self._still = [it for it in schema.on(Axis.EPISODE) if below(it.name, OBSERVATION)]
        self._whole = [it for it in schema.on(Axis.EPISODE) if not below(it.name, OBSERVATION)]
        self._ranges = [(it, *limits(it)) for it in self._actions if not it.is_text]

    def state(self, observation: Any, info: Mapping[str, Any], when: str) -> None:  # noqa: ANN401
        values = {**info, **flatten(OBSERVATION, observation, self._known)}
        self._note(self._states, values, when)
        self._note(self._still, values, when)
        for spec in self._still:
            first, *others = self._rows[spec.name]
            if others and not np.array_equal(first, others[-1]):
                raise SchemaError(
                    f"field {spec.name!r}: expected it to stay the same in an episode, got another "
                    f"value at {when} {self._of}; do not name it as constant"
                )
            self._rows[spec.name] = [first]

    def action(self, action: Any, step: int) -> None:  # noqa: ANN401
        parts = flatten(ACTION, action, self._known)
        for name in parts.keys() - self._known if self._actions else ():
            raise SchemaError(
                f"field {name!r}: expected no such part of an action, got one at step {step} "
                f"{self._of}; it would be lost: declare it in the action space"
            )
        self._note(self._actions, parts, f"step {step}")
        for spec, low, high in self._ranges:
            row = self._rows[spec.name][-1]
            if not ((row >= low) & (row <= high)).all():
                check_values(spec, row[None], first=step)

    def step(self, step: Step, number: int) -> None:
        ends = {"terminated": step.terminated, "truncated": step.truncated}
        self._note(self._steps, {**step.info, REWARD: step.reward, **ends}, f"step {number}")

    def whole(self, values: Mapping[str, Any]) -> None:
        self._note(self._whole, values, "the end")

    def episode(self) -> Episode:
        arrays = {
            spec.name: rows[0] if spec.axis is Axis.EPISODE else np.stack(rows)
            for spec, rows in zip(self._schema.fields, self._rows.values(), strict=True)
        }
        return Episode(self._schema, arrays)

    def _note(self, specs: Iterable[FieldSpec], values: Mapping[str, Any], when: str) -> None:
        when = f"{when} {self._of}"
        for spec in specs:
            if spec.name not in values:
                source = "the environment to report it in info"
                if below(spec.name, ACTION) or below(spec.name, OBSERVATION):
                    source = "it as a part of the value"
                raise SchemaError(
                    f"field {spec.name!r}: expected {source}, got {sorted(map(str, values))} at "
                    f"{when}"
                )
            self._rows[spec.name].append(row_of(spec, values[spec.name], when))


def _check_final(env: Any) -> None:  # noqa: ANN401
    """Refuse an environment that resets itself and did not tell how the episode ended."""
    layer, seen = env, set[int]()
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        own = type(layer)
        later = own.__module__.startswith("gymnasium.wrappers") and own.__name__ == "Autoreset"
        same = "same" in str((getattr(layer, "metadata", None) or {}).get("autoreset_mode")).lower()
        if same or ("autoreset" in own.__name__.lower().replace("_", "") and not later):
            raise SchemaError(
                f"environment: expected the last observation of the episode, got that of the next "
                f"one, as {own.__name__} resets by itself; have it report 'final_observation' in "
                "info, or record without it"
            )
        layer = getattr(layer, "__dict__", {}).get("env")
