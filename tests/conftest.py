"""What every test stands on."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched files go into a temporary folder: no test writes into the user's cache."""
    folder: Path = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("TRAJSTORE_CACHE", str(folder))
