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

from unish.datasets.mixture import MixedSource
from unish.datasets.resize import resize_clip
from unish.datasets.shards import ShardClips
from unish.datasets.source import ClipArrays, ClipSource, ClipStream
from unish.errors import InputError
from unish.training.data.augment import degrade_images, mirror_clip

_NEEDED = ("images", "depth", "intrinsics", "c2w")
_SAME_SHAPE = 1.1
"""Clips whose aspects differ by less than this ratio share a batch."""


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
        long_sides: working sizes, one is drawn per batch.
        max_stride: frames are taken 1 … this many apart.
        degrade: spoil the renders like cameras and codecs do.
        first, last: only the clips whose running number modulo 20 lies in [first, last): 19 is for validation. Of a
            stream, whole windows.
    """

    num_clips: int = 3
    num_frames: int = 4
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

    def _list_clips(self, part: ClipSource) -> _Pool:
        numbers = np.array([i for i in range(len(part)) if self.config.first <= i % 20 < self.config.last], np.int64)
        if not len(numbers):
            raise InputError(f"{part.describe().name} has {len(part)} clips, none of them for this use; give it more")
        return _Pool.of(part, numbers)

    def clips(self, step: int, part: int = 0) -> list[int]:
        """Numbers of the clips of a part of the source that batch ``step`` may hold."""
        return self._pool(step, part).numbers.tolist()

    def _pool(self, step: int, part: int) -> _Pool:
        pool, source = self._pools[part], self.parts[part]
        if pool is not None:
            return pool
        assert isinstance(source, ClipStream)
        window = source.window(step, first=self.config.first, last=self.config.last)
        return _Pool.of(source, np.array(window, np.int64))

    def __call__(self, step: int) -> SceneBatch:
        return to_batch(self.arrays(step))

    def arrays(self, step: int) -> ClipArrays:
        """Batch ``step`` in the names and types of a shard: ``images`` u1 (B,N,H,W,3), ``depth``, ``ids``, …"""
        generator = np.random.default_rng([self.seed, step])
        pools = [self._pool(step, part) for part in range(len(self.parts))]
        leading = pools[self._draw_parts(1, generator)[0]]
        lead = leading.sizes[generator.integers(len(leading.sizes))]
        size = self._draw_size(lead, generator)
        # Clips of one batch share a shape, not a shard.
        parts = self._draw_parts(self.config.num_clips, generator)
        chosen = np.zeros(self.config.num_clips, np.int64)
        for part in np.unique(parts):
            fitting = pools[part].fitting(lead)
            slots = np.flatnonzero(parts == part)
            chosen[slots] = fitting[generator.integers(len(fitting), size=len(slots))]
        clips = [self._load(self.parts[p], int(c), size, generator) for p, c in zip(parts, chosen, strict=True)]
        return {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}

    def _draw_parts(self, count: int, generator: np.random.Generator) -> Int[ndarray, "count"]:
        if len(self.parts) == 1:
            return np.zeros(count, np.int64)
        return generator.choice(len(self.parts), size=count, p=self.shares)

    def _draw_size(self, stored: Int[ndarray, "2"], generator: np.random.Generator) -> tuple[int, int]:
        """A working size with multiples of 16 and about the aspect of the stored images."""
        long_side = self.config.long_sides[generator.integers(len(self.config.long_sides))]
        factor = long_side / int(stored.max())
        rows, columns = (max(2, round(int(side) * factor / 16)) for side in stored)
        return rows * 16, columns * 16

    def _load(
        self, source: ClipSource, index: int, size: tuple[int, int], generator: np.random.Generator
    ) -> ClipArrays:
        config = self.config
        arrays = source.load(index, generator, num_frames=config.num_frames, max_stride=config.max_stride)
        clip = {name: arrays[name] for name in _NEEDED}
        clip["ids"] = arrays["ids"] if "ids" in arrays else np.full(arrays["depth"].shape, -1, np.int8)
        if config.degrade and generator.random() < 0.5:
            clip = {name: values[::-1] for name, values in clip.items()}
        clip = resize_clip(clip, size, zoom=1.0 + generator.exponential(0.1) if config.degrade else 1.0)
        if config.degrade:
            if generator.random() < 0.5:
                clip = mirror_clip(clip)
            clip["images"] = degrade_images(clip["images"], generator)
        return clip


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """Clips of one source that may be used, with their stored (height, width)."""

    numbers: Int[ndarray, "n"]
    sizes: Int[ndarray, "n 2"]

    @classmethod
    def of(cls, source: ClipSource, numbers: Int[ndarray, "n"]) -> _Pool:
        return cls(numbers=numbers, sizes=np.array([source.size(int(number)) for number in numbers], np.int64))

    def fitting(self, size: Int[ndarray, "2"]) -> Int[ndarray, "m"]:
        """Numbers of the clips that have about this shape; where there are none, of those that come nearest."""
        logs = np.log(self.sizes[:, 0] / self.sizes[:, 1])
        off = np.abs(logs - np.log(size[0] / size[1]))
        return self.numbers[off < max(float(np.log(_SAME_SHAPE)), float(off.min()) + 1e-9)]


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
