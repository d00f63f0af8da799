"""What other packages offer is found and named; what is at fault is left aside, no more."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import factories
from trajstore.cli import run
from trajstore.dataset import Dataset
from trajstore.episode.anomalies import Anomaly
from trajstore.episode.plugins import KINDS, detectors, offered
from trajstore.errors import PluginError
from trajstore.playback.viewed import Viewed
from trajstore.quality import CHECKS, every_check, validate
from trajstore.quality.contract import Contract
from trajstore.quality.records import read_verdict
from trajstore.version.findings import Severity
from trajstore.version.manifest import Status

ROOT = Path(__file__).parents[2]
ORIGIN = "trajstore-example 0.1.0"
EASY = Contract(minimum_episodes=1)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example was installed from its source."""
    source, target = tmp_path_factory.mktemp("plug") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "examples" / "plugin", source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *offline, str(source)], check=True, capture_output=True)
    return target


@pytest.fixture
def call(installed: Path, tmp_path: Path) -> Any:
    """Run a command line in a process that has the example."""

    def trajstore(*arguments: str, status: int = 0) -> str:
        path = os.pathsep.join([str(installed), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-m", "trajstore", "--store", "data/store", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stdout

    return trajstore


def corridor(target: Path, count: int = 4) -> None:
    """Episodes in which the agent rests for six steps, then goes to the end."""
    script = (
        "import sys, numpy as np\n"
        "from trajstore import *\n"
        "from trajstore_example import Corridor\n"
        "one = [('terminated', 'bool', ()), ('truncated', 'bool', ()), ('reward', 'float32', ())]\n"
        "fields = [FieldSpec(name, Axis.STEP, shape, dtype) for name, dtype, shape in one]\n"
        "fields += [FieldSpec('observation', Axis.STATE, (1,), 'float64')]\n"
        "fields += [FieldSpec('action', Axis.STEP, (1,), 'float64')]\n"
        "fields += [FieldSpec('seed', Axis.EPISODE, (), 'int64')]\n"
        "schema = EpisodeSchema(tuple(fields))\n"
        "def episode(seed):\n"
        "    world = Corridor(); rows = [world.reset(seed=seed)[0]]; actions = []; ends = []\n"
        "    while not (ends and ends[-1]):\n"
        "        actions.append([0.0 if len(actions) in range(3, 9) else 0.1])\n"
        "        row, _, end, _, _ = world.step(actions[-1]); rows.append(row); ends.append(end)\n"
        "    return Episode(schema, {'observation': np.stack(rows), 'action': np.array(actions),\n"
        "        'reward': np.full(len(ends), -1, 'float32'), 'terminated': np.array(ends),\n"
        "        'truncated': np.zeros(len(ends), bool), 'seed': np.array(seed)})\n"
        "made = [episode(seed) for seed in range(int(sys.argv[2]))]\n"
        "provenance = {'environment': {'id': 'Corridor-v0'}}\n"
        "write_dataset(sys.argv[1], made, schema=schema, provenance=provenance)\n"
    )
    path = os.pathsep.join([str(target.parents[1] / "site"), str(ROOT)])
    arguments = [sys.executable, "-c", script, str(target), str(count)]
    subprocess.run(arguments, check=True, env=os.environ | {"PYTHONPATH": path})


def test_the_example_offers_a_task_to_the_pipeline(installed: Path) -> None:
    script = (
        "from pipelines.tasks.gym_task import GymTask\n"
        "task = GymTask('Corridor-v0', {}, (), None, None, 50)\n"
        "env = task.make(); seen, _ = env.reset(seed=1)\n"
        "ends = [env.step(env.action_space.high)[2] for _ in range(10)]\n"
        "print(task.environment()['id'], env.observation_space.contains(seen), ends[-1])\n"
    )
    path = os.pathsep.join([str(installed), str(ROOT)])
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True,
                          text=True, env=os.environ | {"PYTHONPATH": path})  # fmt: skip
    assert done.stdout.split() == ["Corridor-v0", "True", "True"]


def test_the_example_is_found_by_every_command(call: Any, installed: Path, tmp_path: Path) -> None:
    (tmp_path / "site").symlink_to(installed)
    corridor(tmp_path / "data" / "v1")
    table = json.loads(call("doctor", "--json"))
    ours = {row["what"]: row for row in table if row["found"] == ORIGIN}
    assert set(ours) == {
        "check flat_reward",
        "detector idle",
        "format jsonl",
        "environment Corridor-v0",
        "task Corridor-v0",
    }
    assert {row["verdict"] for row in ours.values()} == {"good"}
    contract = tmp_path / "data" / "v1.contract.json"
    contract.write_text('{"dataset": "v1", "minimum_episodes": 1}')
    arguments = ("validate", "data/v1", "--contract", str(contract))
    report = json.loads(call(*arguments, "--json"))
    assert report["plugins"] == {"flat_reward": ORIGIN, "detector idle": ORIGIN}
    found = {it["check"]: it for it in report["findings"] if "plugin" in it}
    assert found["flat_reward"]["severity"] == "warning"
    assert found["detector idle"] == {
        "severity": "note",
        "check": "detector idle",
        "message": "marks 4 of 4 episodes, first steps 3 to 8 of episode 0: no action for 6 steps "
        f"({ORIGIN})",
        "episode": 0,
        "step": 3,
        "plugin": ORIGIN,
    }
    verdict = read_verdict(tmp_path / "data" / "v1")
    assert verdict is not None
    assert verdict.plugins == report["plugins"]
    assert {it.plugin for it in verdict.findings if it.plugin} == {ORIGIN}
    assert f"detector idle ({ORIGIN}), flat_reward ({ORIGIN})" in call("inspect", "data/v1")
    assert "jsonl" in call("export", "--help")
    call("export", "data/v1", "--to", "jsonl", "corridor.jsonl")
    call("import", "corridor.jsonl", "--from", "jsonl", "--as", "copy")
    copy, first = (
        Dataset.open(tmp_path / "data" / it).manifest.content_digest
        for it in ("store/copy/v1", "v1")
    )
    assert copy == first
    assert "4/4 bit-equal" in call("verify", "data/v1", "--replay", "all")
    call("play", "data/v1", "--out", "page.html", "--no-open")
    assert f"no action for 6 steps ({ORIGIN})" in (tmp_path / "page.html").read_text()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make packages that offer things; their modules are forgotten at the end."""
    folder, before = tmp_path / "site", set(sys.modules)
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def package(name: str, code: str, **offers: str) -> None:
        module = name.replace("-", "_")
        (folder / f"{module}.py").write_text(code)
        info = folder / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(
            "".join(
                f"[trajstore.{kind}s]\n{it} = {module}:{it.strip('!')}\n"
                for kind, names in offers.items()
                for it in names.split()
            )
        )

    yield package
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            sys.modules.pop(name)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    factories.dataset(tmp_path / "data" / "v1", count=12)
    return Dataset.open(tmp_path / "data" / "v1")


FINDING = "from trajstore import Finding, Severity\n"
AT_FAULT = {
    "ImportError": ("import no_such_module_anywhere\n", "No module named"),
    "syntax": ("def f(:\n", "SyntaxError"),
    "exit": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "recursion": ("def f(): f()\nf()\n", "RecursionError"),
    "lacks": ("", "AttributeError"),
    "no function": ("f = 7\n", "is no function"),
    "raises": ("def f(dataset, contract):\n    return 1 / 0\n", "ZeroDivisionError"),
    "exits": ("def f(dataset, contract):\n    raise SystemExit\n", "SystemExit"),
    "no arguments": ("def f():\n    return []\n", "TypeError"),
    "no findings": ("def f(dataset, contract):\n    return 7\n", "not iterable"),
    "other things": ("def f(dataset, contract):\n    yield 'wrong'\n", "AttributeError"),
    "unknown field": ("def f(dataset, contract):\n    dataset.column('mass')\n", "field 'mass'"),
    "endless": (
        f"{FINDING}def f(dataset, contract):\n"
        "    while True:\n        yield Finding(Severity.NOTE, 'f', 'more')\n",
        "more than 1,000 findings",
    ),
    "severity": (
        f"{FINDING}def f(dataset, contract):\n    yield Finding('fatal', 'f', 'x')\n",
        "'fatal' is not a valid Severity",
    ),
    "changes data": (
        "def f(dataset, contract):\n    dataset.column('reward')[:] = 0\n    return []\n",
        "read-only",
    ),
    "escapes": ("raise ValueError('\\x1b[2J[red]x')\n", r"\\x1b[2J[red]x"),
}


@pytest.mark.parametrize(("code", "told"), AT_FAULT.values(), ids=AT_FAULT)
def test_a_check_at_fault_is_a_warning_that_names_its_package(
    site: Any, dataset: Dataset, code: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site("broken-plug", code, check="f")
    plain = validate(dataset, EASY, checks=CHECKS)
    report = validate(dataset, EASY)
    assert report.status is plain.status is Status.VALIDATED
    assert report.plugins == {"f": "broken-plug 1.2"}
    *_, warning = report.findings
    assert (warning.severity, warning.check, warning.plugin) == (
        Severity.WARNING,
        "f",
        "broken-plug 1.2",
    )
    assert told.replace("\\\\", "\\") in warning.message
    assert "check f of broken-plug 1.2" in warning.message
    assert "update or uninstall broken-plug" in warning.message
    assert run(["doctor", "--json"]) == 0
    assert "check f" in capsys.readouterr().out


def test_what_a_check_found_before_it_failed_is_kept(site: Any, dataset: Dataset) -> None:
    code = (
        f"{FINDING}import numpy as np\ndef f(dataset, contract):\n"
        "    yield Finding(Severity.BLOCKING, 'contents', 'bad', episode=np.int64(3))\n"
        "    raise ValueError\n"
    )
    site("half", code, check="f")
    report = validate(dataset, EASY)
    assert [(it.check, it.severity.value, it.episode) for it in report.findings if it.plugin] == [
        ("f", "blocking", 3),
        ("f", "warning", None),
    ]
    assert report.status is Status.QUARANTINED
    json.dumps(report.to_json())


NO_MARKS = (
    "Anomaly('x', 0, 10**6, 'm', 0.5)",
    "Anomaly('x', 3, 2, 'm', 0.5)",
    "Anomaly('x', 0, 0, 'm', 2)",
    "Anomaly('x', 0, 0, 'm', float('nan'))",
    "Anomaly('x', None, 0, 'm', 0.5)",
    "None",
    "1 / 0",
)


@pytest.mark.parametrize("yields", NO_MARKS)
def test_a_detector_at_fault_is_named_and_marks_nothing(
    site: Any, dataset: Dataset, yields: str
) -> None:
    code = f"from trajstore.episode.anomalies import Anomaly\ndef f(episode):\n    yield {yields}\n"
    site("broken-plug", code, detector="f")
    report = validate(dataset, EASY)
    (warning,) = [it for it in report.findings if it.plugin]
    assert (warning.check, warning.severity) == ("detector f", Severity.WARNING)
    viewed = Viewed(dataset)
    assert not [it for it in viewed.see(0).marks if it["kind"] == "f"]
    (told,) = viewed.left_aside
    assert "detector f of broken-plug 1.2" in told


def test_names_that_clash_are_named_and_left_aside(
    site: Any, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "def f(*arguments):\n    return []\ncontents = stuck = npz = f\n"
    site("one-plug", code, check="f contents", detector="stuck", format="npz")
    site("other-plug", code, check="f")
    checks = every_check()
    assert {name: checks[name] for name in CHECKS} == CHECKS
    report = validate(dataset, EASY)
    told = [it.message for it in report.findings if it.plugin]
    assert len(told) == 4
    assert any(
        "contents of one-plug 1.2: has the name of trajstore itself, and is not used" in it
        for it in told
    )
    assert any(
        "f of one-plug 1.2: has the name of other-plug 1.2, and is not used" in it for it in told
    )
    assert not detectors()[0]
    run(["doctor"])
    assert capsys.readouterr().out.count("left aside") == 5


def test_a_package_that_is_there_twice_is_one(site: Any, tmp_path: Path) -> None:
    site("one-plug", "def f(*arguments):\n    return []\n", check="f")
    info = tmp_path / "site" / "one_plug-1.2.dist-info"
    shutil.copytree(info, info.with_name("one_plug-1.3.dist-info"))
    (found,) = offered("check")
    assert not found.clash


def test_marks_of_other_packages_are_neither_sealed_nor_scored(site: Any, tmp_path: Path) -> None:
    factories.dataset(tmp_path / "a" / "v1", count=3)
    site("one-plug", "from trajstore.episode.anomalies import Anomaly\n"
         "def f(episode):\n    yield Anomaly('x', 0, 0, 'm', 1.0)\n", detector="f")  # fmt: skip
    factories.dataset(tmp_path / "b" / "v1", count=3)
    one, two = ((tmp_path / it / "v1" / "manifest.json").read_bytes() for it in "ab")
    assert one == two
    (mark,) = [
        it for it in Viewed(Dataset.open(tmp_path / "b" / "v1")).see(0).marks if it["kind"] == "f"
    ]
    assert mark == Anomaly("f", 0, 0, "m (one-plug 1.2)", 1.0).to_json()


def test_data_never_name_code(
    site: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site("bait", "raise SystemExit('imported')\n", other="f")
    code = {"entry_point": "bait:f", "module": "bait", "plugin": "bait 1.2", "id": "bait:f"}
    provenance = {"environment": code, "plugins": code, "checks": ["bait:f"], "format": "bait"}
    factories.dataset(tmp_path / "data" / "v1", provenance=provenance)
    version = str(tmp_path / "data" / "v1")
    for arguments in (
        ["inspect", version],
        ["validate", version],
        ["export", version, "--to", "npz", str(tmp_path / "x.npz")],
        ["import", str(tmp_path / "x.npz"), "--from", "npz", "--as", "copy"],
        ["play", version, "--out", str(tmp_path / "p.html"), "--no-open"],
        ["verify", version, "--replay", "all"],
        ["doctor"],
    ):
        run(["--store", str(tmp_path / "store"), *arguments])
        assert "imported" not in capsys.readouterr().err
    assert "bait" not in sys.modules


def test_a_format_at_fault_is_one_line(site: Any, call: Any, tmp_path: Path) -> None:
    site("bad-format", "", format="f")
    code = (
        "def export_dataset(dataset, target): return 1 / 0\ndef import_dataset(source): return 7\n"
    )
    (tmp_path / "site" / "bad_format.py").write_text(f"class f:\n{code.replace('def', ' def')}")
    factories.dataset(tmp_path / "data" / "v1")
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    for arguments, told in (
        (
            ["export", "data/v1", "--to", "f", "x"],
            "bad-format 1.2: could not write x: Zero",
        ),
        (
            ["import", "data/v1", "--from", "f", "--as", "y"],
            "could not read data/v1: TypeError: int",
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "trajstore", *arguments],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_each_kind_has_a_group(site: Any) -> None:
    code = "def f(*arguments):\n    return []\n"
    site("all-plug", code, **dict.fromkeys(KINDS, "f"))
    for kind in KINDS:
        (found,) = [it for it in offered(kind) if it.package == "all-plug"]
        assert np.iterable(found.load()())
        assert str(found) == f"{kind} f of all-plug 1.2"


def test_a_name_that_is_taken_is_not_loaded(site: Any) -> None:
    site("one-plug", "raise SystemExit\n", check="f")
    (found,) = offered("check", own=["f"])
    with pytest.raises(PluginError, match="has the name of trajstore itself, and is not used"):
        found.load()
