"""Formats of other installed packages, held to what ours promise."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.plugins import Plugin
from trajstore.errors import PluginError
from trajstore.interop.imported import Imported


def format_of(plugin: Plugin) -> SimpleNamespace:
    """The functions ``export_dataset`` and ``import_dataset`` of a format of another package.

    The first takes a `Dataset` and a path that is not there yet, and returns what it left out, one
    line each; the second takes a path and returns an `Imported`.

    Raises:
        PluginError: if it cannot be imported; later, if a function is missing or fails.
    """
    module = plugin.load()
    export = partial(_exported, plugin, _function(plugin, module, "export_dataset"))
    read = _function(plugin, module, "import_dataset")

    @wraps(read)  # its options are those that a user may give
    def import_dataset(source: Path, **options: Any) -> Imported:  # noqa: ANN401 - of the format
        with plugin.at_fault(f"could not read {source}"):
            imported = read(source, **options)
            if not isinstance(imported, Imported):
                raise TypeError(f"{type(imported).__name__} instead of an Imported")
        return replace(imported, read=partial(_episodes, plugin, imported))

    return SimpleNamespace(export_dataset=export, import_dataset=import_dataset)


def _function(plugin: Plugin, module: object, name: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if callable(found):
        function: Callable[..., Any] = found
        return function

    def missing(*arguments: object) -> None:
        does = "write" if name == "export_dataset" else "read"
        raise PluginError(f"{plugin}: cannot {does} files, it has no {name}")

    return missing


def _exported(
    plugin: Plugin,
    export: Callable[..., Any],
    dataset: Dataset,
    target: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[str, ...]:
    with plugin.at_fault(f"could not write {target}"):
        left_out = tuple(map(str, export(dataset, target) or ()))
    progress(len(dataset))
    return left_out


def _episodes(plugin: Plugin, imported: Imported) -> Iterator[Episode]:
    with plugin.at_fault("could not read episodes"):
        yield from imported.episodes
