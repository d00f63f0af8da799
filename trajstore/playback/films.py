"""The pictures that a version recorded, as film in a page: as good as its bytes allow."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from trajstore.episode.schema import Axis
from trajstore.errors import CorruptionError, StorageError
from trajstore.playback.payload import BUDGET_BYTES, Progress, Side
from trajstore.playback.pictures import SMALL, Camera, cameras_of
from trajstore.playback.viewed import Viewed

BLOCK = 64
"""Pictures that are held in memory at a time."""
FILMS = 12
"""Films of a page that count more than how good each is; of one that is asked for, more still."""
ASKED_SHARE, MARGIN = 0.6, 1.1

Row = dict[str, Any]
"""What a page knows of an episode."""


@dataclass(frozen=True, slots=True)
class Level:
    """How good a film is: longest side in pixels, WebP quality (0 loses nothing), stride."""

    side: int
    quality: int
    every: int = 1

    def words(self, camera: Camera) -> str:
        """What of the recorded pictures is lost; empty for nothing."""
        shrunk = max(camera.size) > self.side
        parts = [
            f"{self.side} pixels of {max(camera.size)}" if shrunk else "",
            f"WebP quality {self.quality}" if self.quality else "",
            f"one of {self.every} pictures" if self.every > 1 else "",
        ]
        return ", ".join(filter(None, [*parts, camera.stretched]))


GOOD = (Level(SMALL, 0), Level(4096, 90), Level(640, 82), Level(480, 72), Level(320, 62))
LEVELS = (*GOOD, *(Level(240, 50, every) for every in (1, 2, 4)), Level(160, 40, 8))
"""From the best down; for more than a few films, no lower than ``GOOD`` ones."""


def encoded(picture: np.ndarray, level: Level) -> str:
    """A picture, ``uint8[height, width]`` or ``[height, width, 3]``, as a data URL."""
    image = Image.fromarray(picture)
    scale = level.side / max(image.size)
    if scale < 1:
        wide, high = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((wide, high), Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    lossless = level.quality == 0
    image.save(buffer, "WEBP", lossless=lossless, quality=level.quality or 60, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def pictures_of(
    viewed: Viewed, camera: Camera, index: int, places: Sequence[int]
) -> Iterator[np.ndarray]:
    """Some of the pictures of an episode; few are held in memory at a time."""
    take, name = viewed.dataset.take, camera.name
    first, steps = int(viewed.starts[index]), int(viewed.table["length"][index])
    if camera.axis is Axis.EPISODE:
        yield camera.picture(take([first], fields=[name])[name][0])
        return
    for start in range(0, len(places), BLOCK):
        block = np.asarray(places[start : start + BLOCK])
        inside = block[block < steps]
        for row in take(first + inside, fields=[name])[name]:
            yield camera.picture(row)
        if len(inside) < len(block):
            after = f"next_{name}"
            yield camera.picture(take([first + steps - 1], fields=[after])[after][0])


class _Rolls:
    """Films of some cameras of a dataset, and what they come to before they are made."""

    def __init__(self, viewed: Viewed, cameras: Sequence[Camera]) -> None:
        self._viewed, self._cameras = viewed, cameras
        self._samples: list[list[np.ndarray]] | None = None
        self._bytes: dict[Level, list[float]] = {}

    def roll(self, row: Row, level: Level) -> dict[str, list[str]]:
        """The film of an episode, by camera."""
        found = {}
        for camera in self._cameras:
            places = range(0, camera.frames(row["steps"]), level.every)
            pictures = pictures_of(self._viewed, camera, row["index"], places)
            found[camera.name] = [encoded(picture, level) for picture in pictures]
        return found

    def level(self, rows: Sequence[Row], room: int) -> Level:
        """The best level at which all films fit, or as a last resort some."""
        large = max(max(camera.size) for camera in self._cameras) > SMALL
        for levels, wanted in ((GOOD, rows), (LEVELS, rows[:FILMS])):
            for level in levels[large:]:
                if sum(self.bytes(row, level, rows) for row in wanted) * MARGIN <= room:
                    return level
        return LEVELS[-1]

    def bytes(self, row: Row, level: Level, rows: Sequence[Row]) -> float:
        """What the film of an episode comes to, judged by pictures out of a few of the rows."""
        if level not in self._bytes:
            self._bytes[level] = [
                sum(len(encoded(it, level)) for it in some) / max(1, len(some))
                for some in self._sampled(rows)
            ]
        return sum(
            size * -(-camera.frames(row["steps"]) // level.every)
            for size, camera in zip(self._bytes[level], self._cameras, strict=True)
        )

    def _sampled(self, rows: Sequence[Row]) -> list[list[np.ndarray]]:
        if self._samples is None:
            some = [rows[0], rows[-1]][: len(rows)]
            self._samples = [
                [
                    picture
                    for row in some
                    for places in [sorted({0, (camera.frames(row["steps"]) - 1) // 2})]
                    for picture in pictures_of(self._viewed, camera, row["index"], places)
                ]
                for camera in self._cameras
            ]
        return self._samples


def add_films(
    side: Side,
    viewed: Viewed,
    *,
    index: int | None = None,
    room: int | None = None,
    progress: Progress = iter,
) -> None:
    """Put what cameras recorded into a page: the episode asked for, the worst, the others.

    An episode whose film finds no room says so in its row, and counts in ``left_out``.

    Args:
        side: the page's record of the dataset, to which films are added.
        viewed: the dataset.
        index: of the episode asked for, which gets the best film.
        room: bytes that are left in the page; what its numbers leave, unless given.
        progress: shows how far it is.
    """
    cameras = cameras_of(viewed.manifest.schema, viewed.manifest.statistics)
    rows = [row for row in side.record["episodes"] if not row["error"]]
    if not cameras or not rows:
        return
    rows.sort(key=lambda row: (row["index"] != index, -row["score"]))
    room = BUDGET_BYTES - side.bytes if room is None else room
    asked = sum(row["index"] == index for row in rows)
    rolls, made = _Rolls(viewed, cameras), iter(progress(rows))
    for group, share in ((rows[:asked], ASKED_SHARE), (rows[asked:], 1.0)):
        try:
            level = rolls.level(group, round(room * share)) if group else LEVELS[-1]
        except (CorruptionError, StorageError):
            level = LEVELS[-1]
        for row in islice(made, len(group)):
            room -= _add(side, rolls, row, level, room)
            row["film"] |= {
                "every": level.every,
                "cameras": [
                    {"name": it.name, "size": it.size, "words": level.words(it)} for it in cameras
                ],
            }
    without = [row for row in rows if row["film"].get("why")]
    if without:
        side.record["left_out"].append(
            f"The film of {len(without):,} of {len(rows):,} episodes is not in this page, so that "
            f"it stays small; open one with {side.open_one('N')}."
        )


def _add(side: Side, rolls: _Rolls, row: Row, level: Level, room: int) -> int:
    """Put one film into a page, if it fits; returns its bytes."""
    row["film"] = {"why": f"Left out so that the page stays small: {side.open_one(row['index'])}"}
    try:
        if rolls.bytes(row, level, [row]) > room:
            return 0
        film = rolls.roll(row, level)
    except (CorruptionError, StorageError) as error:
        row["film"] = {"why": str(error)}
        return 0
    size = sum(len(url) for urls in film.values() for url in urls)
    if size > room:
        return 0
    row["film"], side.films[row["index"]] = {}, film
    return size
