"""What an environment's ``reset`` and ``step`` return, for whoever records or replays.

Some environments reset themselves when an episode ends, and return the first observation of the
next one; the last of this one is then in ``info``. Some hide the end as well.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

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


def advance(environment: Any, action: Any) -> Step:  # noqa: ANN401
    """Take one step; if the environment has reset itself, with what this episode ended with.

    Raises:
        SchemaError: if it returns something else, or hides that an episode has ended.
    """
    return understood(environment.step(action))


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
            f"environment: expected an end with {told!r} in info, got a step that is none: it "
            "resets itself and hides where episodes end; take that wrapper away"
        )
    final = step.info.get(FINAL[told])
    info = final if isinstance(final, Mapping) else step.info
    return step._replace(observation=step.info[told], info=info, final=True)


def _other(call: str, expected: str, result: object) -> str:
    parts = f"{len(result)} parts" if isinstance(result, tuple) else shown(result)
    return (
        f"environment: expected {call} to return {expected}, as Gymnasium has it, got "
        f"{type(result).__name__} of {parts}; wrap it for that interface"
    )
