"""Checks that need what made the data, its policy or its simulator, as a function of the caller."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis
from trajstore.errors import ReplayError
from trajstore.quality.contract import Contract
from trajstore.quality.records import Difference
from trajstore.quality.report import Check
from trajstore.version.findings import Finding, Severity

Observations = np.ndarray | Mapping[str, np.ndarray]
Policy = Callable[[Observations], np.ndarray]
"""Actions ``[T, ...]`` of a deterministic policy for observations ``[T, ...]``; nested
observations come as a mapping from the name below ``observation/`` to rows."""
Replay = Callable[[Episode], Difference | int | None]
"""First difference of a re-simulated episode, or the step of it; ``None`` where it is equal."""


def policy_agreement(policy: Policy) -> Check:
    """Return a check that the stored actions are the policy's for the stored observations."""

    def check(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
        wrong: list[tuple[int, int]] = []
        late = steps = 0
        for index in _sampled(dataset, contract.policy_episodes, contract.sample_seed):
            episode = dataset[index]
            states = np.arange(len(episode))
            differs = _differs(policy, episode, states, contract.policy_tolerance)
            steps += len(differs)
            wrong.extend((index, int(step)) for step in np.flatnonzero(differs))
            before = np.maximum(states - 1, 0)
            early = _differs(policy, episode, before, contract.policy_tolerance)
            late += int((~early[1:]).sum())
        if not wrong:
            return
        index, step = min(wrong)
        message = (
            f"actions: expected those of the policy for the stored observations, got "
            f"{len(wrong)} of {steps} that differ by more than {contract.policy_tolerance:g}"
        )
        if late > 0.9 * (steps - contract.policy_episodes) > 0:
            message += "; they are its actions for the observation one step before: shifted by one"
        yield Finding(Severity.BLOCKING, "policy", message, episode=index, step=step)

    return check


def replay_agreement(replay: Replay) -> Check:
    """Return a check that episodes, simulated again, come out as they were recorded.

    Where the contract asks for no reproducible episodes, a difference is told as a warning.
    """

    def check(dataset: Dataset, contract: Contract) -> Iterator[Finding]:
        for index in _sampled(dataset, contract.replay_episodes, contract.sample_seed):
            try:
                found = replay(dataset[index])
            except ReplayError as error:
                yield Finding(Severity.BLOCKING, "replay", str(error), episode=index)
                return
            if found is not None:
                yield _not_reproducible(found, index, contract)
                return

    return check


def _not_reproducible(found: Difference | int, index: int, contract: Contract) -> Finding:
    step = found if isinstance(found, int) else found.step
    message = "replay: not reproducible, the same seed and actions give other steps than recorded"
    if isinstance(found, Difference):
        message += f"; first {found.field}: expected {found.expected}, got {found.got}"
    severity = Severity.BLOCKING
    if not contract.reproducible:
        message, severity = f"{message}; the contract allows it", Severity.WARNING
    return Finding(severity, "replay", message, episode=index, step=step)


def _sampled(dataset: Dataset, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(dataset), size=min(count, len(dataset)), replace=False)
    return sorted(int(index) for index in chosen)


def _differs(policy: Policy, episode: Episode, states: np.ndarray, tolerance: float) -> np.ndarray:
    actions = np.asarray(policy(_observations(episode, states)))
    recorded = episode["action"]
    if actions.shape != recorded.shape:
        return np.ones(len(recorded), bool)
    far = ~(np.abs(actions.astype(np.float64) - recorded.astype(np.float64)) <= tolerance)
    return np.asarray(far.reshape(len(far), -1).any(axis=1))


def _observations(episode: Episode, states: np.ndarray) -> Observations:
    if "observation" in episode.arrays:
        return np.asarray(episode["observation"][states])
    return {
        field.name.removeprefix("observation/"): episode[field.name][states]
        for field in episode.schema.on(Axis.STATE)
        if field.name.startswith("observation/")
    }
