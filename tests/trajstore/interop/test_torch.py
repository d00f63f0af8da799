"""A DataLoader gives every step once, in an order that does not depend on its workers."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests import factories
from trajstore.dataset import Dataset
from trajstore.interop.torch import StepBatches, Steps


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    target = tmp_path_factory.mktemp("torch") / "v1"
    factories.dataset(target, count=12, schema=factories.WIDE_SCHEMA)
    return Dataset.open(target)


def drawn(batches):
    return [
        (int(e), int(s)) for it in batches for e, s in zip(it["episode"], it["step"], strict=True)
    ]


def test_a_pass_gives_every_step_once(dataset):
    batches = list(DataLoader(StepBatches(dataset, 32, seed=1), batch_size=None))
    assert len(drawn(batches)) == len(set(drawn(batches))) == dataset.steps
    assert batches[0]["next_camera/grid"].dtype is torch.uint8


def test_workers_change_nothing(dataset):
    batches = StepBatches(dataset, 32, seed=1, where=lambda table: table["length"] > 3)
    alone = drawn(DataLoader(batches, batch_size=None))
    shared = DataLoader(batches, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert drawn(shared) == alone


def test_each_epoch_has_an_order_of_its_own(dataset):
    batches = StepBatches(dataset, 32, seed=1, fields=["action"])
    first = drawn(batches)
    assert drawn(batches) == first
    batches.set_epoch(1)
    assert drawn(batches) != first
    assert sorted(drawn(batches)) == sorted(first)


def test_windows_come_as_tensors_with_a_mask(dataset):
    batch = next(iter(StepBatches(dataset, 8, seed=0, window=5)))
    assert batch["action"].shape == (8, 5, 2)
    assert batch["mask"].dtype is torch.bool


def test_steps_serve_a_sampler(dataset):
    steps = Steps(dataset, fields=["action"])
    rows = torch.cat([batch["action"] for batch in DataLoader(steps, batch_size=16)])
    np.testing.assert_array_equal(rows.numpy(), dataset.column("action"))
    assert torch.equal(steps[3]["action"], rows[3])
