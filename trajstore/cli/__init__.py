"""The ``trajstore`` command: reads arguments, calls the library, prints."""

import os
import select
import sys
from collections.abc import Sequence

import click

from trajstore.cli.commands import LazyCommands
from trajstore.cli.output import complain, exit_status
from trajstore.errors import TrajStoreError

INTERRUPTED = 130
PIPE_CLOSED = 141

EPILOG = """\b
Examples:
  trajstore list
  trajstore inspect expert@v3
  trajstore --store /data/store verify expert --deep
"""


@click.group(
    cls=LazyCommands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="trajstore")
@click.option(
    "--store",
    default="data/store",
    show_default=True,
    envvar="TRAJSTORE",
    type=click.Path(file_okay=False),
    help="Folder of the store; also from the environment variable TRAJSTORE.",
)
@click.pass_context
def trajstore(context: click.Context, store: str) -> None:
    """A versioned store of expert trajectories.

    REF is a version: expert (the newest validated one), expert@v3, expert@latest, or a path.
    For looking also archive:expert@v1, read in its pack, or a URL such as s3://bucket/expert/v1.
    """
    archive, reviews = os.environ.get("TRAJSTORE_ARCHIVE"), os.environ.get("TRAJSTORE_REVIEWS")
    context.obj = {"root": store, "archive": archive or None, "reviews": reviews or None}


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status.

    0 is good, 1 says that the data is at fault, 2 wrong use, 130 that Ctrl-C was pressed,
    141 that the reader of the output went away, such as ``head``.
    """
    try:
        result = trajstore.main(arguments, prog_name="trajstore", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except TrajStoreError as error:
        complain(str(error))
        return exit_status(error)
    except BrokenPipeError:
        return _pipe_closed()
    except OSError as error:
        complain(_refused(error))
        return 1
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError) or _reader_is_gone():
            return _pipe_closed()
        raise
    return result if isinstance(result, int) else 0


def _refused(error: OSError) -> str:
    """What to say of a refusal of the operating system; without a file's name, of the output."""
    if error.filename is None:
        _drop_output()
        where, remedy = "output", "what was printed is not whole; write it elsewhere"
    else:
        where, remedy = str(error.filename), "look at the file and its permissions"
    return f"{where}: expected the system to take it, got {error.strerror or error}; {remedy}"


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads; then click exits with 1, and says nothing."""
    polled = select.poll()
    polled.register(1, 0)
    return any(event & select.POLLERR for _, event in polled.poll(0))


def _pipe_closed() -> int:
    _drop_output()
    return PIPE_CLOSED


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that the end of the process is quiet too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run())
