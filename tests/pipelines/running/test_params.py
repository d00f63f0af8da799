"""A parameter that is unknown, missing or of another type stops a stage, named."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from pipelines.learning.cloning import PretrainParams
from pipelines.learning.job import FinetuneParams
from pipelines.learning.world import EvaluationParams, TransferParams
from pipelines.running.params import (
    Count,
    ParamsError,
    Seeds,
    Share,
    distinct,
    named,
    read_section,
)
from pipelines.stages.expert import ExpertParams
from pipelines.stages.publish import PublishParams
from pipelines.stages.record import RecordParams
from pipelines.stages.validate import ValidateParams
from pipelines.tasks.social_nav.task import SocialNavTask
from trajstore.errors import CorruptionError

ROOT = Path(__file__).parents[3]
SECTIONS = {
    "env": SocialNavTask,
    "evaluation": EvaluationParams,
    "expert": ExpertParams,
    "record": RecordParams,
    "validate": ValidateParams,
    "publish": PublishParams,
    "pretrain": PretrainParams,
    "finetune": FinetuneParams,
    "transfer": TransferParams,
}


@dataclass(frozen=True)
class Inner:
    rate: float


@dataclass(frozen=True)
class Outer:
    count: int
    names: tuple[str, ...]
    inner: Inner
    table: dict[str, Inner]
    maybe: int | None


GOOD = {
    "count": 3,
    "names": ["a", "b"],
    "inner": {"rate": 1},
    "table": {"x": {"rate": 0.5}},
    "maybe": None,
}


def read(folder: Path, section: object) -> Outer:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"stage": section}))
    return read_section(path, "stage", Outer)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stage: {}\nstage: {}", "line 2, column 1: .*the key 'stage' stands twice"),
        ("stage: {count: 1, count: 2}", "the key 'count' stands twice"),
        ("stage: {}\nrecrod: {}", "got 'recrod'; did you mean 'record'"),
        ("stage: {}\nzzz: {}", "got 'zzz'; remove or rename it"),
        ("stage: &a [*a]", "expected at most"),
        ("[" * 5000, "expected a YAML file of parameters|expected YAML"),
        ("\n".join(["stage:", "  a0: &a0 [1, 2]", *(
            f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)
        )]), "expected at most 100,000 values"),
    ],
)  # fmt: skip
def test_a_document_of_another_kind_is_refused_by_name(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=told):
        read_section(path, "stage", Outer)


def test_a_pipe_is_no_file_of_parameters(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    with pytest.raises(CorruptionError, match="is a pipe, a device or a socket"):
        read_section(tmp_path / "params.yaml", "stage", Outer)


def test_a_section_becomes_its_record(tmp_path: Path) -> None:
    record = read(tmp_path, GOOD)
    assert record == Outer(3, ("a", "b"), Inner(1.0), {"x": Inner(0.5)}, None)
    assert isinstance(record.inner.rate, float)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"cuont": 1}, r"stage: expected keys among .*, got 'cuont'; did you mean 'count'\?"),
        ({"colour": 1}, r"stage: expected keys among .*, got 'colour'; remove or rename it"),
        ({"count": "3"}, "stage.count: expected int, got '3'"),
        ({"count": 3.5}, "stage.count: expected int, got 3.5"),
        ({"count": True}, "stage.count: expected int, got True"),
        ({"names": "ab"}, "stage.names: expected array, got 'ab'"),
        ({"names": ["a", 1]}, r"stage.names\[1\]: expected str, got 1"),
        ({"inner": 5}, "stage.inner: expected object, got 5"),
        ({"inner": {}}, "stage.inner: the key 'rate' is missing"),
        ({"inner": {"rate": "high"}}, "stage.inner.rate: expected float, got 'high'"),
        ({"inner": {"rate": True}}, "stage.inner.rate: expected float, got True"),
        ({"table": {"x": {"rat": 1}}}, r"stage.table.x: expected keys among .*'rat'"),
        ({"maybe": "no"}, "stage.maybe: expected int . null, got 'no'"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ParamsError, match=complaint):
        read(tmp_path, GOOD | change)


@given(key=st.sampled_from(sorted(GOOD)))
def test_a_missing_key_is_named(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    section = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(ParamsError, match=f"stage: the key '{key}' is missing; add it"):
        read(tmp_path_factory.mktemp("params"), section)


def test_a_missing_section_or_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ParamsError, match="expected a YAML file of parameters"):
        read_section(path, "stage", Outer)
    path.write_text("other: {}")
    with pytest.raises(ParamsError, match="the section 'stage' is missing"):
        read_section(path, "stage", Outer)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("stage: [1, 2", "line 1, column 13: expected YAML"),
        ("stage:\n  a: b: 3\n", "line 2, column 7: expected YAML, got none (mapping values are"),
    ],
)
def test_what_is_no_yaml_is_named_by_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError) as caught:
        read_section(path, "stage", Outer)
    said = str(caught.value)
    assert said.startswith(f"{path}, {place}")
    assert "\n" not in said
    assert len(said) < len(str(path)) + 120
    path.write_bytes(b"stage: \xff")
    with pytest.raises(ParamsError, match="expected a YAML file of parameters, got no UTF-8"):
        read_section(path, "stage", Outer)


@dataclass(frozen=True)
class Limited:
    count: Count = 1
    rate: Share = 0.5
    names: Annotated[
        tuple[Annotated[str, named(("cat", "dog"))], ...], Meta(min_length=1), distinct
    ] = ("cat",)
    seeds: Seeds = (1,)
    table: Mapping[str, Annotated[float, Meta(gt=0.0, le=2.0)]] = field(default_factory=dict)


LIMITED = {"count": 1, "rate": 0, "names": ["cat"], "seeds": [1], "table": {"a": 2}}


def read_limited(folder: Path, section: object) -> Limited:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"stage": section}))
    return read_section(path, "stage", Limited)


def test_values_at_their_limits_are_taken(tmp_path: Path) -> None:
    assert read_limited(tmp_path, LIMITED) == Limited(1, 0.0, ("cat",), (1,), {"a": 2.0})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"count": 0}, "stage.count: expected int >= 1, got 0"),
        ({"rate": 1.5}, "stage.rate: expected float <= 1.0, got 1.5"),
        ({"rate": math.nan}, "stage.rate: expected a finite number, got nan"),
        ({"rate": -math.inf}, "stage.rate: expected a finite number, got -inf"),
        ({"names": []}, r"stage.names: expected array of length >= 1, got \[\]"),
        ({"names": ["cat", "cat"]}, r"stage.names: expected each once, got \['cat', 'cat'\]"),
        ({"names": ["cta"]}, r"stage.names\[0\]: .* got 'cta'; did you mean 'cat'\?"),
        ({"names": ["x"]}, "got 'x'; choose from cat, dog"),
        ({"seeds": [-1]}, r"stage.seeds\[0\]: expected int >= 0, got -1"),
        ({"seeds": [2**32]}, r"stage.seeds\[0\]: expected int <= 4294967295, got 4294967296"),
        ({"table": {"b": 0}}, "stage.table.b: expected float > 0.0, got 0"),
        ({"table": {"b": 3}}, "stage.table.b: expected float <= 2.0, got 3"),
    ],
)
def test_a_value_beyond_its_limits_is_named(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ParamsError, match=complaint):
        read_limited(tmp_path, LIMITED | change)


@pytest.mark.parametrize("file", ["params.yaml", "tests/tiny/params.yaml"])
@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_the_project_s_own_parameters_fit(file: str, name: str) -> None:
    read_section(ROOT / file, name, SECTIONS[name])


def test_the_tiny_profile_has_the_sections_of_the_experiment() -> None:
    real, tiny = (
        yaml.safe_load((ROOT / name).read_text())
        for name in ("params.yaml", "tests/tiny/params.yaml")
    )
    assert set(real) == set(tiny)
