"""Rerun: versions as recordings for its viewer, one an episode: ``rerun FOLDER/*.rrd``."""

from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.interop.imported import Progress, unwatched, whole_export

MOST_CURVES = 64
"""Components of a row that are drawn as curves."""
_COLOURS: dict[tuple[int, ...], str] = {(): "L", (1,): "L", (3,): "RGB", (4,): "RGBA"}


def export_dataset(
    dataset: Dataset,
    target: Path,
    *,
    fps: int | None = None,
    progress: Progress = unwatched,
) -> tuple[str, ...]:
    """Write a version as ``episode_000000.rrd`` and so on in a new folder.

    Rows lie on the timeline ``step``, and on ``time`` if seconds are known: by ``fps``, else by
    ``dt`` of the provenance. Pictures stay exact. Other numbers become curves of 64-bit floats.

    Returns:
        Fields that Rerun does not show, one line each.

    Raises:
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    dt = 1 / fps if fps else dataset.manifest.provenance.get("dt")
    seconds = float(dt) if isinstance(dt, int | float) and dt > 0 else None
    fields = [it for it in dataset.schema.fields if it.axis is not Axis.EPISODE]
    names = [it.name for it in fields if _kind(it) == ""]
    with whole_export(target) as whole:
        whole.mkdir()
        for index, episode in enumerate(dataset):
            recording = rr.RecordingStream(target.name, recording_id=episode.digest)
            recording.save(whole / f"episode_{index:06d}.rrd")
            try:
                _write(recording, episode, index, seconds)
            finally:
                recording.flush()
                recording.disconnect()
            progress(1)
    return tuple(f"field {name!r}: neither a picture nor few numbers a row" for name in names)


def _kind(spec: FieldSpec) -> str:
    if spec.is_text:
        return "text"
    picture = spec.dtype == "uint8" and len(spec.shape) in (2, 3)
    if picture and min(spec.shape[:2]) > 1 and spec.shape[2:] in _COLOURS:
        return "picture"
    return "curves" if int(np.prod(spec.shape)) <= MOST_CURVES else ""


def _write(recording: Any, episode: Episode, index: int, seconds: float | None) -> None:  # noqa: ANN401
    recording.send_recording_name(f"episode {index}")
    about = [f"episode {index}, {len(episode)} steps", ""]
    for spec in episode.schema.fields:
        rows = episode.arrays[spec.name]
        if spec.axis is Axis.EPISODE:
            about.append(f"- {spec.name}: {np.array2string(rows, threshold=20)}")
            continue
        if _kind(spec):
            _write_field(recording, spec, rows, seconds)
    text = rr.TextDocument("\n".join(about), media_type=rr.MediaType.MARKDOWN)
    recording.log("episode", text, static=True)


def _write_field(
    recording: Any,  # noqa: ANN401 - a recording
    spec: FieldSpec,
    rows: np.ndarray,
    seconds: float | None,
) -> None:
    steps = np.arange(len(rows))
    indexes = [rr.TimeColumn("step", sequence=steps)]
    if seconds is not None:
        indexes.append(rr.TimeColumn("time", duration=steps * seconds))
    if _kind(spec) == "text":
        columns = rr.TextLog.columns(text=rows.tolist())
    elif _kind(spec) == "picture":
        height, width = spec.shape[:2]
        pixels = rr.components.ImageFormat(
            width=width, height=height, color_model=_COLOURS[spec.shape[2:]], channel_datatype="U8"
        )
        recording.log(spec.name, rr.Image.from_fields(format=pixels), static=True)
        columns = rr.Image.columns(buffer=np.ascontiguousarray(rows).reshape(len(rows), -1))
    else:
        columns = rr.Scalars.columns(scalars=rows.reshape(len(rows), -1).astype(np.float64))
    recording.send_columns(spec.name, indexes=indexes, columns=columns)
