"""Checks of a dataset against the demands of its contract."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.texts import brief
from trajstore.quality.contract import Contract
from trajstore.version.findings import Finding, Severity


def episode_count(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """There are enough episodes, none too short or too long."""
    if len(dataset) < contract.minimum_episodes:
        message = (
            f"episodes: {len(dataset)}, and the contract asks for at least "
            f"{contract.minimum_episodes}; the version stays a draft: record more, or lower "
            '"minimum_episodes" in the contract'
        )
        yield Finding(Severity.WARNING, "episodes", message)
    lengths = dataset.lengths
    most = contract.max_steps or int(lengths.max())
    outside = np.flatnonzero((lengths < contract.min_steps) | (lengths > most))
    if len(outside):
        index = int(outside[0])
        message = (
            f"length: {lengths[index]} steps, where the contract asks for {contract.min_steps} "
            f"to {most}; {len(outside) - 1} more such episodes"
        )
        yield Finding(Severity.BLOCKING, "episodes", message, episode=index)


def scenario_coverage(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Every required scenario occurs often enough, and the manifest counts right."""
    if "scenario" not in dataset.schema.names:
        if contract.required_scenarios:
            message = (
                "scenario: the contract asks for scenarios, and episodes have no text field "
                "'scenario'"
            )
            yield Finding(Severity.BLOCKING, "coverage", message)
        return
    counts = Counter(str(name) for name in dataset.episodes["scenario"])
    if dict(dataset.manifest.scenario_counts) != dict(counts):
        message = "scenario counts: expected those of the episodes in the manifest, got others"
        yield Finding(Severity.BLOCKING, "coverage", message)
    for name in contract.required_scenarios:
        if counts[name] < contract.episodes_per_scenario:
            message = (
                f"scenario {name!r}: {counts[name]} episodes, where the contract asks for at "
                f"least {contract.episodes_per_scenario}; record more of it"
            )
            yield Finding(Severity.BLOCKING, "coverage", message)


def seeds(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Each scenario and seed occurs once, and no seed of the evaluation at all."""
    if "seed" not in dataset.schema.names:
        return
    numbers = [int(seed) for seed in dataset.episodes["seed"]]
    names = dataset.episodes.get("scenario", np.full(len(numbers), ""))
    seen: dict[tuple[str, int], int] = {}
    for index, key in enumerate(zip(names.tolist(), numbers, strict=True)):
        original = seen.setdefault(key, index)
        if original != index:
            message = (
                f"scenario {key[0]!r} with seed {key[1]}: recorded twice, episode {original} "
                "has them already"
            )
            yield Finding(Severity.BLOCKING, "seeds", message, episode=index)
            break
    for low, high in contract.reserved_seeds:
        leaked = [index for index, seed in enumerate(numbers) if low <= seed < high]
        if leaked:
            message = (
                f"seed {numbers[leaked[0]]}: lies in [{low}, {high}), which is reserved for "
                f"evaluation, as in {len(leaked)} episodes; record with other seeds"
            )
            yield Finding(Severity.BLOCKING, "seeds", message, episode=leaked[0])


def provenance(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """What made the dataset is written down."""
    for key in contract.required_provenance:
        found: Any = dataset.manifest.provenance
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found in (None, "", [], {}):
            message = (
                f"provenance: the contract asks for {key!r}, and it is not there; note it when "
                "you record"
            )
            yield Finding(Severity.BLOCKING, "provenance", message)


def observation_contract(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
    """Observations and actions are those that the policy was made for."""
    fields = {field.name: field.to_json() for field in dataset.schema.fields}
    for expected in contract.observation:
        name = str(expected["name"])
        found = fields.get(name)
        if found is None:
            message = f"field {name!r}: is missing, and the observation contract asks for it"
            yield Finding(Severity.BLOCKING, "observation", message)
            continue
        for key, value in expected.items():
            if key not in ("description", "role") and _plain(found.get(key)) != _plain(value):
                message = (
                    f"field {name!r}: expected {key} {brief(value)}, "
                    f"got {brief(found.get(key))}; use an environment and a policy of one "
                    "observation contract"
                )
                yield Finding(Severity.BLOCKING, "observation", message)
                break


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
