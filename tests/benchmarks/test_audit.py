"""The audit names every scenario that nobody solves or that a straight line solves."""

import json

import pytest

from benchmarks import audit
from benchmarks.audit import Rates, broken
from pipelines.tasks.social_nav.config import EnvConfig
from pipelines.tasks.social_nav.scenarios import held_out_names, scenario_names


def rate(scenario: str, robot: str, success: float) -> Rates:
    return Rates(scenario, robot, 10, success, 1.0 - success, 0.0, 0.0, 0.0, 50.0)


@pytest.mark.parametrize(
    ("scenario", "straight", "social_force", "complaint"),
    [
        ("blind_corner/high", 0.4, 0.95, []),
        ("blind_corner/high", 0.4, 0.7, ["unsolvable, the best robot reaches 0.70"]),
        ("blind_corner/high", 0.95, 0.95, ["trivial, a straight line reaches 0.95"]),
        ("blind_corner/low", 0.95, 0.95, []),
    ],
    ids=["sound", "unsolvable", "trivial", "trivial but low"],
)
def test_broken_scenarios_are_named(
    scenario: str, straight: float, social_force: float, complaint: list[str]
) -> None:
    found = [rate(scenario, "straight", straight), rate(scenario, "social_force", social_force)]
    assert broken(found) == [f"{scenario}: {line}" for line in complaint]


def test_the_audit_reports_every_robot_in_every_scenario() -> None:
    names = scenario_names(("blind_corner", "crowd_navigation"))
    found = audit.audit(EnvConfig(scenarios=names), episodes=2, seed=1)
    assert [(one.robot, one.scenario) for one in found] == [
        (robot, name) for robot in ("straight", "social_force") for name in names
    ]
    assert all(
        one.success + one.collision_pedestrian + one.collision_wall + one.timeout
        == pytest.approx(1.0)
        for one in found
    )


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    status = audit.main(["--episodes", "1", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert status == (1 if facts["broken"] else 0)
    assert len(facts["scenarios"]) == 60


def test_no_episodes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        audit.main(["--episodes", "0"])
    assert stop.value.code == 2
    assert "expected at least 1, got 0" in capsys.readouterr().err


@pytest.mark.slow
def test_every_scenario_is_sound() -> None:
    assert broken(audit.audit(EnvConfig(), episodes=100, seed=5000)) == []


def test_the_held_out_scenarios_are_solvable_and_none_is_trivial() -> None:
    found = audit.audit(EnvConfig(scenarios=held_out_names()), episodes=200, seed=5000)
    assert broken(found) == []
    assert min(one.success for one in found if one.robot == "social_force") >= 0.95
    assert max(one.success for one in found if one.robot == "straight") < 0.9
