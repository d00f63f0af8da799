"""The page, the summary, the metrics and the plots of a comparison, written to one folder."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files as resources
from pathlib import Path
from string import Template

import msgspec

from pipelines.comparison.record import Comparison, Costs, Digests, HeldOut, Matched
from pipelines.comparison.words import (
    bounded_text,
    is_share,
    measure_words,
    target_words,
    value_text,
)
from pipelines.report import figures, tables
from pipelines.report.drawing import svg, write_png
from pipelines.report.figures import arm_words
from pipelines.report.markdown import (
    curve_tables,
    difference_words,
    flagged_words,
    flat_metrics,
    markdown,
)
from trajstore.disk.files import replace_file, write_json

NARROW_PERCENT = "\u00a0%"
"""A per-cent sign that never starts a line."""


def write_report(report: Comparison, out: Path) -> None:
    """Write ``comparison.json``, ``report.html``, ``summary.md``, ``metrics.json``, plots."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", msgspec.to_builtins(report))
    write_json(out / "metrics.json", flat_metrics(report))
    replace_file(out / "summary.md", markdown(report).encode())
    replace_file(out / "report.html", page(report).encode())
    for name, table in curve_tables(report).items():
        replace_file(out / f"{name}.csv", table.encode())
    write_png(figures.learning_curves(report), out / "curves.png")
    write_png(figures.ratio_over_targets(report), out / "ratio_over_targets.png")


def page(report: Comparison) -> str:
    """The page as one HTML text that needs no other file and no network."""
    template = Template((resources("pipelines.report") / "template.html").read_text("utf-8"))
    settings = report.settings
    text = template.substitute(
        headline=escape(report.headline[0]),
        lead="".join(f"<p class='lead'>{escape(text)}</p>" for text in report.headline[1:]),
        tiles=_tiles(report),
        goals=tables.goals(report).html("stack"),
        episodes=report.arms["finetune"].evaluation_episodes,
        hold=settings.hold,
        curves="".join(
            f"<figure><h3>{escape(measure_words(it).capitalize())}</h3>"
            f"{_curves(report, it)}</figure>"
            for it in report.measures
        ),
        main=escape(report.measures[0]),
        measured=escape(" and ".join(map(measure_words, report.measures))),
        gate=target_words(settings.target),
        targets_chart=svg(
            figures.ratio_over_targets(report), "ratio of steps to target against the target"
        ),
        seeds_chart=svg(figures.steps_by_seed(report.ratio.gate), "steps to target by seed"),
        study=_study(report),
        ratios=tables.ratios(report).html(),
        flagged=escape(flagged_words(report)),
        ending=escape(difference_words(report)),
        final=tables.final(report).html(),
        corrected=_corrected(len(report.scenarios)),
        scenarios=tables.scenarios(report).html("heat"),
        held_out=_held_out(report.held_out),
        costs=tables.costs(report).html(),
        pays_off=escape(_pays_off(report.costs)),
        metrics=_metrics(report),
        pairs=len(report.matched.seeds),
        evaluations=_evaluations(report.matched),
        resamples=f"{settings.resamples:,}",
        notes="".join(f"<li>{escape(text)}</li>" for text in report.notes),
        settings=_list(msgspec.to_builtins(settings)),
        digests=_list(_digests(report.inputs)),
    )
    return text.replace(" %", NARROW_PERCENT)


def _curves(report: Comparison, rate: str, arms: Sequence[str] = figures.MAIN) -> str:
    shown = ", ".join(name for name in arms if name in report.curves)
    figure = figures.learning_curves(report, (rate,), arms)
    return svg(figure, f"{rate} against online steps, {shown}")


def _study(report: Comparison) -> str:
    """Few demonstrations and transfer, where these arms were run."""
    parts = []
    if sum(row.estimate is not None for row in report.demonstrations) > 1:
        label = "ratio of steps to target against demonstrated episodes"
        chart = svg(figures.ratio_over_demonstrations(report), label)
        parts.append(f"<figure><h3>Fewer demonstrations, at the gate</h3>{chart}</figure>")
    if {"transfer", "transfer_baseline"} <= set(report.curves):
        chart = _curves(report, report.measures[0], ("transfer_baseline", "transfer"))
        parts.append(
            f"<figure><h3>Transfer: {report.measures[0]} where nothing was demonstrated</h3>"
            f"{chart}<figcaption>Demonstrations showed other families or levels.</figcaption>"
            "</figure>"
        )
    return f"<div class='pair'>{''.join(parts)}</div>" if parts else ""


