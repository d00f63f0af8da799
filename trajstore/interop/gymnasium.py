"""Gymnasium: spaces as fields and back, and episodes of any environment.

A nested space becomes one field a leaf, as `trajstore.episode.nesting` names them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from trajstore.episode.bounds import filled
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import (
    ACTION,
    KIND,
    OBSERVATION,
    REWARD,
    below,
    flatten,
    kind,
    nest,
    step_schema,
)
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import SchemaError

Act = Callable[[Any], Any]
"""From an observation to an action, both as the environment's spaces describe them."""


def fields_of(name: str, space: spaces.Space[Any], *, axis: Axis) -> tuple[FieldSpec, ...]:
    """The fields that hold values of a space.

    Args:
        name: of the field, or of the folder of fields for a nested space.
        space: Box, Discrete, MultiDiscrete, MultiBinary, or Dict and Tuple of these.
        axis: of the fields.

    Raises:
        SchemaError: if the space is of another kind, or holds none.

    Example:
        >>> space = spaces.Dict(goal=spaces.Box(-1, 1, (2,)), gear=spaces.Discrete(5))
        >>> sorted(field.name for field in fields_of("observation", space, axis=Axis.STATE))
        ['observation/gear', 'observation/goal']
    """
    return tuple(_fields(name, space, axis, ""))


def _fields(name: str, space: Any, axis: Axis, above: str) -> Iterator[FieldSpec]:  # noqa: ANN401
    own = type(space).__name__
    path = f"{above}.{own}" if above else own
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces
        children = dict(enumerate(inner)) if isinstance(inner, tuple) else inner
        if not children:
            raise SchemaError(f"field {name!r}: expected a space that holds others, got {space}")
        for key, child in children.items():
            yield from _fields(f"{name}/{key}", child, axis, path)
        return
    if own not in _LEAVES:
        raise SchemaError(
            f"field {name!r}: expected a space of kind {', '.join(_LEAVES)}, Dict or Tuple, "
            f"got {own}"
        )
    low, high = _LEAVES[own](space)
    yield FieldSpec(
        name, axis, space.shape, space.dtype.name, low=low, high=high, description=KIND + path
    )


_LEAVES: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "Box": lambda space: (
        (None, None) if space.dtype == np.bool_ else (space.low.tolist(), space.high.tolist())
    ),
    "Discrete": lambda space: (int(space.start), int(space.start + space.n - 1)),
    "MultiDiscrete": lambda space: (0, (space.nvec - 1).tolist()),
    "MultiBinary": lambda space: (0, 1),
}


def space_of(schema: EpisodeSchema, name: str) -> spaces.Space[Any]:
    """The space whose values the field ``name``, or the fields below it, hold.

    A field that was not made from a space is a Box with its limits.

    Raises:
        SchemaError: if there is no such field.
    """
    leaves = {spec.name: _leaf(spec) for spec in schema.fields if below(spec.name, name)}
    return _space(nest(schema, name, leaves))


def _space(nested: Any) -> spaces.Space[Any]:  # noqa: ANN401 - dicts and tuples of spaces
    if isinstance(nested, tuple):
        return spaces.Tuple([_space(child) for child in nested])
    if isinstance(nested, dict):
        return spaces.Dict({key: _space(child) for key, child in nested.items()})
    return nested  # type: ignore[no-any-return]


def _leaf(spec: FieldSpec) -> spaces.Space[Any]:
    low: Any = spec.low
    high: Any = spec.high
    match kind(spec, spec.name):
        case "Discrete":
            return spaces.Discrete(high - low + 1, start=low)
        case "MultiDiscrete":
            return spaces.MultiDiscrete(np.broadcast_to(high, spec.shape) + 1, dtype=spec.dtype)
        case "MultiBinary":
            return spaces.MultiBinary(spec.shape)
    dtype = np.dtype(spec.dtype)
    ends: tuple[Any, Any] = (0, 1) if dtype.kind == "b" else (-np.inf, np.inf)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype).min, np.iinfo(dtype).max
    limits = [
        np.broadcast_to(filled(bound, end), spec.shape).astype(dtype)
        for bound, end in zip((low, high), ends, strict=True)
    ]
    return spaces.Box(limits[0], limits[1], shape=spec.shape, dtype=dtype.type)


def schema_of(env: gym.Env[Any, Any], *, extra: Iterable[FieldSpec] = ()) -> EpisodeSchema:
    """The schema of an environment's episodes.

    Args:
        env: whose spaces become the fields below ``observation`` and ``action``.
        extra: fields that the environment reports in ``info`` under their names.

    Raises:
        SchemaError: if a space has no form as fields.
    """
    return step_schema(
        fields_of(OBSERVATION, env.observation_space, axis=Axis.STATE),
        fields_of(ACTION, env.action_space, axis=Axis.STEP),
        FieldSpec("seed", Axis.EPISODE, (), "int64", description="given to reset"),
        *extra,
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

    Observations, actions, rewards and ends are recorded as the environment returns them;
    ``seed`` is the seed; every other field of the schema is taken from ``info`` under its
    name: of ``reset`` and each step for a state field, of each step for a step field, of the
    last step (or of ``reset``) for an episode field.

    Args:
        env: any Gymnasium environment; it should end its episodes (``TimeLimit`` does).
        act: the policy.
        seeds: for ``reset``.
        schema: of the episodes; that of the spaces if ``None``.
        options: for ``reset``.

    Raises:
        SchemaError: if an episode does not fit the schema, or ``info`` lacks a field.
    """
    chosen = schema_of(env) if schema is None else schema
    for seed in seeds:
        rows: dict[str, list[Any]] = {spec.name: [] for spec in chosen.fields}
        observation, info = env.reset(seed=seed, options=None if options is None else dict(options))
        first, ended = info, False
        _note(rows, chosen, Axis.STATE, {**info, **flatten(OBSERVATION, observation)})
        while not ended:
            action = act(observation)
            observation, reward, terminated, truncated, info = env.step(action)
            ended = bool(terminated or truncated)
            ends = {"terminated": bool(terminated), "truncated": bool(truncated)}
            values = {**info, **flatten(ACTION, action), REWARD: reward, **ends}
            _note(rows, chosen, Axis.STEP, values)
            _note(rows, chosen, Axis.STATE, {**info, **flatten(OBSERVATION, observation)})
        _note(rows, chosen, Axis.EPISODE, {**first, **info, "seed": seed})
        yield Episode(chosen, {spec.name: _array(spec, rows[spec.name]) for spec in chosen.fields})


def _note(
    rows: dict[str, list[Any]], schema: EpisodeSchema, axis: Axis, values: Mapping[str, Any]
) -> None:
    for spec in schema.on(axis):
        if spec.name not in values:
            raise SchemaError(
                f"field {spec.name!r}: expected the environment to report it in info, got "
                f"{sorted(values)}"
            )
        rows[spec.name].append(values[spec.name])


def _array(spec: FieldSpec, rows: list[Any]) -> np.ndarray:
    if spec.is_text:
        return np.array(str(rows[0]))
    plain = all(isinstance(row, (bool, int, float)) for row in rows)
    kept = spec.dtype if plain or spec.name == REWARD else None
    try:
        array = np.array(rows, dtype=kept)
    except (TypeError, ValueError, OverflowError):
        shapes = sorted({getattr(row, "shape", ()) for row in rows})
        raise SchemaError(
            f"field {spec.name!r}: expected {spec.dtype} of shape {spec.shape} at every step, got "
            f"{type(rows[-1]).__name__} of shapes {shapes}; mend the environment"
        ) from None
    return array[0] if spec.axis is Axis.EPISODE else array
