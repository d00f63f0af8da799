"""Frames of cameras: encoded once, exact from then on, whoever reads them."""

import io
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from trajstore.cli.facts import camera_facts
from trajstore.dataset import Dataset
from trajstore.episode.codec import Codec
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import (
    CorruptionError,
    NotFoundError,
    QuotaExceededError,
    SchemaError,
    TrajStoreError,
)
from trajstore.quality.contract import Contract
from trajstore.quality.records import status_path
from trajstore.quality.report import judge, validate
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder, Segment
from trajstore.version import coders, layout
from trajstore.version.cameras import EncodedEpisode, recordable
from trajstore.version.composing import Source, compose
from trajstore.version.files import LocalFiles
from trajstore.version.integrity import verify

pytest.importorskip("simplejpeg")
pytest.importorskip("av")
CODECS = ("jpeg", "h264")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "cameras"
HEIGHT, WIDTH = 48, 64
LENGTHS = (7, 1, 13, 6)
_Y, _X = np.mgrid[:HEIGHT, :WIDTH]


def schema_with(codec: str | Codec | None) -> EpisodeSchema:
    return EpisodeSchema(
        (
            FieldSpec("front", Axis.STATE, (HEIGHT, WIDTH, 3), "uint8", codec=codec),
            FieldSpec("depth", Axis.STEP, (HEIGHT, WIDTH, 1), "uint8", codec=codec),
            FieldSpec("action", Axis.STEP, (2,), "float32"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
        )
    )


def frames(count: int, seed: int) -> np.ndarray:
    """``uint8[count, 48, 64, 3]``: a disc that moves over a gradient."""
    made = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    for step in range(count):
        made[step] = np.stack((3 * _X, 4 * _Y, 120 + 50 * np.sin(_X / 5 + seed)), axis=-1)
        made[step][(_Y - 20) ** 2 + (_X - 10 - 2 * step) ** 2 < 80] = (220, 40, 60 + seed)
    return made


def episode_of(schema: EpisodeSchema, steps: int, seed: int) -> Episode:
    front = frames(steps + 1, seed)
    ends = np.arange(steps) == steps - 1
    return Episode(
        schema,
        {
            "front": front,
            "depth": front[:-1, :, :, :1],
            "action": np.full((steps, 2), seed, np.float32),
            "terminated": ends,
            "truncated": np.zeros(steps, bool),
        },
    )


def episodes_of(schema: EpisodeSchema) -> list[Episode]:
    return [episode_of(schema, steps, seed) for seed, steps in enumerate(LENGTHS)]


@pytest.fixture(params=CODECS)
def version(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    schema = schema_with(request.param)
    write_dataset(tmp_path / "v1", episodes_of(schema), schema=schema, provenance={})
    return tmp_path / "v1"


def test_every_reader_gives_the_decoded_frames(version: Path) -> None:
    dataset = Dataset.open(version)
    given = np.concatenate([one["front"] for one in episodes_of(dataset.schema)])
    column = dataset.column("front")
    assert column.shape == given.shape and not column.flags.writeable
    assert 0 < np.abs(column.astype(int) - given).mean() < 6
    assert np.array_equal(np.concatenate([one["front"] for one in dataset]), column)
    assert np.array_equal(np.concatenate(list(dataset.rows("front"))), column)
    batch = dataset.sample(64, rng=np.random.default_rng(0))
    rows = np.cumsum((0, *LENGTHS))[batch["episode"]] + batch["step"] + batch["episode"]
    assert np.array_equal(batch["front"], column[rows])
    assert np.array_equal(batch["next_front"], column[rows + 1])
    window = next(dataset.batches(5, rng=np.random.default_rng(1), window=6))
    assert window["front"].shape == (5, 6, HEIGHT, WIDTH, 3)
    first = np.cumsum((0, *LENGTHS))[window["episode"]] + window["step"] + window["episode"]
    assert np.array_equal(window["front"][:, 0], column[first])
    cached = Dataset.open(version, cache=version.parent / "cache")
    assert np.array_equal(cached.column("front"), column)
    assert np.array_equal(cached.take([3, 9])["depth"], dataset.take([3, 9])["depth"])


def test_a_batch_stays_what_it_was_when_others_are_drawn(version: Path) -> None:
    data = Dataset.open(version)
    first = data.sample(9, rng=np.random.default_rng(0))
    kept = {name: rows.copy() for name, rows in first.items()}
    views = {name: first[name][2:4] for name in ("front", "next_front", "depth")}
    del first
    for seed in range(1, 6):
        data.sample(9, rng=np.random.default_rng(seed))
    for name, view in views.items():
        assert np.array_equal(view, kept[name][2:4])
    again = data.sample(9, rng=np.random.default_rng(0))
    assert all(np.array_equal(rows, kept[name]) for name, rows in again.items())


def test_frames_are_seen_alike_however_they_come(version: Path) -> None:
    """When they are encoded, from their bytes alone, and from what they were decoded to."""
    schema = schema_with(Dataset.open(version).schema.field("front").codec)
    given = episode_of(schema, 13, 3)
    fresh = recordable(given)
    assert isinstance(fresh, EncodedEpisode)
    for spec in schema.coded:
        encoded, count = fresh.encoded[spec.name], spec.rows(13)[0]
        assert encoded.seen == coders.look(spec, encoded, count) == fresh.seen(spec)
        decoded = coders.decode(spec, encoded, count)
        assert fresh.seen(spec).low == decoded.min() and fresh.seen(spec).high == decoded.max()
        some = range(1, count, 4)
        assert np.array_equal(fresh.frames_at(spec, some), decoded[1::4])
        assert np.array_equal(fresh.arrays[spec.name], decoded)
        assert np.array_equal(fresh.frames_at(spec, some), decoded[1::4])
        stored = fresh._looked(spec)
        assert stored == encoded.seen


def test_zarr_reads_the_same(version: Path) -> None:
    dataset = Dataset.open(version)
    for group in (dataset.zarr(), zarr.open_group(version, mode="r")):
        assert np.array_equal(group["state/front"][:], dataset.column("front"))
        assert np.array_equal(group["step/depth"][5], dataset.column("depth")[5])


@pytest.mark.parametrize("codec", CODECS)
def test_a_zarr_without_the_codec_names_it(codec: str, tmp_path: Path) -> None:
    schema = schema_with(codec)
    write_dataset(tmp_path / "v1", episodes_of(schema), schema=schema, provenance={})
    program = (
        "import importlib.metadata as m, sys\n"
        "found = m.entry_points\n"
        "m.entry_points = lambda **k: found(**k) if k else m.EntryPoints(())\n"
        f"import zarr\nzarr.open_group({str(tmp_path / 'v1')!r}, mode='r')['state/front']"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    wanted = {"jpeg": layout.JPEG, "h264": layout.H264}[codec]
    assert done.returncode == 1 and wanted in done.stderr.splitlines()[-1]


def test_the_journal_holds_the_encoded_frames(version: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(version)
    schema = dataset.schema
    raw = sum(array.nbytes for one in episodes_of(schema) for array in one.arrays.values())
    with Recorder(tmp_path / "v2", schema=schema, provenance={}) as recorder:
        for one in episodes_of(schema):
            recorder.add(one)
        journal = next((tmp_path).glob(".v2*/**/*.log"))
        assert journal.stat().st_size < raw / 4
    assert recorder.manifest is not None
    assert recorder.manifest.content_digest == dataset.manifest.content_digest
    assert recorder.manifest.statistics == dataset.manifest.statistics
    assert verify(tmp_path / "v2", deep=True) == []


def test_a_killed_recording_goes_on_with_the_same_frames(version: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(version)
    given = episodes_of(dataset.schema)
    killed = Recorder(tmp_path / "v2", schema=dataset.schema, provenance={})
    with pytest.raises(KeyboardInterrupt), killed as recorder:
        recorder.add(given[0])
        with Segment(tmp_path / "v2", "w", schema=dataset.schema) as segment:
            segment.add(given[2], order=2)
        raise KeyboardInterrupt
    with Recorder(tmp_path / "v2", schema=dataset.schema, provenance={}) as recorder:
        recorder.add(given[1], order=1)
        recorder.add(given[3], order=3)
    assert recorder.manifest is not None
    assert recorder.manifest.content_digest == dataset.manifest.content_digest


def test_frames_that_were_encoded_are_not_encoded_again(version: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(version)
    again = [pickle.loads(pickle.dumps(dataset[0])), *(dataset[i] for i in range(1, len(dataset)))]  # noqa: S301
    manifest = write_dataset(tmp_path / "v2", again, schema=dataset.schema, provenance={})
    assert manifest.content_digest == dataset.manifest.content_digest
    files = {path: it for path, it in manifest.files.items() if "/c." in path}
    assert files == {path: dataset.manifest.files[path] for path in files}
    with Recorder(
        tmp_path / "v3", schema=dataset.schema, provenance={}, extends=tmp_path / "v2"
    ) as recorder:
        recorder.add(dataset[2])
    assert verify(tmp_path / "v3", deep=True) == []
    assert np.array_equal(Dataset.open(tmp_path / "v3")[-1]["front"], dataset[2]["front"])


@pytest.mark.parametrize("codec", CODECS)
def test_groups_that_a_shard_divides(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = schema_with(codec)
    whole = write_dataset(tmp_path / "v1", episodes_of(schema), schema=schema, provenance={})
    one = Dataset.open(tmp_path / "v1")
    column, groups = one.column("front"), one[2].encoded["front"].groups  # type: ignore[attr-defined]
    monkeypatch.setattr(layout, "SHARD_ROWS", 8)
    cut = write_dataset(tmp_path / "v2", episodes_of(schema), schema=schema, provenance={})
    assert cut.content_digest == whole.content_digest
    assert verify(tmp_path / "v2", deep=True) == []
    other = Dataset.open(tmp_path / "v2")
    assert np.array_equal(other.column("front"), column)
    assert np.array_equal(other.zarr()["state/front"][:], column)
    assert other[2].encoded["front"].groups == groups  # type: ignore[attr-defined]


def test_a_changed_byte_is_found_wherever_it_lies(version: Path) -> None:
    shard = version / "state/front/c.0.0.0.0"
    whole = shard.read_bytes()
    wrong = silent = 0
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert {found.check for found in verify(version)} >= {"files"}
        try:
            frames_read = Dataset.open(version).column("front")
        except CorruptionError as error:
            assert "front" in str(error)
            wrong += 1
        else:
            silent += 1
            del frames_read
    shard.write_bytes(whole)
    assert wrong >= 38 and verify(version) == []


def test_other_pixels_are_told_by_a_deep_look(
    version: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a decoder would that rounds in another way."""
    assert verify(version, deep=True) == []
    schema = Dataset.open(version).schema
    found = coders.coder(schema.field("front").codec.name)  # type: ignore[union-attr]

    class Other:
        check = staticmethod(found.check)

        @staticmethod
        def decode(data: memoryview, frames: dict[int, np.ndarray]) -> None:
            found.decode(data, frames)
            frames[min(frames)][0, 0, 0] ^= 1

    monkeypatch.setattr("trajstore.version.camera_rows.coder", lambda _: Other)
    assert verify(version) == []
    assert {it.check for it in verify(version, deep=True)} == {"episodes"}


def test_two_decoders_of_jpeg_give_the_same_pixels(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    schema = schema_with("jpeg")
    given = recordable(episode_of(schema, 9, 0))
    assert isinstance(given, EncodedEpisode)
    for data, frame in zip(given.encoded["front"].groups, given["front"], strict=True):
        with image.open(io.BytesIO(data)) as other:
            assert np.array_equal(np.asarray(other), frame)


@pytest.mark.parametrize("codec", CODECS)
def test_what_an_earlier_decoder_sealed_has_its_pixels(codec: str) -> None:
    """Sealed with simplejpeg 1.9.0 and PyAV 18.1.0; the digest is of what they decoded."""
    assert verify(FIXTURES / codec, deep=True) == []
    assert len(Dataset.open(FIXTURES / codec)) == 2


def test_the_group_before_and_behind_does_not_matter() -> None:
    """Any frames of any group decode to the same, in any order, on any thread."""
    schema = schema_with(Codec("h264", group=4))
    given = recordable(episode_of(schema, 19, 0))
    assert isinstance(given, EncodedEpisode)
    coder = coders.coder("h264")
    for number in (3, 0, 4, 1, 2):
        data = memoryview(given.encoded["front"].groups[number])
        for wanted in ((0, 1, 2, 3), (0,), (2, 0), (3,)):
            out = {it: np.zeros((HEIGHT, WIDTH, 3), np.uint8) for it in wanted}
            coder.decode(data, out)
            for it, frame in out.items():
                assert np.array_equal(frame, given["front"][4 * number + it])


def test_the_schema_states_codec_and_quality() -> None:
    plain, coded = schema_with(None), schema_with(Codec("jpeg", 70))
    assert "codec" not in plain.field("front").to_json()
    assert coded.field("front").to_json()["codec"] == {"name": "jpeg", "quality": 70, "group": 1}
    assert EpisodeSchema.from_json(json.loads(json.dumps(coded.to_json()))) == coded
    assert len({plain.digest, coded.digest, schema_with("jpeg").digest}) == 3


def test_the_digest_of_a_schema_without_a_codec_is_what_it_was() -> None:
    spec = FieldSpec("terminated", Axis.STEP, (), "bool")
    schema = EpisodeSchema((spec, replace(spec, name="truncated")))
    assert schema.digest == "436f913e18ecda0c661245738521b9976451cd09718629e6f7b91a9e569961ff"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "float32"}, "uint8 frames"),
        ({"shape": (3, 48, 64)}, "channels last"),
        ({"shape": (48, 64)}, "uint8 frames"),
        ({"axis": Axis.EPISODE}, "state or step axis"),
        ({"low": 10}, "values from 0 to 255"),
        ({"shape": (47, 64, 3)}, "even heights"),
        ({"codec": "mpeg"}, "jpeg, h264"),
        ({"codec": Codec}, "codec by name"),
        ({"codec": {"name": "jpeg", "quality": 101, "group": 1}}, "1 to 100"),
        ({"codec": {"name": "jpeg", "quality": 90, "group": 2}}, "1 to 1"),
        ({"codec": {"name": "h264", "quality": True, "group": 3}}, "1 to 51"),
        ({"codec": {"name": "h264", "quality": 24, "group": 1}}, "2 to 60"),
        ({"codec": {"name": "h264"}}, "codec by name"),
    ],
)
def test_a_codec_for_other_values_is_refused(changes: dict[str, object], said: str) -> None:
    spec = FieldSpec("front", Axis.STATE, (48, 64, 3), "uint8", codec="h264", low=0, high=255)
    with pytest.raises(SchemaError, match=said):
        replace(spec, **changes)  # type: ignore[arg-type]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = schema_with("jpeg")
    coders.coder.cache_clear()
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    monkeypatch.delitem(sys.modules, "trajstore.version.jpeg", raising=False)
    with pytest.raises(NotFoundError, match=r"pip install 'trajstore\[cameras\]'"):
        write_dataset(tmp_path / "v1", episodes_of(schema), schema=schema, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_no_version_is_blamed_for_a_package_that_is_missing_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = schema_with("jpeg")
    path = tmp_path / "store/cups/v1"
    write_dataset(path, episodes_of(schema), schema=schema, provenance={})
    contract = Contract(minimum_episodes=1)
    judge(path, contract)
    known = status_path(path).read_bytes()
    coders.coder.cache_clear()
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    monkeypatch.delitem(sys.modules, "trajstore.version.jpeg", raising=False)
    for check in (judge, lambda *it: validate(Dataset.open(it[0]), it[1])):
        with pytest.raises(NotFoundError, match="simplejpeg, which is not installed"):
            check(path, contract)
    assert status_path(path).read_bytes() == known


def test_the_quota_counts_encoded_frames(tmp_path: Path) -> None:
    schema = schema_with("jpeg")
    given = episodes_of(schema)
    raw = sum(array.nbytes for one in given for array in one.arrays.values())
    size = write_dataset(tmp_path / "v1", given, schema=schema, provenance={}).size_bytes
    write_dataset(tmp_path / "v2", given, schema=schema, provenance={}, quota_bytes=raw // 2)
    with pytest.raises(QuotaExceededError):
        write_dataset(
            tmp_path / "v3", given, schema=schema, provenance={}, quota_bytes=size - 10_000
        )
    assert not (tmp_path / "v3").exists()


def test_noise_takes_more_and_is_kept(tmp_path: Path) -> None:
    schema = schema_with(Codec("jpeg", 100))
    noise = np.random.default_rng(0).integers(0, 256, (8, HEIGHT, WIDTH, 3), np.uint8)
    given = episode_of(schema, 7, 0)
    noisy = Episode(schema, {**given.arrays, "front": noise})
    write_dataset(tmp_path / "v1", [noisy], schema=schema, provenance={})
    assert verify(tmp_path / "v1", deep=True) == []


@pytest.mark.parametrize("codec", CODECS)
def test_other_bytes_are_no_frames(codec: str) -> None:
    schema = schema_with(codec)
    given = recordable(episode_of(schema, 7, 0))
    assert isinstance(given, EncodedEpisode)
    found, group = coders.coder(codec), given.encoded["front"].groups[0]
    wrong = [b"", b"\0", group[: len(group) // 2], b"\xff" * 500, group[:4] + bytes(400)]
    for data in wrong:
        with pytest.raises(TrajStoreError):
            found.decode(memoryview(data), {0: np.empty((HEIGHT, WIDTH, 3), np.uint8)})
    with pytest.raises(CorruptionError):  # a larger picture than the schema's
        found.decode(memoryview(group), {0: np.empty((HEIGHT // 2, WIDTH // 2, 3), np.uint8)})
    out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    found.decode(memoryview(group), {0: out})
    assert np.array_equal(out, given["front"][0])


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("chosen", [[1], [0, 2], [1, 2, 3], [0, 1, 2, 3]])
def test_chosen_episodes_take_their_frames_along(
    version: Path, tmp_path: Path, chosen: list[int], anew: bool
) -> None:
    """Whether their files are taken over or written anew, and once more from what that made."""
    dataset = Dataset.open(version)
    source = Source(LocalFiles(version), np.array(chosen))
    manifest = compose(tmp_path / "v2", [source], {}, quota_bytes=10**9, anew=anew)
    twice = [Source(LocalFiles(tmp_path / "v2"), np.array([0])), source]
    compose(tmp_path / "v3", twice, {}, quota_bytes=10**9, anew=anew)
    for path, numbers in ((tmp_path / "v2", chosen), (tmp_path / "v3", [chosen[0], *chosen])):
        made = Dataset.open(path)
        assert verify(path, deep=True) == []
        assert [it.digest for it in made] == [dataset[number].digest for number in numbers]
        frames = [it.encoded["front"].groups for it in made]  # type: ignore[attr-defined]
        assert frames == [dataset[it].encoded["front"].groups for it in numbers]  # type: ignore[attr-defined]
    figures = camera_facts(manifest)["front"]
    encoded = sum(dataset[it].encoded["front"].size for it in chosen)  # type: ignore[attr-defined]
    raw = sum(dataset[it]["front"].nbytes for it in chosen)
    assert (figures["bytes"], figures["share_of_raw"]) == (encoded, encoded / raw)
    assert abs(figures["psnr_db"] - camera_facts(dataset.manifest)["front"]["psnr_db"]) < 0.1
