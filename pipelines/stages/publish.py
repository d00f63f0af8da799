"""Stage: put the validated dataset into the ring of live versions; the oldest are archived."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from loguru import logger
from msgspec import Meta

from pipelines.running.params import Amount, Count, read_section
from pipelines.running.stage import add_paths, in_one_line, parser_of
from trajstore.disk.checked import CHECK, without_check
from trajstore.disk.files import read_json
from trajstore.errors import CorruptionError
from trajstore.lifecycle import Published, publish
from trajstore.lifecycle.rotation import Retention
from trajstore.quality.records import VERDICT, Verdict
from trajstore.store import Store
from trajstore.version.location import check_lasting


@dataclass(frozen=True, slots=True)
class PublishParams:
    """How many live versions of each status are kept.

    Attributes:
        archive: folder or URL that older versions go to; outside the workspace.
        budget_bytes: most that all live versions of all datasets may take.
    """

    archive: Annotated[str, Meta(min_length=1)]
    keep_validated: Count
    keep_draft: Amount
    keep_quarantined: Amount
    budget_bytes: Count


def run(
    params: PublishParams, *, dataset: Path, report: Path, store: Path, reviews: Path
) -> Published:
    """Publish the dataset under its folder's name; the same content is published once.

    Raises:
        ArgumentError: the archive would be gone with this process.
        CorruptionError: the report is not one of validation.
    """
    check_lasting(params.archive)
    verdict = _read_verdict(report)
    shelf = Store(store, archive=params.archive, reviews=reviews).shelf(dataset.name)
    retention = Retention(params.keep_validated, params.keep_draft, params.keep_quarantined)
    budget = params.budget_bytes
    return publish(shelf, dataset, verdict=verdict, retention=retention, budget_bytes=budget)


def _read_verdict(report: Path) -> Verdict:
    record = read_json(report)
    try:
        document = {"format_version": 1, "status": record["verdict"], "history": []}
        if CHECK in record:
            record = without_check(record, report)
        document |= {name: record[name] for name in ("digest", "findings", "contract")}
    except (KeyError, TypeError) as error:
        raise CorruptionError(
            f"{report}: cannot be read as a report of validation ({error!r}); validate again"
        ) from error
    return VERDICT.parse(document, report)


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    parser = parser_of(
        "publish", __doc__, example="--dataset data/current/expert --store data/store"
    )
    add_paths(parser, "params", "dataset", "report", "store", "reviews")
    arguments = parser.parse_args(argv)
    done = run(
        read_section(arguments.params, "publish", PublishParams),
        dataset=arguments.dataset,
        report=arguments.report,
        store=arguments.store,
        reviews=arguments.reviews,
    )
    state = "published" if done.new else "was published before"
    logger.info("{} {} as v{}", arguments.dataset.name, state, done.version)
    return 0
