"""The goals fixed before the runs, what was measured, and the sentences that say so."""

from collections.abc import Sequence

from pipelines.comparison.arrival import Bound, FixedRatios, Ratio, TargetRatio
from pipelines.comparison.record import Dip, Goal, Status, Teacher
from pipelines.comparison.words import (
    bounded_text,
    ends,
    mean_steps,
    percent,
    points,
    points_text,
    ratio_text,
    target_words,
)

FEWEST_SEEDS = 5
RATIO_GOALS: tuple[tuple[str, str, float, float | None], ...] = (
    ("gate", "required: at most 70 % of the baseline's online steps to the gate", 0.70, None),
    ("success", "at most 5 % of the steps to the target success", 0.05, None),
    ("gate", "at most 10 % to the gate, upper end of the interval at most 25 %", 0.10, 0.25),
    ("parity", "at most 25 % to the expert's own success and collisions", 0.25, None),
    ("few", "at most 50 % with 10 demonstrated episodes", 0.50, None),
    ("transfer", "at most 30 % in the transfer setting", 0.30, None),
)
"""Ratio, goal in words, limit of the estimate, limit of the interval's upper end."""
CONTROL_LEAST = 0.80
TEACHER_COLLISIONS = 0.70
DIP_MOST = 0.03

NAMED = 3
"""Missed goals that the headline names; the table has them all."""
STATUS_WORDS = {
    Status.MET: "met",
    Status.MISSED: "missed",
    Status.NOT_SHOWN: "not shown",
    Status.NOT_RUN: "not measured",
}
"""How a reader knows each verdict."""


def goals(ratios: FixedRatios, teacher: Teacher, dip: Dip) -> tuple[Goal, ...]:
    """Every goal with what was measured, whether it is met, and by how much it is missed."""
    return (
        *(
            _ratio_goal(getattr(ratios, name), words, limit, high)
            for name, words, limit, high in RATIO_GOALS
        ),
        _control_goal(ratios.control),
        *_teacher_goals(teacher),
        _goal(
            "no dip: never more than 3 points of success below the clone while fine-tuning",
            f"{points(dip.change)} at the lowest",
            Status.MET if dip.change >= -DIP_MOST - 1e-9 else Status.MISSED,
            excess=-DIP_MOST - dip.change,
        ),
    )


def _ratio_goal(ratio: Ratio, words: str, limit: float, high: float | None) -> Goal:
    if ratio.estimate is None or ratio.bound is None:
        return _unmeasured(words, ratio.reason)
    excess = ratio.estimate - limit
    status = at_most(ratio.estimate, limit, ratio.bound)
    remark = ""
    if high is not None and status == Status.MET:
        if ratio.high is None or ratio.high > high:
            status = Status.MISSED if ratio.high is not None else Status.NOT_SHOWN
            excess = (ratio.high or high) - high
            remark = "the interval reaches too high"
        elif ratio.seeds < FEWEST_SEEDS:
            status, remark = Status.NOT_SHOWN, f"fewer than {FEWEST_SEEDS} seeds"
    return _goal(words, ratio_text(ratio), status, remark or _late(ratio, status), excess)


def _late(ratio: Ratio, status: Status) -> str:
    if status != Status.NOT_SHOWN:
        return ""
    return f"in {ratio.censored} of {ratio.seeds} pairs an arm never arrived"


def at_most(value: float, limit: float, bound: Bound) -> Status:
    """Whether a ratio, known up to a bound, is shown to be at most ``limit``.

    Example:
        >>> at_most(0.6, 0.7, Bound.AT_MOST).value, at_most(0.6, 0.7, Bound.AT_LEAST).value
        ('met', 'not_shown')
    """
    if value <= limit:
        return Status.MET if bound in (Bound.EXACT, Bound.AT_MOST) else Status.NOT_SHOWN
    return Status.MISSED if bound in (Bound.EXACT, Bound.AT_LEAST) else Status.NOT_SHOWN


def _control_goal(ratio: Ratio) -> Goal:
    words = "negative control: shuffled actions save nothing, at least 80 %"
    if ratio.estimate is None:
        return _unmeasured(words, ratio.reason)
    enough = ratio.estimate >= CONTROL_LEAST
    status = Status.NOT_SHOWN
    if ratio.bound in (Bound.EXACT, Bound.AT_LEAST if enough else Bound.AT_MOST):
        status = Status.MET if enough else Status.MISSED
    excess = CONTROL_LEAST - ratio.estimate
    return _goal(words, ratio_text(ratio), status, _late(ratio, status), excess)


