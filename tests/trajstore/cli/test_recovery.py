"""``recover`` does one thing to an unfinished recording, or nothing at all."""

from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run
from trajstore.store import Store


def unfinished(root: Path) -> None:
    with (
        pytest.raises(InterruptedError),
        Store(root).record("half", schema=factories.SCHEMA, provenance={}) as recorder,
    ):
        recorder.add(factories.episode(1))
        raise InterruptedError


@pytest.mark.parametrize("flags", ["--seal --discard", "--discard --seal"])
def test_contradictory_flags_touch_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    unfinished(tmp_path)
    assert run(["--store", str(tmp_path), "recover", "half", *flags.split()]) == 2
    assert "expected one of --seal and --discard, got both" in capsys.readouterr().err
    assert [len(it.frames()) for it in Store(tmp_path).recordings("half")] == [1]


@pytest.mark.parametrize("flag", ["--seal", "--discard"])
def test_a_live_recording_is_named_and_no_table_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    with Store(tmp_path).record("half", schema=factories.SCHEMA, provenance={}) as recorder:
        recorder.add(factories.episode(1))
        assert run(["--store", str(tmp_path), "recover", "half", flag]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "recording v1 by process" in printed.err
