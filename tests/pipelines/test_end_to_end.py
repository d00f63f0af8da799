"""The whole experiment, small: built once, never twice, and the same after a pull elsewhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.learning.runlog import RunStatus, read_run
from pipelines.running.progress import stages_of
from pipelines.stages.repro import environment
from tests.test_readme import blocks
from trajstore.disk.files import digest, read_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STAGES = set(stages_of(ROOT / "dvc.yaml", ROOT / "tests/tiny/params.yaml"))
UP_TO_DATE = "Data and pipelines are up to date."
NOT_CARRIED = ("data/reviews.json", "dvc.lock")


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def dvc(folder: Path, *words: str, status: int = 0) -> str:
    """What a DVC command says, after its exit status was what it should be."""
    done = command(folder, sys.executable, "-m", "dvc", *words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = command(folder, "git", *identity, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ran(output: str, stages: set[str] = STAGES) -> set[str]:
    """The stages that a repro ran."""
    return {name for name in stages if f"Running stage '{name}'" in output}


def change(folder: Path, section: str, **values: Any) -> None:
    path = folder / "params.yaml"
    document = yaml.safe_load(path.read_text())
    document[section] |= values
    path.write_text(yaml.safe_dump(document))


def tracked(target: Path) -> Path:
    """The files of the project as they are, with the tiny parameters, in a repository anew."""
    for name in git(ROOT, "ls-files").splitlines():
        source = ROOT / name
        if source.is_file() and name not in NOT_CARRIED:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    for kernels in (ROOT / "pipelines").rglob("*.nb[ic]"):
        copy = target / kernels.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy2(kernels, copy)
    (target / "data").mkdir(exist_ok=True)
    (target / "data/reviews.json").write_text('{"format_version": 1, "reviews": []}\n')
    shutil.copy(ROOT / "tests/tiny/params.yaml", target / "params.yaml")
    git(target, "init", "-q")
    git(target, "add", ".")
    git(target, "commit", "-q", "-m", "begin")
    return target


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which everything was built, committed and pushed."""
    folder = tracked(tmp_path_factory.mktemp("origin") / "clone")
    assert ran(dvc(folder, "repro")) == STAGES
    git(folder, "add", "dvc.lock", "data/reports/metrics.json")
    git(folder, "commit", "-q", "-m", "build")
    dvc(folder, "push")
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "clone", symlinks=True))


def test_everything_is_there(built: Path) -> None:
    lock = yaml.safe_load((built / "dvc.lock").read_text())["stages"]
    assert set(lock) == STAGES
    for stage in lock.values():
        assert all((built / out["path"]).exists() for out in stage["outs"])
    assert read_json(built / "data/models/expert/manifest.json")["state"] == "approved"
    assert read_json(built / "data/reports/validation.json")["status"] == "validated"
    assert set(read_json(built / "data/reports/comparison.json")["ratio"]) >= {"success", "gate"}
    for arm in ("baseline", "finetune", "control", "few_10", "transfer", "transfer_baseline"):
        for seed in (1, 2):
            record = read_run(built / f"data/runs/{arm}/seed_{seed}")
            assert record.status is RunStatus.COMPLETED
            assert not record.notes


def test_nothing_is_run_twice(built: Path) -> None:
    assert UP_TO_DATE in dvc(built, "repro")


