"""Zarr and xarray open a version wherever it lies, see what is in it, and warn of nothing."""

import io
import json
import pickle
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray
from zarr.core.buffer import default_buffer_prototype
from zarr.core.group import GroupMetadata
from zarr.core.metadata.v3 import ArrayV3Metadata

from tests import factories
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.lifecycle.archive import Pack, open_pack, pack
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder
from trajstore.version.files import FetchedFiles
from trajstore.version.layout import Part, metadata_files
from trajstore.version.zarr_group import check_metadata

FORMAT_1 = Path(__file__).parents[2] / "fixtures" / "format_v1"
SCHEMA = EpisodeSchema(
    (
        *factories.WIDE_SCHEMA.fields,
        FieldSpec("more/action", Axis.STEP, (3, 2), "float32"),
        FieldSpec("action_0", Axis.STEP, (5,), "float32"),
    )
)


def episodes(count: int, first: int = 0) -> list[Episode]:
    made = []
    for seed in range(first, first + count):
        steps = 3 + seed % 5
        more = {
            "more/action": np.full((steps, 3, 2), seed, "float32"),
            "action_0": np.full((steps, 5), -seed, "float32"),
        }
        arrays = factories.arrays(seed, steps=steps, schema=factories.WIDE_SCHEMA)
        made.append(Episode(SCHEMA, arrays | more))
    return made


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version in two parts."""
    folder = tmp_path_factory.mktemp("zarr")
    write_dataset(folder / "v1", episodes(5), schema=SCHEMA, provenance={})
    with Recorder(folder / "v2", schema=SCHEMA, provenance={}, extends=folder / "v1") as recorder:
        for episode in episodes(3, first=5):
            recorder.add(episode)
    return folder / "v2"


@pytest.fixture(params=["folder", "url", "pack", "format 1"])
def dataset(
    request: pytest.FixtureRequest, version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Dataset:
    """The same version at each kind of origin, and the one that was sealed long ago."""
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    if request.param == "url":
        memory = fsspec.filesystem("memory")
        for path in version.rglob("*"):
            if path.is_file():
                key = f"/{tmp_path.name}/v2/{path.relative_to(version)}"
                memory.pipe(key, path.read_bytes())
        return Dataset.open(f"memory://{tmp_path.name}/v2")
    if request.param == "pack":
        file = io.BytesIO()
        pack(Dataset.open(version), file.write)
        packed = open_pack(file)
        assert isinstance(packed, Pack)
        return Dataset(FetchedFiles(packed, tmp_path / "v2"))
    return Dataset.open(version if request.param == "folder" else FORMAT_1)


def parts(dataset: Dataset) -> list[str]:
    return [f"{part.path}/".removeprefix("/") for part in dataset.manifest.parts]


def test_the_group_holds_every_array_and_nothing_else(dataset: Dataset) -> None:
    group = dataset.zarr()
    assert group.read_only
    members = dict(group.members(max_depth=None))
    wanted = {f"{field.axis.value}/{field.name}" for field in dataset.schema.fields}
    wanted |= {f"index/{name}" for name in ("length", "digest", "anomaly")}
    found = {name for name, member in members.items() if hasattr(member, "shape")}
    assert found == {part + name for part in parts(dataset) for name in wanted}
    assert all(name in str(group.tree()) for name in ("action", "index", "parts"))
    for field in dataset.schema.fields:
        rows = [group[f"{part}{field.axis.value}/{field.name}"][...] for part in parts(dataset)]
        if not field.is_text:
            np.testing.assert_array_equal(np.concatenate(rows), dataset.column(field.name))


def test_the_group_cannot_be_written(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        dataset.zarr()["step/action"][0] = 1


def test_xarray_opens_each_group_with_named_dimensions(dataset: Dataset) -> None:
    for part in parts(dataset):
        steps = xarray.open_zarr(dataset.zarr().store, group=f"{part}step", consolidated=False)
        assert steps["action"].dims == ("step", "action_0")
        assert steps["reward"].dims == ("step",)
    first = dataset.manifest.parts[0].steps
    rows = xarray.open_zarr(dataset.zarr().store, group="step", consolidated=False)["action"]
    np.testing.assert_array_equal(rows.values, dataset.column("action")[:first])


def test_xarray_opens_the_whole_tree(dataset: Dataset) -> None:
    tree = xarray.open_datatree(dataset.zarr().store, engine="zarr", consolidated=False)
    assert {"/step", "/state", "/index", "/episode"} <= set(tree.groups)
    if len(dataset.manifest.parts) > 1:
        second = tree["parts/1/step"]["action"]
        stop = dataset.manifest.parts[0].steps
        np.testing.assert_array_equal(second.values, dataset.column("action")[stop:])


def test_a_group_is_taken_to_another_process(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1", schema=factories.WIDE_SCHEMA)
    dataset = Dataset.open(tmp_path / "v1")
    group = pickle.loads(pickle.dumps(dataset.zarr()))  # noqa: S301 - our own
    for name in ("step/action", "state/camera/grid"):
        np.testing.assert_array_equal(group[name][...], dataset.column(name.split("/", 1)[1]))


def test_a_missing_chunk_is_an_error_and_no_zeros(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1", schema=factories.SCHEMA)
    (tmp_path / "v1/step/action/c.0.0").unlink()
    with pytest.raises(CorruptionError, match=r"c\.0\.0: is missing, 852 bytes"):
        Dataset.open(tmp_path / "v1").zarr()["step/action"][...]


def test_zarr_writes_the_metadata_that_is_on_disk() -> None:
    for path, content in metadata_files(SCHEMA, Part("", 5, 99)):
        record = json.loads(content)
        node = ArrayV3Metadata if record["node_type"] == "array" else GroupMetadata
        written = node.from_dict(record).to_buffer_dict(default_buffer_prototype())["zarr.json"]
        assert json.loads(written.to_bytes()) == record, path


def test_metadata_that_zarr_does_not_take_is_never_written() -> None:
    contents = dict(metadata_files(SCHEMA, Part("", 5, 99)))
    record = json.loads(contents["step/action/zarr.json"])
    check_metadata(contents["step/action/zarr.json"])
    for change in ({"codecs": [{"name": "nosuch"}]}, {"dimension_names": ["step"]}):
        with pytest.raises((ValueError, KeyError)):
            check_metadata(json.dumps(record | change).encode())
