"""The command that compares two versions."""

from collections.abc import Sequence

from trajstore.cli.options import command, look, reference_argument
from trajstore.cli.output import plain, print_json, print_line, print_pairs, print_table
from trajstore.quality import drift
from trajstore.store import Store


@command(
    "trajstore diff expert@v2 expert@v3", "trajstore diff expert@v3 data/current/expert --json"
)
@reference_argument("before")
@reference_argument("after")
def diff(store: Store, before: str, after: str, as_json: bool) -> None:
    """Compare two versions: episodes, fields, coverage, distributions, provenance."""
    found = drift.diff(look(store, before), look(store, after))
    if as_json:
        print_json(found.to_json())
    else:
        _print_difference(before, after, found)


def _print_difference(before: str, after: str, found: drift.VersionDiff) -> None:
    pairs = {
        "content": "the same" if found.same_content else "differs",
        "episodes kept": str(found.kept),
        "added": _indices(found.added),
        "removed": _indices(found.removed),
        "changed": _indices([new for _, new in found.changed]),
    }
    print_pairs(pairs, title=f"{plain(before)} -> {plain(after)}")
    for line in found.schema:
        print_line(f"schema: {plain(line)}")
    if found.coverage:
        counts = [(plain(it), str(one), str(two)) for it, (one, two) in found.coverage.items()]
        print_table(("scenario", ">before", ">after"), counts, title="coverage")
    rows = [
        (
            f"{plain(it.field)}\\[{it.component}]",
            it.verdict,
            f"{it.distance:.3f}",
            f"{it.psi:.3f}",
            f"{it.means[0]:.4g} -> {it.means[1]:.4g}",
            f"{it.deviations[0]:.4g} -> {it.deviations[1]:.4g}",
        )
        for it in found.drift
        if it.verdict != "same"
    ]
    if rows:
        columns = ("component", "drift", ">KS", ">PSI", "mean", "deviation")
        print_table(columns, rows, title="distributions")
    print_line(f"distributions: {len(rows)} of {len(found.drift)} fields moved")
    if found.provenance:
        values = [
            (plain(it), plain(one), plain(two)) for it, (one, two) in found.provenance.items()
        ]
        print_table(("provenance", "before", "after"), values)


def _indices(indices: Sequence[int]) -> str:
    shown = ", ".join(str(index) for index in indices[:8])
    more = ", ..." if len(indices) > 8 else ""
    return f"{len(indices)}" + (f" (episodes {shown}{more})" if indices else "")
