"""Stage: compare groups of finished runs on matched seeds and write the report."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pipelines.comparison.arms import load_arm, load_expert
from pipelines.comparison.compare import compare, held_out_of
from pipelines.comparison.inputs import Inputs
from pipelines.comparison.record import CompareParams, Comparison
from pipelines.learning.conditions import check_levels
from pipelines.learning.runlog import RunError
from pipelines.report.expert import write_expert, write_no_expert
from pipelines.report.page import write_report
from pipelines.running.params import read_section
from pipelines.running.stage import add_paths, in_one_line, parser_of
from trajstore.version.manifest import Manifest

GROUPS = {"baseline": "--baseline", "finetune": "--pretrained", "control": "--control"}
"""The options that name two groups, and a third, by arm."""


def load(params: CompareParams, options: Mapping[str, str] = MappingProxyType({})) -> Inputs:
    """Read every arm, the expert and the dataset's manifest, all as they were sealed.

    Errors tell the options of the command line that name an arm's folder, given by arm.
    """
    _check_folders(params, options)
    groups = {name for name, option in options.items() if option == GROUPS.get(name)}
    arms = {
        name: load_arm(name, Path(folder), sealed_as=None if name in groups else name)
        for name, folder in params.arms.items()
    }
    dataset = Manifest.read(Path(params.dataset)) if params.dataset else None
    inputs = Inputs(arms, None, dataset)
    if params.expert:
        leave_out, measures = held_out_of(params, inputs), arms["finetune"].measures
        expert = load_expert(Path(params.expert), measures, leave_out=leave_out)
        inputs = replace(inputs, expert=expert)
    inputs.check_origin()
    return inputs


def _check_folders(params: CompareParams, options: Mapping[str, str]) -> None:
    for name in ("baseline", "finetune"):
        if name not in params.arms:
            raise RunError(f"compare.arms: expected an arm {name!r}, got none; name its folder")
    names: dict[Path, str] = {}
    for name, folder in params.arms.items():
        where = options.get(name, f"compare.arms.{name}")
        if not Path(folder).is_dir():
            raise RunError(
                f"{where}: there is no folder {folder}; correct the path, train the arm, or "
                "take it out"
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
                f"compare.{key}: there is no folder {folder}; correct the path, or leave it empty"
            )


def run(
    params: CompareParams, out: Path, options: Mapping[str, str] = MappingProxyType({})
) -> Comparison:
    """Compare, and write ``comparison.json``, the pages, the summaries, metrics and plots.

    Raises:
        RunError: runs are missing, unfinished or cannot be paired.
    """
    report = compare(params, load(params, options))
    write_report(report, out)
    if params.expert and Path(params.expert, "manifest.json").is_file():
        write_expert(Path(params.expert), out)
    elif not options:
        write_no_expert(out)
    return report


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
        options = GROUPS
        named = {arm: getattr(arguments, option[2:]) for arm, option in options.items()}
        arms = {arm: folder for arm, folder in named.items() if folder}
        params = CompareParams(arms=arms, expert=arguments.expert, dataset=arguments.dataset)
    else:
        params = read_section(arguments.params, "compare", CompareParams)
        where = f"{arguments.params}: compare.targets"
        check_levels(params.targets, params.main.metric, where=where)
    more = dict(arm.split("=", 1) for arm in arguments.arm)
    params = replace(params, arms={**params.arms, **more})
    report = run(params, arguments.out, options | {name: f"--arm {name}" for name in more})
    for sentence in report.headline:
        print(sentence)
    print(arguments.out / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
