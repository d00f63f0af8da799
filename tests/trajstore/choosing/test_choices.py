"""Episodes by number and by marks; every refusal says what there is."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from trajstore.choosing.choice import ranges
from trajstore.choosing.marks import read_marks
from trajstore.dataset import Dataset
from trajstore.errors import ArgumentError, CorruptionError, NotFoundError, SchemaError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    target = tmp_path_factory.mktemp("choices") / "v1"
    factories.dataset(target, count=12, schema=factories.WIDE_SCHEMA)
    return Dataset.open(target)


def seeds(dataset: Dataset) -> list[int]:
    return dataset.column("seed").tolist()


@pytest.mark.parametrize(
    ("episodes", "expected"),
    [
        ("0,4-6", [0, 4, 5, 6]),
        (" 11 , 3 - 3 ", [3, 11]),
        ("5,5,4-6", [4, 5, 6]),
        ([7, 2], [2, 7]),
        (np.array([1, 9]), [1, 9]),
        (range(3), [0, 1, 2]),
    ],
)
def test_episodes_come_by_number_in_their_order(
    dataset: Dataset, episodes: object, expected: list[int]
) -> None:
    assert seeds(dataset.select(episodes=episodes)) == expected
    rest = [it for it in range(12) if it not in expected]
    assert seeds(dataset.select(exclude=episodes)) == rest
    assert seeds(dataset.select(episodes=ranges(expected))) == expected


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1-2-3", "-1", "1.5", "\u0661", "0x1", "1 2"])
def test_numbers_that_are_none_are_refused(dataset: Dataset, text: str) -> None:
    with pytest.raises(ArgumentError, match="episodes: expected numbers of episodes such as"):
        dataset.select(episodes=text)


@pytest.mark.parametrize("episodes", [3, [1.5], [True], ["1"], None.__class__])
def test_what_lists_no_numbers_is_refused(dataset: Dataset, episodes: object) -> None:
    with pytest.raises(ArgumentError, match="exclude: expected whole numbers"):
        dataset.select(exclude=episodes)


@pytest.mark.parametrize("episodes", ["12", "4-99999999999999999", "6-4", [-1], [0, 12]])
def test_an_episode_that_there_is_not_is_named(dataset: Dataset, episodes: object) -> None:
    with pytest.raises(NotFoundError, match="from 0 to 11, lower ones first, got"):
        dataset.select(episodes=episodes)


def test_a_choice_of_nothing_is_refused(dataset: Dataset) -> None:
    with pytest.raises(NotFoundError, match="none of 12 episodes satisfies where length > 999"):
        dataset.select("length > 999")
    with pytest.raises(NotFoundError, match="exclude 0-11"):
        dataset.select(exclude=range(12))


def marks_file(path: Path, marks: list[object], **changes: object) -> Path:
    path.write_text(json.dumps({"format_version": 1, "marks": marks, **changes}))
    return path


def test_marks_leave_out_what_they_exclude_and_give_tags(dataset: Dataset, tmp_path: Path) -> None:
    digests = dataset.episodes["digest"].tolist()
    path = marks_file(
        tmp_path / "marks.json",
        [
            {"episode": digests[0], "mark": "exclude", "tags": ["blurred"], "note": "see 3 s"},
            {"episode": digests[1], "mark": "keep", "tags": ["good", "é"]},
            {"episode": digests[2], "tags": ["good"]},
            {"episode": "0" * 64, "mark": "exclude"},
        ],
    )
    marks = read_marks(path)
    assert seeds(dataset.select(marks=marks)) == list(range(1, 12))
    assert seeds(dataset.select("'good' in tags", marks=marks)) == [1, 2]
    assert seeds(dataset.select("mark == 'keep'", marks=marks)) == [1]
    assert seeds(dataset.select("mark == '' and length > 0", marks=marks)) == list(range(2, 12))
    with pytest.raises(NotFoundError):
        dataset.select("'blurred' in tags", marks=marks)
    with pytest.raises(ArgumentError, match="'tags' is known only where marks are given"):
        dataset.select("'good' in tags")
    with pytest.raises(ArgumentError, match="'status' is known only of a version in a store"):
        dataset.select("status == 'draft'")
    with pytest.raises(NotFoundError, match=r"none of the 1 marks is on an episode of"):
        dataset.select(marks={"0" * 64: marks["0" * 64]})


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "null", '{"format_version": 1}', '{"format_version": 2, "marks": []}',
        '{"format_version": 1, "marks": [{"episode": 3}]}',
        '{"format_version": 1, "marks": [{"episode": "a", "mark": "maybe"}]}',
        '{"format_version": 1, "marks": [{"episode": "a", "tags": "x"}]}',
        '{"format_version": 1, "marks": [{"episode": "a"}, {"episode": "a"}]}',
        "<<<<<<< HEAD",
    ],
)  # fmt: skip
def test_a_file_that_holds_no_marks_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "marks.json").write_text(content)
    with pytest.raises(CorruptionError, match=r"marks\.json: expected"):
        read_marks(tmp_path / "marks.json")


def test_no_file_of_marks_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.json: there is no such file"):
        read_marks(tmp_path / "none.json")


def test_the_return_is_that_of_the_rewards_unless_a_field_says_it(dataset: Dataset) -> None:
    expected = [float(episode["reward"].astype(np.float64).sum()) for episode in dataset]
    middle = sorted(expected)[6]
    chosen = dataset.select(f"return >= {middle!r}")
    assert seeds(chosen) == [it for it in range(12) if expected[it] >= middle]


def test_a_mask_or_a_function_chooses_too(dataset: Dataset) -> None:
    mask = dataset.lengths > 9
    assert seeds(dataset.select(mask)) == np.flatnonzero(mask).tolist()
    assert seeds(dataset.select(lambda table: table["length"] > 9)) == np.flatnonzero(mask).tolist()
    with pytest.raises(ArgumentError, match=r"where: expected bool\[12\]"):
        dataset.select(mask[:3])
    with pytest.raises(SchemaError, match="no column"):
        dataset.select(lambda table: table["action"] > 1)