def _evaluations(matched: Matched) -> str:
    if not matched.resolution_steps:
        return "Each run was evaluated once."
    return (
        f"Evaluations lie {matched.resolution_steps:,} steps apart; "
        f"{matched.evaluations_before_median} of them stand before the baseline's median arrival."
    )


def _tiles(report: Comparison) -> str:
    gate = report.ratio.gate
    tiles = []
    if gate.estimate is not None:
        tiles.append(
            (bounded_text(gate), f"of the online steps, to {target_words(report.settings.target)}")
        )
    for name in ("finetune", "baseline"):
        main, *more = (
            (it, value_text(it, round(part.estimate, 3) if is_share(it) else part.estimate))
            for it, part in ((it, report.final[name][it]) for it in report.measures)
        )
        words = "".join(f"; {measure_words(it)} {value}" for it, value in more)
        tiles.append((main[1], f"final {main[0]}, {arm_words(name)}{words}"))
    for name in report.measures[1:]:
        quotient = (report.better_than_teacher.failures or {}).get(name)
        if quotient and quotient.estimate is not None:
            words = f"{measure_words(name)} after fine-tuning against the expert's"
            tiles.append((f"{quotient.estimate:.2f} x", words))
    return "".join(
        f"<div class='tile'><b>{escape(value)}</b><span>{escape(words)}</span></div>"
        for value, words in tiles
    )


def _held_out(part: HeldOut) -> str:
    if part.reason is not None:
        return f"<p class='soft'>{escape(part.reason)}.</p>" if part.families else ""
    names = ", ".join(part.families).replace("_", " ")
    return (
        f"<h3>What nobody was trained on</h3><p>No training and no demonstration showed the family "
        f"{escape(names)}; it was played in {part.episodes} episodes when the finished policies "
        f"were judged, and counts nowhere else on this page.</p>"
        f"<div class='wide card'>{tables.held_out(part).html()}</div>"
    )


def _metrics(report: Comparison) -> str:
    table = tables.metrics(report, ("baseline", "finetune", "control"))
    if not table.rows:
        return ""
    return (
        "<section>\n<h2>Other measures</h2>\n<p class='soft'>Mean over the final episodes of all "
        "seeds [95 % interval over episodes]. They are reported, not optimised; docs/statistics.md "
        f"defines those of social navigation.</p>\n<div class='wide card'>{table.html()}</div>\n"
        "</section>"
    )


def _corrected(scenarios: int) -> str:
    if scenarios == 1:
        return ", so that a false alarm"
    return (
        f" and is corrected for all {scenarios} scenarios together (Holm), so that any false alarm "
        "among them"
    )


def _pays_off(costs: Costs) -> str:
    if costs.pays_off_after is None:
        return (
            "Whether the expert's training pays for itself cannot be said: its steps, or the "
            "steps saved, are unknown or not positive."
        )
    return (
        f"A pre-trained run saves {costs.saved_steps:,.0f} online steps on average, so that "
        f"recording ({costs.collection_steps:,} steps) and the expert's training "
        f"({costs.expert_steps:,} steps) pay for themselves after "
        f"{costs.pays_off_after:.1f} trainings."
    )


def _list(pairs: Mapping[str, object]) -> str:
    plain = {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in sorted(pairs.items())
    }
    return "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd><code>{escape(value)}</code></dd>"
        for key, value in plain.items()
    )


def _digests(inputs: Digests) -> dict[str, str]:
    found = {"dataset": inputs.dataset} if inputs.dataset else {}
    found |= {f"expert {name}": digest for name, digest in (inputs.expert or {}).items()}
    for arm, seeds in inputs.runs.items():
        for seed, run in seeds.items():
            found |= {f"{arm} seed {seed} {name}": sha for name, sha in run.files.items()}
    return found
