"""Ratios of times to target: at the fixed targets, over targets, over demonstrations, and costs."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.comparison.arms import Arm, Expert, check_pair
from pipelines.comparison.arrival import Arrival, Target, TimesRatio, times_ratio


@dataclass(frozen=True, slots=True)
class Draws:
    """Where the random numbers of a comparison come from.

    Each estimate draws from a generator of its own, keyed by its name, so that an arm more or
    less changes no other number.
    """

    seed: int
    resamples: int

    def rng(self, name: str) -> np.random.Generator:
        """The generator of one estimate."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        return np.random.default_rng([self.seed, key])


@dataclass(frozen=True, slots=True)
class Question:
    """One ratio that a comparison asks for."""

    name: str
    pretrained: str
    baseline: str
    target: Target | None


def questions(gate: Target, expert: Expert | None, *, few: str) -> tuple[Question, ...]:
    """The six ratios that every comparison reports."""
    parity = expert.parity if expert else None
    return (
        Question("success", "finetune", "baseline", Target(gate.success)),
        Question("gate", "finetune", "baseline", gate),
        Question("parity", "finetune", "baseline", parity),
        Question("few", few, "baseline", gate),
        Question("transfer", "transfer", "transfer_baseline", gate),
        Question("control", "control", "baseline", gate),
    )


def answer(
    question: Question, arms: Mapping[str, Arm], *, hold: int, draws: Draws
) -> dict[str, Any]:
    """A ratio as JSON; its estimate is null, with a reason, where it cannot be computed."""
    head = {
        "target": question.target.to_json() if question.target else None,
        "arms": {"pretrained": question.pretrained, "baseline": question.baseline},
    }
    missing = [name for name in (question.pretrained, question.baseline) if name not in arms]
    if question.target is None:
        return head | without("no expert was given, so that its rates are unknown")
    if missing:
        return head | without(f"the arm {missing[0]} was not run")
    found = ratio_at(
        arms[question.pretrained],
        arms[question.baseline],
        question.target,
        hold=hold,
        draws=draws,
    )
    if found is None:
        return head | without("the baseline meets the target before its first step")
    return head | {"reason": None} | found.to_json()


def without(reason: str) -> dict[str, Any]:
    """A ratio that could not be computed, in the form of one that could."""
    return {
        "estimate": None,
        "low": None,
        "high": None,
        "seeds": 0,
        "censored": 0,
        "bound": None,
        "at_start": 0,
        "per_seed": [],
        "reason": reason,
    }


def ratio_at(
    pretrained: Arm, baseline: Arm, target: Target, *, hold: int, draws: Draws
) -> TimesRatio | None:
    """The ratio of two arms at one target; ``None`` where the baseline needed no steps at all."""
    seeds = check_pair(pretrained, baseline, where=f"{pretrained.name} / {baseline.name}")
    early = pretrained.arrivals(target, hold=hold)
    late = baseline.arrivals(target, hold=hold, seeds=seeds)
    return _ratio(early, late, draws, f"{pretrained.name}/{baseline.name}/{target}")


def over_targets(
    arms: Mapping[str, Arm],
    names: Sequence[str],
    targets: Sequence[Target],
    *,
    hold: int,
    draws: Draws,
) -> list[dict[str, Any]]:
    """The ratio to the baseline at every target, for every arm named that was run."""
    rows = []
    for name in names:
        for target in targets:
            if name in arms:
                question = Question("over_targets", name, "baseline", target)
                rows.append(answer(question, arms, hold=hold, draws=draws))
    return rows


def over_demonstrations(
    arms: Mapping[str, Arm], target: Target, *, full: int | None, hold: int, draws: Draws
) -> list[dict[str, Any]]:
    """The ratio by number of demonstrated episodes: arms ``few_N`` and the full dataset.

    Args:
        arms: that were run.
        target: at which.
        full: episodes of the full dataset; ``None`` if unknown.
        hold: evaluations in a row.
        draws: for the intervals.
    """
    counts = {name: int(match[1]) for name in arms if (match := re.fullmatch(r"few_(\d+)", name))}
    if full is not None:
        counts["finetune"] = full
    rows = []
    for name, episodes in sorted(counts.items(), key=lambda item: item[1]):
        question = Question("demonstrations", name, "baseline", target)
        first = [run.evaluations[0]["success"] for run in arms[name].runs.values()]
        row = answer(question, arms, hold=hold, draws=draws)
        rows.append({"episodes": episodes, "clone_success": float(np.mean(first))} | row)
    return rows


def costs(
    arms: Mapping[str, Arm],
    target: Target,
    prices: Mapping[str, int | None],
    *,
    hold: int,
    draws: Draws,
) -> dict[str, Any]:
    """Three accounts of the environment steps that the target costs.

    ``online`` counts fine-tuning alone; ``with_collection`` adds the demonstrations' steps to
    every seed; ``with_expert`` adds the expert's training as well.

    Args:
        arms: with ``finetune`` and ``baseline``.
        target: to be met.
        prices: steps of ``collection`` and of the ``expert``'s training; ``None`` if unknown.
        hold: evaluations in a row.
        draws: for the intervals.
    """
    finetune, baseline = arms["finetune"], arms["baseline"]
    early = finetune.arrivals(target, hold=hold)
    late = baseline.arrivals(target, hold=hold, seeds=finetune.seeds)
    collection, expert = prices["collection"], prices["expert"]
    both = None if collection is None or expert is None else collection + expert
    accounts = {}
    for name, extra in (("online", 0), ("with_collection", collection), ("with_expert", both)):
        if extra is None:
            accounts[name] = without("the steps of collection or expert are unknown")
            continue
        added = {s: Arrival(a.steps + extra, a.censored) for s, a in early.items()}
        found = _ratio(added, late, draws, f"cost/{name}")
        accounts[name] = (
            found.to_json() | {"reason": None}
            if found
            else without("the baseline meets the target before its first step")
        )
    saved = float(np.mean([late[s].steps - early[s].steps for s in finetune.seeds]))
    return {
        "accounts": accounts,
        "collection_steps": collection,
        "expert_steps": expert,
        "saved_steps": saved,
        "pays_off_after": both / saved if both is not None and saved > 0 else None,
    }


def _ratio(
    early: Mapping[int, Arrival], late: Mapping[int, Arrival], draws: Draws, name: str
) -> TimesRatio | None:
    if not any(arrival.steps for arrival in late.values()):
        return None
    return times_ratio(early, late, rng=draws.rng(name), resamples=draws.resamples)
