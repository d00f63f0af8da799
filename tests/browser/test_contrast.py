"""Every text of the pages stands out from what it stands on, as WCAG 2 asks at level AA."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.trajstore import cameras, scenes
from trajstore.choosing.marks import Mark
from trajstore.dataset import Dataset
from trajstore.playback.overview import apology, overview
from trajstore.playback.page import asset, write_page
from trajstore.playback.payload import About, build
from trajstore.playback.viewed import Viewed

LEAST = 4.5
PLAIN = ("ink", "ink-2", "ink-3", "accent", "b", "good", "warn", "bad", "odd")
GROUNDS = ("bg", "panel", "sunk", "floor")


def themes() -> dict[str, dict[str, str]]:
    """Colours by name, as the style sheet has them."""
    style = asset("style.css")
    light, dark = (style[style.index(it) :].partition("}")[0] for it in (":root {", ":root[data-"))
    read = {
        name: dict(re.findall(r"--([\w-]+): (#\w+);", text))
        for name, text in (("light", light), ("dark", dark))
    }
    return {"light": read["light"], "dark": read["light"] | read["dark"]}


def channels(colour: str) -> list[float]:
    digits = colour.lstrip("#")
    return [int(digits[it : it + 2], 16) / 255 for it in range(0, len(digits), 2)]


def luminance(red: float, green: float, blue: float) -> float:
    parts = (
        it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in (red, green, blue)
    )
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def ratio(text: str, ground: str, under: str) -> float:
    """Of two colours, the second of which may let a third through."""
    (*ground_rgb,) = channels(ground)
    alpha = ground_rgb.pop() if len(ground_rgb) == 4 else 1.0
    mixed = [alpha * a + (1 - alpha) * b for a, b in zip(ground_rgb, channels(under), strict=True)]
    one, other = luminance(*channels(text)), luminance(*mixed)
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_black_on_white_is_what_the_formula_says() -> None:
    assert ratio("#000000", "#ffffff", "#ffffff") == pytest.approx(21)
    assert ratio("#777777", "#ffffff", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_texts_are_legible(theme: str) -> None:
    colour = themes()[theme]
    pairs = [*product(PLAIN, GROUNDS), ("accent-ink", "accent"), ("other-ink", "floor")]
    pairs += [(it, f"{it}-soft") for it in ("accent", "b", "good", "warn", "bad", "odd")]
    pairs += [("ink", "accent-soft"), ("ink-2", "accent-soft"), ("bad", "accent-soft")]
    weak = {
        f"{text} on {ground}": round(ratio(colour[text], colour[ground], colour["panel"]), 2)
        for text, ground in pairs
    }
    assert {name: it for name, it in weak.items() if it < LEAST} == {}


TEXTS = r"""() => {
  const rgba = (text) => {
    const n = text.match(/[\d.]+/g).map(Number), of = text.startsWith('color(') ? 255 : 1;
    return [...n.slice(0, 3).map((x) => x * of), n[3] ?? 1];
  };
  const over = (top, under) => under.map((x, i) => top[i] * top[3] + x * (1 - top[3]));
  const linear = (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  const bright = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = {}, walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    const box = node.getBoundingClientRect(), hidden = 'script, style, noscript, option, :disabled';
    if (!text || !box.width || !box.height || node.closest(hidden)) continue;
    const style = getComputedStyle(node), under = ground(node);
    const both = [bright(over(rgba(style.color), under)), bright(under)].sort((x, y) => y - x);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const name = `${node.tagName}.${node.className} ${text.slice(0, 30)}`;
    if (ratio < (large ? 3 : 4.5)) found[name] = Math.round(ratio * 100) / 100;
  }
  return [found, document.body.innerText.length];
}"""


def page_of(folder: Path, make: Any, name: str) -> Path:
    make(folder / name / "v1", 12)
    viewed = Viewed(Dataset.open(folder / name / "v1"))
    own = viewed.text("digest")
    marks = (
        Mark(own[0], "exclude", ("grip", "slow"), "a note"),
        Mark(own[1], "keep"),
    )
    about = About(
        name, "v1", "quarantined", reasons=("why",), reference=f"{name}@v1",
        marks=tuple(it.to_json() for it in marks),
    )  # fmt: skip
    write_page(folder / f"{name}.html", [build(viewed, about, range(9))])
    return folder / f"{name}.html"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_of_a_page_is_legible(visit: Visit, tmp_path: Path, dark: bool) -> None:
    for name, make in (("expert", scenes.dataset), ("arm", cameras.dataset)):
        file = page_of(tmp_path, make, name)
        for hash_, keys in (
            ("", ""), ("", "h"), ("", "a"), ("", "?"), ("#e=4&t=9", ""), ("#e=0&t=3", "v"),
            ("#e=99", ""), ("#dataset", ""),
        ):  # fmt: skip
            page = visit(file, hash_, dark=dark)
            page.wait_for_selector("#tabs button")
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_timeout(120)
            weak, letters = page.evaluate(TEXTS)
            assert letters > 50
            assert weak == {}, (name, hash_, keys)
        page.evaluate(
            """() => { const pale = document.createElement('p'); pale.append('pale');
            pale.style.color = '#8a8a8a'; document.querySelector('main').append(pale); }"""
        )
        assert list(page.evaluate(TEXTS)[0]) == ["P. pale"] or dark, "a pale text is found"


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_beside_versions_are_legible(visit: Visit, tmp_path: Path, dark: bool) -> None:
    line = {"dataset": "expert", "episodes": 9, "steps": 90, "anomalous_episodes": 1, "told": "x"}
    lines = [
        line | {"version": f"v{number}", "status": status}
        for number, status in enumerate(("draft", "validated", "quarantined"), 1)
    ]
    lines.append({"dataset": "expert", "version": "v4", "status": "damaged", "error": "why"})
    pages = {"first": overview("/data/store", lines), "sorry": apology("There is none.", "Look.")}
    for name, html in pages.items():
        (tmp_path / f"{name}.html").write_text(html, encoding="utf-8")
        page = visit(tmp_path / f"{name}.html", dark=dark)
        weak, letters = page.evaluate(TEXTS)
        assert letters > 20
        assert weak == {}
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "A"
