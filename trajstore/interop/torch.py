"""A dataset's steps as torch tensors, for ``torch.utils.data.DataLoader`` with any workers."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, get_worker_info

from trajstore.dataset import Dataset
from trajstore.version.reading import Where
from trajstore.version.sampling import Batches

Tensors = dict[str, torch.Tensor]


class StepBatches(IterableDataset[Tensors]):
    """Shuffled batches of steps or windows; give it to a ``DataLoader`` with ``batch_size=None``.

    Workers take turns batch by batch, so that the batches, and their order, are the same
    whatever the number of workers. Each pass has an order of its own; ``set_epoch`` chooses it.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: int,
        *,
        seed: int,
        window: int | None = None,
        where: Where | None = None,
        fields: Sequence[str] | None = None,
    ) -> None:
        """Prepare the passes; the arguments are those of ``Dataset.batches``.

        Text columns are left out. ``where`` is worked out here, once.
        """
        super().__init__()
        self.dataset = dataset
        chosen = np.asarray(where(dataset.episodes)) if callable(where) else where
        self._pass = partial(dataset.batches, size, window=window, where=chosen, fields=fields)
        self._seed, self._epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass; without this, each iteration repeats the first."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[Tensors]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        batches = self._batches()
        for number in range(first, len(batches), step):
            yield tensors(batches.batch(number))

    def _batches(self) -> Batches:
        return self._pass(rng=np.random.default_rng([self._seed, self._epoch]))


class Steps(TorchDataset[Tensors]):
    """Steps by number, for who brings a sampler of their own."""

    def __init__(self, dataset: Dataset, *, fields: Sequence[str] | None = None) -> None:
        """Serve the steps of a dataset; ``fields`` as in ``Dataset.sample``."""
        self.dataset = dataset
        self._fields = fields

    def __len__(self) -> int:
        return self.dataset.steps

    def __getitem__(self, index: int) -> Tensors:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Tensors]:
        """Several at once, which a ``DataLoader`` asks for."""
        batch = tensors(self.dataset.take(indices, fields=self._fields))
        return [
            {name: values[row] for name, values in batch.items()} for row in range(len(indices))
        ]


def tensors(batch: dict[str, np.ndarray]) -> Tensors:
    """The arrays of a batch as tensors of the same memory; text is left out."""
    return {
        name: torch.from_numpy(values) for name, values in batch.items() if values.dtype.kind != "U"
    }
