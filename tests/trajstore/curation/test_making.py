"""A version made of others holds their episodes, shares their files, and says where it is from."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from tests import factories
from tests.trajstore import faults
from trajstore.curation.ancestry import made_of
from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis, FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.errors import (
    ArgumentError,
    CorruptionError,
    LockedError,
    NotFoundError,
    QuotaExceededError,
    SchemaError,
    SealedError,
    StorageError,
    TrajStoreError,
)
from trajstore.lifecycle.moving import archive_version
from trajstore.quality.contract import Contract
from trajstore.quality.records import Verdict, write_verdict
from trajstore.quality.report import validate
from trajstore.recording.bulk import write_dataset
from trajstore.store import Store
from trajstore.version.manifest import Manifest, Status
from trajstore.version.statistics import measure

SCHEMA = factories.WIDE_SCHEMA
EPISODES = factories.episodes(24, schema=SCHEMA)
"""Long enough together for several shards of the wide field to be touched by nobody."""


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Wait for no disk."""
    with faults.replaced(faults.Quick()):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """``expert@v1`` of 16 episodes, ``expert@v2`` that extends it by 8."""
    store = Store(tmp_path / "store")
    provenance = {"policy": {"id": "p1"}, "environment": {"id": "Here"}}
    with store.record("expert", schema=SCHEMA, provenance=provenance) as recorder:
        for episode in EPISODES[:16]:
            recorder.add(episode)
    later = {"policy": {"id": "p2"}, "environment": {"id": "Here"}}
    with store.record("expert", schema=SCHEMA, provenance=later, extends="expert@v1") as recorder:
        for episode in EPISODES[16:]:
            recorder.add(episode)
    return store


def opened(store: Store, reference: str) -> Dataset:
    return store.open(reference, purpose="inspection")


def check(dataset: Dataset, expected: list[Episode]) -> None:
    """What any version must be: whole, and in everything that it says that of its episodes."""
    assert dataset.findings(deep=True) == []
    manifest = dataset.manifest
    assert dataset.episodes["digest"].tolist() == [it.digest for it in expected]
    for mine, theirs in zip(dataset, expected, strict=True):
        checked = Episode(SCHEMA, mine.arrays)
        assert checked.digest == theirs.digest
    assert manifest.statistics == measure(SCHEMA, expected)
    assert manifest.steps == sum(map(len, expected))
    report = validate(dataset, Contract(minimum_episodes=1))
    assert {it.check for it in report.findings} <= {"anomalies", "coverage", "contract", "replay"}


def files(manifest: Manifest) -> set[str]:
    return {record.sha256 for record in manifest.files.values()}


def listed(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): b"" if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.endswith(".lock")
    }


CHOICES = {
    "most": ("2-15", "1"), "tail gone": ("0-21", None), "head gone": ("3-23", None),
    "scattered": (None, "1,4,7,10,13,16,19,22"), "few": ("2,5", None), "one": ("9", None),
    "of the first part": ("0-15", "3"), "of the second part": ("16-23", "20"),
    "few of one, most of the other": ("0,17-23", None), "little of both": ("0,17", None),
    "all": ("0-23", None),
}  # fmt: skip


def chosen(numbers: tuple[str | None, str | None]) -> list[int]:
    def parsed(text: str) -> set[int]:
        ends = [piece.split("-") for piece in text.split(",")]
        return {it for end in ends for it in range(int(end[0]), int(end[-1]) + 1)}

    return sorted((parsed(numbers[0]) if numbers[0] else {*range(24)}) - parsed(numbers[1] or "99"))


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("choice", CHOICES)
def test_a_selection_is_a_sealed_version_of_its_episodes(
    store: Store, choice: str, anew: bool
) -> None:
    episodes, exclude = CHOICES[choice]
    asked = {"episodes": episodes, "exclude": exclude, "reason": "because", "anew": anew}
    planned = store.select("expert@v2", "some", dry_run=True, **asked)
    assert not (store.root / "some").exists()
    made = store.select("expert@v2", "some", **asked)
    assert made == planned
    dataset = opened(store, "some@v1")
    expected = [EPISODES[it] for it in chosen(CHOICES[choice])]
    check(dataset, expected)
    assert (made.episodes, made.steps) == (len(expected), dataset.steps)
    assert made.content_digest == dataset.manifest.content_digest
    parent = opened(store, "expert@v2").manifest
    shared = files(parent) & files(dataset.manifest)
    held = sum(it.size for it in dataset.manifest.files.values() if it.sha256 in shared)
    assert held >= made.shared_bytes
    gaps = [part for part in dataset.manifest.parts if part.recorded]
    assert dataset.manifest.format_version == 1 + bool(gaps)
    assert not (anew and gaps)
    for part in gaps:
        assert part.recorded and part.steps * 2 >= part.recorded[1]


