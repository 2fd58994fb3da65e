"""Training shards of synthetic clips, as ``unish.lab.synthetic.shards`` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from unish.errors import InputError
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.source import CLIP_ARRAYS, ClipArrays, SourceNotes, sample_frames

LICENCE = "rendered by this package, the package's own licence (Apache-2.0)"


class ShardClips:
    """All clips of the ``.safetensors`` files of a folder, in the order of their names.

    A file holds C clips of one size: arrays as ``CLIP_ARRAYS`` with a leading clip axis; depth may be float16. Clips
    are read one at a time, so the shards may be larger than memory.

    Raises:
        InputError: there is no such file, or one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._clips: list[tuple[Path, int]] = []
        self._sizes: dict[Path, tuple[int, int]] = {}
        held: set[str] = set(CLIP_ARRAYS)
        for path in sorted(folder.glob("*.safetensors")):
            try:
                with safe_open(path, framework="numpy") as shard:
                    count, _, height, width = shard.get_slice("depth").get_shape()
                    held &= set(shard.keys())
            except (OSError, SafetensorError) as error:
                raise InputError(f"{path}: not a readable shard ({error}); delete it and make it again") from None
            self._sizes[path] = (height, width)
            self._clips += [(path, i) for i in range(count)]
        if not self._clips:
            raise InputError(
                f"{folder} holds no training shards (*.safetensors); `unish train pretrain-small` makes them"
            )
        self._names = tuple(name for name in CLIP_ARRAYS if name in held)

    def __len__(self) -> int:
        return len(self._clips)

    def describe(self) -> SourceNotes:
        return SourceNotes(
            name=f"shards of {self.folder.name}", licence=LICENCE, trains_shipped_weights=True, arrays=self._names
        )

    def size(self, index: int) -> tuple[int, int]:
        return self._sizes[self._clips[index][0]]

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        path, number = self._clips[index]
        with safe_open(path, framework="numpy") as shard:
            frames = sample_frames(shard.get_slice("depth").get_shape()[1], num_frames, max_stride, rng)
            arrays = {name: shard.get_slice(name)[number] for name in self._names}
        arrays = pick_frames(arrays, frames)
        return arrays if size is None else resize_clip(arrays, size)


def pick_frames(arrays: ClipArrays, frames: np.ndarray) -> ClipArrays:
    """The chosen frames of a whole clip, depth in float32."""
    picked = {}
    for name, values in arrays.items():
        axis = CLIP_ARRAYS[name].frame_axis
        picked[name] = values if axis is None else values.take(frames, axis=axis)
    return {**picked, "depth": picked["depth"].astype(np.float32)}
