"""The page, the summary, the metrics and the plots of a comparison, written to one folder."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files as resources
from pathlib import Path
from string import Template
from typing import Any

from pipelines.comparison.goals import ratio_text
from pipelines.report import figures, tables
from pipelines.report.charts import share_text
from pipelines.report.figures import MAIN, arm_words
from pipelines.report.plots import write_plots
from pipelines.report.summary import metrics, summary
from trajstore.disk.files import replace_file, write_json

Report = Mapping[str, Any]


NARROW_PERCENT = "\u00a0%"
"""A per-cent sign that never starts a line."""


def write_report(report: Report, out: Path) -> None:
    """Write ``comparison.json``, ``report.html``, ``summary.md``, ``metrics.json`` and plots."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", report)
    write_json(out / "metrics.json", metrics(report))
    replace_file(out / "summary.md", summary(report).encode())
    replace_file(out / "report.html", page(report).encode())
    write_plots(report, out)


def page(report: Report) -> str:
    """The page as one HTML text that needs no other file and no network."""
    template = Template((resources("pipelines.report") / "template.html").read_text("utf-8"))
    settings = report["settings"]
    text = template.substitute(
        headline=escape(report["headline"][0]),
        lead="".join(f"<p class='lead'>{escape(text)}</p>" for text in report["headline"][1:]),
        tiles=_tiles(report),
        goals=tables.goals(report),
        episodes=report["arms"]["finetune"]["evaluation_episodes"],
        hold=settings["hold"],
        legend=_legend([(name, arm_words(name)) for name in MAIN[::-1] if name in report["arms"]]),
        success_curve=figures.learning_curve(report, "success"),
        collision_curve=figures.learning_curve(report, "collision"),
        gate=_gate(settings),
        ratio_legend=_legend(_ratio_series(report)),
        targets_chart=figures.ratio_over_targets(report),
        seed_legend=_legend([("finetune", "pre-trained"), ("baseline", "PPO from scratch")]),
        seeds_chart=figures.seeds(report["ratio"]["gate"]),
        study=_study(report),
        ratios=tables.ratios(report),
        flagged=escape(tables.flagged_words(report)),
        ending=f"<p>{escape(tables.difference_words(report))}</p>",
        final=tables.final(report),
        scenario_count=len(report["scenarios"]),
        scenarios=tables.scenarios(report),
        held_out=_held_out(report["held_out"]),
        costs=tables.costs(report),
        pays_off=escape(_pays_off(report["costs"])),
        metrics=tables.metrics(report, ("baseline", "finetune", "control")),
        reading="".join(f"<li>{escape(text)}</li>" for text in _reading(report)),
        limits="".join(f"<li>{escape(text)}</li>" for text in [*report["notes"], *LIMITS]),
        settings=_list(settings),
        digests=_list(_digests(report["inputs"])),
    )
    return text.replace(" %", NARROW_PERCENT)


def _study(report: Report) -> str:
    """Few demonstrations and transfer, where these arms were run."""
    parts = []
    demonstrations = figures.ratio_over_demonstrations(report)
    if demonstrations:
        parts.append(
            "<figure><h3>Fewer demonstrations, at the gate</h3>" + demonstrations + "</figure>"
        )
    if "transfer" in report["curves"] and "transfer_baseline" in report["curves"]:
        curve = figures.learning_curve(report, "success", ("transfer_baseline", "transfer"))
        names = _legend([(name, arm_words(name)) for name in ("transfer", "transfer_baseline")])
        parts.append(
            "<figure><h3>Transfer: success where density is high and a family is new</h3>"
            + f"<ul class='legend'>{names}</ul>"
            + curve
            + "<figcaption>Demonstrations showed low and medium density only.</figcaption></figure>"
        )
    return f"<div class='pair'>{''.join(parts)}</div>" if parts else ""


LIMITS = (
    "Intervals are over the seeds that were run; few seeds give wide intervals, and they say "
    "nothing about other environments, algorithms or budgets.",
    "An arrival is known only to within one evaluation; a target met at the first evaluation "
    "counts as zero online steps.",
    "Environment steps are counted, not seconds: cloning itself takes processor time and no "
    "environment step, and evaluations are free for every arm.",
    "The pedestrians are a social-force model; nothing here was tried with people.",
)
"""What holds for every comparison of this kind."""


