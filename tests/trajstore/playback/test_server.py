"""The server answers its own pages alone, writes only for the token, and names no file."""

import gzip
import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import factories
from tests.trajstore import scenes
from trajstore.choosing.marks import Mark
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.lifecycle import review
from trajstore.quality.marks import mark_episodes, reviewed_marks
from trajstore.recording.bulk import write_dataset
from trajstore.store import Store
from trajstore.version.manifest import Status

pytest.importorskip("werkzeug", reason="werkzeug is not installed")
from trajstore.cli.serve import Library, failed
from trajstore.playback.channels import channels_of, pack
from trajstore.playback.server import LARGEST_BODY, Shown, listen

TOKEN = "t0ken"


class Asker:
    """A client of one server, which sends what it is told and nothing else."""

    def __init__(self, port: int, store: Store) -> None:
        self.port, self.store = port, store

    def ask(
        self, path: str, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, sent, names)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def json(self, path: str) -> Any:
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def digests(self) -> list[str]:
        found: list[str] = Dataset.open(self.store.path("expert@v1")).episodes["digest"].tolist()
        return found

    def marks(self, *marks: dict[str, Any], **change: Any) -> dict[str, Any]:
        digest = Dataset.open(self.store.path("expert@v1")).manifest.content_digest
        record = {"format_version": 1, "dataset": "expert@v1", "content_digest": digest}
        return record | {"marks": list(marks)} | change

    def post(self, body: object, *, at: str = "expert@v1", **headers: str) -> tuple[int, Any]:
        headers = {"Content_Type": "application/json", "X_Trajstore_Token": TOKEN} | headers
        status, _, answer = self.ask(f"/v/{at}/marks", "POST", body, **headers)
        return status, json.loads(answer)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served") / "store"
    scenes.dataset(root / "expert/v1", 12)
    factories.dataset(root / "plain/v1", count=5, schema=factories.WIDE_SCHEMA)
    return root


