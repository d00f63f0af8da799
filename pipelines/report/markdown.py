"""The comparison in Markdown and in sentences, and the numbers that ``dvc metrics`` shows."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from pipelines.comparison.record import Comparison, HeldOut, Status
from pipelines.comparison.words import change_text, measure_words, value_text
from pipelines.report import tables

FLAG_RULE = (
    "`regression`: the main measure, such as success, fell against training from scratch by 5 "
    "points (of a return 5 % of the target) or more and beyond "
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
    main = report.measures[0]
    flagged = [
        (
            row.scenario,
            *(value_text(main, round(part[main], 2)) for part in (row.baseline, row.finetune)),
            change_text(main, replace(row.difference, low=None)),
            str(row.flag),
        )
        for row in report.scenarios
        if row.flag
    ]
    head = ("scenario", "from scratch", "fine-tuned", "difference", "flag")
    parts = [
        "# Pre-training against training from scratch",
        *report.headline,
        "## Goals",
        tables.goals(report).markdown(),
        "## Ratio of online steps to the target",
        tables.ratios(report).markdown(),
        STEPS_RULE,
        "## Final performance",
        difference_words(report),
        tables.final(report).markdown(),
        *_held_out(report.held_out),
        "## Cost accounts",
        tables.costs(report).markdown(),
        "## Scenarios to look at",
        tables.Table(head, flagged).markdown() if flagged else "None is flagged.",
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
        tables.held_out(part).markdown(),
    ]


def difference_words(report: Comparison) -> str:
    """A sentence on final performance."""
    parts = [
        f"{change_text(name, report.contrast.difference[name])} of {measure_words(name)}"
        for name in report.measures
    ]
    chance = report.contrast.probability_of_improvement.estimate
    return (
        f"At the end of their budgets pre-trained policies differ from those trained from scratch "
        f"by {' and '.join(parts)}; a pre-trained run "
        f"beats a run from scratch with a probability of {chance * 100:.0f} % (ties count half)."
    )


def flagged_words(report: Comparison) -> str:
    """A sentence that names the scenarios with a flag."""
    parts = []
    for flag, words in (("regression", "regressions"), ("watch", "to watch")):
        names = [row.scenario.replace("_", " ") for row in report.scenarios if row.flag == flag]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    if not parts:
        return "No scenario is flagged."
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def flat_metrics(report: Comparison) -> dict[str, float | None]:
    """The handful of numbers of ``dvc metrics show`` and ``diff``; null where not measured."""
    main, gate = report.measures[0], report.ratio.gate
    return {
        "ratio.gate.estimate": gate.estimate,
        "ratio.gate.low": gate.low,
        "ratio.gate.high": gate.high,
        "ratio.gate.censored": gate.censored,
        "ratio.control.estimate": report.ratio.control.estimate,
        **{
            f"final.{it}.{main}": report.final[it][main].estimate for it in ("baseline", "finetune")
        },
        "dip.change": report.no_dip.change,
        "scenarios.regressions": sum(row.flag == "regression" for row in report.scenarios),
        "goals.met": sum(goal.status == Status.MET for goal in report.goals),
        "goals.measured": sum(goal.status != Status.NOT_RUN for goal in report.goals),
    }


def curve_tables(report: Comparison) -> dict[str, str]:
    """Mean learning curves of both main arms, and the ratio over targets, as CSV to plot."""
    found = {}
    for name in ("baseline", "finetune"):
        curve = report.curves[name]
        bands = [curve.measures[it].mean for it in report.measures]
        rows = zip(curve.steps, *bands, strict=True)
        found[f"curves_{name}"] = _csv(("steps", *report.measures), rows)
    main = report.settings.target[0].metric
    points = [
        (row.target[0].limit, row.estimate)
        for row in report.over_targets
        if row.target and row.estimate is not None and row.arms.pretrained == "finetune"
        and len(row.target) == len(report.settings.target)
    ]  # fmt: skip
    return found | {"ratio_over_targets": _csv((main, "ratio"), points)}


def _csv(head: Sequence[str], rows: Iterable[Sequence[float]]) -> str:
    lines = [
        head,
        *([f"{value:.6g}" if value % 1 else f"{value:.0f}" for value in row] for row in rows),
    ]
    return "".join(",".join(line) + "\n" for line in lines)
