"""Sources of clips and mixtures of them: what is described is what comes, and chance comes from the dice alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from clip_checks import assert_keeps_its_promises
from unish.errors import InputError
from unish.lab.datasets import ClipArrays, MixedSource, ShardClips, SourceNotes
from unish.lab.datasets.resize import resize_clip
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.shards import ShardConfig, write_shards
from unish.lab.training.data import SceneBatches, SceneDataConfig

SHARDS = ShardConfig(
    sizes=((48, 64),), clips_per_shard=3, clip=SynthConfig(num_frames=4, max_people=2, min_people=1, samples=1)
)


class Flat:
    """A source of N pictures of one grey each, in one shape."""

    def __init__(self, grey: int, size: tuple[int, int], count: int = 40, arrays: tuple[str, ...] = ()) -> None:
        self.grey, self.shape, self.count = grey, size, count
        self.arrays = arrays or ("images", "depth", "intrinsics", "c2w")

    def __len__(self) -> int:
        return self.count

    def describe(self) -> SourceNotes:
        return SourceNotes(name=f"grey {self.grey}", licence="none", trains_shipped_weights=False, arrays=self.arrays)

    def size(self, index: int) -> tuple[int, int]:
        return self.shape

    def load(
        self, index: int, rng: np.random.Generator, *, num_frames: int, size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:  # fmt: skip
        height, width = self.shape
        intrinsics = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float32)
        arrays = {
            "images": np.full((num_frames, height, width, 3), self.grey, np.uint8),
            "depth": np.full((num_frames, height, width), 1 + index, np.float32),
            "intrinsics": np.tile(intrinsics, (num_frames, 1, 1)),
            "c2w": np.tile(np.eye(4, dtype=np.float32), (num_frames, 1, 1)),
        }
        arrays = {name: values for name, values in arrays.items() if name in self.arrays}
        return arrays if size is None else resize_clip(arrays, size)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, num_shards=2, seed=3, config=SHARDS)
    return folder


@pytest.mark.long
def test_shards_are_a_source(shards: Path) -> None:
    source = ShardClips(shards)
    assert len(source) == 6 and source.describe().trains_shipped_weights
    clip = assert_keeps_its_promises(source, 2, index=4)
    assert {"person_valid", "landmarks_px", "gravity"} <= clip.keys()


@pytest.mark.long
def test_landmarks_stay_on_their_pixels_when_a_clip_is_resized(shards: Path) -> None:
    """Visible joints of the truth lie on their person's pixels before and after: the same share of them."""
    source = ShardClips(shards)
    for index in range(len(source)):
        clip = source.load(index, np.random.default_rng(0), num_frames=4)
        small = resize_clip(clip, (32, 48), zoom=1.3)
        assert share_on_person(small) > share_on_person(clip) - 0.15  # at this size a limb is two pixels wide
        gone = clip["landmarks_px"][..., 2].sum() - small["landmarks_px"][..., 2].sum()
        assert gone >= 0


def share_on_person(clip: ClipArrays) -> float:
    hits = []
    for person, landmarks in enumerate(clip["landmarks_px"]):
        for frame, points in enumerate(landmarks):
            seen = points[points[:, 2] > 0]
            column, row = seen[:, :2].astype(int).T
            hits += (clip["ids"][frame, row, column] == person).tolist()
    return float(np.mean(hits)) if hits else 1.0


def test_cropping_keeps_rays() -> None:
    """A pixel of the cropped picture looks along the ray that its intrinsics say, whatever the new shape."""
    height, width = 60, 120
    x, y = np.meshgrid((np.arange(width) + 0.5 - 61) / 90, (np.arange(height) + 0.5 - 31) / 80)
    arrays = {
        "images": np.zeros((1, height, width, 3), np.uint8),
        "depth": (5 + x + 2 * y)[None].astype(np.float32),
        "intrinsics": np.array([[[90, 0, 61], [0, 80, 31], [0, 0, 1]]], np.float32),
    }
    for size in ((40, 40), (60, 30), (64, 32), (32, 64)):
        small = resize_clip(arrays, size, zoom=1.2)
        k = small["intrinsics"][0]
        u, v = np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)
        expected = 5 + (u - k[0, 2]) / k[0, 0] + 2 * (v - k[1, 2]) / k[1, 1]
        # The nearest stored pixel is at most half a pixel away on each axis: 0.5 / 90 + 2 · 0.5 / 80 = 0.018.
        np.testing.assert_allclose(small["depth"][0], expected, atol=0.019)
        assert abs(np.log(k[0, 0] / k[1, 1] * 80 / 90)) <= np.log(1.15) + 1e-6


def test_a_mixture_takes_its_shares_and_depends_on_seed_and_step_alone() -> None:
    mixture = MixedSource([Flat(10, (48, 64)), Flat(200, (64, 48))], [3, 1])
    config = SceneDataConfig(num_clips=4, num_frames=2, long_sides=(64,), degrade=False)
    batches, again = SceneBatches(mixture, config, seed=5), SceneBatches(mixture, config, seed=5)
    greys: Counter[int] = Counter()
    for step in range(150):
        batch = batches(step)
        greys.update(round(float(clip.mean()) * 255) for clip in batch.images)
    again(3)
    torch.testing.assert_close(batches(17).depth, again(17).depth, rtol=0, atol=0)
    assert set(greys) == {10, 200}
    # 600 draws with p = 0.75 have a standard deviation of 1.8 %.
    assert greys[10] / 600 == pytest.approx(0.75, abs=0.06)
    assert (batches(0).person_ids == -1).all()  # nobody says who is where


def test_a_mixture_is_a_source_itself() -> None:
    first, second = Flat(10, (48, 64), count=3), Flat(200, (64, 48), count=5, arrays=("images", "depth"))
    mixture = MixedSource([first, second], [1, 2])
    assert len(mixture) == 8 and mixture.size(2) == (48, 64) and mixture.size(3) == (64, 48)
    assert mixture.describe().arrays == ("images", "depth") and "67%" in mixture.describe().name
    assert mixture.load(5, np.random.default_rng(0), num_frames=2)["depth"][0, 0, 0] == 3
    with pytest.raises(IndexError):
        mixture.size(8)


def test_what_cannot_train_is_refused() -> None:
    with pytest.raises(InputError, match="no intrinsics, c2w"):
        SceneBatches(Flat(1, (48, 64), arrays=("images", "depth")), SceneDataConfig())
    with pytest.raises(InputError, match="none of them"):
        SceneBatches(Flat(1, (48, 64), count=5), replace(SceneDataConfig(), first=19, last=20))
    for weights in ([1.0], [1.0, 0.0], [1.0, -2.0]):
        with pytest.raises(InputError, match="positive weight"):
            MixedSource([Flat(1, (48, 64)), Flat(2, (48, 64))], weights)


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    save_file({"depth": np.zeros((1, 2, 3, 4), np.float16)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"b\.safetensors"):
        ShardClips(tmp_path)
