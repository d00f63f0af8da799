"""What a field of another package holds, as whoever imports it says: a space, or an environment."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.nesting import ACTION, OBSERVATION
from trajstore.errors import ArgumentError
from trajstore.interop.environment import environment_of
from trajstore.interop.spaces import fields_of

Space = spaces.Space[Any]
Said = Mapping[str, Space] | tuple[str, ...]
"""Spaces by field; the command line gives ``action=Discrete(4)``."""

_KINDS: dict[str, Callable[..., Space]] = {
    "Box": spaces.Box,
    "Discrete": spaces.Discrete,
    "MultiBinary": spaces.MultiBinary,
    "MultiDiscrete": spaces.MultiDiscrete,
}


def fields_said(name: str, space: Space, *, axis: Axis) -> tuple[FieldSpec, ...]:
    """The fields of a space that another package declares; raises as `fields_of` does."""
    return fields_of(name, space, axis=axis, strict=name != OBSERVATION)


def spaces_said(said: Said) -> dict[str, Space]:
    """Spaces of the fields ``observation`` and ``action``, as whoever imports says them.

    Raises:
        ArgumentError: if a field is another, or a space none.

    Example:
        >>> spaces_said(("action=Discrete(4, start=1)",))
        {'action': Discrete(4, start=1)}
    """
    if not isinstance(said, Mapping):
        said = {name.strip(): _space(text) for name, _, text in (it.partition("=") for it in said)}
    for name, space in said.items():
        if name not in (OBSERVATION, ACTION) or not isinstance(space, spaces.Space):
            raise ArgumentError(
                f"space: expected a space of {OBSERVATION} or {ACTION}, got {space} of {name!r}"
            )
    return dict(said)


def _space(text: str) -> Space:
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("no space")
        positional = [ast.literal_eval(argument) for argument in call.args]
        named = {it.arg: ast.literal_eval(it.value) for it in call.keywords if it.arg is not None}
        return _KINDS[call.func.id](*positional, **named)
    except (AssertionError, LookupError, SyntaxError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"space: expected FIELD=SPACE such as 'action=Discrete(4)', a space of kind "
            f"{', '.join(_KINDS)}, got {ascii(text)[:80]}"
        ) from error


@dataclass(frozen=True, slots=True)
class Known:
    """What an environment tells of its data: spaces by field, its provenance, its time limit."""

    spaces: Mapping[str, Space] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    time_limit: int | None = None


def known_of(environment: str | None) -> Known:
    """What a registered environment tells of its data; nothing if none is named.

    Raises:
        ArgumentError: if no environment of that id is registered, or it cannot be built.
    """
    if environment is None:
        return Known()
    if ":" in environment or environment not in gym.registry:
        raise ArgumentError(
            f"environment: {environment!r} is not registered with Gymnasium here; install the "
            "package that brings it, or say the spaces: --space action='Discrete(4)'"
        )
    try:
        env: gym.Env[Any, Any] = gym.make(environment)
    except Exception as error:
        raise ArgumentError(
            f"environment {environment}: could not be built: {type(error).__name__}: {error}"
        ) from error
    try:
        said = {OBSERVATION: env.observation_space, ACTION: env.action_space}
        limit = None if env.spec is None else env.spec.max_episode_steps
        return Known(said, environment_of(env), limit)
    finally:
        env.close()  # type: ignore[no-untyped-call]
