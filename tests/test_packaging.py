"""What a user installs: the library alone, ranges that hold what is tested, no old packages."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXPERIMENT = tomllib.loads((ROOT / "pipelines" / "pyproject.toml").read_text())["project"]
ASKED = {
    "trajstore": PROJECT["dependencies"],
    "trajstore-pipelines": EXPERIMENT["dependencies"],
    **PROJECT["optional-dependencies"],
}


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.mark.parametrize("by", ASKED)
def test_what_is_asked_for_is_a_range_that_holds_every_version_tested(by: str) -> None:
    for requirement in map(Requirement, ASKED[by]):
        name = canonicalize_name(requirement.name)
        assert name != "imitation", "its metadata asks for an old gymnasium"
        assert "==" not in str(requirement.specifier), f"{by}: pins lie in constraints.txt"
        for file in ("constraints.txt", "tests/oldest.txt"):
            if version := pins(file).get(name):
                assert version in requirement.specifier, f"{by}: {requirement}, {file}: {version}"


def test_the_experiment_has_the_version_and_the_pythons_of_the_library() -> None:
    same = ("version", "requires-python", "license")
    assert {key: EXPERIMENT[key] for key in same} == {key: PROJECT[key] for key in same}


@pytest.mark.slow
def test_the_wheel_holds_the_library_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("trajstore", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, *offline, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        described = message_from_string(content.read(metadata).decode())
    info = metadata.partition("/")[0]
    assert {name.partition("/")[0] for name in names} == {"trajstore", info}
    assert f"{info}/entry_points.txt" in names
    files = (path for path in (source / "trajstore").rglob("*") if path.is_file())
    assert {path.relative_to(source).as_posix() for path in files} <= set(names)
    assert described["Requires-Python"] == "<3.14,>=3.11"
    assert described["Author"] and described["License-Expression"] == "MIT"
