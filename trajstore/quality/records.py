"""Small records in files of their own: a verdict or a replay's report beside a version, reviews."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from trajstore.disk.files import read_json, write_json
from trajstore.errors import CorruptionError, NotFoundError

FORMAT_VERSION = 1


class _Plain(Protocol):
    def to_json(self) -> dict[str, Any]: ...


Record = TypeVar("Record", bound=_Plain)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Record]):
    """What a file holds.

    Attributes:
        type: of the record.
        name: as messages call it.
        remedy: what to do about one that is damaged.
        suffix: of the file, where it lies beside a version.

    Example:
        >>> kind = Kind(Any, "a verdict", "remove it", "status")
        >>> kind.beside(Path("store/expert/v4")).as_posix()
        'store/expert/v4.status.json'
    """

    type: type[Record]
    name: str
    remedy: str
    suffix: str = ""

    def beside(self, version: Path) -> Path:
        """Where the record on a version's folder lies."""
        return version.with_name(f"{version.name}.{self.suffix}.json")

    def read_beside(self, version: Path) -> Record | None:
        """The record on a version, as `read` gives it."""
        return self.read(self.beside(version))

    def write_beside(self, version: Path, record: Record) -> None:
        """Put the record beside the version, as `write` does."""
        self.write(self.beside(version), record)

    def write(self, path: Path, record: Record) -> None:
        """Put a record in place of a file in one durable step.

        Raises:
            StorageError: if the operating system refuses; what was there is then unchanged.
        """
        write_json(path, record.to_json())

    def read(self, path: Path) -> Record | None:
        """Read a file; ``None`` if there is none.

        Raises:
            CorruptionError: if it holds something else.
            StorageError: if it cannot be read.
        """
        try:
            record = read_json(path)
        except NotFoundError:
            return None
        except CorruptionError as error:
            raise self._other(path, "something else") from error
        return self.parse(record, path)

    def parse(self, record: Any, where: object) -> Record:  # noqa: ANN401 - any JSON
        """Build a record from plain JSON values.

        Raises:
            CorruptionError: if they are something else.
        """
        try:
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError(f"format version {record['format_version']!r}")
            return msgspec.convert(record, self.type)
        except (KeyError, TypeError, ValueError) as error:
            raise self._other(where, f"{type(error).__name__}: {error}") from error

    def _other(self, where: object, found: str) -> CorruptionError:
        return CorruptionError(
            f"{where}: expected {self.name} of format {FORMAT_VERSION}, got {found}; {self.remedy}"
        )
