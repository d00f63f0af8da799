"""``docs/tasks.md``, from the numbers alone."""

from collections.abc import Sequence

from pipelines.comparison.arrival import Bound, Ratio
from pipelines.comparison.stats import Estimate
from pipelines.comparison.words import steps_text
from pipelines.table.goals import goals, missing
from pipelines.table.record import Table, TaskRow

SIGNS = {Bound.AT_MOST: "≤ ", Bound.AT_LEAST: "≥ ", Bound.UNRESOLVED: "~ ", Bound.EXACT: ""}


INTRODUCTION = (
    "Made by `make tasks` from the settings in `pipelines/table/public/`, a file a task, and "
    "from the runs; do not edit.",
    "",
    "A ratio is environment steps until the target, the mean over matched seeds, as a share of "
    "what PPO from scratch needs; 95 % intervals in brackets. The target is nine tenths of the "
    "way from a random policy's return to the teacher's, held for two evaluations. `≤` and `≥`: "
    "some seeds did not arrive within their budget, which counts in their place; `~`: in both "
    "arms.",
    "",
    "- *Ours* clones the teacher, fits a critic to the clone, and goes on with PPO in small "
    "steps near it; steps for the critic count. *Usual* clones the same actor and goes on with "
    "PPO as from scratch. *Control* is ours after demonstrations whose actions were shuffled. "
    "*Without policy gradient* is ours with the cloning term alone.",
    "- Ours has one update for all tasks. Differently set are the noise, larger on the continuous "
    "landers and on Swimmer, and on all landers the discount, which the published settings have at "
    "0.999. How much is shown was fixed for each task on seeds that are not compared, so that the "
    "median clone should lie below the target; so was the update.",
    "- All arms of a task are evaluated at the same steps, on the same fixed episodes, without "
    "noise. Teachers have seeds of their own, and are chosen on episodes that nothing else "
    "plays.",
    "- PPO from scratch is trained until it arrives, or to its budget. The published settings "
    "were not run to their full budget beside it: where the published return is above that of "
    "PPO from scratch, they may be the stronger baseline in the end.",
)


EMPTY = (
    "No runs are published yet, and nothing is claimed. `make tasks` makes them, one task with "
    "`make tasks TASK=LunarLander-v3`: the teacher, its demonstrations, the clones, then every "
    "arm, as many side by side as there are cores. What was interrupted goes on, and the hours "
    "left are said. A task without `returns` in its settings stops after its teacher and says "
    "which numbers to write: its target is fixed before anything is compared."
)
"""What stands on the page before anything was run."""
APART = {
    "quick": "PPO from scratch meets the target within 50,000 steps with a seed that is not "
    "compared, so that the steps for the critic alone are a tenth of its time: these tasks cannot "
    "show a small ratio. In no mean but the one that names them.",
    "trivial": "A clone of one episode is nearly as good as the teacher. In no mean.",
}
"""Why tasks are shown apart."""
SO_FAR = (
    "a ratio is of the seeds that both of its arms have finished, and of one pair it says little:"
)


def ratio_words(ratio: Ratio) -> str:
    """A ratio with its interval, such as ``0.08 [0.05, 0.12]``.

    Example:
        >>> from pipelines.comparison.ratios import unknown
        >>> ratio_words(unknown("not run yet"))
        'not run yet'
    """
    if ratio.estimate is None or ratio.bound is None:
        return ratio.reason or ""
    return f"{SIGNS[ratio.bound]}{ratio.estimate:.3f}{_ends(ratio.low, ratio.high)}"


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def mean_words(mean: Estimate | None) -> str:
    """A mean over tasks with its interval."""
    return "not known yet" if mean is None else f"{mean.estimate:.3f}{_ends(mean.low, mean.high)}"


def _arrived(ratio: Ratio, arm: str) -> str:
    times = [getattr(row, arm) for row in ratio.per_seed]
    return f"{sum(not it.censored for it in times)} of {len(times)}" if times else "-"


def _steps(ratio: Ratio, arm: str) -> str:
    times = [getattr(row, arm) for row in ratio.per_seed]
    shown = [f"{'> ' if it.censored else ''}{steps_text(it.steps)}" for it in times]
    return ", ".join(shown) or "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _ordinal(number: int) -> str:
    last = "th" if 10 < number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _main(rows: Sequence[TaskRow]) -> list[str]:
    heads = (
        "task",
        "ours / scratch",
        "usual / scratch",
        "control / scratch",
        "without policy gradient",
        "ours arrived",
        "deepest dip",
    )
    cells = []
    for row in rows:
        dip = "-" if row.dip is None or row.dip.share is None else f"{-row.dip.share:.0%}"
        cells.append(
            [
                f"[{row.id}](#{row.id.lower()})",
                ratio_words(row.ratio),
                ratio_words(row.usual),
                ratio_words(row.control),
                ratio_words(row.cloning),
                _arrived(row.ratio, "pretrained"),
                dip,
            ]
        )
    return _table(heads, cells)


