"""An episode is whole and checked, or it is not there; nothing is cast, nothing changes later."""

import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import SchemaError

LATE = np.array([0, 0, 0, 0, 0, 1, 0], bool)


@pytest.mark.parametrize(
    ("field", "rows", "complaint"),
    [
        ("observation", np.zeros((7, 4), "f4"), r"expected shape \(8, 4\), got \(7, 4\)"),
        ("observation", np.zeros((9, 4), "f4"), r"expected shape \(8, 4\), got \(9, 4\)"),
        ("observation", np.full((8, 4), 101, "f4"), r"row 0: expected values in \[-100"),
        ("observation", np.zeros((8, 4), ">f4"), "expected dtype float32, got >f4"),
        ("observation", [[0.0]], "expected a numpy array, got list"),
        ("observation", np.ma.masked_array(np.zeros((8, 4), "f4")), "got MaskedArray"),
        ("action", np.full((7, 2), np.nan, "f4"), "row 0: expected finite values"),
        ("action", np.array([["a"]], object), "expected dtype float32, got object"),
        ("reward", np.zeros(7), "expected dtype float32, got float64"),
        ("reward", np.float32(1), r"expected shape \(7,\), got \(\)"),
        ("terminated", np.zeros(7, bool), r"expected the end at step 6 only, got ends at \[\]"),
        ("terminated", LATE, r"expected the end at step 6 only, got ends at \[5\]"),
        ("terminated", np.zeros(0, bool), "expected at least one step"),
        ("terminated", True, "expected at least one step"),
        ("scenario", np.array(3), r"expected text, got 3 \(int64\)"),
        ("scenario", 3, r"expected text, got 3 \(int64\)"),
        ("scenario", "a\0", "expected text without NUL"),
        ("scenario", "a\0b", r"without NUL, got 'a\\x00b'"),
        ("scenario", "\udc80", r"expected text that UTF-8 can hold, got '\\udc80'"),
        ("scenario", "a" * 5000, "at most 4,096 bytes of text, got 5,000"),
        ("seed", np.array(-1), r"row 0: expected values in \[0, any\], got -1"),
        ("seed", 1.5, "expected dtype int64, got float64"),
        ("seed", None, "expected a numpy array, got NoneType"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(field: str, rows: object, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        Episode(factories.SCHEMA, factories.arrays() | {field: rows})  # type: ignore[dict-item]


def test_the_first_row_at_fault_is_named() -> None:
    action = factories.arrays()["action"]
    action[3, 1] = 2
    with pytest.raises(SchemaError, match="field 'action': row 3: expected values in"):
        factories.episode(action=action)


def test_missing_and_unknown_fields_are_named() -> None:
    arrays = factories.arrays() | {"extra": np.zeros(1)}
    del arrays["reward"]
    with pytest.raises(SchemaError, match=r"missing \['reward'\], unknown \['extra'\]"):
        Episode(factories.SCHEMA, arrays)


def test_arrays_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"arrays: expected a mapping .* got NoneType"):
        Episode(factories.SCHEMA, None)  # type: ignore[arg-type]


def test_both_ends_at_the_last_step_are_one_end() -> None:
    arrays = factories.arrays()
    both = factories.episode(truncated=arrays["terminated"])
    assert both["terminated"][-1] and both["truncated"][-1]


def test_nan_is_kept_where_the_schema_allows_it() -> None:
    people = FieldSpec("people", Axis.STATE, (2,), "float32", low=0, high=1, finite=False)
    schema = EpisodeSchema((*factories.SCHEMA.fields, people))
    rows = np.full((8, 2), np.nan, "float32")
    episode = Episode(schema, factories.arrays() | {"people": rows})
    assert np.isnan(episode["people"]).all()


def test_arrays_cannot_be_changed_through_either_side() -> None:
    arrays = factories.arrays()
    episode = Episode(factories.SCHEMA, arrays)
    arrays["reward"][0] = 99
    assert episode["reward"][0] != 99
    with pytest.raises(ValueError, match="read-only"):
        episode["reward"][0] = 1
    with pytest.raises(TypeError):
        episode.arrays["reward"] = arrays["reward"]  # type: ignore[index]


def test_text_comes_back_as_text() -> None:
    assert (
        factories.episode(scenario="r\u00e9union/\u65e5\u672c")["scenario"]
        == "r\u00e9union/\u65e5\u672c"
    )


def test_an_episode_survives_pickling_between_workers() -> None:
    episode = factories.episode(schema=factories.WIDE_SCHEMA)
    assert pickle.loads(pickle.dumps(episode)).digest == episode.digest  # noqa: S301


def test_the_digest_is_that_of_the_specification() -> None:
    """Worked out by hand from the text of docs/format.md."""
    schema = EpisodeSchema(factories.SCHEMA.fields[3:6])
    ends = np.array([False, True])
    episode = Episode(
        schema, {"terminated": ends, "truncated": ~ends & False, "scenario": "\u00e9"}
    )

    content = b'["scenario","str",[2]]\n\xc3\xa9'
    content += b'["terminated","bool",[2]]\n\x00\x01["truncated","bool",[2]]\n\x00\x00'
    assert episode.digest == hashlib.sha256(content).hexdigest()


@given(st.sampled_from(["observation", "action", "reward"]), st.data())
def test_any_changed_value_changes_the_digest(name: str, data: st.DataObject) -> None:
    arrays = factories.arrays()
    flat = arrays[name].reshape(-1)
    place = data.draw(st.integers(0, len(flat) - 1))
    flat[place] = np.nextafter(flat[place], np.float32(0.5))
    assert Episode(factories.SCHEMA, arrays).digest != factories.episode().digest


def test_a_non_contiguous_array_is_the_same_episode() -> None:
    observation = np.asfortranarray(factories.arrays()["observation"])
    assert factories.episode(observation=observation).digest == factories.episode().digest
