"""The tables of a comparison: rows of cells, written as HTML for the page or as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from pipelines.comparison.arrival import Ratio, Target
from pipelines.comparison.goals import STATUS_WORDS
from pipelines.comparison.record import Comparison, Goal, HeldOut, Scenario
from pipelines.comparison.stats import Estimate
from pipelines.comparison.words import (
    change_text,
    is_share,
    mean_steps,
    measure_words,
    ratio_text,
    tenths,
    value_text,
    value_with_ends,
    with_ends,
)
from pipelines.learning.rows import measures_of
from pipelines.report.figures import arm_words, in_order

RATIO_WORDS = {
    "success": "target {main} alone",
    "gate": "gate: {others}",
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


class Cell(NamedTuple):
    """A cell that the page shows in a way of its own; attributes replace those of its column."""

    html: str
    text: str = ""
    attributes: str | None = None


class Table(NamedTuple):
    """Heads and rows; a head that begins with ``#`` makes a column of numbers."""

    head: Sequence[str]
    rows: Iterable[Sequence[str | Cell]]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [
            [name.lstrip("#").lower() for name in self.head],
            ["---"] * len(self.head),
            *([cell if isinstance(cell, str) else cell.text for cell in row] for row in self.rows),
        ]
        return "\n".join(" ".join(f"| {cell}".strip() for cell in line) + " |" for line in lines)

    def html(self, style: str = "") -> str:
        """As HTML; what a text has in square brackets is small and unbroken."""
        columns = [" class=n" if name.startswith("#") else "" for name in self.head]
        heads = [Cell(escape(name.lstrip("#"))) for name in self.head]
        body = "".join(_row(row, columns, "td") for row in self.rows)
        return (
            f"<table class='{style}'><thead>{_row(heads, columns, 'th')}</thead>"
            f"<tbody>{body}</tbody></table>"
        )


