"""Make sealed versions of new names from episodes of others: planned first, then written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict, Unpack

import msgspec
import numpy as np

from trajstore.curation.ancestry import CURATION, Made, Parent
from trajstore.dataset import Dataset
from trajstore.disk import system
from trajstore.disk.files import remove_tree
from trajstore.disk.json_text import canonical_json
from trajstore.disk.system import storing, sync_directory
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import brief, check_line
from trajstore.errors import SchemaError, SealedError
from trajstore.lifecycle.shelf import Shelf
from trajstore.quality.records import read_verdict, status_path, write_verdict
from trajstore.version.composing import Source, compose, pieces_of, shared_bytes
from trajstore.version.manifest import Manifest, content_digest
from trajstore.version.writer import DEFAULT_QUOTA_BYTES, check_recipe


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the store that others are made of.

    Attributes:
        reference: its full name, such as ``expert@v3``.
    """

    reference: str
    dataset: Dataset

    def taking(self, episodes: np.ndarray) -> "Taken":
        """Some of its episodes, by number."""
        return Taken(self, episodes)


@dataclass(frozen=True, slots=True)
class Taken:
    """Episodes of a version that a new one takes; ``int64[n]``, in order."""

    version: Version
    episodes: np.ndarray


class Options(TypedDict, total=False):
    """What may be said of every version that is made.

    Attributes:
        reason: why, in one sentence.
        anew: write all rows anew, so that nothing of other episodes lies in the files.
        quota_bytes: most that the new version may take on disk, 25 GB unless told.
        dry_run: refuse what would be refused, and write nothing.
    """

    reason: str
    anew: bool
    quota_bytes: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a new version is made by.

    Attributes:
        how: ``select``, ``merge`` or ``split``.
        taken: from each parent, in order.
        criterion: of the choice, plain JSON values.
        duplicates: episodes left out because another parent has them.
    """

    how: str
    taken: tuple[Taken, ...]
    criterion: Mapping[str, Any]
    duplicates: int = 0

    def provenance(self, reason: str) -> dict[str, Any]:
        """That of the new version: what all parents agree on, and how it was made."""
        known = [dict(it.version.dataset.manifest.provenance) for it in self.taken]
        for provenance in known:
            provenance.pop(CURATION, None)
        shared = {
            key: value
            for key, value in known[0].items()
            if all(key in it and it[key] == value for it in known)
        }
        parents = []
        for own, it in zip(known, self.taken, strict=True):
            manifest = it.version.dataset.manifest
            rest = {key: value for key, value in own.items() if key not in shared}
            counts = manifest.episodes, len(it.episodes)
            digest = manifest.content_digest
            parents.append(Parent(it.version.reference, digest, *counts, rest))
        taken, had = (sum(getattr(it, key) for it in parents) for key in ("taken", "episodes"))
        counted = {"episodes": taken, "left_out": had - taken, "duplicates": self.duplicates}
        made = Made(self.how, tuple(parents), self.criterion, counted, reason)
        return {**shared, CURATION: msgspec.to_builtins(made)}

    def sources(self) -> list[Source]:
        """The parents that have anything to give."""
        some = [it for it in self.taken if len(it.episodes)]
        return [Source(it.version.dataset.files, it.episodes) for it in some]


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that was made, or would be.

    Attributes:
        reference: its name, such as ``expert-clean@v1``.
        left_out: episodes of the parents that it has not, duplicates included.
        shared_bytes: of the files that it has in common with its parents.
        path: of its folder.
    """

    reference: str
    content_digest: str
    episodes: int
    steps: int
    left_out: int
    duplicates: int
    shared_bytes: int
    path: str


def check_new(shelf: Shelf) -> None:
    """Refuse a dataset that has, or had, a version, or in which one is being recorded."""
    live = {*shelf.live(), *shelf.bereft(), *shelf.in_work("recording"), *shelf.in_work("removing")}
    live |= {entry.version for entry in shelf.ledger()}
    if live:
        numbers = ", ".join(f"v{it}" for it in sorted(live)[:5])
        raise SealedError(
            f"{shelf.name}: a dataset of that name exists, with {numbers}; choose another name"
        )


def check_schemas(versions: Sequence[Version]) -> None:
    """Refuse versions whose fields differ; their order may."""
    first, *others = versions
    for other in others:
        found = _difference(first.dataset.schema, other.dataset.schema)
        if found:
            raise SchemaError(
                f"{other.reference}: its fields are not those of {first.reference}: {found}"
            )


