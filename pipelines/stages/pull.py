"""Bring every output from the DVC remote, checked: nothing lands outside, nothing is believed.

``dvc pull`` writes where a listing of the remote says, and takes one listing for another. This
checks the listings and the files first, and what they hold in the end: versions and finished runs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from loguru import logger

from pipelines.learning.promotion import MANIFEST, read_manifest
from pipelines.learning.runlog import RECORD
from pipelines.learning.sealing import ARM, EXPERT, read_arm, read_member
from pipelines.running.listings import PullError, pull
from pipelines.running.stage import in_one_line, parser_of
from trajstore.errors import TrajStoreError
from trajstore.version.integrity import verify


def faults(output: Path) -> Iterator[str]:
    """What is wrong with the arms and the versions in the folder of an output."""
    for mark in sorted(output.rglob("manifest.json")):
        if (mark.parent / "zarr.json").exists():
            yield from (f"{mark.parent}: {found.message}" for found in verify(mark.parent))
    runs = {mark.parent.parent for mark in output.rglob(RECORD)}
    for folder in sorted(runs | {mark.parent for mark in output.rglob(ARM)}):
        yield from _arm(folder)


def _arm(folder: Path) -> Iterator[str]:
    try:
        arm = read_arm(folder)
        if arm.arm == EXPERT and (folder / MANIFEST).is_file():
            read_manifest(folder)
        for seed in arm.runs:
            read_member(folder, arm, int(seed))
    except TrajStoreError as error:
        yield str(error)


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Pull and verify; exit status 1 if anything is not what was pushed."""
    parser = parser_of("pull", __doc__, example="--remote storage")
    parser.add_argument("--remote", help="name of the DVC remote; its default unless given")
    parser.add_argument("--force", action="store_true", help="replace what was changed here")
    arguments = parser.parse_args(argv)
    outputs = pull(Path.cwd(), remote=arguments.remote, force=arguments.force)
    wrong = [text for output in outputs if output.path.is_dir() for text in faults(output.path)]
    if wrong:
        raise PullError("; ".join(wrong))
    files = sum(len(output.files) for output in outputs)
    logger.info("{} outputs with {} files, all as they were pushed", len(outputs), files)
    return 0