def test_a_pull_brings_a_fresh_clone_to_the_same_state_and_a_parameter_reruns_what_reads_it(
    built: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "origin" / "fresh"
    fresh.parent.mkdir()
    git(built, "clone", "-q", str(built), str(fresh))
    shutil.copytree(built.parent / "trajstore-remote", fresh.parent / "trajstore-remote")
    done = command(fresh, sys.executable, "-m", "pipelines", "pull")
    assert done.returncode == 0, done.stderr
    assert "outputs with" in done.stderr
    assert UP_TO_DATE in dvc(fresh, "repro")
    for path in ("data/reports/comparison.json", "data/current/expert/manifest.json"):
        assert digest(fresh / path) == digest(built / path)
    change(fresh, "compare", resamples=150)
    assert ran(dvc(fresh, "repro")) == {"compare"}


def test_a_second_clean_run_gives_the_same_lock_but_for_the_ring(
    built: Path, tmp_path: Path
) -> None:
    again = tmp_path / "origin" / "again"
    git(built, "clone", "-q", str(built), str(again))
    git(again, "checkout", "-q", "HEAD~1")
    assert ran(dvc(again, "repro")) == STAGES
    first, second = (
        yaml.safe_load((folder / "dvc.lock").read_text())["stages"] for folder in (built, again)
    )
    for lock in (first, second):
        assert [out["path"] for out in lock.pop("publish")["outs"]] == ["data/store"]
    assert first == second


def test_a_failed_gate_stops_what_follows(copy: Path) -> None:
    conditions = [{"metric": "success", "at_least": 1.0}]
    gate = {"conditions": conditions, "seeds": 2, "episodes": 10}
    change(copy, "expert", gate=gate)
    before = digest(copy / "data/current/expert/manifest.json")
    output = dvc(copy, "repro", "validate", status=255)
    assert ran(output) == {"expert"}
    assert "expected success >= 1.0" in output
    manifest = read_json(copy / "data/models/expert/manifest.json")
    assert (manifest["state"], manifest["promotable"]) == ("draft", False)
    assert manifest["diagnosis"]
    assert digest(copy / "data/current/expert/manifest.json") == before


def test_a_new_seed_is_trained_and_no_other(copy: Path) -> None:
    runs = copy / "data/runs/baseline"
    before = {path: digest(path) for path in runs.glob("seed_*/**/*") if path.is_file()}
    assert len(before) > 10
    change(copy, "finetune", seeds=[1, 2, 3])
    output = dvc(copy, "repro", "--single-item", "baseline")
    assert ran(output) == {"baseline"}
    for seed in (1, 2):
        assert f"baseline seed {seed}: finished before" in output
    assert "baseline seed 3: 1,024 online steps" in output
    assert all(digest(path) == value for path, value in before.items())


def test_no_command_asks_the_network(built: Path) -> None:
    config = dvc(built, "config", "--list")
    assert "core.analytics=false" in config
    assert "core.check_update=false" in config
    assert environment()["DVC_NO_ANALYTICS"] == "1"
    assert "://" not in config


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the task of `docs/environments.md` stands in place of ours."""
    folder = tracked(tmp_path_factory.mktemp("other") / "clone")
    for block in blocks(ROOT / "docs/environments.md"):
        if block.file in ("ledge.py", "params.yaml"):
            (folder / block.file).write_text(block.text)
    stages = set(stages_of(ROOT / "dvc.yaml", folder / "params.yaml"))
    assert ran(dvc(folder, "repro"), stages) == stages
    assert stages >= {"expert", "publish", "clones@clone_control", "arms@control", "compare"}
    assert not any("transfer" in name for name in stages)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "build")
    return folder


def test_dvc_runs_a_task_of_others_by_parameters_alone(documented: Path) -> None:
    assert UP_TO_DATE in dvc(documented, "repro")
    report = read_json(documented / "data/reports/comparison.json")
    assert report["measures"] == ["success", "fell"]
    assert report["ratio"]["control"]["seeds"] == 2
    shown = json.loads(dvc(documented, "metrics", "show", "--json"))
    numbers = shown[""]["data"]["data/reports/metrics.json"]["data"]
    assert "final.finetune.success" in numbers
    assert len(numbers) <= 12


def test_another_teacher_trains_no_expert_and_curves_lie_over_one_another(
    documented: Path,
) -> None:
    path = documented / "params.yaml"
    document = yaml.safe_load(path.read_text())
    document["expert"] = None
    document["record"]["teacher"] = "ledge:lean"
    document["validate"]["policy_episodes"] = 0
    document["compare"]["expert"] = ""
    path.write_text(yaml.safe_dump(document))
    output = dvc(documented, "repro")
    stages = set(stages_of(ROOT / "dvc.yaml", path))
    assert ran(output, stages) == stages - {"baseline"}
    assert "expert is null, so that none is trained" in output
    assert UP_TO_DATE in dvc(documented, "repro")
    assert "No expert was trained" in (documented / "data/reports/expert.md").read_text()
    drawn = json.loads(dvc(documented, "plots", "diff", "HEAD", "--json"))["data"]
    (curves,) = [plot for name, plot in drawn.items() if name.endswith("curves_finetune.csv")]
    assert {it for plot in curves for it in plot["revisions"]} == {"HEAD", "workspace"}
    change(documented, "env", kwargs={"wind": 0.31})
    assert "expert is null" in dvc(documented, "repro", "--single-item", "expert")
