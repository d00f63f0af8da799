"""Write the page, the summary and the plots anew from a ``comparison.json``.

Given the folder of an expert, write how it came to be promoted or held back: a table with
intervals, and its learning curves.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pipelines.comparison.record import Comparison, read_comparison
from pipelines.report.expert import write_expert
from pipelines.report.page import write_report
from pipelines.running.stage import in_one_line, parser_of


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Render; exit status 1 when there is no comparison and no expert."""
    parser = parser_of("report", __doc__, example="data/reports/comparison.json --out data/page")
    parser.add_argument(
        "source", type=Path, nargs="?", help="comparison.json of an earlier run, or an expert"
    )
    parser.add_argument(
        "--out", type=Path, help="folder; the comparison's own or data/reports by default"
    )
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of comparison.json"
    )
    arguments = parser.parse_args(argv)
    source = arguments.source
    if arguments.schema:
        print(json.dumps(msgspec.json.schema(Comparison), indent=1))
    elif source is None:
        parser.error("expected a comparison.json, the folder of an expert, or --schema")
    elif source.is_dir():
        out = arguments.out or Path("data/reports")
        write_expert(source, out)
        print(out / "expert.md")
    else:
        out = arguments.out or source.parent
        write_report(read_comparison(source), out)
        print(out / "report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
