"""Batches of one shape, from clips of many; and workers that share them."""

from collections import Counter

import numpy as np
import pytest

from unish.errors import InputError
from unish.lab.datasets.source import ClipArrays, SourceNotes, sample_frames
from unish.lab.training.data import SceneBatches, SceneDataConfig
from unish.lab.training.data.buckets import ClipBuckets, sample_shape
from unish.lab.training.data.workers import _Turns

SHAPES = ((24, 32, 4), (24, 32, 12), (32, 24, 12), (25, 32, 8))
"""(height, width, frames) of clip i modulo 4."""


class ManyShapes:
    """Clips of four shapes, each of one colour."""

    def __len__(self) -> int:
        return 40

    def describe(self) -> SourceNotes:
        arrays = ("images", "depth", "intrinsics", "c2w")
        return SourceNotes(name="shapes", licence="none", trains_shipped_weights=True, arrays=arrays)

    def size(self, index: int) -> tuple[int, int]:
        return SHAPES[index % 4][:2]

    def num_frames(self, index: int) -> int:
        return SHAPES[index % 4][2]

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        height, width, stored = SHAPES[index % 4]
        sample_frames(stored, num_frames, max_stride, rng)
        return {
            "images": np.full((num_frames, height, width, 3), index, np.uint8),
            "depth": np.ones((num_frames, height, width), np.float32),
            "intrinsics": np.tile(np.eye(3, dtype=np.float32), (num_frames, 1, 1)),
            "c2w": np.tile(np.eye(4, dtype=np.float32), (num_frames, 1, 1)),
        }


def test_batches_have_one_shape_and_as_many_frames_whatever_their_length() -> None:
    config = SceneDataConfig(num_clips=4, num_frames=6, frame_counts=(4, 8, 12), long_sides=(64,), degrade=False)
    batches = SceneBatches(ManyShapes(), config, seed=3)
    shapes = Counter()
    for step in range(45):
        images = batches.arrays(step)["images"]
        shapes[images.shape[:4]] += 1
        for clip in images:
            height, width, stored = SHAPES[int(clip[0, 0, 0, 0]) % 4]
            assert stored >= images.shape[1], "a clip that is too short was chosen"
            assert (height > width) == (images.shape[2] > images.shape[3])
    assert {shape[:2] for shape in shapes} == {(6, 4), (3, 8), (2, 12)}
    assert {shape[2:] for shape in shapes} == {(48, 64), (64, 48)}
    assert min(Counter(shape[1] for shape in shapes.elements()).values()) > 6


def test_a_bucket_takes_what_comes_nearest() -> None:
    buckets = ClipBuckets.of(ManyShapes(), np.arange(8))
    wide, tall = np.array([24, 32]), np.array([32, 24])
    assert buckets.fitting(wide, num_frames=4).tolist() == [0, 1, 3, 4, 5, 7]
    assert buckets.fitting(wide, num_frames=5).tolist() == [1, 3, 5, 7]
    assert buckets.fitting(tall, num_frames=4).tolist() == [2, 6]
    assert buckets.fitting(np.array([10, 100]), num_frames=9).tolist() == [1, 5]
    assert buckets.fitting(wide, num_frames=99).tolist() == [0, 1, 3, 4, 5, 7]
    with pytest.raises(InputError, match="frames"):
        SceneBatches(ManyShapes(), SceneDataConfig(num_frames=99)).arrays(0)


def test_a_shape_keeps_the_aspect_and_never_loses_all_clips() -> None:
    shape = sample_shape(
        np.array([480, 640]),
        np.random.default_rng(0),
        long_sides=(320,),
        frame_counts=(100,),
        num_clips=2,
        num_frames=8,
    )
    assert (shape.height, shape.width, shape.num_frames, shape.num_clips) == (240, 320, 100, 1)


@pytest.mark.parametrize(("workers", "stride", "window"), [(1, 1, 1), (2, 2, 1), (3, 2, 8), (2, 4, 3)])
def test_workers_share_every_batch_of_a_process(workers: int, stride: int, window: int) -> None:
    """Each batch that the process asks for is made once, by the worker that is asked; none is idle."""
    turns = _Turns(workers=workers, stride=stride, span=max(window, stride))
    first = 5
    streams = [turns.steps_of(worker, first) for worker in range(workers)]
    for step in range(first, first + 60 * stride, stride):
        assert next(streams[turns.worker_of(step)]) == step
    made = Counter(turns.worker_of(step) for step in range(first, first + 120 * stride, stride))
    assert len(made) == workers and min(made.values()) > 10