def test_written_anew_it_is_the_same_files_as_recorded_at_once(
    store: Store, tmp_path: Path
) -> None:
    store.select("expert@v2", "some", exclude="1,20", anew=True)
    made = opened(store, "some@v1").manifest
    rest = [it for number, it in enumerate(EPISODES) if number not in (1, 20)]
    fresh = write_dataset(tmp_path / "fresh", rest, schema=SCHEMA, provenance=made.provenance)
    assert made.to_bytes() == fresh.to_bytes()


def test_selections_and_merges_of_selections_hold(store: Store) -> None:
    store.select("expert@v2", "a", exclude="1,4,7")
    store.select("a@v1", "b", exclude="0,15")
    store.select("b@v1", "c", episodes="0-2")
    rest = [it for number, it in enumerate(EPISODES) if number not in (1, 4, 7)]
    check(opened(store, "b@v1"), rest[1:15] + rest[16:])
    check(opened(store, "c@v1"), rest[1:4])
    made = store.merge(["c@v1", "expert@v1", "a@v1"], "d")
    first = rest[1:4]
    order = [*first, *(it for it in EPISODES[:16] if it not in first)]
    order += [it for it in rest if it not in order]
    check(opened(store, "d@v1"), order)
    assert made.duplicates == 3 + 3 + (21 - 8) - 3
    assert made.episodes == 24


