"""One module a peer, all with the same two functions.

``write(path, source)`` stores a data set with the peer's own interface; ``open_store(path)``
returns a ``Reader``. Every reader hands out the same five fields (six on data set B, seven on C).
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.data import Source

Batch = dict[str, np.ndarray]


class Reader(Protocol):
    """An opened store."""

    def transitions(self, rng: np.random.Generator, size: int) -> Batch:
        """``[size, ...]`` uniform random steps."""
        ...

    def windows(self, rng: np.random.Generator, size: int, length: int) -> Batch:
        """``[size, length, ...]`` runs of steps that never cross an episode's end."""
        ...

    def episode(self, index: int) -> Batch:
        """``[T, ...]`` the steps of one episode."""
        ...

    def sequential(self) -> Iterator[Batch]:
        """Every episode once, in order; the peer may read many at a time."""
        ...


class Adapter(Protocol):
    """What a module of this package offers."""

    def write(self, path: Path, source: Source) -> None: ...
    def open_store(self, path: Path) -> Reader: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A row of the table; ``requires`` are the modules that have to be installed."""

    name: str
    title: str
    module: str
    requires: tuple[str, ...] = ()
    in_memory: bool = False
    datasets: tuple[str, ...] = ("A", "B")


ALL = ("A", "B", "C")
PEERS = {
    peer.name: peer
    for peer in (
        Peer("memmap", "numpy memory map (limit)", "memmap", datasets=ALL),
        Peer("trajstore", "trajstore", "trajstore_store", ("trajstore",), datasets=ALL),
        Peer(
            "trajstore_jpeg",
            "trajstore, JPEG frames",
            "trajstore_jpeg",
            ("trajstore", "simplejpeg"),
            datasets=("C",),
        ),
        Peer(
            "trajstore_h264",
            "trajstore, H.264 groups",
            "trajstore_h264",
            ("trajstore", "av"),
            datasets=("C",),
        ),
        Peer(
            "lerobot",
            "LeRobot v3.0, by PyAV",
            "lerobot_video",
            ("av", "pyarrow", "PIL"),
            datasets=("C",),
        ),
        Peer(
            "trajstore_cached",
            "trajstore, decoded cache",
            "trajstore_cached",
            ("trajstore",),
            datasets=("B",),
        ),
        Peer("torchrl", "TorchRL memory map", "torchrl_memmap", ("torchrl", "tensordict")),
        Peer("lance", "Lance", "lance_table", ("lance", "pyarrow")),
        Peer("imitation", "imitation", "imitation_dataset", ("imitation",), in_memory=True),
        Peer("h5_flat", "HDF5, flat, gzip", "h5_flat", ("h5py",), datasets=ALL),
        Peer("h5_demos", "HDF5, a group a demo", "h5_demos", ("h5py",)),
        Peer("minari", "Minari", "minari_dataset", ("minari", "h5py"), datasets=ALL),
        Peer("npz", "NPZ, a file an episode", "npz"),
        Peer("zarr", "textbook Zarr", "zarr_sharded", ("zarr",), datasets=ALL),
    )
}


def missing_modules(peer: Peer) -> list[str]:
    return [name for name in peer.requires if importlib.util.find_spec(name) is None]


def load_adapter(peer: Peer) -> Adapter:
    adapter: Adapter = importlib.import_module(f"benchmarks.peers.{peer.module}")
    return adapter
