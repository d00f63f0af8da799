"""Who shows what is to be learned: an approved expert, any policy on disk, or a function."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.learning.actor import Actor
from pipelines.learning.policy import SavedPolicy, load_policy
from pipelines.learning.promotion import MANIFEST, read_expert
from pipelines.learning.sealing import check_run_of
from pipelines.tasks.interface import check_interface
from pipelines.tasks.naming import imported
from pipelines.tasks.task import Act, Scripted, Task


@dataclass(frozen=True, slots=True)
class Teacher:
    """Where a teacher is found; a worker reads it anew.

    Attributes:
        place: folder of a policy, or ``package.module:function``, from an observation to an
            action as the environment has them.
        id: what a dataset's provenance calls it.
    """

    place: Path | str
    id: str

    def act(self) -> Act:
        """What it does."""
        if isinstance(self.place, str):
            return Scripted(imported(self.place, "record.teacher"))
        return load_policy(self.place).actor

    def provenance(self) -> dict[str, Any]:
        """As a dataset tells who recorded it, and with which interface."""
        if isinstance(self.place, str):
            return {"policy": {"id": self.id, "deterministic": True}}
        policy = load_policy(self.place)
        made = {"id": self.id, "digest": policy.digest, "deterministic": True}
        return {"policy": made, "contract": policy.interface.to_json()}


def read_policy(folder: Path, task: Task) -> tuple[Teacher, SavedPolicy]:
    """The approved expert of a folder, or the policy that lies in it alone.

    Raises:
        NotFoundError: there is neither.
        StatusError: the expert is not approved.
        InterfaceError: the policy is for another task.
    """
    if (folder / MANIFEST).is_file() or not (folder / "policy.json").is_file():
        manifest, policy = read_expert(folder)
        teacher = Teacher(folder / manifest["best"], manifest["id"])
    else:
        check_run_of(folder)
        policy = load_policy(folder)
        teacher = Teacher(folder, f"policy-{policy.digest[:12]}")
    check_interface(task.interface, policy.interface, where=f"policy {folder}")
    return teacher, policy


def is_version(folder: Path) -> bool:
    """Whether a folder is a sealed version, as one that was imported."""
    return (folder / "zarr.json").is_file()


def read_actor(folder: Path, task: Task) -> Actor:
    """What the teacher in a folder does."""
    return read_policy(folder, task)[1].actor


def scripted(name: str) -> Teacher:
    """The function of that name; one that is not there is refused."""
    imported(name, "record.teacher")
    return Teacher(name, name)
