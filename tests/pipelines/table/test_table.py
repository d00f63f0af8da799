"""The table of public tasks: fair settings, work that goes on where it was, rows from the runs."""

import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pipelines.__main__ import main
from pipelines.comparison.arrival import Arrival, Bound
from pipelines.comparison.ratios import times_ratio, unknown
from pipelines.learning import run as runs
from pipelines.learning.runlog import RunStatus, read_run
from pipelines.running.params import ParamsError
from pipelines.table.found import DRAWS, mean_of, table_of
from pipelines.table.goals import goals, missing
from pipelines.table.page import page
from pipelines.table.record import Table, TaskRow
from pipelines.table.settings import PUBLIC, fixed_target, known_ids, read_settings
from pipelines.table.work import OutOfTime, Piece, do, side_by_side, until

LEAST = 8
"""Tasks that are no trivial ones."""


def small(**changes: Any) -> dict[str, Any]:
    """CartPole's settings with numbers too small to learn much."""
    found: dict[str, Any] = yaml.safe_load((PUBLIC / "CartPole-v1.yaml").read_text())
    found["evaluation"] = {"track_each": 3, "judge_each": 3}
    found["pretrain"] |= {"seeds": [1, 2], "epochs": 2, "least_updates": 20}
    found["finetune"]["seeds"] = [1, 2]
    for budget in found["finetune"]["budgets"].values():
        every = {"first": 512, "until": 512, "then": 1024}
        budget |= {"steps": 1536, "evaluate_every": every, "stop_on_arrival": False}
    for warm in found["finetune"]["from_clone"].values():
        if "critic_steps" in warm:
            warm["critic_steps"] = 512
    teacher = found["table"]["teacher"]
    teacher["budget"] = {"steps": 2048, "evaluate_every": 1024, "stop_on_arrival": False}
    teacher["select_each"] = 2
    found["table"] |= {"demonstrations": 2, "returns": None}
    return {**found, **changes}


def written(folder: Path, settings: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "CartPole-v1.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_the_settings_of_every_task_are_fair() -> None:
    found = [yaml.safe_load((PUBLIC / f"{name}.yaml").read_text()) for name in known_ids()]
    assert sum(it["table"]["apart"] is None for it in found) >= LEAST
    for it in found:
        compared = set(it["finetune"]["seeds"])
        assert len(compared) >= 5
        assert it["table"]["teacher"]["seed"] not in compared
        grids = {str(budget["evaluate_every"]) for budget in it["finetune"]["budgets"].values()}
        assert len(grids) == 1
        returns = it["table"]["returns"]
        if returns is not None:
            target = it["finetune"]["arrival"]["conditions"][0]
            assert target["at_least"] == fixed_target(**returns)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("table", "teacher", "seed"), 1, "expected one that is not compared, got 1"),
        (("table", "teacher", "ppo"), None, "expected a function, a policy, or ppo"),
        (("pretrain", "seeds"), [3, 4], r"pretrain.seeds: expected \[1, 2\]"),
        (("finetune", "budgets", "usual", "evaluate_every"), 512, "the same evaluate_every"),
        (("finetune", "arrival", "conditions"), [{"metric": "return", "at_most": 1.0}], "one, on"),
        (("table", "returns"), {"random": 0.0, "teacher": 100.0}, "at_least: expected 90.0"),
        (("finetune", "budgets", "odd"), {"steps": 1, "evaluate_every": 1,
                                          "stop_on_arrival": False}, "settings for arm 'odd'"),
    ],
)  # fmt: skip
def test_settings_that_compare_unfairly_are_refused(
    tmp_path: Path, place: tuple[str, ...], value: object, told: str
) -> None:
    settings = small()
    part = settings
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(ParamsError, match=told):
        read_settings([], written(tmp_path, settings))


def test_a_task_without_settings_is_told_the_nearest() -> None:
    with pytest.raises(ParamsError, match="did you mean 'CartPole-v1'"):
        read_settings(["CartPole-v0"])


def _row(name: str, early: list[int], late: list[int], *, apart: str | None = None) -> TaskRow:
    times = [{seed: Arrival(it, censored=False) for seed, it in enumerate(arm)}
             for arm in (early, late)]  # fmt: skip
    ratio, none = times_ratio(times[0], times[1], DRAWS.of(name)), unknown("not run yet")
    parts = {"usual": none, "control": none, "cloning": none, "ours_over_usual": none}
    teacher = {"id": "t", "digest": None, "training_steps": 0, "collection_steps": 9}
    plain = {
        "id": name,
        "apart": apart,
        "target": 1.0,
        "random_return": 0.0,
        "teacher_return": 1.0,
        "teacher": teacher,
        "demonstrations": 1,
        "every": 1,
        "clones": None,
        "ratio": ratio,
        **parts,
        "dip": None,
        "baseline_return": None,
        "accounts": {"with_demonstrations": none, "with_teacher": none},
        "few": [],
        "why": "",
        "published": {"steps": 1, "source": ""},
        "made_with": {},
        "planned": {},
        "curves": {},
        "published_return": None,
    }
    return msgspec.convert(msgspec.to_builtins(plain), TaskRow)


def test_the_mean_gives_each_task_the_same_weight() -> None:
    rows = [_row("a", [10, 10, 10], [100, 100, 100]), _row("b", [300, 300], [1000, 1000])]
    mean = mean_of(rows, "ratio")
    assert mean is not None
    assert mean.estimate == pytest.approx(0.2)
    assert (mean.low, mean.high) == pytest.approx((0.2, 0.2))
    assert mean_of(rows, "usual") is None
    wide = mean_of([_row("a", [5, 15, 10], [100, 90, 120]), rows[1]], "ratio")
    assert wide is not None and wide.low is not None and wide.high is not None
    assert wide.low < wide.estimate < wide.high


