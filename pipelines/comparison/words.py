"""Numbers of a comparison as a reader sees them, in sentences, tables and figures alike."""

from collections.abc import Callable
from typing import Literal

from pipelines.comparison.arrival import Bound, Quotient, Ratio, Target
from pipelines.comparison.stats import Estimate

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
    """A target in words."""
    if target is None:
        return "the target"
    text = f"success of at least {share_text(target.success)}"
    if target.collision < 1.0:
        text += f" with collisions of at most {share_text(target.collision)}"
    return text
