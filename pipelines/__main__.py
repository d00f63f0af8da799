"""``python -m pipelines STAGE``: one stage of the experiment, imported when it is run."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from pipelines.running.stage import complain
from trajstore.cli import process

STAGES = {
    "expert": "train the expert with several seeds; promote it only on evidence",
    "record": "record the expert's episodes into a sealed version",
    "validate": "check the version; stop everything downstream unless it is fit",
    "publish": "put the validated version into the ring of live versions",
    "pretrain": "clone the expert's episodes, one policy a seed",
    "finetune": "train one arm online, every seed",
    "compare": "compare finished runs and write the report",
    "pull": "bring every output from the DVC remote, checked before it is put in place",
    "repro": "run all of it through DVC, then sum it up",
    "tasks": "compare on public tasks, and write their table",
    "report": "write the page and the plots anew from a comparison.json",
    "export": "write a policy as a Stable-Baselines3 zip",
}
"""Every command by name, each a module of ``pipelines.stages``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage that the first argument names; without one, say which there are."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in STAGES:
        with process.loading():
            stage = import_module(f"pipelines.stages.{arguments[0]}")
        if argv is None:
            del sys.argv[1]
        status: int = stage.main(None if argv is None else arguments[1:])
        return status
    asked = not arguments or arguments[0] in ("-h", "--help")
    lines = [f"  {name:10} {words}" for name, words in STAGES.items()]
    stream = sys.stdout if asked else sys.stderr
    print("usage: python -m pipelines STAGE [OPTIONS]", "", *lines, sep="\n", file=stream)
    if not asked:
        near = get_close_matches(arguments[0], STAGES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "choose one of the above"
        print(f"\nexpected a stage, got {arguments[0]!r}; {hint}", file=stream)
    return 0 if asked else 2


def command() -> None:
    """Run the stage of this process; whatever ends it is one line, never a traceback."""
    process.begin()
    try:
        status = main()
    except BaseException as error:  # noqa: BLE001 - nobody but the user is left to be told
        status = _told(error)
    process.end(status, complain)


def _told(error: BaseException) -> int:
    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            complain(error.code)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, ModuleNotFoundError):
        complain(f"the package {error.name!r} is not installed; 'make venv' brings all into .venv")
        return 1
    return process.told(error, complain)


if __name__ == "__main__":
    command()
