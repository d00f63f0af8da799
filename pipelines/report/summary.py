"""The comparison in Markdown, and the handful of numbers that ``dvc metrics`` shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.comparison.goals import STATUS_WORDS, mean_steps, points, ratio_text
from pipelines.comparison.performance import RATES
from pipelines.report.figures import arm_words, in_order
from pipelines.report.tables import ACCOUNT_WORDS, RATIO_WORDS, difference_words, points_text

Report = Mapping[str, Any]

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


def summary(report: Report) -> str:
    """The comparison as Markdown."""
    teacher = report["better_than_teacher"]
    final = [
        (arm_words(name), _share(part["success"]), _share(part["collision"]))
        for name, part in ((key, report["final"][key]) for key in in_order(report["final"]))
    ]
    if "expert" in teacher:
        expert = teacher["expert"]
        final.append(
            (
                "expert (teacher)",
                f"{expert['success'] * 100:.1f} %",
                f"{expert['collision'] * 100:.1f} %",
            )
        )
    flagged = [row for row in report["scenarios"] if row["flag"]]
    parts = [
        "# Pre-training against training from scratch",
        *report["headline"],
        "## Goals",
        _table(
            ("goal", "measured", "verdict"),
            ((row["goal"], row["measured"] or "-", _verdict(row)) for row in report["goals"]),
        ),
        "## Ratio of online steps to the target",
        _table(
            ("target", "ratio", "pre-trained", "from scratch", "seeds", "at once", "never arrived"),
            ((words, *_ratio(report["ratio"][name])) for name, words in RATIO_WORDS.items()),
        ),
        STEPS_RULE,
        "## Final performance",
        difference_words(report),
        _table(("arm", "success", "collisions"), final),
        *_held_out(report["held_out"]),
        "## Cost accounts",
        _table(
            ("account", "ratio", "pre-trained", "from scratch"),
            (
                (words, *_ratio(report["costs"]["accounts"][name])[:3])
                for name, words in ACCOUNT_WORDS.items()
            ),
        ),
        "## Scenarios to look at",
        _table(
            ("scenario", "from scratch", "fine-tuned", "difference", "flag"),
            (
                (
                    row["scenario"],
                    f"{row['baseline']['success'] * 100:.0f} %",
                    f"{row['finetune']['success'] * 100:.0f} %",
                    points(row["difference"]["estimate"]),
                    row["flag"],
                )
                for row in flagged
            ),
        )
        if flagged
        else "None is flagged.",
        FLAG_RULE,
        *([] if not report["notes"] else ["## Notes", *(f"- {note}" for note in report["notes"])]),
        "![Learning curves](curves.png)",
        "![Ratio over targets](ratio_over_targets.png)",
    ]
    return "\n\n".join(parts) + "\n"


def _held_out(part: Report) -> list[str]:
    """The held-out families, where they were played."""
    if part["reason"] is not None:
        return []
    rows: list[tuple[str, ...]] = [
        (
            arm_words(name),
            _share(part["final"][name]["success"]),
            _share(part["final"][name]["collision"]),
        )
        for name in ("baseline", "finetune")
    ]
    if part["expert"]:
        shares = (f"{part['expert'][rate] * 100:.1f} %" for rate in RATES)
        rows.append(("expert (teacher)", *shares))
    changes = (points_text(part["difference"][rate]) for rate in RATES)
    rows.append(("pre-trained minus from scratch", *changes))
    return [
        "## Held out",
        f"{part['episodes']} episodes of {', '.join(part['families'])}, which no training and no "
        "demonstration showed; they count nowhere else.",
        _table(("arm", "success", "collisions"), rows),
    ]


def metrics(report: Report) -> dict[str, Any]:
    """Flat numbers for ``dvc metrics show`` and ``diff``; null where one was not measured."""
    numbers: dict[str, Any] = {}
    for name, ratio in report["ratio"].items():
        for key in ("estimate", "low", "high", "censored"):
            numbers[f"ratio.{name}.{key}"] = ratio[key]
    for arm in ("baseline", "finetune"):
        for rate, part in report["final"][arm].items():
            numbers[f"final.{arm}.{rate}"] = part["estimate"]
    teacher = report["better_than_teacher"]
    numbers["teacher.collision_ratio"] = teacher.get("collision_ratio", {}).get("estimate")
    numbers["dip.change"] = report["no_dip"]["change"]
    for arm, rates in report["held_out"].get("final", {}).items():
        for rate, part in rates.items():
            numbers[f"held_out.{arm}.{rate}"] = part["estimate"]
    numbers["scenarios.regressions"] = sum(
        row["flag"] == "regression" for row in report["scenarios"]
    )
    numbers["goals.met"] = sum(row["status"] == "met" for row in report["goals"])
    numbers["goals.measured"] = sum(row["status"] != "not_run" for row in report["goals"])
    return numbers


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _ratio(ratio: Report) -> tuple[str, ...]:
    if ratio["estimate"] is None:
        return ratio["reason"], *["-"] * 5
    steps = (mean_steps(ratio, arm) for arm in ("pretrained", "baseline"))
    return ratio_text(ratio), *steps, *(str(ratio[k]) for k in ("seeds", "at_start", "censored"))


def _verdict(row: Report) -> str:
    return STATUS_WORDS[row["status"]] + (f" ({row['remark']})" if row["remark"] else "")


def _share(part: Report) -> str:
    text = f"{part['estimate'] * 100:.1f} %"
    if part["low"] is not None and part["high"] is not None:
        text += f" [{part['low'] * 100:.1f}, {part['high'] * 100:.1f}]"
    return text
