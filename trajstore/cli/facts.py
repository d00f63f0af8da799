"""What is known of a version from its manifest and the files beside it; no array is read."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajstore.dataset import Dataset
from trajstore.errors import TrajStoreError
from trajstore.governance import status_of
from trajstore.manifest import MANIFEST, Manifest
from trajstore.quota import DEFAULT_QUOTA_BYTES
from trajstore.replay_report import read_report
from trajstore.reviews import history, read_reviews
from trajstore.status import read_verdict
from trajstore.store import Store

Facts = dict[str, Any]


def summary(store: Store, path: Path) -> Facts:
    """One version in a line: counts, sizes, status, age.

    Raises:
        CorruptionError: if the manifest, the verdict or the reviews are damaged.
    """
    head = _counts(store, path, Manifest.read(path))
    return head | {"path": str(path), "sealed": sealed_at(path)}


def sealed_at(path: Path) -> float | None:
    """When a version was sealed, seconds; ``None`` if its folder is not on this machine."""
    manifest = path / MANIFEST
    return round(manifest.stat().st_mtime, 3) if manifest.exists() else None


def _counts(store: Store, path: Path, manifest: Manifest) -> Facts:
    status = status_of(path, store.reviews, manifest.content_digest)
    return {
        "status": status.value,
        "episodes": manifest.episodes,
        "steps": manifest.steps,
        "bytes": manifest.size_bytes,
        "quota_bytes": DEFAULT_QUOTA_BYTES,
        "scenarios": len(manifest.scenario_counts),
        "anomalous_episodes": len(manifest.anomalies),
        "content_digest": manifest.content_digest,
    }


def summaries(store: Store, names: list[str]) -> Iterator[Facts]:
    """Every version, and every unfinished recording, of some datasets; damaged ones say so."""
    for name in names:
        for number in sorted({*store.versions(name), *store.bereft(name)}):
            head = {"dataset": name, "version": f"v{number}"}
            try:
                yield head | summary(store, store.folder(name) / f"v{number}")
            except TrajStoreError as error:
                yield head | {"status": "damaged", "error": str(error)}
        for recording in store.recordings(name):
            yield {
                "dataset": name,
                "version": recording.target.name,
                "status": "recording",
                "bytes": recording.journal_bytes,
                "path": str(recording.folder),
            }


def details(store: Store, dataset: Dataset) -> Facts:
    """All of a version that its manifest, its verdict, its reviews and its replay say."""
    manifest, path = dataset.manifest, dataset.path
    verdict = read_verdict(path)
    replay = read_report(path)
    decided = history(read_reviews(store.reviews), manifest.content_digest)
    return {
        **_counts(store, path, manifest),
        "path": dataset.where,
        "sealed": sealed_at(path),
        "format_version": manifest.format_version,
        "schema": manifest.schema.to_json(),
        "schema_digest": manifest.schema.digest,
        "parts": [part.to_json() for part in manifest.parts],
        "files": len(manifest.files),
        "scenario_counts": dict(manifest.scenario_counts),
        "statistics": {name: dict(values) for name, values in manifest.statistics.items()},
        "provenance": dict(manifest.provenance),
        "anomalies": {str(key): list(found) for key, found in manifest.anomalies.items()},
        "verdict": None if verdict is None else verdict.to_json(),
        "reviews": [review.to_json() for review in decided],
        "replay": None if replay is None else replay.to_json(),
        "replay_is_current": replay is not None
        and replay.content_digest == manifest.content_digest,
    }


def seconds_since(moment: float) -> float:
    """Seconds from a moment until now."""
    return time.time() - moment
