"""Looking at a store is quick: the command imports what it needs, and nothing of the rest."""

import os
import subprocess
import sys

import pytest

from tests import factories

HEAVY = {
    "torch",
    "gymnasium",
    "zarr",
    "stable_baselines3",
    "imitation",
    "matplotlib",
    "PIL",
    "minari",
}
PROGRAM = """
import json, resource, sys
from trajstore.cli import run
status = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([status, used.ru_utime + used.ru_stime, sorted(sys.modules)]), file=sys.stderr)
"""


def call(*arguments: str) -> tuple[int, float, set[str]]:
    """Exit status, processor seconds and modules of one command in a process of its own."""
    import json

    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    status, seconds, modules = json.loads(done.stderr.splitlines()[-1])
    return status, seconds, set(modules)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("imports") / "store"
    factories.dataset(root / "expert/v1", count=40, schema=factories.WIDE_SCHEMA)
    return root


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list"], ["inspect", "expert@v1"], ["du"], ["verify", "expert@v1"]]
)
def test_a_look_at_the_store_imports_nothing_heavy(store, arguments):
    status, _, modules = call("--store", str(store), *arguments)
    assert status == 0
    assert modules & HEAVY == set()


def test_help_does_not_even_import_the_arrays(store):
    _, seconds, modules = call("--help")
    assert modules & {"numcodecs", "rich.table", "trajstore.dataset"} == set()
    assert seconds < 0.5


@pytest.mark.parametrize("arguments", [["list"], ["inspect", "expert@v1"]])
def test_list_and_inspect_take_less_than_half_a_second_of_processor(store, arguments):
    seconds = min(call("--store", str(store), *arguments)[1] for _ in range(3))
    assert seconds < 0.5


def test_the_package_itself_imports_no_dataset_until_asked():
    code = "import trajstore, sys; sys.exit('trajstore.dataset' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
