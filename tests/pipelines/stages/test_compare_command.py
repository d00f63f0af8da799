"""The command of the comparison names the option whose folder is missing or named twice."""

import shutil
from pathlib import Path

import pytest

from pipelines.stages import compare as stage
from pipelines.stages.compare import CompareParams, main
from tests.pipelines.stages.test_compare import SLOW, STEADY, arm


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, curve in {"baseline": SLOW, "finetune": STEADY, "control": SLOW}.items():
        arm(folder, name, curve)
    return folder


def test_the_command_compares_any_two_groups(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = CompareParams.__dataclass_fields__["resamples"].default
    monkeypatch.setattr(
        stage, "CompareParams", lambda **options: CompareParams(**options, resamples=quick // 50)
    )
    groups = ["--baseline", str(root / "control"), "--pretrained", str(root / "finetune")]
    assert main([*groups, "--out", str(tmp_path)]) == 0
    assert "before its first online step" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert {"comparison.json", "report.html", "summary.md", "metrics.json"} <= names


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--baseline A --pretrained B", "--baseline: there is no folder A"),
        ("--baseline {b} --pretrained B", "--pretrained: there is no folder B"),
        ("--baseline {b} --pretrained {b}", "--pretrained: expected a folder of its own"),
        ("--baseline {b} --pretrained {f} --arm foo=bar", "--arm foo: there is no folder bar"),
        ("--baseline {b} --pretrained {f} --control {f}/../finetune", "is that of --pretrained"),
        ("--baseline {b} --pretrained {f} --expert E", "compare.expert: there is no folder E"),
        ("--baseline {b} --pretrained {f} --dataset D", "compare.dataset: there is no folder D"),
    ],
)
def test_the_command_names_the_option_whose_folder_is_wrong(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, complaint: str
) -> None:
    given = words.format(b=root / "baseline", f=root / "finetune").split()
    assert main([*given, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_third_group_without_the_two_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as left:
        main(["--control", "x"])
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("place", "complaint"),
    [("swapped", "baseline: expected what was made in a folder of this name, got arm finetune"),
     ("renamed", "before: expected what was made in a folder of this name, got arm finetune"),
     ("named otherwise", "finetune: expected runs of arm few_5, got those of arm finetune")],
)  # fmt: skip
def test_an_arm_is_what_its_record_says_and_not_what_its_folder_is_called(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, complaint: str
) -> None:
    shutil.copytree(root, tmp_path / "runs")
    baseline, finetune = tmp_path / "runs/baseline", tmp_path / "runs/finetune"
    words: list[str] = []
    if place == "swapped":
        baseline.rename(tmp_path / "beside")
        finetune.rename(baseline)
        (tmp_path / "beside").rename(finetune)
    elif place == "renamed":
        finetune = finetune.rename(tmp_path / "before")
    else:
        words = ["--arm", f"few_5={root / 'finetune'}"]
    given = ["--baseline", str(baseline), "--pretrained", str(finetune), *words]
    assert main([*given, "--out", str(tmp_path / "out")]) == 1
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
