"""``play`` without a browser: the terminal, films, contact sheets."""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from trajstore.cli.output import plain, print_line, size
from trajstore.cli.replaying import progress
from trajstore.episode import anomalies
from trajstore.playback import terminal
from trajstore.playback.channels import channels_of
from trajstore.playback.payload import number_of
from trajstore.playback.recorded import Recorded

if TYPE_CHECKING:
    from trajstore.playback.frames import Shown

RATE = 20.0
"""Pictures a second of a film."""
SHEET = 24
PICTURE = (640, 480)
THUMB = (320, 240)


@dataclass(frozen=True, slots=True)
class Range:
    """Which steps are shown, and how fast; 1 is real time."""

    first: int = 0
    last: int | None = None
    speed: float = 1.0

    def of(self, steps: int) -> tuple[int, int]:
        """First and last step, both included, within an episode of that length.

        Raises:
            click.UsageError: if nothing is left.
        """
        last = steps if self.last is None else min(self.last, steps)
        if self.first > last:
            raise click.UsageError(
                f"--from: expected a step up to {last}, got {self.first}; the episode is shorter"
            )
        return self.first, last


def play_in_terminal(recorded: Recorded, index: int, span: Range) -> int:
    """Play one episode: moving if a person watches, else its last picture and its numbers."""
    arrays, marks = _episode(recorded, index)
    steps = int(recorded.table["length"][index])
    first, last = span.of(steps)
    colour = sys.stdout.isatty()
    if "robot_pose" in arrays:
        wanted = range(first, last + 1) if colour else [last]
        for step in wanted:
            width, height = _room() if colour else (76, 22)
            picture = terminal.scene(arrays, step, width=width, height=height, colour=colour)
            if colour:
                click.echo("\x1b[2J\x1b[H", nl=False)
                time.sleep((_dt(recorded) or 0.1) / span.speed)
            click.echo(picture)
            click.echo(f"step {step}/{steps}")
    _numbers(recorded, index, arrays)
    click.echo("  anomalies " + terminal.marks([one[:2] for one in marks], steps))
    for mark in marks:
        click.echo(f"    {mark[0]:>5}  {plain(mark[3])}")
    return 0


def write_media(
    recorded: Recorded,
    index: int | None,
    span: Range,
    *,
    gif: Path | None,
    mp4: Path | None,
    png: Path | None,
) -> None:
    """Write what is asked for, of the worst episode unless one is named.

    Raises:
        click.UsageError: if the extra ``play`` is not installed.
        StorageError: if a file cannot be written.
    """
    try:
        from trajstore.playback import media
        from trajstore.playback.frames import Painter
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"play: expected the package {error.name!r}, got none; pip install 'trajstore[play]'"
        ) from error
    chosen = int(recorded.scores().argmax()) if index is None else index
    shown = shown_episode(recorded, chosen)
    first, last = span.of(shown.steps)
    dt = shown.dt or 0.1
    for target, write in ((gif, media.write_gif), (mp4, media.write_mp4)):
        if target is not None:
            wanted = media.film_steps(first, last, speed=span.speed, dt=dt, rate=RATE)
            pictures = media.episode_pictures(shown, progress(wanted, "drawing"), size=PICTURE)
            _say(target, write(target, pictures, rate=RATE))
    if png is not None and index is None:
        worst = np.argsort(-recorded.scores(), kind="stable")[:SHEET].tolist()
        sheet = [
            Painter(shown_episode(recorded, one), THUMB).overview()
            for one in progress(worst, "drawing")
        ]
        _say(png, media.write_sheet(png, sheet))
    elif png is not None:
        wanted = np.unique(np.linspace(first, last, 12).round().astype(int)).tolist()
        sheet = list(media.episode_pictures(shown, wanted, size=THUMB))
        _say(png, media.write_sheet(png, sheet))


def shown_episode(recorded: Recorded, index: int) -> "Shown":
    """One episode with its caption and anomalies, as pictures need it."""
    from trajstore.playback.frames import Shown

    arrays, marks = _episode(recorded, index)
    manifest = recorded.dataset.manifest
    words = [
        str(recorded.table[name][index])
        for name in ("scenario", "outcome")
        if name in recorded.table
    ]
    return Shown(
        arrays=arrays,
        channels=channels_of(manifest.schema, manifest.statistics),
        caption="  ".join([f"#{index}", *words]).replace("_", " "),
        anomalies=[one[:3] for one in marks],
        dt=_dt(recorded),
        radius=(
            number_of(manifest.provenance, "robot_radius", 0.3) or 0.3,
            number_of(manifest.provenance, "pedestrian_radius", 0.3) or 0.3,
        ),
    )


def _episode(
    recorded: Recorded, index: int
) -> tuple[dict[str, np.ndarray], list[tuple[int, int, float, str]]]:
    episode = recorded.episode(index)
    if episode is None:
        return dict(recorded.arrays(index)), []
    found = sorted(anomalies.find(episode), key=lambda one: one.first)
    marks = [(one.first, one.last, one.score, f"{one.kind}: {one.message}") for one in found]
    return dict(episode.arrays), marks


def _numbers(recorded: Recorded, index: int, arrays: dict[str, np.ndarray]) -> None:
    manifest = recorded.dataset.manifest
    words = [
        str(recorded.table[name][index])
        for name in ("scenario", "outcome")
        if name in recorded.table
    ]
    click.echo(f"episode {index}  {'  '.join(plain(word) for word in words)}")
    for channel in channels_of(manifest.schema, manifest.statistics):
        if channel.name in arrays and channel.name in (
            "reward",
            "clearance",
            "robot_velocity",
            "action",
        ):
            values = arrays[channel.name].reshape(len(arrays[channel.name]), -1)[:, 0]
            name = "speed" if channel.name == "robot_velocity" else channel.name
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            click.echo(f"{name:>11} {terminal.sparkline(values)} {low:.3g} to {high:.3g}")


def _dt(recorded: Recorded) -> float | None:
    scene = "robot_pose" in recorded.dataset.schema.names
    return number_of(recorded.dataset.manifest.provenance, "dt", 0.1 if scene else None)


def _room() -> tuple[int, int]:
    found = shutil.get_terminal_size()
    return min(found.columns - 1, 120), max(8, min(found.lines - 12, 32))


def _say(target: Path, written: int) -> None:
    print_line(f"{plain(target)}  [dim]{size(written)}[/dim]")
