"""robomimic: versions as its HDF5 files, which h5py alone writes."""

from pathlib import Path

import h5py
import numpy as np

from trajstore.dataset import Dataset
from trajstore.episode.episode import Episode
from trajstore.episode.fields import Axis
from trajstore.episode.nesting import ACTION, below
from trajstore.errors import SchemaError
from trajstore.interop import robomimic_ours
from trajstore.interop.imported import Progress, check_has, unwatched, whole_export
from trajstore.interop.robomimic_files import import_dataset
from trajstore.interop.robomimic_notes import DATA, FILTERS, MASK, MODEL, env_args

__all__ = ["export_dataset", "import_dataset"]


def export_dataset(
    dataset: Dataset, target: Path, *, progress: Progress = unwatched
) -> tuple[str, ...]:
    """Write a version into a new robomimic file; memory is that of one episode.

    ``observation/NAME`` becomes ``obs/NAME`` and ``next_obs/NAME``, ``dones`` are ``terminated``,
    the fields ``filter_key/NAME`` filter keys, the bytes of ``model_file`` its text. All else lies
    in a group ``trajstore`` of each demonstration.

    Returns:
        What robomimic's own readers will miss, one line each.

    Raises:
        SchemaError: if there is no observation of numbers or no action.
        SealedError: if the target exists.
        StorageError: if the operating system refuses.
    """
    schema = dataset.schema
    check_has(dataset, ACTION, package="robomimic")
    lying = robomimic_ours.places(schema)
    if not any(len(paths) > 1 for paths in lying.values()):
        raise SchemaError(
            "robomimic needs observations of numbers on the state axis, and there are none in "
            f"{list(schema.names)}; export to npz"
        )
    filters = [
        spec.name
        for spec in schema.on(Axis.EPISODE)
        if below(spec.name, FILTERS) and spec.dtype == "bool" and spec.shape == ()
    ]
    with whole_export(target) as whole, h5py.File(whole, "w") as file:
        data = file.create_group(DATA)
        for index, episode in enumerate(dataset):
            _write(data.create_group(f"demo_{index}"), episode, lying)
            progress(1)
        data.attrs["total"] = dataset.steps
        data.attrs["env_args"] = env_args(dataset.manifest.provenance)
        for name in filters:
            chosen = [f"demo_{index}" for index in np.flatnonzero(dataset.column(name)).tolist()]
            key = f"{MASK}/{name.removeprefix(FILTERS).strip('/') or FILTERS}"
            file.create_dataset(key, data=np.array(chosen, "S"))
        robomimic_ours.write_about(file, dataset)
    rest = [it for it, paths in lying.items() if paths[0].startswith(robomimic_ours.REST)]
    return tuple(f"field {name!r}: it lies in the group trajstore" for name in rest)


def _write(group: h5py.Group, episode: Episode, lying: robomimic_ours.Places) -> None:
    robomimic_ours.write(group, episode, lying)
    if "dones" not in group:
        group.create_dataset("dones", data=episode["terminated"].astype("int64"))
    group.attrs["num_samples"] = len(episode)
    spec = next((it for it in episode.schema.fields if it.name == MODEL), None)
    if spec is not None and spec.dtype == "uint8" and spec.axis is Axis.EPISODE:
        group.attrs[MODEL] = bytes(episode[MODEL]).rstrip(b"\0").decode(errors="replace")
