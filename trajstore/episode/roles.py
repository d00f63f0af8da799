"""What a field is to those who watch and judge episodes, whatever it is called.

Detectors, checks and playback ask for a role, never for a name. A field that is named like a role
has it, unless another declares it. A role changes no value, so it is no part of any digest.
"""

from collections.abc import Callable
from dataclasses import dataclass

from trajstore.errors import SchemaError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """What a field must be to have a role: its axes, the shape of a row, and whether it is text."""

    axes: tuple[str, ...]
    meaning: str
    fits: Callable[[Shape], bool]
    text: bool = False


def _rows_of(width: int) -> Callable[[Shape], bool]:
    return lambda row: len(row) == 2 and row[1] == width


ROLES: dict[str, Role] = {
    "pose": Role(
        ("state",), "x, y[, heading] of the agent", lambda row: len(row) == 1 and row[0] >= 2
    ),
    "velocity": Role(("state",), "speed of the agent first", lambda row: len(row) <= 1),
    "others": Role(("state",), "[P, 2] positions of others", _rows_of(2)),
    "others_velocity": Role(("state",), "[P, 2] velocities of others", _rows_of(2)),
    "clearance": Role(
        ("step", "state"), "a distance, contact at 0 and below", lambda row: row == ()
    ),
    "goal": Role(("episode",), "x, y", lambda row: row == (2,)),
    "walls": Role(("episode",), "[W, 4] segments x0, y0, x1, y1", _rows_of(4)),
    "outcome": Role(("episode",), "a word for how it ended", lambda row: row == (), text=True),
}
"""The roles there are; ``nan`` stands for nobody, no wall, not known."""
CONTACT = ("collision", "crash")
"""Outcomes that begin so tell of a contact."""

NAMED_BEFORE = {
    "robot_pose": "pose",
    "robot_velocity": "velocity",
    "pedestrian_position": "others",
    "pedestrian_velocity": "others_velocity",
}
"""Names that told the role before schemas could."""
RADII = {
    "agent": ("agent_radius", "robot_radius"),
    "others": ("others_radius", "pedestrian_radius"),
}
"""Keys of a provenance that tell a radius in metres; the last are those of older datasets."""


def check_role(where: str, role: object, axis: str, shape: Shape, *, text: bool) -> None:
    """Refuse a role that does not exist, or that such a field cannot have."""
    known = ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        raise SchemaError(f"{where}: expected a role out of {', '.join(ROLES)}, got {role!r}")
    if not _fits(known, axis, shape, text=text):
        raise SchemaError(
            f"{where}: expected {'text' if known.text else 'numbers'} on the "
            f"{' or '.join(known.axes)} axis as role {role!r} ({known.meaning}), got "
            f"{'text' if text else 'numbers'} on the {axis} axis, shape {shape}"
        )


def implied_role(name: str, axis: str, shape: Shape, *, text: bool) -> str:
    """The role that a field has by its name; empty if it has none, or could not have it."""
    role = NAMED_BEFORE.get(name, name)
    known = ROLES.get(role)
    return role if known is not None and _fits(known, axis, shape, text=text) else ""


def _fits(role: Role, axis: str, shape: Shape, *, text: bool) -> bool:
    return axis in role.axes and role.text is text and role.fits(shape)
