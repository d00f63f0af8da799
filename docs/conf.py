"""The site that `make docs` builds of these pages; a warning or a dead link fails it."""

import re
from functools import cache
from importlib.metadata import version as installed
from pathlib import Path
from urllib.parse import unquote

from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

project = "trajstore"
author = copyright = "The trajstore authors"
release = version = installed("trajstore")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_mock_imports = ["rerun"]
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
default_role = "code"

html_theme = "furo"
html_title = f"trajstore {release}"
html_extra_path = ["../build/gallery"]
html_copy_source = False
html_show_sphinx = False


@cache
def anchors(page: Path) -> set[str]:
    """What a link may name behind ``#`` on a page."""
    return set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))) | {""}


def dead(page: Path) -> list[str]:
    """Links of a page that lead to no file, or to no place in it."""
    found = re.findall(r'\b(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8"))
    inside = [link for link in found if not re.match(r"[a-z]+:|//", link)]
    wrong = []
    for link in inside:
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path.partition("?")[0] if path else page
        target = target / "index.html" if target.is_dir() else target
        page_like = target.suffix == ".html" and "pages" not in target.parts
        if not target.is_file() or (page_like and anchor not in anchors(target)):
            wrong.append(f"{page.name}: {link}")
    return wrong


def check_links(app: Sphinx, exception: Exception | None) -> None:
    """Warn of links that Sphinx does not look at: raw HTML, other files, anchors."""
    if exception is None and app.builder.name == "html":
        for page in sorted(Path(app.outdir).glob("*.html")):
            for link in dead(page):
                getLogger(__name__).warning("dead link: %s", link)


def setup(app: Sphinx) -> None:
    """Tell Sphinx."""
    app.connect("build-finished", check_links)
