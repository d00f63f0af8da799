"""Named datasets and their versions: what a program records into, opens, publishes and rotates."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

from trajstore import lifecycle
from trajstore.curation.curator import Curator
from trajstore.dataset import Dataset
from trajstore.disk.files import is_there
from trajstore.disk.system import storing
from trajstore.episode.names import Reference, check_name, is_name, parse_reference
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import (
    ArgumentError,
    CorruptionError,
    NotFoundError,
    StatusError,
    StorageError,
)
from trajstore.lifecycle import Published, Shelf
from trajstore.lifecycle.archived import archived_version, is_pack, open_archived, open_packed
from trajstore.lifecycle.kinds import kind_of
from trajstore.lifecycle.rotation import Decision, Retention
from trajstore.quality.decisions import REVIEWS
from trajstore.quality.marks import without_excluded
from trajstore.quality.reviews import status_of
from trajstore.recording.recorder import Recorder
from trajstore.recording.recover import next_target
from trajstore.recording.unfinished import unfinished
from trajstore.version.location import is_url, place
from trajstore.version.manifest import MANIFEST, Manifest, Status, is_bereft
from trajstore.version.writer import DEFAULT_QUOTA_BYTES, check_recipe

Purpose = Literal["training", "inspection"]
Excluded = Literal["left out", "kept"]


class Store(Curator):
    """The folder of all datasets.

    Example::

        store = Store("data/store")
        with store.record("expert", schema=schema, provenance={"policy": "p7"}) as recorder:
            recorder.add(episode)
        dataset = store.open("expert@v1")

    Args:
        root: folder of the datasets; made by the first recording.
        archive: path or URL of the archive; unless given, what the environment variable
            ``TRAJSTORE_ARCHIVE`` says, else the folder ``archive`` beside the root.
        reviews: file in which curators decide; unless given, what ``TRAJSTORE_REVIEWS`` says, else
            ``reviews.json`` beside the root.

    A path may be spelled in any way, relative, with ``~`` or links in it, or as ``file://``: it
    means what it leads to when the store is made.

    Raises:
        ArgumentError: if one of them is no path.
    """

    def __init__(
        self,
        root: Path | str,
        archive: Path | str | None = None,
        reviews: Path | str | None = None,
    ) -> None:
        for name, where in {"root": root, "archive": archive, "reviews": reviews}.items():
            fits = isinstance(where, str | Path) and str(where) and "\0" not in str(where)
            if not fits and (where is not None or name == "root"):
                raise ArgumentError(
                    f"store: {name}: expected a path as text or a pathlib.Path, got {shown(where)}"
                )
        self.root = place(root)
        archive = archive or os.environ.get("TRAJSTORE_ARCHIVE") or self.root.parent / "archive"
        reviews = reviews or os.environ.get("TRAJSTORE_REVIEWS") or self.root.parent / REVIEWS
        self.archive = archive if is_url(archive) else place(archive)
        self.reviews = place(reviews)

    def record(
        self,
        name: str,
        *,
        schema: EpisodeSchema,
        provenance: Mapping[str, Any],
        quota_bytes: int = DEFAULT_QUOTA_BYTES,
        extends: str | None = None,
    ) -> Recorder:
        """Record the next version of a dataset, or go on with the unfinished one.

        Args:
            name: of the dataset; a new name makes a new dataset.
            schema: the fields of every episode.
            provenance: what makes the version, plain JSON values without times.
            quota_bytes: most that it may take on disk, 25 GB unless told; while it is sealed, the
                journals of the recording lie beside it and count too.
            extends: reference of the version whose episodes come first. Its files are taken over
                as they are, so that a remote which knows them gets only what is new.

        Raises:
            NameRefusedError: if the name is none.
            NotFoundError: if the version to extend does not exist.
            SchemaError: if the schema is none, or the provenance holds what is no plain JSON value.
            ArgumentError: if the quota is no whole number of 1 or more.
            CorruptionError: if the dataset has an unfinished recording that is damaged.
        """
        check_recipe(schema, provenance, quota_bytes)
        base = None if extends is None else self.path(extends)
        shelf = self.shelf(name)
        return Recorder(
            next_target(shelf.folder, shelf.claimed),
            schema=schema,
            provenance=provenance,
            quota_bytes=quota_bytes,
            extends=base,
        )

    def open(
        self, reference: str | Path, *, purpose: Purpose = "training",
        excluded: Excluded = "left out",
    ) -> Dataset:  # fmt: skip
        """Read a version.

        Args:
            reference: ``expert`` (the newest validated version), ``expert@v3``,
                ``expert@latest`` (the newest, whatever its status), a path or a URL; for
                inspection also ``archive:expert@v1``, read in its pack, and a pack's path or URL.
            purpose: training refuses a quarantined version, inspection opens all.
            excluded: for training, episodes marked ``exclude`` are left out: the dataset is a view
                of the others; printed, it says of how many, as the log does. Inspection opens all.

        Raises:
            NameRefusedError: if the reference is malformed.
            NotFoundError: if there is no such version.
            StatusError: if the version is quarantined and wanted for training.
            CorruptionError: if its manifest is damaged.
            ArchiveError: if an archived version's pack is not the one that was archived.
            StorageError: if a URL cannot be reached.
            ValueError: if the purpose, or ``excluded``, is none of these.
        """
        for name, told, known in (("purpose", purpose, Purpose), ("excluded", excluded, Excluded)):
            if told not in get_args(known):
                expected = " or ".join(map(repr, get_args(known)))
                raise ValueError(f"{name}: expected {expected}, got {ascii(told)[:80]}")
        wanted = _parsed(reference)
        if wanted.archived and purpose == "inspection":
            shelf = self.shelf(wanted.name)
            entry = shelf.archived(wanted)
            return open_archived(shelf.archive, entry, shelf.path(entry.version))
        if wanted.location is not None and is_pack(wanted.location) and purpose == "inspection":
            return open_packed(wanted.location, self._had)
        remote = wanted.location if is_url(wanted.location) else None
        dataset = Dataset.open(remote or self.path(reference))
        if purpose == "training" and self.status_of_dataset(dataset) is Status.QUARANTINED:
            raise StatusError(
                f"{reference}: is quarantined, see 'trajstore inspect'; train from another version"
            )
        if purpose == "inspection" or excluded == "kept":
            return dataset
        return without_excluded(dataset, self.reviews, name=reference, root=self.root)

    def _had(self, digest: str) -> Path | None:
        """The folder that content has or had in this store, if its ledgers know it."""
        for shelf in map(self.shelf, self.datasets()):
            with suppress(CorruptionError, StorageError):
                for entry in shelf.ledger():
                    if entry.digest == digest:
                        return shelf.path(entry.version)
        return None

    def datasets(self) -> list[str]:
        """Names of the datasets that have a version or a ledger, or cannot be read, sorted."""
        if not self.root.is_dir():
            return []
        with storing(self.root):
            names = [path.name for path in self.root.iterdir() if path.is_dir()]
        return sorted(name for name in names if is_name(name) and self.shelf(name).is_used())

    def versions(self, name: str) -> list[int]:
        """Numbers of the sealed versions that lie in the store, oldest first."""
        return self.shelf(name).live()

    def folder(self, name: str) -> Path:
        """Where the versions of a dataset lie.

        Raises:
            NameRefusedError: if the name is none.
        """
        return self.root / check_name(name)

    def shelf(self, name: str) -> Shelf:
        """One dataset: its versions, its archive, what is decided about them.

        Raises:
            NameRefusedError: if the name is none.
        """
        return Shelf(self.folder(name), self.archive, self.reviews)

    def unfinished(self, name: str) -> list[Path]:
        """Folders of the versions to be whose recordings were begun, damaged ones too."""
        return unfinished(self.folder(name))

    def path(self, reference: str | Path) -> Path:
        """The folder of the version that is meant.

        Raises:
            NameRefusedError: if the reference is malformed.
            NotFoundError: if there is no such version.
        """
        wanted = _parsed(reference)
        if is_url(wanted.location):
            raise NotFoundError(
                f"{wanted}: is a URL, and this needs a folder of this machine; copy it here"
            )
        if wanted.location is not None:
            return _existing(place(wanted.location), wanted)
        if wanted.archived:
            raise NotFoundError(
                f"{wanted}: is in the archive; first run 'trajstore restore "
                f"{wanted.name}@v{wanted.version or 1}'"
            )
        shelf = self.shelf(wanted.name)
        if wanted.version is not None:
            return _existing(shelf.path(wanted.version), wanted)
        newest_first = shelf.live()[::-1]
        if not newest_first:
            raise NotFoundError(f"{wanted}: there is no version of it; see 'trajstore list'")
        for number in newest_first:
            if wanted.newest or shelf.status(number) is Status.VALIDATED:
                return shelf.path(number)
        raise NotFoundError(
            f"{wanted}: no version is validated yet; run 'trajstore validate "
            f"{wanted.name}@v{newest_first[0]}', or name a version: "
            f"{wanted.name}@v{newest_first[0]}"
        )

    def status(self, reference: str | Path) -> Status:
        """The status that counts: a curator's last review, else the checks' verdict, else draft.

        Raises:
            NotFoundError: if there is no such version.
        """
        path = self.path(reference)
        digest = Manifest.read(path).content_digest
        return status_of(path, self.reviews, digest, root=self.root)

    def status_of_dataset(self, dataset: Dataset) -> Status:
        """The status of an open version, wherever it lies."""
        digest = dataset.manifest.content_digest
        return status_of(dataset.path, self.reviews, digest, root=self.root)

    def publish(self, path: Path | str, name: str) -> Published:
        """Copy a validated version into the store under the next number, then rotate.

        Raises what `trajstore.lifecycle.publish` does.
        """
        return lifecycle.publish(self.shelf(name), place(path))

    def rotate(self, name: str, *, keep: int = 3, dry_run: bool = False) -> list[Decision]:
        """Archive all but the newest versions of each status; returns what was decided.

        Raises what `trajstore.lifecycle.rotate` does.
        """
        _check_switch(dry_run)
        run = lifecycle.plan if dry_run else lifecycle.rotate
        return run(self.shelf(name), retention=Retention(validated=keep))

    def restore(self, reference: str, *, dry_run: bool = False) -> Path:
        """Bring a version such as ``expert@v1`` back from the archive, or only check its pack.

        Raises what `trajstore.lifecycle.restore` does.
        """
        _check_switch(dry_run)
        wanted = archived_version(_parsed(reference), self.shelf)
        if wanted.version is None:
            raise NotFoundError(f"{wanted}: say which version to restore, such as expert@v1")
        return lifecycle.restore(self.shelf(wanted.name), wanted.version, dry_run=dry_run)


def _parsed(reference: str | Path) -> Reference:
    if isinstance(reference, Path):
        return Reference(location=str(reference))
    return parse_reference(reference)


def _check_switch(dry_run: object) -> None:
    if not isinstance(dry_run, bool):
        raise ArgumentError(f"dry_run: expected True or False, got {shown(dry_run)}")


def _existing(path: Path, wanted: Reference) -> Path:
    if not is_there(path / MANIFEST) and not is_bereft(path):
        told = kind_of(path)
        hint = "" if wanted.location or "; see" in told else "; see 'trajstore list'"
        raise NotFoundError(f"{wanted}: no version at {path}: {told}{hint}")
    return path
