"""Episodes that come from another format, and files in one that appear whole or not at all."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from trajstore.dataset import Dataset
from trajstore.disk.files import remove_tree
from trajstore.disk.system import storing
from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.episode.names import MAX_NAME, RESERVED
from trajstore.episode.nesting import below
from trajstore.episode.schema import ENDS, EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import (
    ArgumentError,
    CorruptionError,
    SchemaError,
    SealedError,
)

Progress = Callable[[int], None]
"""Called with the episodes that were written since the last call."""


def unwatched(episodes: int) -> None:
    """The progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an importer gives.

    Attributes:
        schema: of the episodes.
        provenance: that travelled with them; plain JSON values.
        read: reads the episodes, each when it is asked for.
        left_out: what the file holds and the episodes do not, one line each; the provenance says
            it too.
        notes: what the file cannot say, and how it was taken, one line each.
        count: of the episodes, if it is known before they are read.
        names: of fields, by other names that the file has for them.
    """

    schema: EpisodeSchema
    provenance: Mapping[str, Any]
    read: Callable[[], Iterator[Episode]]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    count: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def episodes(self) -> Iterator[Episode]:
        """The episodes from the first on, each time that they are asked for."""
        return self.read()


def about(dataset: Dataset) -> dict[str, Any]:
    """What travels with the episodes, as plain JSON: schema and provenance."""
    provenance = dict(dataset.manifest.provenance)
    return {"schema": dataset.schema.to_json(), "provenance": provenance}


def read_about(
    record: object, *, also: Collection[str] = ()
) -> tuple[EpisodeSchema, dict[str, Any]]:
    """Schema and provenance, from what `about` gave; what makes no sense raises as they do.

    ``also`` are keys that a format has beside them; others are refused. Frames that went through a
    codec are taken as they are, so their fields have none any more.
    """
    if not isinstance(record, dict) or record.keys() - {*also} != {"schema", "provenance"}:
        got = sorted(record) if isinstance(record, dict) else record
        raise CorruptionError(f"expected schema and provenance alone, got {shown(got)}")
    if not isinstance(record["schema"], list) or not isinstance(record["provenance"], dict):
        raise CorruptionError("expected a list of fields and a record, got others")
    schema = EpisodeSchema.from_json(record["schema"])
    fields = tuple(replace(spec, codec=None) for spec in schema.fields)
    return EpisodeSchema(fields), dict(record["provenance"])


def told(
    provenance: Mapping[str, Any], left_out: Iterable[str], notes: Iterable[str] = ()
) -> dict[str, Any]:
    """A provenance that says what was left out of an import, and how the rest was taken."""
    lists = {"left_out": list(left_out), "import_notes": list(notes)}
    return dict(provenance) | {key: lines for key, lines in lists.items() if lines}


def check_has(dataset: Dataset, *names: str, package: str) -> None:
    """Refuse a dataset without a field that a package's format demands."""
    missing = set(names) - set(dataset.schema.names)
    if missing:
        raise SchemaError(
            f"{package} needs a field {min(missing)!r}, and there is none in "
            f"{list(dataset.schema.names)}; export to npz"
        )


def without(schema: EpisodeSchema, leave_out: Collection[str]) -> EpisodeSchema:
    """The schema without some fields; whoever imports may leave out all but the ends."""
    check_leave_out(leave_out, set(schema.names))
    return EpisodeSchema(tuple(spec for spec in schema.fields if spec.name not in leave_out))


def check_leave_out(leave_out: Collection[str], names: Collection[str]) -> None:
    """Refuse to leave out what there is not, or the ends, without which there is no episode."""
    for name in leave_out:
        if isinstance(leave_out, str) or name not in names or name in ENDS:
            known = ", ".join(sorted(set(names) - set(ENDS)))
            raise ArgumentError(
                f"leave out: expected names of {shown(known, 400)}, got "
                f"{shown(leave_out if isinstance(leave_out, str) else name)}"
            )


def leaving_out(*names: str) -> str:
    """How a message says that fields can be left out."""
    options = " ".join(f"--leave-out {quote(name)}" for name in names)
    return f"to import the rest: {options} (in Python leave_out={list(names)})"


