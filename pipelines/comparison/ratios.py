"""Ratios of times to target: at the fixed targets, over targets, over demonstrations, and costs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import asdict, replace

from pipelines.comparison.arms import Arm, Expert, check_pair
from pipelines.comparison.arrival import (
    Accounts,
    ArmPair,
    Arrival,
    Bound,
    DemonstrationRatio,
    FixedRatios,
    Ratio,
    SeedTimes,
    Target,
    TargetRatio,
    target_key,
)
from pipelines.comparison.record import Costs
from pipelines.comparison.stats import Draws, Source, paired_ratio

Times = Mapping[int, Arrival]
"""When each seed of an arm meets a target."""


def times_ratio(pretrained: Times, baseline: Times, source: Source) -> Ratio:
    """Ratio of mean times over matched seeds; a seed that never arrives counts with its budget."""
    if set(pretrained) != set(baseline) or not pretrained:
        raise ValueError(
            f"ratio: expected the same seeds in both arms, got {sorted(pretrained)} "
            f"and {sorted(baseline)}"
        )
    pairs = [(seed, pretrained[seed], baseline[seed]) for seed in sorted(pretrained)]
    if not any(late.steps for _, _, late in pairs):
        return unknown("the baseline meets the target before its first step")
    if all(early.censored and late.censored for _, early, late in pairs):
        return _never(pairs)
    found = paired_ratio(
        np.array([float(early.steps) for _, early, _ in pairs]),
        np.array([float(late.steps) for _, _, late in pairs]),
        source,
    )
    return Ratio(
        **asdict(found),
        seeds=len(pairs),
        censored=sum(early.censored or late.censored for _, early, late in pairs),
        bound=bound_of(pretrained, baseline),
        at_start=sum(early.steps == 0 for _, early, _ in pairs),
        per_seed=tuple(
            SeedTimes(seed, early, late, _quotient(early, late)) for seed, early, late in pairs
        ),
        reason=None,
    )


def _quotient(early: Arrival, late: Arrival) -> float | None:
    """Of one pair; of two budgets, or of no step, there is none."""
    if not late.steps or (early.censored and late.censored):
        return None
    return early.steps / late.steps


def _never(pairs: Sequence[tuple[int, Arrival, Arrival]]) -> Ratio:
    """No ratio: of budgets that nobody arrived within, none says anything of the arms."""
    none = dict.fromkeys(("estimate", "low", "high", "bound"))
    return Ratio(
        **none,
        seeds=len(pairs),
        censored=len(pairs),
        at_start=0,
        per_seed=tuple(SeedTimes(seed, early, late, None) for seed, early, late in pairs),
        reason="neither arm arrived within its budget on any seed",
    )


def bound_of(pretrained: Times, baseline: Times) -> Bound:
    """What censoring leaves known.

    A baseline seed that never arrived needs more than its budget, so that the ratio is at most
    what is shown; a pre-trained one makes it at least that; both leave it open.
    """
    late = any(arrival.censored for arrival in pretrained.values())
    if any(arrival.censored for arrival in baseline.values()):
        return Bound.UNRESOLVED if late else Bound.AT_MOST
    return Bound.AT_LEAST if late else Bound.EXACT


def unknown(reason: str) -> Ratio:
    """A ratio that could not be computed."""
    none = dict.fromkeys(("estimate", "low", "high", "bound"))
    return Ratio(**none, seeds=0, censored=0, at_start=0, per_seed=(), reason=reason)


@dataclass(frozen=True, slots=True)
class Ratios:
    """Ratios between arms at targets that must hold for ``hold`` evaluations in a row."""

    arms: Mapping[str, Arm]
    hold: int
    draws: Draws

    def times(self, pretrained: str, baseline: str, target: Target) -> tuple[Times, Times]:
        """When both arms meet a target, on the seeds of the pre-trained one."""
        first, second = self.arms[pretrained], self.arms[baseline]
        check_pair(first, second, where=f"{pretrained} / {baseline}")
        second = second.only(first.seeds)
        return first.arrivals(target, hold=self.hold), second.arrivals(target, hold=self.hold)

    def at(self, pretrained: str, baseline: str, target: Target | None) -> TargetRatio:
        """The ratio of two arms at one target; null, with a reason, where there is none."""
        missing = [name for name in (pretrained, baseline) if name not in self.arms]
        if target is None:
            found = unknown("no expert was given, so that its rates are unknown")
        elif missing:
            found = unknown(f"the arm {missing[0]} was not run")
        else:
            times = self.times(pretrained, baseline, target)
            found = times_ratio(
                *times, self.draws.of(f"{pretrained}/{baseline}/{target_key(target)}")
            )
        return TargetRatio(target=target, arms=ArmPair(pretrained, baseline), **asdict(found))

    def fixed(self, gate: Target, expert: Expert | None, *, few: str) -> FixedRatios:
        """The six ratios that every comparison reports; ``few`` names an arm."""
        return FixedRatios(
            success=self.at("finetune", "baseline", gate[:1]),
            gate=self.at("finetune", "baseline", gate),
            parity=self.at("finetune", "baseline", expert.parity if expert else None),
            few=self.at(few, "baseline", gate),
            transfer=self.at("transfer", "transfer_baseline", gate),
            control=self.at("control", "baseline", gate),
        )

    def over_targets(self, targets: Sequence[Target]) -> tuple[TargetRatio, ...]:
        """The ratio to the baseline at every target, pre-trained and control."""
        names = [name for name in ("finetune", "control") if name in self.arms]
        return tuple(self.at(name, "baseline", target) for name in names for target in targets)

    def over_demonstrations(
        self, gate: Target, *, full: int | None
    ) -> tuple[DemonstrationRatio, ...]:
        """The ratio by number of demonstrated episodes: arms ``few_N`` and the full dataset."""
        few = {name: re.fullmatch(r"few_(\d+)", name) for name in self.arms}
        counts = {name: int(match[1]) for name, match in few.items() if match}
        if full is not None:
            counts["finetune"] = full
        clones = {
            name: [
                run.evaluations[0][self.arms[name].measures[0]]
                for run in self.arms[name].runs.values()
            ]
            for name in counts
        }
        return tuple(
            DemonstrationRatio(
                episodes=counts[name],
                clone=float(np.mean(clones[name])),
                **asdict(self.at(name, "baseline", gate)),
            )
            for name in sorted(counts, key=counts.__getitem__)
        )

    def costs(self, gate: Target, *, collection: int | None, expert: int | None) -> Costs:
        """What the gate costs, without and with the steps of collection and expert, if known."""
        early, late = self.times("finetune", "baseline", gate)
        both = None if collection is None or expert is None else collection + expert
        prices = {"online": 0, "with_collection": collection, "with_expert": both}
        accounts = {}
        for name, price in prices.items():
            accounts[name] = unknown("the steps of collection or expert are unknown")
            if price is not None:
                dearer = {seed: replace(it, steps=it.steps + price) for seed, it in early.items()}
                accounts[name] = times_ratio(dearer, late, self.draws.of(f"cost/{name}"))
        saved = None
        if accounts["online"].estimate is not None:
            saved = float(np.mean([late[seed].steps - early[seed].steps for seed in early]))
        pays_off = both / saved if both is not None and saved and saved > 0 else None
        return Costs(Accounts(**accounts), collection, expert, saved, pays_off)
