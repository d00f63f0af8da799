"""What made a Gymnasium environment, as a version's provenance says it, and making it again."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np

from trajstore.disk.json_text import canonical_json
from trajstore.episode.texts import shown
from trajstore.errors import ReplayError, SchemaError
from trajstore.interop.gymnasium import check_single

_REMEDY = "name a function that builds it for replaying: --environment module:function"
_WITHOUT_EFFECT = {
    *("AutoResetWrapper", "Autoreset", "HumanRendering", "OrderEnforcing", "PassiveEnvChecker"),
    *("RecordEpisodeStatistics", "RecordVideo", "RenderCollection"),
}
"""Wrappers that change nothing which is recorded."""
_OURS = {"RecordEpisodes", "SeededResets"}
_REBUILT = {
    *("AtariPreprocessing", "ClipAction", "ClipReward", "DelayObservation", "DiscretizeAction"),
    *("DiscretizeObservation", "FilterObservation", "FlattenObservation", "FrameStack"),
    *("FrameStackObservation", "GrayScaleObservation", "GrayscaleObservation"),
    *("MaxAndSkipObservation", "RepeatAction", "RescaleAction", "RescaleObservation"),
    *("ReshapeObservation", "ResizeObservation", "StickyAction", "TimeAwareObservation"),
    "TimeLimit",
}
"""Wrappers of Gymnasium that depend on their arguments and the episode alone, and touch no file."""


def environment_of(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """What made an environment, for the key ``environment`` of a version's provenance.

    ``trajstore verify --replay all --environment gymnasium`` makes it so again.

    Args:
        env: made by ``gym.make``, and perhaps wrapped with wrappers of Gymnasium.

    Returns:
        ``id``, ``kwargs`` for ``gym.make`` where there are any, without ``render_mode``, and
        ``wrappers``, the innermost first, each with ``name`` and ``kwargs``. A
        ``max_episode_steps`` of ``None`` stands for no time limit where the id has one.

    Raises:
        SchemaError: if ``gym.make`` did not make it, an argument is no plain value, or a wrapper
            cannot be made again from its arguments.

    Example:
        >>> environment_of(gym.make("FrozenLake-v1", is_slippery=False, max_episode_steps=30))
        ... # doctest: +NORMALIZE_WHITESPACE
        {'id': 'FrozenLake-v1', 'kwargs': {'map_name': '4x4', 'is_slippery': False,
        'max_episode_steps': 30}}
    """
    check_single(env)
    spec = getattr(env, "spec", None)
    if spec is None:
        raise SchemaError(f"environment: {type(env).__name__} was not made by gym.make; {_REMEDY}")
    known = gym.registry.get(spec.id)
    if known is None:
        raise SchemaError(f"environment {spec.id}: gym.make does not know this id; {_REMEDY}")
    steps, wrappers = _layers(env, spec.id, known)
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    if steps != known.max_episode_steps:
        kwargs["max_episode_steps"] = steps
    made: dict[str, Any] = {"id": spec.id}
    if kwargs:
        made["kwargs"] = _plain(spec.id, kwargs)
    if wrappers:
        told = [{"name": it.name, "kwargs": _plain(it.name, it.kwargs)} for it in wrappers]
        made["wrappers"] = told
    return made


def _layers(env: Any, name: str, known: Any) -> tuple[int | None, list[Any]]:  # noqa: ANN401
    """The time limit that ``gym.make`` gives, and the specifications of the wrappers around it."""
    steps: int | None = None
    wrappers: list[Any] = []
    within, around = _inside_out(env)
    for layer in around:
        own = type(layer)
        ours = own.__module__.startswith("gymnasium.wrappers")
        if own.__name__ in (_WITHOUT_EFFECT if ours else _OURS if _is_ours(own) else ()):
            continue
        if ours and own.__name__ == "TimeLimit" and steps is None and not wrappers:
            steps = _limit(layer)
            continue
        told = _wrapper_spec(layer)
        if not ours or own.__name__ not in _REBUILT or told is None:
            raise SchemaError(
                f"environment {name}: the wrapper {own.__name__} cannot be made again from "
                f"plain arguments; {_REMEDY}"
            )
        wrappers.append(told)
    given = list(known.additional_wrappers[len(within) :])
    if wrappers[: len(given)] == given:
        wrappers = wrappers[len(given) :]
    return steps, wrappers


def _is_ours(layer: type) -> bool:
    return layer.__module__.startswith("trajstore.interop.")


def _inside_out(env: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
    """The wrappers that the entry point of an id has put, and those around, innermost first."""
    layers = []
    while isinstance(env, gym.Wrapper):
        layers.append(env)
        env = env.env
    layers.reverse()
    made = [type(it).__name__ in ("PassiveEnvChecker", "OrderEnforcing") for it in layers]
    first = made.index(True) if any(made) else 0
    return layers[:first], layers[first:]


def _limit(layer: Any) -> int:  # noqa: ANN401 - of class TimeLimit
    return int(layer.spec.max_episode_steps)


def _wrapper_spec(layer: gym.Wrapper[Any, Any, Any, Any]) -> Any:  # noqa: ANN401
    """Name and arguments of one wrapper, as Gymnasium notes them; ``None`` if it does not."""
    if type(layer).__name__ == "TimeLimit":
        return type(layer).wrapper_spec(max_episode_steps=_limit(layer))
    around = layer.spec.additional_wrappers if layer.spec is not None else ()
    return around[-1] if around and around[-1].kwargs is not None else None


def _plain(where: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: _told(value) for name, value in kwargs.items()}
    try:
        canonical_json(plain)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"environment {where}: expected arguments of plain JSON, got {shown(kwargs)} "
            f"({error}); {_REMEDY}"
        ) from error
    return plain


def _told(value: Any) -> Any:  # noqa: ANN401
    """An argument as JSON: tuples and arrays of numbers say that they are ones."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": value.tolist(), "dtype": value.dtype.name}
    if isinstance(value, tuple):
        return {"tuple": [_told(item) for item in value]}
    if isinstance(value, list):
        return [_told(item) for item in value]
    if isinstance(value, Mapping):
        if set(value) in ({"tuple"}, {"array", "dtype"}) or not all(
            type(it) is str for it in value
        ):
            raise SchemaError(
                f"environment: expected plain arguments, got {shown(value)}; {_REMEDY}"
            )
        return {key: _told(item) for key, item in value.items()}
    return value


