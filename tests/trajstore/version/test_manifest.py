"""A manifest is read back exactly, or refused; it never leads out of its version."""

import hashlib
from pathlib import Path

import pytest

from tests import factories
from trajstore.disk.json_text import canonical_json
from trajstore.errors import CorruptionError, NotFoundError
from trajstore.version.manifest import MANIFEST, Manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return factories.dataset(tmp_path / "v1", schema=factories.WIDE_SCHEMA)


def forged(manifest: Manifest, **changes: object) -> bytes:
    """A manifest with other content, and a digest that fits it."""
    body = manifest.to_json() | changes
    del body["manifest_digest"]
    digest = hashlib.sha256(canonical_json(body)).hexdigest()
    return canonical_json(body | {"manifest_digest": digest}) + b"\n"


def test_what_was_written_is_read(manifest: Manifest, tmp_path: Path) -> None:
    found = Manifest.read(tmp_path / "v1")
    assert found == manifest
    assert found.digest == manifest.digest == manifest.to_json()["manifest_digest"]
    assert (found.episodes, found.steps) == (5, manifest.to_json()["steps"])
    assert forged(manifest) == (tmp_path / "v1" / MANIFEST).read_bytes()


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "", "a//b", "./a", "a\\b", "a\0", "a\n"]
)
def test_a_path_that_leads_out_is_refused(manifest: Manifest, path: str) -> None:
    files = manifest.to_json()["files"] | {path: {"size": 1, "sha256": "0" * 64}}
    with pytest.raises(CorruptionError, match="expected a path inside the version"):
        Manifest.from_bytes(forged(manifest, files=files))


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": []},
        {"parts": [{"path": "parts/1", "episodes": 5, "steps": 9}]},
        {"parts": [{"path": "../..", "episodes": 5, "steps": 9}]},
        {"parts": [{"path": "", "episodes": True, "steps": 9}]},
        {"parts": [{"path": "", "episodes": 9, "steps": 5}]},
        {"parts": [{"path": "", "episodes": 1, "steps": 2**60}]},
        {"episodes": 6},
        {"schema_digest": "0" * 64},
        {"content_digest": "xyz"},
        {"files": {"a": {"size": -1, "sha256": "0" * 64}}},
        {"files": {"a": {"size": 1, "sha256": "0"}}},
        {"anomalies": {"x": []}},
        {"more": 1},
    ],
    ids=str,
)
def test_content_that_contradicts_itself_is_refused(
    manifest: Manifest, changes: dict[str, object]
) -> None:
    with pytest.raises(CorruptionError):
        Manifest.from_bytes(forged(manifest, **changes))


@pytest.mark.parametrize("spoil", [b" ", b"\n", b"\xef\xbb\xbf"])
def test_other_white_space_is_noticed(manifest: Manifest, spoil: bytes) -> None:
    data = manifest.to_bytes()
    for changed in (spoil + data, data + spoil, data.replace(b":", b":" + spoil, 1)):
        with pytest.raises(CorruptionError):
            Manifest.from_bytes(changed)


def test_a_folder_without_a_manifest_is_no_version(tmp_path: Path) -> None:
    with pytest.raises(
        NotFoundError, match=r"no version there, it has no manifest\.json; 'trajstore list'"
    ):
        Manifest.read(tmp_path)
