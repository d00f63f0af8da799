"""No edit of finished runs changes a comparison in silence: it is named, and made again or refused.

An edit is a flipped bit, a cut, a swap, a copy over another or a deletion, of any file or folder of
the expert, the clones or the arms.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from loguru import logger

from pipelines.comparison.compare import compare
from pipelines.comparison.record import CompareParams, Comparison
from pipelines.stages import expert, finetune, pretrain, record
from pipelines.stages.compare import load
from tests.pipelines import tiny
from trajstore.errors import TrajStoreError

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("EDITS", "24"))
SEEDS = (1, 2)
STARTS = {"baseline": None, "finetune": "clone", "control": "clone_control"}
ONLINE = replace(
    tiny.FINETUNE,
    seeds=SEEDS,
    budgets=dict.fromkeys(STARTS, tiny.BUDGET),
    from_clone={"finetune": tiny.FROM_CLONE, "control": tiny.FROM_CLONE},
)
EXPERT = replace(tiny.EXPERT, seeds=SEEDS)
PARTS = ("models", "clone", "clone_control", *STARTS)


def make_expert(root: Path) -> None:
    expert.run(EXPERT, tiny.WORLD, root / "models")


def make_clones(root: Path, name: str) -> None:
    job = pretrain.CloneJob(
        tiny.PRETRAIN, ONLINE, tiny.ENV, root / "dataset", name != "clone", None, 0, Path()
    )
    jobs = [replace(job, seed=seed, folder=root / name / f"seed_{seed}") for seed in SEEDS]
    pretrain.run(jobs, root / name, engine="sequential")


def train(root: Path, arm: str) -> None:
    name = STARTS[arm]
    start = root / name if name else None
    finetune.run(arm, ONLINE, tiny.WORLD, root / arm, start=start)


def params(root: Path) -> CompareParams:
    return CompareParams(
        resamples=10,
        targets=(0.5,),
        arms={name: str(root / name) for name in STARTS},
        expert=str(root / "models"),
        dataset=str(root / "dataset"),
    )


def compared(root: Path) -> Comparison:
    """The comparison without the folders that it was asked for."""
    found = compare(params(root), load(params(root)))
    return msgspec.structs.replace(found, settings=CompareParams())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "root"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root.parent)
        make_expert(root)
        record.run(tiny.RECORD, tiny.ENV, root / "models", root / "dataset")
        for name in ("clone", "clone_control"):
            make_clones(root, name)
        for arm in STARTS:
            train(root, arm)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(made, tmp_path / "root"))


def put(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def flip(path: Path, rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    put(path, bytes(data))


def cut(path: Path, rng: np.random.Generator) -> None:
    data = path.read_bytes()
    put(path, data[: rng.integers(len(data))])


def cut_a_line(path: Path, rng: np.random.Generator) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[rng.integers(len(lines))]
    put(path, b"".join(lines))


def improve(path: Path, rng: np.random.Generator) -> None:
    del rng
    data = path.read_bytes()
    put(path, data.replace(b'"success": 0.0', b'"success": 1.0').replace(b"timeout", b"goal"))


def delete(path: Path, rng: np.random.Generator) -> None:
    del rng
    path.unlink()


FILES: dict[str, Callable[[Path, np.random.Generator], None]] = {
    edit.__name__: edit for edit in (flip, cut, cut_a_line, improve, delete)
}


def swap(one: Path, other: Path) -> None:
    beside = one.with_name("beside")
    one.rename(beside)
    other.rename(one)
    beside.rename(other)


def copy_over(one: Path, other: Path) -> None:
    if one.is_dir():
        shutil.rmtree(other)
        shutil.copytree(one, other)
    else:
        shutil.copy(one, other)


def edited(root: Path, rng: np.random.Generator) -> str:
    """Edit the tree once; say what was done."""
    part = root / str(rng.choice(PARTS))
    files = sorted(path for path in part.rglob("*") if path.is_file())
    kind = str(rng.choice([*FILES, "swap", "copy_over", "delete_folder"]))
    if kind in FILES:
        path = files[rng.integers(len(files))]
        FILES[kind](path, rng)
        return f"{kind} {path.relative_to(root)}"
    seeds = [folder / f"seed_{seed}" for folder in (part, root / "baseline") for seed in SEEDS]
    whole = [root / name for name in PARTS]
    same = sorted(path for path in root.rglob(files[rng.integers(len(files))].name))
    policies = sorted(path for path in root.rglob("policy") if path.is_dir())
    places = [seeds, whole, same, policies][rng.integers(4)]
    if kind == "delete_folder":
        shutil.rmtree(chosen := [*seeds, *whole, *policies][rng.integers(8)])
        return f"delete {chosen.relative_to(root)}"
    one, other = (places[i] for i in rng.choice(len(places), 2, replace=len(places) < 2))
    if one != other:
        (swap if kind == "swap" else copy_over)(one, other)
    return f"{kind} {one.relative_to(root)} {other.relative_to(root)}"


def test_no_edit_changes_a_comparison_in_silence(made: Path, root: Path) -> None:
    whole = compared(made)
    told: dict[str, str] = {}
    for number in range(COUNT):
        shutil.rmtree(root)
        shutil.copytree(made, root)
        done = edited(root, np.random.default_rng([7, number]))
        try:
            found = compared(root)
        except TrajStoreError as error:
            told[f"{number} {done}"] = str(error)
        else:
            assert found == whole, done
    assert len(told) > COUNT // 4
    assert all(": " in text for text in told.values()), told
    logger.info("{} edits: {} named, the others harmless", COUNT, len(told))


def again(root: Path) -> None:
    """Every stage by hand, in order; the dataset is as it was."""
    make_expert(root)
    for name in ("clone", "clone_control"):
        make_clones(root, name)
    for arm in STARTS:
        train(root, arm)


def test_a_stage_makes_again_what_was_edited_or_refuses(made: Path, root: Path) -> None:
    whole, refused = tiny.contents(made), 0
    count = max(COUNT // 4, 2)
    for number in range(count):
        shutil.rmtree(root)
        shutil.copytree(made, root)
        done = edited(root, np.random.default_rng([11, number]))
        try:
            again(root)
        except TrajStoreError as error:
            assert ": " in str(error), (done, error)
            refused += 1
        else:
            found = tiny.contents(root)
            wrong = sorted(name for name in whole if found.get(name) != whole[name])
            assert all("checkpoint" in name or name.endswith("plan.json") for name in wrong), (
                done,
                wrong,
            )
    logger.info("{} edits: {} refused, the others made again as they were", count, refused)


@pytest.mark.parametrize(
    ("one", "other", "arm"),
    [
        ("baseline", "finetune", "baseline"),
        ("finetune", "control", "control"),
        ("clone", "clone_control", "finetune"),
        ("clone/seed_1", "clone/seed_2", "finetune"),
        ("clone/seed_1", "clone_control/seed_1", "control"),
        ("baseline/seed_1", "baseline/seed_2", "baseline"),
        ("baseline/seed_1", "finetune/seed_1", "finetune"),
    ],
)
def test_swapped_folders_are_refused_by_name_and_nothing_is_trained(
    root: Path, one: str, other: str, arm: str
) -> None:
    swap(root / one, root / other)
    before = tiny.contents(root)
    with pytest.raises(TrajStoreError, match=r"/(seed_\d|clone\w*): expected .*, got"):
        train(root, arm)
    assert tiny.contents(root) == before
    if not one.startswith("clone"):
        with pytest.raises(TrajStoreError, match=r": expected .*, got .*; put|; give|; run"):
            compared(root)


@pytest.mark.parametrize("kind", ["expert", "dataset"])
def test_an_expert_or_a_dataset_that_the_arms_do_not_know_is_refused(root: Path, kind: str) -> None:
    if kind == "expert":
        shutil.rmtree(root / "models")
        expert.run(replace(EXPERT, seeds=(3,)), tiny.WORLD, root / "models")
    else:
        shutil.rmtree(root / "dataset")
        few = replace(tiny.RECORD, each=3)
        record.run(few, tiny.ENV, root / "models", root / "dataset")
    with pytest.raises(TrajStoreError, match=rf"^compare\.{kind}: expected "):
        compared(root)
