"""The page stands alone, says what the numbers say, and is the same for the same numbers."""

import csv
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace
from playwright.sync_api import sync_playwright

from pipelines.comparison.arrival import ArmPair, Arrival, SeedTimes
from pipelines.comparison.compare import compare
from pipelines.comparison.record import CompareParams, Comparison, read_comparison
from pipelines.comparison.words import ratio_text
from pipelines.report.drawing import share_axis, steps_axis
from pipelines.report.markdown import curve_tables, flat_metrics, markdown
from pipelines.report.page import page, write_report
from pipelines.stages.compare import load
from pipelines.stages.report import main
from tests.pipelines import runs
from trajstore.disk.files import write_json

SMALL = ("blind_corner/low", "crowd_navigation/high")
VOID = {"meta", "br", "link"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("study")
    grid = list(range(0, 80_001, 8_000))
    options = {"seeds": range(3), "grid": grid, "scenarios": SMALL, "each": 30}
    curves = {
        "baseline": runs.Curve(0.0, 1.0, 12_000.0),
        "finetune": runs.Curve(0.8, 1.0, 9_000.0),
        "control": runs.Curve(0.0, 0.5, 12_000.0),
        "few_10": runs.Curve(0.5, 1.0, 12_000.0),
        "transfer": runs.Curve(0.7, 1.0, 9_000.0),
        "transfer_baseline": runs.Curve(0.0, 1.0, 12_000.0),
    }
    arms = {
        name: str(runs.write_arm(root / name, curve, arm=name, held_out=["new/low"], **options))
        for name, curve in curves.items()
    }
    params = CompareParams(
        targets=(0.8, 0.9),
        resamples=300,
        held_out=("new",),
        arms=arms,
        expert=str(runs.write_expert(root / "expert", scenarios=[*SMALL, "new/low"], each=30)),
        dataset=str(runs.write_dataset_manifest(root / "dataset")),
    )
    return compare(params, load(params))


class Balance(HTMLParser):
    """Collects elements that were not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(tag)


def test_the_page_needs_no_other_file_and_no_network(report: Comparison) -> None:
    text = page(report)
    assert "http" not in text
    assert not re.search(r"<(script|img|iframe|link)\b|url\((?!#)|@import", text)
    assert "prefers-color-scheme: dark" in text


def test_every_element_is_closed(report: Comparison) -> None:
    balance = Balance()
    balance.feed(page(report))
    assert (balance.faults, balance.open) == ([], [])


def test_no_number_is_missing_or_not_a_number(report: Comparison) -> None:
    text = re.sub(r"<style>.*?</style>", "", page(report), flags=re.DOTALL)
    assert not re.search(r"\bnan\b|\binf\b|None|\$[a-z]", text)


def test_the_page_states_headline_goals_and_every_scenario(report: Comparison) -> None:
    text = page(report).replace("\u00a0%", " %")
    assert report.headline[0] in text
    for goal in report.goals:
        assert goal.goal.replace("'", "&#x27;") in text
    for name in SMALL:
        assert name.replace("_", " ") in text


def test_page_summary_and_metrics_show_the_held_out_family(report: Comparison) -> None:
    part = report.held_out
    text = page(report).replace("\u00a0%", " %")
    for rates in part.final.values():
        assert f"{rates['success'].estimate * 100:.1f} %" in text
    assert "No training and no demonstration showed the family new" in text
    assert "held out</span>" in text
    written = markdown(report)
    section = written.split("## Held out")[1].split("##")[0]
    for words in ("PPO from scratch", "pre-trained", "expert (teacher)", "minus from scratch"):
        assert words in section
    assert f"{part.expert['success'] * 100:.1f} %" in section
    assert "points [" in section


def test_the_table_states_the_rule_of_its_flags(report: Comparison) -> None:
    assert "corrected for all 3 scenarios together (Holm)" in page(report)
    assert "all scenarios corrected for together (Holm, 5 %)" in markdown(report)


def test_a_small_task_has_no_chart_of_one_point_and_no_empty_section(report: Comparison) -> None:
    (point, *_) = [it for it in report.demonstrations if it.estimate is not None]
    small = replace(report, demonstrations=(point,), scenarios=report.scenarios[:1], metrics={})
    text = page(small)
    assert "Fewer demonstrations" in page(replace(report, demonstrations=(point, point)))
    assert "Fewer demonstrations" not in text
    assert "Other measures" in page(report)
    assert "Other measures" not in text
    assert "as drawn anew, so that a false alarm has a chance of 5" in text


def test_the_page_is_the_same_after_a_round_trip_through_json(
    report: Comparison, tmp_path: Path
) -> None:
    write_json(tmp_path / "comparison.json", msgspec.to_builtins(report))
    again = read_comparison(tmp_path / "comparison.json")
    assert page(again) == page(report)
    assert markdown(again) == markdown(report)


def test_text_from_runs_cannot_become_markup(report: Comparison) -> None:
    scenario = replace(report.scenarios[0], scenario="<script>x</script>")
    arms = ArmPair("<script>", "<i>")
    gate = replace(report.ratio.gate, arms=arms)
    text = page(
        replace(
            report,
            scenarios=(scenario,),
            notes=("<b>bold</b>",),
            ratio=replace(report.ratio, gate=gate),
        )
    )
    assert "<script" not in text
    assert "&lt;b&gt;bold" in text


def test_a_single_seed_has_no_band_and_says_no_interval(report: Comparison, tmp_path: Path) -> None:
    options = {"seeds": [0], "grid": [0, 8_000, 16_000, 24_000], "scenarios": SMALL, "each": 5}
    arms = {
        name: str(runs.write_arm(tmp_path / name, curve, arm=name, **options))
        for name, curve in (
            ("baseline", runs.Curve(0.0, 0.2, 9000)),
            ("finetune", runs.Curve(0.9, 0.9, 9)),
        )
    }
    params = CompareParams(resamples=50, arms=arms, expert="", dataset="")
    alone = compare(params, load(params))
    text = page(alone)
    assert 'class="band' not in text
    assert "Few seeds" not in text
    assert alone.final["finetune"]["success"].low is None
    assert markdown(alone)


def test_two_writings_are_the_same_bytes(report: Comparison, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(report, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_command_renders_a_comparison_anew(report: Comparison, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    before = (tmp_path / "report.html").read_bytes()
    assert main([str(tmp_path / "comparison.json"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "report.html").read_bytes() == before
    (tmp_path / "comparison.json").write_text("{}")
    assert main([str(tmp_path / "comparison.json")]) == 1


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1200, "dark")])
def test_the_page_fits_a_phone_and_a_desk_and_asks_for_nothing(
    report: Comparison, tmp_path: Path, width: int, scheme: str
) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    path = tmp_path / "report.html"
    path.write_text(page(report), encoding="utf-8")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
        )
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda asked: said.append(asked.url))
        tab.goto(path.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        browser.close()
    assert said == [path.as_uri()]


def test_a_ratio_stands_beside_the_steps_it_is_made_of(report: Comparison) -> None:
    row = SeedTimes(0, Arrival(0, censored=False), Arrival(12_345, censored=True), 0.0)
    gate = replace(report.ratio.gate, per_seed=(row,), seeds=1, at_start=1, censored=1)
    late = replace(report, ratio=replace(report.ratio, gate=gate))
    found = [line for line in markdown(late).splitlines() if line.startswith("| gate: success")]
    assert found[0].endswith("| 0 | more than 12,345 | 1 | 1 | 1 |")
    cells = ("0", "more than 12,345", "1", "1", "1")
    assert "".join(f"<td class=n>{cell}</td>" for cell in cells) in page(late)


def test_metrics_are_flat_numbers(report: Comparison) -> None:
    numbers = flat_metrics(report)
    assert numbers["ratio.gate.estimate"] == report.ratio.gate.estimate
    assert all(value is None or isinstance(value, int | float) for value in numbers.values())
    assert len(numbers) <= 12


def test_curves_are_data_that_dvc_can_overlay(report: Comparison) -> None:
    tables = curve_tables(report)
    assert set(tables) == {"curves_baseline", "curves_finetune", "ratio_over_targets"}
    rows = list(csv.DictReader(tables["curves_finetune"].splitlines()))
    curve = report.curves["finetune"]
    assert [int(row["steps"]) for row in rows] == list(curve.steps)
    for measure in report.measures:
        shown = [float(row[measure]) for row in rows]
        np.testing.assert_allclose(shown, curve.measures[measure].mean, rtol=1e-5)
    ratios = list(csv.DictReader(tables["ratio_over_targets"].splitlines()))
    assert list(ratios[0]) == [report.measures[0], "ratio"]
    assert len(ratios) == len({row[report.measures[0]] for row in ratios})


def test_ticks_are_round_and_inside() -> None:
    axes = Figure().subplots()
    share_axis(axes, 1.02)
    axes.set_xlim(0, 400_000)
    steps_axis(axes)
    low, high = axes.get_xlim()
    shown = [value for value in axes.get_xticks() if low <= value <= high]
    assert shown == [0, 100_000, 200_000, 300_000, 400_000]
    axes.figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["0", "100 k"]
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["0 %", "20 %"]


def test_every_figure_has_words_for_a_screen_reader(report: Comparison) -> None:
    charts = re.findall(r'<svg class="chart"[^>]*role="img" aria-label="([^"]+)"', page(report))
    assert len(charts) == 6
    assert "success against online steps, control, baseline, finetune" in charts


def test_every_mark_says_its_number(report: Comparison) -> None:
    text = page(report).replace("\u00a0%", " %")
    gate = report.ratio.gate
    for row in gate.per_seed:
        assert f"pre-trained, seed {row.seed}: {row.pretrained.steps:,} steps" in text
        assert f"PPO from scratch, seed {row.seed}: {row.baseline.steps:,} steps" in text
    drawn = [
        row
        for row in report.over_targets
        if row.arms.pretrained == "finetune" or len(row.target) > 1
    ]
    for row in (*drawn, *report.demonstrations):
        if row.estimate is not None:
            assert f": {ratio_text(row)}</title>" in text


def test_figures_follow_light_and_dark(report: Comparison) -> None:
    for chart in re.findall(r"<svg class=.*?</svg>", page(report), re.DOTALL):
        assert not re.search(r"#[0-9a-f]{6}\b", re.sub(r"#[mp][0-9a-f]{10}", "", chart))
        assert "var(--ink)" in chart or "var(--soft)" in chart
