"""The first page of a served store: its versions, each with its status and a link."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

COLUMNS = ("version", "status", "episodes", "steps", "anomalies", "marks")


def overview(where: str, lines: Iterable[Mapping[str, Any]]) -> str:
    """The page, for the lines of ``trajstore list``, each with its marks in words as ``told``."""
    web = files("trajstore.playback.web")
    script, style = (web.joinpath(it).read_text("utf-8") for it in ("overview.js", "style.css"))
    datasets: dict[str, list[str]] = {}
    for line in lines:
        datasets.setdefault(str(line["dataset"]), []).append(_row(line))
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    tables = (
        f'<section class="panel box"><h2>{escape(name)}</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
        for name, rows in datasets.items()
    )
    parts = {
        "policy": f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'",
        "where": escape(where),
        "style": style,
        "script": script,
        "tables": "".join(tables) or '<p class="empty">No datasets yet.</p>',
    }
    page = web.joinpath("overview.html").read_text("utf-8")
    return re.sub(r"{{(\w+)}}", lambda place: parts[place[1]], page)


def _row(line: Mapping[str, Any]) -> str:
    version, status = str(line["version"]), str(line["status"])
    name = f"{line['dataset']}@{version}"
    opens = "episodes" in line and version.startswith("v") and status != "recording"
    label = f'<a href="/v/{escape(name)}/">{escape(version)}</a>' if opens else escape(version)
    kind = {"validated": "good", "draft": "warn", "recording": ""}.get(status, "bad")
    chip = f'<span class="chip {kind}"><span class="dot"></span>{escape(status)}</span>'
    if "error" in line:
        return f"<tr><td>{label}</td><td>{chip}</td><td colspan=4>{escape(line['error'])}</td></tr>"
    counts = (line.get(it) for it in ("episodes", "steps", "anomalous_episodes"))
    cells = "".join(f"<td>{'' if it is None else f'{it:,}'}</td>" for it in counts)
    return f"<tr><td>{label}</td><td>{chip}</td>{cells}<td>{escape(line['told'])}</td></tr>"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
