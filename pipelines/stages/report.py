"""Write the page, the summary and the plots anew from a ``comparison.json``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.learning.runlog import check
from pipelines.report.page import write_report
from pipelines.running.stage import in_one_line, parser_of
from trajstore.disk.files import read_json


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Render; exit status 1 when the file is no comparison."""
    parser = parser_of("report", __doc__, example="data/reports/comparison.json --out data/page")
    parser.add_argument("comparison", type=Path, help="comparison.json of an earlier run")
    parser.add_argument("--out", type=Path, help="folder; the comparison's own by default")
    arguments = parser.parse_args(argv)
    report = read_json(arguments.comparison)
    check(report, "comparison", where=str(arguments.comparison))
    out = arguments.out or arguments.comparison.parent
    write_report(report, out)
    print(out / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
