"""Names of datasets and fields, and references to versions."""

import re
from dataclasses import dataclass

from trajstore.episode.texts import shown
from trajstore.errors import NameRefusedError, SchemaError

MAX_NAME = 512
"""Letters of a field: the name is a path below a version, whose own has to find room beside it."""
RESERVED = frozenset({"anomaly", "digest", "episode", "length", "mask", "step"})
"""What no field is called, since tables have columns of these names."""
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_VERSION = re.compile(r"v([1-9][0-9]{0,8})", re.ASCII)
_RULE = "1 to 64 of a-z, 0-9, '_' and '-', the first a letter or digit"


@dataclass(frozen=True, slots=True)
class Reference:
    """Which version is meant; exactly one of name and location is set.

    Attributes:
        name: of the dataset.
        version: its number; ``None`` for the newest that fits.
        newest: whether the newest sealed version is meant, whatever its status.
        archived: whether the archive's copy is meant.
        location: path or URL of a version outside any dataset.

    Example:
        >>> parse_reference("expert@v3")
        Reference(name='expert', version=3, newest=False, archived=False, location=None)
    """

    name: str = ""
    version: int | None = None
    newest: bool = False
    archived: bool = False
    location: str | None = None

    def __str__(self) -> str:
        if self.location is not None:
            return self.location
        suffix = "@latest" if self.newest else ""
        if self.version is not None:
            suffix = f"@v{self.version}"
        return f"{'archive:' if self.archived else ''}{self.name}{suffix}"


def is_name(text: str) -> bool:
    """Whether the text may name a dataset."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> str:
    """Return the name of a dataset if it is one; else raise `NameRefusedError`."""
    if not isinstance(name, str) or not is_name(name):
        raise NameRefusedError(f"dataset name: expected {_RULE}, got {shown(name)}")
    return name


def check_field_name(name: object) -> None:
    """Refuse what may not name a field; raise `SchemaError`."""
    segments = name.split("/") if isinstance(name, str) else [name]
    for segment in segments:
        if not isinstance(segment, str) or not _SEGMENT.fullmatch(segment):
            raise SchemaError(
                f"field {shown(name)}: expected names of letters, digits, '_' and '-' joined by "
                "'/', each at most 64 long and starting with a letter or digit, "
                f"got {shown(segment)}"
            )
    if len(str(name)) > MAX_NAME:
        raise SchemaError(
            f"field {shown(name)}: expected at most {MAX_NAME} letters in all, so that its files "
            f"find room below any folder, got {len(str(name)):,}; shorten the name or nest less"
        )
    if name in RESERVED:
        raise SchemaError(
            f"field {name!r}: expected a name that tables do not use, got one of "
            f"{', '.join(sorted(RESERVED))}"
        )


def version_number(text: str) -> int | None:
    """The number in ``v3``; ``None`` if the text does not name a version.

    Example:
        >>> version_number("v12"), version_number("v012")
        (12, None)
    """
    match = _VERSION.fullmatch(text)
    return int(match[1]) if match else None


def parse_reference(text: str) -> Reference:
    """Read ``expert``, ``expert@v3``, ``expert@latest``, ``archive:expert@v1`` or a path.

    Text that holds a slash, or is ``.``, is a location: a path or a URL.

    Raises:
        NameRefusedError: if it is none of these.
    """
    if not isinstance(text, str) or not text or not text.isprintable():
        raise NameRefusedError(f"reference: expected text, got {shown(text)}")
    if "/" in text or "\\" in text or text in (".", ".."):
        return Reference(location=text)
    prefix, colon, rest = text.rpartition(":")
    if prefix not in ("", "archive") or (colon and not prefix):
        raise NameRefusedError(f"reference: expected 'archive:' before ':', got {shown(text)}")
    name, at, chosen = rest.partition("@")
    check_name(name)
    version = version_number(chosen)
    if at and version is None and chosen != "latest":
        raise NameRefusedError(
            f"reference {shown(text)}: expected a version such as v3, or latest, after '@'"
        )
    return Reference(name, version, chosen == "latest", prefix == "archive")
