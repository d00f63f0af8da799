"""What a served store shows beside its versions: the first page, and why there is none."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from trajstore.playback.page import asset, framed

COLUMNS = ("version", "status", "episodes", "steps", "anomalies", "marks")


def overview(where: str, lines: Iterable[Mapping[str, Any]]) -> str:
    """The first page, for the lines of ``trajstore list``, with marks in words as ``told``."""
    datasets: dict[str, list[str]] = {}
    for line in lines:
        datasets.setdefault(str(line["dataset"]), []).append(_row(line))
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    tables = (
        f'<section class="panel box"><h2>{escape(name)}</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
        for name, rows in datasets.items()
    )
    return _page(where, "".join(tables) or '<p class="empty">No datasets yet.</p>')


def apology(words: str, remedy: str) -> str:
    """A page for a request that cannot be answered: why, and what to do."""
    told = f'<p>{escape(remedy)}</p><p><a href="/">All that is served</a></p>'
    return _page(
        "trajstore", f'<section class="panel box"><h2>{escape(words)}</h2>{told}</section>'
    )


def _page(name: str, content: str) -> str:
    bar = f'<header class="bar"><div class="name">{escape(name)}</div></header>'
    body = f'{bar}<main id="main" class="overview">{content}</main>'
    return framed(name, body, asset("overview.js"))


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
