"""What the parameters name: a function, a class, or what an installed package offers as a task."""

from importlib import import_module
from typing import Any

import gymnasium as gym

from pipelines.running.params import ParamsError
from trajstore.episode.plugins import Plugin, offered


def imported(name: str, key: str = "env.id") -> Any:  # noqa: ANN401 - whatever the user names
    """The function ``package.module:function`` that the parameters, the user's own code, name."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParamsError(
            f"params: {key}: expected a function that can be imported, got {name!r} ({error}); "
            "install its module, or put its folder on PYTHONPATH"
        ) from error
    if not callable(found):
        raise ParamsError(f"params: {key}: expected a function, got {name!r}; name another")
    return found


def named_task(name: str) -> Any:  # noqa: ANN401 - whatever the user names
    """The function or class of an id; nothing where Gymnasium makes it.

    ``package.module:Name`` is imported; ``package.module:Name-v0`` is an id of Gymnasium's, which
    imports the module itself; any other name may be that of an installed package's task.

    Raises:
        ParamsError: it cannot be imported, or is no function.
        PluginError: the package that offers it is at fault.
    """
    if name in gym.registry:
        return None
    if ":" in name:
        return imported(name) if name.partition(":")[2].isidentifier() else None
    plugin = _offered(name)
    return None if plugin is None else plugin.load()


def _offered(name: str) -> Plugin | None:
    return next((it for it in offered("task", gym.registry) if it.name == name), None)
