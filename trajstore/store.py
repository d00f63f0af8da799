"""Named datasets and their versions; the only module that moves or deletes one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from trajstore import lifecycle as governance
from trajstore.dataset import Dataset
from trajstore.episode.names import Reference, check_name, is_name, parse_reference, version_number
from trajstore.episode.provenance import check_provenance
from trajstore.episode.schema import EpisodeSchema, check_is_schema
from trajstore.errors import NotFoundError, StatusError
from trajstore.lifecycle import Place, Published
from trajstore.lifecycle.ledger import numbers, read_ledger
from trajstore.lifecycle.rotation import Decision, Retention
from trajstore.quality.reviews import status_of
from trajstore.recording.recorder import Recorder
from trajstore.recording.resuming import next_target
from trajstore.recording.unfinished import Recording, recordings, unfinished
from trajstore.version.location import check_place, is_url, locate
from trajstore.version.manifest import MANIFEST, Manifest, Status, is_bereft
from trajstore.version.quota import DEFAULT_QUOTA_BYTES, check_limit

Purpose = Literal["training", "inspection"]


class Store:
    """The folder of all datasets.

    Example::

        store = Store("data/store")
        with store.record("expert", schema=schema, provenance={"policy": "p7"}) as recorder:
            recorder.add(episode)
        dataset = store.open("expert@v1")

    Args:
        root: folder of the datasets; made by the first recording.
        archive: path or URL of the archive; the folder ``archive`` beside the root unless given.
        reviews: file in which curators decide; ``reviews.json`` beside the root unless given.

    Raises:
        ArgumentError: if one of them is no path.
    """

    def __init__(
        self,
        root: Path | str,
        archive: Path | str | None = None,
        reviews: Path | str | None = None,
    ) -> None:
        check_place("root", root)
        check_place("archive", root if archive is None else archive)
        check_place("reviews", root if reviews is None else reviews)
        self.root = Path(root)
        self.archive = self.root.parent / "archive" if archive is None else archive
        self.reviews = self.root.parent / "reviews.json" if reviews is None else Path(reviews)

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
        check_provenance(provenance)
        check_limit(quota_bytes)
        check_is_schema(schema)
        base = None if extends is None else self.path(extends)
        folder = self.folder(name)
        return Recorder(
            next_target(folder, lambda: self.next_version(name)),
            schema=schema,
            provenance=provenance,
            quota_bytes=quota_bytes,
            extends=base,
        )

    def open(self, reference: str | Path, *, purpose: Purpose = "training") -> Dataset:
        """Read a version.

        Args:
            reference: ``expert`` (the newest validated version), ``expert@v3``,
                ``expert@latest`` (the newest, whatever its status), a path or a URL; for
                inspection also ``archive:expert@v1``, which is read in its pack.
            purpose: training refuses a quarantined version, inspection opens all.

        Raises:
            NameRefusedError: if the reference is malformed.
            NotFoundError: if there is no such version.
            StatusError: if the version is quarantined and wanted for training.
            CorruptionError: if its manifest is damaged.
            ArchiveError: if an archived version's pack is not the one that was archived.
            StorageError: if a URL cannot be reached.
            ValueError: if the purpose is neither training nor inspection.
        """
        if purpose not in get_args(Purpose):
            raise ValueError(
                f"purpose: expected 'training' or 'inspection', got {ascii(purpose)[:80]}; "
                "choose one of them"
            )
        wanted = _parsed(reference)
        if wanted.archived and purpose == "inspection":
            return governance.look(self.place(wanted.name), wanted)
        remote = wanted.location if is_url(wanted.location) else None
        dataset = Dataset.open(remote or self.path(reference))
        if purpose == "training" and self.status_of_dataset(dataset) is Status.QUARANTINED:
            raise StatusError(
                f"{reference}: expected a version fit for training, got a quarantined one; "
                "see why with 'trajstore inspect'"
            )
        return dataset

    def datasets(self) -> list[str]:
        """Names of the datasets that have a version or a ledger, sorted."""
        if not self.root.is_dir():
            return []
        names = (path.name for path in self.root.iterdir() if path.is_dir())
        return sorted(name for name in names if is_name(name) and self._used(name))

    def versions(self, name: str) -> list[int]:
        """Numbers of the sealed versions that lie in the store, oldest first."""
        found = self._folders(name)
        return sorted(number for number, path in found.items() if (path / MANIFEST).exists())

    def bereft(self, name: str) -> list[int]:
        """Numbers of the versions whose arrays lie in the store without a manifest."""
        return sorted(number for number, path in self._folders(name).items() if is_bereft(path))

    def _folders(self, name: str) -> dict[int, Path]:
        folder = self.folder(name)
        paths = folder.iterdir() if folder.is_dir() else iter(())
        return {number: path for path in paths if (number := version_number(path.name))}

    def folder(self, name: str) -> Path:
        """Where the versions of a dataset lie.

        Raises:
            NameRefusedError: if the name is none.
        """
        return self.root / check_name(name)

    def next_version(self, name: str) -> int:
        """The number after all that were ever used or are being recorded."""
        return 1 + max(self._used(name), default=0)

    def recordings(self, name: str) -> list[Recording]:
        """Unfinished recordings of a dataset.

        Raises:
            CorruptionError: if one is damaged; `unfinished` names them all.
        """
        return recordings(self.folder(name))

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
        if wanted.location is not None:
            return _located(wanted.location)
        if wanted.archived:
            raise NotFoundError(
                f"{wanted}: expected a version that lies in the store, got one in the archive; "
                f"bring it back first: trajstore restore {wanted.name}@v{wanted.version or 1}"
            )
        if wanted.version is not None:
            return _existing(self.folder(wanted.name) / f"v{wanted.version}", wanted)
        numbered = self.versions(wanted.name)
        paths = [self.folder(wanted.name) / f"v{number}" for number in reversed(numbered)]
        if not paths:
            raise NotFoundError(f"{wanted}: expected a sealed version, got none")
        if wanted.newest:
            return paths[0]
        for path in paths:
            if self.status_of(path) is Status.VALIDATED:
                return path
        raise NotFoundError(
            f"{wanted}: expected a validated version, got none among "
            f"{', '.join(path.name for path in paths)}; validate one, or name it: "
            f"{wanted.name}@{paths[0].name}"
        )

    def status(self, reference: str | Path) -> Status:
        """The status that counts: a curator's last review, else the checks' verdict, else draft.

        Raises:
            NotFoundError: if there is no such version.
        """
        return self.status_of(self.path(reference))

    def status_of(self, path: Path) -> Status:
        """The status of the version in a folder."""
        return status_of(path, self.reviews, Manifest.read(path).content_digest)

    def status_of_dataset(self, dataset: Dataset) -> Status:
        """The status of an open version, wherever it lies."""
        digest = dataset.manifest.content_digest
        return status_of(dataset.path, self.reviews, digest)

    def place(self, name: str) -> Place:
        """The dataset as `trajstore.lifecycle` sees it: folder, archive, reviews.

        Raises:
            NameRefusedError: if the name is none.
        """
        return Place(self.folder(name), locate(self.archive), self.reviews)

    def publish(self, path: Path | str, name: str) -> Published:
        """Copy a validated version into the store under the next number, then rotate.

        Raises:
            StatusError: if it is not validated.
            CorruptionError: if it is damaged.
            LockedError: if someone else publishes, rotates or restores this dataset.
            StorageError: if the operating system refuses.
        """
        return governance.publish(self.place(name), Path(path))

    def rotate(self, name: str, *, keep: int = 3, dry_run: bool = False) -> list[Decision]:
        """Archive all but the newest versions of each status; returns what was decided.

        Raises:
            ArchiveError: if the archive does not give back what it was given; nothing is removed.
            LockedError: if someone else publishes, rotates or restores this dataset.
            StorageError: if the operating system refuses.
        """
        retention = Retention(validated=keep)
        if dry_run:
            return governance.plan(self.place(name), retention=retention)
        return governance.rotate(self.place(name), retention=retention)

    def restore(self, reference: str) -> Path:
        """Bring a version such as ``expert@v1`` back from the archive.

        Raises:
            NotFoundError: if the reference names no archived version.
            ArchiveError: if the pack is not the one that was archived.
            StorageError: if the operating system refuses.
        """
        wanted = _parsed(reference)
        if wanted.version is None:
            raise NotFoundError(f"{wanted}: expected a version to restore, such as expert@v1")
        return governance.restore(self.place(wanted.name), wanted.version)

    def _used(self, name: str) -> set[int]:
        """Every number that a version of the dataset has, had, or is to have."""
        folder = self.folder(name)
        paths = folder.iterdir() if folder.is_dir() else iter(())
        found = {version_number(path.name.removeprefix(".").partition(".")[0]) for path in paths}
        return {number for number in found if number} | numbers(read_ledger(folder))


def _parsed(reference: str | Path) -> Reference:
    if isinstance(reference, Path):
        return Reference(location=str(reference))
    return parse_reference(reference)


def _located(location: str) -> Path:
    if is_url(location):
        raise NotFoundError(
            f"{location}: expected a version in a folder of this machine, got a URL; copy it here"
        )
    return _existing(Path(location), Reference(location=location))


def _existing(path: Path, wanted: Reference) -> Path:
    if not (path / MANIFEST).exists() and not is_bereft(path):
        raise NotFoundError(f"{wanted}: expected a sealed version at {path}, got none")
    return path
