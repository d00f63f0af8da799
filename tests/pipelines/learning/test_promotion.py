"""An expert is promoted only if every seed and all together pass; a failure says where it fails."""

from typing import Any

import pytest

from pipelines.learning.promotion import (
    Convergence,
    Criterion,
    Gate,
    decide,
    diagnose,
    has_arrived,
    has_converged,
    superseded,
)
from tests.pipelines import tiny
from tests.pipelines.runs import limits
from tests.pipelines.tiny import rates

GATE = Gate(limits(0.90, 0.05), seeds=3, episodes=200)
GOOD = [rates(0.95, 0.02, seed=s) for s in (1, 2, 3)]
EDGE = [rates(0.90, 0.05, seed=s) for s in (1, 2, 3)]


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        (GOOD, []),
        (EDGE, []),
        (GOOD[:2], ["seeds: expected at least 3, got 2"]),
        (
            [*GOOD[:2], rates(0.89, 0.02, seed=3)],
            ["seed 3: expected success >= 0.9, got 0.890"],
        ),
        (
            [*GOOD[:2], rates(0.95, 0.051, seed=3)],
            ["seed 3: expected collision <= 0.05, got 0.051"],
        ),
        (
            [*GOOD[:2], rates(0.95, 0.02, seed=3, episodes=199)],
            ["seed 3: expected at least 200 episodes, got 199"],
        ),
        (
            [rates(0.95, 0.02, seed=1), *(rates(0.5, 0.5, seed=s) for s in (2, 3))],
            ["seed 2: expected success", "seed 2: expected collision",
             "seed 3: expected success", "seed 3: expected collision",
             "pooled: expected success", "pooled: expected collision"],
        ),
    ],
    ids=["good", "exactly at the gate", "too few seeds", "one bad seed", "one that collides",
         "too few episodes", "pooled"],
)  # fmt: skip
def test_the_gate(rows: list[dict[str, Any]], reasons: list[str]) -> None:
    promotion = decide(rows, gate=GATE)
    assert promotion.promoted == (not reasons)
    assert len(promotion.reasons) == len(reasons)
    for told, expected in zip(promotion.reasons, reasons, strict=True):
        assert told.startswith(expected)


def test_all_seeds_together_are_weighed_by_their_episodes() -> None:
    rows = [rates(1.0, 0.0, episodes=100), rates(0.5, 0.2, episodes=300)]
    pooled = decide(rows, gate=GATE).pooled
    assert pooled == {"success": 0.625, "collision": pytest.approx(0.15), "episodes": 400}


def test_the_best_seed_is_chosen_by_its_selection_not_by_the_episodes_that_judge() -> None:
    rows = [rates(0.95, 0.05), rates(0.94, 0.01), rates(0.96, 0.05)]
    assert decide(rows, gate=GATE).best == 1
    rows[0]["selection"] = 0.99
    assert decide(rows, gate=GATE).best == 0


@pytest.mark.parametrize(
    ("success", "collision", "how", "advice"),
    [
        (0.3, 0.6, "mostly by collision", "env.reward.collision"),
        (0.3, 0.1, "mostly by running out of time", "env.horizon"),
    ],
)
def test_the_diagnosis_names_the_worst_scenario(
    success: float, collision: float, how: str, advice: str
) -> None:
    lines = diagnose([rates(success, collision)], tiny.ENV)
    assert lines[0].startswith(f"blind_corner/high: success {success:.2f}")
    assert lines[0].endswith(how)
    assert advice in lines[-1]


ARRIVAL = Criterion(limits(0.9, 0.05), hold=2)
UP, DOWN = rates(0.9, 0.05), rates(0.9, 0.06)


@pytest.mark.parametrize(
    ("rows", "arrived"),
    [
        ([], False),
        ([UP], False),
        ([UP, DOWN], False),
        ([DOWN, UP, UP], True),
        ([UP, DOWN, UP], False),
    ],
)
def test_the_target_must_hold(rows: list[dict[str, Any]], arrived: bool) -> None:
    assert (has_arrived(rows, criterion=ARRIVAL) is not None) == arrived


def test_a_plateau_ends_a_training_and_no_window_never_does() -> None:
    rows = [rates(s, 0.0) for s in (0.1, 0.5, 0.4, 0.5)]
    assert (
        has_converged(rows, convergence=Convergence(limits(1.1, 0.0), 2, 0), rank=tiny.ENV.rank)
        is None
    )
    assert (
        has_converged(rows, convergence=Convergence(limits(1.1, 0.0), 2, 3), rank=tiny.ENV.rank)
        is None
    )
    plateau = has_converged(
        rows, convergence=Convergence(limits(1.1, 0.0), 2, 2), rank=tiny.ENV.rank
    )
    assert plateau == "plateau: no better score in 2 evaluations"
    assert str(
        has_converged(rows, convergence=Convergence(limits(0.4, 0.0), 2, 0), rank=tiny.ENV.rank)
    ).startswith("converged")


def test_an_approved_expert_that_is_replaced_is_superseded() -> None:
    first = {"id": "a", "state": "approved", "history": []}
    second = {"id": "b", "state": "approved"}
    history = superseded(first, second)
    assert history == [{"id": "a", "state": "superseded"}]
    third = superseded(second | {"history": history}, {"id": "c", "state": "draft"})
    assert third == [*history, {"id": "b", "state": "superseded"}]


@pytest.mark.parametrize(
    "former", [{}, {"id": "a", "state": "draft"}, {"id": "b", "state": "approved"}]
)
def test_no_expert_a_draft_and_the_same_expert_leave_no_history(former: dict[str, Any]) -> None:
    assert superseded(former, {"id": "b", "state": "approved"}) == []
