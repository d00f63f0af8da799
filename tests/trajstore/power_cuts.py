"""What a power cut may leave of a recording: unsynced writes and names, lost or kept.

The operations of `trajstore.disk.system.OPS` are traced; from the trace come the states of a disk.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trajstore.disk import system as disk


@dataclass
class Happened:
    """One operation in a trace: what it changes, and when that became durable, if ever."""

    kind: str
    owner: int
    arguments: tuple[object, ...]
    durable: int = 2**30


@dataclass
class Trace(disk.Operations):
    """Runs operations and notes what a disk would have to remember of them.

    An operation belongs to an inode: a write to its file, a name to its folder. It is durable
    once that inode was synced; before, a crash may keep it or lose it, in any combination.
    """

    root: Path
    skip: Callable[[Path], bool] = lambda _path: False
    happened: list[Happened] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    inodes: dict[Path, int] = field(default_factory=dict)
    _open: dict[int, tuple[int, Path]] = field(default_factory=dict)

    def inode(self, path: Path) -> int:
        """A number for what lies at the path now."""
        return self.inodes.setdefault(path, len(self.inodes) + 1000 * len(self.happened))

    def note(self, kind: str, owner: int, *arguments: object) -> None:
        """Add an operation that is not durable yet."""
        self.happened.append(Happened(kind, owner, arguments))

    def acknowledge(self, order: int) -> None:
        """From here on, so many episodes must be there."""
        self.marks.append((len(self.happened), order))

    def open(self, path: Path, flags: int) -> int:
        new = flags & os.O_CREAT and not path.exists()
        descriptor = super().open(path, flags)
        inode = self.inode(path)
        if new:
            self.note("link", self.inode(path.parent), path.name, inode)
        self._open[descriptor] = inode, path
        return descriptor

    def write(self, descriptor: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        self.note("write", self._open[descriptor][0], offset, bytes(data))
        return super().write(descriptor, data, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.note("truncate", self._open[descriptor][0], size)
        super().truncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        inode, path = self._open[descriptor]
        if self.skip(path):
            return
        for operation in self.happened:
            if operation.owner == inode and operation.durable == 2**30:
                operation.durable = len(self.happened)
        self.note("sync", inode)
        self.happened[-1].durable = len(self.happened)

    def fdatasync(self, descriptor: int) -> None:
        self.fsync(descriptor)

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self.note("link", self.inode(path.parent), path.name, self.inode(path), "folder")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        for path in [path for path in self.inodes if path == source or source in path.parents]:
            self.inodes[target / path.relative_to(source)] = self.inodes.pop(path)
        self.note("rename", self.inode(target.parent), source.name, target.name)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.inodes.pop(path, None)
        self.note("unlink", self.inode(path.parent), path.name)

    def rmdir(self, path: Path) -> None:
        super().rmdir(path)
        self.inodes.pop(path, None)
        self.note("unlink", self.inode(path.parent), path.name)

    def states(self) -> Iterator[tuple[int, list[Happened]]]:
        """Every crash: after how many operations, and which of them the disk remembers."""
        for end in range(len(self.happened) + 1):
            past = self.happened[:end]
            if past and past[-1].kind == "sync":
                continue
            real = [it for it in past if it.kind != "sync"]
            loose = [it for it in real if it.durable > end]
            choices = [[], loose]
            choices += [[it for it in loose if it is not one] for one in loose]
            choices += [[one] for one in loose]
            choices += [loose[:count] for count in range(2, len(loose))]
            for kept in choices:
                chosen = {id(it) for it in kept}
                yield end, [it for it in real if it.durable <= end or id(it) in chosen]

    def acknowledged(self, end: int) -> int:
        """What was acknowledged before the crash."""
        return max((order for at, order in self.marks if at <= end), default=0)


def materialise(trace: Trace, kept: list[Happened], folder: Path) -> None:
    """Make the files that a disk holds which remembers these operations; v1 lies there already."""
    names: dict[int, dict[str, int]] = {}
    data: dict[int, bytearray] = {}
    folders: set[int] = set()
    for it in kept:
        if it.kind in ("write", "truncate"):
            _change(data.setdefault(it.owner, bytearray()), it)
        else:
            _rename(names.setdefault(it.owner, {}), it)
        if it.arguments[2:]:
            folders.add(int(it.arguments[1]))  # type: ignore[call-overload]
    waiting = [(trace.inodes[trace.root], folder)]
    while waiting:
        inode, path = waiting.pop()
        for name, child in names.get(inode, {}).items():
            if child in folders:
                (path / name).mkdir()
                waiting.append((child, path / name))
            else:
                (path / name).write_bytes(data.get(child, b""))


def _rename(entries: dict[str, int], it: Happened) -> None:
    name = str(it.arguments[0])
    if it.kind == "link":
        entries[name] = int(it.arguments[1])  # type: ignore[call-overload]
    elif name in entries:
        inode = entries.pop(name)
        if it.kind == "rename":
            entries[str(it.arguments[1])] = inode


def _change(content: bytearray, it: Happened) -> None:
    at = int(it.arguments[0])  # type: ignore[call-overload]
    content.extend(bytes(max(0, at - len(content))))
    if it.kind == "truncate":
        del content[at:]
    else:
        piece = bytes(it.arguments[1])  # type: ignore[call-overload]
        content[at : at + len(piece)] = piece
