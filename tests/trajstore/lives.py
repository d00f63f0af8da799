"""A shelf for the versions of one dataset, and versions to fill it with."""

from pathlib import Path

from tests import factories
from trajstore.lifecycle import Shelf, judge, publish
from trajstore.quality.contract import Contract

CONTRACT = Contract(minimum_episodes=3)


def shelf(folder: Path) -> Shelf:
    """An empty shelf, with an archive and a file of reviews; its clock stands still."""
    return Shelf(
        folder / "store" / "expert",
        folder / "archive",
        folder / "reviews.json",
        clock=lambda: "2026-01-02T03:04:05+00:00",
    )


def source(tmp_path: Path, seed: int, *, count: int = 4) -> Path:
    """A judged version outside the store."""
    path = tmp_path / "in" / f"s{seed}" / "expert"
    factories.dataset(path, count=count, seed=seed)
    judge(path, CONTRACT)
    return path


def fill(shelf: Shelf, tmp_path: Path, count: int) -> list[Path]:
    """Publish that many versions; returns where they came from."""
    sources = [source(tmp_path, 100 * number) for number in range(1, count + 1)]
    for path in sources:
        publish(shelf, path)
    return sources
