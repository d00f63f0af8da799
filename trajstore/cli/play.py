"""The command ``play``: a page, a film, a contact sheet, or the terminal."""

import re
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from trajstore.choosing.marks import Mark
from trajstore.cli.environments import REGISTERED, environment_option, simulator
from trajstore.cli.options import (
    Decorator,
    FiniteRange,
    check_output,
    command,
    look,
    output_path,
    reference_argument,
)
from trajstore.cli.output import complain, print_line, progress, size
from trajstore.cli.watching import Range, play_in_terminal, write_media
from trajstore.dataset import Dataset
from trajstore.episode.names import parse_reference
from trajstore.errors import CorruptionError, NotFoundError, ReplayError, StorageError
from trajstore.playback.choice import LIMIT, choose
from trajstore.playback.page import Opening, write_page
from trajstore.playback.pairing import Pair, pairs_of, told
from trajstore.playback.payload import ASKED, BUDGET_BYTES, About, Side, build
from trajstore.playback.pictures import cameras_of
from trajstore.playback.viewed import Viewed
from trajstore.quality.marks import marked
from trajstore.quality.records import read_report, read_verdict
from trajstore.quality.reviews import decisions_on
from trajstore.store import Store

OUT = Path("play")
READING = partial(progress, label="reading")


@dataclass(frozen=True, slots=True)
class Opened:
    """A version to be played, and the index of the episode that its reference names."""

    viewed: Viewed
    about: About
    episode: int | None

    def check(self, episode: int | None) -> int | None:
        """The episode that is asked for, by option or reference; refused if there is none such."""
        index = self.episode if episode is None else episode
        if index is not None and not 0 <= index < len(self.viewed):
            raise NotFoundError(
                f"{self.about.name}: has no episode {index}; they are 0 to {len(self.viewed) - 1}"
            )
        return index


def target_option(name: str, text: str) -> Decorator:
    """A file to be written, not inside of what is sealed or being recorded."""
    kind = click.Path(path_type=Path)
    return click.option(name, type=kind, callback=output_path, help=text)


@command(
    "trajstore play expert@v3",
    "trajstore play expert@v3 --episode 17 --mp4 episode.mp4 --speed 2",
    "trajstore play expert@v3 --against expert@v4",
    "trajstore play expert@v3#17 --against expert@v3#40",
    "trajstore play expert --episode 17 --terminal",
    "trajstore play archive:expert@v1",
    prints_json=False,
    short_help="Watch episodes, with their anomalies marked.",
)
@reference_argument()
@click.option("--episode", type=int, help="Open at this episode; REF#17 is the same.")
@click.option("--against", metavar="REF", help="Put another version, or REF#17, beside it.")
@target_option("--out", "Where to write the page.")
@click.option("--no-open", is_flag=True, help="Do not open the page in a browser.")
@target_option("--gif", "Write the episode as a GIF.")
@target_option("--mp4", "Write the episode as a film.")
@target_option("--png", "Write a contact sheet.")
@click.option("--terminal", is_flag=True, help="Play the episode in the terminal.")
@click.option("--speed", type=FiniteRange(0.01, 100), default=1.0, help="1 is real time.")
@click.option("--from", "first", type=click.IntRange(0), default=0, help="First step.")
@click.option("--to", "last", type=click.IntRange(0), help="Last step.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=LIMIT,
    show_default=True,
    help="Most episodes in a page, those with the worst anomalies first.",
)
@environment_option
def play(  # noqa: PLR0913 - one a command-line option
    store: Store,
    reference: str,
    *,
    episode: int | None,
    against: str | None,
    out: Path | None,
    no_open: bool,
    terminal: bool,
    speed: float,
    first: int,
    last: int | None,
    limit: int,
    environment: str | None,
    **media: Path | None,
) -> int:
    """Watch the episodes of a version, its anomalies marked, in one self-contained page.

    The page needs no server and no network. Films and contact sheets need the extra 'play'.
    """
    opened = open_reference(store, reference)
    index = opened.check(episode)
    span = Range(first, last, speed)
    if not (out or terminal or any(media.values())):
        check_output(store.root, OUT)
    if terminal:
        play_in_terminal(opened.viewed, index, span)
        return 0
    if any(media.values()):
        write_media(opened.viewed, index, span, media)
        return 0
    if against is not None:
        same = reference.split("#")[0] if against.startswith("#") else ""
        other = open_reference(store, same + against)
        target = out or _target(opened.about, other.about)
        sides, opening = _pair(opened, other, index, limit)
    else:
        target = out or _target(opened.about)
        sides = [_side(opened, index, limit, environment)]
        opening = Opening(index, first, speed)
    written = write_page(target, sides, opening)
    click.echo(str(target))
    if no_open:
        return 0
    with suppress(webbrowser.Error):
        if webbrowser.open(target.resolve().as_uri()):
            return 0
    print_line(f"[dim]no browser here; open the file ({size(written)}) in one[/dim]")
    return 0


def open_reference(store: Store, text: str) -> Opened:
    """Open ``REF`` or ``REF#EPISODE`` for looking at it, whatever its status."""
    found = re.fullmatch(r"(.+)#([0-9]{1,18})", text)
    reference, episode = (found[1], int(found[2])) if found else (text, None)
    dataset = look(store, reference)
    opened = Opened(Viewed(dataset), about_of(store, reference, dataset), episode)
    opened.check(None)
    return opened


