"""The environment that a dataset's provenance describes, so that its episodes can be replayed."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from pipelines.tasks.social_nav.config import EnvConfig, RewardWeights
from pipelines.tasks.social_nav.social_nav import ENV_ID, SocialNavEnv
from trajstore.errors import ReplayError
from trajstore.interop.environment import make_again


def simulate(provenance: Mapping[str, Any], *, render_mode: str | None = None) -> gym.Env[Any, Any]:
    """Build our environment by its recorded configuration, any other by its registered id.

    Environments of other packages are handed the render mode.

    Raises:
        ReplayError: if the provenance names no environment, one whose id would import a module
            (``module:id``), or a configuration that ours does not have.
    """
    recorded = provenance.get("environment")
    if not isinstance(recorded, Mapping) or not isinstance(recorded.get("id"), str):
        raise ReplayError(
            "provenance: expected environment with an id, got none; record the dataset with it"
        )
    name = recorded["id"]
    if name == ENV_ID:
        return SocialNavEnv(config_of(recorded.get("config", {})))
    if ":" in name:
        raise ReplayError(
            f"environment {name!r}: expected a registered id, got one that names a module to "
            "import; a dataset may not choose what is imported"
        )
    return make_again(recorded, render_mode=render_mode)


def config_of(record: Mapping[str, Any]) -> EnvConfig:
    """The configuration that was written down as plain JSON values; `ReplayError` if none was."""
    values = dict(record)
    try:
        if "reward" in values:
            values["reward"] = RewardWeights(**values["reward"])
        return EnvConfig(**values)
    except (TypeError, ValueError) as error:
        raise ReplayError(
            f"provenance: expected a configuration of the environment, got {error}"
        ) from error
