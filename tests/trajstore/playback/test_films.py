"""Cameras become film: what is a picture is shown as it is, within the bytes of a page."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.trajstore import cameras
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.playback.films import GOOD, LEVELS, add_films, encoded, pictures_of
from trajstore.playback.page import render
from trajstore.playback.payload import About, Side, build
from trajstore.playback.pictures import cameras_of, is_picture
from trajstore.playback.viewed import Viewed
from trajstore.recording.bulk import write_dataset

ENDS = tuple(FieldSpec(name, Axis.STEP, (), "bool") for name in ("terminated", "truncated"))


def camera(shape: tuple[int, ...], dtype: str = "uint8", **options: Any) -> Any:
    figures = options.pop("figures", {})
    schema = EpisodeSchema((FieldSpec("eye", Axis.STATE, shape, dtype, **options), *ENDS))
    (found,) = cameras_of(schema, {"eye": figures})
    return found


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((48, 64, 3), (64, 48)),
        ((3, 48, 64), (64, 48)),
        ((48, 64, 1), (64, 48)),
        ((1, 48, 64), (64, 48)),
        ((48, 64), (64, 48)),
        ((84, 84, 3), (84, 84)),
        ((3, 8, 8), (8, 8)),
    ],
)
def test_pictures_are_known_by_their_shape(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    found = camera(shape)
    assert found.size == size
    row = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    expected = np.moveaxis(row, 0, -1) if shape[0] in (1, 3) else row
    np.testing.assert_array_equal(found.picture(row), expected.squeeze())


@pytest.mark.parametrize(
    "shape", [(), (3,), (7,), (20, 2), (10, 4), (3, 3, 3), (4, 84, 84), (64, 64, 2), (2, 3, 4, 5)]
)
def test_other_shapes_are_no_pictures(shape: tuple[int, ...]) -> None:
    assert not is_picture(FieldSpec("eye", Axis.STATE, shape, "uint8"))


def test_what_has_a_role_is_no_picture() -> None:
    assert not is_picture(FieldSpec("walls", Axis.EPISODE, (20, 4), "float32"))
    assert not is_picture(FieldSpec("crowd", Axis.STATE, (20, 2), "float32", role="others"))


@pytest.mark.parametrize(
    ("dtype", "options", "value", "grey"),
    [
        ("float32", {"low": 0, "high": 1}, 0.5, 128),
        ("float32", {"figures": {"min": 0.1, "max": 0.9}}, 0.5, 128),
        ("float32", {"low": -1, "high": 1}, 0.0, 128),
        ("float32", {"figures": {"min": 0.0, "max": 4.0}}, 1.0, 64),
        ("float32", {"finite": False}, np.nan, 0),
        ("float32", {"low": 0, "high": 1, "strict": False}, 7.0, 255),
        ("uint16", {"figures": {"min": 1000, "max": 2000}}, 1500, 128),
        ("uint8", {"figures": {"min": 0, "max": 100}}, 100, 100),
        ("uint8", {"figures": {"min": 0, "max": 5}}, 5, 255),
        ("uint8", {"low": 0, "high": 1}, 1, 255),
        ("bool", {}, True, 255),
    ],
)
def test_values_become_grey_by_the_range_that_is_known(
    dtype: str, options: dict[str, Any], value: float, grey: int
) -> None:
    found = camera((16, 16, 1), dtype, **options)
    assert found.picture(np.full((16, 16, 1), value, dtype)).tolist() == [[grey] * 16] * 16


def test_a_range_that_is_not_plain_is_said() -> None:
    assert (
        "from 0 (black) to 4 (white)"
        in camera((16, 16), "float32", figures={"min": 0.0, "max": 4.0}).stretched
    )
    assert camera((16, 16, 3), "uint8").stretched == ""


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("cameras") / "v1"
    cameras.dataset(target, 6)
    return target


def filmed(path: Path, *, index: int | None = None, room: int | None = None) -> Side:
    viewed = Viewed(Dataset.open(path))
    side = build(viewed, About("arm", "v1", reference="arm@v1"), range(len(viewed)))
    add_films(side, viewed, index=index, room=room)
    return side


def decoded(url: str) -> np.ndarray:
    assert url.startswith("data:image/webp;base64,")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image)


def test_a_film_has_every_picture_and_small_ones_lose_nothing(
    version: Path,
) -> None:
    side, dataset = filmed(version), Dataset.open(version)
    assert sorted(side.films) == list(range(6))
    film = side.films[3]
    assert {name: len(urls) for name, urls in film.items()} == {"front": 21, "wrist": 21}
    for state in (0, 7, 20):
        np.testing.assert_array_equal(decoded(film["front"][state]), dataset[3]["front"][state])
        bar = decoded(film["wrist"][state])[..., 0]
        np.testing.assert_array_equal(bar, dataset[3]["wrist"][state, 0] * 255)
    row = side.record["episodes"][3]
    assert row["film"]["every"] == 1
    assert [it["words"] for it in row["film"]["cameras"]] == ["", ""]
    assert 'id="c0-3"' in render([side])


def test_pictures_are_no_charts(version: Path) -> None:
    side = filmed(version)
    assert {chart["channel"] for chart in side.record["charts"]} == {
        *("observation", "action", "reward", "terminated", "truncated"),
    }
    assert side.record["left_out"] == []
    assert side.record["dt"] == pytest.approx(1 / cameras.FPS)


def test_single_pictures_are_those_of_the_episode(version: Path) -> None:
    viewed = Viewed(Dataset.open(version))
    front, wrist = cameras_of(viewed.dataset.schema, {})
    for index in (0, 5):
        for seen in (front, wrist):
            rows = viewed.dataset[index][seen.name]
            found = list(pictures_of(viewed, seen, index, [0, 19, 20]))
            for picture, place in zip(found, (0, 19, 20), strict=True):
                np.testing.assert_array_equal(picture, seen.picture(rows[place]))


@pytest.mark.parametrize("room", [0, 3_000, 20_000, 60_000, 200_000, 10**7])
def test_a_page_keeps_to_its_bytes_and_says_what_it_leaves_out(version: Path, room: int) -> None:
    side = filmed(version, room=room)
    used = sum(len(url) for film in side.films.values() for urls in film.values() for url in urls)
    assert used <= room
    without = [row for row in side.record["episodes"] if row["film"].get("why")]
    assert len(without) == 6 - len(side.films)
    for row in without:
        command = f"trajstore play arm@v1 --episode {row['index']}"
        assert row["film"]["why"].endswith(command)
    told = [text for text in side.record["left_out"] if text.startswith("The film of")]
    assert len(told) == bool(without)
    assert not without or f"{len(without)} of 6 episodes" in told[0]


def test_the_episode_that_is_asked_for_is_filmed_first(tmp_path: Path) -> None:
    cameras.dataset(tmp_path / "v1", 5, steps=12, size=(320, 240))
    whole = filmed(tmp_path / "v1", index=4)
    size = sum(len(url) for urls in whole.films[4].values() for url in urls)
    side = filmed(tmp_path / "v1", index=4, room=round(2 * size))
    assert 4 in side.films
    assert decoded(side.films[4]["front"][0]).shape == (240, 320, 3)


def test_less_room_gives_smaller_pictures_before_fewer_films(tmp_path: Path) -> None:
    cameras.dataset(tmp_path / "v1", 3, steps=8, size=(640, 480))
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    sizes = [len(encoded(noise, level)) for level in (*GOOD[1:], *LEVELS[5:])]
    assert sizes == sorted(sizes, reverse=True)
    side = filmed(tmp_path / "v1")
    most = sum(len(url) for film in side.films.values() for urls in film.values() for url in urls)
    side = filmed(tmp_path / "v1", room=round(most * 0.7))
    assert sorted(side.films) == [0, 1, 2]
    assert "pixels of 640" in side.record["episodes"][0]["film"]["cameras"][0]["words"]


def test_a_damaged_camera_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    cameras.dataset(tmp_path / "v1", 3)
    for path in (tmp_path / "v1/state/front").rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.write_bytes(path.read_bytes()[:-9])
    side = filmed(tmp_path / "v1")
    assert side.films == {}
    assert all("state/front" in row["film"]["why"] for row in side.record["episodes"])
    assert len(side.numbers) == 3


def test_a_picture_of_the_whole_episode_and_one_of_each_step(tmp_path: Path) -> None:
    fields = (
        FieldSpec("goal_image", Axis.EPISODE, (40, 40, 3), "uint8"),
        FieldSpec("seen", Axis.STEP, (40, 40), "bool"),
    )
    schema = EpisodeSchema((*fields, *ENDS))
    rng, end = np.random.default_rng(0), np.arange(5) == 4
    made = [
        Episode(
            schema,
            {
                "goal_image": rng.integers(0, 255, (40, 40, 3), dtype=np.uint8),
                "seen": rng.random((5, 40, 40)) > 0.5,
                "terminated": end,
                "truncated": np.zeros(5, bool),
            },
        )
        for _ in range(2)
    ]
    write_dataset(tmp_path / "v1", made, schema=schema, provenance={})
    side = filmed(tmp_path / "v1")
    film = side.films[1]
    np.testing.assert_array_equal(decoded(film["goal_image"][0]), made[1]["goal_image"])
    assert len(film["goal_image"]) == 1
    assert [decoded(url)[..., 0].astype(bool).tolist() for url in film["seen"]] == made[1][
        "seen"
    ].tolist()
