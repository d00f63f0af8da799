"""A normaliser and convolutions before the networks: computed, saved, exported, frozen."""

import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from gymnasium import spaces

from pipelines.learning.architecture import Architecture
from pipelines.learning.export import export_policy, import_policy
from pipelines.learning.features import Features
from pipelines.learning.policy import (
    SavedPolicy,
    actor_of,
    build_policy,
    load_policy,
    save_policy,
)
from pipelines.tasks.coding import Coding, Image
from tests.pipelines import tiny
from trajstore.errors import ArgumentError, CorruptionError

PICTURE = Image(2, 3, 9, 12, last=True)
SEEN = spaces.Dict(
    {
        "at": spaces.Box(-1.0, 1.0, (2,), np.float32),
        "camera": spaces.Box(0, 255, (9, 12, 3), np.uint8),
    }
)
CODING = Coding(SEEN, spaces.Box(-1.0, 1.0, (2,), np.float32))
ARCHITECTURE = Architecture.of(CODING, (8,), normalise=True)
ROWS = np.random.default_rng(0).uniform(0.0, 1.0, (5, CODING.size)).astype(np.float32)


def saved(folder: Path, architecture: Architecture = ARCHITECTURE) -> SavedPolicy:
    torch.manual_seed(0)
    policy = build_policy(architecture)
    cast(Features, policy.features_extractor).fit(3.0 * ROWS[:, : architecture.observations] + 1.0)
    save_policy(policy, folder, architecture=architecture, interface=tiny.ENV.interface)
    return load_policy(folder)


def test_an_image_is_found_in_the_coded_observation() -> None:
    assert CODING.images == (PICTURE,)
    assert ARCHITECTURE.normalised
    first = Coding(spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(2))
    assert first.images == (Image(0, 4, 84, 84, last=False),)
    assert not Architecture.of(first, (8,), normalise=True).normalised
    for small in (spaces.Box(0, 255, (7, 7, 3), np.uint8), spaces.Box(0, 255, (84, 84), np.uint8)):
        assert Coding(small, spaces.Discrete(2)).images == ()


@pytest.mark.parametrize("last", [True, False])
def test_a_convolution_sees_the_image_and_not_the_rest(last: bool) -> None:
    torch.manual_seed(0)
    space = spaces.Box(-np.inf, np.inf, (2 + PICTURE.size,), np.float32)
    features = Features(space, [(2, 3, 9, 12, last)], normalised=False)
    rows = torch.as_tensor(ROWS)
    made = features(rows)
    assert torch.equal(made[:, :2], rows[:, :2])
    image = rows[:, 2:].reshape((-1, 9, 12, 3) if last else (-1, 3, 9, 12))
    image = image.permute(0, 3, 1, 2) if last else image
    assert torch.equal(made[:, 2:], features.nets[0](image))


def test_statistics_are_those_of_all_that_was_seen() -> None:
    space = spaces.Box(-np.inf, np.inf, (ROWS.shape[1],), np.float32)
    features = Features(space, normalised=True)
    for part in np.split(ROWS * 7.0 - 2.0, [1, 3]):
        features.learn(part[None])
    assert np.allclose(features.mean, (ROWS * 7.0 - 2.0).mean(0), atol=1e-5)
    assert np.allclose(features.variance, (ROWS * 7.0).var(0), rtol=1e-4)
    assert features.count == len(ROWS)
    scaled = features(torch.as_tensor(ROWS * 7.0 - 2.0))
    assert torch.allclose(scaled.mean(0), torch.zeros(1), atol=1e-5)
    assert features(torch.full((1, ROWS.shape[1]), 1e6)).max() == 10.0


def test_what_never_varies_keeps_its_scale() -> None:
    features = Features(spaces.Box(-1.0, 1.0, (2,), np.float32), normalised=True)
    features.fit(np.array([[1.0, 5.0], [2.0, 5.0]], np.float32))
    assert features(torch.tensor([[1.5, 5.5]])).tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize(
    "architecture",
    [ARCHITECTURE, Architecture(7, 2, (4,), normalised=True)],
    ids=["image", "normalised"],
)
def test_an_actor_does_what_the_policy_does_row_by_row(
    tmp_path: Path, architecture: Architecture
) -> None:
    policy = saved(tmp_path / "policy", architecture).policy
    rows = ROWS[:, : architecture.observations]
    actor = actor_of(policy)
    told, _ = policy.predict(rows, deterministic=True)
    assert np.abs(actor(rows) - told).max() < 1e-5
    alone = np.concatenate([actor(row[None]) for row in rows])
    assert np.array_equal(actor(rows), alone)


def test_a_policy_is_saved_and_loaded_with_its_features(tmp_path: Path) -> None:
    policy = saved(tmp_path / "policy")
    assert policy.architecture == ARCHITECTURE
    assert policy.policy.features_extractor.count == len(ROWS)
    assert {name: tuple(it.shape) for name, it in policy.policy.state_dict().items()
            if not name.startswith(("pi_", "vf_"))} == ARCHITECTURE.shapes()  # fmt: skip


def test_an_export_carries_its_features_and_needs_nothing_of_ours(tmp_path: Path) -> None:
    policy = saved(tmp_path / "policy")
    export_policy(policy, tmp_path / "policy.zip")
    again = import_policy(tmp_path / "policy.zip")
    assert np.array_equal(actor_of(again)(ROWS), policy.actor(ROWS))
    np.save(tmp_path / "rows.npy", ROWS)
    script = (
        "import sys; sys.modules['pipelines'] = sys.modules['trajstore'] = None\n"
        "import numpy as np; from stable_baselines3 import PPO\n"
        "model = PPO.load('policy.zip', device='cpu')\n"
        "np.save('told.npy', model.predict(np.load('rows.npy'), deterministic=True)[0])\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True)
    assert np.abs(np.load(tmp_path / "told.npy") - policy.actor(ROWS)).max() < 1e-5


WRONG = [
    ({"first": -1}, "images one behind another"),
    ({"height": 0}, "images one behind another"),
    ({"width": 4097}, "images one behind another"),
    ({"last": 1}, "images one behind another"),
    ({"channels": 40}, "observations of"),
    ({"height": 4096, "width": 4096}, "observations of"),
    ({"more": 1}, "unexpected keyword"),
]


@pytest.mark.parametrize(("change", "told"), WRONG)
def test_images_that_cannot_be_are_refused(change: dict[str, int], told: str) -> None:
    record = ARCHITECTURE.to_json()
    record["images"] = [{**record["images"][0], **change}]
    with pytest.raises((ArgumentError, TypeError), match=told):
        Architecture.from_json(record)


def test_a_policy_whose_record_tells_another_image_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "policy")
    path = tmp_path / "policy" / "policy.json"
    path.write_text(path.read_text().replace('"height": 9', '"height": 8'))
    with pytest.raises(CorruptionError):
        load_policy(tmp_path / "policy")
