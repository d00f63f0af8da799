"""A comparison says what its runs say: matched, censored, bounded, and against fixed goals."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import asdict

from pipelines.comparison.arms import load_arm
from pipelines.comparison.arrival import Arrival, Bound
from pipelines.comparison.compare import compare
from pipelines.comparison.goals import verdict
from pipelines.comparison.record import CompareParams, Comparison, Status, read_comparison
from pipelines.comparison.stats import Estimate
from pipelines.learning.promotion import read_manifest, write_manifest
from pipelines.learning.runlog import (
    RunError,
    RunRecord,
    RunStatus,
    read_episodes,
    read_run,
    write_episodes,
    write_run,
)
from pipelines.learning.sealing import seal_arm, seal_run
from pipelines.running.params import read_section
from pipelines.stages.compare import GROUPS, load
from tests.pipelines import runs
from trajstore.disk.files import write_json

SMALL = ("blind_corner/low", "crowd_navigation/high")
GRID = list(range(0, 80_001, 8_000))
STEADY = runs.Curve(0.97, 0.99, 1000.0)
SLOW = runs.Curve(0.0, 1.0, 12_000.0)
NEVER = runs.Curve(0.1, 0.4, 10_000.0)


def arm(root: Path, name: str, curve: runs.Curve, seeds: range = range(3)) -> Path:
    return runs.write_arm(
        root / name, curve, arm=name, seeds=seeds, grid=GRID, scenarios=SMALL, each=60
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, curve in {"baseline": SLOW, "finetune": STEADY, "control": SLOW}.items():
        arm(folder, name, curve)
    arm(folder, "late", NEVER)
    arm(folder, "few_10", SLOW, range(2))
    runs.write_expert(folder / "expert", scenarios=SMALL, each=60)
    runs.write_dataset_manifest(folder / "dataset")
    return folder


@pytest.fixture(scope="module")
def params(root: Path) -> CompareParams:
    names = ("baseline", "finetune", "control", "few_10")
    return CompareParams(
        targets=(0.8, 0.9),
        resamples=400,
        arms={name: str(root / name) for name in names},
        expert=str(root / "expert"),
        dataset=str(root / "dataset"),
    )


@pytest.fixture(scope="module")
def report(params: CompareParams) -> Comparison:
    return compare(params, load(params))


def test_the_comparison_fits_its_schema_and_its_type(report: Comparison) -> None:
    document = json.loads(json.dumps(msgspec.to_builtins(report), allow_nan=False))
    schema = msgspec.json.schema(Comparison)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    assert msgspec.convert(document, Comparison) == report


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        (("version",), 1, "Invalid enum value 1 - at `$.version`"),
        (("ratio", "gate", "estimate"), "x", "got `str` - at `$.ratio.gate.estimate`"),
        (("ratio", "gate", "reason"), "why", "no reason - at `$.ratio.gate`"),
        (("ratio", "transfer", "reason"), None, "got neither - at `$.ratio.transfer`"),
        (("held_out", "reason"), None, "final, expert and difference - at `$.held_out`"),
        (("better_than_teacher", "reason"), "why", "Expected a reason, or"),
        (("arms", "extra"), {}, "missing required field `seeds`"),
        (("headline",), [], "a headline"),
        (("more",), 1, "unknown field `more`"),
    ],
)
def test_what_is_no_comparison_is_refused_by_its_place(
    report: Comparison, tmp_path: Path, place: tuple[str, ...], value: object, complaint: str
) -> None:
    document = json.loads(json.dumps(msgspec.to_builtins(report)))
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    write_json(tmp_path / "comparison.json", document)
    with pytest.raises(RunError, match=re.escape(complaint)):
        read_comparison(tmp_path / "comparison.json")


def test_the_ratio_is_that_of_the_seeds_shown(report: Comparison) -> None:
    for ratio in asdict(report.ratio).values():
        if ratio.estimate is None:
            continue
        total = {arm: sum(getattr(r, arm).steps for r in ratio.per_seed) for arm in ARMS}
        assert ratio.estimate == pytest.approx(total["pretrained"] / total["baseline"])
        assert ratio.low <= ratio.estimate <= ratio.high


ARMS = ("pretrained", "baseline")


def test_a_clone_that_meets_the_target_at_once_has_a_ratio_of_zero(report: Comparison) -> None:
    ratio = report.ratio.success
    assert (ratio.estimate, ratio.at_start, ratio.seeds) == (0.0, 3, 3)
    assert "before its first online step" in report.headline[0]


def test_an_arm_that_was_not_run_is_null_with_a_reason(report: Comparison) -> None:
    ratio = report.ratio.transfer
    assert ratio.estimate is None
    assert ratio.reason == "the arm transfer was not run"
    assert next(g for g in report.goals if "transfer" in g.goal).status == "not_run"


def test_an_arm_with_fewer_seeds_is_paired_on_those_it_has(report: Comparison) -> None:
    assert [row.seed for row in report.ratio.few.per_seed] == [0, 1]


def test_leaving_an_arm_out_changes_no_other_number(
    params: CompareParams, report: Comparison
) -> None:
    arms = {name: path for name, path in params.arms.items() if name != "few_10"}
    less = compare(replace(params, arms=arms), load(replace(params, arms=arms)))
    for part in ("contrast", "no_dip", "costs", "scenarios", "over_targets"):
        assert getattr(less, part) == getattr(report, part)
    assert less.ratio.gate == report.ratio.gate


def test_the_same_runs_give_the_same_bytes(params: CompareParams, report: Comparison) -> None:
    assert compare(params, load(params)) == report


def test_a_baseline_that_never_arrives_makes_the_ratio_an_upper_bound(
    params: CompareParams, root: Path
) -> None:
    chosen = replace(params, arms={**params.arms, "baseline": str(root / "late")})
    found = compare(chosen, load(chosen, GROUPS))
    ratio = found.ratio.gate
    assert (ratio.bound, ratio.censored, ratio.seeds) == ("at_most", 3, 3)
    assert all(row.baseline == Arrival(GRID[-1], censored=True) for row in ratio.per_seed)
    assert any("upper bound" in sentence for sentence in found.headline)


def test_a_pretrained_arm_that_never_arrives_shows_no_goal_as_met(
    params: CompareParams, root: Path
) -> None:
    chosen = replace(params, arms={**params.arms, "finetune": str(root / "late")})
    found = compare(chosen, load(chosen, GROUPS))
    assert found.ratio.gate.bound == "at_least"
    assert found.goals[0].status in ("missed", "not_shown")
    assert found.ratio.gate.estimate > 1.0
    assert "at least" in found.headline[0]


def test_costs_add_collection_and_the_experts_training(report: Comparison) -> None:
    accounts = report.costs.accounts
    means = {
        name: sum(row.pretrained.steps for row in account.per_seed) / 3
        for name, account in asdict(accounts).items()
    }
    assert means["with_collection"] == means["online"] + 24_000
    assert means["with_expert"] == means["online"] + 24_000 + 3 * 2_000_000
    saved = report.costs.saved_steps
    assert report.costs.pays_off_after == pytest.approx(6_024_000 / saved)


def test_no_dip_is_the_worst_seed_against_its_own_clone(report: Comparison) -> None:
    rows = report.no_dip.per_seed
    assert report.no_dip.change == min(row.lowest - row.clone for row in rows)


def test_a_seed_without_a_partner_is_refused(params: CompareParams, tmp_path: Path) -> None:
    arm(tmp_path, "finetune", STEADY, range(1, 5))
    chosen = replace(params, arms={**params.arms, "finetune": str(tmp_path / "finetune")})
    with pytest.raises(RunError, match=r"got \[3, 4\] without a partner"):
        compare(chosen, load(chosen))


def test_other_final_episodes_are_refused(params: CompareParams, tmp_path: Path) -> None:
    runs.write_arm(
        tmp_path / "finetune",
        STEADY,
        arm="finetune",
        seeds=range(3),
        grid=GRID,
        scenarios=SMALL,
        each=5,
    )
    chosen = replace(params, arms={**params.arms, "finetune": str(tmp_path / "finetune")})
    with pytest.raises(RunError, match="on the same episodes"):
        compare(chosen, load(chosen))


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.PARTIAL])
def test_an_unfinished_run_is_refused(tmp_path: Path, status: RunStatus) -> None:
    folder = arm(tmp_path, "baseline", SLOW, range(1)) / "seed_0"
    record = read_run(folder)
    write_run(folder, RunRecord(record.arm, record.seed, status, record.steps))
    with pytest.raises(RunError, match=f"this run is {status}"):
        load_arm("baseline", tmp_path / "baseline")


def test_no_runs_at_all_are_named(params: CompareParams, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected an arm 'finetune', got none"):
        load(replace(params, arms={"baseline": params.arms["baseline"]}))
    with pytest.raises(RunError, match="no run there, no seed_"):
        load_arm("x", tmp_path)


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (0.6, Bound.EXACT, Status.MET),
        (0.8, Bound.EXACT, Status.MISSED),
        (0.6, Bound.AT_MOST, Status.MET),
        (0.8, Bound.AT_MOST, Status.NOT_SHOWN),
        (0.6, Bound.AT_LEAST, Status.NOT_SHOWN),
        (0.8, Bound.AT_LEAST, Status.MISSED),
        (0.6, Bound.UNRESOLVED, Status.NOT_SHOWN),
    ],
)
def test_a_goal_is_met_only_where_the_bound_allows_it(
    value: float, bound: Bound, expected: Status
) -> None:
    assert verdict(value <= 0.7, bound) == expected


def test_held_out_families_are_reported_and_change_no_other_number(
    params: CompareParams, report: Comparison, root: Path, tmp_path: Path
) -> None:
    arms = {}
    for name in ("baseline", "finetune", "control", "few_10"):
        arms[name] = str(shutil.copytree(root / name, tmp_path / name))
        folders = sorted((tmp_path / name).glob("seed_*"))
        for folder in folders:
            add_held_out(folder, success=name == "finetune")
            seal_run(folder, read_run(folder))
        seal_arm(tmp_path / name, name, range(len(folders)))
    taught = shutil.copytree(root / "expert", tmp_path / "expert")
    manifest = read_manifest(taught)
    add_held_out(taught, success=True)
    write_manifest(taught, manifest)
    chosen = replace(params, arms=arms, expert=str(taught))
    found = compare(chosen, load(chosen))
    assert msgspec.convert(msgspec.to_builtins(found), Comparison) == found
    part = found.held_out
    assert (part.reason, part.families, part.episodes) == (None, (HELD.split("/")[0],), 4)
    assert part.final["finetune"]["success"].estimate == 1.0
    assert part.final["baseline"]["success"].estimate == 0.0
    assert part.difference.difference["success"] == Estimate(1.0, 1.0, 1.0)
    assert part.expert == {"success": 1.0, "collision": 0.0}
    assert [row.scenario for row in found.scenarios if row.held_out] == [HELD]
    counted = ("ratio", "over_targets", "arms", "final", "contrast", "better_than_teacher", "area",
               "no_dip", "costs", "curves", "metrics", "goals", "headline")  # fmt: skip
    for name in counted:
        assert getattr(found, name) == getattr(report, name), name


HELD = "pedestrian_overtaking/high"


def add_held_out(folder: Path, *, success: bool) -> None:
    """Four episodes more at the end of a run."""
    end = "goal" if success else "timeout"
    more = [runs.episode_row(HELD, 1_300_000 + turn, end) for turn in range(4)]
    write_episodes(folder, [*read_episodes(folder), *more])


def test_without_held_out_episodes_the_report_says_so(report: Comparison) -> None:
    assert report.held_out.reason == "no final episode is of a held-out family"


def test_the_headline_names_baseline_seeds_that_have_no_partner(
    params: CompareParams, root: Path, tmp_path: Path
) -> None:
    arm(tmp_path, "finetune", STEADY, range(2))
    arms = {"baseline": str(root / "baseline"), "finetune": str(tmp_path / "finetune")}
    found = compare(replace(params, arms=arms), load(replace(params, arms=arms)))
    assert any("2 is left out" in sentence for sentence in found.headline)


def test_where_nobody_arrives_the_headline_claims_nothing(
    params: CompareParams, root: Path, tmp_path: Path
) -> None:
    arms = {"baseline": str(root / "late"), "finetune": str(tmp_path / "late")}
    shutil.copytree(root / "late", tmp_path / "late")
    found = compare(replace(params, arms=arms), load(replace(params, arms=arms), GROUPS))
    assert found.headline[0].startswith("Neither arm meets success of at least 90 %")
    assert found.headline[1].endswith("not known.")


def test_parity_is_asked_for_on_the_episodes_of_the_evaluations(
    params: CompareParams, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "expert", tmp_path / "expert")
    manifest = read_manifest(tmp_path / "expert")
    tracked = {"success": 0.93, "collision": 0.04}
    write_manifest(
        tmp_path / "expert", {**manifest, "tracking": {**manifest["tracking"], **tracked}}
    )
    chosen = replace(params, expert=str(tmp_path / "expert"))
    found = compare(chosen, load(chosen))
    assert found.ratio.parity.target == runs.limits(**tracked)
    asked = {row.target[0].limit for row in found.over_targets}
    assert asked == {0.8, 0.9, 0.93}


def test_an_arm_of_the_section_whose_folder_is_missing_is_named(
    params: CompareParams, root: Path
) -> None:
    chosen = replace(params, arms={**params.arms, "control": str(root / "contrl")})
    with pytest.raises(RunError, match=r"^compare.arms.control: there is no folder .*contrl"):
        load(chosen)


def test_a_held_out_family_that_nobody_knows_is_named(params: CompareParams) -> None:
    chosen = replace(params, held_out=("pedestrian_overtakin",))
    with pytest.raises(RunError, match=r"compare\.held_out: .*mean 'pedestrian_overtaking'"):
        compare(chosen, load(chosen))


def test_two_arms_that_never_arrived_have_no_ratio(
    params: CompareParams, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "late", tmp_path / "late")
    arms = {"baseline": str(root / "late"), "finetune": str(tmp_path / "late")}
    chosen = replace(params, arms=arms)
    found = compare(chosen, load(chosen, GROUPS))
    gate = found.ratio.gate
    assert (gate.estimate, gate.low, gate.high, gate.bound) == (None, None, None, None)
    assert (gate.seeds, gate.censored, len(gate.per_seed)) == (3, 3, 3)
    assert found.goals[0].status is Status.NOT_SHOWN
    assert found.costs.saved_steps is None
    assert found.costs.pays_off_after is None


def test_a_section_of_parameters_is_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        "compare: {target: [{metric: success, at_least: 0.9}], targets: [0.8, 0.9], hold: 2,\n"
        "  resamples: 100, seed: 1, held_out: [pedestrian_overtaking], few: few_10, expert: e,\n"
        "  dataset: d, arms: {baseline: a, finetune: b}}\n"
    )
    found = read_section(path, "compare", CompareParams)
    assert found.arms == {"baseline": "a", "finetune": "b"}
    assert found.targets == (0.8, 0.9)
