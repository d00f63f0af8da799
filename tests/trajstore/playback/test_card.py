"""A card tells what a version is; whatever stands in the data stays text in it."""

import hashlib
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from markdown_it import MarkdownIt

from tests import factories
from tests.trajstore import scenes
from tests.trajstore.faults import count_operations, killed_at
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.episode.texts import legible
from trajstore.errors import ArgumentError, CorruptionError, SealedError
from trajstore.lifecycle import judge, review
from trajstore.playback.card import Card, card_of
from trajstore.playback.card_files import write_card
from trajstore.playback.card_page import page
from trajstore.playback.croissant import croissant
from trajstore.quality import reviews as reviews_of
from trajstore.quality.contract import Contract
from trajstore.recording.bulk import write_dataset
from trajstore.store import Store
from trajstore.version.manifest import Status

SAID = {
    "license": "CC-BY-4.0",
    "citation": "Doe, J.: Walks (2026)",
    "authors": ["Jo Doe", "Kim"],
    "description": "A robot crosses a room.",
    "date_published": "2026-11-01",
}
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- hidden",
    "--> <b>bold</b>",
    "</table></div>",
    "<a href='javascript:alert(1)'>x</a>",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "[x]: http://evil.example 'x'",
    "<http://evil.example>",
    "http://evil.example/a",
    "www.evil.example",
    "mail@evil.example",
    "@everyone",
    "#1 and owner/repo#2",
    "# heading",
    "- list",
    "1. list",
    "> quote",
    "---",
    "===",
    "a | b | c",
    "a \\| b",
    "\\",
    "\\\\|",
    "`code` ``",
    "```\nfence",
    "~~~",
    "~~struck~~",
    "**bold** __bold__ _it_ *it*",
    "line\nnext",
    "line\r\n\r\n# heading",
    "tab\tx",
    "\x1b[2J\x1b]0;x\x07",
    "\u202egnp.exe",
    "\u2028# heading",
    "$x$ $$y$$",
    ":smile:",
    "{{ site.secret }} {% include x %}",
    "<!DOCTYPE html>",
    "<![CDATA[ x ]]>",
    "<?php x ?>",
    "*[x]: y",
    "[^1]",
    '"} , "@id": "x"',
    '"@context": "http://evil.example"',
    "\u0000nul".replace("\x00", ""),
    "x" * 4_000,
    "'; import os; os.system('x') #",
    "= 1 + 1",
    " ",
)
CROISSANT = {
    "type": "object",
    "required": [
        "@context",
        "@type",
        "conformsTo",
        "name",
        "description",
        "distribution",
        "recordSet",
    ],
    "properties": {
        "@type": {"const": "sc:Dataset"},
        "conformsTo": {"const": "http://mlcommons.org/croissant/1.1"},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "license": {"type": ["string", "array"], "items": {"type": "string"}},
        "citeAs": {"type": "string"},
        "url": {"type": "string", "pattern": "^https?://"},
        "distribution": {
            "items": {
                "required": ["@type", "@id", "name", "encodingFormat"],
                "oneOf": [
                    {
                        "properties": {
                            "@type": {"const": "cr:FileObject"},
                            "sha256": {"pattern": "^[0-9a-f]{64}$"},
                            "contentSize": {"pattern": "^[0-9]+ B$"},
                        },
                        "required": ["sha256", "contentUrl", "contentSize"],
                    },
                    {"properties": {"@type": {"const": "cr:FileSet"}}, "required": ["includes"]},
                ],
            }
        },
        "recordSet": {
            "items": {
                "required": ["@type", "@id", "name", "field", "data"],
                "properties": {"@type": {"const": "cr:RecordSet"}, "data": {"minItems": 1}},
            }
        },
    },
}