def about_of(store: Store, reference: str, dataset: Dataset) -> About:
    """What is known of a version beyond its own files, at this moment."""
    path, status = dataset.path, store.status_of_dataset(dataset)
    root, location = store.root.resolve(), parse_reference(reference).location
    inside = location is None or path.parent.parent.resolve() == root
    verdict = read_verdict(path)
    findings = verdict.findings if verdict and verdict.status is status else ()
    decided = decisions_on(
        dataset.path, store.reviews, dataset.manifest.content_digest, root=store.root
    )
    marks: dict[str, Mark] = {}
    with suppress(CorruptionError, StorageError):
        marks = marked(dataset, store.reviews, root=store.root)
    return About(
        name=path.parent.name if inside else path.name,
        version=path.name if inside else "",
        status=status.value,
        reasons=tuple(finding.message for finding in findings[:5]),
        replay=read_report(path),
        reference=reference,
        reviews=tuple(
            f"{it.status.value} by {it.by}, {it.time[:10]}: {it.reason}" for it in decided[::-1]
        ),
        marks=tuple(it.to_json() for it in marks.values()),
    )


def _side(opened: Opened, index: int | None, limit: int, environment: str | None) -> Side:
    viewed = opened.viewed
    chosen = choose(viewed.scores(), viewed.text("scenario"), limit=limit)
    if index is not None and index not in chosen:
        chosen = sorted([*chosen, index])
    side = build(viewed, opened.about, chosen, progress=READING)
    filmed = _add_films(side, viewed, index)
    if environment or not (filmed or side.record["scene"]):
        _add_frames(side, viewed, index, environment)
    return side


def _add_films(side: Side, viewed: Viewed, index: int | None, room: int | None = None) -> bool:
    """Keep what cameras recorded; whether there are any."""
    cameras = cameras_of(viewed.manifest.schema, viewed.manifest.statistics)
    if cameras:
        try:
            from trajstore.playback.films import add_films

            filming = partial(progress, label="filming")
            add_films(side, viewed, index=index, room=room, progress=filming)
        except ModuleNotFoundError as error:
            names = ", ".join(camera.name for camera in cameras)
            why = f"it needs the package {error.name!r}: pip install 'trajstore[play]'"
            side.record["left_out"].append(f"The film of {names} is not in this page: {why}")
    return bool(cameras)


def _add_frames(side: Side, viewed: Viewed, index: int | None, environment: str | None) -> None:
    """Without a recorded scene: simulate a few episodes again and keep what is rendered."""
    try:
        builds = simulator(viewed.manifest.provenance, environment, render_mode=ASKED)
        from trajstore.playback.media import add_frames

        why = add_frames(side, viewed, index, builds, progress=partial(progress, label="rendering"))
    except (ReplayError, ModuleNotFoundError) as error:
        why = str(error)
        if isinstance(error, ModuleNotFoundError):
            why = f"pictures need {error.name!r}: pip install 'trajstore[play]'"
        if environment not in (None, REGISTERED):
            raise ReplayError(f"play: there is no picture to draw: {why}") from error
    if why:
        told = f"{'No more frames' if side.frames else 'Charts only'}: {why}"
        side.record["notices"].append(["", told])
        if environment is not None:
            complain(told)


def _pair(one: Opened, other: Opened, index: int | None, limit: int) -> tuple[list[Side], Opening]:
    notice = ""
    if one.episode is not None or other.episode is not None:
        pairs = [Pair(one.check(index) or 0, other.check(None) or 0)]
    else:
        scores = one.viewed.scores()
        pairs = pairs_of(one.viewed, other.viewed)
        notice = told(pairs, len(one.viewed), len(other.viewed))
        if index is not None:
            pairs = [pair for pair in pairs if pair.one == index]
            pairs = pairs or [Pair(index, other.check(index) or 0)]
        pairs = sorted(sorted(pairs, key=lambda pair: -scores[pair.one])[:limit])
    _check_different(one, other, pairs)
    sides = []
    for opened, indices in zip(
        (one, other), zip(*(it[:2] for it in pairs), strict=True), strict=True
    ):
        chosen, room = sorted(set(indices)), BUDGET_BYTES // 2
        side = build(opened.viewed, opened.about, chosen, room=room, progress=READING)
        _add_films(side, opened.viewed, None, room - side.bytes)
        sides.append(side)
    if notice:
        sides[0].record["notices"].append(["", notice])
    opening = Opening(pairs[0].one if len(pairs) == 1 else None, pairs=pairs)
    return sides, opening


def _check_different(one: Opened, other: Opened, pairs: Sequence[Pair]) -> None:
    """Refuse a comparison of what is the same; different episodes of one version may be seen."""
    digests = {opened.viewed.manifest.content_digest for opened in (one, other)}
    if len(digests) > 1 or any(pair.one != pair.other for pair in pairs):
        return
    names = [opened.about.reference for opened in (one, other)]
    same = "is the same version" if names[0] == names[1] else "holds the same episodes"
    told, free = f"{names[1]} {same} as {names[0]}", 0
    if one.episode is not None or other.episode is not None:
        index = pairs[0].one
        told, free = f"both are episode {index} of {' and '.join(dict.fromkeys(names))}", index
    another = 0 if free else 1
    raise click.UsageError(
        f"play: {told}, so there is nothing to compare; name another version, or another "
        f"episode, such as {names[0]}#{free} --against '#{another}'"
    )


def _target(*abouts: About) -> Path:
    names = "-against-".join(f"{about.name}-{about.version}".strip("-") for about in abouts)
    return OUT / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', names) or 'play'}.html"
