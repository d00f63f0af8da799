"""Which environment replays a dataset: what the user names, or what an installed package offers.

Data never chooses what is imported: only the recorded id is looked up in the table that installed
packages fill, the entry points of the group ``trajstore.environments``.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import click

from trajstore.episode.plugins import group_of, offered
from trajstore.errors import PluginError, ReplayError
from trajstore.quality.replay import Environment, Simulator, refused

GROUP = group_of("environment")
"""Entry points: the name is an environment's id, the value a function that `simulator` may use."""
REGISTERED = "gymnasium"
"""What the user names for any id that Gymnasium knows."""
_BY_HAND = "say what builds it: --environment module:function"
_REMEDY = (
    "say what builds it: --environment gymnasium for a registered id, module:id where a module "
    "of yours registers it, or module:function"
)

environment_option = click.option(
    "--environment",
    metavar="MODULE:FUNCTION",
    help="How to build the environment again: a function of yours that takes the provenance, also "
    "in a module of the current folder; 'gymnasium' for any registered id; MODULE:ID where your "
    "module registers it "
    "[default: what an installed package offers for the recorded id].",
)


def simulator(
    provenance: Mapping[str, Any], chosen: str | None, *, render_mode: str | None = None
) -> Simulator:
    """What builds the environment: what the user named, else what an installed package offers.

    Raises:
        ReplayError: if nothing allowed fits the dataset.
        click.UsageError: if what the user named cannot be imported.
    """
    if chosen is None:
        function = _offered(_recorded(provenance).get("id"))
    else:
        recorded = _recorded(provenance).get("id")
        function = _registered if chosen == REGISTERED else _named(chosen, recorded)
    if render_mode is not None and _takes_render_mode(function):
        function = partial(function, render_mode=render_mode)
    return partial(_built, function, chosen or GROUP)


def _takes_render_mode(function: Callable[..., Any]) -> bool:
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(it.name == "render_mode" or it.kind is Parameter.VAR_KEYWORD for it in parameters)


def _recorded(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    recorded = provenance.get("environment")
    return recorded if isinstance(recorded, Mapping) else {}


def _offered(name: object) -> Callable[..., Environment]:
    """What installed packages offer for a recorded id."""
    if name is None:
        raise ReplayError(f"the provenance names no environment; {_BY_HAND}")
    found = {it.entry.value: it for it in offered("environment") if it.name == name}
    if len(found) != 1:
        raise ReplayError(
            f"environment {name!r}: {' and '.join(sorted(found)) or 'no installed package'} "
            f"offers it, and exactly one must; {_REMEDY}"
        )
    (plugin,) = found.values()
    try:
        function: Callable[..., Environment] = replace(plugin, clash="").load()
    except PluginError as error:
        raise ReplayError(f"{error}; install what it needs, or {_REMEDY}") from error
    return function


def _registered(provenance: Mapping[str, Any], *, render_mode: str | None = None) -> Environment:
    make_again = import_module("trajstore.interop.environment").make_again
    made: Environment = make_again(_recorded(provenance), render_mode=render_mode)
    return made


def _named(chosen: str, recorded: object) -> Callable[..., Environment]:
    """What the user named; modules of the current folder first, as for ``python -m``.

    After ``module:`` stands a function, or the recorded id, which importing the module registers.
    """
    module, _, name = chosen.partition(":")
    before = sys.path.copy()
    sys.path.insert(0, str(Path.cwd()))
    try:
        home = import_module(module)
        if name == recorded and not name.isidentifier():
            return _registered
        function: Callable[..., Environment] = getattr(home, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.UsageError(
            f"--environment: write module:function, such as hallway:build, or module:id of the "
            f"recorded id, {recorded!r}; {chosen!r} is not one that can be imported ({error})"
        ) from error
    finally:
        sys.path[:] = before
    return function


def _built(
    function: Callable[..., Environment], chosen: str, provenance: Mapping[str, Any]
) -> Environment:
    """What a function makes of the provenance; refused if it is no environment."""
    expected = f"environment {chosen}: could not be built from the provenance"
    with refused(expected, f"; {_REMEDY}"):
        made = function(provenance)
    if not all(callable(getattr(made, name, None)) for name in ("reset", "step", "close")):
        raise ReplayError(
            f"environment {chosen}: built a {type(made).__name__}, which has no reset, step "
            f"and close; {_REMEDY}"
        )
    return made
