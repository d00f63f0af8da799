"""The goals fixed before the runs, what was measured, and the sentences that say so."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import asdict

from pipelines.comparison.arrival import Bound, FixedRatios, Ratio, TargetRatio
from pipelines.comparison.record import Dip, Goal, Status, Teacher
from pipelines.comparison.words import (
    bounded_text,
    mean_steps,
    percent,
    points,
    ratio_text,
    signed,
    target_words,
    with_ends,
)

FEWEST_SEEDS = 5
"""That an interval must rest on before a goal for its end counts as met."""
ROUNDING = 1e-9
"""A limit passed by no more than this is kept."""


class Aim(NamedTuple):
    """What was promised of a number: at most ``limit``, or no lower where ``least``."""

    name: str
    words: str
    limit: float
    least: bool = False
    high: float | None = None
    """Limit of the upper end of its interval."""


AIMS = (
    Aim("gate", "required: at most 70 % of the baseline's online steps to the gate", 0.70),
    Aim("success", "at most 5 % of the steps to the target success", 0.05),
    Aim(
        "gate", "at most 10 % to the gate, upper end of the interval at most 25 %", 0.10, high=0.25
    ),
    Aim("parity", "at most 25 % to the expert's own success and collisions", 0.25),
    Aim("few", "at most 50 % with 10 demonstrated episodes", 0.50),
    Aim("transfer", "at most 30 % in the transfer setting", 0.30),
    Aim(
        "control",
        "negative control: shuffled actions save nothing, at least 80 %",
        0.80,
        least=True,
    ),
    Aim("fewer", "better than its teacher: at most 70 % of the expert's collisions", 0.70),
    Aim("lower", "better than its teacher: success no lower than the expert's", 0.0, least=True),
    Aim(
        "dip",
        "no dip: never more than 3 points of success below the clone while fine-tuning",
        -0.03,
        least=True,
    ),
)
NAMED = 3
"""Missed goals that the headline names; the table has them all."""
STATUS_WORDS = {
    Status.MET: "met",
    Status.MISSED: "missed",
    Status.NOT_SHOWN: "not shown",
    Status.NOT_RUN: "not measured",
}
"""How a reader knows each verdict."""


class Measured(NamedTuple):
    """A number, the words for it or for why there is none, and the ratio that it is, if one."""

    value: float | None
    words: str
    ratio: Ratio | None = None


def goals(ratios: FixedRatios, teacher: Teacher, dip: Dip) -> tuple[Goal, ...]:
    """Every goal with what was measured, whether it is met, and by how much it is missed."""
    measured = {
        name: Measured(ratio.estimate, ratio_text(ratio), ratio)
        for name, ratio in asdict(ratios).items()
    }
    measured["dip"] = Measured(dip.change, f"{points(dip.change)} at the lowest")
    quotient, gap = teacher.collision_ratio, teacher.success_difference
    measured["fewer"] = measured["lower"] = Measured(None, teacher.reason or "")
    if quotient and gap:
        measured["lower"] = Measured(gap.estimate, with_ends(gap, signed, " points"))
        words = with_ends(quotient, percent, " %") or "the expert has no collision to improve on"
        measured["fewer"] = Measured(quotient.estimate, words)
    return tuple(_judged(aim, measured[aim.name]) for aim in AIMS)


def _judged(aim: Aim, found: Measured) -> Goal:
    value, words, ratio = found
    if value is None:
        return Goal(aim.words, None, Status.NOT_RUN, None, words)
    excess = aim.limit - value if aim.least else value - aim.limit
    bound = (ratio and ratio.bound) or Bound.EXACT
    status, remark = verdict(excess <= ROUNDING, bound, least=aim.least), ""
    if ratio and status == Status.NOT_SHOWN:
        remark = f"in {ratio.censored} of {ratio.seeds} pairs an arm never arrived"
    elif ratio and status == Status.MET and aim.high is not None:
        status, remark = _upper_end(ratio, aim.high)
        excess = (ratio.high or 0.0) - aim.high
    shortfall = excess if status == Status.MISSED else None
    if shortfall is not None and not remark:
        remark = f"by {abs(shortfall) * 100:.1f} percentage points"
    return Goal(aim.words, words, status, shortfall, remark)


def verdict(holds: bool, bound: Bound, *, least: bool = False) -> Status:
    """Whether a number, known up to a bound, is shown to be at most, or at ``least``, its limit.

    Example:
        >>> verdict(True, Bound.AT_MOST).value, verdict(True, Bound.AT_LEAST).value
        ('met', 'not_shown')
    """
    if bound not in (Bound.EXACT, Bound.AT_LEAST if holds == least else Bound.AT_MOST):
        return Status.NOT_SHOWN
    return Status.MET if holds else Status.MISSED


def _upper_end(ratio: Ratio, limit: float) -> tuple[Status, str]:
    """Whether the interval of a ratio ends below a limit, and what is wrong with it."""
    if ratio.high is None or ratio.high > limit:
        status = Status.MISSED if ratio.high is not None else Status.NOT_SHOWN
        return status, "the interval reaches too high"
    if ratio.seeds < FEWEST_SEEDS:
        return Status.NOT_SHOWN, f"fewer than {FEWEST_SEEDS} seeds"
    return Status.MET, ""


def headline(gate: TargetRatio, alone: Sequence[int], aims: Sequence[Goal]) -> tuple[str, ...]:
    """Sentences that a reader may quote: what was found, how sure, and what of it was promised.

    Seeds that stand ``alone`` are those of the baseline without a partner.
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
        sure = ""
        if gate.low is not None and gate.high is not None:
            sure = f"{percent(gate.low)} to {percent(gate.high)} %"
            sure = f" (95 % interval of the ratio: {sure})"
        second = (
            f"To reach {words} it takes {ours} steps instead of "
            f"{theirs}, on average over {pairs}{sure}."
        )
    partners = [
        f"Of PPO from scratch {', '.join(map(str, alone))} {'is' if len(alone) == 1 else 'are'} "
        "left out: no pre-trained run has that seed."
    ]
    return (first, second, *(partners if alone else []), *late, _score(aims))


def _censoring(ratio: Ratio) -> list[str]:
    parts = []
    for arm, name in (("pretrained", "pre-trained"), ("baseline", "baseline")):
        late = [str(row.seed) for row in ratio.per_seed if getattr(row, arm).censored]
        if late:
            parts.append(f"{name} {'seed' if len(late) == 1 else 'seeds'} {', '.join(late)}")
    if not parts or ratio.bound is None:
        return []
    ending = "counts" if ratio.censored == 1 and len(parts) == 1 else "count"
    bound = {
        Bound.AT_MOST: "an upper bound",
        Bound.AT_LEAST: "a lower bound",
        Bound.UNRESOLVED: "restricted to the budget, a bound in neither direction",
        Bound.EXACT: "exact",
    }[ratio.bound]
    return [
        f"Within the budget {' and '.join(parts)} did not arrive and {ending} with the whole "
        f"budget, so that the ratio is {bound}."
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