def test_a_worker_stops_when_time_is_up() -> None:
    piece = Piece("t", "arm", 1, 1, lambda: time.sleep(30) or "done")
    began = time.monotonic()
    assert do(piece, deadline=time.time() + 0.2).said is None
    assert time.monotonic() - began < 10
    with pytest.raises(OutOfTime), until(time.time() - 1):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_fails_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def fail() -> str:
        raise ValueError("no luck")

    done = side_by_side([Piece("t", "a", 1, 1, fail), Piece("t", "b", 1, 1, str)], workers=1)
    assert [it.failed for it in done] == [True, False]
    assert done[0].said == "failed: no luck"


@pytest.mark.slow
def test_a_task_runs_from_its_settings_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path / "settings", small())
    options = ["tasks", "--settings", str(folder), "--workers", "1"]
    assert main([*options, "--stop-after", "0"]) == 1
    assert not Path("data/tasks/CartPole-v1/demonstrations").exists()
    assert main([*options, "--prepare"]) == 1
    returns = runs.read_checked(Path("data/tasks/CartPole-v1/returns.json"))
    fixed = {key: round(returns[key], 1) for key in ("random", "teacher")}
    settings = small()
    settings["table"]["returns"] = fixed
    target = fixed_target(**fixed)
    settings["finetune"]["arrival"]["conditions"] = [{"metric": "return", "at_least": target}]
    written(folder, settings)
    assert main([*options, "--arm", "baseline"]) == 0
    assert main(options) == 0
    made = {path: path.stat().st_mtime_ns for path in Path("data/tasks").rglob("run.json")}
    assert len(made) == 1 + 2 * 2 + 5 * 2
    monkeypatch.setattr(runs, "version", lambda name: f"another {name}")
    assert main(options) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert all(read_run(path.parent).status is RunStatus.COMPLETED for path in made)
    table = msgspec.json.decode(Path("docs/tasks.json").read_bytes(), type=Table)
    row = table.tasks[0]
    assert row.apart == "trivial" and not table.counted and table.mean_ratio is None
    assert row.clones is not None and len(row.clones.per_seed) == 2
    assert {it.seed for it in row.ratio.per_seed} == {1, 2}
    assert set(row.curves) == {"baseline", "finetune", "usual", "cloning", "control"}
    assert {it.steps for arm in row.curves.values() for it in arm.values()} == {(0, 512, 1536)}
    assert Path("docs/tasks.md").read_text() == page(table)
    assert Path("docs/images/tasks.png").read_bytes()[:4] == b"\x89PNG"


def test_a_ratio_of_budgets_is_marked() -> None:
    late = {1: Arrival(100, censored=True)}
    ratio = times_ratio({1: Arrival(10, censored=False)}, late, DRAWS.of("x"))
    assert ratio.bound is Bound.AT_MOST
    row = msgspec.structs.replace(_row("a", [1], [2]), ratio=ratio)
    table = Table(tasks=(row,), counted=("a",), mean_ratio=None, mean_all=None, mean_usual=None,
                  mean_control=None, mean_cloning=None)  # fmt: skip
    assert "≤ 0.100" in page(table)


def test_goals_are_held_against_what_was_found() -> None:
    good, bad = _row("good", [5, 5], [100, 100]), _row("bad", [50, 10], [100, 100])
    early = {seed: Arrival(it, censored=it == 50) for seed, it in enumerate([50, 10])}
    late = {seed: Arrival(100, censored=False) for seed in (0, 1)}
    ratio = times_ratio(early, late, DRAWS.of("bad"))
    control = times_ratio(late, late, DRAWS.of("control"))
    bad = msgspec.structs.replace(bad, ratio=ratio, control=control, planned={"usual": 2})
    quick = _row("quick", [90, 90], [100, 100], apart="quick")
    table = table_of([good, bad, quick])
    told = {it.asked: (it.found, it.met) for it in goals(table)}
    assert told["mean ratio at most 0.08"] == ("0.175", False)
    assert told["no ratio above 0.3"] == ("none", True)
    assert told["every seed arrives"] == ("bad 1", False)
    assert told["control at least 0.8 of PPO from scratch"] == ("1 of 1 tasks", True)
    assert told["at most 0.5 of the steps of the usual recipe"] == ("0 of 0 tasks", None)
    assert table.mean_all is not None and table.mean_all.estimate == pytest.approx(0.4167, abs=1e-3)
    assert missing(table) == ["- bad: usual 0 of 2 seeds."]
    written = page(table)
    assert "Not run" in written and "## Apart: quick" in written and "missed so far" in written
    whole = page(table_of([good, quick]))
    assert "so far" not in whole and "Not run" not in whole


def test_the_page_in_the_docs_is_that_of_the_numbers() -> None:
    docs = PUBLIC.parents[2] / "docs"
    none = Table(tasks=(), counted=(), mean_ratio=None, mean_all=None, mean_usual=None,
                 mean_control=None, mean_cloning=None)  # fmt: skip
    numbers = docs / "tasks.json"
    table = msgspec.json.decode(numbers.read_bytes(), type=Table) if numbers.is_file() else none
    assert (docs / "tasks.md").read_text() == page(table)
