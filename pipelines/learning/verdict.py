"""Whether a dataset, or what was cloned from it, may be trained from: by all who decide on it."""

from pathlib import Path

from pipelines.learning.runlog import RunError
from trajstore.choosing.marks import EXCLUDE
from trajstore.dataset import Dataset
from trajstore.disk.checked import CHECK, without_check
from trajstore.disk.files import read_json
from trajstore.errors import StatusError
from trajstore.quality.marks import reviewed_marks
from trajstore.quality.reviews import effective_status, read_reviews, status_of
from trajstore.version.manifest import Status


def check_verdict(
    report: Path, dataset: Dataset, *, where: Path, reviews: Path | None = None
) -> None:
    """Refuse a dataset unless the report says that this very one is validated, and no one says no.

    A review wins over the report, as everywhere, and so does a verdict beside the version.
    """
    digest = dataset.manifest.content_digest
    found = read_report(report)
    if (found.get("digest"), found.get("status")) != (digest, Status.VALIDATED.value):
        raise StatusError(
            f"dataset {where}: {report} does not call digest {digest} validated, but says "
            f"digest {found.get('digest')}, status {found.get('status')}; run the stage "
            "validate"
        )
    _refuse(status_of(where, reviews, digest), digest, reviews, where=f"dataset {where}")


def read_report(path: Path) -> dict[str, object]:
    """The report of a validation; one without a check value, of an earlier release, passes."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise RunError(f"{path}: expected a report of validation, got other JSON; validate again")
    return without_check(found, path) if CHECK in found else found


def excluded_episodes(dataset: Path, reviews: Path | None) -> frozenset[str]:
    """Digests of the episodes that curators marked ``exclude``, those of other datasets too."""
    marks = reviewed_marks(reviews, version=dataset).values()
    return frozenset(it.episode for it in marks if it.mark == EXCLUDE)


def check_quarantine(digest: str, reviews: Path | None, *, where: str) -> None:
    """Refuse what was made from content that a review quarantines."""
    status = effective_status(None, read_reviews(reviews), digest)
    _refuse(status, digest, reviews, where=where)


def _refuse(status: Status, digest: str, reviews: Path | None, *, where: str) -> None:
    if status is Status.QUARANTINED:
        raise StatusError(
            f"{where}: quarantined, digest {digest}, so it must not be trained from; {reviews} "
            "says why"
        )
