"""Any agent has a scene, detectors, a terminal and a page: its schema says which field is what."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.trajstore import scenes
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.anomalies import find
from trajstore.episode.episode import Episode
from trajstore.episode.schema import EpisodeSchema, FieldSpec
from trajstore.playback.frames import Painter
from trajstore.playback.payload import About, build
from trajstore.playback.viewed import Viewed
from trajstore.recording.bulk import write_dataset

NAMES = {
    "robot_pose": ("hull", "pose"),
    "robot_velocity": ("log", "velocity"),
    "pedestrian_position": ("ships/place", "others"),
    "pedestrian_velocity": ("ships/drift", "others_velocity"),
    "clearance": ("gap", "clearance"),
    "goal": ("harbour", "goal"),
    "walls": ("quays", "walls"),
    "outcome": ("ending", "outcome"),
}
"""The fields of the scene as a boat calls them, and their roles."""
SAME = ("episodes", "dt", "radius", "scene", "scenarios")


def renamed(spec: FieldSpec) -> FieldSpec:
    name, role = NAMES.get(spec.name, (spec.name, ""))
    return FieldSpec.from_json(spec.to_json() | {"name": name} | ({"role": role} if role else {}))


SCHEMA = EpisodeSchema(tuple(renamed(spec) for spec in scenes.SCHEMA.fields))


def boat(seed: int) -> Episode:
    arrays = scenes.arrays(seed, steps=60)
    arrays["robot_pose"][2:56] = arrays["robot_pose"][2]
    arrays["clearance"][20:22] = 0.05
    arrays["min_clearance"] = np.array(arrays["clearance"].min(), "float64")
    return Episode(SCHEMA, {NAMES.get(name, (name,))[0]: rows for name, rows in arrays.items()})


def same(episode: Episode) -> Episode:
    """The same episode under the names that told the role before schemas could."""
    old = {new: name for name, (new, _) in NAMES.items()}
    arrays = {old.get(name, name): rows for name, rows in episode.arrays.items()}
    return Episode(scenes.SCHEMA, arrays)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    provenance = {"step": {"dt": 0.2}, "agent_radius": 1.5, "others_radius": 2.5}
    boats = [boat(seed) for seed in (4, 5)]
    write_dataset(root / "boat/v1", boats, schema=SCHEMA, provenance=provenance)
    old = {"dt": 0.2, "robot_radius": 1.5, "pedestrian_radius": 2.5}
    episodes = [same(episode) for episode in boats]
    write_dataset(root / "old/v1", episodes, schema=scenes.SCHEMA, provenance=old)
    return root


def test_detectors_find_by_role_what_they_found_by_name() -> None:
    found = find(boat(4))
    assert {"stuck", "near_misses", "collisions"} <= {it.kind for it in found}
    assert found == find(same(boat(4)))


def test_a_collision_is_told_by_the_outcome_alone() -> None:
    schema = EpisodeSchema(tuple(it for it in SCHEMA.fields if it.name != "gap"))
    arrays = {name: rows for name, rows in boat(4).arrays.items() if name != "gap"}
    for ending, kinds in (("crash", {"collisions"}), ("harbour", set())):
        found = find(Episode(schema, arrays | {"ending": np.array(ending)}))
        assert {it.kind for it in found} & {"collisions"} == kinds


def test_a_page_and_a_picture_show_the_same_scene(store: Path) -> None:
    sides = []
    for name in ("boat", "old"):
        viewed = Viewed(Dataset.open(store / name / "v1"))
        sides.append(build(viewed, About("x"), range(2)))
    boats, old = (side.record for side in sides)
    assert boats["scene"]
    assert boats["radius"] == {"agent": 1.5, "others": 2.5}
    for row in (*boats["episodes"], *old["episodes"]):
        row["digest"] = row["facts"] = ""
    assert {key: boats[key] for key in SAME} == {key: old[key] for key in SAME}
    assert sides[0].numbers == sides[1].numbers
    roles = [channel["role"] for channel in boats["channels"]]
    assert roles == ["pose", "velocity", "others", "others_velocity", "", "", "clearance"]
    labels = [(chart["label"], chart["channel"]) for chart in boats["charts"] if chart["on"]]
    assert labels[:3] == [("reward", "reward"), ("speed", "log"), ("clearance", "gap")]
    assert labels[3:] == [("action[0]", "action"), ("action[1]", "action")]
    assert json.dumps(boats["episodes"][0]["goal"]) != "null"


def test_films_and_the_terminal_draw_the_scene(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trajstore.cli.watching import shown_episode

    pictures = []
    for name in ("boat", "old"):
        shown = shown_episode(Viewed(Dataset.open(store / name / "v1")), 0)
        pictures.append(np.asarray(Painter(shown, (160, 120)).frame(10)))
    np.testing.assert_array_equal(*pictures)
    told = []
    for name in ("boat", "old"):
        assert (
            run(["--store", str(store), "play", f"{name}@v1", "--episode", "0", "--terminal"]) == 0
        )
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "collisions: the agent touches something" in told[0]
    assert "speed" in told[0]


def test_leaps_of_the_agent_are_found_by_role(store: Path, tmp_path: Path) -> None:
    from trajstore.quality.alignment import step_order
    from trajstore.quality.contract import Contract

    arrays = dict(boat(5).arrays)
    arrays["hull"] = scenes.arrays(5, steps=60)["robot_pose"]
    arrays["hull"][30:, 0] += 40.0
    write_dataset(tmp_path / "v1", [Episode(SCHEMA, arrays)], schema=SCHEMA, provenance={})
    (found,) = step_order(Dataset.open(tmp_path / "v1"), Contract())
    assert (found.step, found.message.partition(":")[0]) == (29, "agent")


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_pose_that_was_lost_for_a_while_is_left_out_in_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: float
) -> None:
    """Warnings are errors here; so are they for a clearance of which nothing is known."""
    loose = {"hull": {"finite": False}, "gap": {"finite": False, "low": None, "high": None}}
    schema = EpisodeSchema(
        tuple(FieldSpec.from_json(it.to_json() | loose.get(it.name, {})) for it in SCHEMA.fields)
    )
    whole = boat(0)
    hull = whole["hull"].copy()
    hull[[3, -1]] = lost
    gap = np.full_like(whole["gap"], np.nan)
    episode = Episode(schema, {**whole.arrays, "hull": hull, "gap": gap})
    write_dataset(tmp_path / "v1", [episode], schema=schema, provenance={})
    assert run(["play", str(tmp_path / "v1"), "--episode", "0", "--terminal"]) == 0
    assert "no value" in capsys.readouterr().out