def _returns(rows: Sequence[TaskRow]) -> list[str]:
    heads = ("task", "random", "teacher", "target", "median clone", "from scratch at its end",
             "published PPO")  # fmt: skip
    cells = [
        [
            row.id,
            _number(row.random_return),
            _number(row.teacher_return),
            _number(row.target),
            _number(row.clones.median if row.clones else None),
            _number(row.baseline_return),
            f"{_number(row.published_return)} ({steps_text(row.published.steps)} steps)",
        ]
        for row in rows
    ]
    return _table(heads, cells)


def _costs(rows: Sequence[TaskRow]) -> list[str]:
    heads = ("task", "shown", "steps shown", "teacher's steps", "ours / scratch",
             "with what was shown", "with the teacher")  # fmt: skip
    cells = [
        [
            row.id,
            f"{row.demonstrations} episodes"
            + (f", each {_ordinal(row.every)} step" * (row.every > 1)),
            f"{row.teacher.collection_steps:,}",
            f"{row.teacher.training_steps:,}",
            ratio_words(row.ratio),
            ratio_words(row.accounts.with_demonstrations),
            ratio_words(row.accounts.with_teacher),
        ]
        for row in rows
    ]
    return _table(heads, cells)


def _of_a_task(row: TaskRow) -> list[str]:
    clones = "-" if row.clones is None else ", ".join(map(_number, row.clones.per_seed.values()))
    lines = [
        f"### {row.id}",
        "",
        row.why,
        "",
        f"Clones by seed: {clones}. Published return: {row.published.source}. "
        f"Runs: {'; '.join(f'{count} with {names}' for names, count in row.made_with.items())}.",
        "",
        *_table(
            ("arm", "steps to the target, by seed", "arrived"),
            [
                [
                    "PPO from scratch",
                    _steps(row.ratio, "baseline"),
                    _arrived(row.ratio, "baseline"),
                ],
                *(
                    [words, _steps(ratio, "pretrained"), _arrived(ratio, "pretrained")]
                    for words, ratio in (
                        ("ours", row.ratio),
                        ("actor cloned, then PPO", row.usual),
                        ("ours without policy gradient", row.cloning),
                        ("shuffled actions, then ours", row.control),
                    )
                ),
            ],
        ),
        "",
    ]
    if row.few:
        cells = [
            [str(it.demonstrations), _number(it.clone), ratio_words(it.ratio)] for it in row.few
        ]
        lines += [
            *_table(("episodes shown", "median clone", "ours / scratch"), cells),
            "",
        ]
    return lines


def page(table: Table, *, picture: str = "images/tasks.png") -> str:
    """The page about all tasks; the picture lies beside it."""
    if not table.tasks:
        return "\n".join(["# Public tasks", "", *INTRODUCTION, "", EMPTY]) + "\n"
    counted = [row for row in table.tasks if row.apart is None]
    so_far = ", so far" * bool(found := missing(table))
    lines = [
        "# Public tasks",
        "",
        *INTRODUCTION,
        "",
        f"**Mean over {len(table.counted)} tasks{so_far}: {mean_words(table.mean_ratio)}**; "
        f"usual recipe {mean_words(table.mean_usual)}; control {mean_words(table.mean_control)}; "
        f"without policy gradient {mean_words(table.mean_cloning)}. With the tasks that PPO from "
        f"scratch solves quickly: {mean_words(table.mean_all)}.",
        "",
        *_main(counted),
        "",
        "The dip is how far the lowest evaluation lies below the clone, as a share of the way from "
        "the random return to the clone's; the worst seed.",
        "",
        f"![Returns of every arm on every task]({picture})",
        "",
        "## Goals",
        "",
        *_table(("goal", "found", ""), [goal.words for goal in goals(table)]),
        "",
    ]
    if found:
        lines += ["**Not run, or not to the end**; " + SO_FAR, "", *found, ""]
    lines += [
        "## Returns",
        "",
        *_returns(table.tasks),
        "",
        "## Costs",
        "",
        "What was shown, and the teacher's training, counted as steps of ours.",
        "",
        *_costs(table.tasks),
        "",
        "## Each task",
        "",
        *(line for row in counted for line in _of_a_task(row)),
    ]
    for why, words in APART.items():
        if rows := [row for row in table.tasks if row.apart == why]:
            lines += [f"## Apart: {why}", "", words, "", *_main(rows), ""]
            lines += [line for row in rows for line in _of_a_task(row)]
    return "\n".join(lines).rstrip() + "\n"
