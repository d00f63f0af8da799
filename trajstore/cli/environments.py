"""Which environment replays a dataset: only what the user names, or the installed pipelines.

A dataset's provenance says how its environment was made, but data never chooses what is
imported: its ``entry_point`` is compared with what is allowed, and nothing else is done with it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajstore.errors import ReplayError

if TYPE_CHECKING:
    from trajstore.quality.replay import Environment, Simulator

PIPELINES = "pipelines"
GYMNASIUM = "gymnasium"
_REMEDY = (
    "say what builds it: --environment gymnasium for a registered id, "
    "or --environment module:function"
)


def environment_option() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--environment``: what may simulate."""
    return click.option(
        "--environment",
        metavar="MODULE:FUNCTION",
        help="What builds the environment from the provenance: a function of yours, also in a "
        "module of the current folder, or 'gymnasium' for any registered id. "
        "Default: the installed pipelines, for their datasets.",
    )


def simulator(
    provenance: Mapping[str, Any], chosen: str | None, *, render_mode: str | None = None
) -> "Simulator":
    """Return what builds the environment.

    Args:
        provenance: of the dataset.
        chosen: what the user named; ``None`` allows the installed package ``pipelines``.
        render_mode: to be asked of the environment; ``None`` leaves it out.

    Raises:
        ReplayError: if nothing allowed fits the dataset.
        click.UsageError: if what the user named cannot be imported.
    """
    if chosen is None:
        function = _installed(provenance)
    else:
        function = _registered if chosen == GYMNASIUM else _named(chosen)
    asked = render_mode is not None and _takes_render_mode(function)
    extra: dict[str, Any] = {"render_mode": render_mode} if asked else {}
    return partial(_built, function, chosen or PIPELINES, **extra)


def _takes_render_mode(function: Callable[..., Any]) -> bool:
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(it.name == "render_mode" or it.kind is Parameter.VAR_KEYWORD for it in parameters)


def _installed(provenance: Mapping[str, Any]) -> "Callable[..., Environment]":
    recorded = provenance.get("environment")
    entry = recorded.get("entry_point", "") if isinstance(recorded, Mapping) else ""
    if str(entry).split(":")[0].split(".")[0] != PIPELINES:
        raise ReplayError(
            f"environment: expected one of the package {PIPELINES}, got entry point {entry!r}; "
            f"{_REMEDY}"
        )
    if find_spec(PIPELINES) is None:
        raise ReplayError(
            f"environment: expected the package {PIPELINES} installed, got none; "
            f"install it, or {_REMEDY}"
        )
    simulate: Callable[..., Environment] = import_module(
        "pipelines.tasks.social_nav.simulator"
    ).simulate
    return simulate


def _registered(provenance: Mapping[str, Any], *, render_mode: str | None = None) -> "Environment":
    recorded = provenance.get("environment")
    name = recorded.get("id") if isinstance(recorded, Mapping) else None
    if not isinstance(name, str) or ":" in name:
        raise ReplayError(
            f"environment: expected a registered Gymnasium id without a module, got {name!r}"
        )
    kwargs = recorded.get("kwargs", {}) if isinstance(recorded, Mapping) else {}
    if not isinstance(kwargs, Mapping) or "render_mode" in kwargs:
        raise ReplayError(f"environment {name}: expected arguments of gym.make, got {kwargs!r}")
    made: Environment = import_module("gymnasium").make(name, render_mode=render_mode, **kwargs)
    return made


def _named(chosen: str) -> "Callable[..., Environment]":
    module, _, name = chosen.partition(":")
    try:
        with _current_folder():
            function: Callable[..., Environment] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.UsageError(
            f"--environment: expected module:function, got {chosen!r} ({error})"
        ) from error
    return function


def _built(
    function: "Callable[..., Environment]",
    chosen: str,
    provenance: Mapping[str, Any],
    **extra: Any,  # noqa: ANN401 - as `simulator` says
) -> "Environment":
    """What a function makes of the provenance.

    Raises:
        ReplayError: if it fails, or makes something else than an environment.
    """
    try:
        made = function(provenance, **extra)
    except ReplayError:
        raise
    except Exception as error:
        raise ReplayError(
            f"environment {chosen}: expected it to be built from the provenance, got "
            f"{type(error).__name__}: {error}; {_REMEDY}"
        ) from error
    if not all(callable(getattr(made, name, None)) for name in ("reset", "step", "close")):
        raise ReplayError(
            f"environment {chosen}: expected one with reset, step and close, got "
            f"{type(made).__name__}; {_REMEDY}"
        )
    return made


@contextmanager
def _current_folder() -> Iterator[None]:
    """Look for modules in the current folder first, as ``python -m`` does, for the block."""
    before = sys.path.copy()
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before
