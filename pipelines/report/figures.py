"""The figures of the page, each from the comparison's numbers."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipelines.comparison.goals import ratio_text
from pipelines.report import charts
from pipelines.report.charts import across, share_text, steps_text, ticks, upwards

Report = Mapping[str, Any]

ARM_WORDS = {
    "baseline": "PPO from scratch",
    "finetune": "pre-trained",
    "control": "control (shuffled actions)",
    "transfer": "pre-trained, transfer",
    "transfer_baseline": "from scratch, transfer",
}
MAIN = ("control", "baseline", "finetune")
"""Arms of the learning curves, in the order they are drawn."""


def arm_words(name: str) -> str:
    """An arm as a reader knows it."""
    if name.startswith("few_"):
        return f"pre-trained, {name.removeprefix('few_')} episodes"
    return ARM_WORDS.get(name, name)


def in_order(names: Collection[str]) -> list[str]:
    """Arms as a reader wants them: the main ones, few demonstrations by number, transfer."""
    first = ["baseline", "finetune", "control"]
    few = sorted((n for n in names if n.startswith("few_")), key=lambda n: int(n[4:]))
    known = [*first, *few, "transfer_baseline", "transfer"]
    return [n for n in known if n in names] + sorted(n for n in names if n not in known)


def learning_curve(report: Report, rate: str, arms: Sequence[str] = MAIN) -> str:
    """Success or collisions against online steps: mean, 95 % band, every seed, the target."""
    curves = {name: report["curves"][name] for name in arms if name in report["curves"]}
    target = report["settings"][f"target_{rate}"]
    x = across(0.0, max(curve["steps"][-1] for curve in curves.values()))
    worst = max(max(curve[rate]["mean"]) for curve in curves.values())
    y = upwards(0.0, 1.0 if rate == "success" else max(min(worst, 0.4), 2 * target))
    head = charts.frame(
        x,
        y,
        x_ticks=[(value, steps_text(value)) for value in ticks(0, x.high, most=4)],
        y_ticks=[(value, share_text(value)) for value in ticks(0, y.high, most=5)],
        x_title="online environment steps",
    )
    parts = []
    for name, curve in curves.items():
        shown = curve[rate]
        parts.append(
            charts.band(x, y, curve["steps"], shown["low"], shown["high"], style=f"band arm-{name}")
        )
        parts += [
            charts.line(
                x, y, list(zip(curve["steps"], seed[rate], strict=True)), style=f"thin arm-{name}"
            )
            for seed in curve["seeds"].values()
        ]
    parts += [
        charts.line(
            x, y, list(zip(curve["steps"], curve[rate]["mean"], strict=True)), style=f"arm-{name}"
        )
        for name, curve in curves.items()
    ]
    words = "at least" if rate == "success" else "at most"
    aim = charts.level(
        x, y, target, f"target: {words} {share_text(target)}", above=rate != "success"
    )
    inner = charts.clipped(x, y, parts, name=f"clip-{rate}-{arms[-1]}")
    return charts.svg([head, inner, aim], label=f"{rate} against online steps, {', '.join(curves)}")


def ratio_over_targets(report: Report) -> str:
    """The ratio at every target, with and without the limit on collisions."""
    rows = [row for row in report["over_targets"] if row["estimate"] is not None]
    if not rows:
        return "<p>No ratio could be computed.</p>"
    successes = sorted({row["target"]["success"] for row in rows})
    pad = max(0.004, 0.06 * (successes[-1] - successes[0]))
    x = across(successes[0] - pad, successes[-1] + pad)
    y = upwards(0.0, min(2.0, max(1.1, *(row["high"] or row["estimate"] for row in rows))))
    parts = [
        charts.frame(
            x,
            y,
            x_ticks=[(v, share_text(v)) for v in _apart(report["settings"]["targets"], x)],
            y_ticks=[(value, share_text(value)) for value in ticks(0, y.high, most=6)],
            x_title="target success",
        ),
    ]
    names = [
        charts.level(x, y, 1.0, "as long as from scratch", anchor="start"),
        charts.level(x, y, 0.7, "required: at most 70 %", above=False, anchor="start"),
    ]
    for name, limited, style, shift in SERIES:
        chosen = [
            row
            for row in rows
            if row["arms"]["pretrained"] == name and (row["target"]["collision"] < 1.0) == limited
        ]
        points = [(row["target"]["success"], min(row["estimate"], y.high)) for row in chosen]
        parts.append(charts.line(x, y, points, style=f"thin-line {style}"))
        for row in chosen:
            at = x(row["target"]["success"]) + shift
            words = f"success {share_text(row['target']['success'])}: {ratio_text(row)}"
            parts.append(charts.spread(at, y, row["low"], row["high"], style=f"whisker {style}"))
            parts.append(
                charts.mark(
                    at, y.inside(row["estimate"]), style=style, words=words, bound=row["bound"]
                )
            )
    return charts.svg([*parts, *names], label="ratio of steps to target against the target")


SERIES = (
    ("control", True, "arm-control", 5.0),
    ("finetune", False, "arm-light", -4.0),
    ("finetune", True, "arm-finetune", 0.0),
)
"""Arm, whether collisions are limited, style, and a shift in pixels so that marks stay apart."""


def _apart(values: Sequence[float], x: charts.Scale, *, gap: float = 52.0) -> list[float]:
    """The values whose labels do not touch."""
    kept: list[float] = []
    for value in sorted(values):
        if not kept or x(value) - x(kept[-1]) >= gap:
            kept.append(value)
    return kept


def ratio_over_demonstrations(report: Report) -> str:
    """The ratio at the gate by number of demonstrated episodes."""
    rows = [row for row in report["demonstrations"] if row["estimate"] is not None]
    if not rows:
        return ""
    x = across(-0.5, len(rows) - 0.5)
    y = upwards(0.0, min(2.0, max(1.1, *(row["high"] or row["estimate"] for row in rows))))
    parts = [
        charts.frame(
            x,
            y,
            x_ticks=[(float(i), str(row["episodes"])) for i, row in enumerate(rows)],
            y_ticks=[(value, share_text(value)) for value in ticks(0, y.high, most=6)],
            x_title="demonstrated episodes",
        ),
        charts.level(x, y, 1.0, "as long as from scratch"),
        charts.line(
            x,
            y,
            [(float(i), min(row["estimate"], y.high)) for i, row in enumerate(rows)],
            style="thin-line arm-finetune",
        ),
    ]
    for i, row in enumerate(rows):
        words = f"{row['episodes']} episodes: {ratio_text(row)}"
        at = x(float(i))
        parts.append(charts.spread(at, y, row["low"], row["high"], style="whisker arm-finetune"))
        parts.append(
            charts.mark(
                at, y.inside(row["estimate"]), style="arm-finetune", words=words, bound=row["bound"]
            )
        )
        parts.append(
            charts.text(
                at + 10,
                y(row["estimate"]) - 8,
                share_text(round(row["estimate"], 2)),
                anchor="start",
            )
        )
    return charts.svg(parts, label="ratio of steps to target against demonstrated episodes")


def seeds(ratio: Report) -> str:
    """Steps to the gate of both arms, a row a seed; an open mark never arrived."""
    rows = ratio["per_seed"]
    if not rows:
        return ""
    height = charts.TOP + charts.BOTTOM + 34 * len(rows)
    most = max(max(row["baseline"]["steps"], row["pretrained"]["steps"]) for row in rows)
    x = charts.Scale(-0.03 * most, most * 1.05, 72, charts.WIDTH - charts.RIGHT)
    y = charts.Scale(len(rows) - 0.5, -0.5, height - charts.BOTTOM, charts.TOP)
    parts = [
        charts.frame(
            x,
            y,
            x_ticks=[(value, steps_text(value)) for value in ticks(0, x.high, most=4)],
            y_ticks=[(float(i), f"seed {row['seed']}") for i, row in enumerate(rows)],
            x_title="online steps until the target holds",
        )
    ]
    for i, row in enumerate(rows):
        at = y(float(i))
        ends = [x(row[arm]["steps"]) for arm in ("pretrained", "baseline")]
        parts.append(
            f'<line class="link" x1="{min(ends):.1f}" x2="{max(ends):.1f}" '
            f'y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        together = row["pretrained"]["steps"] == row["baseline"]["steps"]
        for arm, name, shift in (("baseline", "baseline", -6), ("pretrained", "finetune", 6)):
            late = row[arm]["censored"]
            words = f"{arm_words(name)}, seed {row['seed']}: {row[arm]['steps']:,} steps"
            words += ", target never met" if late else ""
            bound = "unresolved" if late else "exact"
            parts.append(
                charts.mark(
                    x(row[arm]["steps"]),
                    at + shift * together,
                    style=f"arm-{name}",
                    words=words,
                    bound=bound,
                )
            )
    return charts.svg(parts, label="steps to target by seed", height=height)
