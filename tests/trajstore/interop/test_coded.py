"""Cameras of other formats are stored with the codec that whoever imports them names."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from tests.trajstore.interop import lerobots
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.codec import Codec
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import ArgumentError, NotFoundError
from trajstore.interop import npz
from trajstore.interop.coded import codecs_said, with_codecs
from trajstore.interop.formats import FORMATS
from trajstore.recording.bulk import write_dataset
from trajstore.version.cameras import recordable

pytest.importorskip("simplejpeg")
pytest.importorskip("av")
PICTURES = EpisodeSchema(
    (
        FieldSpec("observation", Axis.STATE, (48, 64, 3), "uint8", low=0, high=255),
        *factories.SCHEMA.fields[1:],
    )
)
BOTH_WAYS = [name for name, it in FORMATS.items() if it.reader and it.writer]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAJSTORE", "store")
    return tmp_path


def pictures(folder: Path) -> Dataset:
    """Three episodes whose observation is a smooth picture."""
    episodes = []
    for index in range(3):
        arrays = factories.arrays(index, steps=4 + index)
        film = lerobots.film(index, 5 + index)[:, :48, :64]
        episodes.append(Episode(PICTURES, arrays | {"observation": film}))
    write_dataset(folder, episodes, schema=PICTURES, provenance={"policy": "p7"})
    return Dataset.open(folder)


@pytest.mark.parametrize("kind", BOTH_WAYS)
@pytest.mark.parametrize("codec", ["jpeg,quality=95", "h264,quality=20,group=2"])
def test_a_codec_is_declared_as_a_format_comes_in(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str, codec: str
) -> None:
    dataset = pictures(here / "v1")
    theirs = import_module(f"trajstore.interop.{kind}")
    theirs.export_dataset(dataset, here / "d")
    given = ["import", "d", "--from", kind, "--as", "copy", "--codec", f"observation={codec}"]
    assert run(given) == 0
    assert "observation: stored as" in capsys.readouterr().out
    stored = Dataset.open(here / "store/copy/v1")
    assert f"{stored.schema.field('observation').codec}" == str(Codec(*told(codec)))
    for one, own in zip(stored, dataset, strict=True):
        off = np.abs(one["observation"].astype(int) - own["observation"])
        assert 0 < off.mean() < 8
        np.testing.assert_array_equal(one["action"], own["action"])
    assert run(["verify", "copy@v1", "--deep"]) == 0
    npz.export_dataset(stored, here / "back.npz")
    back = npz.import_dataset(here / "back.npz").episodes
    for one, kept in zip(back, stored, strict=True):
        np.testing.assert_array_equal(one["observation"], kept["observation"])

    capsys.readouterr()
    assert run(given) == 0
    assert "recorded nothing: copy@v1 holds them already" in capsys.readouterr().out
    assert run(given[:-2]) == 0
    assert "as copy@v2" in capsys.readouterr().out


def told(codec: str) -> tuple[str, *tuple[int, ...]]:
    name, *numbers = codec.split(",")
    return name, *(int(it.partition("=")[2]) for it in numbers)


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
@pytest.mark.parametrize("ours", [False, True])
def test_names_of_lerobots_features_do_too(
    here: Path, capsys: pytest.CaptureFixture[str], version: str, ours: bool
) -> None:
    lerobots.write(here / "d", version=version, filmed=True)
    source = "d"
    if ours:
        assert run(["import", "d", "--from", "lerobot", "--as", "first"]) == 0
        assert run(["export", "first@v1", "--to", "lerobot", "e"]) == 0
        source = "e"
    capsys.readouterr()
    given = ["import", source, "--from", "lerobot", "--as", "copy"]
    assert run([*given, "--codec", f"{lerobots.CAMERA}=jpeg", "--dry-run"]) == 0
    assert run([*given, "--codec", f"{lerobots.CAMERA}=jpeg"]) == 0
    found = import_module("trajstore.interop.lerobot").import_dataset(here / source)
    meant = with_codecs(found, {"observation/images/top": "jpeg"})
    stored = Dataset.open(here / "store/copy/v1")
    assert stored.schema == meant.schema
    assert stored.manifest.provenance == meant.provenance
    assert [it.digest for it in stored] == [recordable(it).digest for it in meant.episodes]
    assert [it.name for it in stored.schema.coded] == ["observation/images/top"]
    assert run(["verify", "copy@v1", "--deep"]) == 0


WRONG = {
    "nothing=jpeg": "expected a camera, one of observation, got 'nothing'",
    "action=jpeg": "field 'action': codec jpeg: expected uint8 frames",
    "observation=webp": "expected one of jpeg, h264, got 'webp'",
    "observation": "expected one of jpeg, h264, got ''",
    "observation=none": "leave it out to store frames without loss",
    "observation=jpeg,quality=0": "expected a whole number from 1 to 100 as quality, got 0",
    "observation=jpeg,95": "such as front=jpeg, front=jpeg,quality=95",
    "observation=jpeg,speed=1": "got 'speed=1'",
    "observation=jpeg,group=2": "expected a whole number from 1 to 1 as frames of a group",
    "observation=jpeg,quality=99999": "got 'quality=99999'",
}


@pytest.mark.parametrize("codec", WRONG)
@pytest.mark.parametrize("kind", ["npz", "robomimic"])
def test_a_codec_that_makes_no_sense_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str, codec: str
) -> None:
    import_module(f"trajstore.interop.{kind}").export_dataset(pictures(here / "v1"), here / "d")
    assert run(["import", "d", "--from", kind, "--as", "copy", "--codec", codec]) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    assert not said.out
    assert WRONG[codec] in said.err
    assert not Path("store").exists()


def test_two_codecs_of_one_camera_are_refused(here: Path) -> None:
    npz.export_dataset(pictures(here / "v1"), here / "d")
    found = npz.import_dataset(here / "d")
    with pytest.raises(ArgumentError, match="got none or two"):
        with_codecs(found, ("observation=jpeg", "observation=h264"))
    with pytest.raises(ArgumentError, match="expected a codec by name"):
        with_codecs(found, {"observation": 3})  # type: ignore[dict-item]
    assert codecs_said({"front": Codec("jpeg", 3)}) == {"front": Codec("jpeg", 3)}


def test_a_missing_package_is_named_before_anything_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trajstore.version import coders

    npz.export_dataset(pictures(here / "v1"), here / "d")
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    monkeypatch.delitem(sys.modules, "trajstore.version.jpeg", raising=False)
    coders.coder.cache_clear()
    given = ["import", "d", "--from", "npz", "--as", "copy", "--codec", "observation=jpeg"]
    try:
        assert run(given) == 2
        with pytest.raises(NotFoundError, match="simplejpeg"):
            with_codecs(npz.import_dataset(here / "d"), {"observation": "jpeg"})
    finally:
        coders.coder.cache_clear()
    assert "pip install 'trajstore[cameras]'" in capsys.readouterr().err
    assert not Path("store").exists()
