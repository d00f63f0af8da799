"""What a manifest claims is compared with what it lists before anything is made of it."""

import copy
import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.trajstore.version.test_manifest import forged
from trajstore.dataset import Dataset
from trajstore.disk.json_text import MAX_JSON_DEPTH, canonical_json, json_depth, parse_json
from trajstore.episode.schema import EpisodeSchema, FieldSpec
from trajstore.errors import (
    CorruptionError,
    FormatError,
    QuotaExceededError,
    SchemaError,
    TrajStoreError,
)
from trajstore.version import claims
from trajstore.version.manifest import MANIFEST, Manifest

MOST_BYTES = 256 * 2**20
CHILD = """
import re, sys
from pathlib import Path
from trajstore.cli import run
status = run(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(status, int(peak[1]) * 1024, file=sys.stderr)
"""
"""``ru_maxrss`` would not do: it counts what the process that started this one had in use."""
COMMANDS = (
    "inspect {v}", "list", "du {v}", "verify {v}", "validate {v}", "play {v} --no-open",
    "diff {v} {good}", "doctor", "publish {v}", "export {v} out.npz --to npz",
)  # fmt: skip


def claiming(manifest: Manifest, episodes: int, steps: int) -> bytes:
    part = {"path": "", "episodes": episodes, "steps": steps}
    return forged(manifest, parts=[part], episodes=episodes, steps=steps)


def with_field(manifest: Manifest, **changes: object) -> bytes:
    """The manifest, its wide field changed."""
    fields = manifest.schema.to_json()
    return forged(
        manifest,
        schema=[it | (changes if it["name"] == "camera/grid" else {}) for it in fields],
    )


def many_files(manifest: Manifest) -> bytes:
    more = {f"x{i}": {"sha256": "0" * 64, "size": 2**62} for i in range(120_000)}
    part = {"path": "", "episodes": 5, "steps": 10**10}
    return forged(manifest, parts=[part], files=manifest.to_json()["files"] | more)


def more_files(manifest: Manifest) -> bytes:
    """Files that no array has: each costs time wherever files are walked through."""
    more = {f"x{i}": {"sha256": "0" * 64, "size": 0} for i in range(140_000)}
    return forged(manifest, files=manifest.to_json()["files"] | more)


def many_fields(manifest: Manifest) -> bytes:
    first = manifest.schema.to_json()[2]
    return forged(manifest, schema=[{**first, "name": f"f{i}"} for i in range(60_000)])


HOSTILE: dict[str, Callable[[Manifest], bytes]] = {
    "10^9 episodes": lambda it: claiming(it, 10**9, 10**9),
    "2^50 steps": lambda it: claiming(it, 5, 2**50),
    "2^40 in a row": lambda it: with_field(it, shape=[2**40]),
    "2^30 in a row": lambda it: with_field(it, shape=[2**30]),
    "a pose of 2^28": lambda it: with_field(it, shape=[2**28], dtype="float32", role="pose"),
    "empty lists": lambda it: b"[" + b"[]," * 20_000_000 + b"[]]",
    "fewer empty lists": lambda it: b"[" + b"[]," * 1_400_000 + b"[]]",
    "keys": lambda it: b"{" + b",".join(b'"%x":1' % i for i in range(900_000)) + b"}",
    "twice": lambda it: b"{" + b",".join(b'"%x":1' % (i % 99_999) for i in range(100_000)) + b"}",
    "a text": lambda it: b'"' + b"a" * 31 * 2**20 + b'"',
    "a text with a wide letter": lambda it: b'"' + b"a" * 15 * 2**20 + "\U0001f600".encode() + b'"',
    "an escaped letter": lambda it: b'"' + b"a" * 31 * 2**20 + rb'\ud83d\ude00"',
    "depth": lambda it: b"[" * 10**6,
    "lists in the provenance": lambda it: forged(it, provenance={"a": [[]] * 1_000_000}),
    "text in the provenance": lambda it: forged(it, provenance={"a": "x" * 30 * 2**20}),
    "files": many_files,
    "files of no array": more_files,
    "fields": many_fields,
}


