"""Training batches of the scene branch, from any source of clips or a weighted mixture of them.

Batch i depends on (seed, i), on the config and on the list of clips alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.lab.datasets.mixture import MixedSource
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.shards import ShardClips
from unish.lab.datasets.source import ClipArrays, ClipSource, ClipStream
from unish.lab.training.data.augment import degrade_images, mirror_clip
from unish.lab.training.data.buckets import BatchShape, ClipBuckets, sample_shape

_NEEDED = ("images", "depth", "intrinsics", "c2w")


@dataclass(frozen=True, kw_only=True)
class SceneBatch:
    """B clips of N frames with exact truth. World is arbitrary; only relative poses are used."""

    images: Float[Tensor, "B N 3 H W"]
    depth: Float[Tensor, "B N H W"]
    person_ids: Int[Tensor, "B N H W"]
    intrinsics: Float[Tensor, "B N 3 3"]
    c2w: Float[Tensor, "B N 4 4"]


@dataclass(frozen=True, kw_only=True)
class SceneDataConfig:
    """What is drawn from the clips.

    Attributes:
        num_clips, num_frames: of a batch.
        frame_counts: numbers of frames, one is drawn per batch, with as many clips as make about ``num_clips`` times
            ``num_frames`` frames in all; empty: always ``num_frames``.
        long_sides: working sizes, one is drawn per batch.
        max_stride: frames are taken 1 … this many apart.
        degrade: worsen the renders like cameras and codecs do.
        first, last: only the clips whose running number modulo 20 lies in [first, last): 19 is for validation. Of a
            stream, whole windows.
    """

    num_clips: int = 3
    num_frames: int = 4
    frame_counts: tuple[int, ...] = ()
    long_sides: tuple[int, ...] = (160, 160, 192)
    max_stride: int = 3
    degrade: bool = True
    first: int = 0
    last: int = 19


class SceneBatches:
    """``SceneBatches(source, config, seed=seed)(step)`` is batch number ``step``.

    Where a dataset does not say who is where (no ``ids``), nobody is assumed to be in the picture.

    Raises:
        InputError: a source has no depth, intrinsics or poses, or no clip for this config.
    """

    def __init__(self, source: ClipSource, config: SceneDataConfig, *, seed: int = 0) -> None:
        self.config = config
        self.seed = seed
        self.parts = source.parts if isinstance(source, MixedSource) else (source,)
        self.shares = source.shares if isinstance(source, MixedSource) else (1.0,)
        for part in self.parts:
            notes = part.describe()
            if missing := [name for name in _NEEDED if name not in notes.arrays]:
                raise InputError(f"{notes.name} has no {', '.join(missing)}: it cannot train the scene branch")
        self._pools = [None if isinstance(part, ClipStream) else self._list_clips(part) for part in self.parts]
        self.steps_per_window = max(part.steps_per_window if isinstance(part, ClipStream) else 1 for part in self.parts)

    def _list_clips(self, part: ClipSource) -> ClipBuckets:
        numbers = np.array([i for i in range(len(part)) if self.config.first <= i % 20 < self.config.last], np.int64)
        if not len(numbers):
            raise InputError(f"{part.describe().name} has {len(part)} clips, none of them for this use; give it more")
        return ClipBuckets.of(part, numbers)

    def clips(self, step: int, part: int = 0) -> list[int]:
        """Numbers of the clips of a part of the source that batch ``step`` may hold."""
        return self._pool(step, part).numbers.tolist()

    def _pool(self, step: int, part: int) -> ClipBuckets:
        pool, source = self._pools[part], self.parts[part]
        if pool is not None:
            return pool
        assert isinstance(source, ClipStream)
        window = source.window(step, first=self.config.first, last=self.config.last)
        return ClipBuckets.of(source, np.array(window, np.int64))

    def __call__(self, step: int) -> SceneBatch:
        return to_batch(self.arrays(step))

    def arrays(self, step: int) -> ClipArrays:
        """Batch ``step`` in the names and types of a shard: ``images`` u1 (B,N,H,W,3), ``depth``, ``ids``, …"""
        config, generator = self.config, np.random.default_rng([self.seed, step])
        pools = [self._pool(step, part) for part in range(len(self.parts))]
        leading = pools[self._sample_parts(1, generator)[0]]
        lead = leading.sizes[generator.integers(len(leading.sizes))]
        shape = sample_shape(
            lead, generator, long_sides=config.long_sides, frame_counts=config.frame_counts,
            num_clips=config.num_clips, num_frames=config.num_frames,
        )  # fmt: skip
        # Clips of one batch share a shape, not a shard.
        parts = self._sample_parts(shape.num_clips, generator)
        chosen = np.zeros(shape.num_clips, np.int64)
        for part in np.unique(parts):
            fitting = pools[part].fitting(lead, num_frames=shape.num_frames)
            slots = np.flatnonzero(parts == part)
            chosen[slots] = fitting[generator.integers(len(fitting), size=len(slots))]
        clips = [self._load(self.parts[p], int(c), shape, generator) for p, c in zip(parts, chosen, strict=True)]
        return {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}

    def _sample_parts(self, count: int, generator: np.random.Generator) -> Int[ndarray, "count"]:
        if len(self.parts) == 1:
            return np.zeros(count, np.int64)
        return generator.choice(len(self.parts), size=count, p=self.shares)

    def _load(self, source: ClipSource, index: int, shape: BatchShape, generator: np.random.Generator) -> ClipArrays:
        config = self.config
        arrays = source.load(index, generator, num_frames=shape.num_frames, max_stride=config.max_stride)
        clip = {name: arrays[name] for name in _NEEDED}
        clip["ids"] = arrays["ids"] if "ids" in arrays else np.full(arrays["depth"].shape, -1, np.int8)
        if config.degrade and generator.random() < 0.5:
            clip = {name: values[::-1] for name, values in clip.items()}
        zoom = 1.0 + generator.exponential(0.1) if config.degrade else 1.0
        clip = resize_clip(clip, (shape.height, shape.width), zoom=zoom)
        if config.degrade:
            if generator.random() < 0.5:
                clip = mirror_clip(clip)
            clip["images"] = degrade_images(clip["images"], generator)
        return clip


class SceneShards(SceneBatches):
    """Batches from a folder of training shards."""

    def __init__(self, folder: Path, config: SceneDataConfig, *, seed: int = 0) -> None:
        super().__init__(ShardClips(folder), config, seed=seed)


def to_batch(arrays: ClipArrays) -> SceneBatch:
    """Tensors in the types that training wants."""
    return SceneBatch(
        images=torch.from_numpy(arrays["images"]).permute(0, 1, 4, 2, 3).float() / 255,
        depth=torch.from_numpy(arrays["depth"]).float(),
        person_ids=torch.from_numpy(arrays["ids"]).long(),
        intrinsics=torch.from_numpy(arrays["intrinsics"]).float(),
        c2w=torch.from_numpy(arrays["c2w"]).float(),
    )
