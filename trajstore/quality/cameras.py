"""A check that every camera saw something, and that it changed."""

from collections.abc import Iterator

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.quality.contract import Contract
from trajstore.version.findings import Finding, Severity

LONG = 10
"""Steps from which an episode of one picture tells something."""
PLACES = 5
"""Frames of an episode that are looked at first, and all of them where these are alike."""
AT_ONCE = 64 * 2**20
"""Bytes of frames that are looked at together."""


def cameras(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """No camera gives one and the same frame, or frames of one colour, through a whole episode."""
    for spec in dataset.schema.fields:
        if not is_camera(spec):
            continue
        blank, still = [], []
        for index in _suspects(dataset, spec):
            frames = dataset[index].arrays[spec.name]
            if _blank(frames):
                blank.append(index)
            elif _still(frames):
                still.append(index)
        for found, what in ((blank, "one colour in every frame"), (still, "the same frame")):
            if found:
                message = (
                    f"camera {spec.name!r}: {what} through the whole of {len(found)} of "
                    f"{len(dataset)} episodes; look at them, and leave out those where it failed"
                )
                yield Finding(Severity.WARNING, "cameras", message, episode=found[0])


def is_camera(spec: FieldSpec) -> bool:
    """Whether a field holds frames of a camera: ``uint8`` pictures of one or three colours."""
    shape = spec.shape
    colours = len(shape) == 3 and bool({shape[0], shape[2]} & {1, 3})
    return colours and spec.dtype == "uint8" and spec.axis is not Axis.EPISODE


def _suspects(dataset: Dataset, spec: FieldSpec) -> Iterator[int]:
    """Long episodes of which a few frames are equal, or each of one colour."""
    lengths = dataset.lengths
    starts, long = np.cumsum(lengths) - lengths, np.flatnonzero(lengths >= LONG)
    most = max(1, AT_ONCE // (PLACES * spec.row_bytes))
    for first in range(0, len(long), most):
        chosen = long[first : first + most]
        places = np.linspace(0, lengths[chosen] - 1, PLACES, dtype=np.int64).T
        steps = (starts[chosen, None] + places).ravel()
        frames = dataset.take(steps, fields=[spec.name])[spec.name]
        for index, rows in zip(
            chosen.tolist(), frames.reshape(-1, PLACES, *spec.shape), strict=True
        ):
            if _still(rows) or _blank(rows):
                yield index


def _still(frames: np.ndarray) -> bool:
    return all(np.array_equal(frame, frames[0]) for frame in frames[1:])


def _blank(frames: np.ndarray) -> bool:
    axis = tuple(range(2)) if frames.shape[-1] in (1, 3) else (1, 2)
    return all((frame == frame.max(axis=axis, keepdims=True)).all() for frame in frames)
