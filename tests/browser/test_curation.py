"""In a real browser a curator sees cameras, picks channels, filters by any field, and marks.

Everything can be done by keyboard; what is marked can be undone, outlives a reload, and is
downloaded as a file.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser.conftest import DESK, PHONE, Visit
from tests.trajstore import cameras, scenes
from trajstore.dataset import Dataset
from trajstore.playback.films import add_films
from trajstore.playback.page import Opening, write_page
from trajstore.playback.pairing import Pair
from trajstore.playback.payload import About, build
from trajstore.playback.viewed import Viewed

pytestmark = pytest.mark.browser
ABOUT = About("arm", "v1", "validated", reference="arm@v1")


def written(folder: Path, target: Path, chosen: list[int] | None = None, **options: Any) -> Path:
    viewed = Viewed(Dataset.open(folder))
    side = build(viewed, ABOUT, chosen or range(len(viewed)))
    add_films(side, viewed, **options)
    write_page(target, [side])
    return target


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("arm") / "v1"
    cameras.dataset(target, 12)
    return target


@pytest.fixture(scope="module")
def arm(version: Path) -> Path:
    return written(version, version.parent / "page.html")


def shown(page: Any) -> list[int]:
    page.wait_for_timeout(50)
    return sorted(int(it.get_attribute("data-episode")) for it in page.locator(".card").all())


def greys(page: Any) -> tuple[int, int]:
    """The grey of the front camera as drawn, and the picture it says it draws."""
    return tuple(
        page.evaluate(
            """() => { const canvas = document.querySelector('#film0-0');
        const pen = new OffscreenCanvas(64, 48).getContext('2d', { willReadFrequently: true });
        pen.drawImage(canvas, 0, 0);
        return [pen.getImageData(10, 10, 1, 1).data[0], Number(canvas.dataset.frame)]; }"""
        )
    )


def marks_of(page: Any, tmp_path: Path) -> dict[str, Any]:
    with page.expect_download() as waiting:
        page.keyboard.press("s")
    waiting.value.save_as(tmp_path / "marks.json")
    assert waiting.value.suggested_filename == "arm-v1.marks.json"
    found: dict[str, Any] = json.loads((tmp_path / "marks.json").read_text())
    return found


def digests(version: Path) -> list[str]:
    return [str(digest) for digest in Dataset.open(version).episodes["digest"]]


def test_film_is_in_step_with_the_charts(visit: Visit, arm: Path) -> None:
    page = visit(arm, "#e=3&t=7")
    page.wait_for_selector("#film0-1[data-frame='7']")
    assert greys(page) == (cameras.grey(7), 7)
    assert [tag.inner_text() for tag in page.locator(".tag").all()] == ["front", "wrist"]
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#film0-0[data-frame='8']")
    assert greys(page) == (cameras.grey(8), 8)
    page.keyboard.press("End")
    page.wait_for_selector("#film0-0[data-frame='20']")
    assert greys(page)[0] == cameras.grey(20)
    one, other = (page.locator(f"#film0-{place}").bounding_box() for place in (0, 1))
    assert one["y"] == other["y"]
    assert one["x"] + one["width"] <= other["x"] + 1


def test_cards_of_cameras_show_a_picture(visit: Visit, arm: Path) -> None:
    page = visit(arm)
    page.wait_for_timeout(500)
    pixel = """() => Array.from(document.querySelector('.card[data-episode="3"] canvas')
        .getContext('2d').getImageData(20, 20, 1, 1).data).slice(0, 3)"""
    assert page.evaluate(pixel) == [cameras.grey(10)] * 3


def test_what_the_page_leaves_out_is_said_where_it_is_missed(visit: Visit, version: Path) -> None:
    target = version.parent / "little.html"
    page = visit(written(version, target, list(range(6)), room=1_500), "#e=5&t=0")
    assert "trajstore play arm@v1 --episode 5" in page.inner_text(".view.short")
    for index, words in (
        (9, "Episode 9 is not in this page, which holds 6 of 12 episodes"),
        (77, "this dataset has episodes 0 to 11"),
    ):
        page.evaluate(f"location.hash = '#e={index}'")
        page.wait_for_selector(".notice.bad")
        assert words in page.inner_text(".notice.bad")
    page.evaluate("location.hash = '#e=9'")
    page.wait_for_selector(".notice.bad:has-text('arm@v1')")
    page.locator("#notes summary").click()
    assert "6 of 12 episodes are not in this page" in page.inner_text("#notes")
    page.locator(".card").first.click()
    page.wait_for_selector("#lane")
    assert page.locator(".notice.bad").count() == 0


@pytest.mark.parametrize("shut", ["Enter", "Escape"])
def test_a_key_that_follows_at_once_on_an_answer_is_heard(
    visit: Visit, arm: Path, shut: str
) -> None:
    page = visit(arm)
    for key in ("a", "x", "l", "z", shut, "u"):
        page.keyboard.press(key)
    assert ("exclude" in page.inner_text("#counter")) is (shut == "Enter")
    page.keyboard.press("Escape")
    page.locator(".card").first.click()
    page.wait_for_selector("#lane")
    for key in ("v", "Escape", "g"):
        page.keyboard.press(key)
    page.wait_for_selector(".card")


def labels(page: Any) -> list[str]:
    page.wait_for_timeout(80)
    return str(page.get_attribute("#charts", "aria-label")).split(", ")


def test_any_channel_is_picked_and_the_browser_remembers(visit: Visit, arm: Path) -> None:
    page = visit(arm, "#e=3&t=7")
    assert "action[6] gripper" in labels(page)
    assert "observation[9]" not in labels(page)
    page.keyboard.press("v")
    page.keyboard.type("observation[9]")
    page.locator("[data-labels='observation[9]']").check()
    page.fill("#pick-search", "action")
    page.locator("#all-action").uncheck()
    page.keyboard.press("Escape")
    assert "observation[9]" in labels(page)
    assert not [label for label in labels(page) if label.startswith("action")]
    page.wait_for_selector(".now:nth-of-type(9)", state="attached")
    texts = [node.inner_text() for node in page.locator(".now").all()]
    value = float(Dataset.open(arm.parent / "v1")[3]["observation"][7, 9])
    assert abs(float(texts[-1].split()[0]) - value) < 0.006
    page.reload()
    page.wait_for_selector("#charts")
    assert "observation[9]" in labels(page)
    page.keyboard.press("v")
    page.locator("#usual").click()
    page.keyboard.press("Escape")
    assert "observation[9]" not in labels(page)
    assert "action[0] pan" in labels(page)


def test_charts_beside_a_scene_show_actions_and_agree_with_it(visit: Visit, tmp_path: Path) -> None:
    scenes.dataset(tmp_path / "v1", 3, steps=40)
    viewed = Viewed(Dataset.open(tmp_path / "v1"))
    write_page(tmp_path / "page.html", [build(viewed, About("expert", "v1"), range(3))])
    page = visit(tmp_path / "page.html", "#e=1&t=12")
    assert labels(page) == ["reward", "speed", "clearance", "action[0]", "action[1]"]
    drawn: list[str] = page.evaluate(
        """async () => { const drawn = [], pen = CanvasRenderingContext2D.prototype;
        const fill = pen.fillText;
        pen.fillText = function (text, ...at) { drawn.push(text); fill.call(this, text, ...at); };
        document.querySelector('#discs').click();
        await new Promise((done) => setTimeout(done, 200));
        pen.fillText = fill; return drawn; }"""
    )
    clearance = float(viewed.dataset[1]["clearance"][12])
    chart = page.locator(".now").nth(2).inner_text()
    assert abs(float(chart.split()[0]) - clearance) < 0.006
    assert clearance >= 1.2 or chart in drawn


def test_every_field_is_shown_searched_and_filtered(visit: Visit, arm: Path) -> None:
    page = visit(arm, "#e=4&t=0")
    facts = page.inner_text(".side")
    for words in (
        "return",
        "80",
        "length",
        "operator",
        "bo",
        "success",
        "false",
        "height",
        "0.74 m",
    ):
        assert words in facts
    page.keyboard.press("h")
    page.wait_for_selector("#panel")
    names = [it.get_attribute("data-field") for it in page.locator(".fieldcard").all()]
    assert names[:3] == ["return", "length", "anomaly"]
    assert {"operator", "success", "height", "scenario", "seed", "mark"} <= set(names)
    page.fill("#search", "operator=chen")
    assert shown(page) == [2, 5, 8, 11]
    page.fill("#search", "")
    page.locator("[data-field=operator] .bar-t", has_text="bo").click()
    assert shown(page) == [1, 4, 7, 10]
    page.locator("[data-field=success] .bar-t", has_text="false").click()
    assert shown(page) == [4]
    page.locator(".on .chip.plain").click()
    page.fill("#low-height", "0.745")
    page.fill("#high-height", "0.775")
    page.keyboard.press("Enter")
    assert shown(page) == [5, 6, 7]
    page.locator(".on .chip").first.click()
    page.fill("#part-operator", "N")
    page.keyboard.press("Enter")
    assert shown(page) == [0, 2, 3, 5, 6, 8, 9, 11]


def test_a_bar_of_a_histogram_filters_and_lets_go(visit: Visit, arm: Path) -> None:
    page = visit(arm)
    page.keyboard.press("h")
    bars = page.locator("[data-field=return] .bar-n")
    counts = [
        int(str(bar.get_attribute("aria-label")).split(": ")[1].split()[0]) for bar in bars.all()
    ]
    assert sum(counts) == 12
    place = int(np.argmax(counts))
    bars.nth(place).click()
    assert len(shown(page)) == counts[place]
    assert bars.nth(place).get_attribute("aria-pressed") == "true"
    bars.nth(place).click()
    assert len(shown(page)) == 12


def test_a_range_is_dragged_over_a_histogram(visit: Visit, arm: Path) -> None:
    page = visit(arm)
    page.keyboard.press("h")
    bars = page.locator("[data-field=height] .bar-n")
    counts = [
        int(str(it.get_attribute("aria-label")).split(": ")[1].split()[0]) for it in bars.all()
    ]
    first, last = (bars.nth(it).bounding_box() for it in (len(counts) - 3, len(counts) - 1))
    page.mouse.move(first["x"] + first["width"] / 2, first["y"] + 20)
    page.mouse.down()
    page.mouse.move(last["x"] + last["width"] / 2, last["y"] + 30, steps=4)
    page.mouse.up()
    assert len(shown(page)) == sum(counts[-3:])
    on = [it.get_attribute("aria-pressed") for it in bars.all()]
    assert on == ["false"] * (len(counts) - 3) + ["true"] * 3
    page.locator(".on .chip").first.click()
    bars.nth(0).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Enter")
    assert len(shown(page)) == sum(counts[:2])


def test_marks_by_key_in_the_player_with_undo(visit: Visit, arm: Path, tmp_path: Path) -> None:
    page = visit(arm, "#e=3&t=0")
    page.keyboard.press("x")
    assert page.inner_text("#counter") == "1 exclude"
    page.keyboard.press("j")
    page.wait_for_selector("h1:has-text('Episode 4')")
    page.keyboard.press("y")
    page.keyboard.press("l")
    page.keyboard.type("slow, grip ")
    page.keyboard.press("Enter")
    page.keyboard.press("w")
    page.keyboard.type("drops the cup")
    page.keyboard.press("Escape")
    assert page.inner_text("#counter").split("\n") == ["1 keep", "1 exclude", "1 tagged", "1 noted"]
    found = marks_of(page, tmp_path)
    names = digests(arm.parent / "v1")
    assert found["format_version"] == 1
    assert found["dataset"] == "arm@v1"
    assert found["content_digest"] == Dataset.open(arm.parent / "v1").manifest.content_digest
    assert sorted(found["marks"], key=lambda it: str(it["mark"])) == [
        {"episode": names[3], "mark": "exclude", "tags": [], "note": ""},
        {"episode": names[4], "mark": "keep", "tags": ["grip", "slow"], "note": "drops the cup"},
    ]
    page.keyboard.press("u")
    page.keyboard.press("u")
    assert page.inner_text("#counter").split("\n") == ["1 keep", "1 exclude"]
    page.keyboard.press("u")
    page.keyboard.press("u")
    assert page.inner_text("#counter") == "no marks"
    assert page.locator("#undo").is_disabled()


def test_a_mark_given_twice_is_taken_away(visit: Visit, arm: Path) -> None:
    page = visit(arm, "#e=3&t=0")
    for key, words in (("x", "1 exclude"), ("y", "1 keep"), ("y", "no marks")):
        page.keyboard.press(key)
        assert page.inner_text("#counter") == words


def test_marks_by_box_by_frame_and_for_all_that_is_shown(
    visit: Visit, arm: Path, tmp_path: Path
) -> None:
    page = visit(arm)
    page.locator(".card[data-episode='2'] .tick").check()
    page.locator(".card[data-episode='5'] .tick").click(modifiers=["Shift"])
    assert "4 selected" in page.inner_text("#tally").replace("\n", " ")
    page.locator("#tally [data-do=x]").click()
    assert page.inner_text("#counter") == "4 exclude"
    page.keyboard.press("Escape")
    first, last = (page.locator(f".card[data-episode='{it}']").bounding_box() for it in (6, 8))
    page.mouse.move(first["x"] + 40, first["y"] + 60)
    page.mouse.down()
    page.mouse.move(last["x"] + 40, last["y"] + 90, steps=5)
    page.mouse.up()
    assert page.locator(".card.picked").count() == 3
    assert page.locator("#gallery").count() == 1
    page.keyboard.press("y")
    assert page.inner_text("#counter").split("\n") == ["3 keep", "4 exclude"]
    page.keyboard.press("Escape")
    page.fill("#search", "success=false")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.keyboard.press("l")
    page.keyboard.type("failed")
    page.keyboard.press("Enter")
    page.fill("#search", "")
    page.keyboard.press("Escape")
    tagged = [it for it in marks_of(page, tmp_path)["marks"] if it["tags"] == ["failed"]]
    names = digests(arm.parent / "v1")
    assert {it["episode"] for it in tagged} == {names[0], names[4], names[8]}
    page.fill("#search", "excluded")
    assert shown(page) == [2, 3, 4, 5]


def test_marks_outlive_a_reload_and_those_of_the_page_are_there(
    visit: Visit, version: Path, tmp_path: Path
) -> None:
    names = digests(version)
    known = {"episode": names[1], "mark": "keep", "tags": ["<b>bold</b>"], "note": "seen"}
    viewed = Viewed(Dataset.open(version))
    about = About("arm", "v1", marks=(known,))
    write_page(tmp_path / "page.html", [build(viewed, about, range(len(viewed)))])
    page = visit(tmp_path / "page.html", "#e=2&t=0")
    assert "1 keep" in page.inner_text("#counter")
    page.keyboard.press("x")
    page.reload()
    page.wait_for_selector("#lane")
    assert page.inner_text("#counter").split("\n")[:2] == ["1 keep", "1 exclude"]
    page.keyboard.press("g")
    assert page.inner_text(".card[data-episode='1'] .signs").strip() == "<b>bold</b>"
    assert page.locator(".signs b").count() == 0
    page.evaluate("localStorage.setItem(Object.keys(localStorage)[0], 'no json')")
    page.reload()
    page.wait_for_selector(".card")


def test_without_storage_everything_works_but_memory(visit: Visit, arm: Path) -> None:
    page = visit(arm)
    page.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"
    )
    page.goto(arm.as_uri() + "#e=3&t=0")
    page.reload()
    page.wait_for_selector("#lane")
    page.keyboard.press("x")
    page.keyboard.press("v")
    page.keyboard.press("Escape")
    assert page.inner_text("#counter") == "1 exclude"
    page.keyboard.press("u")


def test_keyboard_alone_does_everything(visit: Visit, arm: Path, tmp_path: Path) -> None:
    page = visit(arm)
    press = page.keyboard.press
    for key in ("ArrowRight", "ArrowRight", " ", "ArrowRight", " "):
        press(key)
    assert "2 selected" in page.inner_text("#tally").replace("\n", " ")
    press("x")
    press("Escape")
    press("h")
    page.wait_for_selector("#panel")
    focus = "document.activeElement.getAttribute('aria-label') || ''"
    for _ in range(60):
        press("Tab")
        if str(page.evaluate(focus)).startswith("operator"):
            break
    assert str(page.evaluate(focus)).startswith("operator ana")
    press("ArrowRight")
    press("Enter")
    assert len(shown(page)) == 4
    assert str(page.evaluate(focus)).startswith("operator bo")
    for _ in range(60):
        press("Tab")
        if page.evaluate("document.activeElement.classList.contains('open')"):
            break
    press("Enter")
    page.wait_for_selector("#lane")
    assert page.inner_text(".title h1") == "Episode 1"
    press("v")
    page.keyboard.type("terminated")
    press("Tab")
    for _ in range(10):
        if page.evaluate("document.activeElement.id") == "all-terminated":
            break
        press("Tab")
    press(" ")
    press("Escape")
    assert "terminated" in labels(page)
    press("j")
    page.wait_for_timeout(150)
    assert page.inner_text(".title h1") == "Episode 4"
    press("y")
    marks = {it["episode"]: it["mark"] for it in marks_of(page, tmp_path)["marks"]}
    names = digests(arm.parent / "v1")
    assert marks == {names[1]: "exclude", names[2]: "exclude", names[4]: "keep"}


@pytest.mark.parametrize("width", [1280, 1440])
def test_filters_do_not_wrap(visit: Visit, tmp_path: Path, width: int) -> None:
    scenes.dataset(tmp_path / "v1", 20, steps=20)
    viewed = Viewed(Dataset.open(tmp_path / "v1"))
    write_page(tmp_path / "page.html", [build(viewed, About("expert", "v1"), range(20))])
    page = visit(tmp_path / "page.html", size={"width": width, "height": 860})
    assert page.locator(".filters").bounding_box()["height"] <= 40
    tops = {
        round(box["y"]) for it in page.locator(".filters > *").all() if (box := it.bounding_box())
    }
    assert max(tops) - min(tops) <= 4
    page.click("[data-outcome=goal]")
    page.wait_for_timeout(50)
    page.locator(".card").first.click()
    page.wait_for_selector(".transport")
    assert page.locator(".transport").bounding_box()["height"] <= 62


@pytest.mark.slow
def test_cameras_marks_and_fields_have_room_everywhere(visit: Visit, arm: Path) -> None:
    for dark in (False, True):
        for size in (DESK, PHONE):
            page = visit(arm, "#e=3&t=7", size=size, dark=dark)
            page.keyboard.press("x")
            for key in ("g", "h", "a"):
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                page.keyboard.press(key)
                page.wait_for_timeout(80)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_cameras_of_two_versions_play_side_by_side(visit: Visit, tmp_path: Path) -> None:
    sides = []
    for number, steps in ((1, 20), (2, 30)):
        cameras.dataset(tmp_path / f"v{number}", 3, steps=steps)
        viewed = Viewed(Dataset.open(tmp_path / f"v{number}"))
        side = build(viewed, About("arm", f"v{number}"), range(3), room=6_000_000)
        add_films(side, viewed)
        sides.append(side)
    pairs = [Pair(index, index, "order") for index in range(3)]
    write_page(tmp_path / "page.html", sides, Opening(1, pairs=pairs))
    page = visit(tmp_path / "page.html")
    page.wait_for_selector("#film1-1")
    assert page.inner_text(".title .chip") == "paired by order"
    assert page.locator("canvas.film").count() == 4
    page.keyboard.press("End")
    page.wait_for_selector("#film1-0[data-frame='30']")
    assert page.get_attribute("#film0-0", "data-frame") == "20"


@pytest.mark.slow
def test_two_cameras_of_480_by_640_play_in_time(visit: Visit, tmp_path: Path) -> None:
    steps = 90
    cameras.dataset(tmp_path / "v1", 1, steps=steps, size=(640, 480))
    page = visit(written(tmp_path / "v1", tmp_path / "page.html", index=0), "#e=0&t=0")
    page.wait_for_selector("#film0-1[data-frame='0']")
    assert page.evaluate("document.querySelector('#film0-0').width") == 640
    page.evaluate(
        """() => { window.seen = {};
        for (const canvas of document.querySelectorAll('canvas.film')) {
        const frames = window.seen[canvas.id] = new Set();
        new MutationObserver(() => frames.add(canvas.dataset.frame))
          .observe(canvas, { attributeFilter: ['data-frame'] }); } }"""
    )
    begin = time.perf_counter()
    page.keyboard.press(" ")
    page.wait_for_selector(f"#lane[aria-valuenow='{steps}']")
    seconds = time.perf_counter() - begin
    seen = page.evaluate("Object.values(window.seen).map((frames) => frames.size)")
    assert seconds < steps / cameras.FPS + 1.0
    assert min(seen) >= 0.6 * steps, f"{seen} of {steps} pictures in {seconds:.2f} s"
