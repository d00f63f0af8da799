"""How a stage ends: what a user can act on is one line and exit status 1, never a traceback."""

import functools
import sys
from collections.abc import Sequence
from typing import Protocol

from trajstore.errors import TrajStoreError


class Main(Protocol):
    """A stage's command: takes arguments, returns the exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the stage."""


def in_one_line(main: Main) -> Main:
    """Let a `TrajStoreError` reach the user as one line; any other error is a bug and shows."""

    @functools.wraps(main)
    def command(argv: Sequence[str] | None = None) -> int:
        try:
            return main(argv)
        except TrajStoreError as error:
            print(" ".join(str(error).split()), file=sys.stderr)
            return 1

    return command
