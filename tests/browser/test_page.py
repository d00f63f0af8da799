"""In a real browser the page loads fast, scrubs, filters, jumps to anomalies and keeps its links.

It asks the network for nothing, writes no complaint, and runs no script that data brings.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import DESK, PHONE, Visit
from tests.trajstore import scenes
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.playback.page import Opening, write_page
from trajstore.playback.pairing import Pair
from trajstore.playback.payload import About, build
from trajstore.playback.viewed import Viewed
from trajstore.quality.records import Difference, ReplayReport
from trajstore.recording.bulk import write_dataset

pytestmark = pytest.mark.browser


def written(folder: Path, target: Path, *, replay: ReplayReport | None = None) -> Path:
    viewed = Viewed(Dataset.open(folder))
    about = About("expert", "v3", "validated", replay=replay)
    write_page(target, [build(viewed, about, range(len(viewed)))])
    return target


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    digest = scenes.dataset(folder / "v3", 30).content_digest
    report = ReplayReport(
        digest, tuple(range(30)), 29, (Difference(4, 7, "reward", "0.5", "0.25"),)
    )
    return written(folder / "v3", folder / "page.html", replay=report)


def step_of(page: Any) -> int:
    page.wait_for_timeout(60)
    return int(page.get_attribute("#lane", "aria-valuenow"))


def inked(page: Any, selector: str) -> int:
    """Number of different colours that a canvas shows."""
    return int(
        page.evaluate(
            """(selector) => { const canvas = document.querySelector(selector);
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(data.buffer)).size; }""",
            selector,
        )
    )


def test_the_gallery_shows_all_episodes_worst_first(visit: Visit, page_file: Path) -> None:
    page = visit(page_file)
    assert page.locator(".card").count() == 30
    assert page.inner_text("#name") == "expert v3"
    assert "validated" in page.inner_text("#chips")
    assert "replay 29/30" in page.inner_text("#chips")
    first = page.locator(".card").first.get_attribute("data-episode")
    assert first in {"4", "9", "14", "19", "24", "29"}
    page.wait_for_timeout(300)
    assert inked(page, ".card canvas") > 20


def test_filters_leave_what_fits(visit: Visit, page_file: Path) -> None:
    page = visit(page_file)
    page.click("[data-outcome=timeout]")
    assert page.inner_text("#shown") == "3 of 30 episodes"
    page.click("[data-outcome=timeout]")
    page.select_option("#scenario", "narrow_doorway/low")
    assert page.inner_text("#shown") == "5 of 30 episodes"
    page.select_option("#scenario", "")
    page.keyboard.press("/")
    page.keyboard.type("collision #14")
    assert [card.get_attribute("data-episode") for card in page.locator(".card").all()] == ["14"]
    page.fill("#search", "nothing like this")
    assert "No episode fits" in page.inner_text("#gallery")
    page.fill("#search", "")
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    page.fill("#low-anomaly", "0.5")
    page.keyboard.press("Enter")
    assert 0 < page.locator(".card").count() < 30


def test_an_episode_is_scrubbed_by_pointer_and_keys(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, "#e=2&t=0")
    box = page.locator("#lane").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 15)
    total = int(page.get_attribute("#lane", "aria-valuemax"))
    middle = step_of(page)
    assert abs(middle - total / 2) <= 1
    page.keyboard.press("ArrowRight")
    assert step_of(page) == middle + 1
    page.keyboard.press("Shift+ArrowLeft")
    assert step_of(page) == middle - 9
    page.keyboard.press("End")
    assert step_of(page) == total
    page.keyboard.press("Home")
    assert step_of(page) == 0
    assert inked(page, "#scene0") > 20
    assert inked(page, "#charts") > 20


def test_playing_moves_and_pausing_stops(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, "#e=2&t=0")
    page.keyboard.press(" ")
    page.wait_for_timeout(900)
    page.keyboard.press(" ")
    stopped = step_of(page)
    assert 1 <= stopped <= 60
    page.wait_for_timeout(300)
    assert step_of(page) == stopped


def test_anomalies_are_jumped_to(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, "#e=4&t=0")
    first = int(page.locator(".mark").last.get_attribute("data-step"))
    page.locator(".mark").last.click()
    assert step_of(page) == first
    assert "collisions" in page.inner_text(".alarm")
    page.keyboard.press("p")
    assert step_of(page) < first
    page.locator(".finds button").first.click()
    assert step_of(page) == int(page.locator(".finds button").first.get_attribute("data-step"))
    page.keyboard.press("End")
    page.keyboard.press("n")
    page.wait_for_timeout(200)
    assert "Episode 4" not in page.inner_text(".title h1") or page.locator(".title h1").count() == 0


def test_links_lead_to_an_episode_and_a_step(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, "#e=7&t=21")
    assert page.inner_text(".title h1") == "Episode 7"
    assert step_of(page) == 21
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(60)
    assert page.url.endswith("#e=7&t=22")
    page.keyboard.press("g")
    page.wait_for_selector(".card")
    page.locator(".card[data-episode='3']").click()
    page.wait_for_selector("#lane")
    assert "#e=3&t=0" in page.url
    page.evaluate("location.hash = '#e=9&t=5'")
    page.wait_for_timeout(200)
    assert page.inner_text(".title h1") == "Episode 9"


@pytest.mark.parametrize("hash_", ["#e=999&t=5", "#e=x", "#e=2&t=-7", "#nothing", "#e=2&t=1e9"])
def test_a_broken_link_still_shows_something(visit: Visit, page_file: Path, hash_: str) -> None:
    page = visit(page_file, hash_)
    page.wait_for_selector(".card, #lane")


def test_the_replay_verdict_names_the_first_difference(visit: Visit, page_file: Path) -> None:
    page = visit(page_file, "#e=4&t=0")
    assert "First difference at step 7, reward: expected 0.5, got 0.25" in page.inner_text(".side")
    page.keyboard.press("i")
    page.wait_for_selector(".tiles")
    assert "29/30" in page.inner_text(".tiles")
    page.click("text=Go to episode 4, step 7")
    page.wait_for_selector("#lane")
    assert step_of(page) == 7


def test_differences_from_the_record_are_red(visit: Visit, tmp_path: Path) -> None:
    arrays = scenes.arrays(1) | {"return": np.array(99.0)}
    episode = Episode(scenes.SCHEMA, arrays)
    write_dataset(tmp_path / "v1", [episode], schema=scenes.SCHEMA, provenance={})
    page = visit(written(tmp_path / "v1", tmp_path / "page.html"), "#e=0&t=0")
    page.wait_for_selector("tr.differs")
    assert "return" in page.inner_text("tr.differs")
    colour = page.evaluate("getComputedStyle(document.querySelector('tr.differs td')).color")
    assert colour == "rgb(192, 38, 45)"


def plain(target: Path, outcomes: list[str] | None) -> Path:
    """Episodes of ten steps whose last reward pays out, with outcomes or without."""
    fields = [
        FieldSpec("observation", Axis.STATE, (1,), "float32"),
        FieldSpec("reward", Axis.STEP, (), "float64"),
        FieldSpec("terminated", Axis.STEP, (), "bool"),
        FieldSpec("truncated", Axis.STEP, (), "bool"),
        *([FieldSpec("outcome", Axis.EPISODE, (), "str")] if outcomes else []),
    ]
    schema = EpisodeSchema(tuple(fields))
    steps = np.arange(10)
    arrays = {
        "observation": np.full((11, 1), 0.25, np.float32),
        "reward": np.where(steps == 9, 5.5, steps / 100),
        "terminated": steps == 9,
        "truncated": np.zeros(10, bool),
    }
    told = [{"outcome": it} for it in outcomes] if outcomes else [{}, {}]
    episodes = [Episode(schema, {**arrays, **it}) for it in told]
    write_dataset(target.parent / "v1", episodes, schema=schema, provenance={})
    return written(target.parent / "v1", target)


@pytest.mark.parametrize(
    ("outcomes", "share"),
    [
        (None, ""),
        (["docked", "docked"], ""),
        (["docked", "crash"], ""),
        (["docked", "goal"], "50.0 %"),
        (["timeout", "crash"], "0.0 %"),
    ],
)
def test_a_share_of_goals_is_told_where_outcomes_tell_it(
    visit: Visit, tmp_path: Path, outcomes: list[str] | None, share: str
) -> None:
    page = visit(plain(tmp_path / "page.html", outcomes))
    page.keyboard.press("i")
    page.wait_for_selector(".tiles")
    tiles = page.inner_text(".tiles")
    assert ("reach the goal" in tiles, share in tiles) == (bool(share), True)


def test_charts_say_from_where_to_where_their_values_go(visit: Visit, tmp_path: Path) -> None:
    page = visit(plain(tmp_path / "page.html", None), "#e=0&t=0")
    page.wait_for_selector("#charts")
    page.evaluate(
        """() => { window.said = []; const { prototype } = CanvasRenderingContext2D;
        const was = prototype.fillText;
        prototype.fillText = function (text, ...at) {
          said.push(text); was.call(this, text, ...at); };
        }"""
    )
    page.set_viewport_size({"width": 1000, "height": 800})
    wanted, said = {"0 … 5.50", "always 0.250"}, set()
    for _ in range(200):
        said |= set(page.evaluate("said"))
        if wanted <= said:
            break
        page.wait_for_timeout(50)
    assert wanted <= said


def test_hostile_names_are_shown_as_text(visit: Visit, tmp_path: Path) -> None:
    name = "</script><img src=x onerror=alert(1)><b>"
    arrays = scenes.arrays(1) | {"scenario": np.array(name), "outcome": np.array(name)}
    episode = Episode(scenes.SCHEMA, arrays)
    write_dataset(tmp_path / "v1", [episode], schema=scenes.SCHEMA, provenance={name: name})
    file = written(tmp_path / "v1", tmp_path / "page.html")
    for hash_ in ("", "#e=0&t=0", "#dataset"):
        page = visit(file, hash_)
        page.wait_for_timeout(200)
        assert page.locator("main img, main b > *, main script").count() == 0
        assert name in page.inner_text("main")


@pytest.mark.slow
def test_both_themes_and_a_phone_have_room_for_everything(visit: Visit, page_file: Path) -> None:
    for dark in (False, True):
        for size in (DESK, PHONE):
            for hash_ in ("", "#e=4&t=30", "#dataset"):
                page = visit(page_file, hash_, size=size, dark=dark)
                page.wait_for_timeout(150)
                assert page.evaluate("document.documentElement.dataset.theme") == (
                    "dark" if dark else "light"
                )
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_help_lists_the_keys(visit: Visit, page_file: Path) -> None:
    page = visit(page_file)
    page.keyboard.press("?")
    assert "next or previous anomaly" in page.inner_text("#keys")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")


def test_two_versions_play_under_one_time_line(visit: Visit, tmp_path: Path) -> None:
    sides = []
    for number, steps in ((1, 60), (2, 80)):
        scenes.dataset(tmp_path / f"v{number}", 6, steps=steps)
        viewed = Viewed(Dataset.open(tmp_path / f"v{number}"))
        sides.append(build(viewed, About("expert", f"v{number}"), range(6)))
    pairs = [Pair(index, index) for index in range(6)]
    write_page(tmp_path / "page.html", sides, Opening(pairs=pairs))
    page = visit(tmp_path / "page.html")
    assert page.inner_text("#shown") == "6 of 6 pairs"
    page.locator(".card").first.click()
    page.wait_for_selector("#scene1")
    assert page.get_attribute("#lane", "aria-valuemax") == "80"
    page.keyboard.press("End")
    page.wait_for_timeout(100)
    assert inked(page, "#scene0") > 20
    assert inked(page, "#scene1") > 20


@pytest.mark.slow
def test_200_episodes_of_300_steps_open_from_one_small_file(visit: Visit, tmp_path: Path) -> None:
    scenes.dataset(tmp_path / "v3", 200, steps=300)
    file = written(tmp_path / "v3", tmp_path / "page.html")
    assert file.stat().st_size < 15e6
    page = visit(file)
    page.wait_for_selector(".card >> nth=199")
    assert page.locator(".card").count() == 200
    page.screenshot(path=str(tmp_path / "page.png"))
    assert (tmp_path / "page.png").stat().st_size > 20_000
