"""Medians, ratios to the memory map of the same repeat, the goals, and the Markdown page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.peers import PEERS

Results = Mapping[str, Any]
"""What ``results.json`` holds: ``{"datasets": {"A": {...}}, "extra": {...}, "machine": {...}}``."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of the repeats, with the lowest and the highest."""

    middle: float
    low: float
    high: float

    def text(self) -> str:
        return f"{short(self.middle)} ({short(self.low)}-{short(self.high)})"


def short(value: float) -> str:
    """Three digits and a unit.

    Example:
        >>> short(1_234_567), short(12_345), short(0.01234), short(7.0)
        ('1.23M', '12.3k', '0.0123', '7')
    """
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def runs(results: Results, dataset: str, peer: str) -> list[dict[str, float]]:
    record = results["datasets"].get(dataset, {}).get("peers", {}).get(peer, {})
    found: list[dict[str, float]] = record.get("runs", []) if record.get("status") == "ok" else []
    return found


def spread(values: Sequence[float]) -> Spread | None:
    return Spread(median(values), min(values), max(values)) if values else None


def figures(results: Results, dataset: str, peer: str, key: str) -> Spread | None:
    return spread([run[key] for run in runs(results, dataset, peer) if key in run])


def ratios(results: Results, dataset: str, key: str, pair: tuple[str, str]) -> Spread | None:
    """One peer's figure over another's in the same repeat."""
    one, other = (
        {run["repeat"]: run.get(key, 0.0) for run in runs(results, dataset, peer)} for peer in pair
    )
    if not all(one.values()) or not all(other.values()):
        return None
    return spread([one[repeat] / other[repeat] for repeat in sorted(one.keys() & other.keys())])


COLUMNS = (
    ("write MB/s", "write_mb_s"),
    ("size / raw", "size_ratio"),
    ("files", "files"),
    ("open ms", "open_s"),
    ("random steps/s", "transitions"),
    ("window steps/s", "windows"),
    ("sequential MB/s", "sequential"),
    ("episode ms", "episode_ms"),
    ("first batch ms", "loaded_batch_s"),
    ("with import ms", "first_batch_s"),
    ("processor ms", "first_batch_cpu_s"),
    ("cold first batch ms", "cold_first_batch_s"),
    ("cold steps/s", "cold_transitions"),
    ("memory MB", "sample_memory_mb"),
    ("PSNR dB", "psnr_db"),
)
RATIOS = (
    ("random steps", "transitions_cpu"),
    ("windows", "windows_cpu"),
    ("sequential", "sequential_cpu"),
    ("write", "write_mb_s"),
    ("write, processor", "write_mb_s_cpu"),
)


def _row(results: Results, dataset: str, peer: str) -> str:
    record = results["datasets"][dataset]["peers"][peer]
    title = PEERS[peer].title
    if record["status"] != "ok":
        return f"| {title} | {record['status']}: {record['error']} |" + " |" * len(COLUMNS)
    cells = []
    for name, key in COLUMNS:
        value = figures(results, dataset, peer, key)
        scale = 1e3 if name.endswith("ms") and key.endswith("_s") else 1.0
        cells.append("" if value is None else short(value.middle * scale))
    return f"| {title} | " + " | ".join(cells) + f" | {record['values']} |"


def _ratio_row(results: Results, dataset: str, peer: str) -> str:
    cells = []
    for _, key in RATIOS:
        for other in ("memmap", "lance"):
            value = ratios(results, dataset, key, (peer, other))
            cells.append("" if value is None else value.text())
    return f"| {PEERS[peer].title} | " + " | ".join(cells) + " |"


def table(results: Results, dataset: str) -> list[str]:
    """The Markdown lines of one data set."""
    facts = results["datasets"][dataset]
    peers = [peer for peer in PEERS if peer in facts["peers"]]
    done = [peer for peer in peers if runs(results, dataset, peer)]
    head = ["peer", *(name for name, _ in COLUMNS), "values"]
    ratio_head = [f"{name} / {other}" for name, _ in RATIOS for other in ("limit", "Lance")]
    return [
        f"## Data set {dataset}",
        "",
        f"{facts['episodes']:,} episodes, {facts['steps']:,} steps, {facts['raw_mb']:,.1f} MB raw.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *(_row(results, dataset, peer) for peer in peers),
        "",
        "Ratios in the same repeat, median (lowest-highest); reading by processor time, so that "
        "other work on the machine does not count:",
        "",
        "| peer | " + " | ".join(ratio_head) + " |",
        "|" + " --- |" * (len(ratio_head) + 1),
        *(_ratio_row(results, dataset, peer) for peer in done),
        "",
    ]


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise: the value has to be at least (or at most) the bound."""

    text: str
    measured: Callable[[Results], float | None]
    bound: float
    at_least: bool = True

    def met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def goal_lines(results: Results, goals: Sequence[Goal]) -> list[str]:
    lines = ["| goal | bound | measured | met |", "| --- | --- | --- | --- |"]
    for goal in goals:
        value = goal.measured(results)
        if value is None:
            continue
        sign = ">=" if goal.at_least else "<="
        verdict = "yes" if goal.met(value) else "**no**"
        lines.append(f"| {goal.text} | {sign} {goal.bound:g} | {short(value)} | {verdict} |")
    return lines


def markdown(results: Results, goals: Sequence[Goal]) -> str:
    machine = results["machine"]
    lines = [
        "# Benchmarks",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
        f"load at the start {machine['load']:.2f}; {machine['repeats']} repeats, "
        f"{machine['seconds']:g} s a rate.",
        "",
    ]
    for dataset in sorted(results["datasets"]):
        lines += table(results, dataset)
    if results.get("extra"):
        lines += ["## The store by itself", "", "| measurement | value |", "| --- | --- |"]
        lines += [f"| {name} | {_plain(value)} |" for name, value in results["extra"].items()]
        lines.append("")
    lines += ["## Goals", "", *goal_lines(results, goals), ""]
    return "\n".join(lines)


def _plain(value: object) -> str:
    return short(value) if isinstance(value, float) else str(value)
