"""Gymnasium's spaces as fields and back; a nested space becomes one field a leaf."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces

from trajstore.episode.bounds import filled
from trajstore.episode.fields import TEXT, Axis, FieldSpec
from trajstore.episode.nesting import KIND, below, details, kind, nest, segment
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import MAX_TEXT_BYTES
from trajstore.errors import SchemaError

_REFUSED = {
    "Graph": "observe its nodes and links in boxes of a fixed size",
    "Sequence": "fill it up to a fixed length in a wrapper, beside the number of those that count",
    "OneOf": "say which one in a Discrete, beside a Dict of all of them",
}
"""Spaces whose values have no fixed shape, and what to do instead."""


class AnyText(spaces.Text):
    """Text of any letters, for a space of texts that says no more, such as MiniGrid's missions."""

    def __init__(self) -> None:
        super().__init__(MAX_TEXT_BYTES, min_length=0)

    def contains(self, x: Any) -> bool:  # noqa: ANN401 - any value
        """Whether it is text that a field holds."""
        return isinstance(x, str) and len(x.encode(errors="replace")) <= MAX_TEXT_BYTES


def fields_of(
    name: str, space: spaces.Space[Any], *, axis: Axis, strict: bool = True
) -> tuple[FieldSpec, ...]:
    """The fields that hold values of a space.

    Args:
        name: of the field, or of the folder of fields for a nested space.
        space: Box, Discrete, MultiDiscrete, MultiBinary, Text or another space of texts, or Dict
            and Tuple of these.
        axis: of the fields.
        strict: whether values outside of the space are refused; else they are kept, and counted.

    Raises:
        SchemaError: if the space is of another kind, or holds none.

    Example:
        >>> space = spaces.Dict(goal=spaces.Box(-1, 1, (2,)), gear=spaces.Discrete(5))
        >>> sorted(field.name for field in fields_of("observation", space, axis=Axis.STATE))
        ['observation/gear', 'observation/goal']
    """
    return tuple(replace(spec, strict=strict) for spec in _fields(name, space, axis, ""))


def _fields(name: str, space: Any, axis: Axis, above: str) -> Iterator[FieldSpec]:  # noqa: ANN401
    own = next((it for it in _KINDS if isinstance(space, getattr(spaces, it))), "")
    if not own and getattr(getattr(space, "dtype", None), "kind", "") == "U":
        own = "Text"
    if not own:
        got = type(space).__name__
        remedy = _REFUSED.get(got, "wrap the environment so that it has one of these")
        raise SchemaError(
            f"field {name!r}: expected a space of kind {', '.join(_KINDS)}, got {got}; {remedy}"
        )
    path = f"{above}.{own}" if above else own
    if own in ("Dict", "Tuple"):
        inner = space.spaces
        children = (
            inner if isinstance(inner, Mapping) else {str(k): it for k, it in enumerate(inner)}
        )
        if not children:
            raise SchemaError(f"field {name!r}: expected a space that holds others, got {space}")
        for key, child in children.items():
            yield from _fields(f"{name}/{segment(key)}", child, axis, path)
        return
    more = _LEAVES[own](space)
    low, high = (more.pop(side, None) for side in ("low", "high"))
    told = f"{KIND}{path} {json.dumps(more, sort_keys=True)}" if more else KIND + path
    shape, dtype = ((), TEXT) if own == "Text" else (space.shape, space.dtype.name)
    yield FieldSpec(name, axis, shape, dtype, low=low, high=high, description=told)


def _box(space: spaces.Box) -> dict[str, Any]:
    if space.dtype == np.bool_:
        whole = not space.low.any() and space.high.all()
        return {} if whole else {"lowest": space.low.tolist(), "highest": space.high.tolist()}
    ends: dict[str, Any] = {"low": space.bounded_below, "high": space.bounded_above}
    for side, known in ends.items():
        values = getattr(space, side).astype(object)
        values[~known] = None
        ends[side] = values.tolist()
    return ends


def _multi_discrete(space: spaces.MultiDiscrete) -> dict[str, Any]:
    start, counts = space.start.tolist(), np.array(space.nvec.tolist(), object)
    return {"low": start, "high": (np.array(start, object) + counts - 1).tolist()}


def _text(space: Any) -> dict[str, Any]:  # noqa: ANN401 - Text, or any space of texts
    if not isinstance(space, spaces.Text):
        return {}
    letters = "".join(sorted(space.character_set))
    return {"letters": letters, "length": [space.min_length, space.max_length]}


_LEAVES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Box": _box,
    "Discrete": lambda it: {"low": int(it.start), "high": int(it.start) + int(it.n) - 1},
    "MultiDiscrete": _multi_discrete,
    "MultiBinary": lambda it: {"low": 0, "high": 1} | ({} if np.ndim(it.n) else {"n": int(it.n)}),
    "Text": _text,
}
"""What there is to know of each kind of leaf, besides shape and dtype."""
_KINDS = (*_LEAVES, "Dict", "Tuple")


def space_of(schema: EpisodeSchema, name: str) -> spaces.Space[Any]:
    """The space whose values the field ``name``, or the fields below it, hold.

    It equals the space that they were made from; one of texts that is no ``Text`` becomes a space
    of any text. A field that was not made from a space is a Box with its limits.

    Raises:
        SchemaError: if there is no such field.
    """
    leaves = {spec.name: _leaf(spec) for spec in schema.fields if below(spec.name, name)}
    return _space(nest(schema, name, leaves))


def _space(nested: Any) -> spaces.Space[Any]:  # noqa: ANN401 - dicts and tuples of spaces
    if isinstance(nested, tuple):
        return spaces.Tuple([_space(child) for child in nested])
    if isinstance(nested, dict):
        return spaces.Dict(OrderedDict((key, _space(child)) for key, child in nested.items()))
    return nested  # type: ignore[no-any-return]


def _leaf(spec: FieldSpec) -> spaces.Space[Any]:
    low, high, more = spec.low, spec.high, details(spec)
    match kind(spec, spec.name):
        case "Discrete":
            own = {} if spec.dtype == "int64" else {"dtype": np.dtype(spec.dtype)}
            of: Any = spaces.Discrete
            return of(high - low + 1, start=low, **own)  # type: ignore[no-any-return, operator]
        case "MultiDiscrete":
            start, end = (np.broadcast_to(np.array(it, object), spec.shape) for it in (low, high))
            return spaces.MultiDiscrete(
                (end - start + 1).tolist(), dtype=spec.dtype, start=start.tolist()
            )
        case "MultiBinary":
            return spaces.MultiBinary(more.get("n", spec.shape))
    if spec.is_text:
        if "letters" not in more:
            return AnyText()
        shortest, longest = more["length"]
        return spaces.Text(longest, min_length=shortest, charset=more["letters"])
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "b":
        low, high = more.get("lowest", 0), more.get("highest", 1)
    least, most = _end(spec, low, -np.inf), _end(spec, high, np.inf)
    return spaces.Box(least, most, shape=spec.shape, dtype=dtype.type)


def _end(spec: FieldSpec, bound: Any, missing: float) -> Any:  # noqa: ANN401 - of any nesting
    """The lower or upper end of a box, each component's infinity where it has none."""
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "u" or (dtype.kind == "i" and not kind(spec, spec.name)):
        missing = np.iinfo(dtype).min if missing < 0 else np.iinfo(dtype).max
    plain = np.broadcast_to(filled(bound, missing), spec.shape)
    if dtype.kind == "f":
        return plain.astype(dtype)
    known = np.isfinite(plain.astype(np.float64))
    if not known.any():
        return missing
    return plain.astype(dtype if known.all() else np.float64)
