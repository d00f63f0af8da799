"""The task that the section ``env`` of the parameters chooses."""

from pathlib import Path

from pipelines.running.params import read_section, section_keys
from pipelines.tasks.gym_task import GymTask
from pipelines.tasks.social_nav.task import SocialNavTask
from pipelines.tasks.task import Task


def read_task(path: Path) -> Task:
    """The task: a section with an ``id`` is a Gymnasium environment, another social navigation.

    Raises:
        ParamsError: the section is missing or does not fit.
    """
    if "id" in section_keys(path, "env"):
        return read_section(path, "env", GymTask)
    return read_section(path, "env", SocialNavTask)
