"""What is sealed is believed only as it was sealed; a kill while sealing costs nothing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from loguru import logger

from pipelines.learning.checkpoint import load_checkpoint
from pipelines.learning.job import read_start, train
from pipelines.learning.ppo import make_ppo
from pipelines.learning.promotion import read_expert, read_former, read_manifest
from pipelines.learning.run import PLAN, start_afresh
from pipelines.learning.runlog import RunError, read_run
from pipelines.learning.sealing import (
    ARM,
    check_run_of,
    read_arm,
    read_member,
    read_sealed,
    seal_run,
    unseal_arm,
)
from pipelines.stages import expert, export, finetune
from pipelines.tasks.make import make_vec_env
from tests.pipelines import tiny
from tests.pipelines.learning.test_policy import KillAt, Killed
from tests.pipelines.stages.test_finetune import job
from trajstore.disk import system as disk
from trajstore.disk.checked import write_checked
from trajstore.disk.files import read_json, write_json
from trajstore.errors import CorruptionError, TrajStoreError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arm with one seed and an expert, trained."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finetune.run("baseline", tiny.FINETUNE, tiny.WORLD, root / "baseline")
        expert.run(tiny.EXPERT, tiny.WORLD, root / "expert")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path / "root"))


def checkpoint_of(root: Path) -> Path:
    return next((root / "baseline/seed_1/checkpoint").iterdir())


def read_checkpoint(root: Path) -> object:
    env = make_vec_env(tiny.ENV.config(), num_envs=2, seed=0)
    model = make_ppo(env, tiny.PPO, seed=0, total_steps=48)
    source = checkpoint_of(root)
    return load_checkpoint(model, source, plan=read_json(source / "learner.json")["plan"])


RECORDS: dict[str, Callable[[Path], object]] = {
    "baseline/seed_1/run.json": lambda root: read_sealed(root / "baseline/seed_1"),
    f"baseline/{ARM}": lambda root: read_member(root / "baseline", read_arm(root / "baseline"), 1),
    "expert/manifest.json": lambda root: read_manifest(root / "expert"),
    "expert/seed_1/run.json": lambda root: read_expert(root / "expert")[0],
    f"expert/{ARM}": lambda root: read_manifest(root / "expert"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
def test_every_flipped_bit_of_a_record_is_named_or_changes_nothing(root: Path, name: str) -> None:
    path, read = root / name, RECORDS[name]
    whole, right = path.read_bytes(), read(root)
    step = max(1, len(whole) * 8 // 800)
    for bit in range(0, len(whole) * 8, step):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            assert read(root) == right, bit
        except TrajStoreError as error:
            assert re.search(": (expected |was changed after it was written: )", str(error))


@pytest.mark.slow
def test_a_flipped_bit_of_a_checkpoints_record_is_refused(root: Path) -> None:
    path = checkpoint_of(root) / "learner.json"
    whole, right = path.read_bytes(), read_checkpoint(root)
    for bit in range(0, len(whole) * 8, len(whole) * 8 // 200):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            assert read_checkpoint(root) == right
        except (TrajStoreError, KeyError) as error:
            assert isinstance(error, TrajStoreError) or error.args == ("plan",)


def test_a_plan_that_was_changed_is_told_and_the_run_begins_anew(root: Path) -> None:
    folder, lines = root / "baseline/seed_1", list[str]()
    record = read_run(folder)
    start_afresh(folder, record)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint", PLAN]
    path = folder / PLAN
    path.write_bytes(path.read_bytes().replace(b"0.99", b"0.98"))
    number = logger.add(lines.append, format="{message}")
    try:
        start_afresh(folder, record)
    finally:
        logger.remove(number)
    assert [it.name for it in folder.iterdir()] == [PLAN]
    assert "plan.json: was changed after it was written" in lines[0]
    assert lines[0].endswith("this run begins anew\n")


@pytest.mark.parametrize(
    ("name", "key", "complaint"),
    [
        ("baseline/seed_1/run.json", "seed", r"run.json: \$: expected keys among"),
        ("expert/manifest.json", "best", r"manifest.json: \$: expected keys among"),
        ("expert/manifest.json", "seeds", r"manifest.json: \$: expected keys among"),
        (f"baseline/{ARM}", "runs", r"arm.json: \$: expected keys among"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_renamed_key_is_named(
    root: Path, name: str, key: str, complaint: str, *, sealed: bool
) -> None:
    record = read_json(root / name)
    record[f"{key}_"] = record.pop(key)
    bare = {name: value for name, value in record.items() if name != "check"}
    (write_checked(root / name, bare) if sealed else write_json(root / name, record))
    with pytest.raises(RunError, match=complaint):
        RECORDS[name](root)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"seed": NaN}', "\ufeff{}", "[[" * 9999])
@pytest.mark.parametrize("name", RECORDS)
def test_what_is_no_record_at_all_is_named(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)
    with pytest.raises(TrajStoreError, match=rf"{Path(name).name}: .*expected"):
        RECORDS[name](root)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_of_an_earlier_release_is_told_as_such(root: Path, name: str) -> None:
    record = read_json(root / name)
    del record["check"]
    write_json(root / name, record)
    told = "got another one" if name == f"expert/{ARM}" else "earlier releases wrote it"
    with pytest.raises(TrajStoreError, match=rf"{told}; run the stage again"):
        RECORDS[name](root)


def test_the_history_of_an_expert_of_an_earlier_release_is_kept(root: Path) -> None:
    manifest = read_json(root / "expert/manifest.json")
    former = {**manifest, "id": "expert-former", "check": None, "files": None}
    write_json(
        root / "expert/manifest.json",
        {key: value for key, value in former.items() if value is not None},
    )
    found = expert.run(tiny.EXPERT, tiny.WORLD, root / "expert")
    assert [entry["id"] for entry in found["history"]] == ["expert-former"]


def test_a_damaged_manifest_is_refused_before_anything_is_trained(root: Path) -> None:
    path = root / "expert/manifest.json"
    path.write_bytes(path.read_bytes().replace(b"approved", b"Approved"))
    before = tiny.contents(root)
    with pytest.raises(CorruptionError, match="changed after it was written"):
        expert.run(tiny.EXPERT, tiny.WORLD, root / "expert")
    assert tiny.contents(root) == before
    path.unlink()
    assert read_former(root / "expert") == {}


def test_only_the_policy_that_a_run_left_is_exported(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, out = root / "baseline/seed_1/policy", tmp_path / "out.zip"
    assert export.main([str(policy), str(out)]) == 0
    out.unlink()
    shutil.copytree(policy, tmp_path / "alone")
    check_run_of(tmp_path / "alone")
    shutil.rmtree(policy)
    shutil.copytree(root / "expert/seed_1/policy", policy)
    assert export.main([str(policy), str(out)]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "seed_1/policy/policy.json: expected the file that was sealed, got another one" in said
    assert not out.exists()


def test_what_is_no_clone_is_no_start(root: Path) -> None:
    with pytest.raises(RunError, match="expected a clone to start from, got a run of arm baseline"):
        read_start(root / "baseline", 1)
    clones = tiny.clones(root / "clone")
    with pytest.raises(RunError, match=r"expected a run of seed 2, got seeds \[1\]"):
        read_start(clones, 2)
    clones.rename(root / "clone_control")
    with pytest.raises(RunError, match="expected what was made in a folder of this name, got arm"):
        read_start(root / "clone_control", 1)


def test_a_checkpoint_of_another_run_is_refused(root: Path) -> None:
    folder = root / "baseline/seed_1"
    shutil.rmtree(folder / "checkpoint")
    shutil.copytree(root / "expert/seed_1/checkpoint", folder / "checkpoint")
    (folder / "evaluations.jsonl").unlink()
    with pytest.raises(CorruptionError, match="expected a checkpoint of this run"):
        train(job(folder))


def test_runs_of_another_arm_are_never_dropped(root: Path) -> None:
    before = tiny.contents(root / "baseline")
    with pytest.raises(RunError, match="expected a run of arm control, seed_1, got one of arm"):
        unseal_arm(root / "baseline", "control")
    assert tiny.contents(root / "baseline") == before


@pytest.mark.slow
def test_a_kill_at_any_point_of_the_end_costs_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last checkpoint on: the curves, the policy, the episodes, the record, the arm."""
    whole = tiny.contents(root / "baseline")
    folder = root / "baseline/seed_1"
    record = read_run(folder)
    start_afresh(folder, record)
    begun = Path(shutil.copytree(root / "baseline", root / "begun"))
    (begun / ARM).unlink(missing_ok=True)

    def go_on() -> None:
        finetune.run("baseline", tiny.FINETUNE, tiny.WORLD, root / "baseline")

    point, finished = 0, False
    while not finished:
        shutil.rmtree(root / "baseline")
        shutil.copytree(begun, root / "baseline")
        with monkeypatch.context() as patch:
            patch.setattr(disk, "OPS", KillAt(point))
            try:
                go_on()
                finished = True
            except Killed:
                pass
        go_on()
        assert tiny.contents(root / "baseline") == whole, point
        point += 3
    assert point > 30


@pytest.mark.slow
def test_a_kill_while_the_expert_is_sealed_costs_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.contents(root / "expert")
    point, finished = 0, False
    while not finished:
        with monkeypatch.context() as patch:
            patch.setattr(disk, "OPS", KillAt(point))
            try:
                expert.run(tiny.EXPERT, tiny.WORLD, root / "expert")
                finished = True
            except Killed:
                pass
        expert.run(tiny.EXPERT, tiny.WORLD, root / "expert")
        assert tiny.contents(root / "expert") == whole, point
        read_expert(root / "expert")
        point += 2
    assert point > 10


def test_sealing_again_changes_nothing(root: Path) -> None:
    folder = root / "baseline/seed_1"
    before = tiny.contents(folder)
    seal_run(folder, read_run(folder))
    assert tiny.contents(folder) == before
    assert set(read_run(folder).files) == {
        "evaluations.jsonl", "episodes.jsonl", "losses.csv", "policy/policy.json",
        "policy/model.safetensors",
    }  # fmt: skip
    assert json.loads(msgspec.json.encode(read_run(folder)))["steps"] == 48
