"""What is known of a version from its manifest and the files beside it; no array is read."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from trajstore.choosing.marks import counts_of
from trajstore.cli.output import chip, complain, plain, size
from trajstore.cli.places import named_store
from trajstore.dataset import Dataset
from trajstore.episode import anomalies
from trajstore.errors import NotFoundError, StorageError, TrajStoreError
from trajstore.lifecycle.kinds import kind_of
from trajstore.quality.marks import marked as marks_of
from trajstore.quality.records import read_report, read_verdict
from trajstore.quality.reviews import UNREADABLE, decisions_on, standing
from trajstore.recording.unfinished import (
    check_begun,
    journal_bytes,
    open_recording,
    recording_folder,
)
from trajstore.store import Store
from trajstore.version.coders import psnr
from trajstore.version.layout import Part
from trajstore.version.manifest import MANIFEST, Manifest
from trajstore.version.statistics import CAMERA
from trajstore.version.writer import DEFAULT_QUOTA_BYTES

Facts = dict[str, Any]
OTHERS = (
    "a version",
    "a dataset",
    "a folder inside",
    "an archive",
    "an unfinished",
    "the folder around",
)
"""What may be named by mistake for a store, as `kind_of` calls it."""


def check_there(store: Store) -> None:
    """Refuse a store that was named and is none; the default one may be yet to come."""
    if not named_store(click.get_current_context()) or store.datasets():
        return
    kind = kind_of(store.root) if store.root.is_dir() else "none there"
    if kind == "none there" or kind.startswith(OTHERS):
        raise NotFoundError(
            f"{store.root}: no store there: {kind}; name it with --store or TRAJSTORE, or "
            "record into it first"
        )


def version_lines(store: Store, names: list[str]) -> Iterator[Facts]:
    """Every version, and every unfinished recording, of some datasets; damaged ones say so."""
    for name in names:
        shelf = store.shelf(name)
        try:
            numbers = sorted({*shelf.live(), *shelf.bereft()})
        except StorageError as error:
            yield {"dataset": name, "version": "", "status": UNREADABLE, "error": str(error)}
            continue
        try:
            shelf.ledger()
        except TrajStoreError as error:
            head = {"dataset": name, "version": "ledger"}
            yield head | {"status": "damaged", "error": str(error)}
        for number in numbers:
            head = {"dataset": name, "version": f"v{number}"}
            path = shelf.path(number)
            try:
                line = _line(store, path, Manifest.read(path))
                yield head | line | {"path": str(path), "marks": marked(store, path)}
            except StorageError as error:
                yield head | {"status": UNREADABLE, "error": str(error)}
            except TrajStoreError as error:
                yield head | {"status": "damaged", "error": str(error)}
        for target in store.unfinished(name):
            with suppress(NotFoundError):
                yield recording_line(target)


def marked(store: Store, version: Dataset | Path) -> dict[str, int]:
    """How many episodes are marked; nothing where marks, or digests of episodes, are damaged."""
    with suppress(TrajStoreError):
        dataset = Dataset.open(version) if isinstance(version, Path) else version
        return counts_of(marks_of(dataset, store.reviews, root=store.root).values())
    return {}


def told_marks(facts: Facts) -> str:
    """The counts of marks in words; empty without any."""
    words = {"keep": "kept", "exclude": "excluded", "tagged": "tagged", "noted": "with a note"}
    counts = facts.get("marks", {})
    return ", ".join(f"{counts[it]:,} {word}" for it, word in words.items() if counts.get(it))


def _line(store: Store, path: Path, manifest: Manifest) -> Facts:
    """One version in a line: counts, sizes, status, and when it was sealed if it lies here."""
    status, wrong = standing(path, store.reviews, manifest.content_digest, root=store.root)
    file = path / MANIFEST
    return {
        "status": status,
        **({"error": wrong} if wrong else {}),
        "episodes": manifest.episodes,
        "steps": manifest.steps,
        "bytes": manifest.size_bytes,
        "quota_bytes": DEFAULT_QUOTA_BYTES,
        "scenarios": len(manifest.scenario_counts),
        "anomalous_episodes": _anomalous(manifest),
        "content_digest": manifest.content_digest,
        "sealed": round(file.stat().st_mtime, 3) if file.exists() else None,
    }


def _anomalous(manifest: Manifest) -> int:
    unfit = anomalies.unfit(manifest.anomalies, manifest.episodes)
    marked = manifest.anomalies.values()
    return sum(any(it["kind"] not in unfit for it in marks) for marks in marked)


def recording_line(target: Path, *, read: bool = False) -> Facts:
    """The unfinished recording of a version to be, in a line; a damaged one says so.

    With ``read``, each episode of its journals is read and counted, and what never became one.

    Raises:
        NotFoundError: if it was sealed or discarded meanwhile.
    """
    head: Facts = {
        "dataset": target.parent.name,
        "version": target.name,
        "bytes": journal_bytes(target),
        "path": str(recording_folder(target)),
    }
    try:
        recording = open_recording(target)
        scans = recording.scans() if read else {}
        steps = [frame.steps for _, frame in recording.frames(scans)]
    except TrajStoreError as error:
        check_begun(target)
        return head | {"status": "damaged", "error": str(error)}
    torn = sum(found.torn for found in scans.values())
    counts = {"episodes": len(steps), "steps": sum(steps), "torn_bytes": torn} if read else {}
    return head | {"status": "recording", **counts}


def counted(facts: Facts) -> list[str]:
    """Dataset, version, status, episodes, steps and size for a table; empty what is not known."""
    return [
        plain(facts["dataset"]),
        facts["version"],
        chip(facts["status"]),
        *(f"{facts[name]:,}" if name in facts else "" for name in ("episodes", "steps")),
        size(facts["bytes"]) if "bytes" in facts else "",
    ]


def complain_of_damage(found: list[Facts]) -> int:
    """One line on stderr for each fault, however many it concerns; returns the exit status."""
    faults = dict.fromkeys(facts["error"] for facts in found if "error" in facts)
    for fault in faults:
        complain(fault)
    return 1 if faults else 0


def camera_facts(manifest: Manifest) -> dict[str, Facts]:
    """Of each field with a codec: what it is, its bytes, their share, the loss of a sample."""
    found = {}
    for spec in manifest.schema.fields:
        figures = manifest.statistics.get(spec.name, {}).get(CAMERA)
        if spec.codec is not None and figures is not None:
            rows = sum(Part("", it.episodes, it.steps).rows(spec.axis) for it in manifest.parts)
            found[spec.name] = {
                "codec": spec.codec.name,
                "quality": spec.codec.quality,
                "decoder": spec.codec.decoder,
                "stated": str(spec.codec),
                "bytes": figures["bytes"],
                "share_of_raw": figures["bytes"] / (rows * spec.row_bytes),
                "psnr_db": psnr(figures["squared_error"], figures["compared"]),
            }
    return found


def details(store: Store, dataset: Dataset) -> Facts:
    """All of a version that its manifest, its verdict, its reviews and its replay say."""
    manifest, path = dataset.manifest, dataset.path
    verdict, replay = read_verdict(path), read_report(path)
    decided = decisions_on(path, store.reviews, manifest.content_digest, root=store.root)
    return {
        **_line(store, path, manifest),
        "path": dataset.where,
        "format_version": manifest.format_version,
        "schema": manifest.schema.to_json(),
        "schema_digest": manifest.schema.digest,
        "parts": [part.to_json() for part in manifest.parts],
        "files": len(manifest.files),
        "scenario_counts": dict(manifest.scenario_counts),
        "statistics": {name: dict(values) for name, values in manifest.statistics.items()},
        "cameras": camera_facts(manifest),
        "provenance": dict(manifest.provenance),
        "anomalies": {str(key): list(found) for key, found in manifest.anomalies.items()},
        "verdict": None if verdict is None else verdict.to_json(),
        "reviews": [review.to_json() for review in decided],
        "marks": marked(store, dataset),
        "replay": None if replay is None else replay.to_json(),
        "replay_is_current": replay is not None
        and replay.content_digest == manifest.content_digest,
    }
