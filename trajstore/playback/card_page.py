"""The page of a card, ``README.md``: fields, figures, scenarios, decisions, origin, how to load."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from trajstore.curation.ancestry import CURATION, generations
from trajstore.episode import anomalies
from trajstore.episode.fields import FieldSpec
from trajstore.episode.provenance import leaves
from trajstore.playback.card import CROISSANT, PICTURE, Card
from trajstore.playback.markdown import table, text
from trajstore.version.coders import codec_of, psnr
from trajstore.version.findings import Severity
from trajstore.version.statistics import CAMERA

MOST_ROWS = 200
"""Rows of one table; how many more there are is said."""


def page(card: Card) -> str:
    """The whole page."""
    sections = {
        "": _head,
        "Status": _status,
        "Fields": _fields,
        "Statistics": _statistics,
        "Episodes": _episodes,
        "Where it comes from": _origin,
        "Licence and citation": _licence,
        "How to load it": _loading,
        "Files": _files,
    }
    lines = [f"# {'@'.join(map(text, card.name.split('@')))}", ""]
    for title, write in sections.items():
        lines += [f"## {title}", ""] if title else []
        lines += [*write(card), ""]
    return "\n".join(lines).rstrip() + "\n"


def _head(card: Card) -> Iterator[str]:
    manifest = card.dataset.manifest
    for told in card.said("description"):
        yield from (text(told, 4_000), "")
    yield (
        f"{manifest.episodes:,} episodes, {manifest.steps:,} steps, {len(manifest.schema.fields)} "
        f"fields, {manifest.size_bytes:,} bytes. Status: **{text(card.status)}**."
    )
    if card.picture:
        yield from ("", f"![The course of one episode]({PICTURE})")


def _status(card: Card) -> Iterator[str]:
    history = card.verdict.history if card.verdict else ()
    rows = [(it["time"], it["status"], "checks", it["why"]) for it in history]
    rows += [(it.time, it.status.value, it.by, it.reason) for it in card.reviews]
    if not rows:
        yield "Nobody has validated or reviewed it yet."
        return
    yield from _cut(("time", "status", "by", "why"), [tuple(map(text, row)) for row in rows])
    found = card.verdict.findings if card.verdict else ()
    told = [it for it in found if it.severity is not Severity.NOTE]
    if told:
        cells = [(it.severity.value, text(it.check), text(it.message)) for it in told]
        yield from ("", *_cut(("severity", "check", "finding"), cells))
    if card.verdict and card.verdict.plugins:
        names = (f"{name} ({origin})" for name, origin in sorted(card.verdict.plugins.items()))
        yield from ("", f"Checks of other packages: {text(', '.join(names))}.")
    if card.replay:
        yield from ("", f"Played again: {text(card.replay)}.")


def _fields(card: Card) -> Iterator[str]:
    rows = []
    for spec in card.dataset.schema.fields:
        low, high = (_span(it) or "no limit" for it in (spec.low, spec.high))
        limits = (
            "" if spec.is_text or (spec.low is None and spec.high is None) else f"{low} to {high}"
        )
        shape = " x ".join(map(str, spec.shape))
        unit = text(spec.unit) if spec.unit else ""
        told = text(spec.description) if spec.description else ""
        rows.append((f"`{spec.name}`", spec.axis.value, shape, spec.dtype, unit, limits, told))
    yield from _cut(("field", "axis", "shape", "dtype", "unit", "range", "meaning"), rows)
    yield from (
        "",
        "An episode of `T` steps has `T + 1` rows of a field of the axis *state*, `T` of",
    )
    yield "the axis *step*, one of the axis *episode*."
    cameras = [tuple(map(text, _camera(card, it))) for it in card.dataset.schema.coded]
    if cameras:
        yield from ("", "Frames of these lost detail once, when they were recorded:", "")
        yield from _cut(("camera", "codec", "decoder", ">bytes", ">PSNR of a sample"), cameras)


def _camera(card: Card, spec: FieldSpec) -> tuple[str, ...]:
    figures = card.dataset.manifest.statistics.get(spec.name, {}).get(CAMERA)
    told = codec_of(spec)
    if figures is None:
        return spec.name, str(told), told.decoder, "", ""
    loss = psnr(figures["squared_error"], figures["compared"])
    stated = "" if loss is None else f"{loss:.1f} dB"
    return spec.name, str(told), told.decoder, f"{figures['bytes']:,}", stated


def _statistics(card: Card) -> Iterator[str]:
    rows = []
    for name, figures in card.dataset.manifest.statistics.items():
        cells = (_span(figures.get(key)) for key in ("mean", "std", "min", "max"))
        outside = figures.get("outside")
        rows.append((f"`{name}`", *cells, f"{outside:,}" if isinstance(outside, int) else ""))
    yield from _cut(
        ("field", ">mean", ">deviation", ">least", ">greatest", ">rows out of range"), rows
    )
    yield from ("", "Of a field with several components: from the least to the greatest of them.")


def _episodes(card: Card) -> Iterator[str]:
    dataset, manifest = card.dataset, card.dataset.manifest
    lengths = dataset.lengths
    yield (
        f"{lengths.min():,} to {lengths.max():,} steps, half of them at most "
        f"{np.median(lengths):,.0f}.{_returns(card)}"
    )
    tables = {"scenario": manifest.scenario_counts, "outcome": _outcomes(card)}
    for name, counts in tables.items():
        rows = [(text(word), f"{count:,}") for word, count in sorted(counts.items())]
        if rows:
            yield from ("", *_cut((name, ">episodes"), rows))
    kinds = Counter(it["kind"] for marks in manifest.anomalies.values() for it in marks)
    unfit = anomalies.unfit(manifest.anomalies, manifest.episodes)
    if kinds:
        told = dict.fromkeys(unfit, "unfit: flags most episodes, does not score")
        found = [(text(it), f"{count:,}", told.get(it, "")) for it, count in sorted(kinds.items())]
        yield from ("", *_cut(("anomaly", ">times", "note"), found))


def _returns(card: Card) -> str:
    dataset = card.dataset
    if "reward" not in dataset.schema.names or dataset.schema.field("reward").shape:
        return ""
    rewards = dataset.column("reward").astype(np.float64)
    sums = np.add.reduceat(rewards, np.cumsum(dataset.lengths) - dataset.lengths)
    return f" Returns: {sums.mean():.4g} on average, from {sums.min():.4g} to {sums.max():.4g}."


def _outcomes(card: Card) -> dict[str, int]:
    name = card.dataset.schema.roles.get("outcome", "")
    return dict(Counter(map(str, card.dataset.column(name)))) if name else {}


def _origin(card: Card) -> Iterator[str]:
    provenance = dict(card.dataset.manifest.provenance)
    if card.made is not None:
        provenance.pop(CURATION)
        yield from (f"Made from other versions: {text(card.made, 2_000)}", "")
        line = list(generations(card.ancestors))
        yield from (f"{'  ' * depth}- {text(told, 1_000)}" for depth, told in line[:MOST_ROWS])
        yield from ("", f"and {len(line) - MOST_ROWS:,} more", "") if line[MOST_ROWS:] else ("",)
    rows = [(text(name), text(value)) for name, value in leaves(provenance)]
    yield from _cut(("provenance", "value"), rows) if rows else ("The provenance says nothing.",)


def _licence(card: Card) -> Iterator[str]:
    told = {"Licence": card.said("licence"), "Authors": card.said("author")}
    told |= {"Cite as": card.said("citation"), "Published": card.said("date")}
    for name, texts in told.items():
        if texts:
            yield f"- {name}: {'; '.join(text(it, 4_000) for it in texts)}"
    if not told["Licence"]:
        yield "The provenance names no licence: ask before you use or pass on the data."


def _loading(card: Card) -> Iterator[str]:
    yield from ("```python", "from trajstore import Dataset", "")
    yield f"dataset = Dataset.open({card.url or card.folder!a})"
    yield from ("episode = dataset[0]", 'episode["terminated"]  # bool[T]')
    yield "dataset.zarr()  # the same as a zarr.Group, also for xarray"
    yield from ("```", "")
    needed = "trajstore[remote]" if card.url else "trajstore"
    yield f"It needs `pip install '{needed}'`. Any reader of Zarr 3 opens the folder as well;"
    yield "`docs/format.md` of trajstore says which rows are an episode's."


def _files(card: Card) -> Iterator[str]:
    manifest = card.dataset.manifest
    more = sum(it.recorded[0] - it.episodes for it in manifest.parts if it.recorded)
    where = text(card.url or f"the folder {card.folder} beside this page")
    yield f"{len(manifest.files) + 1:,} files in {where}."
    if more:
        yield f"They also hold the rows of {more:,} episodes that were left out: none of its own."
    yield from ("", f"- Content: `{manifest.content_digest}` (SHA-256 over all episodes)")
    yield f"- Manifest: `{manifest.digest}`"
    yield f"- `{CROISSANT}` is for programs (Croissant 1.1). It has fields, files with digests,"
    yield "  scenarios and episodes; rows it has none, since Croissant cannot describe Zarr arrays."


def _cut(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield from table(columns, rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        yield from ("", f"and {len(rows) - MOST_ROWS:,} more")


def _span(values: object) -> str:
    """A number, or the least and the greatest of several, nested or not."""
    if values is None:
        return ""
    flat = np.ravel(np.array(values, np.float64))
    flat = flat[~np.isnan(flat)]
    if not len(flat):
        return ""
    low, high = f"{flat.min():.4g}", f"{flat.max():.4g}"
    return low if low == high else f"{low} .. {high}"
