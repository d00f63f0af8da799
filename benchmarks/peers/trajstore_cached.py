"""This project's store with its cache of decoded rows, filled while writing."""

from pathlib import Path

from benchmarks.data import Source
from benchmarks.peers import trajstore_store
from benchmarks.peers.trajstore_store import StoreReader


def write(path: Path, source: Source) -> None:
    trajstore_store.write(path / "v1", source)
    reader = open_store(path)
    for name in reader.names:
        reader.data.column(name)


def open_store(path: Path) -> StoreReader:
    return StoreReader(path / "v1", cache=path / "cache")
