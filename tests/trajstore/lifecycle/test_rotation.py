"""The newest versions of each status stay, whatever the others do; a decision touches no disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajstore.lifecycle.rotation import (
    Action,
    Retention,
    decide,
)

STATUSES = ("draft", "validated", "quarantined")
LIVE = st.dictionaries(st.integers(1, 60), st.sampled_from(STATUSES), max_size=25)
RETENTION = st.builds(Retention, st.integers(1, 5), st.integers(0, 5), st.integers(0, 5))


@given(LIVE, RETENTION, st.sets(st.integers(1, 60), max_size=4))
def test_the_newest_of_each_status_stay_and_only_older_ones_leave(
    live: dict[int, str], retention: Retention, in_use: set[int]
) -> None:
    decisions = decide(list(live.items()), retention, in_use=in_use)
    assert [it.version for it in decisions] == sorted(live)
    leaving = {it.version for it in decisions if it.action is Action.ARCHIVE}
    assert not leaving & in_use
    for status, count in zip(
        STATUSES, (retention.draft, retention.validated, retention.quarantined), strict=True
    ):
        mine = sorted((it for it, its in live.items() if its == status), reverse=True)
        assert not leaving & set(mine[:count])
        assert set(mine[count:]) - in_use <= leaving


@given(LIVE, RETENTION)
def test_a_second_rotation_has_nothing_to_do(live: dict[int, str], retention: Retention) -> None:
    decisions = decide(list(live.items()), retention)
    left = [(it.version, live[it.version]) for it in decisions if it.action is Action.KEEP]
    assert all(it.action is Action.KEEP for it in decide(left, retention))


def test_version_10_is_newer_than_version_2() -> None:
    decisions = decide([(it, "draft") for it in (10, 2, 9, 1)], Retention(draft=2))
    assert [it.version for it in decisions if it.action is Action.ARCHIVE] == [1, 2]


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_a_retention_that_would_lose_everything_is_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected validated >= 1"):
        Retention(*counts)
