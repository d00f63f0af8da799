"""The command ``serve``: pages of the whole store, in which marks are written at once."""

import secrets
import signal
import sys
import threading
import webbrowser
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseServer

import click

from trajstore.choosing.marks import MarksFile
from trajstore.cli.facts import check_there, told_marks, version_lines
from trajstore.cli.options import command, look
from trajstore.cli.output import complain, plain, print_json, print_line
from trajstore.cli.play import about_of
from trajstore.cli.process import told, words
from trajstore.dataset import Dataset
from trajstore.episode.names import parse_reference
from trajstore.episode.texts import brief
from trajstore.errors import CorruptionError, NotFoundError, TrajStoreError
from trajstore.playback.overview import overview
from trajstore.playback.served import Found, Served
from trajstore.playback.viewed import Viewed
from trajstore.quality.marks import check_marks, mark_episodes
from trajstore.store import Store

PORT = 8350
OPEN = 4
"""Versions that are held open at a time."""
AHEAD = 2
"""Versions that are opened before anybody asks for them."""
ONLY = "version"
"""In an address, a version that lies outside the store."""


class Library:
    """What is served: the versions of a store, or one, each opened when it is looked at."""

    def __init__(self, store: Store, reference: str | None) -> None:
        self._store, self._reference = store, reference
        self._held: OrderedDict[str, Found] = OrderedDict()
        self._lock = threading.Lock()
        self.only = ""
        if reference is not None:
            about = about_of(store, reference, look(store, reference))
            self.only = f"{about.name}@{about.version}" if about.version else ONLY
            if about.version and not parse_reference(reference).archived:
                self._reference = self.only
            found = self.find(self.only)
            found.served.record(found.about)

    def find(self, name: str) -> Found:
        """The version of that name in an address, as it is now; `NotFoundError` for any other."""
        reference = self._meant(name)
        with self._lock:
            held = self._held.pop(name, None)
            if held is None or not held.served.is_current():
                served = Served(Viewed(self._opened(name, reference)))
            else:
                served = held.served
            about = about_of(self._store, reference, served.viewed.dataset)
            self._held[name] = Found(served, about)
            while len(self._held) > OPEN:
                self._held.popitem(last=False)
            return self._held[name]

    def again(self, name: str) -> Found:
        """The version as it was found last; `NotFoundError` if it went away since."""
        with self._lock:
            held = self._held.get(name)
        if held is not None and not held.served.is_current():
            raise NotFoundError(f"{name} was moved or replaced since this page was opened.")
        return held or self.find(name)

    def ahead(self) -> None:
        """Open what is looked at first, the newest versions, before anybody asks."""
        newest = []
        for name in self._store.datasets():
            for number in self._store.shelf(name).live()[-1:]:
                folder = self._store.shelf(name).path(number)
                newest.append((folder.stat().st_mtime, f"{name}@v{number}"))
        for _, name in sorted(newest)[-AHEAD:]:
            self.find(name).served.table()

    def mark(self, name: str, file: MarksFile) -> int:
        """Write marks down; raises what `check_marks` and `mark_episodes` do."""
        found, reference = self.find(name), self._meant(name)
        dataset = found.served.viewed.dataset
        check_marks(file, dataset, name=reference, where="marks")
        told = reference if name == ONLY else name
        return mark_episodes(self._store.reviews, file.marks.values(), name=told)

    def overview(self) -> tuple[str, str]:
        """The name of the only version, or the first page."""
        if self.only:
            return self.only, ""
        lines = version_lines(self._store, self._store.datasets())
        rows = [it | {"told": told_marks(it)} for it in lines]
        return "", overview(str(self._store.root), rows)

    def _opened(self, name: str, reference: str) -> Dataset:
        try:
            return look(self._store, reference)
        except NotFoundError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise  # only the archive has it, and that is said
            raise NotFoundError(f"There is no version {name} here.") from error
        except CorruptionError as error:
            raise CorruptionError(
                f"{name} is damaged and cannot be shown: 'trajstore verify {name}' says where "
                f"({error})"
            ) from error

    def _meant(self, name: str) -> str:
        if self.only and self._reference is not None:
            if name == self.only:
                return self._reference
        elif parse_reference(name).version is not None and not parse_reference(name).archived:
            return name
        raise NotFoundError(f"No version of the name {brief(name)} is served here.")


@command(
    "trajstore serve",
    "trajstore serve expert@v3 --no-open",
    "trajstore serve --host 0.0.0.0 --port 8400 --name store.example.org",
    short_help="Look at the store in a browser, and mark episodes.",
)
@click.argument("reference", metavar="[REF]", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port; 0 for any that is free.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Another name of this machine that browsers use; may be repeated. Its addresses, "
    "localhost and its own name are known.",
)
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
def serve(  # noqa: PLR0913 - a command's
    store: Store, /, reference: str | None, *, host: str, port: int, names: tuple[str, ...],
    no_open: bool, as_json: bool,
) -> int:  # fmt: skip
    """Serve pages of the whole store, or of the version REF, until Ctrl-C.

    Episodes are loaded when they are looked at. Who reaches the port may look; to mark episodes
    takes the token in the link that is printed. Only this machine reaches it unless --host says
    otherwise; from another one a tunnel is enough: ssh -L 8350:localhost:8350 MACHINE.
    """
    check_there(store)
    library = Library(store, reference)
    try:
        from trajstore.playback.server import Shown, listen
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"serve: needs the package {error.name!r}: pip install 'trajstore[serve]'"
        ) from error
    token = secrets.token_urlsafe(18)
    hosts = frozenset({host.lower(), *(it.lower() for it in names)})
    shown = Shown(library.find, library.again, library.overview, library.mark, failed, token, hosts)
    server = listen(shown, host, port)
    if reference is None:
        threading.Thread(target=_read_ahead, args=(library,), daemon=True).start()
    shown_host = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    shown_host = f"[{shown_host}]" if ":" in shown_host else shown_host
    address = f"http://{shown_host}:{server.port}/" + (f"v/{library.only}/" if library.only else "")
    link = f"{address}#token={token}"
    with _until_told(server):  # before anybody is told that it can be ended
        if as_json:
            print_json({"address": address, "link": link, "port": server.port, "token": token})
        else:
            print_line(f"to look: {plain(address)}")
            print_line(f"to mark: {plain(link)}")
            print_line("Ctrl-C ends it")
        sys.stdout.flush()
        if not no_open and not as_json:
            with suppress(webbrowser.Error):
                webbrowser.open(link)
        server.serve_forever(poll_interval=0.1)
    return 0


def failed(error: Exception) -> str:
    """Say on stderr what was not foreseen, and return it."""
    told(error, complain)
    return f"The program failed: {words(error)}"


def _read_ahead(library: Library) -> None:
    with suppress(TrajStoreError, OSError):  # whoever looks at it is told
        library.ahead()


@contextmanager
def _until_told(server: BaseServer) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the server after what it is at."""

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    usual = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
