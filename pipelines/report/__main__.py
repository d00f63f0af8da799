"""Write the page, the summary and the plots anew from a ``comparison.json``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loguru import logger

from pipelines.report.page import write_report
from pipelines.runlog import check
from trajstore.errors import TrajStoreError
from trajstore.files import read_json


def main(argv: Sequence[str] | None = None) -> int:
    """Render; exit status 1 when the file is no comparison."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.report", description=__doc__)
    parser.add_argument("comparison", type=Path, help="comparison.json of an earlier run")
    parser.add_argument("--out", type=Path, help="folder; the comparison's own by default")
    arguments = parser.parse_args(argv)
    try:
        report = read_json(arguments.comparison)
        check(report, "comparison", where=str(arguments.comparison))
        out = arguments.out or arguments.comparison.parent
        write_report(report, out)
    except TrajStoreError as error:
        logger.error("{}", error)
        return 1
    print(out / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
