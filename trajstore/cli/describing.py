"""``card``: a version described for those who may use it."""

from pathlib import Path

import click

from trajstore.cli.options import check_output, command, look, output_path, reference_argument
from trajstore.cli.output import plain, print_json, print_line, size
from trajstore.playback.card import PICTURE, card_of
from trajstore.playback.card_files import write_card
from trajstore.store import Store


@command(
    "trajstore card expert@v3",
    "trajstore card expert@v3 --out expert --url https://data.example.org/expert/v3",
)
@reference_argument()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    callback=output_path,
    help="Folder of the card [default: 'expert-v3-card' for expert@v3].",
)
@click.option(
    "--url",
    default="",
    metavar="URL",
    help="Where the folder of the version will be found online.",
)
@click.option("--replace", is_flag=True, help="Replace the files of an earlier card.")
def card(
    store: Store, reference: str, out: Path | None, url: str, replace: bool, as_json: bool
) -> None:
    """Write a dataset card: README.md with a picture, and croissant.json (Croissant 1.1).

    It holds fields, statistics, scenarios, status and reviews, provenance and ancestry; licence,
    citation, author and description come from the keys of the provenance that are called so. Lay
    the folder of the version beside it, or say with --url where it is.
    """
    made = card_of(store, look(store, reference), url=url)
    target = out or Path(f"{made.name.replace('@', '-')}-card")
    check_output(store.root, target)
    files = write_card(made, target, replace=replace)
    missing = [what for what in ("licence", "citation", "author") if not made.said(what)]
    if as_json:
        facts = {"version": made.name, "status": made.status, "folder": str(target)}
        print_json(facts | {"files": files, "not_in_provenance": missing})
        return
    for name, count in files.items():
        print_line(f"{plain(target / name)}  [dim]{size(count)}[/dim]")
    if missing:
        print_line(f"not in the provenance, so not on the card: {', '.join(missing)}")
    if PICTURE not in files:
        print_line(plain("no picture: pip install 'trajstore[play]'"))
