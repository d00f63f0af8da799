"""An export appears whole or not at all, wherever its path begins; a bad source records nothing."""

import json
from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.interop.formats import FORMATS
from trajstore.interop.imported import whole_export
from trajstore.recording.bulk import write_dataset

NESTED = EpisodeSchema(
    (FieldSpec("observation/speed", Axis.STATE, (), "float64"), *factories.SCHEMA.fields[1:])
)

BOTH_WAYS = [name for name, it in FORMATS.items() if it.reader and it.writer]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a sound version and one whose last field cannot be read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAJSTORE", "store")
    factories.dataset(tmp_path / "v1")
    factories.dataset(tmp_path / "v2")
    column = tmp_path / "v2/step/reward/c.0"
    column.write_bytes(b"")
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", BOTH_WAYS)
@pytest.mark.parametrize("target", ["out", "new/deeper/out"])
def test_a_relative_path_is_one_like_any_other(here: Path, kind: str, target: str) -> None:
    assert run(["export", "./v1", "--to", kind, target]) == 0
    assert run(["import", target, "--from", kind, "--as", "copy"]) == 0
    digests = [one.digest for one in Dataset.open(here / "store/copy/v1")]
    assert digests == [one.digest for one in Dataset.open(here / "v1")]
    assert not [name for name in names(here) if "partial" in name]


@pytest.mark.parametrize("kind", BOTH_WAYS)
def test_an_export_that_fails_leaves_nothing_and_can_be_tried_again(here: Path, kind: str) -> None:
    before = names(here)
    assert run(["export", "./v2", "--to", kind, "new/deeper/out"]) == 1
    assert names(here) == before
    assert run(["export", "./v1", "--to", kind, "new/deeper/out"]) == 0


def test_what_a_format_cannot_hold_is_wrong_use(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = factories.episodes(1, schema=factories.SCHEMA)
    arrays = {name: rows[0].arrays[name] for name in factories.SCHEMA.names}
    arrays["observation/speed"] = arrays.pop("observation")[:, 0].astype("float64")
    write_dataset(here / "v3", [Episode(NESTED, arrays)], schema=NESTED, provenance={})
    before = names(here)
    assert run(["export", "./v3", "--to", "imitation", "new/out"]) == 2
    assert "export to npz or minari" in " ".join(capsys.readouterr().err.split())
    assert names(here) == before


def test_nobody_watches_progress_that_is_not_shown_on_a_terminal(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "./v1", "--to", "imitation", "out"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", BOTH_WAYS)
def test_a_source_that_is_cut_off_records_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert run(["export", "./v1", "--to", kind, "out"]) == 0
    files = [here / "out", *(here / "out").rglob("*")]
    largest = max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    before = names(here)
    assert run(["import", "out", "--from", kind, "--as", "copy"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("trajstore: out") and (": expected" in told or ": is not a" in told)
    assert len(told.splitlines()) == 1
    assert names(here) == before


def test_a_minari_dataset_without_episodes_records_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import h5py

    assert run(["export", "./v1", "--to", "minari", "empty"]) == 0
    with h5py.File(here / "empty/data/main_data.hdf5", "w"):
        pass
    metadata = here / "empty/data/metadata.json"
    record = json.loads(metadata.read_text()) | {"total_episodes": 0}
    metadata.write_text(json.dumps(record))
    before = names(here)
    assert run(["import", "empty", "--from", "minari", "--as", "copy"]) == 1
    assert "holds no episode" in capsys.readouterr().err
    assert names(here) == before


def test_an_interrupted_export_takes_its_new_folders_away(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_export(tmp_path / "a/b/out") as whole:
        whole.mkdir()
        (whole / "half").write_text("")
        raise KeyboardInterrupt
    assert names(tmp_path) == []
