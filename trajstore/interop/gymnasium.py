"""Gymnasium: the schema of an environment's episodes, and episodes of any environment."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from operator import index
from typing import Any

import gymnasium as gym

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION, REWARD, flatten, step_schema
from trajstore.episode.notes import Notes
from trajstore.episode.playing import Layers, Step, advance, begin, resets_itself
from trajstore.episode.schema import EpisodeSchema
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
    seeded: bool = True,
) -> EpisodeSchema:
    """The schema of an environment's episodes.

    Args:
        env: whose spaces become the fields below ``observation`` and ``action``; of a vector
            environment, or a ``VecEnv`` of Stable-Baselines3, those of one of its environments.
        extra: fields that the environment reports in ``info`` under their names.
        strict: whether observations outside of their space are refused. Else they are recorded,
            counted in the manifest, and validation warns of them.
        constant: observation fields that stay the same for a whole episode, such as
            ``observation/mission``: they go on the episode axis.
        seeded: whether each episode has a field ``seed``, without which it cannot be replayed.

    Raises:
        SchemaError: if it is no environment, or a space has no form as fields.
    """
    observed, acted, reward = _spaces(env)
    seen = fields_of(OBSERVATION, observed, axis=Axis.STATE, strict=strict)
    still = set(constant)
    unknown = sorted(still - {spec.name for spec in seen})
    if unknown:
        raise SchemaError(
            f"constant: there is no field {unknown[0]!r} of the observation; there are "
            f"{', '.join(it.name for it in seen)}"
        )
    return step_schema(
        [replace(it, axis=Axis.EPISODE) if it.name in still else it for it in seen],
        fields_of(ACTION, acted, axis=Axis.STEP),
        *([FieldSpec("seed", Axis.EPISODE, (), "int64", description="given to reset")] * seeded),
        *extra,
        reward=reward,
    )


def _spaces(env: Any) -> tuple[Any, Any, str]:  # noqa: ANN401
    """Spaces of what one environment observes and does, and the dtype of its rewards.

    Stable-Baselines3 rounds rewards to ``float32``, which a replay compares as such.
    """
    count = getattr(getattr(env, "unwrapped", env), "num_envs", None)
    if count is None:
        check_single(env)
        return env.observation_space, env.action_space, "float64"
    with warnings.catch_warnings():  # wrappers of gymnasium 0.29 pass on what they lack
        warnings.simplefilter("ignore")
        if getattr(env, "single_action_space", None) is None:
            return env.observation_space, env.action_space, "float32"
        return env.single_observation_space, env.single_action_space, "float64"


def check_single(env: Any) -> None:  # noqa: ANN401 - whatever is given
    """Refuse what is no environment, or several that are stepped together."""
    count = getattr(getattr(env, "unwrapped", env), "num_envs", None)
    if count is not None:
        raise SchemaError(
            f"environment: {type(env).__name__} steps {count} together, and record plays one; "
            "wrap them to record all: trajstore.interop.vector.RecordEpisodes, or that of "
            "trajstore.interop.stable_baselines3, see docs/environments.md"
        )
    usable = all(callable(getattr(env, it, None)) for it in ("reset", "step"))
    if isinstance(env, type) or not usable:
        raise SchemaError(
            f"environment: {type(env).__name__} has no reset and step; give one as "
            "gymnasium.make makes it"
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
    notes = Notes(schema, f"of seed {seed}")
    first = {it.name: deepcopy(info[it.name]) for it in schema.on(Axis.EPISODE) if it.name in info}
    notes.keep(notes.state(seen_in(notes, observation, info), "reset"))
    steps, ended, layers = 0, False, Layers(env)
    while not ended:
        action = act(observation)
        notes.keep(notes.action(action_in(notes, action, steps), steps))
        step = advance(env, action, layers)
        notes.keep(notes.step(outcome_in(step), steps))
        ended = bool(step.terminated or step.truncated)
        notes.keep(notes.state(seen_in(notes, step.observation, step.info), f"step {steps}"))
        observation, steps = step.observation, steps + 1
    if not step.final:
        check_final(env)
    notes.keep(notes.end({**first, **step.info, "seed": seed}))
    return notes.episode()


def seen_in(notes: Notes, observation: Any, info: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """What an environment tells of a state, by field."""
    return {**info, **flatten(OBSERVATION, observation, notes.known)}


def action_in(notes: Notes, action: Any, step: int) -> dict[str, Any]:  # noqa: ANN401
    """The parts of an action by field; one that no field takes is refused."""
    parts = flatten(ACTION, action, notes.known)
    if notes.actions:
        notes.refuse_others(parts, "an action", f"step {step}", "declare it in the action space")
    return parts


def outcome_in(step: Step) -> dict[str, Any]:
    """What a step led to, but for the state, by field."""
    ends = {"terminated": step.terminated, "truncated": step.truncated}
    return {**step.info, REWARD: step.reward, **ends}


def check_final(env: Any) -> None:  # noqa: ANN401
    """Refuse an environment that resets itself and did not tell how the episode ended."""
    layer, seen = env, set[int]()
    while layer is not None and id(layer) not in seen:
        seen.add(id(layer))
        own = type(layer)
        later = own.__module__.startswith("gymnasium.wrappers") and own.__name__ == "Autoreset"
        same = "same" in str((getattr(layer, "metadata", None) or {}).get("autoreset_mode")).lower()
        if same or ("autoreset" in own.__name__.lower().replace("_", "") and not later):
            raise resets_itself(own.__name__)
        layer = getattr(layer, "__dict__", {}).get("env")
