"""What is exported to another format comes back bit for bit, fields and provenance included."""

from importlib import import_module

import numpy as np
import pytest

from tests import factories
from trajstore.dataset import Dataset
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import ArgumentError, CorruptionError, NotFoundError, SchemaError, SealedError
from trajstore.interop.formats import FORMATS

NESTED = EpisodeSchema(
    (
        FieldSpec("observation/picture", Axis.STATE, (40, 40, 3), "uint8"),
        FieldSpec("observation/speed", Axis.STATE, (), "float64"),
        *factories.SCHEMA.fields[1:],
    )
)
SCHEMAS = {"flat": factories.SCHEMA, "wide": factories.WIDE_SCHEMA, "nested": NESTED}


def nested(seed: int, steps: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = factories.arrays(seed, steps=steps)
    del arrays["observation"]
    return arrays | {
        "observation/picture": rng.integers(0, 256, (steps + 1, 40, 40, 3)).astype("uint8"),
        "observation/speed": rng.normal(size=steps + 1),
    }


def version(target, kind):
    from trajstore.episode.episode import Episode
    from trajstore.recording.bulk import write_dataset

    episodes = factories.episodes(6, schema=factories.SCHEMA)
    if kind == "nested":
        episodes = [Episode(NESTED, nested(seed, 3 + seed)) for seed in range(6)]
    elif kind == "wide":
        episodes = factories.episodes(6, schema=factories.WIDE_SCHEMA)
    write_dataset(target, episodes, schema=SCHEMAS[kind], provenance={"policy": "p7", "n": [1]})
    return Dataset.open(target)


@pytest.fixture(params=[name for name, it in FORMATS.items() if it.reader and it.writer])
def format_(request):
    return import_module(f"trajstore.interop.{request.param}")


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_nothing_is_lost_on_the_way_there_and_back(tmp_path, format_, kind):
    dataset = version(tmp_path / "v1", kind)
    if kind == "nested" and format_.__name__.endswith("imitation"):
        with pytest.raises(SchemaError, match="imitation's format cannot hold"):
            format_.export_dataset(dataset, tmp_path / "out")
        return
    format_.export_dataset(dataset, tmp_path / "out")
    back = format_.import_dataset(tmp_path / "out")
    assert back.schema == dataset.schema
    assert dict(back.provenance) == {"policy": "p7", "n": [1]}
    assert [one.digest for one in back.episodes] == [one.digest for one in dataset]


def test_an_existing_target_is_refused_and_left_alone(tmp_path, format_):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SealedError, match="exists already"):
        format_.export_dataset(version(tmp_path / "v1", "flat"), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_source_that_is_absent_or_another_thing_is_refused(tmp_path, format_):
    with pytest.raises(NotFoundError):
        format_.import_dataset(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorruptionError):
        format_.import_dataset(tmp_path / "empty")


def test_numpy_alone_reads_the_npz(tmp_path):
    from trajstore.interop import npz

    dataset = version(tmp_path / "v1", "flat")
    npz.export_dataset(dataset, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["state/observation"], dataset.column("observation"))
        assert file["length"].tolist() == dataset.lengths.tolist()


def test_an_npz_with_pickled_objects_is_refused(tmp_path):
    from trajstore.interop import npz

    path = tmp_path / "objects.npz"
    np.savez(path, length=np.array([{}], dtype=object))
    with pytest.raises(CorruptionError, match="npz: is not an NPZ file that trajstore exported"):
        npz.import_dataset(path)


def test_minari_itself_opens_what_was_exported(tmp_path):
    import minari

    from trajstore.interop import minari as ours

    dataset = version(tmp_path / "v1", "nested")
    ours.export_dataset(dataset, tmp_path / "expert")
    opened = minari.MinariDataset(tmp_path / "expert" / "data")
    assert opened.total_episodes == 6
    for theirs, own in zip(opened.iterate_episodes(), dataset, strict=True):
        np.testing.assert_array_equal(
            theirs.observations["picture"], own.arrays["observation/picture"]
        )
        np.testing.assert_array_equal(theirs.actions, own.arrays["action"])


@pytest.mark.filterwarnings("ignore:keys will default:DeprecationWarning")
def test_trajectories_that_imitation_saved_come_in(tmp_path):
    from imitation.data import serialize

    from trajstore.interop import imitation

    dataset = version(tmp_path / "v1", "flat")
    serialize.save(tmp_path / "saved", imitation.trajectories(dataset))
    back = imitation.import_dataset(tmp_path / "saved")
    for theirs, own in zip(back.episodes, dataset, strict=True):
        for name in ("observation", "action", "terminated", "truncated"):
            np.testing.assert_array_equal(theirs[name], own[name])


def test_fields_of_our_own_files_can_be_left_out(tmp_path, format_):
    dataset = version(tmp_path / "v1", "flat")
    format_.export_dataset(dataset, tmp_path / "out")
    back = format_.import_dataset(tmp_path / "out", leave_out=["scenario", "reward"])
    assert set(dataset.schema.names) - set(back.schema.names) == {"scenario", "reward"}
    assert back.provenance["left_out"] == list(back.left_out)
    for one, whole in zip(back.episodes, dataset, strict=True):
        for name in back.schema.names:
            np.testing.assert_array_equal(one[name], whole[name])
    with pytest.raises(ArgumentError, match="leave out: expected names of"):
        format_.import_dataset(tmp_path / "out", leave_out=["truncated"])


def test_episodes_can_be_read_again(tmp_path, format_):
    dataset = version(tmp_path / "v1", "flat")
    format_.export_dataset(dataset, tmp_path / "out")
    back = format_.import_dataset(tmp_path / "out")
    assert [it.digest for it in back.episodes] == [it.digest for it in back.episodes]


def test_an_npz_without_an_end_names_the_way_round(tmp_path):
    from trajstore.interop import npz

    dataset = version(tmp_path / "v1", "flat")
    npz.export_dataset(dataset, tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as file:
        arrays = dict(file)
    last = int(arrays["length"][0]) - 1
    for end in ("terminated", "truncated"):
        arrays[f"step/{end}"][last] = False
    np.savez(tmp_path / "cut.npz", **arrays)
    with pytest.raises(SchemaError, match=r"episode 0: .*--mark-truncated"):
        list(npz.import_dataset(tmp_path / "cut.npz").episodes)
    first, *_ = npz.import_dataset(tmp_path / "cut.npz", mark_truncated=True).episodes
    assert first["truncated"].tolist() == [False] * last + [True]
