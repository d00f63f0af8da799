"""A pack that was written long ago is read today: in the archive, unpacked, and by Zarr alone.

The fixture holds the version of `test_format`, packed in format 1. It is never written again;
another format adds a fixture beside it.
"""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

from tests.trajstore.version.test_format import CONTENT, SCHEMA, episode
from trajstore.episode.schema import Axis
from trajstore.lifecycle.archive import open_pack, unpack
from trajstore.lifecycle.archived import open_archived
from trajstore.lifecycle.ledger import Deed, Entry
from trajstore.lifecycle.pack_v1 import OldPack
from trajstore.version.integrity import verify
from trajstore.version.location import Folder

FIXTURE = Path(__file__).parents[2] / "fixtures" / "pack_v1.zip"
COUNT = 3


@pytest.fixture
def packed() -> OldPack:
    found = open_pack(io.BytesIO(FIXTURE.read_bytes()))
    assert isinstance(found, OldPack)
    return found


def test_an_old_pack_holds_what_was_packed(packed: OldPack) -> None:
    packed.check()
    assert packed.manifest.schema == SCHEMA
    assert [it.digest for it in packed] == [episode(index).digest for index in range(COUNT)]


def test_an_old_pack_in_the_archive_is_read_through_the_cache(
    packed: OldPack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    data, digest = FIXTURE.read_bytes(), packed.manifest.content_digest
    entry = Entry(
        Deed.ARCHIVE, 1, digest, "2026-01-01T00:00:00+00:00", "a test",
        archive=FIXTURE.name, sha256=hashlib.sha256(data).hexdigest(), size=len(data),
    )  # fmt: skip
    for _ in range(2):
        path = tmp_path / "expert" / "v1"
        archived = open_archived(Folder(FIXTURE.parent), entry, path)
        assert (archived.where, archived.path) == ("archive:expert@v1", path)
        assert archived.findings(deep=True) == []
        for index, found in enumerate(archived):
            for name in SCHEMA.names:
                np.testing.assert_array_equal(found[name], episode(index)[name])
        archived.close()
    wrong = dataclasses.replace(entry, sha256="0" * 64)
    [finding] = open_archived(Folder(FIXTURE.parent), wrong, path).findings()
    assert (finding.check, finding.file) == ("archive", FIXTURE.name)


def test_an_old_pack_is_unpacked_into_a_sound_version(packed: OldPack, tmp_path: Path) -> None:
    written = unpack(packed, tmp_path / "v1")
    assert written.content_digest.startswith(CONTENT)
    assert verify(tmp_path / "v1", deep=True) == []


def test_zarr_alone_reads_every_array_of_a_pack_without_a_warning() -> None:
    """Warnings are errors here; an array is opened by its path."""
    store = ZipStore(FIXTURE, mode="r")
    for field in SCHEMA.fields:
        rows = zarr.open_array(store, path=f"{field.axis.value}/{field.name}", mode="r")[...]
        values = [episode(index).arrays[field.name] for index in range(COUNT)]
        if field.axis is not Axis.EPISODE:
            np.testing.assert_array_equal(rows, np.concatenate(values))
        elif not field.is_text:
            np.testing.assert_array_equal(rows, values)
    store.close()
