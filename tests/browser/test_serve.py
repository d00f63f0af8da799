"""In a real browser a served version is looked at, filtered, marked, and selected from."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DESK
from tests.trajstore import cameras, scenes
from trajstore.choosing.marks import Mark
from trajstore.dataset import Dataset
from trajstore.quality.marks import mark_episodes, reviewed_marks
from trajstore.store import Store

pytest.importorskip("werkzeug", reason="werkzeug is not installed")
from trajstore.cli.serve import Library, failed
from trajstore.playback.server import Shown, listen

pytestmark = pytest.mark.browser
COUNT = 600


class Site:
    """A served store, and pages of it in tabs that must complain of nothing."""

    def __init__(self, browser: Any, store: Store, port: int) -> None:
        self.store, self.address = store, f"http://localhost:{port}"
        self.heard: list[str] = []
        self._context = browser.new_context(viewport=DESK, color_scheme="light")

    def visit(self, path: str) -> Any:
        page = self._context.new_page()
        page.on("console", lambda message: self.heard.append(message.text))
        page.on("pageerror", lambda error: self.heard.append(str(error)))
        page.on(
            "request",
            lambda sent: (
                sent.url.startswith((self.address, "blob:")) or self.heard.append(sent.url)
            ),
        )
        page.goto(self.address + path)
        page.wait_for_selector("html[data-ready]")
        return page

    def saved(self, page: Any) -> dict[str, Mark]:
        page.wait_for_selector("body:not([data-saving])")
        return dict(reviewed_marks(self.store.reviews))

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site") / "store"
    scenes.dataset(root / "expert/v1", COUNT, steps=30)
    cameras.dataset(root / "arm/v1", 3, steps=40)
    return root


@pytest.fixture
def site(browser: Any, root: Path, tmp_path: Path) -> Iterator[Site]:
    store = Store(root, reviews=tmp_path / "reviews.json")
    library = Library(store, None)
    shown = Shown(library.find, library.again, library.overview, library.mark, failed, "t0ken")
    server = listen(shown, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site = Site(browser, store, server.port)
    yield site
    site.close()
    server.shutdown()
    thread.join(10)
    assert site.heard == []


def test_mark_filter_and_select_under_serve(site: Site) -> None:
    page = site.visit("/#token=t0ken")
    assert "token" not in page.url
    page.click("a[href='/v/expert@v1/']")
    page.wait_for_selector(".card canvas")
    assert page.inner_text("#shown").startswith("600 of 600")
    page.click('[data-outcome="timeout"]')
    told = page.inner_text("#shown")
    outcomes = Dataset.open(site.store.path("expert@v1")).episodes["outcome"].tolist()
    bad = [index for index, it in enumerate(outcomes) if it == "timeout"]
    assert told.startswith(f"{len(bad)} of 600")
    page.keyboard.press("a")
    page.keyboard.press("x")
    own = Dataset.open(site.store.path("expert@v1")).episodes["digest"].tolist()
    page.wait_for_selector("#counter >> text=exclude")
    deadline = time.monotonic() + 20
    while len(site.saved(page)) < len(bad) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert {it: mark.mark for it, mark in site.saved(page).items()} == {
        own[index]: "exclude" for index in bad
    }
    page.keyboard.press("u")
    while site.saved(page) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert site.saved(page) == {}
    page.keyboard.press("x")
    while len(site.saved(page)) < len(bad) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    made = site.store.select("expert@v1", "clean", marks="reviewed", dry_run=True)
    assert made.episodes == COUNT - len(bad)
    again = site.visit("/v/expert@v1/")
    again.wait_for_selector("#counter")
    assert f"{len(bad)} exclude" in again.inner_text("#counter")


def test_another_curators_marks_are_not_written_over(site: Site) -> None:
    own = Dataset.open(site.store.path("expert@v1")).episodes["digest"].tolist()
    page = site.visit("/v/expert@v1/#token=t0ken")
    mark_episodes(site.store.reviews, [Mark(own[7], "keep", ("mine",))])
    page.locator(".card .open").first.focus()
    page.keyboard.press("x")
    deadline = time.monotonic() + 20
    while len(site.saved(page)) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert site.saved(page)[own[7]] == Mark(own[7], "keep", ("mine",))
    assert len(site.saved(page)) == 2


def test_a_wrong_token_is_told_and_a_permalink_opens_its_step(site: Site) -> None:
    page = site.visit("/v/expert@v1/#e=17&t=9&token=wrong")
    page.wait_for_selector("#clock")
    assert page.inner_text("#clock").startswith("step 9")
    assert page.url.endswith("#e=17&t=9")
    assert page.title().startswith("#17 step 9")
    page.keyboard.press("x")
    page.wait_for_selector("#unwritten")
    assert "marking needs the token" in page.inner_text("#unwritten")
    assert not site.store.reviews.exists()
    site.heard[:] = [it for it in site.heard if "403" not in it]
    page.evaluate("localStorage.clear()")
    page.close(run_before_unload=False)


def test_without_a_token_marks_are_downloaded(site: Site) -> None:
    page = site.visit("/v/expert@v1/")
    page.locator(".card .open").first.focus()
    page.keyboard.press("x")
    page.wait_for_selector("#download")
    assert not site.store.reviews.exists()


def test_cards_are_made_as_one_comes_near_and_all_are_reached(site: Site) -> None:
    page = site.visit("/v/expert@v1/")
    assert page.locator(".card").count() < COUNT
    deadline = time.monotonic() + 20
    while page.locator(".card").count() < COUNT and time.monotonic() < deadline:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(60)
    assert page.locator(".card").count() == COUNT


GREY = """(canvas) => { const pen = new OffscreenCanvas(99, 99).getContext('2d',
    { willReadFrequently: true }); pen.drawImage(canvas, 0, 0);
    return pen.getImageData(9, 9, 1, 1).data[0]; }"""


def test_cameras_play_under_serve_and_one_that_cannot_says_so(site: Site) -> None:
    page = site.visit("/v/arm@v1/#e=1&t=19")
    for key, state in (("", 19), ("ArrowRight", 20), ("End", 40)):
        if key:
            page.keyboard.press(key)
        for camera in (0, 1):
            page.wait_for_selector(f"#film0-{camera}[data-frame='{state}']")
        assert abs(page.locator("#film0-0").evaluate(GREY) - cameras.grey(state)) <= 2
    page.keyboard.press("g")
    page.wait_for_selector(".card canvas")
    deadline = time.monotonic() + 20
    for card in page.locator(".card canvas").all():
        while abs(card.evaluate(GREY) - cameras.grey(20)) > 2 and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        assert abs(card.evaluate(GREY) - cameras.grey(20)) <= 2
    page.route("**/cameras/1/*", lambda route: route.fulfill(status=500, body='{"error": "gone"}'))
    page.goto(f"{site.address}/v/arm@v1/#e=2&t=3")
    page.wait_for_selector("#film0-0[data-frame='3']")
    page.wait_for_selector("#film0-1 + .none:has-text('gone')")
    site.heard[:] = [it for it in site.heard if "500" not in it]
