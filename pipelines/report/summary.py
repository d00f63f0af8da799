"""The comparison in Markdown, and the handful of numbers that ``dvc metrics`` shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.comparison.goals import STATUS_WORDS, ratio_text
from pipelines.report.figures import arm_words, in_order
from pipelines.report.tables import ACCOUNT_WORDS, RATIO_WORDS, difference_words

Report = Mapping[str, Any]


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
            ("target", "ratio", "seeds", "never arrived"),
            ((words, *_ratio(report["ratio"][name])) for name, words in RATIO_WORDS.items()),
        ),
        "## Final performance",
        difference_words(report),
        _table(("arm", "success", "collisions"), final),
        "## Cost accounts",
        _table(
            ("account", "ratio", "seeds", "never arrived"),
            (
                (words, *_ratio(report["costs"]["accounts"][name]))
                for name, words in ACCOUNT_WORDS.items()
            ),
        ),
        "## Scenarios to look at",
        _table(
            ("scenario", "from scratch", "fine-tuned", "flag"),
            (
                (
                    row["scenario"],
                    f"{row['baseline']['success'] * 100:.0f} %",
                    f"{row['finetune']['success'] * 100:.0f} %",
                    row["flag"],
                )
                for row in flagged
            ),
        )
        if flagged
        else "None is flagged.",
        *([] if not report["notes"] else ["## Notes", *(f"- {note}" for note in report["notes"])]),
        "![Learning curves](curves.png)",
        "![Ratio over targets](ratio_over_targets.png)",
    ]
    return "\n\n".join(parts) + "\n"


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
    numbers["scenarios.regressions"] = sum(
        row["flag"] == "regression" for row in report["scenarios"]
    )
    numbers["goals.met"] = sum(row["status"] == "met" for row in report["goals"])
    numbers["goals.measured"] = sum(row["status"] != "not_run" for row in report["goals"])
    return numbers


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _ratio(ratio: Report) -> tuple[str, str, str]:
    if ratio["estimate"] is None:
        return ratio["reason"], "-", "-"
    return ratio_text(ratio), str(ratio["seeds"]), str(ratio["censored"])


def _verdict(row: Report) -> str:
    return STATUS_WORDS[row["status"]] + (f" ({row['remark']})" if row["remark"] else "")


def _share(part: Report) -> str:
    text = f"{part['estimate'] * 100:.1f} %"
    if part["low"] is not None and part["high"] is not None:
        text += f" [{part['low'] * 100:.1f}, {part['high'] * 100:.1f}]"
    return text
