"""How a stage begins and ends: help with an example; one line, never a traceback."""

import argparse
import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from trajstore.cli import process
from trajstore.errors import TrajStoreError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
PLACES = {
    "params": ("params.yaml", "file of parameters"),
    "expert": ("data/models/expert", "folder of the promoted expert"),
    "dataset": ("data/current/expert", "folder of a sealed version"),
    "report": ("data/reports/validation.json", "report of the validation"),
    "store": ("data/store", "folder of the store"),
    "reviews": (os.environ.get("TRAJSTORE_REVIEWS", "data/reviews.json"), "what curators decided"),
}
"""What stages read, by the option that names it: the usual place, and what it is."""


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of a description, and shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        empty = action.required or not action.default or action.default == argparse.SUPPRESS
        return action.help if empty else super()._get_help_string(action)


class Main(Protocol):
    """A stage's command: takes arguments, returns the exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the stage."""


def parser_of(name: str, description: str | None, *, example: str) -> argparse.ArgumentParser:
    """A parser of a stage's command line, whose help ends with an example."""
    program = f"python -m pipelines {name}"
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=f"example: {program} {example}",
        formatter_class=_Formatter,
    )


def add_paths(parser: argparse.ArgumentParser, *names: str, **others: tuple[str, str]) -> None:
    """Options for places that several stages read, and others; each has its usual place."""
    for name, (usual, words) in ({name: PLACES[name] for name in names} | others).items():
        parser.add_argument(f"--{name}", type=Path, default=Path(usual), help=words)


def in_one_line(main: Main) -> Main:
    """Let what the user can act on be one line, and Ctrl-C too; any other error shows.

    After Ctrl-C the threads of a pool of workers end in silence.
    """

    @functools.wraps(main)
    def command(argv: Sequence[str] | None = None) -> int:
        try:
            status = main(argv)
            sys.stdout.flush()
        except KeyboardInterrupt:
            if argv is None:
                _silence()
            print("stopped; run again to continue", file=sys.stderr, flush=True)
            return INTERRUPTED
        except process.TOLD as error:
            status = process.told(error, complain)
            return 1 if isinstance(error, TrajStoreError) else status
        return status

    return command


def complain(message: str) -> None:
    """One line on stderr."""
    with contextlib.suppress(OSError):
        print(" ".join(message.split()), file=sys.stderr, flush=True)


def _silence() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
