"""Cameras of a loop that belongs to others: encoded as they come, whatever fits into memory."""

from pathlib import Path

import numpy as np
import pytest

from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.recording import live
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder
from trajstore.recording.spool import Spool
from trajstore.version.cameras import EncodedEpisode
from trajstore.version.integrity import verify

pytest.importorskip("simplejpeg")
pytest.importorskip("av")
SHAPE, STEPS = (48, 64, 3), 41
_Y, _X = np.mgrid[: SHAPE[0], : SHAPE[1]]


def schema_with(codec: str) -> EpisodeSchema:
    return EpisodeSchema(
        (
            FieldSpec("front", Axis.STATE, SHAPE, "uint8", codec=codec),
            FieldSpec("wrist", Axis.STEP, SHAPE, "uint8", codec=codec),
            FieldSpec("depth", Axis.STATE, SHAPE[:2], "uint8"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
        )
    )


def frame(number: int) -> np.ndarray:
    made = np.stack((3 * _X, 4 * _Y, 0 * _X + 120 + number), axis=-1).astype(np.uint8)
    made[(_Y - 20) ** 2 + (_X - 5 - number) ** 2 < 80] = (220, 40, 60)
    return made


def given(schema: EpisodeSchema) -> Episode:
    front = np.stack([frame(number) for number in range(STEPS + 1)])
    ends = np.arange(STEPS) == STEPS - 1
    wrist, nothing = front[1:, ::-1].copy(), np.zeros(STEPS, bool)
    arrays = {"front": front, "wrist": wrist, "depth": front[..., 1].copy()}
    return Episode(schema, {**arrays, "terminated": ends, "truncated": nothing})


def play(recorder: Recorder, episode: Episode) -> None:
    rows = {name: episode[name] for name in ("front", "depth")}
    under_way = recorder.begin({name: it[0] for name, it in rows.items()})
    for step in range(STEPS):
        state = {name: it[step + 1] for name, it in rows.items()}
        under_way.step(state | {"wrist": episode["wrist"][step]})
    under_way.end()


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
@pytest.mark.parametrize("block_bytes", [2**26, 100_000])
def test_live_frames_are_those_of_an_episode_that_is_whole(
    codec: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(live, "LEAST_BLOCK_BYTES", 1)
    schema = schema_with(codec)
    episode = given(schema)
    whole = write_dataset(tmp_path / "v1", [episode, episode], schema=schema, provenance={})
    with Recorder(tmp_path / "v2", schema=schema, provenance={}) as recorder:
        play(recorder, episode)
        play(recorder, episode)
    assert recorder.manifest is not None
    assert recorder.manifest.content_digest == whole.content_digest
    assert recorder.manifest.statistics == whole.statistics
    files = {path: it for path, it in whole.files.items() if "/c." in path}
    assert files == {path: recorder.manifest.files[path] for path in files}
    assert verify(tmp_path / "v2", deep=True) == []


def test_no_frame_waits_in_memory_or_on_the_disk_as_it_came(tmp_path: Path) -> None:
    schema, room = schema_with("jpeg"), []
    spool = Spool(schema, tmp_path, room.append)
    raw = 0
    for _ in range(3):
        for number in range(STEPS):
            for spec in schema.coded:
                spool.append(spec, frame(number))
                raw += frame(number).nbytes
        write = spool.block()
        assert spool.fresh_bytes == 0
        write()
    kept = sum(size for name, (_, size) in spool._files.items() if name != "depth")
    assert 0 < kept < raw / 5
    spool.close()


def test_an_encoded_episode_decodes_when_it_is_asked(tmp_path: Path) -> None:
    schema = schema_with("jpeg")
    episode = given(schema)
    with Recorder(tmp_path / "v1", schema=schema, provenance={}) as recorder:
        recorder.add(episode)
        (held,) = recorder._journal.episodes()
        assert isinstance(held, EncodedEpisode)
        assert held.arrays.known.keys() == set(schema.uncoded.names)  # type: ignore[attr-defined]
        assert list(held.arrays) == list(schema.names) and "front" in held.arrays
        assert np.abs(held["front"].astype(int) - episode["front"]).mean() < 6
