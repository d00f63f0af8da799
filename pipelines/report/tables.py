"""The tables of the page and of the summary: rows of text from the comparison's numbers."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from pipelines.comparison.goals import STATUS_WORDS, mean_steps, points, ratio_text
from pipelines.comparison.performance import RATES
from pipelines.report.charts import share_text
from pipelines.report.figures import arm_words, in_order
from pipelines.tasks.social_nav.metrics import METRICS

Report = Mapping[str, Any]

RATIO_WORDS = {
    "success": "target success alone",
    "gate": "gate: success and collisions",
    "parity": "expert parity",
    "few": "gate, few demonstrations",
    "transfer": "gate, transfer setting",
    "control": "gate, negative control",
}
ACCOUNT_WORDS = {
    "online": "online steps only",
    "with_collection": "plus recording the demonstrations",
    "with_expert": "plus training the expert",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, style: str = "") -> str:
    """An HTML table; cells are HTML, a head that begins with ``#`` makes a column of numbers."""
    numbers = [name.startswith("#") for name in head]
    cells = "".join(
        f"<th{' class=n' if number else ''}>{name.lstrip('#')}</th>"
        for name, number in zip(head, numbers, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            cell if cell.startswith("<td") else f"<td{' class=n' if number else ''}>{cell}</td>"
            for cell, number in zip(row, numbers, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table class='{style}'><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def pill(status: str, words: str | None = None) -> str:
    """A coloured word."""
    return f"<span class='pill {status}'>{escape(words or status)}</span>"


def goals(report: Report) -> str:
    """Goal, measured, verdict."""
    return table(
        ["Goal", "Measured", "Verdict"],
        [
            (
                escape(row["goal"]),
                small_ends(row["measured"]) if row["measured"] else "<small>not measured</small>",
                pill(row["status"], STATUS_WORDS[row["status"]])
                + (f" <small>{escape(row['remark'])}</small>" if row["remark"] else ""),
            )
            for row in report["goals"]
        ],
        style="stack",
    )


def ratios(report: Report) -> str:
    """The six ratios."""
    rows = []
    for name, ratio in ((key, report["ratio"][key]) for key in RATIO_WORDS):
        if ratio["estimate"] is None:
            reason = f"<small>{escape(ratio['reason'])}</small>"
            rows.append((RATIO_WORDS[name], reason, *[""] * 5))
            continue
        target = ratio["target"]
        at = f"success {share_text(round(target['success'], 4))}"
        if target["collision"] < 1.0:
            at += f", collisions {share_text(round(target['collision'], 4))}"
        rows.append(
            (
                f"{RATIO_WORDS[name]}<br><small>{at}</small>",
                with_ends(ratio),
                mean_steps(ratio, "pretrained"),
                mean_steps(ratio, "baseline"),
                str(ratio["seeds"]),
                str(ratio["at_start"]),
                str(ratio["censored"]),
            )
        )
    head = ["Target", "Ratio", "#Pre-trained", "#From scratch", "#Seeds", "#At once"]
    return table([*head, "#Never arrived"], rows)


def with_ends(ratio: Report) -> str:
    """A ratio and its interval, the interval small and unbroken."""
    return small_ends(ratio_text(ratio))


def small_ends(words: str) -> str:
    """Words whose part in square brackets is small and unbroken."""
    head, bracket, rest = escape(words).partition(" [")
    return f"{head} <small>[{rest}</small>" if bracket else head


def final(report: Report) -> str:
    """Success and collisions of every arm at the end, beside the expert's."""
    rows = [
        (escape(arm_words(name)), interval(parts["success"]), interval(parts["collision"]))
        for name, parts in ((key, report["final"][key]) for key in in_order(report["final"]))
    ]
    teacher = report["better_than_teacher"]
    if "expert" in teacher:
        expert = teacher["expert"]
        rows.append(
            (
                "expert (teacher)",
                f"{expert['success'] * 100:.1f} %",
                f"{expert['collision'] * 100:.1f} %",
            )
        )
    return table(["Arm", "#Success", "#Collisions"], rows)


def held_out(part: Report) -> str:
    """Success and collisions in the held-out families, and what pre-training changed there."""
    words = {"finetune": arm_words("finetune"), "baseline": arm_words("baseline")}
    rows: list[tuple[str, ...]] = [
        (escape(words[name]), interval(rates["success"]), interval(rates["collision"]))
        for name, rates in ((key, part["final"][key]) for key in words)
    ]
    if part["expert"]:
        shares = (f"{part['expert'][rate] * 100:.1f} %" for rate in ("success", "collision"))
        rows.append(("expert (teacher)", *shares))
    change = part["difference"]
    gaps = (small_ends(points_text(change[rate])) for rate in RATES)
    rows.append(("difference of the two arms", *gaps))
    return table(["Held out", "#Success", "#Collisions"], rows)


def interval(part: Report) -> str:
    """A share with its interval, in per cent."""
    text = f"{part['estimate'] * 100:.1f} %"
    if part["low"] is not None and part["high"] is not None:
        text += f" <small>[{part['low'] * 100:.1f}, {part['high'] * 100:.1f}]</small>"
    return text


def scenarios(report: Report) -> str:
    """A heat table: success of expert, scratch, fine-tuned and clone in each scenario."""
    return table(
        ["Scenario", "#Expert", "#Scratch", "#Fine-tuned", "#Gain over scratch", "", "#Clone"],
        [
            (
                f"<td class='nowrap'>{escape(row['scenario'].replace('_', ' '))}</td>",
                heat(row["expert"]),
                heat(row["baseline"]),
                heat(row["finetune"]),
                gain(row["difference"]),
                (pill(row["flag"]) if row["flag"] else "")
                + (pill("held", "held out") if row["held_out"] else ""),
                heat(row["clone"]),
            )
            for row in sorted(report["scenarios"], key=_place)
        ],
        style="heat",
    )


def _place(row: Report) -> tuple[bool, str, int]:
    """Held-out families last, then by family, then from low to high density."""
    family, _, density = row["scenario"].partition("/")
    order = {"low": 0, "medium": 1, "high": 2}
    return row["held_out"], family, order.get(density, 3)


def flagged_words(report: Report) -> str:
    """A sentence that names the scenarios with a flag."""
    parts = []
    for flag, words in (("regression", "regressions"), ("watch", "to watch")):
        names = [r["scenario"].replace("_", " ") for r in report["scenarios"] if r["flag"] == flag]
        if names:
            parts.append(f"{words}: {', '.join(names)}")
    if not parts:
        return "No scenario is flagged."
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def heat(part: Report | None) -> str:
    """A cell of success; the fuller the colour the lower, from 100 % down to 60 %."""
    if part is None:
        return "<td class='n'><small>-</small></td>"
    depth = min(max((1.0 - part["success"]) / 0.4, 0.0), 1.0) * 0.55
    return (
        f"<td class='n' style='background:rgba(var(--cold),{depth:.2f})'>"
        f"{part['success'] * 100:.0f} %</td>"
    )


def gain(part: Report) -> str:
    """A cell of a difference in points: green above zero, red below."""
    side = "heat" if part["estimate"] >= 0 else "cold"
    depth = min(abs(part["estimate"]) / 0.2, 1.0) * 0.45
    ends = ""
    if part["low"] is not None and part["high"] is not None:
        ends = f" <small>[{part['low'] * 100:+.0f}, {part['high'] * 100:+.0f}]</small>"
    return (
        f"<td class='n' style='background:rgba(var(--{side}),{depth:.2f})'>"
        f"{part['estimate'] * 100:+.0f}{ends}</td>"
    )


def costs(report: Report) -> str:
    """The three accounts."""
    rows: list[Sequence[str]] = []
    for name, account in ((k, report["costs"]["accounts"][k]) for k in ACCOUNT_WORDS):
        if account["estimate"] is None:
            rows.append(
                (ACCOUNT_WORDS[name], "", "", f"<small>{escape(account['reason'])}</small>")
            )
            continue
        steps = (mean_steps(account, arm) for arm in ("pretrained", "baseline"))
        rows.append((ACCOUNT_WORDS[name], *steps, with_ends(account)))
    return table(["Account", "#Pre-trained", "#From scratch", "#Ratio"], rows)


def metrics(report: Report, arms: Sequence[str]) -> str:
    """Mean of every metric with its unit, an arm a column."""
    shown = [name for name in arms if name in report["metrics"]]
    skipped = ("success", "collision", "timeout")
    known = {key for arm in shown for key in report["metrics"][arm]} - set(skipped)
    rows = []
    for name in [*(key for key in METRICS if key in known), *sorted(known - set(METRICS))]:
        unit = METRICS[name].unit if name in METRICS else ""
        cells = [number(report["metrics"][arm].get(name)) for arm in shown]
        rows.append((f"{name.replace('_', ' ')} <small>{unit}</small>", *cells))
    return table(["Metric", *(f"#{escape(arm_words(arm))}" for arm in shown)], rows)


def number(part: Report | None) -> str:
    """A metric's mean with its interval."""
    if part is None:
        return "-"
    mean = part["mean"]
    text = f"{mean['estimate']:.3g}"
    if mean["low"] is not None and mean["high"] is not None:
        text += f" <small>[{mean['low']:.3g}, {mean['high']:.3g}]</small>"
    return text


def difference_words(report: Report) -> str:
    """A sentence on final performance."""
    contrast = report["contrast"]
    success, collision = contrast["success"], contrast["collision"]
    chance = contrast["probability_of_improvement"]["estimate"]
    return (
        f"At the end of their budgets pre-trained policies differ from those trained from scratch "
        f"by {points(success['estimate'])} of success{_ends(success)} and "
        f"{points(collision['estimate'])} of collisions{_ends(collision)}; a pre-trained run beats "
        f"a run from scratch with a probability of {chance * 100:.0f} % (ties count half)."
    )


def points_text(part: Report) -> str:
    """A difference of shares in points, with its interval."""
    return points(part["estimate"]) + _ends(part)


def _ends(part: Report) -> str:
    if part["low"] is None or part["high"] is None:
        return ""
    return f" [{part['low'] * 100:+.1f}, {part['high'] * 100:+.1f}]"
