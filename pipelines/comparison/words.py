"""Numbers of a comparison as a reader sees them, in sentences, tables and figures alike."""

from collections.abc import Callable
from typing import Literal

from pipelines.comparison.arrival import Bound, Quotient, Ratio, Target
from pipelines.comparison.stats import Estimate
from pipelines.learning.conditions import Condition, rises
from pipelines.tasks.task import RETURN

VERBS = ("fell", "hit", "late", "left", "lost", "ran", "sank", "stuck")
"""Failures that are said as they are, since they are no things that can be counted."""
BOUND_WORDS = {Bound.AT_MOST: "at most ", Bound.AT_LEAST: "at least ", Bound.UNRESOLVED: "about "}


def ends(part: Estimate | Quotient, write: Callable[[float], str]) -> str:
    """An interval in square brackets after a blank; nothing where an end is not known."""
    if part.low is None or part.high is None:
        return ""
    return f" [{write(part.low)}, {write(part.high)}]"


def with_ends(part: Estimate | Quotient, write: Callable[[float], str], unit: str = "") -> str:
    """A number with its unit and its interval; nothing where it is not known.

    Example:
        >>> with_ends(Estimate(0.5, 0.25, 0.75), percent, " %")
        '50 % [25, 75]'
    """
    return "" if part.estimate is None else f"{write(part.estimate)}{unit}{ends(part, write)}"


def percent(share: float) -> str:
    """A share in per cent without the sign: 8, 8.5."""
    return tenths(share).removesuffix(".0")


def tenths(share: float) -> str:
    """A share in per cent to one digit, without the sign: 8.0."""
    return f"{share * 100:.1f}"


def signed(difference: float) -> str:
    """A difference of shares in per cent to one digit, with its sign: +8.0."""
    return f"{difference * 100:+.1f}"


def share_text(share: float) -> str:
    """A share in per cent, as short as it can be told apart."""
    return f"{share * 100:.4g} %"


def points(difference: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{signed(difference)} points"


def steps_text(steps: float) -> str:
    """Steps in short: 0, 8 k, 1.5 M."""
    if steps >= 1e6:
        return f"{steps / 1e6:.3g} M"
    return f"{steps / 1e3:.3g} k" if steps else "0"


def bounded_text(ratio: Ratio) -> str:
    """A ratio without its interval, such as ``at most 8 %``; why there is none, otherwise."""
    if ratio.estimate is None or ratio.bound is None:
        return ratio.reason or ""
    return f"{BOUND_WORDS.get(ratio.bound, '')}{percent(ratio.estimate)} %"


def ratio_text(ratio: Ratio) -> str:
    """A ratio with its interval, such as ``at most 8 % [3, 12]``; why there is none, otherwise."""
    return bounded_text(ratio) + ends(ratio, percent)


def mean_steps(ratio: Ratio, arm: Literal["pretrained", "baseline"]) -> str:
    """Online steps to the target, the mean over seeds."""
    times = [row.pretrained if arm == "pretrained" else row.baseline for row in ratio.per_seed]
    if not times:
        return "an unknown number of"
    mean = sum(time.steps for time in times) / len(times)
    return f"{'more than ' if any(time.censored for time in times) else ''}{mean:,.0f}"


def target_words(target: Target | None) -> str:
    """A target in words, such as ``success of at least 90 % with collisions of at most 5 %``."""
    if target is None:
        return "the target"
    return " with ".join(limit_words(it) for it in target)


def limit_words(condition: Condition, between: str = " of ") -> str:
    """A condition in words, such as ``collisions of at most 5 %``."""
    side = "most" if condition.at_least is None else "least"
    limit = value_text(condition.metric, condition.limit)
    return f"{measure_words(condition.metric)}{between}at {side} {limit}"


def is_share(measure: str) -> bool:
    """Whether a measure is a rate, from 0 to 1; the return is none."""
    return measure != RETURN


def measure_words(measure: str) -> str:
    """A measure as a reader knows it: success, return, collisions.

    Example:
        >>> measure_words("success"), measure_words("collision"), measure_words("crash")
        ('success', 'collisions', 'crashes')
        >>> measure_words("fell"), measure_words("tipped_over")
        ('fell', 'tipped over')
    """
    first = measure.split("_")[0]
    if rises(measure) or first in VERBS or first.endswith("ed"):
        return measure.replace("_", " ")
    return measure.replace("_", " ") + ("es" if measure.endswith(("s", "sh", "ch", "x")) else "s")


def value_text(measure: str, value: float) -> str:
    """A value of a measure, as short as it can be told apart."""
    return share_text(value) if is_share(measure) else f"{value:,.5g}"


def value_with_ends(measure: str, part: Estimate | Quotient) -> str:
    """A value of a measure with its interval."""
    return with_ends(part, tenths, " %") if is_share(measure) else with_ends(part, "{:,.5g}".format)


def change_text(measure: str, part: Estimate) -> str:
    """A difference with its sign and its interval: +8.0 points [2.0, 14.0]."""
    if is_share(measure):
        return with_ends(part, signed, " points")
    return with_ends(part, "{:+,.4g}".format)