def serving(store: Store, reference: str | None = None) -> Iterator[Asker]:
    library = Library(store, reference)
    shown = Shown(library.find, library.again, library.overview, library.mark, failed, TOKEN)
    server = listen(shown, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Asker(server.port, store)
    server.shutdown()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def server(made: Path, tmp_path: Path) -> Iterator[Asker]:
    yield from serving(Store(made, reviews=tmp_path / "reviews.json"))


def payload_of(html: bytes, name: str) -> Any:
    _, _, rest = html.decode().partition(f'id="{name}">')
    return json.loads(rest.partition("</script>")[0])


def test_a_page_holds_all_rows_and_no_episode(server: Asker) -> None:
    status, headers, html = server.ask("/v/expert@v1/")
    assert status == 200
    assert "connect-src 'self'" in html.decode()
    assert headers["X-Frame-Options"] == "DENY"
    table, record = payload_of(html, "table"), payload_of(html, "payload")
    dataset = Dataset.open(server.store.path("expert@v1"))
    columns = table["episodes"]
    assert columns["steps"] == dataset.lengths.tolist()
    assert columns["digest"] == server.digests()
    rewards = [round(float(it.arrays["reward"].sum(dtype=np.float64)), 6) for it in dataset]
    assert columns["return"] == rewards
    least = [round(float(it.arrays["clearance"].min()), 6) for it in dataset]
    assert columns["min_clearance"] == least
    assert {len(column) for column in columns.values()} == {12}
    assert {field["name"] for field in table["fields"]} >= {"return", "outcome", "seed"}
    side = record["sides"][0]
    assert (side["name"], side["version"], side["status"]) == ("expert", "v1", "draft")
    packed = server.ask("/v/expert@v1/", Accept_Encoding="gzip")
    assert packed[1]["Content-Encoding"] == "gzip"
    assert payload_of(gzip.decompress(packed[2]), "table") == table


@pytest.fixture
def takes(tmp_path: Path) -> Iterator[Asker]:
    """A store with ``arm@v1``, whose episodes have a success and no outcome."""
    success = FieldSpec("success", Axis.EPISODE, (), "bool")
    schema = EpisodeSchema((*factories.SCHEMA.fields, success))
    episodes = [
        Episode(schema, {**factories.episode(seed).arrays, "success": np.array(seed != 1)})
        for seed in range(3)
    ]
    write_dataset(tmp_path / "store/arm/v1", episodes, schema=schema, provenance={})
    yield from serving(Store(tmp_path / "store"))


def test_success_is_the_outcome_where_none_is_recorded(takes: Asker) -> None:
    expected = ["success", "failed", "success"]
    table = payload_of(takes.ask("/v/arm@v1/")[2], "table")
    assert table["episodes"]["outcome"] == expected
    rows = [takes.json(f"/v/arm@v1/episodes/{index}")["row"] for index in range(3)]
    assert [row["outcome"] for row in rows] == expected


def test_an_episode_is_that_of_a_page(server: Asker) -> None:
    found = server.json("/v/expert@v1/episodes/4")
    dataset = Dataset.open(server.store.path("expert@v1"))
    manifest = dataset.manifest
    channels = channels_of(manifest.schema, manifest.statistics)
    assert found["numbers"] == pack(dataset[4].arrays, channels, int(dataset.lengths[4]))
    assert found["row"]["digest"] == dataset[4].digest
    assert found["row"]["outcome"] == "collision_pedestrian"
    assert len(found["row"]["walls"]) == 4
    assert all(not fact["differs"] for fact in found["row"]["facts"])


def test_cameras_come_in_strips(server: Asker) -> None:
    image = pytest.importorskip("PIL.Image")
    import io
    import struct

    film = server.json("/v/plain@v1/episodes/1")["row"]["film"]
    [camera] = film["cameras"]
    recorded = Dataset.open(server.store.path("plain@v1"))[1].arrays["camera/grid"]
    assert (camera["name"], camera["frames"]) == ("camera/grid", len(recorded))
    _, _, data = server.ask("/v/plain@v1/episodes/1/cameras/0/16")
    (count,) = struct.unpack_from("<I", data)
    sizes = struct.unpack_from(f"<{count}I", data, 4)
    assert count == min(16, len(recorded) - 16)
    at = 4 + 4 * count
    for size, row in zip(sizes, recorded[16 : 16 + count], strict=True):
        picture = np.asarray(image.open(io.BytesIO(data[at : at + size])).convert("L"))
        assert np.array_equal(picture, row), "a small picture is sent as it is"
        at += size
    assert at == len(data)


def test_marks_are_written_at_once_and_the_page_begins_with_them(server: Asker) -> None:
    own = server.digests()
    first = {"episode": own[2], "mark": "exclude", "tags": ["blurred"], "note": "look"}
    assert server.post(server.marks(first)) == (200, {"changed": 1})
    assert server.post(server.marks(first)) == (200, {"changed": 0})
    assert reviewed_marks(server.store.reviews)[own[2]] == Mark(
        own[2], "exclude", ("blurred",), "look"
    )
    assert '"version":"expert@v1"' in server.store.reviews.read_text()
    mark_episodes(server.store.reviews, [Mark(own[5], "keep")])
    told = server.json("/v/expert@v1/marks")["marks"]
    assert {it["episode"]: it["mark"] for it in told} == {own[2]: "exclude", own[5]: "keep"}
    record = payload_of(server.ask("/v/expert@v1/")[2], "payload")
    assert sorted(record["sides"][0]["marks"], key=str) == sorted(told, key=str)


def test_marks_that_are_not_right_change_nothing(server: Asker) -> None:
    own = server.digests()
    right = server.marks({"episode": own[0], "mark": "keep", "tags": [], "note": ""})
    for body, status, words in (
        (b"{", 400, "marks"),
        (b'{"a": 1, "a": 2}', 400, "marks"),
        (b"[]", 400, "expected marks"),
        (b"\xff\xfe", 400, "marks"),
        (right | {"format_version": 9}, 400, "expected marks of format 1"),
        (right | {"content_digest": "1" * 64}, 400, "(111111111111), not of expert@v1 ("),
        (
            server.marks({"episode": "1" * 64, "mark": "keep"}),
            404,
            "name no episode of expert@v1, such",
        ),
        (server.marks({"episode": own[0], "mark": "no"}), 400, "expected marks"),
    ):
        got, answer = server.post(body)
        assert got == status, answer
        assert words in answer["error"]
    for headers in (
        {"X_Trajstore_Token": "t0keN"},
        {"X_Trajstore_Token": ""},
        {"X_Trajstore_Token": "\xff"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ):
        status, answer = server.post(right, **headers)
        assert status in (403, 415), (headers, answer)
    status, answer = server.post(b"x" * (LARGEST_BODY + 1))
    assert status in (400, 413), answer
    assert not server.store.reviews.exists()


@pytest.mark.parametrize(
    "path",
    [
        *("/v/../reviews.json", "/v/..%2freviews.json/", "/v/%2e%2e/", "/../../etc/passwd"),
        *(
            "//etc/passwd",
            "/v//etc/passwd/",
            "/v/expert@v1/../../store/",
            "/v/expert@v1/manifest.json",
        ),
        *("/v/expert/", "/v/expert@latest/", "/v/archive:expert@v1/", "/v/s3:%2f%2fbucket%2fx/"),
        *("/v/expert@v9/", "/v/nobody@v1/", "/v/expert@v1%00/", "/v/expert@v1/episodes/12"),
        *("/v/expert@v1/episodes/-1", "/v/expert@v1/episodes/99999999999999999999"),
        *("/v/expert@v1/episodes/0/cameras/0/0", "/v/plain@v1/episodes/0/cameras/0/99", "/x"),
        "/v/" + "a" * 5000 + "/",
    ],
)
def test_no_path_leads_to_a_file(server: Asker, path: str) -> None:
    status, _, body = server.ask(path)
    assert status == 404, body
    assert set(json.loads(body)) == {"error"}


def test_only_what_a_browser_sends_for_this_page_is_answered(server: Asker) -> None:
    page = "/v/expert@v1/"
    for headers, expected in (
        ({}, 200),
        ({"Host": "localhost:9000"}, 200),
        ({"Host": "192.168.1.7:8350"}, 200),
        ({"Host": "[::1]:8350"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}, 200),
    ):
        status, sent, _ = server.ask(page, **headers)
        assert status == expected, headers
        assert not any(name.lower().startswith("access-control") for name in sent)
    for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "POST"):
        assert server.ask(page, method)[0] in (403, 405)
    assert server.ask(page, "HEAD")[2] == b""


def test_the_first_page_shows_every_version_with_its_status(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "data/store"
    shutil.copytree(made / "expert", root / "expert")
    shutil.copytree(root / "expert/v1", root / "expert/v2")
    (root / "expert/v2/manifest.json").write_text("{}")
    shutil.copytree(made / "plain", root / "plain")
    store = Store(root)
    digest = Dataset.open(root / "expert/v1").manifest.content_digest
    review(store.reviews, digest, Status.QUARANTINED, reason="<b>bad</b>")
    for server in serving(store):
        html = server.ask("/")[2].decode()
        assert "quarantined" in html
        assert "damaged" in html
        assert 'href="/v/expert@v1/"' in html
        assert 'href="/v/expert@v2/"' not in html
        status, _, body = server.ask("/v/expert@v2/")
        assert (status, b"error" in body) == (500, True)
        shown = payload_of(server.ask("/v/expert@v1/")[2], "payload")["sides"][0]
        assert shown["status"] == "quarantined"
        assert any("<b>bad</b>" in text for _, text in shown["notices"])


def test_a_damaged_version_shows_what_can_be_read(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "data/store"
    shutil.copytree(made / "expert", root / "expert")
    [chunk] = root.glob("expert/v1/step/reward/c.*")
    chunk.write_bytes(chunk.read_bytes()[:-9])
    for server in serving(Store(root)):
        html = server.ask("/v/expert@v1/")[2]
        table, record = payload_of(html, "table"), payload_of(html, "payload")
        assert table["episodes"]["return"] == [None] * 12
        assert any("reward" in text for _, text in record["sides"][0]["notices"])
        episode = server.json("/v/expert@v1/episodes/3")
        assert episode["numbers"]
        assert any(it["recomputed"] == "cannot be read" for it in episode["row"]["facts"])


def test_one_version_is_all_that_is_served(made: Path, tmp_path: Path) -> None:
    store = Store(made, reviews=tmp_path / "reviews.json")
    for server in serving(store, "expert@latest"):
        status, headers, _ = server.ask("/")
        assert (status, headers["Location"]) == (302, "/v/expert@v1/")
        assert server.ask("/v/expert@v1/")[0] == 200
        assert server.ask("/v/plain@v1/")[0] == 404
    for server in serving(store, str(made / "plain/v1")):
        assert server.ask("/")[1]["Location"] == "/v/plain@v1/"


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_who_reads_gets_a_page_in_place_of_an_error(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "data/store"
    shutil.copytree(made / "expert", root / "expert")
    shutil.copytree(root / "expert/v1", root / "expert/v2")
    (root / "expert/v2/manifest.json").write_text("{}")
    for server in serving(Store(root)):
        for path, status, words in (
            ("/v/expert@v9/", 404, "There is no version expert@v9 here."),
            ("/v/nobody@v1/", 404, "There is no version nobody@v1 here."),
            ("/v/%3Cb%3E/", 404, "&lt;b&gt;"),
            ("/x", 404, "There is no such page."),
            ("/v/expert@v2/", 500, "trajstore verify"),
        ):
            got, headers, body = server.ask(path, Accept=BROWSER)
            assert (got, headers["Content-Type"]) == (status, "text/html; charset=utf-8"), path
            assert words in body.decode()
            assert 'href="/"' in body.decode()
            assert "Traceback" not in body.decode()


def test_a_version_that_goes_away_is_said(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "data/store"
    shutil.copytree(made / "expert", root / "expert")
    for server in serving(Store(root)):
        assert server.ask("/v/expert@v1/")[0] == 200
        assert server.ask("/v/expert@v1/episodes/2")[0] == 200
        (root / "expert/v1").rename(root / "expert/v3")
        for path in ("/v/expert@v1/episodes/2", "/v/expert@v1/episodes/5"):
            status, _, body = server.ask(path)
            assert status == 404
            assert "was moved or replaced since this page was opened" in body.decode()
        assert server.ask("/v/expert@v1/", Accept=BROWSER)[0] == 404
        assert server.ask("/v/expert@v3/")[0] == 200


def test_what_nobody_foresaw_is_one_line_and_the_server_goes_on(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for server in serving(Store(made, reviews=tmp_path / "reviews.json")):
        with monkeypatch.context() as patched:
            patched.setattr("trajstore.cli.serve.version_lines", lambda *_: {}["x"])
            status, _, body = server.ask("/", Accept=BROWSER)
        assert (status, b"The program failed" in body) == (500, True)
        assert server.ask("/")[0] == 200
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "KeyError" in told


def test_versions_are_opened_before_anybody_asks(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(Store(made, reviews=tmp_path / "reviews.json"), None)
    library.ahead()
    monkeypatch.setattr("trajstore.cli.serve.Served", None)
    for name in ("expert@v1", "plain@v1"):
        assert library.find(name).served.table().startswith('{"episodes"')
