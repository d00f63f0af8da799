"""What format 1 once was, it is for ever: a version that was sealed long ago opens today.

The fixture was written by `write_fixture`, and is never written again. A change of format adds a
fixture beside it.
"""

from pathlib import Path

import numpy as np
import pytest

from trajstore.dataset import Dataset
from trajstore.disk.files import digest
from trajstore.disk.json_text import canonical_json, parse_json
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import CorruptionError, FormatError
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder
from trajstore.version.integrity import verify
from trajstore.version.manifest import Manifest

FIXTURE = Path(__file__).parents[2] / "fixtures" / "format_v1"
CONTENT = "976f57dead9531b5"
KEYS = (
    *("anomalies", "content_digest", "episodes", "files", "format_version", "manifest_digest"),
    *("parts", "provenance", "scenario_counts", "schema", "schema_digest", "statistics"),
    *("steps", "vocabularies"),
)
SCHEMA = EpisodeSchema(
    (
        FieldSpec("observation/pose", Axis.STATE, (3,), "float32", unit="m", low=-50, high=50),
        FieldSpec("observation/grid", Axis.STATE, (40, 40), "uint8", description="occupancy"),
        FieldSpec("action", Axis.STEP, (2,), "float64", low=[-1, 0], high=1),
        FieldSpec("reward", Axis.STEP, (), "float16", finite=False),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        FieldSpec("scenario", Axis.EPISODE, (), "str"),
        FieldSpec("seed", Axis.EPISODE, (), "int64"),
    )
)


def episode(index: int) -> Episode:
    """An episode of plain arithmetic, the same on any machine."""
    steps = 3 + 2 * index
    states, times = np.arange(steps + 1), np.arange(steps)
    cells = (states[:, None, None] * 7 + np.arange(1600).reshape(40, 40)) % 11 == index
    reward = (times / 4).astype("float16")
    reward[0] = np.nan
    return Episode(
        SCHEMA,
        {
            "observation/pose": (states[:, None] * [1.0, -0.5, 0.25] + index).astype("float32"),
            "observation/grid": cells.astype("uint8") * np.uint8(255),
            "action": np.stack([times / 16 - 0.5, times / 32], axis=1),
            "reward": reward,
            "terminated": (times == steps - 1) & (index % 2 == 0),
            "truncated": (times == steps - 1) & (index % 2 == 1),
            "scenario": np.array(["crossing/low", "d\u00e9tour/high"][index % 2]),
            "seed": np.array(2_000_000 + index, "int64"),
        },
    )


def write_fixture(folder: Path) -> None:
    """Two episodes, extended by a third."""
    made = {"made_by": "test_format", "numbers": [1, 2.5, None, True]}
    base = folder.with_name("base")
    write_dataset(base, [episode(0), episode(1)], schema=SCHEMA, provenance=made)
    with Recorder(folder, schema=SCHEMA, provenance=made, extends=base) as recorder:
        recorder.add(episode(2))


def test_the_fixture_opens_and_holds_what_was_written() -> None:
    dataset = Dataset.open(FIXTURE)
    assert dataset.manifest.content_digest.startswith(CONTENT)
    assert [part.path for part in dataset.manifest.parts] == ["", "parts/1"]
    for index, found in enumerate(dataset):
        expected = episode(index)
        assert found.digest == expected.digest
        for name in SCHEMA.names:
            np.testing.assert_array_equal(found[name], expected[name])
    assert dataset.schema == SCHEMA


def test_the_fixture_is_clean() -> None:
    assert list(verify(FIXTURE)) == []


def test_today_the_same_bytes_are_written(tmp_path: Path) -> None:
    write_fixture(tmp_path / "again")
    then, now = Manifest.read(FIXTURE), Manifest.read(tmp_path / "again")
    assert now.content_digest == then.content_digest
    plain = {path: it for path, it in then.files.items() if "/observation/grid/c." not in path}
    assert plain.items() <= now.files.items()
    assert now.files.keys() == then.files.keys()


def test_a_newer_format_is_refused_by_name() -> None:
    record = parse_json((FIXTURE / "manifest.json").read_bytes(), "fixture")
    data = canonical_json(record | {"format_version": 3}) + b"\n"
    with pytest.raises(
        FormatError, match="expected format 1 to 2, got 3; read it with the release"
    ):
        Manifest.from_bytes(data)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "value", [None, [], {}, "x", -1, 2**63, 1.5, {"x": []}, [{"a": 1}]], ids=str
)
def test_a_manifest_with_any_other_value_is_refused(key: str, value: object) -> None:
    record = parse_json((FIXTURE / "manifest.json").read_bytes(), "fixture")
    assert set(record) == set(KEYS)
    for changed in (
        record | {key: value},
        {name: it for name, it in record.items() if name != key},
    ):
        with pytest.raises((CorruptionError, FormatError)):
            Manifest.from_bytes(canonical_json(changed) + b"\n")


def test_every_flipped_byte_of_a_manifest_is_noticed() -> None:
    data = (FIXTURE / "manifest.json").read_bytes()
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises((CorruptionError, FormatError)):
            Manifest.from_bytes(bytes(changed))


def test_the_manifest_leads_to_every_file() -> None:
    manifest = Manifest.read(FIXTURE)
    for path, record in manifest.files.items():
        assert digest(FIXTURE / path) == record.sha256
