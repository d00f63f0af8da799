"""The ``trajstore`` command: reads arguments, calls the library, prints."""

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from trajstore.cli import process
from trajstore.cli.output import complain
from trajstore.cli.places import place_options

COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("looking:list_versions", "Datasets and versions of the store."),
    "inspect": ("looking:inspect", "What a version holds, and where it came from."),
    "du": ("looking:du", "Bytes on disk, by version and field."),
    "card": ("describing:card", "Write a dataset card: a page, a picture, Croissant."),
    "verify": ("verifying:verify", "Check that no byte changed, and play episodes again."),
    "play": ("play:play", "Watch episodes, with their anomalies marked."),
    "serve": ("serve:serve", "Look at the store in a browser, and mark episodes."),
    "validate": ("judging:validate", "Decide whether a version is fit for training."),
    "approve": ("judging:approve", "Allow training from a version, with a reason."),
    "quarantine": ("judging:quarantine", "Forbid training from a version, with a reason."),
    "review": ("marking:review", "Show marks of episodes, or add those of a file."),
    "diff": ("judging:diff", "How two versions differ."),
    "select": ("curating:select", "Make a new dataset of some of a version's episodes."),
    "merge": ("curating:merge", "Put several versions into one new dataset."),
    "split": ("curating:split", "Divide a version at random, into train and test say."),
    "rename": ("curating:rename", "Give a dataset another name."),
    "copy": ("curating:copy", "Copy a version into another store."),
    "publish": ("moving:publish", "Add a validated version to the store, archive the oldest."),
    "rotate": ("moving:rotate", "Archive all but the newest versions of a dataset."),
    "restore": ("moving:restore", "Bring a version back from the archive."),
    "recover": ("moving:recover", "Seal or discard recordings that were interrupted."),
    "export": ("exchange:export", "Write a version in another format."),
    "import": ("exchange:import_", "Take in data of another format."),
    "doctor": ("health:doctor", "Check the installation and the store."),
    "completion": ("health:completion", "Complete commands in your shell."),
}
"""Module below ``trajstore.cli`` and its command, and one line for the list of commands."""

EPILOG = """\b
Examples:
  trajstore list
  trajstore inspect expert@v3
  trajstore verify expert --deep --store /data/store
"""


class LazyCommands(click.Group):
    """The group of `COMMANDS`: one is imported when it is run, or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; wrong use if it needs a package that is not installed."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            with process.loading():
                home = import_module(f"trajstore.cli.{module}")
            command: click.Command = getattr(home, attribute)
        except ModuleNotFoundError as error:
            raise click.UsageError(
                f"{cmd_name}: needs the package {error.name!r}, which is not installed: pip "
                f"install {error.name}"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyCommands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="trajstore")
@place_options
@click.pass_context
def trajstore(context: click.Context) -> None:
    """Record, watch, check and share demonstrations, as versions that never change.

    REF names a version: expert (the newest validated one), expert@v3, expert@latest, or a path.
    Commands that only look also take archive:expert@v1, the path of a pack, or a URL such as
    s3://bucket/expert/v1. The options below may stand before a command or behind it.
    """
    context.ensure_object(dict)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status.

    0 is good, 1 says that the data is at fault, 2 wrong use, 130 that Ctrl-C was pressed,
    141 that the reader of the output went away, such as ``head``. Our own faults are raised.
    """
    try:
        result = trajstore.main(arguments, prog_name="trajstore", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return process.told(KeyboardInterrupt(), complain)
    except process.TOLD as error:
        return process.told(error, complain)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError) or process.reader_is_gone():
            return process.told(BrokenPipeError(), complain)
        raise
    return result if isinstance(result, int) else 0


def main() -> None:
    """Run the command line of this process; a fault of the program is one line too, status 70."""
    process.begin()
    try:
        status = run()
    except Exception as error:  # noqa: BLE001 - nobody but the user is left to be told
        status = process.told(error, complain)
    process.end(status, complain)
