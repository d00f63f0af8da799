"""Write ``reference.md``, the command line reference, from the help of the commands."""

from pathlib import Path

import click

from trajstore.cli import trajstore

TARGET = Path(__file__).with_name("reference.md")
WIDTH = 88
"""Columns of the help texts, whatever the terminal."""

HEAD = """# Command line reference

This page is the text of `--help`. `python docs/make_reference.py` writes it; a test compares.

Exit status of every command: 0 good, 1 the data is at fault, 2 wrong use, 130 interrupted,
141 the reader of the output went away (`... | head`), 70 a fault of the program itself, told in one
line with its place in the code; `TRAJSTORE_TRACEBACK=1` in the environment shows all of it.
Messages go to standard error. `--json` prints one JSON document on standard output,
in ASCII where that stream is not UTF-8.
"""


def help_of(command: click.Command, parent: click.Context | None, name: str) -> str:
    """The help text of one command, as a section of Markdown."""
    settings = {**command.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    with click.Context(command, parent, name, **settings) as context:
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        title = context.command_path
    return f"## `{title}`\n\n```text\n{text}\n```\n"


def reference() -> str:
    """The whole page."""
    top = click.Context(trajstore, None, "trajstore", **trajstore.context_settings)
    commands = {name: trajstore.get_command(top, name) for name in trajstore.list_commands(top)}
    parts = [help_of(command, top, name) for name, command in commands.items() if command]
    return "\n".join([HEAD, help_of(trajstore, None, "trajstore"), *parts])


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
