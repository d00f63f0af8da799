"""Drive the whole pipeline: every stage through DVC, then what came out of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.running.params import named, plain_section
from pipelines.running.progress import RUNNING, Forecast, online_steps, stages_of
from pipelines.running.stage import INTERRUPTED, complain, in_one_line, parser_of
from trajstore.disk.files import read_json
from trajstore.errors import NotFoundError

REPORTS, PARAMS = Path("data/reports"), Path("params.yaml")
SWEEP = (5, 50, 200)
"""Numbers of demonstrations of the study, beside the ten of the pipeline."""
PLAYED = 1000
"""Most steps of the episode that tells which keys an environment's info has."""
PATIENCE = 30.0
"""Seconds that DVC and its stage, told to stop, have to end in order."""


def study() -> list[list[str]]:
    """Commands of the sweep over demonstrations, to be run after the pipeline, in order.

    They are no stages: a clone that never ran the study would then have outputs that
    ``dvc pull`` cannot find. Finished runs are kept, as in the stages.
    """
    commands, arms = [], []
    for count in SWEEP:
        clones, runs = f"data/study/clone_{count}", f"data/study/few_{count}"
        arms += ["--arm", f"few_{count}={runs}"]
        commands.append(["pipelines", "pretrain", "--episodes", str(count), "--out", clones])
        commands.append(
            ["pipelines", "finetune", "--arm", f"few_{count}", "--start", clones, "--out", runs]
        )
    commands.append(["pipelines", "compare", *arms, "--out", "data/reports/study"])
    return [[sys.executable, "-m", *command] for command in commands]


def environment() -> dict[str, str]:
    """This process's environment with its own Python first, and one thread a process."""
    scripts = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def drive(pipeline: str, extra: Sequence[str]) -> int:
    """Run ``dvc repro``, and after it the study if that is asked for; return the exit status."""
    status = reproduce([sys.executable, "-m", "dvc", "repro", *extra])
    for command in study() if pipeline == "study" else []:
        if status:
            break
        status = call(command)
    return status


def call(command: Sequence[str]) -> int:
    """Run a command; return its exit status."""
    with _of_ours(command) as process:
        return process.wait()


def reproduce(command: Sequence[str]) -> int:
    """Run DVC, and say before each stage how far the whole is; return DVC's exit status."""
    forecast = Forecast(stages_of(Path("dvc.yaml"), PARAMS), online_steps(PARAMS))
    with _of_ours(command, stdout=subprocess.PIPE) as process:
        for line in process.stdout or ():
            if found := RUNNING.match(line):
                print(forecast.begin(found["stage"], time.monotonic()), flush=True)
            print(line, end="", flush=True)
    return process.returncode


@contextmanager
def _of_ours(
    command: Sequence[str], *, stdout: int | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A command in a process group of its own, which stops, all of it, when this process is told.

    A signal may reach this process alone, as from a supervisor, or its whole group, as from a
    terminal: either way the command and what it started are told once, by us.
    """
    with subprocess.Popen(
        command, env=environment(), text=True, bufsize=1, process_group=0, stdout=stdout
    ) as process:
        try:
            yield process
        except BaseException:
            heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
            first = (signal.SIGINT,) if heeded else ()  # a background job's children ignore it
            for number in (*first, signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
                    break
            raise


def unheard(params: Path) -> str | None:
    """Why no episode may ever count as a success, found before anything is trained.

    An episode of random actions is played where ``env.success`` names a key of ``info``. What
    hinders that is for the stage that plays next to say.
    """
    with suppress(Exception):
        section = plain_section(params, "env") or {}
        key = section.get("success")
        if "id" not in section or not isinstance(key, str):
            return None
        heard = _heard(import_module("pipelines.tasks.reading").read_task(params))
        if heard and (wrong := named(heard)(key)):
            return (
                f"warning: {params}: env.success: {wrong}. No step of an episode of random actions "
                "has that key in its info; where none ever has it, no episode is a success"
            )
    return None


def _heard(task: Any) -> set[str]:  # noqa: ANN401 - a Task, whose room takes seconds to import
    """Keys of the infos of one episode, or of its beginning; none if a class of its own judges."""
    if type(task).judge is not import_module("pipelines.tasks.gym_task").GymTask.judge:
        return set()
    env, heard = task.make(), set[str]()
    env.action_space.seed(0)
    env.reset(seed=0, options={"scenario": task.scenarios[0]} if task.scenarios else None)
    for _ in range(PLAYED):
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        heard |= info.keys()
        if terminated or truncated:
            break
    env.close()
    return heard - {"scenario", "outcome"} or {""}


def conclude(console: Console, seconds: float) -> None:
    """Print the headline, the ratios, and the paths worth opening."""
    try:
        comparison = read_json(REPORTS / "comparison.json")
    except NotFoundError:
        return
    table = Table("question", "ratio", "95 % interval", title="Timesteps to target, of baseline")
    for name, answer in comparison["ratio"].items():
        if answer.get("estimate") is None:
            table.add_row(name, "not run", "")
        else:
            ends = (answer["low"], answer["high"])
            interval = " to ".join("?" if end is None else f"{end:.3f}" for end in ends)
            table.add_row(name, f"{answer['estimate']:.3f}", interval)
    console.print(table)
    for sentence in comparison["headline"]:
        console.print(sentence)
    console.print(f"Took {seconds / 60:.1f} minutes. Worth opening:")
    for name in ("report.html", "expert.md", "comparison.json"):
        if (REPORTS / name).exists():
            console.print(f"  {REPORTS / name}")
    console.print("  trajstore play data/current/expert")


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run a pipeline and sum it up; the exit status is DVC's."""
    parser = parser_of("repro", __doc__, example="repro compare")
    parser.add_argument(
        "pipeline",
        nargs="?",
        choices=("repro", "study"),
        default="repro",
        help="study adds the sweep over demonstrations",
    )
    parser.add_argument("extra", nargs="*", help="passed on to dvc repro")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        if warning := unheard(PARAMS):
            complain(warning)
        status = drive(arguments.pipeline, arguments.extra)
    except KeyboardInterrupt:
        print("Stopped. Run it again to go on from here.", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, former)
    if status == 0:
        conclude(Console(), time.monotonic() - started)
    return status
