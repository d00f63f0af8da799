"""The goals fixed before the runs, what was measured, and the sentences that say so."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import asdict

from pipelines.comparison.arrival import Bound, FixedRatios, Ratio, TargetRatio
from pipelines.comparison.record import Dip, Goal, Status, Teacher
from pipelines.comparison.words import (
    bounded_text,
    change_text,
    is_share,
    mean_steps,
    measure_words,
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
    Aim("success", "at most 5 % of the steps to the target {main}", 0.05),
    Aim(
        "gate", "at most 10 % to the gate, upper end of the interval at most 25 %", 0.10, high=0.25
    ),
    Aim("parity", "at most 25 % to the expert's own {others}", 0.25),
    Aim("few", "at most 50 % with {few} demonstrated episodes", 0.50),
    Aim("transfer", "at most 30 % in the transfer setting", 0.30),
    Aim(
        "control",
        "negative control: shuffled actions save nothing, at least 80 %",
        0.80,
        least=True,
    ),
)
STATUS_WORDS = {
    Status.MET: "met",
    Status.MISSED: "missed",
    Status.NOT_SHOWN: "not shown",
    Status.NOT_RUN: "not measured",
}
"""How a reader knows each verdict."""


class Measured(NamedTuple):
    """A number, the words for it or for why there is none, the ratio that it is, if one."""

    value: float | None
    words: str
    ratio: Ratio | None = None
    share: bool = True


def goals(
    ratios: FixedRatios, teacher: Teacher, dip: Dip, *, measures: Sequence[str], few: str
) -> tuple[Goal, ...]:
    """Every goal with what was measured, whether it is met, and by how much it is missed.

    The goals speak of what the task is measured by, and of so many episodes as the arm ``few``.
    """
    measured = {
        name: Measured(ratio.estimate, ratio_text(ratio), ratio)
        for name, ratio in asdict(ratios).items()
    }
    main, *failures = measures
    measured["dip"] = Measured(dip.change, f"{points(dip.change)} at the lowest")
    if not is_share(main):
        words = (
            "the clone had none" if dip.share is None else f"{signed(dip.share)} % at the lowest"
        )
        measured["dip"] = Measured(dip.share, words)
    gap = teacher.difference
    measured["lower"] = Measured(None, teacher.reason or "")
    for name in failures:
        measured[f"fewer {name}"] = measured["lower"]
    for name, quotient in (teacher.failures or {}).items():
        none = f"the expert has no {name.replace('_', ' ')} to improve on"
        words = with_ends(quotient, percent, " %") or none
        measured[f"fewer {name}"] = Measured(quotient.estimate, words)
    if gap:
        measured["lower"] = Measured(gap.estimate, change_text(main, gap), share=is_share(main))
    return tuple(_judged(aim, measured[aim.name]) for aim in aims_of(measures, few))


def aims_of(measures: Sequence[str], few: str) -> list[Aim]:
    """What was promised, in terms of what the task is measured by."""
    main, *failures = measures
    count = few.rpartition("_")[2]
    better = "better than its teacher:"
    dip = Aim(
        "dip",
        "no dip: never more than 3 points of success below the clone while fine-tuning",
        -0.03,
        least=True,
    )
    if not is_share(main):
        words = f"no dip: never more than a tenth of its {main} below the clone while fine-tuning"
        dip = Aim("dip", words, -0.1, least=True)
    return [
        *(aim._replace(words=aim.words.format(main=measure_words(main),
          others=" and ".join(map(measure_words, measures)),
          few=count if count.isdecimal() else "few")) for aim in AIMS),
        *(
            Aim(f"fewer {it}", f"{better} at most 70 % of the expert's {measure_words(it)}", 0.70)
            for it in failures
        ),
        Aim("lower", f"{better} {main} no lower than the expert's", 0.0, least=True),
        dip,
    ]  # fmt: skip


def _judged(aim: Aim, found: Measured) -> Goal:
    value, words, ratio, share = found
    if value is None and ratio and ratio.seeds:
        return Goal(aim.words, None, Status.NOT_SHOWN, None, words)
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
        by = f"{abs(shortfall) * 100:.1f} percentage points" if share else f"{shortfall:,.4g}"
        remark = f"by {by}"
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
    if gate.estimate is None and not gate.seeds:
        return (f"The ratio at {words} could not be computed: {gate.reason}.",)
    pairs = f"{gate.seeds} matched {'seed' if gate.seeds == 1 else 'seeds'}"
    ours, theirs = mean_steps(gate, "pretrained"), mean_steps(gate, "baseline")
    late = _censoring(gate)
    if gate.estimate is None:
        first = f"Neither arm meets {words} within its budget on any seed."
        second = "How many steps pre-training saves is therefore not known."
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
    """How many goals are met, short; the table names them."""
    counts = {status: sum(aim.status == status for aim in aims) for status in Status}
    asked = len(aims) - counts[Status.NOT_RUN]
    text = f"{counts[Status.MET]} of {asked} goals measured here are met"
    for status in (Status.MISSED, Status.NOT_SHOWN):
        text += f", {counts[status]} {STATUS_WORDS[status]}" if counts[status] else ""
    return text + (
        f"; {counts[Status.NOT_RUN]} more were not measured." if counts[Status.NOT_RUN] else "."
    )
