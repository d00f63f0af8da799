"""Make the live pages of the gallery: a robot among people, recorded, watched, compared."""

import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from click.testing import CliRunner

from pipelines.tasks.social_nav.config import ENV_VERSION, EnvConfig
from pipelines.tasks.social_nav.robots import social_force
from pipelines.tasks.social_nav.rollout import record_rollout
from pipelines.tasks.social_nav.scenarios import scenario_names
from pipelines.tasks.social_nav.schema import episode_schema
from pipelines.tasks.social_nav.social_nav import ENV_ID
from trajstore import Store
from trajstore.cli import trajstore

PAGES = (
    "play robot@v1 --no-open --out {}/pages/player.html",
    "play robot@v1 --against robot@v2 --no-open --out {}/pages/two.html",
)


def record(store: Store, *, hurry: float) -> None:
    """Thirty episodes, one a scenario; ``hurry`` is a factor on what the robot does."""
    config = EnvConfig()
    episodes = [(name, 5_000_000 + k) for k, name in enumerate(scenario_names())]
    environment = {"id": ENV_ID, "version": ENV_VERSION, "config": asdict(config)}
    provenance = {"environment": environment, "policy": {"id": f"scripted: {hurry}"}}

    def act(observations):  # noqa: ANN001, ANN202
        return social_force(observations) * hurry

    with store.record("robot", schema=episode_schema(config), provenance=provenance) as recorder:
        for episode in record_rollout(act, episodes, config):
            recorder.add(episode)


def main(target: Path) -> None:
    """Write every page below ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "pages").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder, "store"))
        for hurry in (1.0, 0.8):
            record(store, hurry=hurry)
        for line in PAGES:
            words = line.format(target.resolve()).split()
            done = CliRunner().invoke(trajstore, ["--store", str(store.root), *words])
            if done.exit_code:
                raise SystemExit(f"{line}: {done.output}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
