"""Checks and detectors of other installed packages, run as checks of ours.

A plug-in that is at fault is no fault of the data: it becomes a warning that names its package, and
what it had found until then is kept.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from trajstore.dataset import Dataset
from trajstore.episode.anomalies import DETECTORS
from trajstore.episode.plugins import OfferedDetector, Plugin, offered
from trajstore.episode.texts import brief
from trajstore.errors import PluginError
from trajstore.quality.contract import Contract
from trajstore.version.findings import Finding, Severity

MOST_FINDINGS = 1_000
"""Of one check; one that yields more is stopped, and that is said."""


@dataclass(frozen=True, slots=True)
class PluggedCheck:
    """A check, or a detector, of another package; it is imported when it runs."""

    plugin: Plugin

    @property
    def name(self) -> str:
        """What its findings, and the verdict, call it."""
        head = "" if self.plugin.kind == "check" else f"{self.plugin.kind} "
        tail = f" of {self.plugin.origin}" if self.plugin.clash else ""
        return f"{head}{self.plugin.name}{tail}"

    def __call__(self, dataset: Dataset, contract: Contract) -> Iterator[Finding]:
        """Yield what it finds, then a warning if it could not be used or has failed."""
        findings = self._checked if self.plugin.kind == "check" else self._detected
        try:
            yield from findings(dataset, contract)
        except PluginError as error:
            yield self._finding(Severity.WARNING, f"left aside: {error}")

    def _checked(self, dataset: Dataset, contract: Contract) -> Iterator[Finding]:
        run = self.plugin.load()
        with self.plugin.at_fault("could not check the version"):
            for count, found in enumerate(run(dataset, contract)):
                if count == MOST_FINDINGS:
                    raise ValueError(f"more than {MOST_FINDINGS:,} findings")
                severity, message = Severity(found.severity), brief(found.message, 2_000)
                episode, step = (
                    None if it is None else int(it) for it in (found.episode, found.step)
                )
                file = None if found.file is None else str(found.file)
                yield self._finding(severity, message, episode, step, file)

    def _detected(self, dataset: Dataset, contract: Contract) -> Iterator[Finding]:
        detector = OfferedDetector(self.plugin, self.plugin.load())
        marked = [(at, found[0]) for at, one in enumerate(dataset) if (found := detector.find(one))]
        if marked:
            episode, mark = marked[0]
            message = (
                f"marks {len(marked):,} of {len(dataset):,} episodes, first steps {mark.first} to "
                f"{mark.last} of episode {episode}: {mark.message}"
            )
            yield self._finding(Severity.NOTE, message, episode, mark.first)

    def _finding(
        self,
        severity: Severity,
        message: str,
        episode: int | None = None,
        step: int | None = None,
        file: str | None = None,
    ) -> Finding:
        return Finding(severity, self.name, message, episode, step, file, self.plugin.origin)


def plugged_checks(own: Collection[str]) -> dict[str, PluggedCheck]:
    """The checks and detectors of installed packages by name; ``own`` are the names of ours."""
    found = [*offered("check", own), *offered("detector", DETECTORS)]
    return {check.name: check for check in map(PluggedCheck, found)}
