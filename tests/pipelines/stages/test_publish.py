"""The same content is published once, whatever the number of times it is asked for."""

from pathlib import Path

import pytest

from pipelines.stages.publish import PublishParams, run
from tests import factories
from tests.pipelines import tiny
from trajstore.disk.files import write_json
from trajstore.errors import TrajStoreError
from trajstore.version.manifest import Manifest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    factories.dataset(tmp_path / "current/expert")
    digest = Manifest.read(tmp_path / "current/expert").content_digest
    report = {"verdict": "validated", "digest": digest, "findings": [], "contract": None}
    write_json(tmp_path / "validation.json", report)
    return tmp_path


def publish(place: Path):
    params = PublishParams(str(place / "archive"), 3, 3, 3, 10**9)
    return run(
        params,
        dataset=place / "current/expert",
        report=place / "validation.json",
        store=place / "store",
        reviews=place / "reviews.json",
    )


def test_publishing_twice_is_a_no_op(place: Path) -> None:
    first = publish(place)
    before = tiny.contents(place / "store")
    second = publish(place)
    assert (first.new, second.new) == (True, False)
    assert first.version == second.version == 1
    assert tiny.contents(place / "store") == before


def test_a_report_on_other_content_is_refused(place: Path) -> None:
    report = {"verdict": "validated", "digest": "0" * 64, "findings": [], "contract": None}
    write_json(place / "validation.json", report)
    with pytest.raises(TrajStoreError):
        publish(place)
    assert not (place / "store/expert/v1").exists()


@pytest.mark.parametrize("report", [{}, [], {"verdict": "splendid"}])
def test_a_report_that_is_none_is_refused(place: Path, report: object) -> None:
    write_json(place / "validation.json", report)
    with pytest.raises(TrajStoreError, match="validate again"):
        publish(place)
