"""The guide for curators is a rehearsal: its commands, typed in order, say what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOME = "/home/ann/arm"
"""Where the guide's files lie."""
GUIDE = ROOT / "docs" / "curators.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
CHANGING = {
    r"\d{4}-\d\d-\d\dT[0-9:+]+": "TIME",
    r"\b\d+ (s|min)\b": "AGE",
    r"\b[0-9a-f]{64}\b": "DIGEST",
    r"\([0-9a-f]{12}\)": "(DIGEST)",
    r"─+": "-",
    r"(?<!\S)-?\d+\.\d+(e\+\d+)?(?!\S)": "NUMBER",
}
"""What another day, or another processor, may show otherwise."""


def told(text: str) -> str:
    for pattern, word in CHANGING.items():
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def typed(line: str, folder: Path) -> str:
    """What a line prints, with its exit status as the guide notes it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    env = {name: value for name, value in env.items() if not name.startswith("TRAJSTORE")}
    line = re.sub(r"\btrajstore (?=[a-z])", f"{sys.executable} -m trajstore ", line)
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=env, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    status = f"\n(exit status {done.returncode})" if done.returncode else ""
    return done.stdout.replace(str(folder), HOME) + status


@pytest.mark.slow
def test_the_guide_shows_what_its_commands_say(tmp_path: Path) -> None:
    found = [(it[1], it[2]) for it in FENCE.finditer(GUIDE.read_text(encoding="utf-8"))]
    (program, make, *_) = [text for language, text in found if language in ("python", "bash")]
    (tmp_path / "rehearsal.py").write_text(program, encoding="utf-8")
    [marks] = [text for _, text in found if text.startswith("# marks.py\n")]
    (tmp_path / "marks.py").write_text(marks, encoding="utf-8")
    assert "exit status" not in typed(f"set -e\n{make}", tmp_path)
    shown = [text for language, text in found if language == "text"]
    assert len(shown) > 5
    for text in shown:
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            line, _, output = part.partition("\n")
            assert told(typed(line, tmp_path)) == told(output), line
    looks = [text for language, text in found if language == "sh" and "archive:expert@v1" in text]
    assert "exit status" not in typed(f"set -e\n{looks[0]}", tmp_path)