def _teacher_goals(teacher: Teacher) -> tuple[Goal, Goal]:
    fewer = "better than its teacher: at most 70 % of the expert's collisions"
    lower = "better than its teacher: success no lower than the expert's"
    ratio, gap = teacher.collision_ratio, teacher.success_difference
    if ratio is None or gap is None:
        return _unmeasured(fewer, teacher.reason), _unmeasured(lower, teacher.reason)
    return (
        _unmeasured(fewer, "the expert has no collision to improve on")
        if ratio.estimate is None
        else _goal(
            fewer,
            f"{percent(ratio.estimate)} %{ends(ratio, percent)}",
            Status.MET if ratio.estimate <= TEACHER_COLLISIONS else Status.MISSED,
            excess=ratio.estimate - TEACHER_COLLISIONS,
        ),
        _goal(
            lower,
            points_text(gap),
            Status.MET if gap.estimate >= 0.0 else Status.MISSED,
            excess=-gap.estimate,
        ),
    )


def _unmeasured(words: str, reason: str | None) -> Goal:
    return Goal(words, None, Status.NOT_RUN, None, reason or "")


def _goal(words: str, measured: str, status: Status, remark: str = "", excess: float = 0.0) -> Goal:
    shortfall = excess if status == Status.MISSED else None
    if shortfall is not None and not remark:
        remark = f"by {abs(shortfall) * 100:.1f} percentage points"
    return Goal(words, measured, status, shortfall, remark)


def headline(gate: TargetRatio, alone: Sequence[int], aims: Sequence[Goal]) -> tuple[str, ...]:
    """Sentences that a reader may quote: what was found, how sure, and what of it was promised.

    Args:
        gate: the ratio at the gate.
        alone: seeds of the baseline without a partner.
        aims: the goals.
    """
    words = target_words(gate.target)
    if gate.estimate is None:
        return (f"The ratio at {words} could not be computed: {gate.reason}.",)
    pairs = f"{gate.seeds} matched {'seed' if gate.seeds == 1 else 'seeds'}"
    ours, theirs = mean_steps(gate, "pretrained"), mean_steps(gate, "baseline")
    late = _censoring(gate)
    if all(row.pretrained.censored and row.baseline.censored for row in gate.per_seed):
        first = f"Neither arm meets {words} within its budget on any seed."
        second = "How many steps pre-training saves is therefore not known."
        late = []
    elif gate.at_start == gate.seeds:
        first = f"Pre-trained PPO meets {words} before its first online step."
        second = f"PPO from scratch needs {theirs} steps, on average over {pairs}."
    else:
        first = (
            f"Pre-trained PPO needs {bounded_text(gate)} of the online steps of PPO from scratch."
        )
        second = (
            f"To reach {words} it takes {ours} steps instead of "
            f"{theirs}, on average over {pairs}{_interval(gate)}."
        )
    return (first, second, *_alone(alone), *late, _score(aims))


def _alone(seeds: Sequence[int]) -> list[str]:
    if not seeds:
        return []
    return [
        f"Of PPO from scratch {', '.join(map(str, seeds))} {'is' if len(seeds) == 1 else 'are'} "
        "left out: no pre-trained run has that seed."
    ]


def _censoring(ratio: Ratio) -> list[str]:
    parts = []
    for name, times in (
        ("pre-trained", {row.seed: row.pretrained for row in ratio.per_seed}),
        ("baseline", {row.seed: row.baseline for row in ratio.per_seed}),
    ):
        late = [str(seed) for seed, time in times.items() if time.censored]
        if late:
            parts.append(f"{name} {'seed' if len(late) == 1 else 'seeds'} {', '.join(late)}")
    if not parts or ratio.bound is None:
        return []
    ending = "counts" if ratio.censored == 1 and len(parts) == 1 else "count"
    return [
        f"Within the budget {' and '.join(parts)} did not arrive and {ending} with the whole "
        "budget, so that the ratio is "
        + {
            Bound.AT_MOST: "an upper bound.",
            Bound.AT_LEAST: "a lower bound.",
            Bound.UNRESOLVED: "restricted to the budget, a bound in neither direction.",
            Bound.EXACT: "exact.",
        }[ratio.bound]
    ]


def _score(aims: Sequence[Goal]) -> str:
    asked = [aim for aim in aims if aim.status != Status.NOT_RUN]
    met = sum(aim.status == Status.MET for aim in asked)
    missed = [
        f"{aim.goal} (measured {aim.measured}; "
        f"{STATUS_WORDS[aim.status]}{' ' if aim.status == Status.MISSED else ': '}{aim.remark})"
        for aim in asked
        if aim.status != Status.MET
    ]
    skipped = len(aims) - len(asked)
    text = f"{met} of {len(asked)} goals measured here are met"
    text += f"; not met: {'; '.join(missed[:NAMED])}" if missed else ""
    text += f"; and {len(missed) - NAMED} more" if len(missed) > NAMED else ""
    return text + (f". {skipped} more were not measured." if skipped else ".")


def _interval(ratio: Ratio) -> str:
    if ratio.low is None or ratio.high is None:
        return ""
    return f" (95 % interval of the ratio: {percent(ratio.low)} to {percent(ratio.high)} %)"
