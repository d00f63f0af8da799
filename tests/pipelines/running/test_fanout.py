"""What jobs compute does not depend on the engine; results come in the order of the jobs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.running.fanout import CLUSTERS, ENGINES, run_jobs
from pipelines.running.params import ParamsError
from trajstore.errors import StatusError

SCRIPT = """
import sys
from pipelines.running.fanout import run_jobs
from trajstore.errors import StatusError


def fail(number):
    raise StatusError(f"job {number}: expected luck")


if __name__ == "__main__":
    print(run_jobs(lambda number: number**2, range(3), engine=sys.argv[1]), flush=True)
    try:
        run_jobs(fail, [1], engine=sys.argv[1])
    except StatusError as error:
        print(error)
"""
HERE = ("processes", "sequential")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs of jobs go to the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def square(number: int) -> tuple[int, int]:
    return number, number * number


def where(_: int) -> int:
    return os.getpid()


def fail(number: int) -> int:
    raise StatusError(f"job {number}: expected luck, got none")


@pytest.mark.parametrize("engine", HERE)
def test_results_come_in_the_order_of_the_tasks(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "2")
    assert run_jobs(square, range(9), engine=engine) == [square(n) for n in range(9)]


@pytest.mark.parametrize("engine", HERE)
def test_an_error_of_a_job_keeps_its_class(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "2")
    with pytest.raises(StatusError, match="expected luck"):
        run_jobs(fail, [1, 2], engine=engine)


def test_one_worker_needs_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAJSTORE_WORKERS", "1")
    assert run_jobs(where, [1, 2], engine="processes") == [os.getpid()] * 2


def test_no_jobs_are_no_results() -> None:
    assert run_jobs(square, []) == []


def test_an_unknown_engine_and_a_number_that_is_none_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ParamsError, match=r"expected one of .* got 'clouds'"):
        run_jobs(square, [1], engine="clouds")
    monkeypatch.setenv("TRAJSTORE_WORKERS", "many")
    with pytest.raises(ParamsError, match="TRAJSTORE_WORKERS: expected a number"):
        run_jobs(square, [1])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ray", "submitit"])
def test_engines_of_clusters_run_here_too(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), engine]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2:] == ["[0, 1, 4]", "job 1: expected luck"], done.stderr


def test_an_engine_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"processes", "sequential", "ray", "submitit"} == set(ENGINES)
    monkeypatch.setitem(CLUSTERS, "ray", "pipelines.on_nothing")
    with pytest.raises(ParamsError, match="install the extra 'cluster'"):
        run_jobs(square, [1], engine="ray")


def test_parameters_for_jobs_are_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("TRAJSTORE_SUBMITIT", "[partition]")
    with pytest.raises(ParamsError, match="TRAJSTORE_SUBMITIT: expected a JSON object"):
        run_jobs(square, [1], engine="submitit")
