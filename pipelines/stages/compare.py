"""Stage: compare groups of finished runs on matched seeds and write the report."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pipelines.comparison.arms import Arm, Expert, check_pair, family, load_arm, load_expert
from pipelines.comparison.arrival import Target
from pipelines.comparison.facts import Inputs, arm_facts, digests_of, matched, notes_on
from pipelines.comparison.goals import goals, headline
from pipelines.comparison.performance import (
    area,
    better_than_teacher,
    contrast,
    curves,
    final,
    metric_summaries,
    no_dip,
)
from pipelines.comparison.ratios import (
    Draws,
    answer,
    costs,
    over_demonstrations,
    over_targets,
    questions,
)
from pipelines.comparison.scenarios import held_out, scenario_table
from pipelines.learning.runlog import RunError, check
from pipelines.report.expert import write_expert
from pipelines.report.page import write_report
from pipelines.running.params import (
    Count,
    Share,
    at_least,
    distinct,
    each,
    named,
    read_section,
    some,
)
from pipelines.running.stage import add_paths, in_one_line, parser_of
from pipelines.tasks.social_nav.scenarios import families, held_out_families
from trajstore.disk.files import read_json

ARMS: dict[str, str] = {
    "baseline": "data/runs/baseline",
    "finetune": "data/runs/finetune",
    "control": "data/runs/control",
}

GROUPS = {"baseline": "--baseline", "finetune": "--pretrained", "control": "--control"}
"""The options that name two groups, and a third, by arm."""


@dataclass(frozen=True, slots=True)
class CompareParams:
    """What is compared, and by which yardsticks; all fixed before the runs.

    Attributes:
        target_success: success of the gate.
        target_collision: collisions of the gate.
        targets: successes at which the curve of the ratio is drawn, beside that of parity.
        hold: evaluations in a row for which a target must hold.
        resamples: bootstrap draws of every interval.
        seed: of the draws.
        held_out: families that were in no training; their episodes are reported apart.
        few: arm that ``ratio.few`` is about.
        arms: folder of each arm by name; one that was not run is not named.
        expert: folder with the expert's ``episodes.jsonl``, its ``manifest.json``, or both;
            empty means none.
        dataset: version folder that the clone was trained on; its manifest has the steps; empty
            means none.
    """

    target_success: Share = 0.9
    target_collision: Share = 0.05
    targets: Annotated[tuple[Share, ...], some, distinct] = (
        0.8,
        0.825,
        0.85,
        0.875,
        0.9,
        0.925,
        0.95,
    )
    hold: Count = 2
    resamples: Count = 10_000
    seed: Annotated[int, at_least(0)] = 0
    held_out: Annotated[tuple[str, ...], distinct, each(named(families()))] = field(
        default_factory=held_out_families
    )
    few: str = "few_10"
    arms: Mapping[str, str] = field(default_factory=lambda: dict(ARMS))
    expert: str = "data/models/expert"
    dataset: str = "data/current/expert"

    @property
    def gate(self) -> Target:
        """The target that the expert had to meet too."""
        return Target(self.target_success, self.target_collision)


def load(params: CompareParams, options: Mapping[str, str] = MappingProxyType({})) -> Inputs:
    """Read every arm, the expert and the dataset's manifest.

    Args:
        params: what is compared.
        options: of the command line that name an arm's folder, by arm; errors tell them.

    Raises:
        RunError: a folder is missing or named twice, an arm is unfinished, or ``baseline`` or
            ``finetune`` is not named.
    """
    _check_folders(params, options)
    arms = {name: load_arm(name, Path(folder)) for name, folder in params.arms.items()}
    expert = Path(params.expert) if params.expert else None
    manifest = Path(params.dataset, "manifest.json") if params.dataset else None
    return Inputs(
        arms,
        load_expert(expert, leave_out=params.held_out) if expert and expert.is_dir() else None,
        read_json(manifest) if manifest and manifest.is_file() else None,
    )


def _check_folders(params: CompareParams, options: Mapping[str, str]) -> None:
    for name in ("baseline", "finetune"):
        if name not in params.arms:
            raise RunError(f"compare.arms: expected an arm {name!r}, got none; name its folder")
    names: dict[Path, str] = {}
    for name, folder in params.arms.items():
        where = options.get(name, f"compare.arms.{name}")
        if not Path(folder).is_dir():
            raise RunError(
                f"{where}: expected runs in {folder}, got no such folder; correct the path, "
                "train the arm, or take it out"
            )
        twin = names.setdefault(Path(folder).resolve(), name)
        if twin != name:
            raise RunError(
                f"{where}: expected a folder of its own, got {folder}, which is that of "
                f"{options.get(twin, twin)}; name another"
            )
    for key, folder in (("expert", params.expert), ("dataset", params.dataset)):
        if folder and not Path(folder).is_dir():
            raise RunError(
                f"compare.{key}: expected a folder {folder}, got none; correct the path, or "
                "leave it empty"
            )


def compare(params: CompareParams, inputs: Inputs) -> dict[str, Any]:
    """Every number of the comparison, as ``comparison.schema.json`` describes them."""
    arms, expert = inputs.arms, inputs.expert
    finetune, baseline = arms["finetune"], arms["baseline"]
    check_pair(finetune, baseline, where="comparison")
    draws = Draws(params.seed, params.resamples)
    hold, gate = params.hold, params.gate
    size, steps = (
        (int(inputs.dataset["episodes"]), int(inputs.dataset["steps"]))
        if inputs.dataset
        else (None, None)
    )
    scenarios = _counted(arms, params.held_out)
    report: dict[str, Any] = {
        "version": 1,
        "settings": json.loads(json.dumps(asdict(params))),
        "arms": {name: arm_facts(arm, scenarios[name]) for name, arm in arms.items()},
        "matched": matched(finetune, baseline, gate, hold),
        "ratio": {
            question.name: answer(question, arms, hold=hold, draws=draws)
            for question in questions(gate, expert, few=params.few)
        },
        "over_targets": over_targets(
            arms, ("finetune", "control"), _targets(params, expert), hold=hold, draws=draws
        ),
        "demonstrations": over_demonstrations(arms, gate, full=size, hold=hold, draws=draws),
        "final": final(arms, scenarios, draws),
        "contrast": contrast(finetune, baseline, scenarios["finetune"], draws),
        "area": area(arms, draws),
        "no_dip": no_dip(finetune),
        "better_than_teacher": better_than_teacher(finetune, expert, scenarios["finetune"], draws)
        if expert
        else {"reason": "no expert was given"},
        "scenarios": scenario_table(arms, expert, params.held_out),
        "held_out": held_out(arms, expert, params.held_out, draws),
        "costs": costs(
            arms,
            gate,
            {"collection": steps, "expert": expert.steps if expert else None},
            hold=hold,
            draws=draws,
        ),
        "curves": curves(arms, draws),
        "metrics": metric_summaries(arms, scenarios, draws),
        "inputs": digests_of(inputs),
    }
    report["notes"] = notes_on(report)
    report["goals"] = goals(report)
    report["headline"] = headline(report)
    return report


def run(
    params: CompareParams, out: Path, options: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Compare, and write ``comparison.json``, the pages, the summaries, metrics and plots.

    Raises:
        RunError: runs are missing, unfinished or cannot be paired.
    """
    report = compare(params, load(params, options))
    check(report, "comparison", where="comparison")
    write_report(report, out)
    if params.expert and Path(params.expert, "manifest.json").is_file():
        write_expert(Path(params.expert), out)
    return report


