"""The final evaluation scenario by scenario, and which scenarios got worse.

One test a scenario, corrected for how many there are; the rule, and why it is so, is said in
``docs/statistics.md`` under "When a scenario is flagged".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats as distributions

from pipelines.comparison.arms import Arm, Expert, family
from pipelines.comparison.record import Scenario
from pipelines.comparison.stats import LEVEL, Estimate

WATCH = 0.05
"""A loss of success that is worth a look; a smaller one is never flagged."""
ALPHA = 0.05
"""Chance that any of the scenarios is called a regression although none is one."""
UNEVEN = 0.05
"""Chance that the seeds of an ordinary scenario are taken for uneven."""


def scenario_table(
    arms: Mapping[str, Arm], expert: Expert | None, families: Sequence[str], *, scale: float = 1.0
) -> tuple[Scenario, ...]:
    """Final measures of both main arms and the expert in each scenario; ``families`` held out.

    ``scale`` is what a whole of the main measure is: 1 of a share, the target of a return.
    """
    main = arms["finetune"].measures[0]
    finetune, baseline = arms["finetune"], arms["baseline"]
    partner = baseline.only(finetune.seeds)
    changes = judged(
        {
            name: finetune.outcomes(main, [name]) - partner.outcomes(main, [name])
            for name in sorted({name for name, _ in finetune.listed()})
        },
        scale=scale,
    )
    return tuple(
        Scenario(
            scenario=name,
            episodes=len(finetune.listed([name])),
            baseline=_rates(baseline, name),
            finetune=_rates(finetune, name),
            clone=_clone(finetune, name),
            expert=expert.finals([name]) if expert else None,
            difference=change.difference,
            chance=change.chance,
            flag=change.flag,
            held_out=family(name) in families,
        )
        for name, change in changes.items()
    )


def _rates(arm: Arm, scenario: str) -> dict[str, float]:
    return {name: float(shares.mean()) for name, shares in arm.finals([scenario]).items()}


def _clone(arm: Arm, scenario: str) -> float | None:
    """The main measure at the first evaluation, mean over seeds; none if it was not played."""
    played = [run.evaluations[0]["by_scenario"].get(scenario) for run in arm.runs.values()]
    rows = [row[arm.measures[0]] for row in played if row]
    return float(np.mean(rows)) if len(rows) == len(played) else None


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of the change in one scenario.

    Attributes:
        difference: mean change with its 95 % interval, for this scenario alone.
        chance: one-sided p-value of a fall, corrected by Holm's method for all the scenarios that
            were tested together; ``None`` where nothing can be tested.
        scale: what a whole is.
    """

    difference: Estimate
    chance: float | None
    scale: float = 1.0

    @property
    def flag(self) -> Literal["regression", "watch"] | None:
        """``regression``: fell by ``WATCH``, beyond chance; ``watch``: fell by it; else none."""
        if self.difference.estimate > self.scale * (-WATCH + 1e-9):
            return None
        beyond = self.chance is not None and self.chance < ALPHA
        return "regression" if beyond else "watch"


def judged(changes: Mapping[str, np.ndarray], *, scale: float = 1.0) -> dict[str, Change]:
    """Judge the changes of all scenarios together.

    The error of a mean counts seeds and episodes as drawn anew (two-way analysis of variance,
    both random). Few seeds tell little of their own spread, so that the part due to seeds is what
    all scenarios show together; where a scenario's own is larger beyond chance (F test at
    ``UNEVEN``), as when one seed collapses, it is the scenario's own, with the few degrees of
    freedom that seeds have. Changes are ``[seeds, episodes]``, success of one arm minus that of
    the other in the same episode with the same seed.
    """
    known = {name: rows for name, rows in changes.items() if min(rows.shape) > 1}
    spreads = [_spread(rows) for rows in known.values()]
    among, rest = sum(part[0] for part in spreads), sum(part[2] for part in spreads)
    excess = max(among / rest, 1.0) if rest else 1.0
    found = {name: Estimate(float(rows.mean()), None, None) for name, rows in changes.items()}
    chances = {}
    for name, rows in known.items():
        mean = found[name].estimate
        error, freedom = _error(rows, excess, len(known))
        reach = float(distributions.t.ppf(0.5 + LEVEL / 2, freedom)) * error
        found[name] = Estimate(mean, mean - reach, mean + reach)
        chances[name] = float(mean >= 0.0)
        if error > 0.0:
            chances[name] = float(distributions.t.cdf(mean / error, freedom))
    corrected = dict(zip(chances, holm(list(chances.values())), strict=True))
    return {name: Change(part, corrected.get(name), scale) for name, part in found.items()}


def holm(chances: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), in the order given.

    Example:
        >>> holm([0.01, 0.5, 0.02])
        [0.03, 0.5, 0.04]
    """
    corrected, least = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        least = max(least, min((len(chances) - rank) * chances[index], 1.0))
        corrected[index] = least
    return corrected


def _spread(rows: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of a table ``[seeds, episodes]`` that are due to seeds, episodes, the rest."""
    seeds, episodes = rows.shape
    by_seed, by_episode = rows.mean(axis=1), rows.mean(axis=0)
    rest = rows - by_seed[:, None] - by_episode + rows.mean()
    return (
        float(episodes * by_seed.var(ddof=1)),
        float(seeds * by_episode.var(ddof=1)),
        float((rest**2).sum() / ((seeds - 1) * (episodes - 1))),
    )


def _error(rows: np.ndarray, excess: float, scenarios: int) -> tuple[float, int]:
    """Standard error of the mean of ``[seeds, episodes]``, and its degrees of freedom."""
    (seeds, episodes), (by_seed, by_episode, rest) = rows.shape, _spread(rows)
    freedom = (seeds - 1) * min(scenarios, episodes - 1)
    among = excess * rest
    if by_seed > among * distributions.f.ppf(1.0 - UNEVEN, seeds - 1, freedom):
        among, freedom = by_seed, seeds - 1
    total = among + max(by_episode - rest, 0.0)
    return math.sqrt(total / (seeds * episodes)), freedom
