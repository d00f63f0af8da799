"""The tables of a comparison: rows of text for page and summary, and their form on the page."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pipelines.comparison.arrival import Ratio, Target
from pipelines.comparison.goals import STATUS_WORDS
from pipelines.comparison.record import Comparison, HeldOut, MetricStatistics, Rates, Scenario
from pipelines.comparison.stats import Estimate
from pipelines.comparison.words import (
    ends,
    mean_steps,
    points,
    points_text,
    rate_text,
    ratio_text,
    share_text,
    signed,
    tenths,
)
from pipelines.report.figures import arm_words, in_order
from pipelines.tasks.social_nav.metrics import METRICS

Rows = list[tuple[str, ...]]

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


def steps_cells(ratio: Ratio) -> tuple[str, str]:
    """Mean steps of both arms; a dash where there is no ratio."""
    if ratio.estimate is None:
        return "-", "-"
    return mean_steps(ratio, "pretrained"), mean_steps(ratio, "baseline")


def count_cells(ratio: Ratio) -> tuple[str, ...]:
    """Seeds, those that met the target at once, those that never did."""
    counts = (ratio.seeds, ratio.at_start, ratio.censored)
    return tuple("-" if ratio.estimate is None else str(count) for count in counts)


def final_rows(report: Comparison) -> Rows:
    """Success and collisions of every arm at the end, beside the expert's."""
    return _rate_rows(report.final, report.better_than_teacher.expert)


def held_out_rows(part: HeldOut) -> Rows:
    """Success and collisions in the held-out families, and what pre-training changed there."""
    rows = _rate_rows(part.final, part.expert or None)
    if part.difference:
        changes = map(points_text, (part.difference.success, part.difference.collision))
        rows.append(("pre-trained minus from scratch", *changes))
    return rows