def _reading(report: Report) -> list[str]:
    settings, matched = report["settings"], report["matched"]
    resolution = matched["resolution_steps"]
    return [
        f"A seed trains one policy in each arm; arms are compared seed by seed "
        f"({len(matched['seeds'])} pairs), on the same fixed episodes.",
        f"A target is met at the first evaluation from which it holds {settings['hold']} times in "
        f"a row. Evaluations lie {resolution:,} steps apart; "
        f"{matched['evaluations_before_median']} of them stand before the baseline's median "
        "arrival."
        if resolution
        else "Each run was evaluated once.",
        "Expert parity asks for the expert's own success and collisions on the episodes of these "
        "evaluations, which may be harder or easier than those it was judged on.",
        "The ratio is the sum of the pre-trained arm's steps over the sum of the baseline's. A "
        "seed that never arrives is never dropped: it counts with its whole budget, which makes "
        "the ratio an upper bound where the baseline is late and a lower bound where the "
        "pre-trained arm is. Bounds are marked and worded as such.",
        "Square brackets are 95 % bootstrap intervals over matched seeds "
        f"({settings['resamples']:,} draws), widened for few seeds.",
        "The control is pre-trained on the same episodes with their actions shuffled. If it saved "
        "steps too, the gain would not come from what the expert shows.",
        "Met, missed, and not shown: the last means that censoring or too few seeds leave the "
        "question open.",
    ]


def _tiles(report: Report) -> str:
    gate, teacher = report["ratio"]["gate"], report["better_than_teacher"]
    tiles = []
    if gate["estimate"] is not None:
        tiles.append((ratio_text(gate), f"of the online steps, to {_gate(report['settings'])}"))
    for name in ("finetune", "baseline"):
        part = report["final"][name]
        tiles.append(
            (
                share_text(round(part["success"]["estimate"], 3)),
                f"final success, {arm_words(name)}; collisions "
                f"{share_text(round(part['collision']['estimate'], 3))}",
            )
        )
    ratio = teacher.get("collision_ratio", {}).get("estimate")
    if ratio is not None:
        tiles.append((f"{ratio:.2f} x", "collisions after fine-tuning against the expert's"))
    return "".join(
        f"<div class='tile'><b>{escape(_short(value))}</b><span>{escape(words)}</span></div>"
        for value, words in tiles
    )


def _short(words: str) -> str:
    return words.split(" [")[0]


def _gate(settings: Report) -> str:
    return (
        f"success {share_text(settings['target_success'])} with collisions at most "
        f"{share_text(settings['target_collision'])}"
    )


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f"<li><i class='arm-{style}'></i>{escape(words)}</li>" for style, words in entries
    )


def _ratio_series(report: Report) -> list[tuple[str, str]]:
    limit = share_text(report["settings"]["target_collision"])
    entries = [("finetune", f"collisions at most {limit}"), ("light", "success alone")]
    if "control" in report["arms"]:
        entries.append(("control", f"control, collisions at most {limit}"))
    return entries


def _held_out(part: Report) -> str:
    if part["reason"] is not None:
        return "" if not part["families"] else f"<p class='soft'>{escape(part['reason'])}.</p>"
    names = ", ".join(part["families"]).replace("_", " ")
    return (
        f"<h3>What nobody was trained on</h3><p>No training and no demonstration showed the family "
        f"{escape(names)}; it was played in {part['episodes']} episodes when the finished policies "
        f"were judged, and counts nowhere else on this page.</p>"
        f"<div class='wide card'>{tables.held_out(part)}</div>"
    )


def _pays_off(costs: Report) -> str:
    if costs["pays_off_after"] is None:
        return (
            "Whether the expert's training pays for itself cannot be said: its steps, or the "
            "steps saved, are unknown or not positive."
        )
    return (
        f"A pre-trained run saves {costs['saved_steps']:,.0f} online steps on average, so that "
        f"recording ({costs['collection_steps']:,} steps) and the expert's training "
        f"({costs['expert_steps']:,} steps) pay for themselves after "
        f"{costs['pays_off_after']:.1f} trainings."
    )


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _list(pairs: Report) -> str:
    return "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt>"
        f"<dd><code>{escape(_plain(pairs[key]))}</code></dd>"
        for key in sorted(pairs)
    )


def _digests(inputs: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    if inputs["dataset"]:
        found["dataset"] = inputs["dataset"]
    for name, digest in (inputs["expert"] or {}).items():
        found[f"expert {name}"] = digest
    for arm, seeds in inputs["runs"].items():
        for seed, run in seeds.items():
            for name, digest in run["files"].items():
                found[f"{arm} seed {seed} {name}"] = digest
    return found
