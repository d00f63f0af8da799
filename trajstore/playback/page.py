"""One self-contained HTML page out of datasets: no server, no network, nothing to install.

The page's policy forbids every request and every script but its own, and all that comes from a
dataset reaches it as JSON or base64 and is shown as text: a name cannot become markup.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from trajstore.disk.files import replace_file
from trajstore.disk.system import storing
from trajstore.playback.pairing import Pair
from trajstore.playback.payload import Side, plain

SCRIPTS = (
    *("base", "source", "unpack", "fields", "marks", "film", "scene", "charts", "picker"),
    *("filters", "gallery", "facts", "player", "main"),
)
"""Parts of the script in order. ``source`` alone knows where episodes lie and marks go; ``served``
stands in its place where a server has them."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the page shows first.

    Attributes:
        episode: index of the episode to open; ``None`` opens the gallery.
        speed: of playing, 1 is real time.
        pairs: of a comparison, episodes that belong side by side.
    """

    episode: int | None = None
    step: int = 0
    speed: float = 1.0
    pairs: Sequence[Pair] | None = None


def render(sides: Sequence[Side], opening: Opening | None = None) -> str:
    """The page of one dataset, or of two that are compared."""
    opening = opening or Opening()
    names = [f"{side.record['name']} {side.record['version']}".strip() for side in sides]
    title = " against ".join(names)
    record = {
        "title": title,
        "sides": [side.record for side in sides],
        "pairs": None if opening.pairs is None else [list(pair) for pair in opening.pairs],
        "open": None if opening.episode is None else [opening.episode, opening.step],
        "speed": opening.speed,
    }
    return filled(title, record, "\n".join(_blobs(sides)))


def filled(title: str, record: Any, blobs: str, *, source: str = "source") -> str:  # noqa: ANN401
    """The page of a record, whose script gets episodes by the module of that name."""
    body = put_in(asset("page.html"), {"payload": json_text(record), "blobs": blobs})
    connect = "'self'" if source == "served" else ""
    return framed(title, body, _script(source), connect=connect)


def framed(title: str, body: str, script: str, *, connect: str = "") -> str:
    """A whole page, whose policy lets its own script and style through and nothing else."""
    style = asset("style.css")
    policy = _policy(script, style, connect=connect)
    parts = {"policy": policy, "title": escape(title), "style": style, "body": body}
    return put_in(asset("frame.html"), parts | {"script": script})


def put_in(text: str, parts: Mapping[str, str]) -> str:
    """The text with each ``{{name}}`` replaced by the part of that name."""
    return re.sub(r"{{(\w+)}}", lambda place: parts[place[1]], text)


def write_page(target: Path, sides: Sequence[Side], opening: Opening | None = None) -> int:
    """Write the page and return its size in bytes."""
    return write_whole(target, render(sides, opening).encode())


def write_whole(target: Path, data: bytes) -> int:
    """Put a file, and the folders it lies in, where it was asked for; return its size in bytes."""
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, data)
    return len(data)


def json_text(record: Any) -> str:  # noqa: ANN401 - JSON is what it is
    r"""JSON that cannot end the script element it stands in.

    Example:
        >>> json_text({"scenario": "</script>"})
        '{"scenario":"\\u003c/script\\u003e"}'
    """
    try:
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(plain(record), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _blobs(sides: Sequence[Side]) -> Iterator[str]:
    for number, side in enumerate(sides):
        for letter, packed in (("e", side.numbers), ("m", side.more)):
            for index, text in packed.items():
                yield f'<script type="text/plain" id="{letter}{number}-{index}">{text}</script>'
        for letter, pictures in (("f", side.frames), ("c", side.films)):
            for index, urls in pictures.items():
                name, text = f"{letter}{number}-{index}", json_text(urls)
                yield f'<script type="application/json" id="{name}">{text}</script>'


def _policy(script: str, style: str, *, connect: str = "") -> str:
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
        + (f"; connect-src {connect}" if connect else "")
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def asset(name: str) -> str:
    """The text of a file of ``web/``."""
    return files("trajstore.playback.web").joinpath(name).read_text("utf-8")


@cache
def _script(source: str) -> str:
    names = (source if name == "source" else name for name in SCRIPTS)
    parts = [re.sub(r"^ *//.*\n", "", asset(f"{name}.js"), flags=re.M) for name in names]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"
