"""What other installed packages offer: checks, detectors, formats, environments, tasks.

A package offers them as entry points. What is imported is chosen by what is installed and by what
the user types, never by data. One that cannot be used is named and left aside.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from trajstore.episode.anomalies import DETECTORS, Anomaly
from trajstore.episode.episode import Episode
from trajstore.episode.texts import brief, legible
from trajstore.errors import PluginError, TrajStoreError

KINDS = ("check", "detector", "format", "environment", "task")
"""Each the group of entry points ``trajstore.checks``, ``trajstore.detectors``, ..."""
FUNCTIONS = ("check", "detector", "environment", "task")
"""Kinds that are called; a format is a module, or what has the functions of one."""
MOST_MARKS = 1_000
"""Marks of one detector on one episode; one that yields more is at fault."""


def group_of(kind: str) -> str:
    """The group of entry points in which things of a kind are offered.

    Example:
        >>> group_of("check")
        'trajstore.checks'
    """
    return f"trajstore.{kind}s"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One thing that an installed package offers; it is imported when it is loaded.

    Attributes:
        kind: one of `KINDS`.
        package: that offers it; empty if it does not say.
        clash: who else has the name, so that it is not used; empty if nobody has.
    """

    kind: str
    name: str
    package: str
    version: str
    entry: EntryPoint
    clash: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {legible(self.name)} of {self.origin}"

    @property
    def origin(self) -> str:
        """Package and version, as findings and verdicts name them."""
        return legible(f"{self.package or 'an unnamed package'} {self.version}".rstrip())

    def load(self) -> Any:  # noqa: ANN401 - whatever a package offers
        """Import what is offered.

        Raises:
            PluginError: if its name is taken, it cannot be imported, or it is no function.
        """
        if self.clash:
            raise PluginError(
                f"{self}: has the name of {self.clash}, and is not used; uninstall one of them"
            )
        with self.at_fault("could not be imported"):
            found = self.entry.load()
            if self.kind in FUNCTIONS and not callable(found):
                raise TypeError(f"{self.entry.value} is no function")
        return found

    @contextmanager
    def at_fault(self, expected: str) -> Iterator[None]:
        """Whatever fails in the block, an attempt to exit too, is a `PluginError` that says so."""
        try:
            yield
        except PluginError:
            raise
        except (Exception, SystemExit) as error:
            own = isinstance(error, TrajStoreError)
            told = f"{'' if own else f'{type(error).__name__}: '}{error}"
            raise PluginError(
                f"{self}: {expected}: {legible(brief(told, 300))}; update or uninstall "
                f"{legible(self.package) or 'the package'}"
            ) from error


def offered(kind: str, own: Collection[str] = ()) -> list[Plugin]:
    """What installed packages offer of a kind, by name; nothing is imported.

    Args:
        kind: one of `KINDS`.
        own: names that are ours; what has one of them clashes, and so do two of one name.
    """
    found = {}
    for entry in entry_points(group=group_of(kind)):
        package, version = (entry.dist.name, entry.dist.version) if entry.dist else ("", "")
        found[entry.name, package, entry.value] = Plugin(kind, entry.name, package, version, entry)
    plugins = [found[key] for key in sorted(found)]
    return [replace(it, clash=_clash(it, plugins, own)) for it in plugins]


def _clash(plugin: Plugin, plugins: list[Plugin], own: Collection[str]) -> str:
    if plugin.name in own:
        return "trajstore itself"
    same = [it for it in plugins if it.name == plugin.name and it.entry != plugin.entry]
    return " and ".join(dict.fromkeys(it.origin for it in same))


@dataclass(frozen=True, slots=True)
class OfferedDetector:
    """A detector of another package. Its marks are shown, and never sealed."""

    plugin: Plugin
    run: Callable[[Episode], Iterator[Anomaly]]

    def find(self, episode: Episode) -> list[Anomaly]:
        """Its marks on an episode, under its own name.

        Raises:
            PluginError: if it fails, or yields what is no anomaly of this episode.
        """
        marks: list[Anomaly] = []
        with self.plugin.at_fault("could not look at an episode"):
            for mark in self.run(episode):
                marks.append(self._checked(mark, len(episode)))
                if len(marks) > MOST_MARKS:
                    raise ValueError(f"more than {MOST_MARKS:,} marks on one episode")
        return marks

    def _checked(self, mark: Anomaly, steps: int) -> Anomaly:
        first, last, score = int(mark.first), int(mark.last), float(mark.score)
        if not (0 <= first <= last < steps and 0 < score <= 1):
            raise ValueError(f"steps {first} to {last} of {steps}, score {score}")
        message = f"{legible(brief(mark.message, 300))} ({self.plugin.origin})"
        return Anomaly(self.plugin.name, first, last, message, score)


def detectors() -> tuple[list[OfferedDetector], list[PluginError]]:
    """The detectors of installed packages, and what is wrong with those that are left aside."""
    good, wrong = [], []
    for plugin in offered("detector", DETECTORS):
        try:
            good.append(OfferedDetector(plugin, plugin.load()))
        except PluginError as error:
            wrong.append(error)
    return good, wrong
