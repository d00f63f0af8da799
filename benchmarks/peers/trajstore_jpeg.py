"""This project's store, each frame of a camera a JPEG image, no worse than LeRobot's defaults."""

from pathlib import Path

from benchmarks.data import Source
from benchmarks.peers import trajstore_store
from benchmarks.peers.trajstore_store import StoreReader
from trajstore.episode.codec import Codec

LOADED_TO_WRITE = (*trajstore_store.LOADED_TO_WRITE, "trajstore.version.jpeg")


def write(path: Path, source: Source) -> None:
    trajstore_store.write(path, source, Codec("jpeg", 71))


def open_store(path: Path) -> StoreReader:
    return trajstore_store.open_store(path)
