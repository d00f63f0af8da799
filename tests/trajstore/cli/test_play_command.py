"""``play`` writes what is asked for, prints where it lies, and refuses what does not exist."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from tests.trajstore import cameras, scenes
from trajstore.cli import run
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of
from trajstore.lifecycle import review
from trajstore.recording.bulk import write_dataset
from trajstore.version.manifest import Manifest, Status


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    (root / "expert").mkdir()
    scenes.dataset(root / "expert/v1", 6, steps=30)
    scenes.dataset(root / "expert/v2", 5, steps=40)
    return root


def play(store: Path, *arguments: str) -> int:
    return run(["--store", str(store), "play", *arguments])


def pairs(by: str, *found: tuple[int, int]) -> str:
    return json.dumps([[one, other, by] for one, other in found], separators=(",", ":"))


def test_a_page_is_written_and_its_path_printed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "page.html"
    assert play(store, "expert@v1", "--out", str(target), "--no-open") == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert target.stat().st_size > 50_000


@pytest.mark.parametrize(
    ("reference", "against", "expected"),
    [
        (
            "expert@v1",
            "expert@v2",
            pairs("scenario and seed", (0, 0), (1, 1), (2, 2), (3, 3), (4, 4)),
        ),
        ("expert@v1#2", "expert@v2#4", pairs("", (2, 4))),
        ("expert@v1#2", "#5", pairs("", (2, 5))),
    ],
)
def test_two_versions_or_episodes_stand_side_by_side(
    store: Path, tmp_path: Path, reference: str, against: str, expected: str
) -> None:
    target = tmp_path / "page.html"
    assert play(store, reference, "--against", against, "--out", str(target), "--no-open") == 0
    assert f'"pairs":{expected}' in target.read_text()


@pytest.mark.parametrize(
    ("reference", "against", "why"),
    [
        ("expert@v1", "expert@v1", "expert@v1 is the same version as expert@v1"),
        ("expert@v1", "expert@v1#0", "both are episode 0 of expert@v1"),
        ("expert@v1#2", "expert@v1#2", "both are episode 2 of expert@v1"),
        ("expert@v1#2", "#2", "both are episode 2 of expert@v1"),
        ("expert@v1#2", "other@v1#2", "both are episode 2 of expert@v1 and other@v1"),
        ("expert@v1", "other@v1", "other@v1 holds the same episodes as expert@v1"),
    ],
)
def test_nothing_is_compared_with_itself(
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reference: str,
    against: str,
    why: str,
) -> None:
    if not (store / "other").exists():
        scenes.dataset(store / "other/v1", 6, steps=30)
    target = tmp_path / "page.html"
    assert play(store, reference, "--against", against, "--out", str(target), "--no-open") == 2
    told = capsys.readouterr().err
    assert f"{why}, so there is nothing to compare; name another version" in told
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["expert@v9"], "v9"),
        (["expert@v1", "--episode", "6"], "has no episode 6; they are 0 to 5"),
        (["expert@v1#77"], "has no episode 77; they are 0 to 5"),
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


@pytest.mark.parametrize("option", ["--out", "--gif", "--mp4", "--png"])
@pytest.mark.parametrize("place", ["a-file/x.html", "/proc/x.html"])
def test_a_place_that_takes_nothing_is_named_in_one_line(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], option: str, place: str
) -> None:
    (tmp_path / "a-file").write_text("mine")
    target = tmp_path / place
    line = ["expert@v1", "--episode", "1", "--to", "3", "--no-open", option, str(target)]
    assert play(store, *line) == 1
    told = capfd.readouterr().err
    assert told.startswith(f"trajstore: {target}: ")
    assert len(told.splitlines()) == 1


def test_the_terminal_shows_an_episode(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(store, "expert@v1", "--episode", "4", "--terminal") == 0
    shown = capsys.readouterr().out
    assert "episode 4" in shown
    assert "reward" in shown
    assert "collisions: the agent touches something" in shown


def test_a_limit_is_kept(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert play(store, "expert@v1", "--limit", "2", "--out", str(target), "--no-open") == 0
    assert "4 of 6 episodes are not in this page" in target.read_text()


def test_what_people_decided_stands_in_the_head_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "store/expert").mkdir(parents=True)
    scenes.dataset(tmp_path / "store/expert/v1", 3, steps=20)
    digest = Manifest.read(tmp_path / "store/expert/v1").content_digest
    decisions = [
        (Status.QUARANTINED, "people walk through walls"),
        (Status.VALIDATED, "they do not"),
    ]
    for status, reason in decisions:
        review(
            tmp_path / "reviews.json", digest, status, reason=reason, clock=lambda: "2026-01-02T"
        )
    target = tmp_path / "page.html"
    assert play(tmp_path / "store", "expert@v1", "--out", str(target), "--no-open") == 0
    text = target.read_text().split('id="payload">')[1].split("</script>")[0]
    (side,) = json.loads(text)["sides"]
    assert [it.partition(" by ")[0] for it in side["reviews"]] == ["validated", "quarantined"]
    assert side["reviews"][0].endswith("2026-01-02: they do not")
    assert "reviews[0]" in target.read_text()


@pytest.mark.parametrize("name", ["manifest.json", "index/length/c.0"])
def test_what_no_page_can_do_without_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    scenes.dataset(tmp_path / "store/expert/v1", 3, steps=20)
    file = tmp_path / "store/expert/v1" / name
    file.write_bytes(file.read_bytes()[:-3])
    target = tmp_path / "page.html"
    assert play(tmp_path / "store", "expert@v1", "--out", str(target), "--no-open") == 1
    told = capsys.readouterr().err
    assert name.partition("/c.")[0] in told
    assert len(told.splitlines()) == 1
    assert not target.exists()


def test_an_environment_that_renders_with_pygame_is_played_without_a_word(tmp_path: Path) -> None:
    env = gym.make("CartPole-v1")
    episodes = list(record(env, lambda observation: int(observation[2] > 0), seeds=[1, 2]))
    provenance = {"environment": environment_of(env)}
    write_dataset(tmp_path / "v1", episodes, schema=schema_of(env), provenance=provenance)
    env.close()
    kept = ("SDL_", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "PYGAME_")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(kept)}
    command = ["-m", "trajstore", "play", str(tmp_path / "v1"), "--environment", "gymnasium"]
    done = subprocess.run(
        [sys.executable, *command, "--no-open", "--out", str(tmp_path / "page.html")],
        capture_output=True,
        text=True,
        check=True,
        env=plain,
    )
    assert done.stderr == ""
    assert "data:image" in (tmp_path / "page.html").read_text()


BARE = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
from trajstore.cli import run
sys.exit(run(sys.argv[2:]))
"""


