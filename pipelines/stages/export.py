"""Write a policy as a Stable-Baselines3 zip for others, and its SHA-256 beside it."""

from collections.abc import Sequence
from pathlib import Path

from loguru import logger

from pipelines.learning.export import export_policy
from pipelines.learning.policy import load_policy
from pipelines.learning.sealing import check_run_of
from pipelines.running.stage import in_one_line, parser_of


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Export one policy; one that its run did not leave is refused."""
    parser = parser_of("export", __doc__, example="data/runs/finetune/seed_1/policy policy.zip")
    parser.add_argument("policy", type=Path, help="folder of a saved policy")
    parser.add_argument("out", type=Path, help="zip file to write; its digest goes beside it")
    arguments = parser.parse_args(argv)
    check_run_of(arguments.policy)
    digest = export_policy(load_policy(arguments.policy), arguments.out)
    logger.info("{} has sha256 {}", arguments.out, digest)
    return 0
