"""The card of a version: what somebody who may use the data should read first, as files.

``README.md`` for people, with a picture, and ``croissant.json`` for search engines and loaders.
What comes from data or people is text in them, never markup.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath, PurePosixPath
from typing import Any

import numpy as np

from trajstore.curation.ancestry import Ancestor, Made, made_of
from trajstore.dataset import Dataset
from trajstore.episode.names import version_number
from trajstore.episode.schema import Axis
from trajstore.errors import ArgumentError
from trajstore.playback.channels import channels_of
from trajstore.playback.viewed import Viewed
from trajstore.quality.records import ReplayReport, Verdict, read_report, read_verdict
from trajstore.quality.reviews import Review, history, read_reviews, standing
from trajstore.store import Store
from trajstore.version.location import is_url

PAGE, CROISSANT, PICTURE = "README.md", "croissant.json", "episode.png"
SIZE = (400, 320)
"""Of one picture of the strip, pixels; charts have twice the width."""
WEB = ("http://", "https://")
SHOWN = 4
"""Pictures of an episode's course."""
OF_THE_RECIPE = ("environment", "git", "packages", "parameters", "policy", "python")
"""Keys of a provenance below which a licence or an author is that of something else."""
SAID = {
    "licence": ("license", "licence"),
    "citation": ("citation", "cite_as", "citeAs"),
    "author": ("author", "authors", "creator"),
    "description": ("description", "dataset_description"),
    "date": ("date_published", "datePublished"),
}
"""What a provenance may say about the data, and the keys that say it."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says of one version.

    Attributes:
        name: ``expert@v3``, or the name of its folder.
        folder: in which the version's files lie, beside the card: ``v3``.
        status: that counts now, or ``unreadable``.
        reviews: of people, oldest first.
        url: where the folder of the version is published; empty if that is not known.
        picture: PNG of one episode; empty if it cannot be drawn.
    """

    name: str
    folder: str
    dataset: Dataset
    status: str
    verdict: Verdict | None
    reviews: Sequence[Review]
    replay: ReplayReport | None
    ancestors: Sequence[Ancestor] = ()
    url: str = ""
    picture: bytes = b""

    def said(self, what: str) -> list[str]:
        """What the provenance says about the data, each text once; see `SAID`."""
        found = _texts(self.dataset.manifest.provenance, SAID[what])
        return list(dict.fromkeys(it.strip() for it in found if it.strip()))

    @property
    def made(self) -> Made | None:
        """How the version was made of others, as its provenance tells it; nothing if recorded."""
        return made_of(self.dataset.manifest.provenance)


def card_of(store: Store, dataset: Dataset, *, url: str = "") -> Card:
    """Gather what a card says.

    Args:
        store: whose reviews and verdicts count.
        dataset: the version; its episodes are read.
        url: where the folder of the version is, or will be, published; ``http`` or ``https``.
            Unless told, where it lies if that is such a URL, without a name or a key in it.

    Raises:
        ArgumentError: if the URL is none.
        CorruptionError: if the version, its verdict or the reviews are damaged.
    """
    if url and not (url.startswith(WEB) and url.isascii() and url.isprintable()):
        raise ArgumentError(f"url: must begin with http or https, got {ascii(url)[:80]}")
    path, digest, place = dataset.path, dataset.manifest.content_digest, _place(store, dataset)
    verdict, replay = read_verdict(path), read_report(path)
    return Card(
        name=place.name if version_number(place.name) is None else "@".join(place.parts[-2:]),
        folder=place.name,
        dataset=dataset,
        status=standing(path, store.reviews, digest)[0],
        verdict=verdict if verdict and verdict.digest == digest else None,
        reviews=history(read_reviews(store.reviews), digest),
        replay=replay if replay and replay.content_digest == digest else None,
        ancestors=store.ancestors(dataset),
        url=(url or _public(dataset.where)).rstrip("/"),
        picture=_picture(dataset),
    )


def _place(store: Store, dataset: Dataset) -> PurePath:
    """The folder that a version is known by: in the store, at a URL, or wherever else."""
    inside = dataset.path.parent.parent.resolve() == store.root.resolve()
    if is_url(dataset.where) and not inside:
        return PurePosixPath(dataset.where.rstrip("/"))
    return dataset.path if inside else dataset.path.resolve()


def _public(where: str) -> str:
    return where if where.startswith(WEB) and not {"@", "?", "#"} & set(where) else ""


def _texts(record: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    """Texts under one of the keys; what a level says goes before what lies below it."""
    found = [text for key in keys for text in _plain(record.get(key))]
    if found:
        yield from found
        return
    below = {key: value for key, value in record.items() if key not in OF_THE_RECIPE}
    for value in below.values():
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, Mapping):
                yield from _texts(item, keys)


def _plain(value: object) -> list[str]:
    items = value if isinstance(value, list | tuple) else [value]
    return [it for it in items if isinstance(it, str)]


def _picture(dataset: Dataset) -> bytes:
    """A strip of an episode of middle length; nothing if the package that draws is not there."""
    try:
        frames: Any = import_module("trajstore.playback.frames")
        pictures: Any = import_module("PIL.Image")
    except ModuleNotFoundError:
        return b""
    viewed = Viewed(dataset)
    index = int(np.argsort(dataset.lengths, kind="stable")[len(dataset) // 2])
    episode = dataset[index]
    images = _images(dataset)
    every = np.linspace(0, len(episode), SHOWN).round().astype(int).tolist()
    if images:
        rows = episode[images]
        drawn = [_fitted(pictures, rows[step]) for step in every]
    else:
        shown = frames.Shown(
            arrays=episode.arrays,
            channels=channels_of(dataset.schema, dataset.manifest.statistics),
            caption=f"episode {index}",
            dt=viewed.dt,
            radius=viewed.radii,
            scene=dataset.schema.in_roles(episode.arrays),
        )
        if "pose" in shown.scene:
            drawn = [frames.Painter(shown, SIZE).frame(step) for step in every]
        else:
            drawn = [frames.Painter(shown, (2 * SIZE[0], SIZE[1])).frame(len(episode))]
    buffer = io.BytesIO()
    strip = pictures.new("RGB", (sum(it.width for it in drawn), drawn[0].height))
    for place, one in enumerate(drawn):
        strip.paste(one, (sum(it.width for it in drawn[:place]), 0))
    strip.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _images(dataset: Dataset) -> str:
    """The first field of states that is a picture; empty if there is none."""
    for spec in dataset.schema.on(Axis.STATE):
        fits = spec.shape[2:] in ((), (1,), (3,)) and min(spec.shape[:2], default=0) >= 16
        if len(spec.shape) >= 2 and spec.dtype == "uint8" and fits:
            return spec.name
    return ""


def _fitted(pictures: Any, rows: np.ndarray) -> Any:  # noqa: ANN401 - of Pillow
    """A row of a field of pictures at the height of a strip."""
    image = pictures.fromarray(rows[..., 0] if rows.shape[2:] == (1,) else rows).convert("RGB")
    width = max(1, min(2 * SIZE[0], round(image.width * SIZE[1] / image.height)))
    return image.resize((width, SIZE[1]), pictures.Resampling.NEAREST)
