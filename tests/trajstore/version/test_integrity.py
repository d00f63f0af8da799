"""Whatever is changed in a sealed version is found and named; what is sound is never blamed."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from trajstore.dataset import Dataset
from trajstore.errors import CorruptionError, NotFoundError, TrajStoreError
from trajstore.version.files import LocalFiles
from trajstore.version.integrity import verify
from trajstore.version.layout import arrays_of
from trajstore.version.manifest import Manifest
from trajstore.version.reading import Fields

FAULTS = 10_000


@pytest.fixture
def version(tmp_path):
    factories.dataset(tmp_path / "v1", count=4, schema=factories.WIDE_SCHEMA)
    return tmp_path / "v1"


def files(version: Path) -> list[Path]:
    return sorted(path for path in version.rglob("*") if path.is_file())


def read_all(version: Path) -> None:
    """Read every value in every way."""
    dataset = Dataset.open(version)
    list(dataset)
    for name in dataset.schema.names:
        dataset.column(name)
    assert dataset.episodes
    dataset.take(np.arange(dataset.steps))


def is_read(path: Path) -> bool:
    """Whether a reader needs the file: a value or the manifest, not Zarr's own metadata."""
    return path.name != "zarr.json"


def test_a_sound_version_has_no_findings(version):
    for deep in (False, True):
        assert verify(version, deep=deep) == []


def test_a_version_in_parts_has_no_findings(tmp_path):
    from trajstore.recording.recorder import Recorder

    factories.dataset(tmp_path / "v1", count=4)
    more = factories.episodes(3, seed=100)
    with Recorder(
        tmp_path / "v2", schema=factories.SCHEMA, provenance={}, extends=tmp_path / "v1"
    ) as recorder:
        for episode in more:
            recorder.add(episode)
    assert verify(tmp_path / "v2", deep=True) == []
    dataset = Dataset.open(tmp_path / "v2")
    expected = [*factories.episodes(4), *more]
    assert [one.digest for one in dataset] == [one.digest for one in expected]
    batch = dataset.take(np.arange(dataset.steps))
    np.testing.assert_array_equal(batch["action"], dataset.column("action"))
    for episode, rows in zip(expected, dataset.rows("observation"), strict=True):
        np.testing.assert_array_equal(rows, episode["observation"])


def test_no_version_is_no_finding(tmp_path):
    with pytest.raises(NotFoundError):
        verify(tmp_path / "v1")


def damage(path: Path, content: bytes, fault: str) -> None:
    """Put something else in the place of a file of that content."""
    path.unlink()
    if fault == "link":
        target = path.with_name("elsewhere")
        target.write_bytes(content)
        path.symlink_to(target)
    elif fault == "folder":
        path.mkdir()
    elif fault != "delete":
        path.write_bytes({"truncate": content[:-1], "empty": b"", "extend": content + b"0"}[fault])


def repair(path: Path, content: bytes) -> None:
    """Put the file back."""
    path.with_name("elsewhere").unlink(missing_ok=True)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("fault", ["delete", "truncate", "empty", "extend", "link", "folder"])
def test_each_file_is_missed_when_it_is_not_what_it_was(version, fault):
    for path in files(version):
        if path.name == "manifest.json" and fault in ("delete", "folder", "link"):
            continue
        content = path.read_bytes()
        damage(path, content, fault)
        key = path.relative_to(version).as_posix()
        assert key in {found.file for found in verify(version)}, key
        if is_read(path):
            with pytest.raises(TrajStoreError):
                read_all(version)
        repair(path, content)
    assert verify(version, deep=True) == []


def test_two_files_exchanged_are_both_found(version):
    paths = files(version)
    for one, other in pairwise(paths):
        contents = one.read_bytes(), other.read_bytes()
        if contents[0] == contents[1] or "manifest.json" in (one.name, other.name):
            continue
        one.write_bytes(contents[1])
        other.write_bytes(contents[0])
        found = {finding.file for finding in verify(version)}
        assert {path.relative_to(version).as_posix() for path in (one, other)} <= found
        one.write_bytes(contents[0])
        other.write_bytes(contents[1])


@pytest.mark.parametrize("name", ["extra", "state/c.9.0", ".hidden", "step/action/c.0.0.partial"])
def test_a_stray_file_is_found(version, name):
    (version / name).write_bytes(b"")
    assert [found.file for found in verify(version)] == [name]


def test_a_stray_folder_and_a_link_are_found(version):
    (version / "more").mkdir()
    (version / "up").symlink_to(version.parent)
    assert [(found.check, found.file) for found in verify(version)] == [
        ("strays", "more"),
        ("links", "up"),
    ]


