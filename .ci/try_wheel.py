"""``python try_wheel.py base|gymnasium``: is the wheel right, with nothing else of ours there?"""

import subprocess
import sys
import sysconfig
from importlib.metadata import distribution, entry_points
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

LARGEST_MIB = 170 if sys.version_info < (3, 12) else 125
"""Of the base, compiled. The wheels of numcodecs for Python 3.11 take 32 MiB more."""
SLOWEST = 0.3
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils", "distutils")
PROGRAM = """
import gymnasium
from trajstore import Store
from trajstore.interop.environment import environment_of
from trajstore.interop.gymnasium import record, schema_of

env = gymnasium.make("CartPole-v1")
schema, provenance = schema_of(env), {"environment": environment_of(env)}
with Store("store").record("cartpole", schema=schema, provenance=provenance) as recorder:
    for episode in record(env, lambda _: env.action_space.sample(), seeds=[1], schema=schema):
        recorder.add(episode)
"""


def trajstore(*arguments: str) -> float:
    """Run the command; returns the seconds of processor that it took."""
    before = getrusage(RUSAGE_CHILDREN)
    command = Path(sys.executable).with_name("trajstore")
    subprocess.run([command, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def base() -> None:
    """What a bare installation has, weighs, and how fast it answers."""
    packages = {file.parts[0] for file in distribution("trajstore").files if ".." not in file.parts}
    assert all(name.startswith("trajstore") for name in packages), packages
    assert not entry_points(group="trajstore.environments")
    subprocess.run([sys.executable, "-c", "import trajstore; trajstore.Store"], check=True)
    site = Path(sysconfig.get_path("purelib"))
    held = [top for top in site.iterdir() if not top.name.startswith(NOT_OURS)]
    files = [file for top in held for file in [top, *top.rglob("*")] if file.is_file()]
    mebibytes = sum(file.stat().st_blocks * 512 for file in files) / 2**20
    seconds = min(trajstore("--help") for _ in range(5))
    print(
        f"Python {sys.version.split()[0]}: {mebibytes:.0f} MiB, --help {seconds:.2f} s", flush=True
    )
    assert mebibytes <= LARGEST_MIB
    assert seconds <= SLOWEST


def gymnasium() -> None:
    """Record an episode of an environment, look at it, and play it again."""
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
    trajstore("--store", "store", "inspect", "cartpole@v1")
    replay = ("--replay", "all", "--environment", "gymnasium")
    trajstore("--store", "store", "verify", "cartpole@v1", *replay)
    print("  recorded and played again beside gymnasium", distribution("gymnasium").version)


{"base": base, "gymnasium": gymnasium}[sys.argv[1]]()
