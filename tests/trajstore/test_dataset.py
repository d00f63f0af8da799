"""What was recorded is what is read, by episode, column, sample and window; nothing is written."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from trajstore.dataset import Dataset
from trajstore.episode.schema import Axis
from trajstore.errors import CorruptionError, NotFoundError, SchemaError


@pytest.fixture(scope="module")
def episodes():
    return factories.episodes(40, schema=factories.WIDE_SCHEMA)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    target = tmp_path_factory.mktemp("dataset") / "v1"
    factories.dataset(target, count=40, schema=factories.WIDE_SCHEMA)
    return target


@pytest.fixture
def dataset(version):
    return Dataset.open(version)


def assert_steps_are_those_of(batch, episodes, mask=None):
    """Every row of a batch is the step that its ``episode`` and ``step`` name."""
    for row, (index, step) in enumerate(zip(batch["episode"], batch["step"], strict=True)):
        episode = episodes[index]
        width = 1 if mask is None else int(mask[row].sum())
        for spec in episode.schema.fields:
            if spec.axis is Axis.EPISODE:
                continue
            found = batch[spec.name][row]
            found = found[None] if mask is None else found[:width]
            np.testing.assert_array_equal(found, episode[spec.name][step : step + width])
            if spec.axis is Axis.STATE:
                after = batch[f"next_{spec.name}"][row]
                after = after[None] if mask is None else after[:width]
                np.testing.assert_array_equal(
                    after, episode[spec.name][step + 1 : step + 1 + width]
                )


def test_each_episode_comes_back_bit_for_bit(dataset, episodes):
    assert len(dataset) == len(episodes)
    for read, recorded in zip(dataset, episodes, strict=True):
        assert read.digest == recorded.digest
        assert len(read) == len(recorded)
        assert read["scenario"] == recorded["scenario"]
        assert read["seed"].shape == ()


def test_negative_indices_count_from_the_end_and_others_are_refused(dataset, episodes):
    assert dataset[-1].digest == episodes[-1].digest
    for index in (len(episodes), -len(episodes) - 1):
        with pytest.raises(IndexError, match=f"no episode {index}; they are 0 to 39"):
            dataset[index]


def test_a_column_is_all_rows_end_to_end(dataset, episodes):
    for spec in dataset.schema.fields:
        parts = [episode[spec.name] for episode in episodes]
        whole = np.stack(parts) if spec.axis is Axis.EPISODE else np.concatenate(parts)
        np.testing.assert_array_equal(dataset.column(spec.name), whole)


def test_the_table_has_a_row_an_episode(dataset, episodes):
    table = dataset.episodes
    assert set(table) == {"scenario", "seed", "goal", "length", "anomaly", "digest"}
    assert table["digest"].tolist() == [episode.digest for episode in episodes]
    assert table["length"].tolist() == [len(episode) for episode in episodes]
    assert table["scenario"].tolist() == [episode["scenario"] for episode in episodes]


def test_a_sample_is_of_steps_with_the_state_before_and_after(dataset, episodes):
    batch = dataset.sample(300, rng=np.random.default_rng(1))
    assert batch["observation"].shape == (300, 4)
    assert batch["next_camera/grid"].shape == (300, 64, 64)
    assert_steps_are_those_of(batch, episodes)


def test_the_same_generator_draws_the_same_sample(dataset):
    one, other = (dataset.sample(50, rng=np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_every_step_is_drawn_equally_often(dataset):
    batch = dataset.sample(200 * dataset.steps, rng=np.random.default_rng(0), fields=["seed"])
    starts = np.cumsum(dataset.lengths) - dataset.lengths
    drawn = np.bincount(starts[batch["episode"]] + batch["step"], minlength=dataset.steps)
    assert 140 < drawn.min() <= drawn.max() < 265
    chi_square = ((drawn - 200) ** 2 / 200).sum() / (dataset.steps - 1)
    assert 0.8 < chi_square < 1.2


def test_fields_chooses_columns_by_name(dataset):
    names = ["next_observation", "action", "scenario"]
    batch = dataset.sample(9, rng=np.random.default_rng(0), fields=names)
    assert set(batch) == {*names, "episode", "step"}
    assert batch["scenario"].tolist() == dataset.episodes["scenario"][batch["episode"]].tolist()
    with pytest.raises(SchemaError, match="'nextobservation'"):
        dataset.sample(9, rng=np.random.default_rng(0), fields=["nextobservation"])


def test_where_draws_from_the_chosen_episodes_only(dataset):
    batch = dataset.sample(
        500, rng=np.random.default_rng(0), where=lambda table: table["length"] > 20
    )
    assert set(batch["episode"].tolist()) == set(np.flatnonzero(dataset.lengths > 20).tolist())


@pytest.mark.parametrize(
    ("where", "error", "complaint"),
    [
        (np.zeros(40, bool), NotFoundError, "'where' leaves no episode"),
        (np.zeros(3, bool), ValueError, r"expected bool\[40\], got bool of shape \(3,\)"),
        (np.arange(40), ValueError, "got int64"),
    ],
)
def test_a_where_that_makes_no_sense_is_refused(dataset, where, error, complaint):
    with pytest.raises(error, match=complaint):
        dataset.sample(1, rng=np.random.default_rng(0), where=where)


def test_a_wrong_argument_is_named_with_what_was_expected(dataset):
    rng = np.random.default_rng(0)
    for index in (slice(0, 1), 1.0):
        with pytest.raises(TypeError, match="episode: expected a whole number"):
            dataset[index]
    for count in (-1, 2.5):
        with pytest.raises(ValueError, match="n: expected a whole number of 0 or more"):
            dataset.sample(count, rng=rng)
    for draw in (dataset.sample, dataset.batches):
        with pytest.raises(TypeError, match=r"rng: .* got 7; pass np.random.default_rng\(7\)"):
            draw(3, rng=7)
    with pytest.raises(SchemaError, match=r"no column 'reward'; .*length, anomaly, digest"):
        dataset.sample(3, rng=rng, where=lambda table: table["reward"] > 0)


def test_a_pass_gives_every_step_once(dataset, episodes):
    seen = []
    for batch in dataset.batches(64, rng=np.random.default_rng(5)):
        assert_steps_are_those_of(batch, episodes)
        seen += zip(batch["episode"].tolist(), batch["step"].tolist(), strict=True)
    assert len(seen) == len(set(seen)) == dataset.steps
    assert seen != sorted(seen)


def test_a_window_stays_in_its_episode_and_masks_the_rest(dataset, episodes):
    starts = []
    for batch in dataset.batches(32, rng=np.random.default_rng(5), window=16):
        assert batch["action"].shape[1:] == (16, 2)
        assert_steps_are_those_of(batch, episodes, mask=batch["mask"])
        left = dataset.lengths[batch["episode"]] - batch["step"]
        np.testing.assert_array_equal(batch["mask"].sum(axis=1), np.minimum(left, 16))
        starts += zip(batch["episode"].tolist(), batch["step"].tolist(), strict=True)
    assert len(starts) == len(set(starts)) == dataset.steps


def test_a_pass_goes_on_from_its_state(dataset):
    whole = list(dataset.batches(50, rng=np.random.default_rng(2), fields=["action"]))
    first = dataset.batches(50, rng=np.random.default_rng(2), fields=["action"])
    begun = [next(first) for _ in range(3)]
    rest = list(dataset.batches(50, resume=first.state(), fields=["action"]))
    assert len(begun) + len(rest) == len(whole)
    for one, other in zip(whole, begun + rest, strict=True):
        np.testing.assert_array_equal(one["action"], other["action"])


def test_the_state_of_another_pass_is_refused(dataset):
    state = dataset.batches(50, rng=np.random.default_rng(2)).state()
    with pytest.raises(ValueError, match="expected size 51, got 50"):
        dataset.batches(51, resume=state)
    with pytest.raises(ValueError, match="expected content"):
        dataset.batches(50, resume=state | {"content": "0" * 64})


def test_workers_can_share_a_pass_by_batch_numbers(dataset):
    batches = dataset.batches(64, rng=np.random.default_rng(5), fields=["seed"])
    by_number = [batches.batch(number)["step"] for number in range(len(batches))]
    in_order = [batch["step"] for batch in dataset.batches(64, rng=np.random.default_rng(5))]
    assert all(np.array_equal(*pair) for pair in zip(by_number, in_order, strict=True))


def test_what_is_read_cannot_be_written(dataset):
    for values in (dataset.column("action"), dataset[0]["observation"], dataset.lengths):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_a_dataset_travels_to_another_process(dataset, tmp_path):
    for opened in (dataset, Dataset.open(dataset.path, cache=tmp_path)):
        copy = pickle.loads(pickle.dumps(opened))  # noqa: S301 - our own bytes
        assert copy[3].digest == dataset[3].digest


def test_a_folder_without_a_version_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="no version there"):
        Dataset.open(tmp_path / "v1")


def test_reading_works_in_a_folder_that_cannot_be_written_and_changes_nothing(tmp_path):
    factories.dataset(tmp_path / "v1", count=6, schema=factories.WIDE_SCHEMA)
    before = tree(tmp_path)
    for folder in tmp_path.rglob("*"):
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    dataset = Dataset.open(tmp_path / "v1")
    list(dataset)
    list(dataset.batches(5, rng=np.random.default_rng(0)))
    assert dataset.episodes and tree(tmp_path) == before
    for folder in (tmp_path, *tmp_path.rglob("*")):
        folder.chmod(0o755 if folder.is_dir() else 0o644)


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Modification time and content of every file below a folder."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def test_the_cache_gives_the_same_rows_and_heals(version, episodes, tmp_path):
    cached = Dataset.open(version, cache=tmp_path)
    rng = np.random.default_rng(4)
    assert_steps_are_those_of(cached.sample(100, rng=rng), episodes)
    [file] = tmp_path.rglob("*.rows")
    content = file.read_bytes()
    for damaged in (content[:-9], b"", content[:100] + b"x" + content[101:]):
        file.write_bytes(damaged)
        again = Dataset.open(version, cache=tmp_path)
        assert_steps_are_those_of(again.sample(100, rng=rng), episodes)
        assert file.read_bytes() == content
    assert again[7].digest == episodes[7].digest


@pytest.mark.parametrize("fault", ["delete", "truncate", "empty", "extend", "flip", "link"])
@pytest.mark.parametrize("field", ["state/observation", "state/camera/grid", "index/length"])
def test_a_damaged_chunk_is_an_error_that_names_it(tmp_path, fault, field):
    factories.dataset(tmp_path / "v1", schema=factories.WIDE_SCHEMA)
    chunk = next((tmp_path / "v1" / field).glob("c*"))
    content = chunk.read_bytes()
    if fault == "delete":
        chunk.unlink()
    elif fault == "link":
        chunk.rename(tmp_path / "elsewhere")
        chunk.symlink_to(tmp_path / "elsewhere")
    else:
        flipped = bytes([content[0], content[1] ^ 4]) + content[2:]
        damaged = {
            "truncate": content[:-3],
            "empty": b"",
            "extend": content + b"1",
            "flip": flipped,
        }
        chunk.write_bytes(damaged[fault])
    with pytest.raises(CorruptionError, match=f"{field}/{chunk.name}"):
        list(Dataset.open(tmp_path / "v1"))


def test_a_linked_folder_is_refused(tmp_path):
    factories.dataset(tmp_path / "v1")
    (tmp_path / "v1/step/action").rename(tmp_path / "action")
    (tmp_path / "v1/step/action").symlink_to(tmp_path / "action")
    with pytest.raises(CorruptionError, match="expected a folder, got a symbolic link"):
        Dataset.open(tmp_path / "v1").column("action")
