"""One version as it is looked at over HTTP: its table at once, an episode when it is asked for."""

import io
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from trajstore.episode.schema import Axis
from trajstore.errors import CorruptionError, NotFoundError, StorageError
from trajstore.playback import page, payload
from trajstore.playback.channels import Channel, channels_of, more_channels, pack
from trajstore.playback.payload import About
from trajstore.playback.pictures import SMALL, Camera, cameras_of
from trajstore.playback.table import STATISTICS, fields_of
from trajstore.playback.viewed import Viewed
from trajstore.version.manifest import MANIFEST

LARGEST = 640
"""Pixels of the longest side of a picture that is sent."""
QUALITY = 85
STRIP = 16
"""Pictures that are sent together."""


@dataclass(frozen=True, slots=True)
class Found:
    """A version that somebody looks at, and what is known of it at this moment."""

    served: "Served"
    about: About


class Served:
    """A version that is open. Its methods may be called from several threads.

    Attributes:
        digest: of the content, hexadecimal.
    """

    def __init__(self, viewed: Viewed) -> None:
        self.viewed = viewed
        self.digest = viewed.manifest.content_digest
        self._sealed = self._stamp()
        self._lock = threading.RLock()

    def is_current(self) -> bool:
        """Whether the version still lies where it was opened; one elsewhere does not change."""
        return self._sealed == self._stamp()

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = (self.viewed.dataset.path / MANIFEST).stat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def record(self, about: About) -> dict[str, Any]:
        """What a page knows of the dataset before any episode is read, but for ``table``."""
        with self._lock:
            self.table()
            record = payload.dataset_record(self.viewed, about)
        return record | {"episodes": [], "fields": []}

    def table(self) -> str:
        """``episodes`` and ``fields`` of a page as JSON, the rows of the episodes as columns."""
        with self._lock:
            return self._table

    def episode(self, index: int, about: About) -> dict[str, Any]:
        """An episode: its row, and its packed numbers, as in a page.

        Raises:
            NotFoundError: if there is no such episode.
        """
        self._check(index)
        with self._lock:
            seen = self.viewed.see(index)
            row = payload.episode_record(self.viewed, about, index, seen)
            packed = {
                name: pack(seen.arrays, some, row["steps"])
                for name, some in self._channels.items()
                if any(channel.name in seen.arrays for channel in some)
            }
        if self.cameras and not row["error"]:
            row["film"] = self._film(row["steps"])
        return {"row": row, "numbers": None, "more": None, **packed}

    def strip(self, index: int, camera: int, first: int, many: int = STRIP) -> list[bytes]:
        """Up to ``many`` pictures of an episode from one on, each a JPEG, small ones a PNG.

        Raises:
            NotFoundError: if there is no such episode, camera or picture.
            CorruptionError: if they cannot be read.
        """
        from trajstore.playback.films import pictures_of  # noqa: PLC0415 - needs Pillow

        self._check(index)
        cameras = self.cameras
        steps = int(self.viewed.table["length"][index])
        if not 0 <= camera < len(cameras) or not 0 <= first < cameras[camera].frames(steps):
            raise NotFoundError(f"episode {index}: has no such picture")
        one = cameras[camera]
        places = range(first, min(first + many, one.frames(steps)))
        with self._lock:
            pictures = list(pictures_of(self.viewed, one, index, places))
        return [_encoded(it) for it in pictures]

    @cached_property
    def cameras(self) -> tuple[Camera, ...]:
        """The fields that are pictures."""
        manifest = self.viewed.manifest
        return cameras_of(manifest.schema, manifest.statistics)

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self.viewed):
            raise NotFoundError(
                f"episode: expected a number from 0 to {len(self.viewed) - 1}, got {index}"
            )

    @cached_property
    def _channels(self) -> dict[str, tuple[Channel, ...]]:
        manifest = self.viewed.manifest
        known = manifest.schema, manifest.statistics
        return {"numbers": channels_of(*known), "more": more_channels(*known)}

    def _film(self, steps: int) -> dict[str, Any]:
        cameras: list[dict[str, Any]] = []
        for it in self.cameras:
            share = min(1.0, LARGEST / max(it.size))
            shrunk = f"{LARGEST} pixels of {max(it.size)}" if share < 1 else ""
            lost = f"JPEG quality {QUALITY}" if max(it.size) > SMALL else ""
            words = ", ".join(filter(None, [shrunk, lost, it.stretched]))
            known = {"name": it.name, "size": it.size, "words": words}
            cameras.append(known | {"frames": it.frames(steps)})
        return {"every": 1, "cameras": cameras}

    @cached_property
    def _table(self) -> str:
        columns = self._columns()
        keys = ("index", *(key for key, _ in STATISTICS.values()))
        rows = [
            dict(zip(keys, values, strict=True))
            for values in zip(*(columns[key] for key in keys), strict=True)
        ]
        return page.json_text({"episodes": columns, "fields": fields_of(self.viewed, rows)})

    def _columns(self) -> dict[str, list[Any]]:
        viewed, count = self.viewed, len(self.viewed)
        found = viewed.manifest.anomalies
        names = ("scenario", viewed.dataset.schema.roles.get("outcome", "outcome"), "digest")
        scenario, outcome, digest = map(viewed.text, names)
        outcome = outcome if any(outcome) else viewed.successes
        return {
            "index": list(range(count)),
            "steps": viewed.table["length"].tolist(),
            "seed": viewed.table["seed"].tolist() if "seed" in viewed.table else [None] * count,
            "score": viewed.scores().tolist(),
            "return": self._each("reward", np.add),
            "min_clearance": self._each("clearance", np.minimum),
            "anomalies": [list(found.get(i, ()))[: payload.MARKS] for i in range(count)],
            "scenario": scenario,
            "outcome": outcome if any(outcome) else _ends(viewed),
            "digest": digest,
        }

    def _each(self, role: str, joined: np.ufunc) -> list[float | None]:
        """Of each episode the sum or the least of a field by role; ``None`` where unknown."""
        viewed = self.viewed
        schema = viewed.manifest.schema
        name = schema.roles.get(role, role)
        none: list[float | None] = [None] * len(viewed)
        if name not in schema.names or schema.field(name).axis is Axis.EPISODE or not len(viewed):
            return none
        rows = viewed.table["length"] + (schema.field(name).axis is Axis.STATE)
        try:
            column = viewed.dataset.column(name)
        except (CorruptionError, StorageError) as error:
            viewed.faults.setdefault(name, str(error))
            return none
        flat = column.reshape(len(column), -1).astype(np.float64)
        flat = flat.min(axis=1) if joined is np.minimum else flat.sum(axis=1)
        found = joined.reduceat(flat, np.cumsum(rows) - rows)
        return [round(float(it), 6) if np.isfinite(it) else None for it in found]


def _ends(viewed: Viewed) -> list[str]:
    """``terminated`` or ``truncated`` for every episode, where no outcome or success is."""
    try:
        terminated = viewed.dataset.column("terminated")
    except (CorruptionError, StorageError) as error:
        viewed.faults.setdefault("terminated", str(error))
        return [""] * len(viewed)
    last = np.cumsum(viewed.table["length"]) - 1
    return [str(it) for it in np.where(terminated[last], "terminated", "truncated")]


def _encoded(picture: np.ndarray) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, asked for by pictures alone

    image, buffer = Image.fromarray(picture), io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX, reducing_gap=2.0)
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