def test_a_selection_can_be_extended_archived_restored_and_read_at_a_url(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAJSTORE_CACHE", str(tmp_path / "cache"))
    store.select("expert@v2", "some", exclude="1,20")
    rest = [it for number, it in enumerate(EPISODES) if number not in (1, 20)]
    more = factories.episodes(3, seed=900, schema=SCHEMA)
    with store.record("some", schema=SCHEMA, provenance={}, extends="some@v1") as recorder:
        for episode in more:
            recorder.add(episode)
    check(opened(store, "some@v2"), rest + more)
    assert files(opened(store, "some@v1").manifest) <= files(opened(store, "some@v2").manifest)
    before = listed(store.root / "some" / "v1")
    archive_version(store.shelf("some"), 1, why="test")
    away = opened(store, "archive:some@v1")
    check(away, rest)
    store.select("archive:some@v1", "packed", exclude="0")
    check(opened(store, "packed@v1"), rest[1:])
    assert listed(store.restore("some@v1")) == before
    copied = store.copy("some@v1", "memory://curated/store")
    there = Dataset.open(copied.where)
    check(there, rest)
    store.select(copied.where, "fetched", where="length > 5")
    check(opened(store, "fetched@v1"), [it for it in rest if len(it) > 5])


def test_the_rows_left_out_stay_in_files_unless_written_anew(store: Store) -> None:
    gone = EPISODES[3]["observation"].tobytes()
    store.select("expert@v1", "some", exclude="3")
    store.select("expert@v1", "clean", exclude="3", anew=True)
    assert any(gone in content for content in listed(store.root / "some").values())
    assert not any(gone in content for content in listed(store.root / "clean").values())


def test_it_says_what_it_was_made_from(store: Store) -> None:
    store.select("expert@v2", "a", where="length > 5", exclude="0", reason="short ones are noise")
    provenance = opened(store, "a@v1").manifest.provenance
    assert provenance["policy"] == {"id": "p2"}
    made = made_of(provenance)
    assert made is not None
    assert made.how == "select"
    assert made.criterion == {"where": "length > 5", "exclude": "0"}
    [parent] = made.parents
    expert = opened(store, "expert@v2").manifest
    assert (parent.reference, parent.content_digest) == ("expert@v2", expert.content_digest)
    assert made.counts["episodes"] == parent.taken == len(opened(store, "a@v1"))
    assert made.counts["left_out"] == 24 - parent.taken
    assert made.reason == "short ones are noise"
    store.merge(["a@v1", "expert@v1"], "b")
    merged = opened(store, "b@v1").manifest.provenance
    assert merged["environment"] == {"id": "Here"}
    assert "policy" not in merged
    both = made_of(merged)
    assert both is not None
    assert [it.provenance["policy"]["id"] for it in both.parents] == ["p2", "p1"]
    assert "curation" not in both.parents[0].provenance


def test_ancestry_goes_through_generations_and_renames(store: Store) -> None:
    store.select("expert@v2", "a", exclude="0")
    store.split("a@v1", "b", fractions={"train": 0.5, "test": 0.5}, seed=1)
    store.merge(["b-train@v1", "b-test@v1"], "c")
    store.rename("a", "renamed")
    line = store.ancestors(opened(store, "c@v1"))
    assert [it.reference for it in line] == ["b-train@v1", "b-test@v1"]
    [above] = line[0].parents
    assert (above.reference, above.now) == ("a@v1", "renamed@v1")
    [first] = above.parents
    assert (first.reference, first.now, first.made) == ("expert@v2", "expert@v2", None)
    archive_version(store.shelf("expert"), 2, why="test")
    gone = store.ancestors(opened(store, "renamed@v1"))[0]
    assert (gone.reference, gone.now) == ("expert@v2", "")


@pytest.mark.parametrize("curation", [None, 3, [], {}, {"how": "x"}, {"how": 1, "parents": 2}])
def test_provenance_of_others_is_no_ancestry(tmp_path: Path, curation: object) -> None:
    store = Store(tmp_path / "store")
    provenance = {"curation": curation}
    factories.dataset(store.root / "x" / "v1", provenance=provenance)
    assert store.ancestors(opened(store, "x@v1")) == ()
    store.select("x@v1", "y", episodes="0")


def test_a_version_that_claims_to_come_from_itself_ends(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = factories.dataset(store.root / "x" / "v1").content_digest
    own = {"reference": "x@v1", "content_digest": digest, "episodes": 5, "taken": 5}
    provenance = {"curation": {"how": "select", "parents": [own, own]}}
    assert factories.dataset(store.root / "x" / "v2", provenance=provenance)
    factories.dataset(store.root / "y" / "v1", seed=9, provenance=provenance)
    (store.root / "x" / "v1").rename(store.root / "x" / "v3")
    line = store.ancestors(opened(store, "y@v1"))
    assert [it.now for it in line] == ["x@v3", "x@v3"] or len(line) == 2


@pytest.mark.parametrize("by", ["scenario", "seed", "length"])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_split_keeps_groups_together_and_loses_nothing(store: Store, by: str, seed: int) -> None:
    fractions = {"train": 0.6, "val": 0.15, "test": 0.25}
    if by == "scenario":
        fractions = {"train": 0.7, "test": 0.3}
    made = store.split("expert@v2", "s", fractions=fractions, seed=seed, by=by)
    parts = [opened(store, f"s-{name}@v1") for name in fractions]
    digests = [it.episodes["digest"].tolist() for it in parts]
    assert sorted(chain(*digests)) == sorted(it.digest for it in EPISODES)
    values = [set(it.episodes[by].tolist()) for it in parts]
    assert sum(map(len, values)) == len(set.union(*values))
    assert [it.episodes for it in made] == list(map(len, parts))
    if by == "seed":
        shares = [len(it) / 24 for it in parts]
        assert np.allclose(shares, list(fractions.values()), atol=1 / 24)
    for part, digest in zip(parts, digests, strict=True):
        check(part, [it for it in EPISODES if it.digest in digest])


def test_a_split_is_the_same_for_the_same_seed_and_another_for_another(store: Store) -> None:
    halves = {"a": 0.5, "b": 0.5}
    one = [it.content_digest for it in store.split("expert@v2", "x", fractions=halves, seed=3)]
    two = [it.content_digest for it in store.split("expert@v2", "y", fractions=halves, seed=3)]
    three = [it.content_digest for it in store.split("expert@v2", "z", fractions=halves, seed=4)]
    assert one == two != three


def test_equal_episodes_never_lie_on_both_sides(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    twice = [factories.episode(seed) for seed in (*range(6), *range(6))]
    write_dataset(store.root / "x" / "v1", twice, schema=factories.SCHEMA, provenance={})
    store.split("x@v1", "s", fractions={"a": 0.5, "b": 0.5}, seed=0)
    sides = [set(opened(store, f"s-{it}@v1").episodes["digest"].tolist()) for it in "ab"]
    assert not set.intersection(*sides)
    assert len(opened(store, "s-a@v1")) + len(opened(store, "s-b@v1")) == 12


Refused = tuple[type[TrajStoreError], str, Callable[[Store], object]]
REFUSED: dict[str, Refused] = {
    "no criterion": (ArgumentError, "say which episodes", lambda it: it.select("expert@v1", "x")),
    "an unknown field": (
        ArgumentError, "did you mean length",
        lambda it: it.select("expert@v1", "x", where="lenght > 3"),
    ),
    "an empty result": (
        NotFoundError, "none of 16",
        lambda it: it.select("expert@v1", "x", where="length > 999"),
    ),
    "no such episode": (
        NotFoundError, "from 0 to 15", lambda it: it.select("expert@v1", "x", episodes="3,16"),
    ),
    "no such version": (NotFoundError, "v9", lambda it: it.select("expert@v9", "x", episodes="0")),
    "a name that is taken": (
        SealedError, "expert: a dataset of that name exists, with v1, v2; choose another name",
        lambda it: it.select("expert@v1", "expert", episodes="0"),
    ),
    "no name": (TrajStoreError, "dataset name", lambda it: it.select("expert@v1", "../x",
                                                                     episodes="0")),
    "marks in the reviews": (
        NotFoundError, "no episode of expert@v1 is marked yet",
        lambda it: it.select("expert@v1", "x", marks="reviewed"),
    ),
    "too large": (
        QuotaExceededError, "and its quota is 1,000; record fewer episodes",
        lambda it: it.select("expert@v1", "x", exclude="0", quota_bytes=1000),
    ),
    "too large anew": (
        QuotaExceededError, "and its quota is 1,000; record fewer episodes",
        lambda it: it.select("expert@v1", "x", exclude="0", quota_bytes=1000, anew=True),
    ),
    "a reason that is no text": (
        SchemaError, "reason: expected one line of text that prints",
        lambda it: it.select("expert@v1", "x", episodes="0", reason="\ud800"),
    ),
    "a reason of several lines": (
        SchemaError, "reason: expected one line",
        lambda it: it.select("expert@v1", "x", episodes="0", reason="one\ntwo"),
    ),
    "a seed that is none": (
        ArgumentError, "seed: expected a whole number of 0 or more, got None",
        lambda it: it.split("expert@v1", "x", fractions={"a": 0.5, "b": 0.5}, seed=None),
    ),
    "shares without names": (
        ArgumentError, "expected shares by name, got [0.5, 0.5]",
        lambda it: it.split("expert@v1", "x", fractions=[0.5, 0.5], seed=0),
    ),
    "a merge of one": (ArgumentError, "two or more", lambda it: it.merge(["expert@v1"], "x")),
    "a merge with itself": (
        ArgumentError, "two or more", lambda it: it.merge(["expert@v1", "expert@v1"], "x"),
    ),
    "other fields": (
        SchemaError, "narrow@v1: its fields are not those of expert@v1: no field 'camera/grid'",
        lambda it: it.merge(["expert@v1", "narrow@v1"], "x"),
    ),
    "a field of another shape": (
        SchemaError, r"field 'goal': shape (3,) instead of (2,), unit none instead of m",
        lambda it: it.merge(["expert@v1", "deep@v1"], "x"),
    ),
    "fractions": (
        ArgumentError, "a=0.5,b=0.4, which add up to 0.9",
        lambda it: it.split("expert@v1", "x", fractions={"a": 0.5, "b": 0.4}, seed=0),
    ),
    "one fraction": (
        ArgumentError, "two or more names",
        lambda it: it.split("expert@v1", "x", fractions={"a": 1.0}, seed=0),
    ),
    "a fraction below zero": (
        ArgumentError, "between 0 and 1",
        lambda it: it.split("expert@v1", "x", fractions={"a": 1.5, "b": -0.5}, seed=0),
    ),
    "a group for nobody": (
        NotFoundError, "no episode would be left for 'd'",
        lambda it: it.split("expert@v1", "x", seed=0, by="scenario",
                            fractions={"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}),
    ),
    "groups by nothing": (
        ArgumentError, "did you mean scenario",
        lambda it: it.split("expert@v1", "x", fractions={"a": 0.5, "b": 0.5}, seed=0, by="scenaro"),
    ),
    "groups by an array": (
        ArgumentError, "one value an episode, got 'goal'",
        lambda it: it.split("expert@v1", "x", fractions={"a": 0.5, "b": 0.5}, seed=0, by="goal"),
    ),
    "one taken name of two": (
        SealedError, "taken-b: a dataset of that name exists",
        lambda it: it.split("expert@v1", "taken", fractions={"a": 0.5, "b": 0.5}, seed=0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_made_is_refused_in_one_line_and_changes_nothing(
    store: Store, case: str
) -> None:
    factories.dataset(store.root / "narrow" / "v1")
    deep = EpisodeSchema((*SCHEMA.fields[:-1], FieldSpec("goal", Axis.EPISODE, (3,), "float32")))
    arrays = factories.arrays(3, schema=SCHEMA) | {"goal": np.zeros(3, "float32")}
    write_dataset(store.root / "deep" / "v1", [Episode(deep, arrays)], schema=deep, provenance={})
    factories.dataset(store.root / "taken-b" / "v1")
    before = listed(store.root.parent)
    kind, told, act = REFUSED[case]
    with pytest.raises(kind) as refused:
        act(store)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert listed(store.root.parent) == before


def test_the_order_of_fields_does_not_keep_versions_apart(store: Store) -> None:
    other = EpisodeSchema(SCHEMA.fields[::-1])
    more = [Episode(other, factories.arrays(seed, schema=SCHEMA)) for seed in (300, 301)]
    write_dataset(store.root / "turned" / "v1", more, schema=other, provenance={})
    store.merge(["expert@v1", "turned@v1"], "both")
    check(opened(store, "both@v1"), [*EPISODES[:16], *more])


def test_what_was_quarantined_as_a_whole_stays_so_under_another_name(store: Store) -> None:
    verdict = Verdict(Status.QUARANTINED, opened(store, "expert@v1").manifest.content_digest)
    write_verdict(store.root / "expert" / "v1", verdict)
    store.select("expert@v1", "same", where="True")
    store.select("expert@v1", "some", exclude="0")
    assert store.status("same@v1") is Status.QUARANTINED
    assert store.status("some@v1") is Status.DRAFT


def test_a_damaged_parent_is_never_taken_over(store: Store) -> None:
    path = store.root / "expert" / "v1" / "step" / "action" / "c.0.0"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    for anew in (False, True):
        with pytest.raises(CorruptionError, match=r"step/action/c\.0\.0"):
            store.select("expert@v1", "x", exclude="0", anew=anew)
    assert not (store.root / "x").exists()


def work(store: Store) -> None:
    store.split("expert@v1", "x", fractions={"a": 0.8, "b": 0.2}, seed=0)


def test_a_disk_that_refuses_leaves_nothing_and_the_next_try_is_whole(store: Store) -> None:
    def refuse(at: int) -> Callable[..., object]:
        def fault(number: int, _name: str, run: Callable[[], object], *_: object) -> object:
            if number == at:
                raise OSError(28, "No space left on device")
            return run()

        return fault

    total = faults.count_operations(lambda: work(store))
    for name in ("x-a", "x-b"):
        store.rename(name, f"first-{name}")
    assert total > 100
    for number in range(1, total + 1, 7):
        with faults.replaced(faults.Counted(refuse(number))), pytest.raises(StorageError):
            work(store)
        left = {name for name in store.datasets() if name.startswith("x-")}
        assert not left, number
    with faults.replaced(faults.Quick()):
        work(store)
    for name in ("x-a", "x-b"):
        assert opened(store, f"{name}@v1").findings(deep=True) == []


def test_a_kill_at_any_instant_leaves_whole_versions_or_none(store: Store) -> None:
    total = faults.count_operations(lambda: work(store))
    for name in ("x-a", "x-b"):
        store.rename(name, f"first-{name}")
    for number in range(1, total + 1, 11):
        faults.killed_at(number, "before", lambda _: work(store))
        done = [
            name for name in ("x-a", "x-b") if name in store.datasets() and store.versions(name)
        ]
        for name in done:
            assert opened(store, f"{name}@v1").findings(deep=True) == []
        if len(done) < 2:
            work(store)
        with pytest.raises(SealedError, match="a dataset of that name exists"):
            work(store)
        for name in ("x-a", "x-b"):
            version = opened(store, f"{name}@v1")
            assert version.findings(deep=True) == []
            assert [it.name for it in version.path.parent.iterdir()] == ["v1"]
            store.rename(name, f"after-{number}-{name}")


def test_what_lies_under_the_name_of_one_part_and_is_another_is_refused(store: Store) -> None:
    store.select("expert@v1", "x-a", episodes="0-3")
    with pytest.raises(SealedError, match="x-a: a dataset of that name exists"):
        work(store)
    assert "x-b" not in store.datasets()


def test_two_at_once_on_one_name_do_not_meet(store: Store) -> None:
    with store.shelf("x").locked("testing"), pytest.raises(LockedError, match="testing x"):
        store.select("expert@v1", "x", episodes="0")
