"""Commands print facts, change nothing, and say with their exit status whose fault it was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests import factories
from trajstore.cli import COMMANDS, run
from trajstore.episode.episode import Episode
from trajstore.episode.schema import Axis, EpisodeSchema, FieldSpec
from trajstore.recording.bulk import write_dataset
from trajstore.store import Store

OURS = ("list", "inspect", "du", "verify", "recover", "export", "import", "doctor", "completion")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "store"
    for count in (4, 6):
        with Store(root).record(
            "expert", schema=factories.WIDE_SCHEMA, provenance={"policy": {"id": "p7[red]"}}
        ) as recorder:
            for episode in factories.episodes(count, schema=factories.WIDE_SCHEMA):
                recorder.add(episode)
    with (
        pytest.raises(InterruptedError),
        Store(root).record("half", schema=factories.SCHEMA, provenance={}) as recorder,
    ):
        recorder.add(factories.episode(1))
        raise InterruptedError
    return root


@pytest.fixture
def trajstore(store, capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(["--store", str(store), *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def test_list_shows_each_version_and_recording(trajstore):
    status, out, _ = trajstore("list")
    assert status == 0
    rows = [line.split() for line in out.splitlines() if line.split()]
    assert [row[:3] for row in rows[2:]] == [
        ["expert", "v1", "draft"],
        ["expert", "v2", "draft"],
        ["half", "v1", "recording"],
    ]


def test_list_as_json_has_the_numbers(trajstore):
    status, out, _ = trajstore("list", "expert", "--json")
    first, second = json.loads(out)
    assert status == 0
    assert (first["episodes"], second["episodes"]) == (4, 6)
    assert second["steps"] == sum(map(len, factories.episodes(6, schema=factories.WIDE_SCHEMA)))
    assert second["quota_bytes"] == 25 * 10**9


def test_titles_are_not_broken(tmp_path, capsys):
    factories.dataset(tmp_path / "v1", provenance={"a": 1})
    assert run(["inspect", str(tmp_path / "v1")]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == str(tmp_path / "v1")
    assert lines[-2:] == ["provenance", "a  1"]


def test_inspect_shows_all_that_is_known(trajstore):
    status, out, _ = trajstore("inspect", "expert@v2")
    assert status == 0
    for text in ("draft", "camera/grid", "64x64", "crowd_navigation/high", "policy.id", "p7[red]"):
        assert text in out


def test_inspect_lists_the_names_of_components(tmp_path, capsys):
    joints = {"action": ["v[bold]", "omega"]}
    records = [it | {"names": joints.get(it["name"], [])} for it in factories.SCHEMA.to_json()]
    schema = EpisodeSchema.from_json(records)
    factories.dataset(tmp_path / "v1", schema=schema)
    assert run(["inspect", str(tmp_path / "v1")]) == 0
    assert "0 v[bold], 1 omega" in capsys.readouterr().out
    assert run(["inspect", str(tmp_path / "v1"), "--json"]) == 0
    fields = {it["name"]: it for it in json.loads(capsys.readouterr().out)["schema"]}
    assert fields["action"]["names"] == ["v[bold]", "omega"]
    assert "names" not in fields["reward"]


def test_inspect_as_json_has_schema_statistics_and_provenance(trajstore):
    _, out, _ = trajstore("inspect", "expert@latest", "--json")
    facts = json.loads(out)
    assert facts["provenance"] == {"policy": {"id": "p7[red]"}}
    assert facts["statistics"]["reward"]["count"]
    assert [field["name"] for field in facts["schema"]] == list(factories.WIDE_SCHEMA.names)


def test_du_counts_every_byte_once(trajstore, store):
    _, out, _ = trajstore("du", "expert@v1", "--json")
    files = [path for path in (store / "expert/v1").rglob("*") if path.is_file()]
    sizes = sum(path.stat().st_size for path in files if path.name != "manifest.json")
    assert sum(json.loads(out).values()) == sizes
    status, out, _ = trajstore("du")
    assert status == 0 and "total" in out


def test_verify_is_silent_on_what_is_sound_and_names_what_is_not(store, tmp_path, capsys):
    factories.dataset(tmp_path / "v1")
    assert run(["verify", str(tmp_path / "v1"), "--deep"]) == 0
    (tmp_path / "v1/step/reward/c.0").unlink()
    capsys.readouterr()
    assert run(["verify", str(tmp_path / "v1"), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings[0]["file"] == "step/reward/c.0"


def test_a_damaged_version_does_not_hide_the_others(tmp_path, capsys):
    for number in (1, 2):
        factories.dataset(tmp_path / f"store/expert/v{number}")
    (tmp_path / "store/expert/v1/manifest.json").write_text("{}")
    assert run(["--store", str(tmp_path / "store"), "list"]) == 1
    printed = capsys.readouterr()
    assert "damaged" in printed.out and "draft" in printed.out
    assert "expected a manifest" in printed.err


def test_a_version_whose_manifest_is_gone_is_damaged_not_absent(tmp_path, capsys):
    for number in (1, 2):
        factories.dataset(tmp_path / f"store/expert/v{number}")
    (tmp_path / "store/expert/v2/manifest.json").unlink()
    for line in ("list", "inspect expert@v2", "verify expert@v2"):
        assert run(["--store", str(tmp_path / "store"), *line.split()]) == 1
        printed = capsys.readouterr()
        told = " ".join((printed.out + printed.err).split())
        assert "is missing beside the arrays" in told and "dvc checkout --force" in told
        assert line != "list" or ("damaged" in printed.out and "v2" in printed.out)
    assert Store(tmp_path / "store").versions("expert") == [1]


def test_names_of_fields_are_not_broken_and_a_file_is_named_once(tmp_path, capsys):
    long = tuple(
        FieldSpec(f"pedestrian_positions/{number}", Axis.EPISODE, (2,), "float32", unit="m" * 20)
        for number in (1, 2)
    )
    schema = EpisodeSchema((*factories.SCHEMA.fields, *long))
    near = np.array([-1234.5, 6789.5], "float32")
    arrays = factories.arrays() | {spec.name: near for spec in long}
    target = tmp_path / "store/expert/v1"
    write_dataset(target, [Episode(schema, arrays)], schema=schema, provenance={})
    assert run(["--store", str(tmp_path / "store"), "inspect", "expert@v1"]) == 0
    out = capsys.readouterr().out
    assert all(f"{spec.name} " in out for spec in long)
    (target / "step/reward/c.0").unlink()
    assert run(["--store", str(tmp_path / "store"), "validate", "expert@v1"]) == 1
    told = "".join(capsys.readouterr().out.split()).partition("contents")[0]
    assert told.count("step/reward/c.0") == 1


HOSTILE = [
    *("", "expert\n", "x" * 300, "\u0435xpert@v1", "nope", "-", "v1", "@latest", "Expert"),
    *("../x", "/etc", "file:///etc", "expert@v1/../../x", "archive:../x@v1", "archive:expert@v1"),
    *("expert@", "expert@v0", "expert@v9", "expert@v1@v2"),
]


@pytest.mark.parametrize("reference", HOSTILE)
@pytest.mark.parametrize("command", ["inspect", "verify", "du"])
def test_a_reference_that_is_none_is_refused_in_one_line(trajstore, command, reference):
    status, out, err = trajstore(command, "--", reference)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("trajstore: ") and ": " in err.removeprefix("trajstore: ")


def test_a_bare_name_never_means_a_draft(trajstore):
    status, _, err = trajstore("inspect", "expert")
    assert status == 2
    assert "no version is validated yet" in err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["inspect"], ["list", "--wrong"], ["du", "a", "b"]]
)
def test_wrong_use_ends_with_status_2(trajstore, arguments):
    status, out, err = trajstore(*arguments)
    assert (status, out) == (2, "")
    assert err


def test_ctrl_c_ends_with_status_130(trajstore, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trajstore.cli.looking.version_lines", interrupt)
    status, _, err = trajstore("list")
    assert (status, err.strip()) == (130, "trajstore: interrupted")


def test_a_bug_is_not_hidden(trajstore, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("trajstore.cli.looking.version_lines", fail)
    with pytest.raises(ZeroDivisionError):
        trajstore("list")


def test_doctor_looks_at_environment_and_store(trajstore):
    status, out, _ = trajstore("doctor", "--json")
    checks = {check["what"]: check["verdict"] for check in json.loads(out)}
    assert status == 0
    assert checks["numpy"] == "good" and checks["expert@v1"] == "good"
    assert checks["half@v1"] == "note"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(trajstore, shell):
    status, out, _ = trajstore("completion", shell)
    assert status == 0 and "_TRAJSTORE_COMPLETE" in out


@pytest.mark.parametrize("command", OURS)
def test_each_command_explains_itself_with_an_example(command):
    from trajstore.cli import trajstore as group

    result = CliRunner().invoke(group, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output and "trajstore" in result.output


def test_the_list_of_commands_says_what_each_is_for(trajstore):
    status, out, _ = trajstore("--help")
    assert status == 0
    assert all(name in out and line in out for name, (_, line) in COMMANDS.items())


LOOKS = [
    *("list", "inspect expert@v1", "du", "verify expert@v1 --deep", "recover", "doctor"),
    *("verify nope", "recover half --discard --dry-run"),
]


@pytest.mark.parametrize("line", LOOKS)
def test_commands_that_read_write_nothing(trajstore, store, line):
    before = tree(store.parent)
    trajstore(*line.split())
    assert tree(store.parent) == before


@pytest.mark.parametrize("line", ["inspect expert@v1", "inspect expert@v1 --json", "--help"])
def test_a_reader_that_goes_away_is_no_fault_of_the_data(store, line):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "trajstore", "--store", str(store), *line.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_recover_seals_or_discards_what_was_recorded(tmp_path, capsys):
    root = str(tmp_path / "store")
    for name in ("kept", "dropped"):
        with (
            pytest.raises(InterruptedError),
            Store(root).record(name, schema=factories.SCHEMA, provenance={}) as recorder,
        ):
            recorder.add(factories.episode(1))
            raise InterruptedError
    assert run(["--store", root, "recover", "kept", "--seal"]) == 0
    assert run(["--store", root, "recover", "dropped", "--discard"]) == 0
    assert "sealed kept@v1 with 1 episodes" in capsys.readouterr().out
    assert Store(root).open("kept@v1")[0].digest == factories.episode(1).digest
    assert run(["--store", root, "recover", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["--store", root, "recover", "--seal"]) == 2


@pytest.mark.parametrize("kind", ["npz", "minari"])
def test_what_is_exported_is_imported_as_the_next_version(tmp_path, store, kind, capsys):
    other = str(tmp_path / "store")
    out = str(tmp_path / "out")
    assert run(["--store", str(store), "export", "expert@v2", "--to", kind, out]) == 0
    assert run(["--store", other, "import", out, "--from", kind, "--as", "new", "--dry-run"]) == 0
    assert not Path(other).exists()
    assert run(["--store", other, "import", out, "--from", kind, "--as", "new"]) == 0
    assert "as new@v1" in capsys.readouterr().out
    digests = [
        Store(root).open(ref, purpose="inspection").manifest.content_digest
        for root, ref in ((store, "expert@v2"), (other, "new@v1"))
    ]
    assert digests[0] == digests[1]
    assert run(["--store", str(store), "export", "expert@v2", "--to", kind, out]) == 2