class Tags(HTMLParser):
    """Elements, their attributes, and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.told: list[str] = []
        self.others: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[f"{tag} {sorted(attrs)}"] += 1

    def handle_data(self, data: str) -> None:
        self.told.append(data)

    def handle_comment(self, data: str) -> None:
        if data != " ":  # which keeps an address from becoming a link
            self.others.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def shown(text: str) -> Tags:
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    return Tags(html)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    provenance = {**scenes.PROVENANCE, **SAID}
    scenes.dataset(tmp_path / "data" / "store" / "nav" / "v3", 6, provenance=provenance)
    return Store(tmp_path / "data" / "store")


def opened(store: Store, reference: str = "nav@v3") -> Card:
    return card_of(store, store.open(reference, purpose="inspection"))


def test_a_card_has_the_facts_of_its_version(store: Store, tmp_path: Path) -> None:
    judge(store.path("nav@v3"), Contract(minimum_episodes=1))
    digest = store.open("nav@v3").manifest.content_digest
    review(store.reviews, digest, Status.QUARANTINED, reason="walls are wrong", name="nav@v3")
    card = opened(store)
    text = "".join(shown(page(card)).told)
    for fact in (
        *("nav@v3", "6 episodes", "17 fields", "quarantined", "walls are wrong", "checks"),
        *("m/s, rad/s", "no limit to 10", "crowd_navigation/high", "collision_pedestrian"),
        *("CC-BY-4.0", "Doe, J.: Walks (2026)", "Jo Doe; Kim", "A robot crosses a room."),
        *("policy.id", "environment.config.dt", digest, "Dataset.open('v3')", "2026-11-01"),
    ):
        assert fact in text, fact
    assert str(tmp_path) not in page(card), "a path of this machine"
    assert write_card(card, tmp_path / "card").keys() == {
        "README.md",
        "croissant.json",
        "episode.png",
    }
    assert (tmp_path / "card" / "episode.png").read_bytes()[:4] == b"\x89PNG"
    assert page(opened(store)) == page(card)
    assert opened(store).picture == card.picture


def test_croissant_describes_the_files_as_they_were_sealed(store: Store) -> None:
    card = opened(store)
    record = json.loads(croissant(card))
    jsonschema.validate(record, CROISSANT)
    listed = {it["@id"]: it for it in record["distribution"] if it["@type"] == "cr:FileObject"}
    folder = store.path("nav@v3")
    assert set(listed) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    for path, it in listed.items():
        content = (folder / path).read_bytes()
        assert it["sha256"] == hashlib.sha256(content).hexdigest()
        assert it["contentSize"] == f"{len(content)} B"
        assert it["contentUrl"] == f"v3/{path}"
    for files in (it for it in record["distribution"] if it["@type"] == "cr:FileSet"):
        found = [path for glob in files["includes"] for path in folder.parent.glob(glob)]
        assert found, files["@id"]
        assert all(path.relative_to(folder).as_posix() in listed for path in found)
    sets = {it["@id"]: it["data"] for it in record["recordSet"]}
    assert [row["fields/name"] for row in sets["fields"]] == list(scenes.SCHEMA.names)
    assert sum(row["scenarios/episodes"] for row in sets["scenarios"]) == 6
    assert [row["episodes/digest"] for row in sets["episodes"]] == [
        episode.digest for episode in card.dataset
    ]
    ids = [it["@id"] for kind in ("distribution", "recordSet") for it in record[kind]]
    assert len(ids) == len(set(ids))
    assert (record["license"], record["version"]) == ("CC-BY-4.0", "3.0.0")
    assert "cannot describe" in record["description"]


def test_parts_of_an_extended_version_are_all_in_the_sets_of_files(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for base, first in ((None, 0), ("expert@v1", 5)):
        with store.record(
            "expert", schema=factories.SCHEMA, provenance={}, extends=base
        ) as recorder:
            for episode in factories.episodes(3, seed=first):
                recorder.add(episode)
    record = json.loads(croissant(opened(store, "expert@v2")))
    (files,) = [it for it in record["distribution"] if it["@id"] == "files-of/action"]
    assert files["includes"] == ["v2/step/action/c.*", "v2/parts/1/step/action/c.*"]


def hostile(target: Path, text: str) -> None:
    """A version that has a text wherever it may have one."""
    word = text.replace("\x00", "")
    line = legible(word)[:2_000] or " "
    schema = EpisodeSchema(
        (
            *(it for it in factories.SCHEMA.fields if it.name != "reward"),
            FieldSpec("reward", Axis.STEP, (), "float32", unit=line, description=line),
            FieldSpec("outcome", Axis.EPISODE, (), "str"),
        )
    )
    arrays = factories.arrays(1) | {
        "scenario": np.array(word[:900]),
        "outcome": np.array(word[:900]),
    }
    arrays = {name: arrays[name] for name in schema.names}
    episode = type(factories.episode(1))(schema, arrays)
    parent = {"reference": word, "content_digest": word, "episodes": 3, "taken": 2}
    curation = {"how": word, "parents": [parent], "criterion": {"where": word}, "reason": word}
    said = dict.fromkeys(SAID, word) | {"authors": [word, f"{word}2"]}
    provenance = {word or "-": word, "list": [word], "curation": curation, **said}
    write_dataset(target, [episode], schema=schema, provenance=provenance)


def judged(folder: Path, word: str) -> Card:
    """The card of such a version, checked and reviewed with that text."""
    hostile(folder / "expert" / "v1", word)
    judge(folder / "expert" / "v1", Contract(minimum_episodes=1))
    store = Store(folder, reviews=folder / "reviews.json")
    dataset = store.open("expert@v1", purpose="inspection")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reviews_of, "user", lambda: word)
        digest, reason = dataset.manifest.content_digest, word.strip() or "-"
        review(store.reviews, digest, Status.QUARANTINED, reason=reason, name=word)
    return card_of(store, dataset)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return judged(tmp_path_factory.mktemp("plain"), "plain")


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_texts_of_others_stay_texts(plain: Card, tmp_path: Path, text: str) -> None:
    card = judged(tmp_path, text)
    made, raw = page(card), croissant(card)
    told, record, good = shown(made), json.loads(raw), json.loads(croissant(plain))
    empty = not text.strip()  # then nothing is said of licence, authors, ...
    assert not any(ord(letter) < 32 and letter != "\n" for letter in made)
    assert not told.others
    assert empty or told.tags == shown(page(plain)).tags
    assert "a []" not in " ".join(told.tags)
    for mark in ("http://", "https://", "www.", "{{", "@", "```\nfence"):
        assert mark not in made.partition("\n")[2], mark
    assert empty or legible(text.strip())[:200] in "".join(told.told)
    jsonschema.validate(record, CROISSANT)
    assert record["@context"] == good["@context"]
    assert keys(record) == keys(good) or empty
    assert "<" not in raw


@pytest.mark.parametrize(
    "name", ["wal<b>k", "[x](y)", "a b", "{{x}}", "@x", "`x`", "a|b", "..x", "é"]
)
def test_the_name_of_a_folder_stays_text(plain: Card, tmp_path: Path, name: str) -> None:
    hostile(tmp_path / name, "plain")
    card = card_of(Store(tmp_path / "store"), Dataset.open(tmp_path / name))
    told, known = shown(page(card)), shown(page(plain))
    assert told.tags.keys() <= known.tags.keys()
    assert name in "".join(told.told)
    record = json.loads(croissant(card))
    jsonschema.validate(record, CROISSANT)
    links = [it["contentUrl"] for it in record["distribution"] if "contentUrl" in it]
    assert all(re.fullmatch(r"[\w./%-]+", link, re.A) for link in links)


def test_a_card_is_named_after_where_the_version_lies(store: Store, tmp_path: Path) -> None:
    scenes.dataset(tmp_path / "data" / "current" / "walks", 2)
    for where, name in (
        (store.path("nav@v3"), "nav@v3"),
        (f"file://{store.path('nav@v3')}", "nav@v3"),
        (tmp_path / "data" / "current" / "walks", "walks"),
    ):
        for root in (store.root, tmp_path / "elsewhere"):
            assert card_of(Store(root), Dataset.open(where)).name == name


def keys(value: Any) -> Any:
    """Names and types of a record, without its texts."""
    if isinstance(value, dict):
        return {key: keys(item) for key, item in value.items()}
    return [keys(item) for item in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("said", [
    {"license": {"@id": "http://evil.example", "@context": "http://evil.example"}},
    {"license": ["MIT", 7, None, ["x"]], "citation": 4},
    {"curation": 7}, {"curation": {"parents": 7}},
    {"curation": {"parents": [7, {"reference": {"@id": "x"}}]}}, {"authors": [{"name": "x"}]},
    {"environment": {"license": "secret"}, "packages": {"license": "0.1"}},
])  # fmt: skip
def test_a_provenance_of_another_shape_is_no_trouble(tmp_path: Path, said: dict[str, Any]) -> None:
    factories.dataset(tmp_path / "store" / "expert" / "v1", provenance=said)
    card = opened(Store(tmp_path / "store"), "expert@v1")
    record = json.loads(croissant(card))
    jsonschema.validate(record, CROISSANT)
    assert record.get("license") in (None, "MIT")
    assert "# expert" in page(card)


def test_licences_of_what_a_version_was_made_of_are_told(tmp_path: Path) -> None:
    counts = {"content_digest": "0" * 64, "episodes": 2, "taken": 1}
    parents = [
        {"reference": f"p@v{number}", "provenance": {"license": it}, **counts}
        for number, it in enumerate(("MIT", "CC0-1.0"))
    ]
    curation = {"how": "merge", "parents": parents, "criterion": {"where": "a < 1"}}
    factories.dataset(tmp_path / "store" / "both" / "v1", provenance={"curation": curation})
    card = opened(Store(tmp_path / "store"), "both@v1")
    text = "".join(shown(page(card)).told)
    assert "Licence: MIT; CC0-1.0" in text
    assert "p@v0 (000000000000): 1 of 2 episodes; not in this store" in text
    assert "a < 1" in text
    record = json.loads(croissant(card))
    assert record["license"] == ["MIT", "CC0-1.0"]
    assert [it["name"] for it in record["isBasedOn"]] == ["p@v0", "p@v1"]


def test_ancestry_is_followed_through_generations(store: Store, tmp_path: Path) -> None:
    store.select("nav@v3", name="few", episodes=[0, 1, 2, 4], reason="a <b> reason")
    store.select("few@v1", name="fewer", episodes=[0, 1, 3])
    card = opened(store, "fewer@v1")
    told = shown(page(card))
    text = "".join(told.told)
    assert "few@v1" in text
    assert "nav@v3" in text
    assert "a <b> reason" in text
    assert told.tags["ul []"] == 4, "generations, nested; licence; files"
    assert json.loads(croissant(card))["isBasedOn"][0]["name"] == "few@v1"
    assert card.said("licence") == ["CC-BY-4.0"]
    gaps = any(it.recorded for it in card.dataset.manifest.parts)
    assert ("were left out" in text) is gaps is ("were left out" in croissant(card))


def test_nothing_is_written_over_or_into_a_version(store: Store, tmp_path: Path) -> None:
    card, target = opened(store), tmp_path / "card"
    target.mkdir()
    (target / "README.md").write_text("mine")
    with pytest.raises(SealedError, match=r"README\.md: exists already; choose another folder"):
        write_card(card, target)
    assert [path.name for path in target.iterdir()] == ["README.md"]
    write_card(card, target, replace=True)
    assert "nav" in (target / "README.md").read_text()
    root, inside = str(store.root), str(store.path("nav@v3") / "card")
    assert run(["--store", root, "card", "nav@v3", "--out", inside]) == 2


def test_a_card_that_a_kill_cut_off_is_completed(store: Store, tmp_path: Path) -> None:
    card, target = opened(store), tmp_path / "card"

    def work(_: object) -> None:
        write_card(card, target)

    count = count_operations(lambda: work(None))
    whole = {it.name: it.read_bytes() for it in target.iterdir()}
    for number in range(1, count + 1):
        shutil.rmtree(target, ignore_errors=True)
        killed_at(number, "after", work)
        write_card(card, target)
        assert {it.name: it.read_bytes() for it in target.iterdir()} == whole


@pytest.mark.parametrize(
    "url", ["x", "javascript:alert(1)", "file:///etc", "http://é", "http://a\nb"]
)
def test_a_url_that_is_none_is_refused(store: Store, url: str) -> None:
    with pytest.raises(ArgumentError, match="url: must begin with http or https"):
        card_of(store, store.open("nav@v3"), url=url)


def test_a_damaged_version_has_no_card(store: Store, tmp_path: Path) -> None:
    (file,) = (store.path("nav@v3") / "index" / "length").glob("c.*")
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(CorruptionError):
        opened(store)
    assert run(["--store", str(store.root), "card", "nav@v3", "--out", str(tmp_path / "x")]) == 1
    assert not (tmp_path / "x").exists()


def test_the_command_prints_what_it_wrote(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    link = "https://data.example.org/nav/v3"
    assert run(["--store", str(store.root), "card", "nav@v3", "--url", link, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["not_in_provenance"] == []
    assert told["files"].keys() == {"README.md", "croissant.json", "episode.png"}
    record = json.loads((tmp_path / "nav-v3-card" / "croissant.json").read_text())
    assert record["url"] == link
    assert all(it["contentUrl"].startswith(link) for it in record["distribution"] if "sha256" in it)
    assert run(["--store", str(store.root), "card", "nav@v3"]) == 2
    assert "--replace" in capsys.readouterr().err


def test_images_are_the_picture_where_there_are_some(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "store" / "expert" / "v1", schema=factories.WIDE_SCHEMA)
    assert opened(Store(tmp_path / "store"), "expert@v1").picture[:4] == b"\x89PNG"


def test_what_a_codec_lost_is_told(tmp_path: Path) -> None:
    pytest.importorskip("simplejpeg")
    schema = EpisodeSchema(
        (
            FieldSpec("front", Axis.STATE, (16, 16, 3), "uint8", codec="jpeg"),
            FieldSpec("terminated", Axis.STEP, (), "bool"),
            FieldSpec("truncated", Axis.STEP, (), "bool"),
        )
    )
    frames = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3)).astype("uint8")
    end = np.array([False, False, True])
    one = Episode(schema, {"front": frames, "terminated": end, "truncated": ~end & False})
    path = tmp_path / "store/cups/v1"
    manifest = write_dataset(path, [one], schema=schema, provenance={})
    told = page(opened(Store(tmp_path / "store"), "cups@v1"))
    size = manifest.statistics["front"]["camera"]["bytes"]
    (line,) = (it for it in told.splitlines() if "libjpeg" in it)
    assert "quality 85" in line and f"{size:,}" in line and "dB" in line
