"""What an environment's ``reset`` and ``step`` return, for whoever records or replays.

Some environments reset themselves when an episode ends, and return the first observation of the
next one; the last of this one is then in ``info``. Some do not tell it, or hide the end as well:
they are found by the call of ``reset`` within ``step``. In every episode those are looked at that
lie in attributes; until one has ended, all calls are, which takes longer.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import CodeType, FrameType, MethodType
from typing import Any, NamedTuple
from weakref import WeakSet

from trajstore.episode.texts import shown
from trajstore.errors import SchemaError

FINAL = {
    "final_observation": "final_info",
    "final_obs": "final_info",
    "terminal_observation": "terminal_info",
}
"""Where ``info`` has the last observation of an episode, and what belongs to it."""


class Step(NamedTuple):
    """What one call of ``step`` has led to, in its own episode.

    ``final`` says that the environment has reset itself, and told of this episode's end.
    """

    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    info: Mapping[str, Any]
    final: bool = False


def begin(environment: Any, seed: int, options: Mapping[str, Any] | None) -> tuple[Any, Any]:  # noqa: ANN401 - any environment
    """Reset an environment; its first observation, and ``info``.

    Raises:
        SchemaError: if it returns something else.
    """
    result = environment.reset(seed=seed, options=options)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], Mapping):
        raise SchemaError(_other("reset", "observation and info", result))
    return result


_PLAYED: WeakSet[Any] = WeakSet()
"""Environments of which an episode has ended while all calls were looked at."""


class Layers:
    """An environment, and those in its attributes: who is reset while it steps is noticed.

    Made anew when it was reset. One that lies in no ``env``, and is reset before the end, is one
    that it plans with, and may be; so is any that is reset from the same line later.
    """

    def __init__(self, environment: Any) -> None:  # noqa: ANN401
        self._calls: dict[int, str] = {}
        self._hooks: dict[int, tuple[dict[str, Any], Any]] = {}
        self._stepped: set[int] = set()
        self._environment = environment
        self._places: dict[tuple[CodeType, int], tuple[int, str]] = {}
        self._planning: set[tuple[CodeType, int]] = set()
        self._looks = False
        with suppress(TypeError):
            self._looks = environment not in _PLAYED
        pending = [(environment, True)]
        for layer, stepped in pending:
            own = getattr(layer, "__dict__", None)
            if id(layer) in self._hooks or not isinstance(own, dict):
                continue
            self._stepped |= {id(layer)} if stepped else set()
            self._hooks[id(layer)] = own, MethodType(_noting(layer, self._calls), layer)
            inner = [(key, it) for key, it in own.items() if _is_environment(it)]
            pending += [(it, stepped and key == "env") for key, it in inner]

    def step(self, environment: Any, action: Any) -> Any:  # noqa: ANN401
        """What the environment's ``step`` returns."""
        self._calls.clear()
        self._places.clear()
        before = [(own, own.get("reset")) for own, _ in self._hooks.values()]
        looks = self._looks and sys.getprofile() is None
        try:
            for own, hook in self._hooks.values():
                own["reset"] = hook
            if looks:
                sys.setprofile(self._look)
            return environment.step(action)
        finally:
            if looks:
                sys.setprofile(None)
            for own, given in before:
                if given is None:
                    own.pop("reset", None)
                else:
                    own["reset"] = given

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        """Note an environment whose ``reset`` is called, and the line that calls it."""
        code, caller = frame.f_code, frame.f_back
        if event != "call" or code.co_name != "reset" or caller is None or not code.co_argcount:
            return
        layer = frame.f_locals.get(code.co_varnames[0])
        if caller.f_code.co_filename != __file__ and _is_environment(layer):
            self._places[caller.f_code, caller.f_lineno] = id(layer), _who_calls(caller, layer)

    def check(self, *, ended: bool) -> None:
        """Refuse a reset within the last step, which has told nothing of it."""
        for key, name in self._calls.items():
            if ended or key in self._stepped:
                raise resets_itself(name)
            del self._hooks[key]
        for place, (key, name) in self._places.items():
            if key in self._stepped or (ended and place not in self._planning):
                raise resets_itself(name)
            self._planning.add(place)
        if ended and self._looks:
            _PLAYED.add(self._environment)


def _noting(layer: Any, calls: dict[int, str]) -> Callable[..., Any]:  # noqa: ANN401
    """A ``reset`` that notes the class which calls it."""
    own = layer.reset

    def reset(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if self is not layer:  # a copy that the environment has made of itself
            return type(self).reset(self, *args, **kwargs)
        calls[id(layer)] = _who_calls(sys._getframe(1), layer)
        return own(*args, **kwargs)

    return reset


def _who_calls(caller: FrameType, layer: Any) -> str:  # noqa: ANN401
    """The class of the environment whose method this is; that of what is reset if it is none."""
    by = caller.f_locals.get(next(iter(caller.f_code.co_varnames), ""))
    return type(by if _is_environment(by) else layer).__name__


def _is_environment(value: Any) -> bool:  # noqa: ANN401
    """Whether a value has what environments have; nothing of its code is run."""
    own = type(value)
    if not all(callable(getattr(own, it, None)) for it in ("step", "reset")):
        return False
    return hasattr(own, "observation_space") or "observation_space" in getattr(
        value, "__dict__", ()
    )


def advance(environment: Any, action: Any, layers: Layers) -> Step:  # noqa: ANN401
    """Take one step; if the environment has reset itself, with what this episode ended with.

    Raises:
        SchemaError: if it returns something else, resets itself and does not tell what this
            episode ended with, or hides that it has ended.
    """
    step = understood(layers.step(environment, action))
    if not step.final:
        layers.check(ended=bool(step.terminated or step.truncated))
    return step


def understood(result: Any) -> Step:  # noqa: ANN401
    """What a call of ``step`` has returned; raises as `advance` does."""
    if not isinstance(result, tuple) or len(result) != 5 or not isinstance(result[4], Mapping):
        what = "observation, reward, terminated, truncated and info"
        raise SchemaError(_other("step", what, result))
    step = Step(*result)
    told = next((key for key in FINAL if step.info.get(key) is not None), None)
    if told is None:
        return step
    if not (step.terminated or step.truncated):
        raise SchemaError(
            f"environment: reports {told!r} in info at a step that does not end the episode: "
            "it resets itself and hides the end; take off the wrapper that does so"
        )
    final = step.info.get(FINAL[told])
    info = final if isinstance(final, Mapping) else step.info
    return step._replace(observation=step.info[told], info=info, final=True)


def resets_itself(name: str) -> SchemaError:
    """The refusal of an environment that does not tell how an episode ended."""
    return SchemaError(
        f"environment: {name} resets by itself, so the last observation of an episode is lost; "
        "have it report 'final_observation' in info, or record without it"
    )


def _other(call: str, expected: str, result: object) -> str:
    parts = f"of {shown(result)}"
    if isinstance(result, tuple):
        kinds = ", ".join(type(it).__name__ for it in result[:6])
        parts = f"of {len(result)} parts ({kinds})"
    return (
        f"environment: {call} must return {expected}, as in Gymnasium, and returned "
        f"{type(result).__name__} {parts}; wrap it for that interface"
    )
