"""A name stays inside the store; a reference says which version, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajstore.episode.names import Reference, check_name, parse_reference, version_number
from trajstore.errors import NameRefusedError

HOSTILE = [
    "", ".", "..", "../x", "/etc", "a/b", "a\\b", "A", "Expert", "a b", " a", "a ", "a.", "a\n",
    "a\0", "-a", "_a", "a" * 65, "caf\u00e9", "\u0435xpert", "\uff41", "a\u200b", "con:", "a@v1",
    "~", "$HOME", "%2e%2e", "a*", "\u0661", "\u00b2",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(NameRefusedError, match="dataset name: expected 1 to 64 of a-z"):
        check_name(name)


@pytest.mark.parametrize("name", [None, 3, b"expert", ["expert"]])
def test_what_is_no_text_is_refused(name: object) -> None:
    with pytest.raises(NameRefusedError):
        check_name(name)  # type: ignore[arg-type]
    with pytest.raises(NameRefusedError):
        parse_reference(name)  # type: ignore[arg-type]


@given(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True))
def test_a_good_name_is_returned(name: str) -> None:
    assert check_name(name) == name
    assert parse_reference(name) == Reference(name)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("expert", Reference("expert")),
        ("expert@v3", Reference("expert", version=3)),
        ("expert@latest", Reference("expert", newest=True)),
        ("archive:expert@v1", Reference("expert", version=1, archived=True)),
        ("data/current/expert", Reference(location="data/current/expert")),
        ("/abs", Reference(location="/abs")),
        (".", Reference(location=".")),
        ("s3://bucket/x", Reference(location="s3://bucket/x")),
    ],
)
def test_a_reference_is_read_and_printed(text: str, meant: Reference) -> None:
    assert parse_reference(text) == meant
    assert str(meant) == text


@pytest.mark.parametrize(
    "text",
    ["", "expert@", "expert@3", "expert@v0", "expert@v01", "expert@v1@v2", "expert@v\u0663",
     "archive:", "archive:archive:expert", ":expert", "other:expert", "Expert@v1", "a\0b",
     "expert@v9999999999", "expert@latest "],
    ids=ascii,
)  # fmt: skip
def test_a_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(NameRefusedError):
        parse_reference(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_reference(text)
    except NameRefusedError:
        return
    assert found.location is not None or check_name(found.name)


def test_only_plain_version_folders_count() -> None:
    found = [version_number(text) for text in ("v1", "v10", "v0", "1", "v1.status.json", ".v1")]
    assert found == [1, 10, None, None, None, None]
