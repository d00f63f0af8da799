"""``python -m pipelines``: one command for every stage, which says what there is."""

import pytest

from pipelines.__main__ import STAGES, main


def test_without_a_stage_it_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(f"  {name} " in shown for name in STAGES)


@pytest.mark.parametrize(
    ("asked", "hint"), [("recrod", "did you mean 'record'?"), ("zzz", "choose one of the above")]
)
def test_a_stage_that_there_is_not_is_named(
    asked: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([asked]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(f"expected a stage, got {asked!r}; {hint}\n")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_there(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([stage, "--help"])
    assert left.value.code == 0
    assert f"python -m pipelines {stage}" in capsys.readouterr().out
