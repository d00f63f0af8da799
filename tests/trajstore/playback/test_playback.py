"""A page shows what was recorded, says what it leaves out, and runs nothing that data brings.

Numbers survive the packing to within half their scale. What cannot be read is named, what differs
from the record is marked, and the page stays small and needs no network.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from tests.trajstore import scenes
from tests.trajstore.playback.unpacking import unpack
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.errors import CorruptionError
from trajstore.playback import page
from trajstore.playback.channels import Channel, channels_of, more_channels, pack
from trajstore.playback.choice import choose
from trajstore.playback.page import Opening, render, write_page
from trajstore.playback.pairing import match
from trajstore.playback.payload import About, Side, build, plain
from trajstore.playback.viewed import Viewed
from trajstore.quality.records import Difference, ReplayReport
from trajstore.recording.bulk import write_dataset

ABOUT = About("expert", "v3", "validated")


def opened(path: Path) -> Viewed:
    return Viewed(Dataset.open(path))


def side_of(path: Path, about: About = ABOUT) -> Side:
    viewed = opened(path)
    return build(viewed, about, range(len(viewed)))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("scenes") / "v3"
    scenes.dataset(target, 12)
    return target


def test_no_part_of_the_script_takes_a_name_of_another() -> None:
    """All of it is one function, in which the later of two would silently stand for both."""
    for source in ("source", "served"):
        found = re.findall(r"^(?:async )?(?:function|const|let) (\w+)", page._script(source), re.M)
        assert len(found) > 100
        assert sorted(found) == sorted(set(found))


numbers = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])


@given(st.lists(numbers, min_size=1, max_size=40), st.sampled_from([1e-3, 0.01, 1.0]))
def test_numbers_survive_packing_to_half_their_scale(values: list[float], scale: float) -> None:
    channel = Channel("x", Axis.STEP, ("",), scale)
    given_ = np.array(values)
    back = unpack(pack({"x": given_}, [channel], len(values)), [channel], len(values))["x"][0]
    known = np.isfinite(given_)
    assert np.isnan(back[~known]).all()
    np.testing.assert_allclose(back[known], given_[known], rtol=0, atol=scale * 0.5001)


def test_every_recorded_number_of_a_scene_is_in_the_page(version: Path) -> None:
    dataset = Dataset.open(version)
    channels = channels_of(dataset.schema, dataset.manifest.statistics)
    packed = unpack(side_of(version).numbers[5], channels, len(dataset[5]))
    for channel in channels:
        recorded = dataset[5][channel.name].reshape(packed[channel.name].shape[1], -1).T
        np.testing.assert_allclose(packed[channel.name], recorded, rtol=0, atol=channel.scale)


def test_every_component_of_a_narrow_field_is_in_the_page(tmp_path: Path) -> None:
    """Whole numbers stay whole, however large; names of components are in the labels."""
    fields = (
        FieldSpec("observation", Axis.STATE, (40,), "float32"),
        FieldSpec("action", Axis.STEP, (2, 2), "float32", names=["a", "b", "c", "grip"]),
        FieldSpec("time", Axis.STEP, (), "int64"),
        FieldSpec("scan", Axis.STATE, (400,), "float32"),
        *factories.SCHEMA.fields[3:5],
    )
    schema, rng = EpisodeSchema(fields), np.random.default_rng(0)
    rows = {
        "observation": rng.normal(size=(6, 40)).astype("float32"),
        "action": rng.normal(size=(5, 2, 2)).astype("float32"),
        "time": np.arange(5) + 2**49,
        "scan": rng.normal(size=(6, 400)).astype("float32"),
        "terminated": np.arange(5) == 4,
        "truncated": np.zeros(5, bool),
    }
    episode = Episode(schema, rows)
    write_dataset(tmp_path / "v1", [episode], schema=schema, provenance={})
    side, statistics = side_of(tmp_path / "v1"), Dataset.open(tmp_path / "v1").manifest.statistics
    labels = {chart["label"]: chart for chart in side.record["charts"]}
    assert {"observation[0]", "observation[39]", "action[1,1] grip", "time"} <= set(labels)
    assert [labels[name]["on"] for name in ("observation[7]", "observation[8]")] == [True, False]
    more = more_channels(schema, statistics)
    packed = unpack(side.more[0], more, 5)
    np.testing.assert_array_equal(packed["time"][0], rows["time"])
    np.testing.assert_allclose(packed["observation"], rows["observation"].T[8:], atol=1e-4)
    assert any("No chart or list shows scan (float32 400)" in it for it in side.record["left_out"])


def test_fields_of_episodes_are_columns_of_the_page(version: Path) -> None:
    side, dataset = side_of(version), Dataset.open(version)
    fields = {it["name"]: it for it in side.record["fields"]}
    assert list(fields)[:4] == ["return", "length", "anomaly", "least clearance"]
    assert fields["length"]["values"] == dataset.lengths.tolist()
    assert fields["outcome"]["kind"] == "text"
    assert fields["goal"]["kind"] == "list"
    np.testing.assert_allclose(fields["return"]["values"], fields["return recorded"]["values"])
    assert "walls" not in fields
    assert len(json.dumps(fields)) < 20_000


def test_charts_that_are_off_leave_a_page_before_what_is_on(version: Path) -> None:
    viewed, whole = opened(version), side_of(version)
    kept = sum(map(len, whole.numbers.values()))
    side = build(viewed, ABOUT, range(12), room=kept + 3_000)
    assert len(side.numbers) == 12
    assert 0 < len(side.more) < 12
    assert side.bytes <= kept + 3_000
    (told,) = [text for text in side.record["left_out"] if text.startswith("Charts that are off")]
    assert f"for {12 - len(side.more)} of 12 episodes" in told
    assert build(viewed, ABOUT, range(12), room=kept // 2).bytes <= kept // 2


def test_a_dataset_without_a_scene_is_charts_of_reward_action_observation(tmp_path: Path) -> None:
    factories.dataset(tmp_path / "v1")
    side = side_of(tmp_path / "v1")
    assert not side.record["scene"]
    names = [chart["label"] for chart in side.record["charts"]]
    assert names[:3] == ["reward", "action[0]", "action[1]"]
    assert "observation[3]" in names


@pytest.mark.parametrize(("count", "limit"), [(5, 10), (50, 10), (50, 1), (1, 1)])
def test_a_choice_is_within_its_limit_and_in_order(count: int, limit: int) -> None:
    scores = np.random.default_rng(0).random(count)
    chosen = choose(scores, [f"s{index % 7}" for index in range(count)], limit=limit)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, limit)
    assert int(scores.argmax()) in chosen


def test_a_choice_takes_the_worst_and_covers_the_scenarios() -> None:
    scores = np.zeros(1000)
    scores[[3, 500, 999]] = [1.0, 2.0, 3.0]
    names = [f"s{index % 10}" for index in range(1000)]
    chosen = choose(scores, names, limit=40)
    assert {3, 500, 999} <= set(chosen)
    counts = [sum(names[index] == f"s{k}" for index in chosen) for k in range(10)]
    assert max(counts) - min(counts) <= 2


def test_pairs_have_the_same_scenario_and_seed_once() -> None:
    assert match([("a", 1), ("a", 1), ("b", 2)], [("b", 2), ("a", 1)]) == [(0, 1), (2, 0)]


def test_what_is_left_out_is_said(version: Path) -> None:
    viewed = opened(version)
    side = build(viewed, ABOUT, [0, 4])
    assert "10 of 12 episodes are not in this page" in side.record["left_out"][0]
    assert side_of(version).record["left_out"] == []


def test_recorded_and_recomputed_agree_on_sound_data(version: Path) -> None:
    side = side_of(version)
    assert not any(row["differs"] for row in side.record["statistics"])
    assert not any(fact["differs"] for row in side.record["episodes"] for fact in row["facts"])
    assert side.record["whole"]


def test_a_wrong_total_is_marked(tmp_path: Path) -> None:
    arrays = scenes.arrays(1) | {"return": np.array(99.0)}
    write_dataset(
        tmp_path / "v1", [Episode(scenes.SCHEMA, arrays)], schema=scenes.SCHEMA, provenance={}
    )
    row = side_of(tmp_path / "v1").record["episodes"][0]
    wrong = [fact["name"] for fact in row["facts"] if fact["differs"]]
    assert wrong == ["return"]
    assert "recorded_totals" in {mark["kind"] for mark in row["anomalies"]}


def test_a_flipped_bit_is_named_and_the_rest_still_plays(tmp_path: Path) -> None:
    scenes.dataset(tmp_path / "v1", 3)
    chunk = next(
        path
        for path in (tmp_path / "v1/state/observation").rglob("*")
        if path.suffix != ".json" and path.is_file()
    )
    content = bytearray(chunk.read_bytes())
    content[100] ^= 8
    chunk.write_bytes(content)
    side = side_of(tmp_path / "v1")
    assert len(side.numbers) == 3
    assert any("observation" in text for _, text in side.record["notices"])
    assert not side.record["whole"]
    for row in side.record["episodes"]:
        wrong = [fact["recomputed"] for fact in row["facts"] if fact["differs"]]
        assert wrong == ["cannot be read"]


def test_a_dataset_without_lengths_is_refused_by_name(tmp_path: Path) -> None:
    scenes.dataset(tmp_path / "v1", 3)
    for path in (tmp_path / "v1/index/length").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(CorruptionError, match="length"):
        opened(tmp_path / "v1")


def test_a_replay_report_shows_at_its_episodes(version: Path) -> None:
    digest = Dataset.open(version).manifest.content_digest
    difference = Difference(4, 7, "reward", "0.5", "0.25")
    report = ReplayReport(digest, (0, 4), 1, (difference,))
    record = side_of(version, About("expert", "v3", replay=report)).record
    verdicts = {row["index"]: row["replay"] for row in record["episodes"]}
    assert record["replay"]["ok"] is False
    assert verdicts[0] == {"equal": True, "words": "bit-equal"}
    assert verdicts[1] is None
    assert (verdicts[4]["equal"], verdicts[4]["step"], verdicts[4]["field"]) == (False, 7, "reward")


def test_a_replay_report_about_other_content_is_not_believed(version: Path) -> None:
    report = ReplayReport("0" * 64, (0,), 1)
    record = side_of(version, About("expert", "v3", replay=report)).record
    assert record["replay"] is record["episodes"][0]["replay"] is None
    assert any("about other content" in text for _, text in record["notices"])


HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "{{script}}",
    "\u2028'\"&",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_never_become_markup(tmp_path: Path, name: str) -> None:
    arrays = scenes.arrays(1) | {"scenario": np.array(name), "outcome": np.array(name)}
    provenance = {name: name, "environment": {"id": name}}
    episode = Episode(scenes.SCHEMA, arrays)
    write_dataset(tmp_path / "v1", [episode], schema=scenes.SCHEMA, provenance=provenance)
    text = render([side_of(tmp_path / "v1", About(name, name, "draft", (name,)))])
    harmless = render([side_of(tmp_path / "v1")])
    for tag in ("<script", "</script", "<img", "<!--"):
        assert text.count(tag) == harmless.count(tag)
    stored = re.search(r'id="payload">(.*?)</script>', text, re.DOTALL)
    assert stored is not None
    assert json.loads(stored[1])["sides"][0]["episodes"][0]["scenario"] == name


def test_a_page_asks_for_nothing_from_anywhere(version: Path) -> None:
    text = render([side_of(version)])
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("source", ["source", "served"])
def test_the_script_of_a_page_is_small(source: str) -> None:
    assert len(page._script(source).encode()) <= 100_000


def test_a_page_of_200_episodes_of_300_steps_is_below_15_megabytes(tmp_path: Path) -> None:
    scenes.dataset(tmp_path / "v1", 40, steps=300)
    written = write_page(tmp_path / "page.html", [side_of(tmp_path / "v1")])
    assert written < 15e6 / 5


def test_a_page_says_what_it_opens(version: Path) -> None:
    text = render([side_of(version)], Opening(4, 17, 2.0))
    assert '"open":[4,17],"speed":2.0' in text


def test_the_same_dataset_gives_the_same_page(version: Path) -> None:
    assert render([side_of(version)]) == render([side_of(version)])


def test_json_holds_no_numbers_that_json_lacks() -> None:
    values = {"a": np.float32("nan"), "b": [np.inf, np.int64(3)], 4: np.arange(2)}
    assert plain(values) == {"a": None, "b": [None, 3], "4": [0, 1]}
