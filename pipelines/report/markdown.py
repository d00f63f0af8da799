"""The comparison in Markdown, and the handful of numbers that ``dvc metrics`` shows."""

from collections.abc import Iterable, Sequence

from pipelines.comparison.goals import STATUS_WORDS
from pipelines.comparison.record import Comparison, Goal, HeldOut, Rates, Status
from pipelines.comparison.stats import Estimate
from pipelines.comparison.words import points, ratio_text
from pipelines.learning.runlog import RATES
from pipelines.report.tables import (
    ACCOUNT_WORDS,
    RATIO_WORDS,
    count_cells,
    difference_words,
    final_rows,
    held_out_rows,
    steps_cells,
)

FLAG_RULE = (
    "`regression`: success fell against training from scratch by 5 points or more and beyond "
    "chance, with seeds and episodes drawn anew and all scenarios corrected for together (Holm, "
    "5 %). `watch`: it fell by as much, and chance could explain it."
)


STEPS_RULE = (
    "Steps are means over the seeds. `at once`: seeds that met the target before their first "
    "online step. `never arrived`: seeds of which one arm or the other did not meet it within its "
    "budget."
)


def markdown(report: Comparison) -> str:
    """The comparison as Markdown."""
    ratios = {words: getattr(report.ratio, name) for name, words in RATIO_WORDS.items()}
    accounts = {words: getattr(report.costs.accounts, key) for key, words in ACCOUNT_WORDS.items()}
    flagged = [
        (row.scenario, f"{row.baseline.success * 100:.0f} %", f"{row.finetune.success * 100:.0f} %",
         points(row.difference.estimate), row.flag)
        for row in report.scenarios if row.flag
    ]  # fmt: skip
    parts = [
        "# Pre-training against training from scratch",
        *report.headline,
        "## Goals",
        table(
            ("goal", "measured", "verdict"),
            ((goal.goal, goal.measured or "-", _verdict(goal)) for goal in report.goals),
        ),
        "## Ratio of online steps to the target",
        table(
            ("target", "ratio", "pre-trained", "from scratch", "seeds", "at once", "never arrived"),
            (
                (words, ratio_text(ratio), *steps_cells(ratio), *count_cells(ratio))
                for words, ratio in ratios.items()
            ),
        ),
        STEPS_RULE,
        "## Final performance",
        difference_words(report),
        table(("arm", "success", "collisions"), final_rows(report)),
        *_held_out(report.held_out),
        "## Cost accounts",
        table(
            ("account", "ratio", "pre-trained", "from scratch"),
            ((words, ratio_text(ratio), *steps_cells(ratio)) for words, ratio in accounts.items()),
        ),
        "## Scenarios to look at",
        table(("scenario", "from scratch", "fine-tuned", "difference", "flag"), flagged)
        if flagged
        else "None is flagged.",
        FLAG_RULE,
        *([] if not report.notes else ["## Notes", *(f"- {note}" for note in report.notes)]),
        "![Learning curves](curves.png)",
        "![Ratio over targets](ratio_over_targets.png)",
    ]
    return "\n\n".join(parts) + "\n"


def _held_out(part: HeldOut) -> list[str]:
    """The held-out families, where they were played."""
    if part.reason is not None:
        return []
    return [
        "## Held out",
        f"{part.episodes} episodes of {', '.join(part.families)}, which no training and no "
        "demonstration showed; they count nowhere else.",
        table(("arm", "success", "collisions"), held_out_rows(part)),
    ]


def flat_metrics(report: Comparison) -> dict[str, float | None]:
    """Flat numbers for ``dvc metrics show`` and ``diff``; null where one was not measured."""
    numbers: dict[str, float | None] = {}
    for name in RATIO_WORDS:
        for key in ("estimate", "low", "high", "censored"):
            numbers[f"ratio.{name}.{key}"] = getattr(getattr(report.ratio, name), key)
    main = {name: report.final[name] for name in ("baseline", "finetune")}
    numbers |= _rates("final", main) | _rates("held_out", report.held_out.final)
    quotient = report.better_than_teacher.collision_ratio
    numbers["teacher.collision_ratio"] = quotient.estimate if quotient else None
    numbers["dip.change"] = report.no_dip.change
    numbers["scenarios.regressions"] = sum(row.flag == "regression" for row in report.scenarios)
    numbers["goals.met"] = sum(goal.status == Status.MET for goal in report.goals)
    numbers["goals.measured"] = sum(goal.status != Status.NOT_RUN for goal in report.goals)
    return numbers


def _rates(kind: str, found: dict[str, Rates[Estimate]]) -> dict[str, float | None]:
    return {
        f"{kind}.{arm}.{rate}": getattr(rates, rate).estimate
        for arm, rates in found.items()
        for rate in RATES
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(" ".join(f"| {cell}".strip() for cell in line) + " |" for line in lines)


def _verdict(goal: Goal) -> str:
    return STATUS_WORDS[goal.status] + (f" ({goal.remark})" if goal.remark else "")
