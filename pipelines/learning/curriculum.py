"""Which scenarios training plays more often: those that still fail."""

from collections.abc import Mapping, Sequence
from typing import Any

KEEP = 0.5
"""Share of the running failure rate that a further evaluation keeps."""


def scenario_weights(rows: Sequence[Mapping[str, Any]], *, share: float) -> dict[str, float]:
    """Chance of each scenario in training, given the evaluations so far.

    A share of the episodes is drawn in proportion to how often a scenario failed, with older
    evaluations counting less; the rest is drawn evenly, so that nothing is forgotten.

    Args:
        rows: evaluations, oldest first, each with ``by_scenario``.
        share: in [0, 1].

    Returns:
        Chances that sum to 1; even ones where nothing failed.

    Example:
        >>> played = {"a": {"success": 1.0}, "b": {"success": 0.5}}
        >>> scenario_weights([{"by_scenario": played}], share=0.5)
        {'a': 0.25, 'b': 0.75}
    """
    failures: dict[str, float] = {}
    for row in rows:
        for name, rates in row["by_scenario"].items():
            now = 1.0 - rates["success"]
            failures[name] = KEEP * failures.get(name, now) + (1.0 - KEEP) * now
    total = sum(failures.values())
    even = 1.0 / max(1, len(failures))
    if total <= 0.0:
        return dict.fromkeys(failures, even)
    return {
        name: (1.0 - share) * even + share * failed / total for name, failed in failures.items()
    }
