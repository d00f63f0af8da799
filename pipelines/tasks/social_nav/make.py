"""The only constructors of environments: ours by configuration, any other by its registered id."""

from typing import Any

import gymnasium as gym

from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.social_nav import ENV_ID, SocialNavEnv
from pipelines.tasks.social_nav.vector import SocialNavVecEnv


def make_env(id_or_config: str | EnvConfig, *, seed: int | None = None) -> gym.Env[Any, Any]:
    """Build one environment.

    Args:
        id_or_config: our configuration, ``SocialNav-v0``, or any id registered with Gymnasium.
        seed: makes the first ``reset`` without a seed, and what follows, reproducible.

    Raises:
        ValueError: no environment of that id.
    """
    env = _build(id_or_config)
    if seed is not None:
        env.reset(seed=seed)
        env.action_space.seed(seed)
    return env


def _build(id_or_config: str | EnvConfig) -> gym.Env[Any, Any]:
    if isinstance(id_or_config, EnvConfig):
        return SocialNavEnv(id_or_config)
    if id_or_config == ENV_ID:
        return SocialNavEnv()
    try:
        return gym.make(id_or_config)
    except gym.error.Error as error:
        raise ValueError(
            f"environment: expected {ENV_ID} or an id that Gymnasium knows, "
            f"got {id_or_config!r} ({error}); register it first"
        ) from error


def make_vec_env(config: EnvConfig, *, num_envs: int, seed: int = 0) -> SocialNavVecEnv:
    """Build ``num_envs`` worlds as one Stable-Baselines3 vector environment."""
    return SocialNavVecEnv(config, num_envs=num_envs, seed=seed)
