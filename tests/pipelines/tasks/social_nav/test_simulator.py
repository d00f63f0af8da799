"""The simulator builds what the provenance describes, and imports nothing that data names."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig, RewardWeights
from pipelines.tasks.social_nav.simulator import config_of, simulate
from pipelines.tasks.social_nav.social_nav import ENV_ID, SocialNavEnv
from trajstore.errors import ReplayError

CONFIG = EnvConfig(
    scenarios=("narrow_doorway/low",), horizon=90, reward=RewardWeights(collision=3.5)
)


def test_a_configuration_survives_json() -> None:
    assert config_of(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


def test_our_environment_is_built_by_its_configuration() -> None:
    recorded = {"id": ENV_ID, "version": ENV_VERSION, "config": asdict(CONFIG)}
    built = simulate({"environment": recorded})
    assert isinstance(built, SocialNavEnv)
    assert built.config == CONFIG


@pytest.mark.parametrize(
    ("provenance", "complaint"),
    [
        ({}, "expected environment with an id, got none"),
        ({"environment": {"id": 7}}, "expected environment with an id, got none"),
        ({"environment": {"id": "antigravity:Flight-v0"}}, "names a module to import"),
        ({"environment": {"id": ENV_ID, "config": {"gravity": 9}}}, "gravity"),
        ({"environment": {"id": ENV_ID, "config": {"horizon": 0}}}, "horizon"),
    ],
)
def test_what_cannot_be_built_is_refused(provenance: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ReplayError, match=complaint):
        simulate(provenance)
