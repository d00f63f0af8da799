"""What a store does with versions that are there: selects, merges, splits, renames, copies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal, Unpack
from urllib.parse import urlsplit

import numpy as np

from trajstore.choosing.choice import Criterion, Numbers
from trajstore.choosing.marks import REVIEWED, read_marks
from trajstore.curation import moving
from trajstore.curation.ancestry import Ancestor, Find, ancestors
from trajstore.curation.making import Kept, Options, Recipe, Version, check_schemas, make
from trajstore.curation.splitting import check_fractions, divide
from trajstore.dataset import Dataset
from trajstore.disk.files import digest
from trajstore.episode.names import Reference, is_name, parse_reference, version_number
from trajstore.errors import ArgumentError, LockedError, NotFoundError, TrajStoreError
from trajstore.lifecycle.shelf import Shelf
from trajstore.quality.marks import marked
from trajstore.recording.unfinished import open_recording
from trajstore.version.location import is_url
from trajstore.version.manifest import Manifest, Status
from trajstore.version.reading import Where


class Curator(ABC):
    """The part of `Store` that makes versions of new datasets from episodes of others.

    A version that is made so is a draft until it is validated, whatever its parents are. It lies
    in ``NAME@v1``; its provenance says what it was made from, by what, and why.
    """

    root: Path
    reviews: Path

    @abstractmethod
    def open(
        self, reference: str | Path, *, purpose: Literal["training", "inspection"] = "training",
        excluded: Literal["left out", "kept"] = "left out",
    ) -> Dataset:  # fmt: skip
        """Read a version."""

    @abstractmethod
    def datasets(self) -> list[str]:
        """Names of the datasets."""

    @abstractmethod
    def shelf(self, name: str) -> Shelf:
        """One dataset."""

    @abstractmethod
    def unfinished(self, name: str) -> list[Path]:
        """Folders of the versions to be whose recordings were begun."""

    @abstractmethod
    def status_of_dataset(self, dataset: Dataset) -> Status:
        """The status of an open version."""

    def select(
        self, reference: str | Path, name: str, *, where: str | Where | None = None,
        episodes: Numbers | None = None, exclude: Numbers | None = None,
        marks: str | Path | None = None, **options: Unpack[Options],
    ) -> Kept:  # fmt: skip
        """Seal some episodes of a version as the first version of a new dataset.

        Files of which at least half is wanted are taken over as they are: they keep the rows of
        episodes that were left out, which no reader of the version gives, until they are written
        ``anew``.

        Args:
            reference: of the version, as ``Store.open`` takes it, quarantined ones too.
            name: of the new dataset.
            where: a condition, see ``Dataset.select``; also of ``status``, that of the version.
            episodes: to choose from, numbers or text such as ``"0,4-9"``; all unless given.
            exclude: to leave out, likewise.
            marks: file of a curator's marks, or ``reviewed`` for those in the reviews: episodes
                marked ``exclude`` are left out. ``where`` asks for ``tags`` and ``mark`` of these
                marks; without any, of those in the reviews, and leaves nothing else out.
            options: see `Options`.

        Raises:
            ArgumentError: if nothing is chosen by, or a condition or a number is malformed.
            NotFoundError: if there is no such version or episode, or no episode is left.
            SealedError: if the name is taken.
            CorruptionError: if the version, or the file of marks, is damaged.
            QuotaExceededError: if the new version would be larger.
        """
        shelf = self.shelf(name)
        version = self._version(reference)
        chosen = self._criterion(version, where, episodes, exclude, marks)
        if not chosen.to_json():
            raise ArgumentError(
                f"select {version.reference}: say which episodes, with --where, --episodes, "
                f"--exclude or --marks; for all of them: trajstore copy {version.reference}"
            )
        status = self.status_of_dataset(version.dataset).value
        known = partial(marked, version.dataset, self.reviews, root=self.root)
        taken = (version.taking(version.dataset.choose(chosen, known, status=status)),)
        recipe = Recipe("select", taken, chosen.to_json())
        return make({name: recipe}, {name: shelf}, **options)[0]

    def merge(
        self, references: Sequence[str | Path], name: str, **options: Unpack[Options]
    ) -> Kept:
        """Seal the episodes of several versions, one after the other, as a new dataset's first.

        An episode whose content an earlier one of the versions has is left out. What only some of
        the versions say of their provenance is kept with them; ``options`` as in `Options`.

        Raises:
            ArgumentError: if there are fewer than two versions, or one twice.
            SchemaError: if their fields differ.
        """
        shelf = self.shelf(name)
        versions = [self._version(reference) for reference in references]
        digests = [it.dataset.manifest.content_digest for it in versions]
        if len(set(digests)) < max(2, len(versions)):
            raise ArgumentError(
                "merge: name two or more versions with different content, not "
                f"{', '.join(it.reference for it in versions) or 'none'}"
            )
        check_schemas(versions)
        taken, known = [], set[str]()
        for version in versions:
            own = version.dataset.episodes["digest"].tolist()
            taken.append(version.taking(np.flatnonzero([digest not in known for digest in own])))
            known.update(own)
        twice = sum(len(it.version.dataset) - len(it.episodes) for it in taken)
        recipe = Recipe("merge", tuple(taken), {}, duplicates=twice)
        return make({name: recipe}, {name: shelf}, **options)[0]

    def split(
        self, reference: str | Path, name: str, *, fractions: Mapping[str, float], seed: int,
        by: str | None = None, **options: Unpack[Options],
    ) -> list[Kept]:  # fmt: skip
        """Divide the episodes of a version by chance among new datasets ``NAME-train`` and so on.

        Args:
            reference: of the version.
            name: before each part's own name.
            fractions: of the episodes, by name of the part; they add up to 1.
            seed: of the chance.
            by: a field of the episodes; those of one value (an operator, a scenario) stay
                together, so that none lies in two parts. Equal episodes always do.
            options: see `Options`.

        Raises:
            ArgumentError: if the fractions do not add up, or there is no such field.
            NotFoundError: if a part would get no episode.
        """
        check_fractions(fractions, seed)
        shelves = {f"{name}-{part}": self.shelf(f"{name}-{part}") for part in fractions}
        version = self._version(reference)
        groups = version.dataset.columns().groups(by)
        rng = np.random.default_rng(seed)
        shares = divide(groups, list(fractions.values()), rng=rng)
        recipes = {}
        for own, (part, share), numbers in zip(shelves, fractions.items(), shares, strict=True):
            if not len(numbers):
                raise NotFoundError(
                    f"split {version.reference}: no episode would be left for {part!r}: there "
                    f"are {len(set(groups)):,} groups{f' by {by}' if by else ''} to divide; "
                    "ask for fewer parts, or larger shares"
                )
            criterion = {"part": part, "fraction": share, "seed": seed, "by": by}
            taken = (version.taking(numbers),)
            recipes[own] = Recipe("split", taken, criterion)
        return make(recipes, shelves, **options)

    def rename(self, old: str, new: str, *, dry_run: bool = False) -> None:
        """Give a dataset another name; raises what `trajstore.curation.moving.rename` does."""
        folder = self.shelf(old).folder.absolute()
        for target in (it for name in self.datasets() for it in self.unfinished(name)):
            try:
                base = open_recording(target).extends
            except TrajStoreError:
                continue
            if base is not None and folder in base.parents:
                raise LockedError(
                    f"{old}: the unfinished recording {target.parent.name}@{target.name} "
                    f"extends it; finish that first: trajstore recover {target.parent.name} "
                    "--seal, or --discard"
                )
        moving.rename(self.shelf(old), self.shelf(new), dry_run=dry_run)

    def copy(
        self, reference: str | Path, to: str | Path, *, name: str | None = None,
        dry_run: bool = False,
    ) -> moving.Copied:  # fmt: skip
        """Copy a version into the store at a folder or URL, under its name unless told.

        Raises what `trajstore.curation.moving.copy` does.
        """
        version = self._version(reference)
        wanted = self.shelf(name or moving.name_of(version.dataset)).name
        return moving.copy(version, to, wanted, dry_run=dry_run)

    def ancestors(self, dataset: Dataset) -> tuple[Ancestor, ...]:
        """The versions that one was made from, through generations as far as they are at hand."""
        return ancestors(dataset.manifest.provenance, self._finder())

    def _finder(self) -> Find:
        known: dict[Path, Manifest] = {}

        @cache
        def manifests() -> dict[str, str]:
            """Where each content lies, by digest."""
            shelves = [self.shelf(name) for name in self.datasets()]
            places = [(it, number) for it in shelves for number in it.live()]
            return {
                found.content_digest: f"{it.name}@v{number}"
                for it, number in reversed(places)
                if (found := read(it.path(number)))
            }

        def read(path: Path) -> Manifest | None:
            try:
                return known.setdefault(path, known.get(path) or Manifest.read(path))
            except TrajStoreError:
                return None

        def find(reference: str, digest: str) -> tuple[str, Manifest] | None:
            for wanted in (reference, manifests().get(digest, "")):
                name, _, number = wanted.partition("@")
                known_name = is_name(name) and version_number(number)
                found = read(self.root / name / number) if known_name else None
                if found is not None and found.content_digest == digest:
                    return wanted, found
            return None

        return find

    def _version(self, reference: str | Path) -> Version:
        dataset = self.open(reference, purpose="inspection")
        path, own = dataset.path, self.root.resolve()
        wanted = (
            Reference(location=str(reference))
            if isinstance(reference, Path)
            else parse_reference(reference)
        )
        if wanted.location is None or path.resolve().parent.parent == own:
            return Version(f"{path.resolve().parent.name}@{path.name}", dataset)
        if is_url(wanted.location):
            place = urlsplit(wanted.location)
            return Version(place._replace(netloc=place.netloc.rpartition("@")[2]).geturl(), dataset)
        told = Path(wanted.location)
        return Version("/".join(told.parts[-2:]) if told.is_absolute() else str(told), dataset)

    def _criterion(
        self, version: Version, where: str | Where | None, episodes: Numbers | None,
        exclude: Numbers | None, marks: str | Path | None,
    ) -> Criterion:  # fmt: skip
        if marks is None:
            return Criterion(where, episodes, exclude)
        if str(marks) == REVIEWED:
            known = marked(version.dataset, self.reviews, root=self.root)
            if not known:
                raise NotFoundError(
                    f"{self.reviews}: no episode of {version.reference} is marked yet; mark "
                    "some in 'trajstore serve', or bring in a file: trajstore review "
                    f"{version.reference} --marks FILE"
                )
            return Criterion(where, episodes, exclude, known, REVIEWED)
        found, path = read_marks(Path(marks)), Path(marks)
        told = f"{path.name}, SHA-256 {digest(path)[:12]}"
        return Criterion(where, episodes, exclude, found, told)