def _meant(value: Any) -> Any:  # noqa: ANN401
    """The argument that `_told` wrote."""
    if isinstance(value, list):
        return [_meant(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"tuple"}:
        return tuple(_meant(item) for item in value["tuple"])
    if set(value) == {"array", "dtype"}:
        return np.array(value["array"], value["dtype"])
    return {key: _meant(item) for key, item in value.items()}


def make_again(recorded: Mapping[str, Any], *, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """The environment that `environment_of` described.

    It is of a registered id, in wrappers of Gymnasium: what is recorded never chooses what is
    imported.

    Raises:
        ReplayError: if it says anything else.
    """
    name, kwargs = recorded.get("id"), recorded.get("kwargs", {})
    if name is None:
        raise ReplayError(
            "the provenance names no environment, so none can be made again; name a function "
            "that builds it, such as --environment module:function"
        )
    if not isinstance(name, str) or ":" in name:
        raise ReplayError(
            f"environment: expected a registered Gymnasium id without a module, got {shown(name)}"
        )
    if not isinstance(kwargs, Mapping) or "render_mode" in kwargs:
        raise ReplayError(
            f"environment {name}: expected arguments of gym.make, got {shown(kwargs)}"
        )
    built = [_wrapper(name, it) for it in recorded.get("wrappers", ())]
    arguments = {"render_mode": render_mode, **_meant(kwargs)}
    known = deepcopy(gym.spec(name))
    if "max_episode_steps" in arguments:
        known.max_episode_steps = arguments.pop("max_episode_steps")
    env = gym.make(known, **arguments)
    for wrap, arguments in built:
        env = wrap(env, **arguments)
    return env


def _wrapper(name: str, recorded: Any) -> tuple[Callable[..., Any], dict[str, Any]]:  # noqa: ANN401
    """One of Gymnasium's wrappers, and its arguments."""
    wanted = recorded.get("name") if isinstance(recorded, Mapping) else None
    found = None
    if isinstance(wanted, str) and wanted in _REBUILT:
        found = getattr(import_module("gymnasium.wrappers"), wanted, None)
    kwargs = recorded.get("kwargs", {}) if isinstance(recorded, Mapping) else None
    if found is None or not isinstance(kwargs, Mapping):
        raise ReplayError(
            f"environment {name}: expected wrappers that gymnasium {gym.__version__} has, got "
            f"{shown(recorded)}; {_REMEDY}"
        )
    return found, _meant(kwargs)