def measured(*arguments: str, cwd: Path) -> tuple[int, int, str]:
    """Exit status, peak memory in bytes, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    *said, last = done.stderr.splitlines()
    assert len(last.split()) == 2, done.stderr
    status, peak = last.split()
    return int(status), int(peak), "\n".join(said) or done.stdout


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "v1"
    factories.dataset(folder, schema=factories.WIDE_SCHEMA)
    return folder


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "store/expert/v1"
    folder.parent.mkdir(parents=True)
    factories.dataset(folder, schema=factories.WIDE_SCHEMA)
    return folder


@pytest.mark.parametrize("name", HOSTILE)
def test_a_claim_without_files_is_named_in_bounded_memory(
    name: str, version: Path, tmp_path: Path
) -> None:
    (version / MANIFEST).write_bytes(HOSTILE[name](Manifest.read(version)))
    status, peak, said = measured("--store", "store", "inspect", "expert@v1", cwd=tmp_path)
    assert status == 1
    assert said.count("\n") == 0
    assert said.startswith("trajstore: ")
    assert MANIFEST in said
    assert peak < MOST_BYTES, f"{peak / 2**20:.0f} MiB"
    with pytest.raises(CorruptionError, match=MANIFEST):
        Dataset.open(version)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["10^9 episodes", "2^50 steps", "empty lists", "keys"])
def test_every_command_names_the_claim(
    command: str, name: str, version: Path, good: Path, tmp_path: Path
) -> None:
    (version / MANIFEST).write_bytes(HOSTILE[name](Manifest.read(version)))
    words = command.format(v="expert@v1" if "publish" not in command else version, good=good)
    status, peak, said = measured("--store", "store", *words.split(), cwd=tmp_path)
    assert status == 1
    assert "Traceback" not in said
    assert MANIFEST in said or command == "doctor"
    assert peak < MOST_BYTES, f"{peak / 2**20:.0f} MiB"


def test_rows_without_files_take_no_memory(version: Path, tmp_path: Path) -> None:
    """Files that are listed, large enough by the manifest, and not there."""
    manifest = Manifest.read(version)
    steps = 10**7
    schema = manifest.schema
    part = claims.Part("", 5, steps)
    listed = {}
    for spec in claims.arrays_of(schema, part).values():
        for path in spec.file_paths():
            listed[path] = {"sha256": "0" * 64, "size": spec.chunk_bytes + 4, "crc32c": "0" * 8}
    content = forged(
        manifest, files=listed, steps=steps, parts=[{"path": "", "episodes": 5, "steps": steps}]
    )
    (version / MANIFEST).write_bytes(content)
    for command in ("inspect", "verify", "validate", "play --no-open"):
        status, peak, said = measured(
            "--store", "store", *command.split(), "expert@v1", cwd=tmp_path
        )
        assert "Traceback" not in said
        assert status == (0 if command == "inspect" else 1)
        assert peak < MOST_BYTES, f"{command}: {peak / 2**20:.0f} MiB"
    dataset = Dataset.open(version)
    for name in ("camera/grid", "observation"):
        with pytest.raises(CorruptionError, match=r"expected .* bytes, got"):
            dataset.column(name)


FIGURES: list[tuple[str, Any]] = [
    ("statistics", {"action": {"mean": 1.0}}),
    ("statistics", {"action": {"mean": [1.0, 2.0, 3.0]}}),
    ("statistics", {"action": {"mean": ["1", "2"]}}),
    ("statistics", {"action": {"mean": [True, False]}}),
    ("statistics", {"action": {"mean": [10**400, 0]}}),
    ("statistics", {"action": {"mean": [[1.0, 2.0]]}}),
    ("statistics", {"action": {"count": [1.5, 2]}}),
    ("statistics", {"action": {"median": [1.0, 2.0]}}),
    ("statistics", {"action": {"quantiles": [1.0]}}),
    ("statistics", {"action": {"quantiles": {"0.5": 1.0}}}),
    ("statistics", {"action": None}),
    ("statistics", {"nothing": {}}),
    ("statistics", {"scenario": {"count": 1}}),
    ("statistics", {"camera/grid": {"mean": [1.0]}}),
    ("statistics", []),
    ("scenario_counts", {"nowhere": 1}),
    ("scenario_counts", {factories.SCENARIOS[0]: -1}),
    ("scenario_counts", {factories.SCENARIOS[0]: 6}),
    ("scenario_counts", {factories.SCENARIOS[0]: True}),
    ("scenario_counts", {factories.SCENARIOS[0]: 1.5}),
    ("scenario_counts", {factories.SCENARIOS[0]: 10**400}),
    ("scenario_counts", [1]),
    ("vocabularies", {"action": ["x"]}),
    ("vocabularies", {"scenario": ["x" * 5000]}),
    ("vocabularies", {"scenario": [str(i) for i in range(6)]}),
    ("vocabularies", {"scenario": [1]}),
    ("anomalies", {"5": [{"kind": "k", "first": 0, "last": 0, "message": "", "score": 1.0}]}),
    ("anomalies", {"-1": [{"kind": "k", "first": 0, "last": 0, "message": "", "score": 1.0}]}),
    ("anomalies", {"0": [{"kind": "k"}]}),
    ("anomalies", {"0": [{"kind": [], "first": 0, "last": 0, "message": "", "score": 1.0}]}),
    ("anomalies", {"0": [{"kind": "k", "first": 3, "last": 0, "message": "", "score": 1.0}]}),
    ("anomalies", {"0": []}),
]


@pytest.mark.parametrize(("key", "value"), FIGURES, ids=[f"{k} {v}"[:60] for k, v in FIGURES])
def test_figures_that_no_writer_makes_are_refused(good: Path, key: str, value: object) -> None:
    with pytest.raises(CorruptionError, match=r"manifest\.json: expected"):
        Manifest.from_bytes(forged(Manifest.read(good), **{key: value}))


def test_figures_of_any_value_are_read(good: Path) -> None:
    manifest = Manifest.read(good)
    figures = {"action": {"mean": [None, 1e308], "quantiles": {"0.5": [1, 2]}}}
    assert Manifest.from_bytes(forged(manifest, statistics=figures)).statistics == figures


def test_provenance_is_refused_where_it_could_not_be_read_back(tmp_path: Path) -> None:
    nested: dict[str, Any] = {}
    for _ in range(700):
        nested = {"a": nested}
    with pytest.raises(SchemaError, match="nested at most 64 deep"):
        factories.dataset(tmp_path / "v1", provenance=nested)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(SchemaError, match="nested at most"):
        factories.dataset(tmp_path / "v1", provenance={"a": loop})
    with pytest.raises(SchemaError, match="at most 16 MiB"):
        factories.dataset(tmp_path / "v1", provenance={"a": [0] * 300_000})
    assert not (tmp_path / "v1").exists()
    manifest = factories.dataset(tmp_path / "v1")
    content = forged(manifest, provenance=nested)
    with pytest.raises(CorruptionError, match="nested deeper than 100"):
        Manifest.from_bytes(content)


def test_the_deepest_json_is_read_and_no_deeper() -> None:
    assert json_depth(parse_json(b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH, "x")) == 100
    for data in (b"[" * 101 + b"]" * 101, b"[" * 900 + b"]" * 900, b'{"a":' * 5000):
        with pytest.raises(CorruptionError, match="expected JSON"):
            parse_json(data, "x")


@pytest.mark.parametrize(
    "data", [b"1e999", b"[-1e999]", b"NaN", rb'"\ud800"', rb'{"\udfff": 1}', b'{"a":1,"a":2}']
)
def test_what_json_cannot_say_twice_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptionError, match="expected JSON"):
        parse_json(data, "x")


def test_more_findings_than_a_manifest_holds_are_those_of_the_highest_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "MAX_FINDINGS", 3)
    found = {index: ({"score": index % 4 / 4},) for index in range(8)}
    assert list(claims.worst(found)) == [2, 3, 7]
    assert list(claims.worst({0: found[0]})) == [0]


def test_a_manifest_that_could_not_be_read_back_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MAX_JSON_BYTES", 5000)
    with pytest.raises(QuotaExceededError, match="would be larger than 5,000 bytes"):
        factories.dataset(tmp_path / "v1")
    assert not (tmp_path / "v1").exists()


def test_names_of_many_fields_are_compared_quickly() -> None:
    ends = [it for it in factories.SCHEMA.fields if it.name in ("terminated", "truncated")]
    many = [FieldSpec(f"f{i}/x", "step", (), "int8") for i in range(20_000)]
    assert len(EpisodeSchema((*ends, *many)).fields) == 20_002
    for name in ("F7/X", "f7/x/y", "f7"):
        with pytest.raises(SchemaError, match="cannot lie beside each other"):
            EpisodeSchema((*ends, *many, FieldSpec(name, "step", (), "int8")))


def test_json_that_is_printed_is_strict(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from trajstore.cli import run

    assert run(["inspect", str(good), "--json"]) == 0

    def refuse(text: str) -> None:
        raise AssertionError(text)

    assert json.loads(capsys.readouterr().out, parse_constant=refuse)["episodes"] == 5


OTHERS: list[Any] = [
    *(None, True, 0, -1, 2**63, 10**400, 0.5, 1e308, "", "x", "../x", "\u00e9", "x" * 5000),
    *([], {}, [[]], [None], {"a": 1}, [1, 2], json.loads("[" * 60 + "]" * 60)),
]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys and indices that lead to each value in a JSON document."""
    if above:
        yield above
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*above, key))


