"""Pictures of an episode drawn by Pillow: the scene from above, or charts where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trajstore.playback.camera import Box, finite_rows, view_box
from trajstore.playback.channels import Channel, columns

FINE = 2
"""Everything is drawn this much larger and scaled down, which smooths it."""
BAR = 30
"""Height of the line of text and the time line below a picture, pixels."""
PAPER, INK, FAINT = "#fbfbf9", "#1b1f24", "#737a80"
LINE, WALL, OTHER = "#dedfd8", "#3a4048", "#d98a2b"
AGENT, GOAL, BAD, ODD = "#1f5fd6", "#1c9a5f", "#c0262d", "#7440b8"
TRAIL_STEPS = 30


@dataclass(frozen=True, slots=True)
class Shown:
    """One episode as a picture needs it.

    Attributes:
        arrays: fields by name; those that are missing are not drawn.
        channels: what charts show where there is no scene.
        anomalies: first step, last step and score of each.
        dt: seconds of a step; ``None`` if unknown.
        radius: of the agent and of others, metres.
        scene: those of the fields that have a role, by role; empty where nothing can be drawn.
    """

    arrays: Mapping[str, np.ndarray]
    channels: Sequence[Channel] = ()
    caption: str = ""
    anomalies: Sequence[tuple[int, int, float]] = ()
    dt: float | None = None
    radius: tuple[float, float] = (0.3, 0.3)
    scene: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Length of the episode."""
        return len(self.arrays["terminated"])


@dataclass
class Painter:
    """Draws one episode, step by step, always from the same place; ``size`` is in pixels."""

    shown: Shown
    size: tuple[int, int] = (640, 480)

    def frame(self, step: int) -> Image.Image:
        """The picture of the state before a step; ``steps`` is the last state."""
        step = min(max(step, 0), self.shown.steps)
        image = self._backdrop.copy()
        pen = ImageDraw.Draw(image)
        if "pose" in self.shown.scene:
            self._actors(pen, step)
        else:
            width, height = self._drawing
            x = 20 + (width - 40) * step / max(1, self.shown.steps)
            pen.line([x, 0, x, height], BAD, width=3)
        self._footer(pen, step)
        return image.resize(self.size, Image.Resampling.BOX)

    @cached_property
    def _backdrop(self) -> Image.Image:
        image = Image.new("RGB", (self.size[0] * FINE, self.size[1] * FINE), PAPER)
        pen = ImageDraw.Draw(image)
        if "pose" not in self.shown.scene:
            self._charts(pen)
            return image
        for wall in finite_rows(self.shown.scene.get("walls", ()), 4):
            width = max(3, round(0.12 * self._camera.scale))
            pen.line([self._at(wall[:2]), self._at(wall[2:])], WALL, width=width)
        for goal in finite_rows(self.shown.scene.get("goal", ()), 2):
            pen.ellipse(self._disc(goal, 0.5), outline=GOAL, width=3)
            pen.ellipse(self._disc(goal, 0.15), fill=GOAL)
        return image

    def _actors(self, pen: ImageDraw.ImageDraw, step: int) -> None:
        pose = self.shown.scene["pose"]
        others = self.shown.scene.get("others", np.zeros((step + 1, 0, 2)))
        radius, other = self.shown.radius
        for track in others[max(0, step - TRAIL_STEPS) : step + 1].swapaxes(0, 1):
            if np.isfinite(track[-1]).all():
                self._trail(pen, finite_rows(track, 2), "#efc591", 2)
                pen.ellipse(self._disc(track[-1], other), fill=OTHER)
        self._trail(pen, pose[: step + 1], AGENT, 5)
        place = pose[step][:2]
        if any(first <= step <= last for first, last, _ in self.shown.anomalies):
            pen.ellipse(self._disc(place, radius + 0.18), outline=BAD, width=5)
        pen.ellipse(self._disc(place, radius), fill=AGENT)
        if pose.shape[1] > 2:
            ahead = 0.8 * radius * np.array([np.cos(pose[step][2]), np.sin(pose[step][2])])
            pen.line([self._at(place), self._at(place + ahead)], PAPER, width=5)

    def _footer(self, pen: ImageDraw.ImageDraw, step: int) -> None:
        width, height = self.size[0] * FINE, self.size[1] * FINE
        top = height - BAR * FINE
        pen.rectangle([0, top, width, height], "#efefea")
        edge, steps = 10 * FINE, max(1, self.shown.steps)
        span = width - 2 * edge
        pen.line([edge, top + 5, width - edge, top + 5], LINE, width=6)
        pen.line([edge, top + 5, edge + span * step / steps, top + 5], AGENT, width=6)
        for first, last, score in self.shown.anomalies:
            ends = [edge + span * first / steps, edge + span * (last + 1) / steps]
            if last - first < steps - 1:
                tone = BAD if score >= 0.8 else OTHER if score >= 0.35 else ODD
                pen.line([ends[0], top + 5, max(ends[1], ends[0] + 5), top + 5], tone, width=10)
        clock = f"step {step}/{steps}"
        if self.shown.dt is not None:
            clock += f"  {step * self.shown.dt:.1f} s"
        font = ImageFont.load_default(11 * FINE)
        pen.text((edge, top + 16), self.shown.caption, INK, font=font)
        if font.getlength(self.shown.caption) + font.getlength(clock) < span - 20:
            pen.text((width - edge, top + 16), clock, FAINT, font=font, anchor="ra")

    def _charts(self, pen: ImageDraw.ImageDraw) -> None:
        (width, height), strips = self._drawing, self._strips()
        tall, font = height / max(1, len(strips)), ImageFont.load_default(10 * FINE)
        for place, (label, values) in enumerate(strips):
            top = place * tall
            pen.line([0, top, width, top], LINE, width=2)
            pen.text((20, top + 6), label, FAINT, font=font)
            known = np.isfinite(values)
            if not known.any():
                continue
            low, high = float(values[known].min()), float(values[known].max())
            x = 20 + np.linspace(0, 1, len(values)) * (width - 40)
            y = top + tall - 12 - (values - low) / ((high - low) or 1.0) * max(tall - 44, 10)
            pen.line(list(zip(x[known].tolist(), y[known].tolist(), strict=True)), AGENT, width=3)

    def _strips(self) -> list[tuple[str, np.ndarray]]:
        found = []
        for channel in self.shown.channels:
            rows = columns(self.shown.arrays, channel, self.shown.steps)
            for name, values in zip(channel.columns, rows, strict=True):
                found.append((f"{channel.name}[{name}]" if name else channel.name, values))
        return found[:8]

    def _trail(self, pen: ImageDraw.ImageDraw, track: np.ndarray, colour: str, width: int) -> None:
        if len(track) > 1:
            way = [self._at(row[:2]) for row in track]
            pen.line(way, colour, width=width, joint="curve")

    def _disc(self, place: np.ndarray, radius: float) -> tuple[float, float, float, float]:
        """The edges of a disc in the picture: left, top, right, bottom."""
        u, v = self._at(place)
        r = max(radius * self._camera.scale, 3)
        return u - r, v - r, u + r, v + r

    def _at(self, place: np.ndarray) -> tuple[float, float]:
        return self._camera.at(*place.tolist())

    @cached_property
    def _camera(self) -> Box:
        return view_box(self.shown.scene, self._drawing)

    @property
    def _drawing(self) -> tuple[int, int]:
        return self.size[0] * FINE, (self.size[1] - BAR) * FINE
