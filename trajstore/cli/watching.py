"""``play`` without a browser: the terminal, films, contact sheets."""

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from trajstore.cli.output import plain, print_line, progress, size
from trajstore.playback import terminal
from trajstore.playback.channels import channels_of
from trajstore.playback.viewed import STEP_SECONDS, Viewed

if TYPE_CHECKING:
    from trajstore.playback.frames import Shown

RATE = 20.0
"""Pictures a second of a film."""
SHEET = 24
PICTURE = (640, 480)
THUMB = (320, 240)
LINES = {"reward": "reward", "clearance": "clearance", "velocity": "speed", "action": "action"}
"""Roles and fields that a terminal shows as a line, and what they are called there."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which steps are shown, and how fast; 1 is real time."""

    first: int = 0
    last: int | None = None
    speed: float = 1.0

    def of(self, steps: int) -> tuple[int, int]:
        """First and last step, both included, of an episode that long; refused if none is left."""
        last = steps if self.last is None else min(self.last, steps)
        if self.first > last:
            why = "the episode is shorter" if last == steps else "--to comes first"
            raise click.UsageError(
                f"--from: there is no step {self.first}, the last one is {last}; {why}"
            )
        return self.first, last


def play_in_terminal(viewed: Viewed, index: int | None, span: Range) -> None:
    """Play an episode, the worst unless one is named: moving if a person watches, else its end."""
    index = viewed.worst() if index is None else index
    seen, steps = viewed.see(index), int(viewed.table["length"][index])
    first, last = span.of(steps)
    colour = sys.stdout.isatty()
    for step in (range(first, last + 1) if colour else [last]) if "pose" in seen.scene else []:
        room = shutil.get_terminal_size()
        wide, tall = min(room.columns - 1, 120), max(8, min(room.lines - 12, 32))
        across = (wide, tall) if colour else (76, 22)
        picture = terminal.draw(seen.scene, step, size=across, colour=colour)
        if colour:
            click.echo("\x1b[2J\x1b[H", nl=False)
            time.sleep((viewed.dt or STEP_SECONDS) / span.speed)
        click.echo(f"{picture}\nstep {step}/{steps}")
    click.echo(f"episode {index}  {'  '.join(map(plain, viewed.words(index)))}".rstrip())
    for channel in channels_of(viewed.manifest.schema, viewed.manifest.statistics):
        label = LINES.get(channel.role or channel.name)
        if label and channel.name in seen.arrays:
            values = seen.arrays[channel.name].reshape(len(seen.arrays[channel.name]), -1)[:, 0]
            known = values[np.isfinite(values)]
            ends = f"{known.min():.3g} to {known.max():.3g}" if len(known) else "no value"
            click.echo(f"{label:>11} {terminal.sparkline(values)} {ends}")
    marks = sorted(seen.marks, key=lambda mark: mark["first"])
    spans = [(mark["first"], mark["last"]) for mark in marks]
    click.echo("  anomalies " + terminal.marks(spans, steps))
    for mark in marks:
        click.echo(f"    {mark['first']:>5}  {plain(mark['kind'])}: {plain(mark['message'])}")


def write_media(
    viewed: Viewed, index: int | None, span: Range, targets: Mapping[str, Path | None]
) -> None:
    """Write the gif, mp4 and png asked for, of the worst episode unless one is named."""
    writers = {}
    try:
        from trajstore.playback import media
        from trajstore.playback.frames import Painter

        writers["gif"] = media.write_gif
        if targets["mp4"] is not None:
            from trajstore.playback.mp4 import write_mp4

            writers["mp4"] = write_mp4
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"play: needs the package {error.name!r}: pip install 'trajstore[play]'"
        ) from error
    shown = shown_episode(viewed, viewed.worst() if index is None else index)
    first, last = span.of(shown.steps)
    dt = shown.dt or STEP_SECONDS
    for kind, write in writers.items():
        target = targets[kind]
        if target is not None:
            wanted = media.film_steps(first, last, speed=span.speed, dt=dt, rate=RATE)
            pictures = map(Painter(shown, PICTURE).frame, progress(wanted, "drawing"))
            _say(target, write(target, pictures, rate=RATE))
    png = targets["png"]
    if png is None:
        return
    if index is None:
        worst = np.argsort(-viewed.scores(), kind="stable")[:SHEET].tolist()
        drawn = (shown_episode(viewed, one) for one in progress(worst, "drawing"))
        sheet = [Painter(it, THUMB).frame(it.steps) for it in drawn]
    else:
        wanted = np.unique(np.linspace(first, last, 12).round().astype(int)).tolist()
        sheet = list(map(Painter(shown, THUMB).frame, wanted))
    _say(png, media.write_sheet(png, sheet))


def shown_episode(viewed: Viewed, index: int) -> "Shown":
    """One episode with its caption and anomalies, as pictures need it."""
    from trajstore.playback.frames import Shown

    seen = viewed.see(index)
    words = [f"#{index}", *filter(None, viewed.words(index))]
    return Shown(
        arrays=seen.arrays,
        channels=channels_of(viewed.manifest.schema, viewed.manifest.statistics),
        caption="  ".join(words).replace("_", " "),
        anomalies=[(mark["first"], mark["last"], mark["score"]) for mark in seen.marks],
        dt=viewed.dt,
        radius=viewed.radii,
        scene=seen.scene,
    )


def _say(target: Path, written: int) -> None:
    print_line(f"{plain(target)}  [dim]{size(written)}[/dim]")
