"""JSON is read strictly."""

import pytest

from trajstore.disk.json_text import parse_json
from trajstore.errors import CorruptionError


def test_half_of_a_surrogate_pair_is_no_json_that_could_be_written_again() -> None:
    assert parse_json(rb'["\ud83d\ude00 \u00e9"]', "x") == ["😀 é"]
    for text in (rb'"\ud800"', rb'{"\udfff": 1}', rb'[["\ude00\ud83d"]]'):
        with pytest.raises(CorruptionError, match=r"^x: expected JSON"):
            parse_json(text, "x")
