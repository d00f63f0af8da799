"""Words and signs of the page can be read: contrast is at least that of WCAG's level AA."""

import re
from importlib.resources import files

import pytest

STYLE = files("trajstore.playback.web").joinpath("style.css").read_text("utf-8")
INK = ("ink", "ink-2", "ink-3", "accent", "b", "good", "warn", "bad", "odd")
SOFT = ("accent", "b", "good", "warn", "bad", "odd")
PAIRS = [
    *((ink, paper) for ink in INK for paper in ("bg", "panel", "sunk")),
    *((ink, f"{ink}-soft") for ink in SOFT),
    *((ink, "accent-soft") for ink in ("ink", "ink-2")),
    ("accent-ink", "accent"),
    ("ink-2", "floor"),
    ("other-ink", "floor"),
]


def colours(theme: str) -> dict[str, str]:
    """Variables of a theme; those that the dark one does not change are the light one's."""
    blocks = re.findall(r":root(\[data-theme=\"dark\"\])? \{(.*?)\n\}", STYLE, re.DOTALL)
    found: dict[str, str] = {}
    for dark, block in blocks:
        if not dark or theme == "dark":
            found |= dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
    return found


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in shares]
    return float(sum(w * it for w, it in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), PAIRS)
def test_words_can_be_read(theme: str, ink: str, paper: str) -> None:
    known = colours(theme)
    low, high = sorted((luminance(known[ink]), luminance(known[paper])))
    ratio = (high + 0.05) / (low + 0.05)
    assert ratio >= 4.5, f"{ink} on {paper}: {ratio:.2f}"
