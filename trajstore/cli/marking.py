"""The command ``review``: bring in what a curator marked in a page."""

from collections.abc import Mapping
from pathlib import Path

import click

from trajstore.choosing.marks import Mark, counts_of, read_marks_file
from trajstore.cli.facts import told_marks
from trajstore.cli.options import command, dry_run_option, look, reference_argument
from trajstore.cli.output import plain, print_json, print_line
from trajstore.episode.texts import legible
from trajstore.quality.marks import check_marks, disputed, mark_episodes, marked
from trajstore.store import Store


@command(
    "trajstore review expert@v3 --marks expert-v3.marks.json",
    "trajstore review expert@v3 --json",
    short_help="Show marks of episodes, or add those of a file.",
)
@reference_argument()
@click.option(
    "--marks",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Add these: JSON that a page of 'trajstore play' saved [default: only show].",
)
@dry_run_option()
def review(store: Store, reference: str, file: Path | None, dry_run: bool, as_json: bool) -> None:
    """Show which episodes of REF are marked, or add the marks of a file.

    Marks hold for an episode in every version that has it; the last one counts. Training leaves
    out episodes that are marked exclude, and 'trajstore select --marks reviewed' makes a dataset
    without them. Episodes that one curator would keep and another exclude are named.
    """
    dataset = look(store, reference)
    before = marked(dataset, store.reviews, root=store.root)
    after, changed = dict(before), 0
    if file is not None:
        found = read_marks_file(file)
        check_marks(found, dataset, name=reference, where=file)
        after = _joined(before, found.marks)
        told = [it for it in found.marks.values() if before.get(it.episode, Mark(it.episode)) != it]
        changed = len(told)
        if not dry_run:
            changed = mark_episodes(store.reviews, told, name=_name(store, reference))
    counts = counts_of(after.values())
    split = disputed(dataset, store.reviews, root=store.root)
    if as_json:
        marks = [after[it].to_json() for it in sorted(after)]
        said = [
            {"episode": lines[0].episode, "number": number,
             "said": [{"by": it.by, "mark": it.mark, "time": it.time} for it in lines]}
            for number, lines in split.items()
        ]  # fmt: skip
        record = {"changed": changed, "counts": counts, "dry_run": dry_run, "marks": marks}
        record["disputed"] = said
        print_json(record | {"reviews": legible(str(store.reviews))})
        return
    if file is not None:
        what = "would change" if dry_run else "changed"
        print_line(f"{plain(reference)}: {changed:,} marks {what}")
    words = told_marks({"marks": counts}) or "none"
    print_line(f"{plain(reference)}: marked by curators: {words}, of {len(dataset):,} episodes")
    for number, lines in split.items():
        words = ", then ".join(f"{it.mark or 'neither'} by {it.by} ({it.time})" for it in lines)
        print_line(f"episode {number} is disputed, the last word counts: {plain(words)}")
    if changed and not dry_run:
        print_line(f"written to {plain(store.reviews)}; commit it to git")


def _joined(before: Mapping[str, Mark], told: Mapping[str, Mark]) -> dict[str, Mark]:
    return {it: mark for it, mark in {**before, **told}.items() if not mark.is_plain}


def _name(store: Store, reference: str) -> str:
    dataset = look(store, reference)
    folder = dataset.path.resolve()
    inside = folder.parent.parent == store.root.resolve()
    return f"{folder.parent.name}@{folder.name}" if inside else reference
