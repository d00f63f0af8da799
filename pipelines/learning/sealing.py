"""What a finished run and a finished arm leave is sealed: evidence that changed or moved is named.

``run.json`` holds SHA-256 of what the run left, and ``arm.json`` that of the ``run.json`` of every
seed, with the name of the folder that the arm was made in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pipelines.learning.policy import RECORD as POLICY
from pipelines.learning.policy import TENSORS
from pipelines.learning.runlog import (
    EPISODES,
    EVALUATIONS,
    LOSSES,
    RECORD,
    REMEDY,
    RunError,
    RunRecord,
    RunStatus,
    Sha256,
    read_evaluations,
    read_record,
    read_run,
    write_run,
)
from trajstore.disk.checked import write_checked
from trajstore.disk.files import digest, remove_tree
from trajstore.errors import CorruptionError, NotFoundError, StorageError

ARM, EXPERT = "arm.json", "expert"
SHOWN = "demonstrations.safetensors"
LEFT = (EVALUATIONS, EPISODES, LOSSES, SHOWN, f"policy/{POLICY}", f"policy/{TENSORS}")
"""What a run may leave as evidence, below its folder."""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """What a stage left of one arm, or of the clones in one folder.

    Attributes:
        folder: name of the folder that it was made in; empty for the expert, whose manifest says
            what it is wherever it lies.
        runs: SHA-256 of ``run.json`` by seed.
    """

    arm: str
    folder: str
    runs: Mapping[Annotated[str, Meta(pattern="^[0-9]{1,10}$")], Sha256]


def evidence(folder: Path) -> dict[str, str]:
    """SHA-256 of what a run left, by path below its folder."""
    return {name: digest(folder / name) for name in LEFT if (folder / name).is_file()}


def seal_run(folder: Path, record: RunRecord) -> None:
    """Write the record of a completed run, and with it the digests of all that it left."""
    write_run(folder, replace(record, files=evidence(folder)))


def read_sealed(folder: Path) -> RunRecord:
    """The record of a completed run whose files are all as it left them.

    Raises:
        NotFoundError: there is no record.
        CorruptionError: the record was changed.
        RunError: the run did not complete, lies in the folder of another seed, or one of its
            files was changed, removed or added.
    """
    record = read_run(folder)
    if record.status is not RunStatus.COMPLETED:
        raise RunError(
            f"{folder}: this run is {record.status}, not completed; start its stage again"
        )
    if folder.name.startswith("seed_") and folder.name != f"seed_{record.seed}":
        raise RunError(
            f"{folder}: expected the run of this seed, got that of seed {record.seed}, arm "
            f"{record.arm}; put each run back into its own folder"
        )
    found = evidence(folder)
    check_files(folder, record.files, found)
    if EVALUATIONS in found and (last := read_evaluations(folder)[-1]["steps"]) != record.steps:
        raise RunError(
            f"{folder / EVALUATIONS}: expected an evaluation at {record.steps} steps at the end, "
            f"got one at {last}; {REMEDY}"
        )
    return record


def check_files(folder: Path, told: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse files that are not those that a record tells of; a `RunError` names the first."""
    for name in sorted(told.keys() | found.keys()):
        if told.get(name) != found.get(name):
            came = "none" if name not in found else "another one" if name in told else "one more"
            wanted = "the file that was sealed" if name in told else "no such file"
            raise RunError(f"{folder / name}: expected {wanted}, got {came}; {REMEDY}")


def seal_arm(out: Path, arm: str, seeds: Iterable[int]) -> None:
    """Write ``arm.json`` over the finished runs of an arm."""
    runs = {str(seed): digest(out / f"seed_{seed}" / RECORD) for seed in sorted(seeds)}
    folder = "" if arm == EXPERT else out.resolve().name
    write_checked(out / ARM, msgspec.to_builtins(ArmRecord(arm, folder, runs)))


def unseal_arm(out: Path, arm: str) -> None:
    """Let an arm's folder be changed; one that holds runs of another arm or seed is refused."""
    for folder in sorted(out.glob("seed_*")):
        try:
            record = read_run(folder)
        except (NotFoundError, CorruptionError, RunError, StorageError):
            continue
        if (record.arm, f"seed_{record.seed}") != (arm, folder.name):
            raise RunError(
                f"{folder}: expected a run of arm {arm}, {folder.name}, got one of arm "
                f"{record.arm}, seed {record.seed}; put it back into its own folder, or remove it"
            )
    remove_tree(out / ARM)


def read_arm(folder: Path) -> ArmRecord:
    """What was sealed of the arm in a folder; one that was moved there is a `RunError`."""
    if not (folder / ARM).is_file():
        raise RunError(
            f"{folder}: expected {ARM}, which a stage writes when every seed is done, got none; "
            f"{REMEDY}"
        )
    record = read_record(folder / ARM, ArmRecord)
    if record.folder not in ("", folder.resolve().name):
        raise RunError(
            f"{folder}: expected what was made in a folder of this name, got arm {record.arm} of "
            f"a folder {record.folder!r}; give it its name back"
        )
    return record


def read_member(folder: Path, arm: ArmRecord, seed: int) -> RunRecord:
    """The record of one seed of an arm, whole and as it was sealed, else a `RunError`."""
    run = folder / f"seed_{seed}"
    if str(seed) not in arm.runs:
        raise RunError(
            f"{folder}: expected a run of seed {seed}, got seeds {sorted(map(int, arm.runs))}; "
            "run the stage with this seed"
        )
    record = read_sealed(run)
    if record.arm != arm.arm:
        raise RunError(
            f"{run}: expected a run of arm {arm.arm}, got one of {record.arm}; put it back into "
            "its own folder"
        )
    if digest(run / RECORD) != arm.runs[str(seed)]:
        raise RunError(
            f"{run / RECORD}: expected the record that {folder / ARM} lists, got that of another "
            f"run; {REMEDY}"
        )
    return record


def check_run_of(policy: Path) -> None:
    """Refuse a policy that is not the one its run left; a policy apart from a run passes."""
    run = policy.resolve().parent
    if any((run / name).exists() for name in (RECORD, LOSSES, EVALUATIONS)):
        read_sealed(run)
