"""Every command by name, imported when it is used."""

from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("inspection:list_versions", "Datasets and versions of the store."),
    "inspect": ("inspection:inspect", "What a version holds, and where it came from."),
    "du": ("inspection:du", "Bytes on disk, by version and field."),
    "verify": ("verification:verify", "Compare every byte of a version with what was sealed."),
    "play": ("play:play", "Watch episodes, with their anomalies marked."),
    "validate": ("judging:validate", "Decide whether a version is fit for training."),
    "approve": ("judging:approve", "Record a curator's approval of a version."),
    "quarantine": ("judging:quarantine", "Forbid training from a version."),
    "diff": ("comparison:diff", "How two versions differ."),
    "publish": ("governance:publish", "Add a recorded dataset to the store as its next version."),
    "rotate": ("governance:rotate", "Archive all but the newest versions."),
    "restore": ("governance:restore", "Bring a version back from the archive."),
    "recover": ("recovery:recover", "Seal or discard recordings that were interrupted."),
    "export": ("exchange:export", "Write a version in another format."),
    "import": ("exchange:import_", "Record a version from another format."),
    "doctor": ("health:doctor", "Check the installation and the store."),
    "completion": ("health:completion", "Print the set-up of shell completion."),
}
"""Module below ``trajstore.cli`` and its command, and one line for the list of commands."""


class LazyCommands(click.Group):
    """The group of `COMMANDS`: one is imported when it is run, or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command.

        Raises:
            click.UsageError: if it needs a package that is not installed.
        """
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(f"trajstore.cli.{module}"), attribute)
        except ModuleNotFoundError as error:
            raise click.UsageError(
                f"{cmd_name}: expected the package {error.name!r}, got none installed; "
                "install trajstore with the extra that brings it"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])
