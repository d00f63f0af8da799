"""What made a version: commit, parameters, seeds, package versions. No times, no host names.

Two runs of one recipe on one commit give the same provenance, hence the same bytes.
"""

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from trajstore.disk.json_text import canonical_json, json_depth, json_memory
from trajstore.errors import SchemaError

PACKAGES = ("numpy", "trajstore", "zarr")
CODE = (".py", ".pyx", ".so", ".pyd")
"""Ends of the names of files that a program runs."""
_GIT_SECONDS = 10
MAX_DEPTH = 64
MAX_MEMORY = 16 * 2**20
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"}


def capture(
    *,
    parameters: Mapping[str, Any] | None = None,
    packages: Iterable[str] = PACKAGES,
    folder: Path | None = None,
    **facts: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    """The provenance of what the calling program is about to make.

    Args:
        parameters: of the run, plain JSON values.
        packages: whose installed versions are noted; those not installed are left out.
        folder: where the program's code lies; that of the script that runs unless told, or the
            current folder where there is no script of the user's own.
        facts: what else made it: digest of a policy, environment, seeds, ...

    Raises:
        SchemaError: if a fact has the name of one of ours.

    Example:
        >>> sorted(capture(policy="p7"))
        ['git', 'packages', 'parameters', 'policy', 'python']
    """
    versions = {}
    for name in sorted(packages):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    own = {
        "git": git_state(folder or _program()),
        "packages": versions,
        "parameters": dict(parameters or {}),
        "python": platform.python_version(),
    }
    clashes = sorted(own.keys() & facts.keys())
    if clashes:
        raise SchemaError(
            f"provenance: {clashes} are names that trajstore fills in itself; use others than "
            f"{sorted(own)}"
        )
    return own | facts


def check_provenance(provenance: object) -> None:
    """Refuse what could not be written as JSON and read back the same, naming the first value."""
    if not isinstance(provenance, Mapping):
        raise SchemaError(
            "provenance: must be a dict of plain JSON values, got "
            f"{type(provenance).__name__}; at least {{}}"
        )
    if json_depth(dict(provenance)) > MAX_DEPTH:
        raise SchemaError(
            f"provenance: expected values nested at most {MAX_DEPTH} deep, got deeper ones; note "
            "less, or as one text"
        )
    _check_value("provenance", dict(provenance))
    check_size(provenance)


def check_size(provenance: Mapping[str, Any]) -> None:
    """Refuse a provenance of plain values that is larger than what a program needs to tell."""
    size = json_memory(canonical_json(dict(provenance)))
    if size > MAX_MEMORY:
        raise SchemaError(
            f"provenance: expected values that take at most {MAX_MEMORY // 2**20} MiB, got "
            f"{size / 2**20:,.0f} MiB; keep it as a file, and note its path and digest"
        )


def _check_value(where: str, value: object) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if not (isinstance(name, str) and _is_plain(name)):
                raise SchemaError(f"{where}: expected names that are text, got {ascii(name)[:80]}")
            _check_value(f"{where}[{name!r}]", item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check_value(f"{where}[{number}]", item)
    elif not _is_plain(value):
        shown = ascii(value)[:80] if isinstance(value, str | float) else type(value).__name__
        raise SchemaError(
            f"{where}: expected a plain JSON value (None, bool, int, finite float, UTF-8 text, "
            f"list, dict), got {shown}; convert it first, an array with .tolist()"
        )


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int)


def leaves(record: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, each under its names joined by dots.

    Example:
        >>> dict(leaves({"policy": {"id": "p7"}, "seeds": [1, 2]}))
        {'policy.id': 'p7', 'seeds': [1, 2]}
    """
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _program() -> Path:
    file = getattr(sys.modules["__main__"], "__file__", None)
    if file is None or Path(file).resolve().is_relative_to(Path(sys.prefix).resolve()):
        return Path.cwd()
    return Path(file).resolve().parent


def git_state(folder: Path, code: Iterable[Path] = ()) -> dict[str, Any] | None:
    """The commit of the repository that holds the code of a folder, and whether code differs.

    ``dirty`` counts tracked files that were changed, and modules that git does not know.

    Args:
        folder: where the code lies; a repository further out that tracks nothing of it is none.
        code: files and folders whose changes count; all of the repository unless told.

    Returns:
        ``None`` outside a repository, in one that does not hold the code, or without git.
    """
    top, commit = _git(folder, "rev-parse", "--show-toplevel"), _git(folder, "rev-parse", "HEAD")
    if top is None or commit is None or not _git(folder, "ls-files", "--", "."):
        return None
    root = Path(top.strip()).resolve()
    places = [str(place) for path in code if (place := path.resolve()).is_relative_to(root)]
    places = places or [str(root)]
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *places)
    others = _git(folder, "ls-files", "-z", "--others", "--exclude-standard", "--", *places)
    unknown = others is None or any(name.endswith(CODE) for name in others.split("\0"))
    return {"commit": commit.strip(), "dirty": changed != "" or unknown}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; a repository's own settings run nothing, and nothing is written."""
    safe = ("--no-optional-locks", "-c", "core.fsmonitor=false")
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *safe, *arguments],
            capture_output=True,
            check=True,
            encoding="utf-8",
            env={name: it for name, it in os.environ.items() if name not in _ELSEWHERE},
            errors="replace",
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
