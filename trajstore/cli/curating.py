"""Commands that make datasets from others: select, merge, split, rename, copy."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import click

from trajstore.cli.options import (
    FiniteRange,
    command,
    dry_run_option,
    look,
    reference_argument,
)
from trajstore.cli.output import plain, print_json, print_line, size
from trajstore.curation.making import Kept
from trajstore.quality.reviews import decisions_on
from trajstore.store import Store


def _making(run: Callable[..., Any]) -> Callable[..., Any]:
    """What all commands take that make a version: ``name`` and what goes into `Options`."""
    for option in (
        dry_run_option("Say what would be made, and make nothing."),
        click.option(
            "--as", "name", required=True, metavar="NAME", help="Name of the new dataset."
        ),
        click.option(
            "--reason", default="", help="Why, in one sentence; it stays with the version."
        ),
        click.option(
            "--rewrite",
            "anew",
            is_flag=True,
            help="Copy the chosen rows only. Otherwise files of which at least half is wanted are "
            "shared as they are, with the rows of episodes that were left out still in them.",
        ),
        click.option(
            "--quota-gb",
            "quota",
            type=FiniteRange(min=0, min_open=True),
            default=25.0,
            show_default=True,
            help="Most bytes that the new version may take, in 10^9.",
        ),
    ):
        run = option(run)
    return run


def _options(quota: float, **rest: Any) -> dict[str, Any]:  # noqa: ANN401 - a command's
    return {"quota_bytes": max(1, int(quota * 1e9)), **rest}


@command(
    'trajstore select expert@v3 --as expert-clean --where "success and anomaly < 1"',
    'trajstore select expert@v3 --as expert-few --episodes 0,4-9 --reason "quick trials"',
    "trajstore select expert@v3 --as expert-seen --marks marks.json --dry-run",
)
@reference_argument()
@click.option(
    "--where",
    metavar="CONDITION",
    help="Keep episodes of which this is true, such as: operator == 'bo' and length >= 50 and not "
    "(scenario in ['a', 'b']). It knows the fields of an episode, length, return, anomaly (score), "
    "status, episode (number), digest, and tags, mark, note of the reviews or --marks ('blurred' "
    "in tags); < <= > >= == != + - * / % and goal[0]. Put blanks around a minus.",
)
@click.option(
    "--episodes", metavar="0,4-9", help="Numbers of episodes to choose from [default: all]."
)
@click.option("--exclude", metavar="3,17", help="Numbers of episodes to leave out.")
@click.option(
    "--marks",
    metavar="FILE",
    help="Leave out what is marked exclude in this JSON file, or in the reviews: 'reviewed'.",
)
@_making
def select(  # noqa: PLR0913 - a command's
    store: Store, /, reference: str, name: str, *, dry_run: bool, as_json: bool, reason: str,
    anew: bool, quota: float, **chosen: Any,  # noqa: ANN401 - a command's
) -> None:  # fmt: skip
    """Make a new dataset of the episodes of REF that meet every condition.

    The new version is a draft, names what it was made from, and shares files with it.
    """
    look(store, reference)
    options = _options(quota, dry_run=dry_run, reason=reason, anew=anew)
    _print([store.select(reference, name, **chosen, **options)], dry_run, as_json)


@command(
    "trajstore merge expert@v3 teleop@v1 --as all",
    'trajstore merge expert@v2 expert@v3 --as both --reason "one training set"',
)
@click.argument("references", metavar="REF REF...", nargs=-1, required=True)
@_making
def merge(
    store: Store, /, references: Sequence[str], name: str, *, dry_run: bool, as_json: bool,
    quota: float, **options: Any,  # noqa: ANN401 - a command's
) -> None:  # fmt: skip
    """Put the episodes of several versions into one new dataset, in their order.

    An episode that several of them have is taken once; the others are counted.
    """
    made = store.merge(references, name, **_options(quota, dry_run=dry_run, **options))
    _print([made], dry_run, as_json)


def _fractions(context: click.Context, option: click.Parameter, text: str) -> dict[str, float]:
    """Callback of an option: shares by name."""
    pairs = [piece.partition("=") for piece in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise click.BadParameter(
            f"{text!r} has a name twice; give each part a name of its own", context, option
        )
    try:
        return {name: float(share) for name, (*_, share) in zip(names, pairs, strict=True)}
    except ValueError:
        raise click.BadParameter(
            f"write shares such as train=0.8,test=0.2, not {text!r}", context, option
        ) from None


@command(
    "trajstore split expert@v3 --fractions train=0.8,test=0.2 --seed 0 --as expert",
    "trajstore split expert@v3 --fractions train=0.7,val=0.1,test=0.2 --seed 0 --by operator "
    "--as expert",
)
@reference_argument()
@click.option(
    "--fractions",
    required=True,
    metavar="train=0.8,test=0.2",
    callback=_fractions,
    help="Share of each part, by its name; together 1.",
)
@click.option(
    "--seed",
    required=True,
    type=click.IntRange(0),
    help="Of the draw; the same seed divides the same way.",
)
@click.option(
    "--by",
    metavar="FIELD",
    help="Keep episodes of one value of this field together, so that no operator, scenario or seed "
    "lies in two parts; shares are then as near as the groups allow. Equal episodes always stay "
    "together.",
)
@_making
def split(  # noqa: PLR0913 - a command's
    store: Store, /, reference: str, name: str, *, fractions: dict[str, float], seed: int,
    by: str | None, dry_run: bool, as_json: bool, quota: float,
    **options: Any,  # noqa: ANN401 - a command's
) -> None:  # fmt: skip
    """Divide the episodes of REF at random into new datasets: NAME-train, NAME-test and so on."""
    look(store, reference)
    rest = _options(quota, dry_run=dry_run, **options)
    made = store.split(reference, name, fractions=fractions, seed=seed, by=by, **rest)
    _print(made, dry_run, as_json)


def _print(made: Sequence[Kept], dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "made": [asdict(it) for it in made]})
        return
    for it in made:
        left = f", {it.left_out:,} left out" if it.left_out else ""
        left += f" ({it.duplicates:,} of them are in an earlier one)" if it.duplicates else ""
        print_line(
            f"{plain(it.reference)}: {'would be made' if dry_run else 'made'} of {it.episodes:,} "
            f"episodes, {it.steps:,} steps{left}; {size(it.shared_bytes)} shared with "
            "what it was made from"
        )


@command("trajstore rename expert teleop --dry-run", "trajstore rename expert teleop")
@click.argument("old")
@click.argument("new")
@dry_run_option("Say what would be done, and do nothing.")
def rename(store: Store, old: str, new: str, dry_run: bool, as_json: bool) -> None:
    """Give the dataset OLD the name NEW, with its versions, verdicts and ledger.

    Packs in the archive keep their names, and are found by the ledger.
    """
    store.rename(old, new, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "old": old, "new": new})
    else:
        print_line(f"{plain(old)}: {'would be' if dry_run else 'is now'} {plain(new)}")


@command(
    "trajstore copy expert@v3 --to /data/team/store",
    "trajstore copy archive:expert@v1 --to s3://bucket/store --dry-run",
)
@reference_argument()
@click.option("--to", required=True, metavar="DIR_OR_URL", help="The other store.")
@click.option("--as", "name", metavar="NAME", help="Name of the dataset there [default: the same].")
@dry_run_option("Say what would be done, and do nothing.")
def copy(
    store: Store, reference: str, to: str, name: str | None, dry_run: bool, as_json: bool
) -> None:
    """Copy the version REF, with its verdict, into another store, and read it back.

    The same content is copied once. Curators' reviews lie in a file of their own.
    """
    dataset = look(store, reference)
    done = store.copy(reference, to, name=name, dry_run=dry_run)
    decided = decisions_on(dataset.path, store.reviews, done.content_digest, root=store.root)
    if as_json:
        print_json(asdict(done) | {"dry_run": dry_run, "reviews": len(decided)})
        return
    what = "copied and compared" if done.new else "there already, nothing copied"
    what = f"would be copied to {plain(done.where)}" if dry_run and done.new else what
    print_line(f"{plain(done.reference)} at {plain(done.where)}: {what}, {size(done.bytes)}")
    if decided:
        print_line(
            f"{store.status_of_dataset(dataset).value} by review: what was decided lies in "
            f"{plain(store.reviews)}; take it along"
        )