def without(packages: str, *line: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where some packages are not installed."""
    command = [sys.executable, "-c", BARE, packages, *line]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_page_of_rendered_frames_needs_no_encoder_of_films(tmp_path: Path) -> None:
    env = gym.make("CartPole-v1")
    episodes = list(record(env, lambda _: 0, seeds=[1]))
    provenance = {"environment": environment_of(env)}
    write_dataset(tmp_path / "v1", episodes, schema=schema_of(env), provenance=provenance)
    env.close()
    page = str(tmp_path / "page.html")
    line = ["play", str(tmp_path / "v1"), "--environment", "gymnasium", "--no-open", "--out", page]
    done = without("imageio_ffmpeg", *line)
    assert (done.returncode, "data:image" in Path(page).read_text()) == (0, True), done.stderr
    film = str(tmp_path / "e.mp4")
    done = without("imageio_ffmpeg", "play", str(tmp_path / "v1"), "--mp4", film)
    assert done.returncode == 2
    assert "pip install 'trajstore[play]'" in done.stderr
    assert not Path(film).exists()


def test_charts_without_pillow_say_what_to_install_and_what_else_is_missing(
    tmp_path: Path,
) -> None:
    env = gym.make("CartPole-v1")
    episodes = list(record(env, lambda _: 0, seeds=[1]))
    named = {"environment": environment_of(env)}
    write_dataset(tmp_path / "named", episodes, schema=schema_of(env), provenance=named)
    write_dataset(tmp_path / "bare", episodes, schema=schema_of(env), provenance={"policy": "x"})
    page = tmp_path / "page.html"
    line = ["play", "--no-open", "--out", str(page)]
    done = without("PIL", *line, str(tmp_path / "named"), "--environment", "gymnasium")
    assert (done.returncode, done.stderr) == (
        0,
        "trajstore: Charts only: pictures need 'PIL': pip install 'trajstore[play]'\n",
    )
    done = without("PIL", *line, str(tmp_path / "named"), "--environment", "gymnasium:make")
    assert (done.returncode, "pip install 'trajstore[play]'" in done.stderr) == (1, True)
    done = without("PIL", *line, str(tmp_path / "bare"))
    assert done.returncode == 0, done.stderr
    assert "Charts only: the provenance names no environment" in page.read_text()


def test_a_page_of_cameras_without_pillow_says_what_it_lacks(tmp_path: Path) -> None:
    cameras.dataset(tmp_path / "v1", 2)
    page = tmp_path / "page.html"
    done = without("PIL", "play", str(tmp_path / "v1"), "--no-open", "--out", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    assert "The film of front, wrist is not in this page" in page.read_text()
    assert "pip install 'trajstore[play]'" in page.read_text()
