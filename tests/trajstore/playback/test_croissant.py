"""What the package ``mlcroissant`` makes of a card; ``make exchange`` installs it."""

import json
from pathlib import Path

import pytest

from tests import factories
from tests.trajstore import scenes
from trajstore.playback.card import card_of
from trajstore.playback.card_files import write_card
from trajstore.store import Store

mlcroissant = pytest.importorskip("mlcroissant")

SAID = {
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "citation": "Doe, J.: Walks (2026)",
    "authors": ["Jo Doe", "Kim"],
    "date_published": "2026-11-01",
}


def card(tmp_path: Path, reference: str, url: str = "") -> Path:
    store = Store(tmp_path / "store")
    made = card_of(store, store.open(reference, purpose="inspection"), url=url)
    write_card(made, tmp_path / "card")
    return tmp_path / "card" / "croissant.json"


def test_a_whole_card_is_taken_without_a_word(tmp_path: Path) -> None:
    provenance = {**scenes.PROVENANCE, **SAID}
    scenes.dataset(tmp_path / "store" / "nav" / "v3", 6, provenance=provenance)
    link = "https://data.example.org/nav/v3"
    taken = mlcroissant.Dataset(jsonld=card(tmp_path, "nav@v3", link))
    assert not taken.metadata.issues.errors
    assert not taken.metadata.issues.warnings
    fields = list(taken.records("fields"))
    assert [row["fields/name"] for row in fields] == list(scenes.SCHEMA.names)
    assert len(list(taken.records("episodes"))) == 6
    assert sum(row["scenarios/episodes"] for row in taken.records("scenarios")) == 6


@pytest.mark.parametrize("text", ['"} , "@id": "x"', "<script>", "\u202ex", "{{x}}", "a\\b"])
def test_a_card_of_odd_texts_is_taken(tmp_path: Path, text: str) -> None:
    said = dict.fromkeys(SAID, text)
    factories.dataset(tmp_path / "store" / "expert" / "v1", provenance=said)
    file = card(tmp_path, "expert@v1")
    taken = mlcroissant.Dataset(jsonld=file)
    assert not taken.metadata.issues.errors
    assert len(json.loads(file.read_text())["recordSet"]) == 3