def _rate_rows(arms: Mapping[str, Rates[Estimate]], expert: Rates[float] | None) -> Rows:
    rows: Rows = [
        (arm_words(name), rate_text(arms[name].success), rate_text(arms[name].collision))
        for name in in_order(arms)
    ]
    if expert:
        shares = (f"{tenths(share)} %" for share in (expert.success, expert.collision))
        rows.append(("expert (teacher)", *shares))
    return rows


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, style: str = "") -> str:
    """An HTML table; cells are HTML, a head that begins with ``#`` makes a column of numbers."""
    classes = [" class=n" if name.startswith("#") else "" for name in head]
    cells = "".join(
        f"<th{kind}>{name.lstrip('#')}</th>" for name, kind in zip(head, classes, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            cell if cell.startswith("<td") else f"<td{kind}>{cell}</td>"
            for cell, kind in zip(row, classes, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table class='{style}'><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def pill(status: str, words: str | None = None) -> str:
    """A coloured word."""
    return f"<span class='pill {status}'>{escape(words or status)}</span>"


def small_ends(words: str) -> str:
    """Text as HTML; its part in square brackets is small and unbroken."""
    head, bracket, rest = escape(words).partition(" [")
    return f"{head} <small>[{rest}</small>" if bracket else head


def goals(report: Comparison) -> str:
    """Goal, measured, verdict."""
    return table(
        ["Goal", "Measured", "Verdict"],
        [
            (
                escape(goal.goal),
                small_ends(goal.measured) if goal.measured else "<small>not measured</small>",
                pill(goal.status, STATUS_WORDS[goal.status])
                + (f" <small>{escape(goal.remark)}</small>" if goal.remark else ""),
            )
            for goal in report.goals
        ],
        style="stack",
    )


def ratios(report: Comparison) -> str:
    """The six ratios."""
    rows: Rows = []
    for name, words in RATIO_WORDS.items():
        ratio = getattr(report.ratio, name)
        found = _measured(ratio)
        if ratio.estimate is None or ratio.target is None:
            rows.append((words, found, *[""] * 5))
        else:
            words = f"{words}<br><small>{_target(ratio.target)}</small>"
            rows.append((words, found, *steps_cells(ratio), *count_cells(ratio)))
    head = ["Target", "Ratio", "#Pre-trained", "#From scratch", "#Seeds", "#At once"]
    return table([*head, "#Never arrived"], rows)


def _target(target: Target) -> str:
    words = f"success {share_text(round(target.success, 4))}"
    if target.collision < 1.0:
        words += f", collisions {share_text(round(target.collision, 4))}"
    return words


def _measured(ratio: Ratio) -> str:
    """A ratio as HTML, or in small letters why there is none."""
    if ratio.estimate is None:
        return f"<small>{escape(ratio_text(ratio))}</small>"
    return small_ends(ratio_text(ratio))


def final(report: Comparison) -> str:
    """Success and collisions of every arm at the end, beside the expert's."""
    return _plain(["Arm", "#Success", "#Collisions"], final_rows(report))


def held_out(part: HeldOut) -> str:
    """Success and collisions in the held-out families, and what pre-training changed there."""
    return _plain(["Held out", "#Success", "#Collisions"], held_out_rows(part))


def _plain(head: Sequence[str], rows: Rows) -> str:
    return table(head, [tuple(map(small_ends, row)) for row in rows])


def scenarios(report: Comparison) -> str:
    """A heat table: success of expert, scratch, fine-tuned and clone in each scenario."""
    return table(
        ["Scenario", "#Expert", "#Scratch", "#Fine-tuned", "#Gain over scratch", "", "#Clone"],
        [
            (
                f"<td class='nowrap'>{escape(row.scenario.replace('_', ' '))}</td>",
                _heat(row.expert.success if row.expert else None),
                _heat(row.baseline.success),
                _heat(row.finetune.success),
                _gain(row.difference),
                (pill(row.flag) if row.flag else "")
                + (pill("held", "held out") if row.held_out else ""),
                _heat(row.clone.success if row.clone else None),
            )
            for row in sorted(report.scenarios, key=_place)
        ],
        style="heat",
    )


def _place(row: Scenario) -> tuple[bool, str, int]:
    """Held-out families last, then by family, then from low to high density."""
    family, _, density = row.scenario.partition("/")
    order = {"low": 0, "medium": 1, "high": 2}
    return row.held_out, family, order.get(density, 3)


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


def _heat(success: float | None) -> str:
    """A cell of success; the fuller the colour the lower, from 100 % down to 60 %."""
    if success is None:
        return "<td class='n'><small>-</small></td>"
    depth = min(max((1.0 - success) / 0.4, 0.0), 1.0) * 0.55
    style = f"background:rgba(var(--cold),{depth:.2f})"
    return f"<td class='n' style='{style}'>{success * 100:.0f} %</td>"


def _gain(part: Estimate) -> str:
    """A cell of a difference in points: green above zero, red below."""
    side = "heat" if part.estimate >= 0 else "cold"
    depth = min(abs(part.estimate) / 0.2, 1.0) * 0.45
    words = f"{part.estimate * 100:+.0f}" + ends(part, lambda share: f"{share * 100:+.0f}")
    style = f"background:rgba(var(--{side}),{depth:.2f})"
    return f"<td class='n' style='{style}'>{small_ends(words)}</td>"


def costs(report: Comparison) -> str:
    """The three accounts."""
    accounts = {name: getattr(report.costs.accounts, name) for name in ACCOUNT_WORDS}
    rows = [
        (ACCOUNT_WORDS[name], *steps_cells(account), _measured(account))
        for name, account in accounts.items()
    ]
    return table(["Account", "#Pre-trained", "#From scratch", "#Ratio"], rows)


def metrics(report: Comparison, arms: Sequence[str]) -> str:
    """Mean of every metric with its unit, an arm a column."""
    shown = [name for name in arms if name in report.metrics]
    skipped = ("success", "collision", "timeout")
    known = {key for arm in shown for key in report.metrics[arm]} - set(skipped)
    rows = []
    for name in [*(key for key in METRICS if key in known), *sorted(known - set(METRICS))]:
        unit = METRICS[name].unit if name in METRICS else ""
        cells = [_number(report.metrics[arm].get(name)) for arm in shown]
        rows.append((f"{name.replace('_', ' ')} <small>{unit}</small>", *cells))
    return table(["Metric", *(f"#{escape(arm_words(arm))}" for arm in shown)], rows)


def _number(part: MetricStatistics | None) -> str:
    """A metric's mean with its interval."""
    if part is None:
        return "-"
    return small_ends(f"{part.mean.estimate:.3g}" + ends(part.mean, lambda end: f"{end:.3g}"))


def difference_words(report: Comparison) -> str:
    """A sentence on final performance."""
    success, collision = report.contrast.success, report.contrast.collision
    chance = report.contrast.probability_of_improvement.estimate
    return (
        f"At the end of their budgets pre-trained policies differ from those trained from scratch "
        f"by {points(success.estimate)} of success{ends(success, signed)} and "
        f"{points(collision.estimate)} of collisions{ends(collision, signed)}; a pre-trained run "
        f"beats a run from scratch with a probability of {chance * 100:.0f} % (ties count half)."
    )