def field_name(key: str, taken: Collection[str]) -> str | None:
    """A name of a field for a key of another package; ``None`` if there is none that is free.

    Example:
        >>> field_name("TimeLimit.truncated", {"reward"}), field_name("reward", {"reward"})
        ('TimeLimit_truncated', None)
    """
    name = "/".join(
        re.sub(r"[^A-Za-z0-9_-]", "_", part).lstrip("_-")[:64] for part in key.split("/")
    )
    folded, others = name.casefold(), [other.casefold() for other in taken]
    free = folded not in RESERVED and not any(
        below(folded, other) or below(other, folded) for other in others
    )
    return name if free and all(name.split("/")) and len(name) <= MAX_NAME else None


def fitting(spec: FieldSpec, values: Any) -> np.ndarray:  # noqa: ANN401 - of another package
    """Values with the dtype of a field; refused if any would become another."""
    array = np.asarray(values)
    if array.dtype == spec.dtype or spec.is_text:
        return array
    if array.dtype.kind not in "biuf":
        raise SchemaError(f"field {spec.name!r}: expected {spec.dtype}, got {array.dtype}")
    with np.errstate(invalid="ignore", over="ignore"):
        cast = array.astype(spec.dtype)
        back = cast.astype(array.dtype)
    changed = (back != array) & ~(np.isnan(back) & np.isnan(array))
    if changed.any():
        value = array[changed].ravel()[0]
        raise SchemaError(
            f"field {spec.name!r}: expected values that {spec.dtype} holds as they are, "
            f"got {value!r} of {array.dtype}"
        )
    return cast


def widened(spec: FieldSpec, dtype: np.dtype[Any]) -> FieldSpec:
    """The field with the dtype of the file, where that holds more than the space declares."""
    wider = dtype.kind == "f" and spec.dtype.startswith("float")
    if wider and dtype.itemsize > np.dtype(spec.dtype).itemsize:
        return replace(spec, dtype=dtype.name)
    return spec


def whole_episode(
    where: str, schema: EpisodeSchema, arrays: dict[str, np.ndarray], *, mark_truncated: bool
) -> Episode:
    """The episode of these arrays; a refusal says which it is, and what goes round it.

    Raises:
        SchemaError: if they are not one whole episode of the schema.
    """
    terminated, truncated = (np.asarray(arrays[name]) for name in ENDS)
    if not (terminated[-1:].any() or truncated[-1:].any()) and truncated.size:
        if not mark_truncated:
            raise SchemaError(
                f"{where}: does not end: neither terminated nor truncated at its last step; to "
                "import such episodes as truncated: --mark-truncated (in Python "
                "mark_truncated=True)"
            )
        arrays = {**arrays, "truncated": truncated.copy()}
        arrays["truncated"][-1:] = True
    try:
        return Episode(schema, arrays)
    except SchemaError as error:
        faulty = [spec.name for spec in schema.fields if _is_faulty(spec, arrays, len(terminated))]
        names = [name for name in faulty if name not in ENDS]
        remedy = f"; {leaving_out(*names)}" if names and names == faulty else ""
        raise SchemaError(f"{where}: {error}{remedy}") from error


def _is_faulty(spec: FieldSpec, arrays: Mapping[str, np.ndarray], steps: int) -> bool:
    try:
        spec.check(arrays[spec.name], steps)
    except SchemaError:
        return True
    return False


@contextmanager
def whole_export(target: Path) -> Iterator[Path]:
    """Yield an absolute path for a file or folder; it becomes ``target`` if the block ends well.

    Otherwise nothing stays, parent folders that were made for it included.
    """
    if "\0" in str(target):
        raise ArgumentError(f"{shown(str(target))}: expected a path without NUL; choose another")
    if os.path.lexists(target):
        raise SealedError(f"{target}: exists already; choose another path, or remove it")
    whole = target.absolute()
    made = [folder for folder in whole.parents if not folder.exists()]
    partial = whole.with_name(f".{whole.name}.{os.getpid()}.partial")
    with storing(target):
        try:
            whole.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.rename(whole)
        except BaseException:
            with suppress(OSError):  # which must not hide the error that brought us here
                remove_tree(partial)
                for folder in made:
                    folder.rmdir()
            raise
