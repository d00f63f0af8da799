"""The figures that the store has to reach, each a ratio within one run or a bare figure."""

from benchmarks.report import Goal, Results, figures, ratios

_STORE = "trajstore"
_LIMIT = "memmap"


def _ratio(dataset: str, key: str, other: str, text: str, bound: float) -> Goal:
    def measured(results: Results) -> float | None:
        value = ratios(results, dataset, key, (_STORE, other))
        return None if value is None else value.middle

    return Goal(f"{dataset}: {text}", measured, bound)


def _most(dataset: str, key: str, other: str, text: str, bound: float) -> Goal:
    goal = _ratio(dataset, key, other, text, bound)
    return Goal(goal.text, goal.measured, bound, at_least=False)


def _slower(dataset: str, other: str, text: str, bound: float) -> Goal:
    """Time of a random episode over another peer's."""

    def measured(results: Results) -> float | None:
        value = ratios(results, dataset, "episodes_cpu", (other, _STORE))
        return None if value is None else value.middle

    return Goal(f"{dataset}: {text}", measured, bound, at_least=False)


def _figure(dataset: str, key: str, text: str, bound: float) -> Goal:
    def measured(results: Results) -> float | None:
        value = figures(results, dataset, _STORE, key)
        return None if value is None else value.middle

    return Goal(f"{dataset}: {text}", measured, bound, at_least=False)


def _extra(key: str, bound: float, *, at_least: bool) -> Goal:
    def measured(results: Results) -> float | None:
        value = results.get("extra", {}).get(key)
        return float(value) if isinstance(value, (int, float)) else None

    return Goal(key, measured, bound, at_least)


def _cached(key: str, text: str, bound: float) -> Goal:
    def measured(results: Results) -> float | None:
        value = ratios(results, "B", key, ("trajstore_cached", _LIMIT))
        return None if value is None else value.middle

    return Goal(f"B: {text}", measured, bound)


def _camera(preset: str, key: str, text: str, bound: float, *, at_least: bool = True) -> Goal:
    """One preset of camera fields over LeRobot's defaults."""

    def measured(results: Results) -> float | None:
        value = ratios(results, "C", key, (f"trajstore_{preset}", "lerobot"))
        return None if value is None else value.middle

    return Goal(f"C: {preset}: {text} / LeRobot", measured, bound, at_least)


GOALS = (
    _ratio("A", "transitions_cpu", _LIMIT, "random steps / limit", 0.45),
    _ratio("A", "transitions_cpu", "lance", "random steps / Lance", 25),
    _ratio("A", "transitions_cpu", "minari", "random steps / Minari", 700),
    _ratio("A", "windows_cpu", _LIMIT, "windows / limit", 0.3),
    _ratio("A", "windows_cpu", "lance", "windows / Lance", 12),
    _ratio("A", "sequential_cpu", _LIMIT, "sequential / limit", 0.7),
    _slower("A", _LIMIT, "time of an episode / limit", 2),
    _ratio("A", "write_mb_s", _LIMIT, "write / limit", 0.7),
    _ratio("A", "write_mb_s", "lance", "write / Lance", 1),
    _ratio("A", "write_mb_s", "minari", "write / Minari", 3),
    _figure("A", "size_ratio", "size / raw", 1.03),
    _figure("A", "open_s", "open, s", 0.02),
    _figure("A", "sample_memory_mb", "memory while sampling, MB", 64),
    _figure("A", "first_batch_s", "import, open, first batch, s", 0.15),
    _figure("A", "files", "files", 100),
    _ratio("B", "transitions_cpu", "lance", "random steps / Lance", 2.5),
    _cached("transitions_cpu", "random steps with the decoded cache / limit", 0.4),
    _ratio("B", "windows_cpu", "lance", "windows / Lance", 2.5),
    _ratio("B", "sequential_cpu", "lance", "sequential / Lance", 1.5),
    _ratio("B", "sequential_cpu", "zarr", "sequential / textbook Zarr", 5),
    _slower("B", "lance", "time of an episode / Lance", 0.4),
    _ratio("B", "write_mb_s", "lance", "write / Lance", 1.2),
    _most("B", "size_mb", "lance", "size / Lance", 0.10),
    _figure("B", "size_ratio", "size / raw", 0.10),
    _figure("B", "open_s", "open, s", 0.08),
    _figure("B", "sample_memory_mb", "memory while sampling, MB", 64),
    _figure("B", "first_batch_s", "import, open, first batch, s", 0.25),
    _figure("B", "files", "files", 160),
    _camera("jpeg", "psnr_db", "PSNR", 1),
    _camera("jpeg", "transitions_cpu", "random steps", 6),
    _camera("jpeg", "windows_cpu", "windows", 2.5),
    _camera("jpeg", "write_mb_s_cpu", "write", 20),
    _camera("jpeg", "size_mb", "size", 4, at_least=False),
    _camera("h264", "psnr_db", "PSNR", 1),
    _camera("h264", "transitions_cpu", "random steps", 3),
    _camera("h264", "windows_cpu", "windows", 2.5),
    _camera("h264", "write_mb_s_cpu", "write", 8),
    _camera("h264", "size_mb", "size", 1.05, at_least=False),
    _figure("C", "size_ratio", "lossless size / raw", 0.5),
    _extra("A: record, episode by episode, steps/s", 50_000, at_least=True),
    _extra("B: record, episode by episode, steps/s", 20_000, at_least=True),
    _extra("A: verify, MB/s", 1_000, at_least=True),
    _extra("B: verify, MB/s of raw rows", 1_000, at_least=True),
    _extra("open at 10 million steps, ms", 20, at_least=False),
    _extra("B under a limit of 300 MB: own memory, MB", 300, at_least=False),
    _extra("A: loader's share of a cloning update", 0.15, at_least=False),
)