def make(
    recipes: Mapping[str, Recipe], shelves: Mapping[str, Shelf], **options: Unpack[Options]
) -> list[Kept]:
    """Write each recipe as a version of a new dataset, all of them or none.

    Of several, those that a killed process left whole are taken as they are.

    Args:
        recipes: by name of the dataset.
        shelves: of the same names.
        options: see `Options`.

    Raises:
        SealedError: if a name is taken.
        CorruptionError: if a parent is not what was sealed.
        QuotaExceededError: if a version would be larger than its quota.
        LockedError: if someone else is at work on a name.
        StorageError: if the operating system refuses.
    """
    anew, quota_bytes = options.get("anew", False), options.get("quota_bytes", DEFAULT_QUOTA_BYTES)
    reason = options.get("reason", "")
    check_line("reason", reason)
    provenances = {name: recipe.provenance(reason) for name, recipe in recipes.items()}
    for name, recipe in recipes.items():
        schema = recipe.taken[0].version.dataset.schema
        check_recipe(schema, provenances[name], quota_bytes)
    found = {
        name: _there(it, shelves[name], provenances[name], anew=anew)
        for name, it in recipes.items()
    }
    made = {} if all(found.values()) else {name: it for name, it in found.items() if it}
    todo = {name: it for name, it in recipes.items() if name not in made}
    for name in todo:
        check_new(shelves[name])
    if options.get("dry_run"):
        made |= {name: _kept(it, shelves[name], anew=anew) for name, it in todo.items()}
        return [made[name] for name in recipes]
    with ExitStack() as stack:
        claims = {
            name: stack.enter_context(_claimed(shelves[name], it.how)) for name, it in todo.items()
        }
        for name, recipe in todo.items():
            kept = _kept(recipe, shelves[name], anew=anew)
            target = claims[name](Path(kept.path))
            sources, provenance = recipe.sources(), provenances[name]
            compose(target, sources, provenance, quota_bytes=quota_bytes, anew=anew)
            _judged_alike(recipe, kept)
            made[name] = kept
    return [made[name] for name in recipes]


def _there(
    recipe: Recipe, shelf: Shelf, provenance: Mapping[str, Any], *, anew: bool
) -> Kept | None:
    """The only version of a dataset, if it is what the recipe makes."""
    if shelf.used() != {1} or shelf.live() != [1]:
        return None
    kept, manifest = _kept(recipe, shelf, anew=anew, number=1), Manifest.read(shelf.path(1))
    told, wanted = (canonical_json(dict(it)) for it in (manifest.provenance, provenance))
    return kept if (manifest.content_digest, told) == (kept.content_digest, wanted) else None


def _judged_alike(recipe: Recipe, kept: Kept) -> None:
    """What was judged of the same content holds of it under another name, too."""
    for it in recipe.taken:
        verdict = read_verdict(it.version.dataset.path)
        if verdict is not None and verdict.digest == kept.content_digest:
            write_verdict(Path(kept.path), verdict)


@contextmanager
def _claimed(shelf: Shelf, how: str) -> Iterator[Callable[[Path], Path]]:
    """Hold a new dataset while versions of it are made; if that fails, nothing of it stays.

    What is yielded notes the folder of a version before it is made.
    """
    begun: list[Path] = []

    def noted(target: Path) -> Path:
        begun.append(target)
        return target

    with shelf.locked(how):
        try:
            check_new(shelf)
            with storing(shelf.folder):
                for number in shelf.in_work("sealing"):  # of a process that died
                    remove_tree(shelf.folder / f".v{number}.sealing")
            yield noted
        except BaseException:
            with storing(shelf.folder):
                for target in begun:
                    remove_tree(status_path(target))
                    remove_tree(target)
                with suppress(OSError):
                    system.OPS.rmdir(shelf.folder)
                    sync_directory(shelf.folder.parent)
            raise


def _kept(recipe: Recipe, shelf: Shelf, *, anew: bool, number: int = 0) -> Kept:
    sources, number = recipe.sources(), number or shelf.next_version()
    pieces = pieces_of(sources, anew=anew)
    schema = sources[0].files.manifest.schema
    digests = [digest for it in sources for digest in it.assembly.digests()]
    had = sum(len(it.version.dataset) for it in recipe.taken)
    return Kept(
        reference=f"{shelf.name}@v{number}",
        content_digest=content_digest(schema, digests),
        episodes=len(digests),
        steps=sum(piece.part.steps for piece in pieces),
        left_out=had - len(digests),
        duplicates=recipe.duplicates,
        shared_bytes=shared_bytes(pieces),
        path=str(shelf.path(number)),
    )


def _difference(one: EpisodeSchema, other: EpisodeSchema) -> str:
    """In which fields two schemas differ, and in what; empty if in none."""
    mine, theirs = ({it.name: it for it in schema.fields} for schema in (one, other))
    told = [f"no field {name!r}" for name in mine if name not in theirs]
    told += [f"field {name!r}" for name in theirs if name not in mine]
    told += [
        f"field {name!r}: {what}"
        for name, spec in mine.items()
        if name in theirs and (what := _told(spec, theirs[name]))
    ]
    return "; ".join(told[:5])


def _told(one: FieldSpec, other: FieldSpec) -> str:
    values = {
        it.name: (getattr(one, it.name), getattr(other, it.name))
        for it in fields(FieldSpec)
        if it.compare
    }
    return ", ".join(
        f"{name} {brief(two, 60) or 'none'} instead of {brief(mine, 60) or 'none'}"
        for name, (mine, two) in values.items()
        if mine != two
    )
