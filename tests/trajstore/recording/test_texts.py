"""Texts that change from step to step go through journal and version unchanged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factories
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import SchemaError
from trajstore.recording.bulk import write_dataset
from trajstore.recording.recorder import Recorder

SCHEMA = EpisodeSchema(
    (
        *factories.SCHEMA.fields,
        FieldSpec("observation/mission", Axis.STATE, (), "str"),
        FieldSpec("said", Axis.STEP, (), "str"),
    )[1:]
)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)


def spoken(seed: int, missions: list[str], said: list[str]) -> Episode:
    made = factories.arrays(seed, steps=len(said), schema=factories.SCHEMA)
    del made["observation"]
    texts = {"observation/mission": np.array(missions), "said": np.array(said)}
    return Episode(SCHEMA, made | texts)


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=2, max_size=6), st.lists(WORDS, min_size=6, max_size=6))
def test_the_digest_of_texts_tells_them_apart(one: list[str], other: list[str]) -> None:
    made = spoken(0, one, other[: len(one) - 1])
    assert made["observation/mission"].tolist() == one
    swapped = [*one[1:], one[0]]
    assert (spoken(0, swapped, other[: len(one) - 1]).digest == made.digest) is (swapped == one)


def test_texts_come_back_from_a_recording_and_from_what_extends_it(tmp_path: Path) -> None:
    missions = [["", "a", ""], ["go", "stay", "gehe\n"], ["ü" * 50] * 3]
    made = [spoken(seed, words, ["x", words[0]]) for seed, words in enumerate(missions)]
    with Recorder(tmp_path / "v1", schema=SCHEMA, provenance={}) as recorder:
        for episode in made[:2]:
            recorder.add(episode)
    base = tmp_path / "v1"
    with Recorder(tmp_path / "v2", schema=SCHEMA, provenance={}, extends=base) as recorder:
        recorder.add(made[2])
    dataset = Dataset.open(tmp_path / "v2")
    assert [it.digest for it in dataset] == [it.digest for it in made]
    assert [it["observation/mission"].tolist() for it in dataset] == missions
    assert dataset.findings(deep=True) == []
    batch = dataset.take(
        [0, 3, 5], fields=["observation/mission", "next_observation/mission", "said"]
    )
    assert batch["observation/mission"].tolist() == ["", "stay", "ü" * 50]
    assert batch["next_observation/mission"].tolist() == ["a", "gehe\n", "ü" * 50]
    assert batch["said"].tolist() == ["x", "go", "ü" * 50]
    window = next(dataset.batches(6, window=2, rng=np.random.default_rng(0), fields=["said"]))
    assert window["said"].shape == (6, 2)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (np.array(["a", "b"]), r"expected shape \(3,\), got \(2,\)"),
        (np.array([["a"]] * 3), r"expected shape \(3,\)"),
        (np.array([1, 2, 3]), r"expected text, got 1 \(int64\)"),
        (np.array(["a", "b", "x" * 5000]), "at most 4,096 bytes of text"),
        (np.array(["a", "b", "\udc80"]), "expected text that UTF-8 can hold"),
        (np.array([b"a", b"b", b"c"]), "expected text, got b'a'"),
    ],
)
def test_rows_that_are_no_texts_are_refused(texts: np.ndarray, complaint: str) -> None:
    made = dict(spoken(0, ["a", "b", "c"], ["x", "y"]).arrays)
    with pytest.raises(SchemaError, match=complaint):
        Episode(SCHEMA, made | {"observation/mission": texts})


def test_texts_are_sealed_as_codes_that_zarr_shows(tmp_path: Path) -> None:
    made = [spoken(seed, ["go", "stay", "go"], ["x", "y"]) for seed in range(3)]
    write_dataset(tmp_path / "v1", made, schema=SCHEMA, provenance={})
    dataset = Dataset.open(tmp_path / "v1")
    assert dataset.manifest.vocabularies["observation/mission"] == ("go", "stay")
    codes = dataset.zarr()["state/observation/mission"]
    assert codes[:].tolist() == [0, 1, 0] * 3
