"""All that a comparison reads: its arms, the expert, the dataset; and whether they go together."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.comparison.arms import Arm, Expert, Row
from pipelines.comparison.record import Digests, RunDigests
from pipelines.learning.runlog import RunError
from trajstore.version.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a comparison reads: arms by name; expert and manifest of demonstrations, if given."""

    arms: Mapping[str, Arm]
    expert: Expert | None
    dataset: Manifest | None

    def _check_excluded(self) -> None:
        """Refuse arms whose clones were shown the dataset without different episodes."""
        found: dict[str, str] = {}
        for name, arm in self.arms.items():
            for seed, run in arm.runs.items():
                if "dataset" in run.record.inputs:
                    out = run.record.inputs.get("excluded", "none")
                    found.setdefault(out, f"{out[:12]} (arm {name}, seed {seed})")
        if len(found) > 1:
            raise RunError(
                "compare.arms: expected clones of the same episodes, got some that were shown the "
                f"dataset without those excluded as {' and '.join(found.values())}; run the stage "
                "pretrain again"
            )

    def facts(self, key: str) -> tuple[str, ...]:
        """What the runs tell of their task, such as its families that were held out."""
        return tuple(dict.fromkeys(str(it) for task in self._tasks() for it in task.get(key, ())))

    def units(self) -> dict[str, str]:
        """The unit of each metric, as the runs tell it."""
        return {
            name: unit for task in self._tasks() for name, unit in task.get("units", {}).items()
        }

    def _tasks(self) -> list[Row]:
        return [run.record.task for arm in self.arms.values() for run in arm.runs.values()]

    def check_origin(self) -> None:
        """Refuse arms that start from clones of other data, and data of another expert."""
        self._check_excluded()
        if self.dataset is None:
            return
        content = self.dataset.content_digest
        for name, arm in self.arms.items():
            for seed, run in arm.runs.items():
                if (got := run.record.inputs.get("dataset", content)) != content:
                    raise RunError(
                        f"compare.dataset: expected that of arm {name}, seed {seed}, with content "
                        f"{got}, got {content}; name the version that its clone was shown, or run "
                        "the stages again"
                    )
        made_by = self.dataset.provenance.get("policy")
        recorded = made_by.get("digest") if isinstance(made_by, Mapping) else None
        known = self.expert.policy if self.expert else None
        if None not in (known, recorded) and known != recorded:
            raise RunError(
                f"compare.expert: expected the policy {recorded} that recorded the dataset, got "
                f"{known}; name the expert of this dataset, or run the stages again"
            )

    @property
    def digests(self) -> Digests:
        """SHA-256 of every file that the comparison read."""
        runs = {
            name: {
                str(seed): RunDigests(dict(run.files), dict(run.record.inputs))
                for seed, run in arm.runs.items()
            }
            for name, arm in self.arms.items()
        }
        return Digests(
            runs,
            dict(self.expert.files) if self.expert else None,
            self.dataset.content_digest if self.dataset else None,
        )
