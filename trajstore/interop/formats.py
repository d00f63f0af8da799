"""The table of formats: where each is read and written, what is kept and what is lost.

Nothing of a format is imported before it is asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from trajstore.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        what: it is, in a few words.
        kept: what an import keeps of other people's files, and an export of a version.
        lost: what does not come through.
        reader: module with ``import_dataset(path, ...)``; none if it is only written.
        writer: module with ``export_dataset(dataset, path, ...)``; none if it is only read.
        extra: of the package, that brings what the modules import.
    """

    what: str
    kept: str
    lost: str
    reader: str = ""
    writer: str = ""
    extra: str = "interop"

    def function(self, name: str) -> Callable[..., Any]:
        """``import_dataset`` or ``export_dataset`` of the format.

        Raises:
            ArgumentError: if a package that it needs is not installed.
        """
        module = self.reader if name == IMPORT else self.writer
        install = INSTALL.get(module, f"pip install 'trajstore[{self.extra}]'")
        try:
            found: Callable[..., Any] = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise ArgumentError(
                f"{module.rpartition('.')[2]}: needs the package {error.name!r}, which is not "
                f"installed: {install}"
            ) from error
        return found


IMPORT, EXPORT = "import_dataset", "export_dataset"
FINAL_STATES = ("drop", "repeat", "none")
"""What may stand for a state that a file does not hold; see `trajstore.interop.final_state`."""
_HERE = "trajstore.interop."
INSTALL = {
    _HERE + "imitation": "pip install 'trajstore[imitation]' && "
    "pip install --no-deps imitation==1.0.1"
}
"""What to type for a module that more than an extra brings: imitation asks for an old gymnasium,
which its code does not need.
"""

FORMATS: Mapping[str, Format] = {
    "npz": Format(
        "one file of NumPy arrays",
        "everything, of our own files",
        "nothing",
        _HERE + "npz",
        _HERE + "npz",
    ),
    "lerobot": Format(
        "a LeRobot dataset: v3.0, and v2 to read",
        "features, cameras, tasks, names of components, frame rate, success, end where it is said; "
        "an export also has all else beside LeRobot's files",
        "the state after the last action, which LeRobot does not keep (--final-state); exact "
        "pixels, where pictures are written as video (not with --lossless); its statistics",
        _HERE + "lerobot_files",
        _HERE + "lerobot",
        "lerobot",
    ),
    "robomimic": Format(
        "a robomimic file (HDF5)",
        "observations with the last next_obs, actions, rewards, dones, states, model files, "
        "env_args, filter keys as fields filter_key/NAME; an export also has all else beside them",
        "next_obs that differ from the observation after it; groups that robomimic does not know",
        _HERE + "robomimic_files",
        _HERE + "robomimic",
    ),
    "d4rl": Format(
        "a D4RL file (HDF5), to read",
        "observations, actions, rewards, terminals as terminated, timeouts as truncated, infos, "
        "metadata that are text or numbers",
        "the state after the last action where there are no next_observations (--final-state)",
        _HERE + "d4rl_files",
    ),
    "minari": Format(
        "a Minari dataset (HDF5; Arrow and Parquet to read)",
        "spaces, seeds, infos and notes that every episode has as numbers or constant text, the "
        "environment, author and the rest as provenance; an export holds all of a version",
        "infos and notes that only some episodes have, or that are no numbers",
        _HERE + "minari_files",
        _HERE + "minari",
    ),
    "imitation": Format(
        "a folder as imitation saves it",
        "observations, actions, rewards, plain numbers of infos that every step has; an export "
        "also has all else beside imitation's files",
        "objects in infos, which may hold code; nested observations cannot be exported",
        _HERE + "imitation_files",
        _HERE + "imitation",
    ),
    "rerun": Format(
        "a folder of Rerun recordings, one an episode, to look at",
        "fields of numbers and pictures on a timeline of steps, and of seconds where they are "
        "known; texts and what holds for the episode as documents",
        "bounds, units and exact types of numbers; Rerun's files are not read back",
        writer=_HERE + "rerun",
        extra="rerun",
    ),
}


def told(way: str) -> str:
    """What ``--help`` says of the formats of one way, `IMPORT` or `EXPORT`."""
    lines = []
    for name, it in FORMATS.items():
        if it.reader if way == IMPORT else it.writer:
            lines.append(f"{name}: {it.what}. Kept: {it.kept}. Lost: {it.lost}.")
    return "\n\n".join(lines)
