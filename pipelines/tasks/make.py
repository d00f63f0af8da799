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
    config = EnvConfig() if id_or_config == ENV_ID else id_or_config
    try:
        env = SocialNavEnv(config) if isinstance(config, EnvConfig) else gym.make(config)
    except gym.error.Error as error:
        raise ValueError(
            f"environment: expected {ENV_ID} or an id that Gymnasium knows, "
            f"got {id_or_config!r} ({error}); register it first"
        ) from error
    if seed is not None:
        env.reset(seed=seed)
        env.action_space.seed(seed)
    return env


def make_vec_env(config: EnvConfig, *, num_envs: int, seed: int = 0) -> SocialNavVecEnv:
    """Build ``num_envs`` worlds as one Stable-Baselines3 vector environment."""
    return SocialNavVecEnv(config, num_envs=num_envs, seed=seed)
