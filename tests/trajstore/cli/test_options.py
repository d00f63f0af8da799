"""What commands write for people never lands in a version or a recording."""

from pathlib import Path

import pytest

from tests import factories
from trajstore.cli import run


def tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        *("play --no-open --out", "play --gif", "play --mp4", "play --png"),
        *("export --to npz", "export --to minari"),
    ],
)
@pytest.mark.parametrize(
    "place", ["store/expert/v1/manifest.json", "store/expert/v1/new/a", "other/x.html", "link/a"]
)
def test_no_output_is_written_into_a_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, place: str
) -> None:
    (tmp_path / "store/expert").mkdir(parents=True)
    for target in ("store/expert/v1", "other"):
        factories.dataset(tmp_path / target)
    (tmp_path / "link").symlink_to(tmp_path / "store/expert/v1")
    before = tree(tmp_path)
    name, *options = command.split()
    line = [name, "expert@v1", *options, str(tmp_path / place)]
    assert run(["--store", str(tmp_path / "store"), *line]) == 2
    assert "which is sealed or being recorded" in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_a_page_is_not_put_into_a_version_that_is_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.dataset(tmp_path / "v1")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/manifest.json").write_text('{"name": "a web page"}')
    monkeypatch.chdir(tmp_path / "v1")
    before = tree(tmp_path)
    assert run(["play", str(tmp_path / "v1"), "--no-open"]) == 2
    assert tree(tmp_path) == before
    page = str(tmp_path / "app/page.html")
    assert run(["play", str(tmp_path / "v1"), "--no-open", "--out", page]) == 0
