"""What the guide for curators does in a page leaves the marks that its program stands for."""

import json
import re
from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tests.test_curators import FENCE, GUIDE, typed

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_page_downloads_what_the_program_writes(visit: Visit, tmp_path: Path) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    programs = [it[2] for it in FENCE.finditer(guide) if it[1] == "python"]
    [marks] = [text for text in programs if text.startswith("# marks.py\n")]
    for name, text in (("rehearsal.py", programs[0]), ("marks.py", marks)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    made = typed(
        "python rehearsal.py && mkdir -p data/store && cp -r data/in/teleop data/store", tmp_path
    )
    assert made == ""
    assert "exit status" not in typed("python marks.py program.json", tmp_path)
    assert "exit status" not in typed("trajstore play teleop@v1 --no-open", tmp_path)
    session = guide[guide.index("Look at them:") : guide.index("bring that file in")]
    keys = re.findall(r"`(\w+)`", session)
    assert [it for it in keys if len(it) == 1 and it != "1"] == ["h", "a", "x", "l", "s"]
    page = visit(tmp_path / "play/teleop-v1.html")
    page.keyboard.press("h")
    page.fill("#low-anomaly", "1")
    page.keyboard.press("Escape")
    assert page.inner_text("#shown") == "13 of 200 episodes"
    for key in ("a", "x", "l"):
        page.keyboard.press(key)
    page.keyboard.type("sensor")
    page.keyboard.press("Enter")
    with page.expect_download() as waiting:
        page.keyboard.press("s")
    waiting.value.save_as(tmp_path / "page.json")
    assert waiting.value.suggested_filename == "teleop-v1.marks.json"
    found, expected = (
        json.loads((tmp_path / f"{it}.json").read_text()) for it in ("page", "program")
    )
    expected["marks"].sort(key=lambda it: it["episode"])
    assert found == expected
