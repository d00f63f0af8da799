"""This project's store, frames of cameras in groups of three, H.264; as good as LeRobot's."""

from pathlib import Path

from benchmarks.data import Source
from benchmarks.peers import trajstore_store
from benchmarks.peers.trajstore_store import StoreReader
from trajstore.episode.codec import Codec

LOADED_TO_WRITE = (*trajstore_store.LOADED_TO_WRITE, "trajstore.version.h264")


def write(path: Path, source: Source) -> None:
    trajstore_store.write(path, source, Codec("h264", 27))


def open_store(path: Path) -> StoreReader:
    return trajstore_store.open_store(path)
