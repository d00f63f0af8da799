"""The server of ``trajstore serve``: pages that load what is looked at, and marks that are written.

Whoever reaches the port may look. Marks need the token. A page of another origin reaches nothing: a
request is answered only under a name of this machine, and one that a browser sends for another site
is refused, so neither a rebound name nor a foreign form gets through. No path leads to a file.
"""

import gzip
import hmac
import json
import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from trajstore.choosing.marks import marks_from
from trajstore.disk.json_text import parse_json
from trajstore.errors import (
    ArgumentError,
    CorruptionError,
    LockedError,
    NameRefusedError,
    NotFoundError,
    StorageError,
    TrajStoreError,
)
from trajstore.playback import page
from trajstore.playback.overview import apology
from trajstore.playback.payload import plain
from trajstore.playback.served import STRIP, Found

TOKEN = "X-Trajstore-Token"
LARGEST_BODY = 32 * 2**20
SMALLEST_PACKED = 2048
"""Bytes from which an answer is packed for a reader that takes it so."""
IDLE_SECONDS = 30
STATUS = {ArgumentError: 400, NameRefusedError: 404, NotFoundError: 404, LockedError: 409}
REMEDY = {
    403: "Open the link that 'trajstore serve' printed.",
    404: "It may be archived, renamed or removed, or the link may be wrong.",
    409: "Try again in a moment.",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server shows.

    Attributes:
        find: opens a version by its name in an address, such as ``expert@v3``; raises
            `TrajStoreError` if there is none.
        again: the same, but as it was found last, if it was.
        overview: the first page, as HTML; or the name of the only version there is.
        mark: writes marks of a file of marks down; returns how many changed.
        failed: says in one line why something went wrong that was not foreseen.
        token: that allows to write.
        hosts: names under which requests may come, besides those of this machine.
    """

    find: Callable[[str], Found]
    again: Callable[[str], Found]
    overview: Callable[[], tuple[str, str]]
    mark: Callable[[str, Any], int]
    failed: Callable[[Exception], str]
    token: str
    hosts: frozenset[str] = field(default_factory=frozenset)


class Application:
    """The answers, as a WSGI application."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._hosts = {"localhost", socket.gethostname().lower(), *shown.hosts}
        at = "/v/<name>"
        self._routes = Map(
            [
                Rule("/", endpoint=self._overview, methods=["GET"]),
                Rule(f"{at}/", endpoint=self._page, methods=["GET"]),
                Rule(f"{at}/table", endpoint=self._table, methods=["GET"]),
                Rule(f"{at}/marks", endpoint=self._marks, methods=["GET"]),
                Rule(f"{at}/marks", endpoint=self._mark, methods=["POST"]),
                Rule(f"{at}/episodes/<int:index>", endpoint=self._episode, methods=["GET"]),
                Rule(
                    f"{at}/episodes/<int:index>/cameras/<int:camera>/<int:first>",
                    endpoint=self._strip,
                    methods=["GET"],
                ),
            ],
            merge_slashes=False,
        )

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 - WSGI
        """Answer one request."""
        request = Request(environ)
        request.max_content_length = LARGEST_BODY
        answer = self._answer(request)
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        return _packed(request, answer)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        told = partial(_told, request)
        refused = self._refusal(request)
        if refused:
            return told(refused, 403)
        try:
            endpoint, values = self._routes.bind_to_environ(request.environ).match()
            answer: Response = endpoint(request, **values)
        except MethodNotAllowed as error:
            answer = told("this address does not take that method", 405)
            answer.headers["Allow"] = ", ".join(error.valid_methods or ())
        except NotFound:
            answer = told("There is no such page.", 404)
        except HTTPException as error:
            answer = told(error.description or error.name, error.code or 400)
            location = dict(error.get_headers()).get("Location")
            if location:
                answer.headers["Location"] = location
        except TrajStoreError as error:
            answer = told(str(error), _status(error))
        except Exception as error:  # noqa: BLE001 - told in a line, and the others are served
            answer = told(self._shown.failed(error), 500)
        return answer

    def _refusal(self, request: Request) -> str:
        """Why a request is not answered: it came for another site, or under another's name."""
        if not self._is_own(_name_of(request.environ.get("HTTP_HOST", ""))):
            return "this server answers only to names of its machine; see 'trajstore serve --name'"
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        if origin is not None and origin.lower() != f"{request.scheme}://{request.host}".lower():
            return "refused: the request comes from another origin than this page"
        looks = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in ("none", "same-origin") and not looks:
            return "refused: the request comes from another site than this page"
        return ""

    def _is_own(self, host: str) -> bool:
        if host in self._hosts:
            return True
        try:
            ip_address(host)
        except ValueError:
            return False
        return True  # an address is no name that could be made to lead here

    def _overview(self, request: Request) -> Response:
        only, html = self._shown.overview()
        if only:
            return Response(status=302, headers={"Location": f"/v/{only}/"})
        return Response(html, mimetype="text/html")

    def _page(self, request: Request, name: str) -> Response:
        found = self._shown.find(name)
        served, about = found.served, found.about
        title = f"{about.name} {about.version}".strip()
        record = {
            "title": title,
            "sides": [served.record(about)],
            "pairs": None,
            "open": None,
            "speed": 1.0,
            "at": f"/v/{name}",
            "strip": STRIP,
        }
        table = f'<script type="application/json" id="table">{served.table()}</script>'
        return Response(page.filled(title, record, table, source="served"), mimetype="text/html")

    def _table(self, request: Request, name: str) -> Response:
        return Response(self._shown.again(name).served.table(), mimetype="application/json")

    def _episode(self, request: Request, name: str, index: int) -> Response:
        found = self._shown.again(name)
        return _json(found.served.episode(index, found.about))

    def _strip(self, request: Request, name: str, index: int, camera: int, first: int) -> Response:
        try:
            many = 1 if "alone" in request.args else STRIP
            pictures = self._shown.again(name).served.strip(index, camera, first, many)
        except ModuleNotFoundError as error:
            missing = f"needs the package {error.name!r}: pip install 'trajstore[serve]'"
            return _told(request, missing, 501)
        head = struct.pack(f"<{len(pictures) + 1}I", len(pictures), *map(len, pictures))
        answer = Response(head + b"".join(pictures), mimetype="application/octet-stream")
        answer.headers["Cache-Control"] = "private, max-age=3600"
        return answer

    def _marks(self, request: Request, name: str) -> Response:
        return _json({"marks": list(self._shown.find(name).about.marks)})

    def _mark(self, request: Request, name: str) -> Response:
        told = request.headers.get(TOKEN, "")
        if not hmac.compare_digest(told.encode(), self._shown.token.encode()):
            return _told(
                request, "marking needs the token: open the link 'to mark' that was printed", 403
            )
        if request.mimetype != "application/json" or request.content_length is None:
            return _told(request, "expected JSON of a known length", 415)
        try:
            file = marks_from(parse_json(request.get_data(), "marks"), "marks")
        except CorruptionError as error:
            return _told(request, str(error), 400)
        return _json({"changed": self._shown.mark(name, file)})


class _Handler(WSGIRequestHandler):
    """Says nothing of requests, and does not wait for ever for one."""

    timeout = IDLE_SECONDS
    server_version, sys_version = "trajstore", ""

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass

    def version_string(self) -> str:
        return "trajstore"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: ANN401 - theirs
        pass


def listen(shown: Shown, host: str, port: int) -> BaseWSGIServer:
    """A server that listens already, and answers once ``serve_forever`` runs.

    Raises:
        StorageError: if the port is taken, or the host is none of this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(128)
            server = make_server(
                host, bound.getsockname()[1], Application(shown), threaded=True,
                request_handler=_Handler, fd=bound.fileno(),
            )  # fmt: skip
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise StorageError(
            f"{host}:{port}: cannot be used: {why}; name another port with --port, or --port 0 "
            "for any that is free"
        ) from error
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server


def _name_of(host: str) -> str:
    """The name in a ``Host``, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _status(error: TrajStoreError) -> int:
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


def _told(request: Request, words: str, status: int) -> Response:
    """What went wrong: a page for whoever reads it in a browser, JSON for a page's script."""
    words = " ".join(words.split())
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return Response(apology(words, REMEDY.get(status, "")), status, mimetype="text/html")
    answer = _json({"error": words})
    answer.status_code = status
    return answer


def _json(record: object) -> Response:
    text = json.dumps(plain(record), separators=(",", ":"), allow_nan=False)
    return Response(text, mimetype="application/json")


def _packed(request: Request, answer: Response) -> Response:
    kept = answer.mimetype in ("text/html", "application/json")
    data = answer.get_data()
    if kept and len(data) > SMALLEST_PACKED and request.accept_encodings["gzip"]:
        answer.set_data(gzip.compress(data, 1))
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Vary"] = "Accept-Encoding"
    return answer