def rewritten(version: Path, **changes: object) -> None:
    """Put a manifest in place that agrees with itself."""
    manifest = Manifest.read(version)
    values = {name: getattr(manifest, name) for name in manifest.__slots__} | changes
    (version / "manifest.json").write_bytes(Manifest(**values).to_bytes())


def test_a_manifest_of_other_episodes_is_found(version):
    rewritten(version, content_digest="0" * 64)
    assert [found.check for found in verify(version)] == ["index"]


def test_a_manifest_that_lacks_a_file_is_found(version):
    kept = {key: it for key, it in Manifest.read(version).files.items() if "action/c" not in key}
    rewritten(version, files=kept)
    checks = {found.check for found in verify(version)}
    assert {"manifest", "strays"} <= checks


def test_only_a_deep_look_sees_values_that_were_sealed_wrong(version):
    from trajstore.disk.files import digest
    from trajstore.disk.system import FileRecord
    from trajstore.version.chunks import checksum

    chunk = version / "step/action/c.0.0"
    rows = bytearray(chunk.read_bytes()[:-4])
    rows[0] ^= 1
    chunk.write_bytes(bytes(rows) + checksum(bytes(rows)))
    manifest = Manifest.read(version)
    record = FileRecord(chunk.stat().st_size, digest(chunk))
    rewritten(version, files={**manifest.files, "step/action/c.0.0": record})
    assert verify(version) == []
    [found] = verify(version, deep=True)
    assert (found.check, found.episode) == ("episodes", 0)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", "null", '{"format_version": 1}', "\x00" * 50, '{"a":' * 5000]
)
def test_a_manifest_that_is_none_is_a_finding(version, text):
    (version / "manifest.json").write_text(text)
    assert [found.check for found in verify(version)] == ["manifest"]


def test_a_newer_format_is_named(version):
    record = json.loads((version / "manifest.json").read_text()) | {"format_version": 3}
    (version / "manifest.json").write_text(json.dumps(record))
    [found] = verify(version)
    assert "expected format 1 to 2, got 3" in found.message


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one bit of one byte changed."""
    changed = bytearray(content)
    changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def unreadable(version: Path, manifest: Manifest) -> set[str]:
    """The arrays that cannot be read."""
    fields = Fields(LocalFiles(version, manifest))
    arrays = arrays_of(manifest.schema, manifest.parts[0])
    refused = set()
    for name, spec in arrays.items():
        try:
            fields[name].span(0, spec.rows)
        except CorruptionError:
            refused.add(spec.path)
    return refused


@pytest.mark.slow
def test_every_changed_byte_is_found_and_never_read_as_data(version):
    rng = np.random.default_rng(20)
    manifest = Manifest.read(version)
    sealed = {path: path.read_bytes() for path in files(version) if path.name != "manifest.json"}
    keys = {path.relative_to(version).as_posix() for path in sealed}
    arrays = {spec.path for spec in arrays_of(manifest.schema, manifest.parts[0]).values()}
    for _ in range(-(-FAULTS // 2 // len(sealed))):
        for path, content in sealed.items():
            path.write_bytes(flipped(content, rng))
        assert {found.file for found in verify(version)} - {None} == keys
        assert unreadable(version, manifest) == arrays
    for path, content in sealed.items():
        path.write_bytes(content)
    assert verify(version, deep=True) == []


@pytest.mark.slow
def test_every_changed_byte_of_the_manifest_is_found_and_nothing_is_read(version):
    rng = np.random.default_rng(21)
    path = version / "manifest.json"
    content = path.read_bytes()
    for _ in range(FAULTS // 2):
        path.write_bytes(flipped(content, rng))
        assert [found.check for found in verify(version)] == ["manifest"]
        with pytest.raises(TrajStoreError):
            Dataset.open(version)


@pytest.mark.slow
def test_a_thousand_looks_at_sound_versions_raise_no_alarm(tmp_path):
    for seed in range(50):
        factories.dataset(tmp_path / "v1", count=2, seed=4 * seed)
        for look in range(20):
            assert verify(tmp_path / "v1", deep=look == 0) == []
        shutil.rmtree(tmp_path / "v1")


def test_files_of_one_size_that_changed_places_are_refused_by_reads(version):
    one, other = (version / "step" / name / "c.0" for name in ("terminated", "truncated"))
    first, second = one.read_bytes(), other.read_bytes()
    assert len(first) == len(second) and first != second
    one.write_bytes(second)
    other.write_bytes(first)
    for read in (lambda data: data.column("terminated"), lambda data: data.take([0])):
        with pytest.raises(CorruptionError, match="expected a file that ends with crc32c"):
            read(Dataset.open(version))
    assert {found.check for found in verify(version)} == {"files"}
