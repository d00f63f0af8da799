"""What made a Gymnasium environment, as a version's provenance says it, for playing it again."""

from typing import Any

import gymnasium as gym

from trajstore.disk.files import canonical_json
from trajstore.errors import SchemaError


def environment_of(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """What made an environment, for the key ``environment`` of a version's provenance.

    ``trajstore verify --replay all --environment gymnasium`` makes it so again.

    Args:
        env: made by ``gym.make``.

    Returns:
        ``id``, and ``kwargs`` for ``gym.make`` where there are any, without ``render_mode``.

    Raises:
        SchemaError: if ``gym.make`` did not make it, or an argument is no plain JSON value.

    Example:
        >>> environment_of(gym.make("FrozenLake-v1", is_slippery=False, max_episode_steps=30))
        ... # doctest: +NORMALIZE_WHITESPACE
        {'id': 'FrozenLake-v1', 'kwargs': {'map_name': '4x4', 'is_slippery': False,
        'max_episode_steps': 30}}
    """
    spec = env.spec
    if spec is None:
        raise SchemaError(f"environment: expected one that gym.make made, got {type(env).__name__}")
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    if spec.max_episode_steps not in (None, gym.spec(spec.id).max_episode_steps):
        kwargs["max_episode_steps"] = spec.max_episode_steps
    try:
        canonical_json(kwargs)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"environment {spec.id}: expected arguments of plain JSON, got {kwargs} ({error}); "
            "name a function that builds it for replaying"
        ) from error
    return {"id": spec.id} | ({"kwargs": kwargs} if kwargs else {})
