"""``meta/info.json`` of a LeRobot dataset: every value that is used is looked at first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from trajstore.disk.files import read_json
from trajstore.episode.fields import NUMBERS, TEXT
from trajstore.episode.texts import shown
from trajstore.errors import CorruptionError, FormatError
from trajstore.interop.foreign import inside

INFO = "meta/info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")
PICTURES = ("image", "video")
_DTYPES = {"string": TEXT, "float": "float32", "double": "float64"}


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of ``info.json``; ``shape`` is that of a row, a picture's as height, width, 3."""

    key: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    names: Any


def row_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a feature's row: LeRobot has one for a number and for a vector of one."""
    return () if shape == (1,) else shape


def noted_shape(shape: tuple[int, ...]) -> list[int]:
    """The shape that stands in the metadata for a field's."""
    return list(shape) or [1]


def read_info(source: Path) -> dict[str, Any]:
    """What the file says, once version, rate, features and places were checked.

    Raises:
        CorruptionError: if a value is none that can stand there.
        FormatError: if it is of another version of the format.
    """
    info: dict[str, Any] = read_json(inside(source, INFO))
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if version not in VERSIONS:
        raise FormatError(
            f"{source}: is LeRobot data of version {shown(version)}; {', '.join(VERSIONS)} are "
            "read here, convert it with LeRobot first"
        )
    _rate(source, "fps", info.get("fps"))
    features = _record(source, "features", info.get("features"))
    for key, told in features.items():
        _record(source, f"feature {shown(key)}", told)
        for name in ("info", "video_info"):
            if told.get(name) is not None:
                _record(source, f"{name} of feature {shown(key)}", told[name])
    chunks = info.get("chunks_size")
    if chunks is not None and (type(chunks) is not int or not 0 <= chunks < 2**31):
        raise _unlike(source, "chunks_size", "a number of files", chunks)
    videos = any(told.get("dtype") == "video" for told in features.values())
    for name in ("data_path", "video_path"):
        wanted = videos or name == "data_path"
        if not isinstance(info.get(name), str) and (wanted or info.get(name) is not None):
            raise _unlike(source, name, "the path of a file", info.get(name))
    return info


def feature_of(source: Path, key: str, told: Mapping[str, Any]) -> Feature:
    """One feature, as its record says."""
    what = f"feature {shown(key)}"
    dtype, sizes, names = told.get("dtype"), told.get("shape"), told.get("names")
    shape = (1,) if sizes in (None, []) else tuple(sizes) if isinstance(sizes, list) else (0,)
    if not all(type(size) is int and 0 < size < 2**31 for size in shape):
        raise _unlike(source, what, "a shape, sizes of 1 or more", sizes)
    if not isinstance(names, list | dict | str | None):
        raise _unlike(source, f"names of {what}", "a list", names)
    if dtype in PICTURES:
        first = len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3)
        if first or (isinstance(names, list) and names[:1] in (["channels"], ["channel"])):
            shape = (*shape[1:], shape[0])
        if len(shape) != 3 or shape[2] not in (1, 3):
            raise _unlike(source, what, "height, width and 3 colours", shape)
        return Feature(key, str(dtype), "uint8", (*shape[:2], 3), names)
    ours = _DTYPES.get(dtype, dtype) if isinstance(dtype, str) else None
    if ours not in (*NUMBERS, TEXT):
        raise _unlike(source, what, "numbers, text or pictures", dtype)
    return Feature(key, "plain", ours, row_shape(shape), names)


def check_rates(source: Path, info: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Refuse features whose own rate, or that of their video, is another than that of the whole."""
    for key in keys:
        told = info["features"][key]
        rates = {f"fps of feature {shown(key)}": told.get("fps")}
        for name in ("info", "video_info"):
            rate = (told.get(name) or {}).get("video.fps")
            rates[f"video.fps in {name} of feature {shown(key)}"] = rate
        for what, rate in rates.items():
            if rate is not None:
                check_rate(source, float(info["fps"]), _rate(source, what, rate), what)


def check_rate(source: Path, fps: float, found: float, what: str) -> None:
    """Refuse another frame rate than the metadata say."""
    if not isclose(fps, found, rel_tol=0.01):
        raise CorruptionError(
            f"{source}: expected {fps:g} frames a second as {INFO} says, got {found:g} in {what}; "
            "correct the one that is wrong"
        )


def _rate(source: Path, what: str, rate: object) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e6:
        raise _unlike(source, what, "frames a second", rate)
    return float(rate)


def _record(source: Path, what: str, found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _unlike(source, what, "a record", found)
    return found


def _unlike(source: Path, what: str, expected: str, found: object) -> CorruptionError:
    return CorruptionError(f"{source}: {INFO}: {what}: expected {expected}, got {shown(found)}")
