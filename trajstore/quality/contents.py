"""Checks of what the episodes hold: whole, unchanged, distinct, as measured."""

import hashlib
import re
from collections.abc import Iterator

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode import anomalies
from trajstore.episode.episode import Episode, row_bytes
from trajstore.episode.schema import Axis
from trajstore.episode.texts import brief
from trajstore.errors import SchemaError
from trajstore.quality.contract import Contract
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import content_digest
from trajstore.version.statistics import measure, of_values


def integrity(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Every file is there, of its size and digest, and there is no other."""
    yield from dataset.findings()


def contents(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Every episode fits the schema (``T + 1`` states for ``T`` steps) and its sealed digest."""
    recorded = dataset.episodes["digest"]
    digests = []
    for index, episode in enumerate(dataset):
        try:
            whole = Episode(dataset.schema, episode.arrays)
        except SchemaError as error:
            row = re.search(r"row (\d+):", str(error))
            step = int(row[1]) if row else None
            yield Finding(Severity.BLOCKING, "contents", str(error), episode=index, step=step)
            continue
        digests.append(bytes.fromhex(whole.digest))
        if whole.digest != recorded[index]:
            message = f"content: expected digest {recorded[index][:12]}, got {whole.digest[:12]}"
            yield Finding(Severity.BLOCKING, "contents", message, episode=index)
    found = content_digest(dataset.schema, digests)
    if len(digests) == len(dataset) and found != dataset.manifest.content_digest:
        message = (
            f"version: expected content digest {dataset.manifest.content_digest[:12]}, "
            f"got {found[:12]}"
        )
        yield Finding(Severity.BLOCKING, "contents", message)


def distinct(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """No two episodes have the same steps, whatever seed or scenario they claim."""
    moving = [it for it in dataset.schema.fields if it.axis is not Axis.EPISODE]
    narrow = [it for it in moving if it.is_narrow]  # wide ones follow from them
    first: dict[bytes, int] = {}
    copies: list[tuple[int, int]] = []
    for index, episode in enumerate(dataset):
        sha = hashlib.sha256()
        for field in narrow:
            sha.update(row_bytes(field, episode.arrays[field.name]))
        original = first.setdefault(sha.digest(), index)
        if original != index:
            copies.append((index, original))
    if len(copies) <= contract.allowed_copies:
        return
    named = ", ".join(f"{copy} of {original}" for copy, original in copies[:5])
    more = f" and {len(copies) - 5} more" if len(copies) > 5 else ""
    message = (
        f"episodes: only {len(first)} of {len(dataset)} have steps of their own (copies: "
        f"{named}{more}); record each scenario and seed once"
    )
    yield Finding(Severity.BLOCKING, "distinct", message, episode=copies[0][0])


def statistics(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """The statistics in the manifest are those of the data."""
    found = measure(dataset.schema, dataset)
    recorded = {name: of_values(it) for name, it in dataset.manifest.statistics.items()}
    for name in dict.fromkeys([*found, *recorded]):
        sealed, measured = recorded.get(name), found.get(name)
        if sealed == measured:
            continue
        wrong = "figures for every field of numbers, got none or too many"
        if sealed is not None and measured is not None:
            keys = dict.fromkeys([*measured, *sealed])
            key = next(key for key in keys if sealed.get(key) != measured.get(key))
            wrong = f"{key} {brief(measured.get(key))}, got {brief(sealed.get(key))}"
        message = f"statistics of {name!r}: expected {wrong}; record the dataset again"
        yield Finding(Severity.BLOCKING, "statistics", message)


def anomaly_scores(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """The sealed scores are those of the detectors, these fit, and few episodes are anomalous."""
    sealed, marks = dataset.episodes["anomaly"], dataset.manifest.anomalies
    unfit = anomalies.unfit(marks, len(dataset))
    for kind, count in unfit.items():
        message = (
            f"{kind}: flags {count} of {len(dataset)} episodes, so it tells nothing here; it "
            "does not count in their scores"
        )
        yield Finding(Severity.NOTE, "anomalies", message)
    changed = []
    for index, episode in enumerate(dataset):
        found = [it for it in anomalies.find(episode) if it.kind not in unfit]
        score = anomalies.score(found)
        if not np.isclose(sealed[index], score, atol=1e-5):
            changed.append((index, score))
    if changed:
        index, score = changed[0]
        message = (
            f"anomaly score: sealed as {sealed[index]:.3g}, and {score:.3g} by today's "
            f"detectors, which have changed since; {len(changed) - 1} more"
        )
        yield Finding(Severity.NOTE, "anomalies", message, episode=index)
    anomalous = np.flatnonzero(sealed > 0)
    if len(anomalous) > contract.anomalous_share * len(dataset):
        worst = int(np.argmax(sealed))
        message = (
            f"episodes: expected at most {contract.anomalous_share:.0%} with an anomaly, "
            f"got {len(anomalous)} of {len(dataset)}; the worst is {worst} ({sealed[worst]:.2f})"
        )
        step = next(it["first"] for it in marks[worst] if it["kind"] not in unfit)
        yield Finding(Severity.WARNING, "anomalies", message, episode=worst, step=step)