def _targets(params: CompareParams, expert: Expert | None) -> list[Target]:
    successes = sorted({*params.targets, *((expert.parity.success,) if expert else ())})
    return [
        Target(success, limit) for limit in (1.0, params.target_collision) for success in successes
    ]


def _counted(arms: Mapping[str, Arm], families: Sequence[str]) -> dict[str, list[str]]:
    """The scenarios that count towards an arm's final rates: all but the held-out families."""
    return {
        name: sorted({key[0] for key in arm.listed() if family(key[0]) not in families})
        for name, arm in arms.items()
    }


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = parser_of(
        "compare", __doc__, example="--baseline data/runs/A --pretrained data/runs/B --out out"
    )
    add_paths(parser, "params")
    parser.add_argument(
        "--out", type=Path, default=Path("data/reports"), help="folder of the reports"
    )
    parser.add_argument("--baseline", help="folder of runs; compares two groups, no params.yaml")
    parser.add_argument("--pretrained", help="folder of runs that go with --baseline")
    parser.add_argument("--control", help="folder of a third group")
    parser.add_argument("--expert", default="", help="folder of the expert, with two groups")
    parser.add_argument("--dataset", default="", help="version folder, with two groups")
    parser.add_argument(
        "--arm", action="append", default=[], metavar="NAME=DIR", help="one arm more; repeatable"
    )
    arguments = parser.parse_args(argv)
    if any("=" not in arm for arm in arguments.arm):
        parser.error("--arm takes NAME=DIR")
    if bool(arguments.baseline) != bool(arguments.pretrained):
        parser.error("--baseline and --pretrained go together")
    if not arguments.baseline and (arguments.control or arguments.expert or arguments.dataset):
        parser.error("--control, --expert and --dataset go with --baseline and --pretrained")
    return arguments


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit status 1 when the runs cannot be compared."""
    arguments = arguments_of(argv)
    options = {}
    if arguments.baseline:
        arms = {"baseline": arguments.baseline, "finetune": arguments.pretrained}
        arms |= {"control": arguments.control} if arguments.control else {}
        options = GROUPS
        params = CompareParams(arms=arms, expert=arguments.expert, dataset=arguments.dataset)
    else:
        params = read_section(arguments.params, "compare", CompareParams)
    more = dict(arm.split("=", 1) for arm in arguments.arm)
    params = replace(params, arms={**params.arms, **more})
    report = run(params, arguments.out, options | {name: f"--arm {name}" for name in more})
    for sentence in report["headline"]:
        print(sentence)
    print(arguments.out / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
