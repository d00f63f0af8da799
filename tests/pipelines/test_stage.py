"""What a user can act on is one line and exit status 1; a bug stays a traceback."""

from collections.abc import Sequence

import pytest

from pipelines.stage import in_one_line
from trajstore.errors import StatusError


def failing(error: Exception) -> int:
    @in_one_line
    def main(argv: Sequence[str] | None = None) -> int:
        raise error

    return main()


def test_an_expected_error_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(StatusError("expert: expected approved,\n got draft")) == 1
    assert capsys.readouterr().err == "expert: expected approved, got draft\n"


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_a_good_end_keeps_its_status() -> None:
    assert in_one_line(lambda argv=None: len(argv or ()))(["a", "b"]) == 2


@pytest.mark.parametrize(
    "stage", ["expert", "record", "validate", "publish", "pretrain", "finetune --arm a --out o"]
)
def test_every_stage_says_in_one_line_that_it_has_no_parameters(
    stage: str, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    monkeypatch.chdir(tmp_path)
    name, *options = stage.split()
    main = importlib.import_module(f"pipelines.{name}").main
    assert main(["--params", "none.yaml", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("none.yaml: expected a YAML file")
    assert error.count("\n") == 1
