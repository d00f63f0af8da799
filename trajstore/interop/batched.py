"""One environment's part of what several that are stepped together take and return."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from trajstore.episode.playing import FINAL


def part(space: Any, batch: Any, number: int) -> Any:  # noqa: ANN401 - of any space
    """What environment ``number`` has of a batch of values of its space.

    Example:
        >>> space = spaces.Dict(gear=spaces.Discrete(4), place=spaces.Box(-1, 1, (2,)))
        >>> part(space, {"gear": np.array([1, 3]), "place": np.zeros((2, 2))}, 1)
        {'gear': np.int64(3), 'place': array([0., 0.])}
    """
    if isinstance(space, spaces.Dict):
        return {key: part(inner, batch[key], number) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(part(inner, batch[at], number) for at, inner in enumerate(space.spaces))
    return batch[number]


def told(infos: Mapping[str, Any], name: str, number: int) -> bool:
    """Whether environment ``number`` has reported something under a name."""
    mask = infos.get(f"_{name}")
    return name in infos and (mask is None or bool(mask[number]))


def info_of(infos: Mapping[str, Any], names: Collection[str], number: int) -> dict[str, Any]:
    """What environment ``number`` has reported under some names.

    Example:
        >>> infos = {"gear": np.array([1, 0]), "_gear": np.array([True, False])}
        >>> info_of(infos, {"gear"}, 0), info_of(infos, {"gear"}, 1)
        ({'gear': np.int64(1)}, {})
    """
    wanted = [name for name in names if told(infos, name, number)]
    return {name: _own(infos[name], number) for name in wanted}


def _own(values: Any, number: int) -> Any:  # noqa: ANN401
    if isinstance(values, Mapping):
        names = [it for it in values if not (it.startswith("_") and it[1:] in values)]
        return info_of(values, names, number)
    if isinstance(values, np.ndarray | list | tuple) and np.shape(values)[:1]:
        return values[number]
    return values


def ending_of(
    infos: Mapping[str, Any], names: Collection[str], number: int
) -> tuple[Any, dict[str, Any]] | None:
    """The last observation of an episode, and what was reported with it; ``None`` if not told."""
    for key, beside in FINAL.items():
        if told(infos, key, number) and infos[key][number] is not None:
            return infos[key][number], _final_info(infos, beside, names, number)
    return None


def _final_info(
    infos: Mapping[str, Any], key: str, names: Collection[str], number: int
) -> dict[str, Any]:
    if not told(infos, key, number):
        return info_of(infos, names, number)
    found = infos[key]
    return info_of(found, names, number) if isinstance(found, Mapping) else dict(found[number])
