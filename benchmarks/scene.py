"""A scene for cameras, drawn with NumPy from a seed: a lit floor, an arm, balls; no noise.

The front camera stands still; the wrist camera moves with the arm, so that all of its image does.
"""

import numpy as np

HEIGHT, WIDTH = 240, 320
FRAME = (HEIGHT, WIDTH, 3)
CAMERAS = ("front", "wrist")
_ROOM = 480, 640
_Y, _X = (axis.astype(np.float32) for axis in np.mgrid[: _ROOM[0], : _ROOM[1]])


class Scene:
    """One episode: what stands still is drawn once, the rest a step."""

    def __init__(self, length: int, rng: np.random.Generator) -> None:
        self._floor = _floor(rng)
        time = np.linspace(0.0, 1.0, length)
        phase, pace = rng.uniform(0, 2 * np.pi, 8), rng.uniform(2.0, 9.0, 8)
        swing = np.sin(phase + pace * time[:, None])
        self._joints = np.stack((-1.2 + 0.7 * swing[:, 0], -0.4 + 0.9 * swing[:, 1]), axis=1)
        balls = int(rng.integers(3, 6))
        self._start = rng.uniform((90, 60), (210, 260), (balls, 2))
        self._sway = rng.uniform(5, 30, (balls, 2))
        self._radius = rng.uniform(9, 20, balls)
        self._colour = rng.uniform(60, 250, (balls, 3)).astype(np.float32)
        self._swing = swing

    def draw(self, camera: str, step: int) -> np.ndarray:
        """``uint8[240, 320, 3]``."""
        base = np.array((235.0, 160.0))
        elbow = base + 95 * _direction(self._joints[step, 0])
        hand = elbow + 75 * _direction(self._joints[step].sum())
        corner = np.zeros(2)
        if camera == "wrist":
            corner = np.clip(
                hand * 0.8 - (40, 60), 0, (_ROOM[0] - HEIGHT - 2, _ROOM[1] - WIDTH - 2)
            )
        image = _window(self._floor, corner)
        for number, radius in enumerate(self._radius):
            sway = self._sway[number] * self._swing[step, 2 + number % 4 : 4 + number % 4]
            _ball(image, self._start[number] + sway - corner, radius, self._colour[number])
        for first, last, width in ((base, elbow, 13.0), (elbow, hand, 9.0)):
            _link(image, first - corner, last - corner, width)
        _ball(image, hand - corner, 11.0, np.float32((230, 230, 235)))
        return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def _direction(angle: float) -> np.ndarray:
    return np.array((np.sin(angle), np.cos(angle)))


def _floor(rng: np.random.Generator) -> np.ndarray:
    """Boards of wood and a woven mat under a lamp; ``float32[480, 640, 3]``."""
    board = np.floor(_Y / 40)
    tone = rng.uniform(0.75, 1.0, 13).astype(np.float32)[board.astype(int)]
    grain = np.zeros(_ROOM, np.float32)
    for wave in (3.1, 4.3, 5.9, *rng.uniform(7, 60, 5)):
        angle = rng.normal(0, 0.25)
        across = _Y * np.cos(angle) + _X * np.sin(angle) + 3 * np.sin(_X / rng.uniform(20, 60))
        grain += np.sin(2 * np.pi * across / wave + board * rng.uniform(1, 9))
    seam = 1 - 0.5 * np.exp(-(np.abs(_Y % 40 - 20 + 19.0) ** 2) / 2)
    y, x = rng.uniform(100, 300), rng.uniform(100, 450)
    light = 0.55 + 0.5 * np.exp(-((_Y - y) ** 2 + (_X - x) ** 2) / 60_000)
    shade = tone * seam * light * (1 + 0.035 * grain)
    floor: np.ndarray = shade[..., None] * np.float32((196, 152, 108))
    rows, columns = (start + span * rng.random() for start, span in ((60, 60), (40, 80)))
    y, x = np.clip(_Y - rows, 0, 90), np.clip(_X - columns, 0, 130)
    weave = 0.5 + 0.5 * np.tanh(3 * np.sin(np.pi * y / 9) * np.sin(np.pi * x / 9))
    on = ((_Y - rows == y) & (_X - columns == x))[..., None]
    colour = rng.uniform(90, 220, 3).astype(np.float32)
    mat = colour * ((0.6 + 0.4 * weave) * light)[..., None]
    return np.where(on, mat, floor).astype(np.float32)


def _window(floor: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """A part of the floor, its corner between pixels."""
    (y, x), (dy, dx) = np.floor(corner).astype(int), np.float32(corner % 1)
    part = floor[y : y + HEIGHT + 1, x : x + WIDTH + 1]
    if not dy and not dx:
        return part[:-1, :-1].copy()
    rows = part[:-1] + dy * (part[1:] - part[:-1])
    window: np.ndarray = rows[:, :-1] + dx * (rows[:, 1:] - rows[:, :-1])
    return window


def _ball(image: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    """A lit ball, its edge half a pixel soft, and its shadow."""
    for shift, strength in (((4.0, 5.0), 0.45), ((0.0, 0.0), 1.0)):
        at = centre + shift
        low = np.maximum(np.floor(at - radius - 2), 0).astype(int)
        high = np.minimum(np.ceil(at + radius + 2), image.shape[:2]).astype(int)
        if (low >= high).any():
            continue
        part = image[low[0] : high[0], low[1] : high[1]]
        y, x = _Y[low[0] : high[0], low[1] : high[1]], _X[low[0] : high[0], low[1] : high[1]]
        dy, dx = (y - np.float32(at[0])) / radius, (x - np.float32(at[1])) / radius
        far = np.sqrt(dy * dy + dx * dx)
        cover = np.clip((1 - far) * np.float32(radius) + 0.5, 0, 1)[..., None]
        if strength < 1:
            part *= 1 - strength * cover
            continue
        depth = np.sqrt(np.clip(1 - far * far, 0, 1))
        lit = np.clip(0.25 + 0.75 * (0.6 * depth - 0.5 * dy - 0.5 * dx), 0.1, 1.2)[..., None]
        part += cover * (lit * colour - part)


def _link(image: np.ndarray, first: np.ndarray, last: np.ndarray, width: float) -> None:
    """A round bar between two points."""
    low = np.maximum(np.floor(np.minimum(first, last) - width - 2), 0).astype(int)
    high = np.minimum(np.ceil(np.maximum(first, last) + width + 2), image.shape[:2]).astype(int)
    if (low >= high).any():
        return
    part = image[low[0] : high[0], low[1] : high[1]]
    y = _Y[low[0] : high[0], low[1] : high[1]] - np.float32(first[0])
    x = _X[low[0] : high[0], low[1] : high[1]] - np.float32(first[1])
    along = np.float32(last - first)
    share = np.clip((y * along[0] + x * along[1]) / np.float32(along @ along), 0, 1)
    dy, dx = y - share * along[0], x - share * along[1]
    far = np.sqrt(dy * dy + dx * dx)
    cover = np.clip(np.float32(width) - far + 0.5, 0, 1)[..., None]
    lit = np.clip(0.9 - 0.5 * (dy + dx) / np.float32(width), 0.2, 1.1)[..., None]
    part += cover * (lit * np.float32((205, 205, 212)) - part)