def _row(row: Sequence[str | Cell], columns: Sequence[str], tag: str) -> str:
    cells = []
    for given, column in zip(row, columns, strict=True):
        cell = Cell(small_ends(given)) if isinstance(given, str) else given
        attributes = column if cell.attributes is None else cell.attributes
        cells.append(f"<{tag}{attributes}>{cell.html}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"


def pill(status: str, words: str | None = None) -> str:
    """A coloured word."""
    return f"<span class='pill {status}'>{escape(words or status)}</span>"


def small_ends(words: str) -> str:
    """Text as HTML; its part in square brackets is small and unbroken."""
    head, bracket, rest = escape(words).partition(" [")
    return f"{head} <small>[{rest}</small>" if bracket else head


def goals(report: Comparison) -> Table:
    """Goal, measured, verdict."""
    nothing = Cell("<small>not measured</small>", "-")
    return Table(
        ["Goal", "Measured", "Verdict"],
        [(goal.goal, goal.measured or nothing, _verdict(goal)) for goal in report.goals],
    )


def _verdict(goal: Goal) -> Cell:
    words, remark = STATUS_WORDS[goal.status], goal.remark
    mark = pill(goal.status, words)
    if not remark:
        return Cell(mark, words)
    return Cell(f"{mark} <small>{escape(remark)}</small>", f"{words} ({remark})")


def ratios(report: Comparison) -> Table:
    """The six ratios, the steps they are made of, and how many seeds met the target when."""
    rows = []
    main, others = report.measures[0], " and ".join(map(measure_words, report.measures))
    for name, text in RATIO_WORDS.items():
        words = text.format(main=main, others=others)
        ratio = getattr(report.ratio, name)
        counts = [str(count) for count in (ratio.seeds, ratio.at_start, ratio.censored)]
        known = ratio.estimate is not None
        target = f"<br><small>{_target(ratio.target)}</small>" if known and ratio.target else ""
        rows.append((Cell(words + target, words), *_ratio(ratio), *(counts if known else "---")))
    counted = ["#Seeds", "#At once", "#Never arrived"]
    return Table(["Target", "Ratio", "#Pre-trained", "#From scratch", *counted], rows)


def costs(report: Comparison) -> Table:
    """The three accounts."""
    accounts = report.costs.accounts
    return Table(
        ["Account", "Ratio", "#Pre-trained", "#From scratch"],
        [(words, *_ratio(getattr(accounts, name))) for name, words in ACCOUNT_WORDS.items()],
    )


def _ratio(ratio: Ratio) -> tuple[str | Cell, ...]:
    """A ratio and the mean steps of both arms, or why there is none."""
    words = ratio_text(ratio)
    if ratio.estimate is None:
        return Cell(f"<small>{escape(words)}</small>", words), "-", "-"
    return words, mean_steps(ratio, "pretrained"), mean_steps(ratio, "baseline")


def _target(target: Target) -> str:
    return ", ".join(
        f"{measure_words(it.metric)} {value_text(it.metric, round(it.limit, 4))}" for it in target
    )


def final(report: Comparison) -> Table:
    """Every measure of every arm at the end, beside the expert's."""
    return _rates(report.final, report.better_than_teacher.expert)


def held_out(part: HeldOut) -> Table:
    """Every measure in the held-out families, and what pre-training changed there."""
    found = _rates(part.final, part.expert or None)
    if not part.difference:
        return found
    changed = part.difference.difference
    changes = [change_text(name, changed[name]) for name in measures_of(changed)]
    return Table(found.head, [*found.rows, ("pre-trained minus from scratch", *changes)])


def _rates(arms: Mapping[str, Mapping[str, Estimate]], expert: Mapping[str, float] | None) -> Table:
    measures = measures_of(next(iter(arms.values())))
    rows = [
        (arm_words(name), *(value_with_ends(it, arms[name][it]) for it in measures))
        for name in in_order(arms)
    ]
    if expert:
        shares = [
            f"{tenths(expert[it])} %" if is_share(it) else value_text(it, expert[it])
            for it in measures
        ]
        rows.append(("expert (teacher)", *shares))
    return Table(["Arm", *(f"#{measure_words(it).capitalize()}" for it in measures)], rows)


def scenarios(report: Comparison) -> Table:
    """A heat table: main measure of expert, scratch, fine-tuned and clone in each scenario."""
    main = report.measures[0]

    def heat(part: Mapping[str, float] | None) -> Cell:
        return _heat(main, None if part is None else part[main])

    ranks = {level: place for place, level in enumerate(report.levels)}

    def place(row: Scenario) -> tuple[bool, str, int]:
        """Held-out families last, then by family, then the easiest level first."""
        family, _, level = row.scenario.partition("/")
        return row.held_out, family, ranks.get(level, len(ranks))

    return Table(
        ["Scenario", "#Expert", "#Scratch", "#Fine-tuned", "#Gain over scratch", "", "#Clone"],
        [
            (
                Cell(escape(row.scenario.replace("_", " ")), attributes=" class='nowrap'"),
                heat(row.expert),
                heat(row.baseline),
                heat(row.finetune),
                _gain(main, row.difference),
                Cell(
                    (pill(row.flag) if row.flag else "")
                    + (pill("held", "held out") if row.held_out else "")
                ),
                _heat(main, row.clone),
            )
            for row in sorted(report.scenarios, key=place)
        ],
    )


def _heat(measure: str, value: float | None) -> Cell:
    """A cell of success; the fuller the colour the lower, from 100 % down to 60 %."""
    if value is None:
        return Cell("<small>-</small>")
    if not is_share(measure):
        return Cell(value_text(measure, value))
    depth = min(max((1.0 - value) / 0.4, 0.0), 1.0) * 0.55
    return _coloured(f"{value * 100:.0f} %", "cold", depth)


def _gain(measure: str, part: Estimate) -> Cell:
    """A cell of a difference in points: green above zero, red below."""
    if not is_share(measure):
        return Cell(small_ends(change_text(measure, part)))
    words = with_ends(part, lambda share: f"{share * 100:+.0f}")
    depth = min(abs(part.estimate) / 0.2, 1.0) * 0.45
    return _coloured(words, "heat" if part.estimate >= 0 else "cold", depth)


def _coloured(words: str, colour: str, depth: float) -> Cell:
    style = f"background:rgba(var(--{colour}),{depth:.2f})"
    return Cell(small_ends(words), attributes=f" class='n' style='{style}'")


def metrics(report: Comparison, arms: Sequence[str]) -> Table:
    """Mean of every metric with its unit, an arm a column."""
    shown = [name for name in arms if name in report.metrics]
    known = {key for arm in shown for key in report.metrics[arm]}
    known -= {*report.measures, "timeout"}
    rows: list[tuple[str | Cell, ...]] = []
    units = report.units
    for name in [*(key for key in units if key in known), *sorted(known - set(units))]:
        unit = units.get(name, "")
        found = [report.metrics[arm].get(name) for arm in shown]
        rows.append(
            (
                Cell(f"{name.replace('_', ' ')} <small>{unit}</small>"),
                *(with_ends(part.mean, "{:.3g}".format) if part else "-" for part in found),
            )
        )
    return Table(["Metric", *(f"#{arm_words(arm)}" for arm in shown)], rows)
