"""``doctor`` and ``completion``: is everything in place?"""

import os
import platform
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from importlib import metadata

import click
import google_crc32c
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from trajstore.cli.facts import version_lines
from trajstore.cli.options import command, examples
from trajstore.cli.output import plain, print_json, print_table, size
from trajstore.episode.anomalies import DETECTORS
from trajstore.episode.plugins import KINDS, offered
from trajstore.errors import PluginError, TrajStoreError
from trajstore.interop.formats import FORMATS
from trajstore.quality import CHECKS
from trajstore.store import Store
from trajstore.version.location import locate

REQUIRED = (
    "numpy", "zarr", "numcodecs", "google-crc32c", "click", "rich", "loguru", "msgspec",
    "zstandard",
)  # fmt: skip
OPTIONAL = (
    "gymnasium", "torch", "stable-baselines3", "imitation", "minari", "h5py", "pyarrow", "av",
    "simplejpeg", "rerun-sdk", "dvc",
)  # fmt: skip
SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
LEAST_FREE_BYTES = 1_000_000_000
MARKS = {"good": "[green]good[/]", "note": "[dim]note[/]", "bad": "[red]bad[/]"}

Check = tuple[str, str, str]
"""Verdict (good, note, bad), what was looked at, what was found."""


@command("trajstore doctor", "trajstore doctor --json")
def doctor(store: Store, as_json: bool) -> int:
    """Check the installation and the store; exit status 1 if something is bad.

    It also lists what other packages bring (checks, detectors, formats, environments, tasks), and
    says why one of them cannot be used.
    """
    checks = [*_environment(), *_plugins(), *_store(store), *_archive(store), *_versions(store)]
    if as_json:
        print_json([dict(zip(("verdict", "what", "found"), one, strict=True)) for one in checks])
    else:
        rows = [(MARKS[verdict], plain(what), plain(found)) for verdict, what, found in checks]
        print_table(["", "what", "found"], rows)
    return 1 if any(verdict == "bad" for verdict, _, _ in checks) else 0


def _environment() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "good" if sys.version_info >= (3, 11) else "bad", "Python", found
    for name in (*REQUIRED, *OPTIONAL):
        try:
            yield "good", name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield "bad" if name in REQUIRED else "note", name, "not installed"
    fast = google_crc32c.implementation == "c"
    yield "good" if fast else "bad", "crc32c", "native" if fast else "slow, in Python; reinstall it"
    yield "good" if sys.byteorder == "little" else "bad", "byte order", sys.byteorder


def _plugins() -> Iterator[Check]:
    """What other packages offer, and what is left aside of it."""
    own: dict[str, Collection[str]] = {"check": CHECKS, "detector": DETECTORS, "format": FORMATS}
    for plugin in (it for kind in KINDS for it in offered(kind, own.get(kind, ()))):
        try:
            plugin.load()
        except PluginError as error:
            yield "note", f"{plugin.kind} {plugin.name}", f"{plugin.origin}, left aside: {error}"
        else:
            yield "good", f"{plugin.kind} {plugin.name}", plugin.origin


def _store(store: Store) -> Iterator[Check]:
    root = store.root
    if not root.is_dir():
        yield "note", "store", f"{root}: not there yet; the first recording makes it"
        return
    writable = os.access(root, os.W_OK)
    yield "good" if writable else "note", "store", f"{root}{'' if writable else ', read-only'}"
    free = shutil.disk_usage(root).free
    yield "good" if free > LEAST_FREE_BYTES else "bad", "free space", size(free)


def _archive(store: Store) -> Iterator[Check]:
    """Whether the archive is in reach, and has the packs of all versions that left the store."""
    try:
        names = locate(store.archive).names()
    except TrajStoreError as error:
        yield "bad", "archive", str(error)
        return
    left = []
    for shelf in map(store.shelf, store.datasets()):
        with suppress(TrajStoreError):  # a damaged ledger is told of by its versions
            live = shelf.live()
            left += [(shelf, it) for it in shelf.packed().values() if it.version not in live]
    lost = [(shelf.name, it) for shelf, it in left if it.archive not in names]
    if not names and not left:
        yield "note", "archive", f"{store.archive}: no packs there yet"
    else:
        yield "bad" if lost else "good", "archive", f"{store.archive}: {len(names)} packs"
    for name, entry in lost:
        found = f"its pack {entry.archive} is missing from the archive {store.archive}"
        yield "bad", f"archive:{name}@v{entry.version}", found


def _versions(store: Store) -> Iterator[Check]:
    unreadable = set()
    for facts in version_lines(store, store.datasets()):
        what = f"{facts['dataset']}@{facts['version']}".rstrip("@")
        if facts["status"] == "unreadable" and "episodes" in facts:
            if facts["error"] not in unreadable:
                yield "bad", "status", facts["error"]
            unreadable.add(facts["error"])
            yield "note", what, f"status unreadable, {facts['episodes']:,} episodes"
        elif "error" in facts:
            yield "bad", what, facts["error"]
        elif facts["status"] == "recording":
            yield "note", what, "an unfinished recording; see 'trajstore recover'"
        else:
            yield "good", what, f"{facts['status']}, {facts['episodes']:,} episodes"


@click.command(epilog=examples('eval "$(trajstore completion bash)"'))
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands; put it into the shell's start file."""
    group = click.get_current_context().find_root().command
    click.echo(SHELLS[shell](group, {}, "trajstore", "_TRAJSTORE_COMPLETE").source())