@pytest.mark.parametrize("seed", range(4))
def test_any_value_anywhere_is_read_or_refused_by_name(
    good: Path, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values are replaced by those of every kind, or taken out; each key as often as the others."""
    from trajstore.cli import run

    rng = random.Random(seed)
    shutil.copytree(good, tmp_path / "v1")
    plain = Manifest.read(good)
    document = plain.to_json()
    mark = {"kind": "k", "first": 0, "last": 1, "message": "m", "score": 0.5}
    document["anomalies"] = {"1": [mark]}
    by_key: dict[str, list[tuple[Any, ...]]] = {}
    for place in places(document):
        by_key.setdefault(place[0], []).append(place)
    refused = 0
    for _ in range(120):
        changed = copy.deepcopy(document)
        *way, last = rng.choice(by_key[rng.choice(sorted(by_key))])
        node = changed
        for key in way:
            node = node[key]
        if rng.random() < 0.2:
            node.pop(last)
        else:
            node[last] = copy.deepcopy(rng.choice(OTHERS))
        changed.pop("manifest_digest", None)
        digest = hashlib.sha256(canonical_json(changed)).hexdigest()
        content = canonical_json(changed | {"manifest_digest": digest}) + b"\n"
        (tmp_path / "v1" / MANIFEST).write_bytes(content)
        try:
            dataset = Dataset.open(tmp_path / "v1")
        except (CorruptionError, FormatError):
            refused += 1
            continue
        for command in ("inspect", "du", "inspect --json", "verify --deep"):
            assert run([*command.split(), str(tmp_path / "v1")]) in (0, 1)
        try:
            assert len(list(dataset)) == len(dataset.episodes["length"])
        except TrajStoreError:
            refused += 1
        capsys.readouterr()
    assert 60 < refused < 120


def test_a_version_of_empty_files_has_shares(good: Path, tmp_path: Path) -> None:
    from trajstore.cli import run

    manifest = Manifest.read(good)
    files = {path: it.to_json() | {"size": 0} for path, it in manifest.files.items()}
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / MANIFEST).write_bytes(forged(manifest, files=files))
    assert run(["du", str(tmp_path / "v1")]) == 0
