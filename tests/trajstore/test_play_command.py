"""``play`` writes what is asked for, prints where it lies, and refuses what does not exist."""

from pathlib import Path

import pytest

from tests.trajstore import scenes
from trajstore.cli import run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    (root / "expert").mkdir()
    scenes.dataset(root / "expert/v1", 6, steps=30)
    scenes.dataset(root / "expert/v2", 5, steps=40)
    return root


def play(store: Path, *arguments: str) -> int:
    return run(["--store", str(store), "play", *arguments])


def test_a_page_is_written_and_its_path_printed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "page.html"
    assert play(store, "expert@v1", "--out", str(target), "--no-open") == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert target.stat().st_size > 50_000


@pytest.mark.parametrize(
    ("reference", "against", "pairs"),
    [
        ("expert@v1", "expert@v2", "[[0,0],[1,1],[2,2],[3,3],[4,4]]"),
        ("expert@v1#2", "expert@v2#4", "[[2,4]]"),
        ("expert@v1#2", "#5", "[[2,5]]"),
    ],
)
def test_two_versions_or_episodes_stand_side_by_side(
    store: Path, tmp_path: Path, reference: str, against: str, pairs: str
) -> None:
    target = tmp_path / "page.html"
    assert play(store, reference, "--against", against, "--out", str(target), "--no-open") == 0
    assert f'"pairs":{pairs}' in target.read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["expert@v9"], "v9"),
        (["expert@v1", "--episode", "6"], "expected an episode from 0 to 5, got 6"),
        (["expert@v1#77"], "expected an episode from 0 to 5, got 77"),
        (["expert@v1", "--terminal", "--from", "99"], "the episode is shorter"),
        (["../expert@v1/.."], ""),
    ],
)
def test_what_does_not_exist_is_wrong_use(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert play(store, *arguments, "--no-open") == 2
    assert complaint in capsys.readouterr().err


def test_films_and_sheets_are_written(store: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"e.{kind}" for kind in ("gif", "mp4", "png")]
    options = [part for path in files for part in (f"--{path.suffix[1:]}", str(path))]
    assert play(store, "expert@v1", "--episode", "4", "--to", "8", *options) == 0
    assert all(path.stat().st_size > 500 for path in files)


def test_the_terminal_shows_an_episode(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(store, "expert@v1", "--episode", "4", "--terminal") == 0
    shown = capsys.readouterr().out
    assert "episode 4" in shown
    assert "reward" in shown
    assert "collisions: the robot touches something" in shown


def test_a_limit_is_kept(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert play(store, "expert@v1", "--limit", "2", "--out", str(target), "--no-open") == 0
    assert "4 of 6 episodes are not in this page" in target.read_text()
