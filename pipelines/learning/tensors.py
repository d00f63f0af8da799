"""Tensors in a safetensors file: what its header says is compared before anything is made of it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch

from trajstore.disk.files import open_file
from trajstore.disk.json_text import parse_json
from trajstore.disk.system import storing
from trajstore.errors import CorruptionError, NotFoundError, StorageError

Shapes = Mapping[str, tuple[int, ...]]
MAX_HEADER_BYTES = 2**20
MAX_BYTES = 64 * 2**20
"""Most that the weights of a policy take."""
_PREFIX_BYTES = 8
_FLOAT_BYTES = 4


def size_bytes(shapes: Shapes) -> int:
    """What 32-bit floats of these shapes take, bytes."""
    total = 0
    for shape in shapes.values():
        count = _FLOAT_BYTES
        for size in shape:
            count *= size
        total += count
    return total


def read_tensors(
    path: Path, sha256: str, shapes: Shapes, *, optional: Shapes | None = None, remedy: str
) -> dict[str, torch.Tensor]:
    """Finite 32-bit floats of these names and shapes; the file is not read if it is larger.

    Args:
        path: of the file.
        sha256: of the file; it is compared before anything is parsed.
        shapes: of the tensors that must be there, by name.
        optional: of those that may be there too.
        remedy: ends every message.

    Raises:
        NotFoundError: if there is no file.
        CorruptionError: if it holds anything else, or is no file.
        StorageError: if it cannot be read.
    """
    known = {**shapes, **(optional or {})}
    payload = _read(path, size_bytes(known) + MAX_HEADER_BYTES + _PREFIX_BYTES, remedy)
    got = hashlib.sha256(payload).hexdigest()
    if got != sha256:
        raise CorruptionError(f"{path}: expected sha256 {sha256}, got {got}; {remedy}")
    _check_header(path, payload, shapes, known, remedy)
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(payload)
    except Exception as error:
        raise CorruptionError(f"{path}: expected tensors, got {error}; {remedy}") from error
    check_finite(path, tensors, remedy)
    return tensors


def _read(path: Path, most: int, remedy: str) -> bytes:
    try:
        with storing(path), open_file(path) as file:
            payload = file.read(most + 1)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise NotFoundError(f"{path}: the file of tensors is missing; {remedy}") from error
        raise
    if len(payload) > most:
        raise CorruptionError(
            f"{path}: expected at most {most:,} bytes for the tensors that the record names, got "
            f"more; {remedy}"
        )
    return payload


def _check_header(path: Path, payload: bytes, shapes: Shapes, known: Shapes, remedy: str) -> None:
    """Refuse names, shapes and kinds of numbers other than expected, by what the file begins with.

    The first eight bytes are the header's size, then comes JSON.
    """
    stop = _PREFIX_BYTES + int.from_bytes(payload[:_PREFIX_BYTES], "little")
    if stop > min(len(payload), _PREFIX_BYTES + MAX_HEADER_BYTES):
        raise CorruptionError(
            f"{path}: expected a header within the file, got one of {stop:,} bytes; {remedy}"
        )
    header = parse_json(payload[_PREFIX_BYTES:stop], f"{path}: header")
    try:
        entries = {name: it for name, it in header.items() if name != "__metadata__"}
        found = {name: (it["dtype"], tuple(it["shape"])) for name, it in entries.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise CorruptionError(f"{path}: expected a header, got {error!r}; {remedy}") from error
    check_shapes(path, found, shapes, known, remedy)


def check_shapes(
    where: object,
    found: Mapping[str, tuple[str, tuple[int, ...]]],
    shapes: Shapes,
    known: Shapes,
    remedy: str,
) -> None:
    """Refuse kinds of numbers and shapes, by name, that are not 32-bit floats as expected."""
    odd = sorted((found.keys() - known.keys()) | (shapes.keys() - found.keys()))
    if odd:
        wanted = "a tensor" if odd[0] in shapes else "no tensor"
        raise CorruptionError(f"{where}: expected {wanted} {odd[0][:80]!r}; {remedy}")
    for name, (kind, shape) in found.items():
        if (kind, shape) != ("F32", known[name]):
            raise CorruptionError(
                f"{where}: expected {name!r} as 32-bit floats of shape {known[name]}, got "
                f"{str(kind)[:20]} of shape {str(shape)[:80]}; {remedy}"
            )


def check_finite(
    where: object,
    tensors: Mapping[str, torch.Tensor],
    remedy: str,
    error: type[Exception] = CorruptionError,
) -> None:
    """Refuse weights that are not finite, by name."""
    for name in not_finite(tensors):
        raise error(f"{where}: expected finite weights, got others in {name!r}; {remedy}")


def not_finite(tensors: Mapping[str, torch.Tensor]) -> Iterable[str]:
    """Names of tensors that hold ``nan`` or an infinity."""
    return (name for name, it in tensors.items() if not bool(torch.isfinite(it).all()))
