"""Stage: hold the recorded dataset against its contract; stop what follows unless it is fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from loguru import logger

from pipelines.learning.actor import Actor
from pipelines.learning.teacher import is_version, read_actor
from pipelines.running.params import Amount, NotNegative, ParamsError, read_section
from pipelines.running.stage import PLACES, add_paths, in_one_line, parser_of
from pipelines.tasks.reading import read_task
from pipelines.tasks.task import WHOLE, FirstSeed, Task
from trajstore.choosing.marks import EXCLUDE
from trajstore.dataset import Dataset
from trajstore.disk.checked import write_checked
from trajstore.disk.files import make_directories
from trajstore.quality import CHECKS, policy_agreement, replay_agreement, validate
from trajstore.quality.agreement import Observations
from trajstore.quality.contract import Contract
from trajstore.quality.marks import marked
from trajstore.quality.replay import compare as replayed
from trajstore.quality.report import Check
from trajstore.quality.reviews import effective_status, history, read_reviews
from trajstore.version.findings import Finding, Severity
from trajstore.version.manifest import Status


@dataclass(frozen=True, slots=True)
class ValidateParams:
    """What a dataset must be to be trained on.

    Attributes:
        minimum_episodes: fewer stay a draft.
        episodes_per_scenario: of every scenario of the environment.
        policy_episodes: so many are compared with the teacher's own actions; none of a teacher
            that is no policy.
        policy_tolerance: largest difference of an action component.
        replay_episodes: so many are simulated again, step by step.
        reproducible: whether these have to come out as recorded; else a difference is a warning.
    """

    minimum_episodes: Amount
    episodes_per_scenario: Amount
    policy_episodes: Amount
    policy_tolerance: NotNegative
    replay_episodes: Amount
    reproducible: bool = True


def run(
    params: ValidateParams, task: Task, *, dataset: Path, expert: Path, reviews: Path
) -> dict[str, Any]:
    """Run every check, the expert's agreement and the replay included; return the report."""
    opened = Dataset.open(dataset)
    asked, shown = params.policy_episodes > 0, is_version(expert)
    if asked and shown:
        raise ParamsError(
            f"params: validate.policy_episodes: expected 0, since {expert} is a dataset and no "
            f"policy, got {params.policy_episodes}; change it"
        )
    told = opened.manifest.provenance.get("environment")
    untold = shown and not (isinstance(told, Mapping) and "version" in told)
    nameless = shown and "scenario" not in opened.schema.names and task.names == (WHOLE,)
    noted = ("policy.digest",) if asked else ()
    contract = Contract(
        minimum_episodes=params.minimum_episodes,
        required_scenarios=() if nameless else task.names,
        episodes_per_scenario=params.episodes_per_scenario,
        required_provenance=noted if untold else ("environment.version", *noted),
        observation=task.interface.fields,
        reserved_seeds=((int(FirstSeed.SELECTION), int(FirstSeed.COLLECTION)),),
        policy_episodes=params.policy_episodes or 1,  # of none there is no check
        policy_tolerance=params.policy_tolerance,
        replay_episodes=params.replay_episodes,
        reproducible=params.reproducible,
    )
    agreed = _agreed(task, read_actor(expert, task)) if asked else None
    checks = {
        **CHECKS,
        **({"origin": _untold(task)} if untold else {}),
        **({"success": _unreached(task)} if _is_heard(task) else {}),
        **({"policy": policy_agreement(agreed)} if agreed else {}),
        "replay": replay_agreement(partial(replayed, environment=task.make())),
    }
    report = validate(opened, contract, checks=checks)
    decided = read_reviews(reviews)
    digest = opened.manifest.content_digest
    marks = marked(opened, reviews).values()
    return {
        **report.to_json(),
        "verdict": report.status.value,
        "reviews": [review.to_json() for review in history(decided, digest)],
        "excluded": sorted(it.episode for it in marks if it.mark == EXCLUDE),
        "status": effective_status(report.status, decided, digest, findings=report.findings).value,
    }


def _untold(task: Task) -> Check:
    """A check that says what is believed of a dataset that does not tell its environment."""

    def check(_dataset: Dataset, _contract: Contract) -> Iterator[Finding]:
        message = (
            "provenance: expected 'environment.version', got nothing; taken to be "
            f"{task.version}, as a dataset of others"
        )
        yield Finding(Severity.WARNING, "origin", message)

    return check


def _is_heard(task: Task) -> bool:
    """Whether success is what a key of the environment's info says."""
    return isinstance(getattr(task, "success", None), str)


def _unreached(task: Task) -> Check:
    """A check that tells of a dataset without any success, as by a key that is never there."""

    def check(dataset: Dataset, _contract: Contract) -> Iterator[Finding]:
        told = "outcome" in dataset.schema.names
        if told and not any(task.outcome(episode).rates["success"] for episode in dataset):
            message = (
                f"none of {len(dataset)} episodes is a success: the teacher fails, or no info has "
                f"the key {getattr(task, 'success', None)!r} of env.success"
            )
            yield Finding(Severity.WARNING, "success", message)

    return check


def _agreed(task: Task, actor: Actor) -> Callable[[Observations], np.ndarray]:
    """The actions of a policy for recorded observations, as they are recorded."""

    def act(observed: Observations) -> np.ndarray:
        if not isinstance(observed, Mapping):
            observed = {"": observed}
        named = {
            "/".join(["observation", *filter(None, [key])]): it for key, it in observed.items()
        }
        return task.coding.decode(actor(task.coding.observe(named)))

    return act


@in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; exit status 1 unless the dataset is validated."""
    parser = parser_of(
        "validate",
        __doc__,
        example="--dataset data/current/expert --out data/reports/validation.json",
    )
    out = PLACES["report"][0], "report to write"
    add_paths(parser, "params", "dataset", "expert", "reviews", out=out)
    arguments = parser.parse_args(argv)
    report = run(
        read_section(arguments.params, "validate", ValidateParams),
        read_task(arguments.params),
        dataset=arguments.dataset,
        expert=arguments.expert,
        reviews=arguments.reviews,
    )
    make_directories(arguments.out.parent)
    write_checked(arguments.out, report)
    for finding in report["findings"]:
        logger.info("{severity}: {message}", **finding)
    logger.info("{} is {}", arguments.dataset, report["status"])
    return 0 if report["status"] == Status.VALIDATED.value else 1
