"""``verify``: is a version what was sealed, and does it play again as recorded?"""

import sys
from typing import Any

import click

from trajstore.cli.options import examples, json_option, open_store, pass_store, reference_argument
from trajstore.cli.output import is_interactive, plain, print_json, print_line, print_table, size

FAULTY = 1


@click.command(
    epilog=examples("trajstore verify expert@v3", "trajstore verify data/current/expert --deep")
)
@reference_argument()
@click.option("--deep", is_flag=True, help="Also read every episode and compute its digest.")
@json_option()
@pass_store
def verify(store: str, reference: str, deep: bool, as_json: bool) -> int:
    """Compare every byte of a version with what its manifest records.

    Exit status 1 says that there are findings; all are printed.
    """
    path = open_store(store).path(reference)
    findings = _verified(path, deep=deep, quiet=as_json)
    if as_json:
        print_json({"path": str(path), "findings": [found.to_json() for found in findings]})
    elif findings:
        rows = [(found.check, plain(found.message)) for found in findings]
        print_table(["check", "finding"], rows)
    else:
        print_line(f"[green]{plain(reference)}: every byte is what was sealed[/]")
    return FAULTY if findings else 0


def _verified(path: Any, *, deep: bool, quiet: bool) -> list[Any]:  # noqa: ANN401
    from trajstore.integrity import verify as verify_version

    if quiet or not is_interactive():
        return list(verify_version(path, deep=deep))
    from trajstore.manifest import Manifest

    total = Manifest.read(path).size_bytes
    label = f"reading {size(total)}"
    with click.progressbar(length=total, label=label, file=sys.stderr) as shown:
        return list(verify_version(path, deep=deep, progress=shown.update))
