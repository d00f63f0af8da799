"""The task that the section ``env`` of the parameters chooses."""

from pathlib import Path

from pipelines.running.params import plain_section, read_section
from pipelines.tasks.gym_task import GymTask
from pipelines.tasks.naming import named_task
from pipelines.tasks.social_nav.task import SocialNavTask
from pipelines.tasks.task import Task


def read_task(path: Path) -> Task:
    """The task: a section with an ``id`` is a Gymnasium environment, another social navigation.

    An id that names a class of the user's is read as that class, with the fields that it has.

    Raises:
        ParamsError: the section is missing or does not fit.
        PluginError: the installed package that offers the task is at fault.
    """
    section = plain_section(path, "env") or {}
    if "id" not in section:
        return read_section(path, "env", SocialNavTask)
    found = named_task(str(section["id"]))
    if isinstance(found, type) and issubclass(found, Task):
        return read_section(path, "env", found)
    return read_section(path, "env", GymTask)
