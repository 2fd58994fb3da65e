"""Synthetic clips that are rendered when they are asked for: no folder, no disk, no end."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np

from unish.errors import InputError
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.shards import LICENCE, pick_frames
from unish.lab.datasets.source import CLIP_ARRAYS, ClipArrays, SourceNotes, sample_frames
from unish.lab.synthetic.clip import make_clip
from unish.lab.synthetic.config import HELD_BACK_SEED
from unish.lab.synthetic.shards import ShardConfig, stack_clip

_WINDOWS = 20
"""Of so many windows of a stream, some train and the others validate."""
_NEVER_RENDERED = ("boxes_xyxy", "landmarks_world", "landmark_score")  # what a detector sees; truth is better


class LiveClips:
    """The clips that ``write_shards`` would write for the same seed and config, rendered on demand.

    Clip i is the same whoever asks and whenever; the last rendered ones are kept, so a window of clips is rendered once
    by the process that draws its batches. Rendering more than one window at a time is for ``BatchWorkers``.

    Args:
        config: sizes, number of clips of a window (``clips_per_shard``) and what a clip looks like.
        seed: of the clips.
        steps_per_window: so many batches are drawn from one window of clips, then it is gone. Larger values cost less
            rendering and repeat more.
        num_clips: where the numbering ends; far beyond what a run uses.

    Raises:
        InputError: the seed is held back for evaluation.
    """

    def __init__(
        self, config: ShardConfig, *, seed: int, steps_per_window: int = 8, num_clips: int = 1_000_000
    ) -> None:
        if seed == HELD_BACK_SEED:
            raise InputError(f"seed {seed} is held back for evaluation; train on another one")
        if steps_per_window < 1:
            raise InputError(f"{steps_per_window} steps per window; give 1 or more")
        self.config = config
        self.seed = seed
        self.steps_per_window = steps_per_window
        self.num_clips = num_clips
        self._rendered: OrderedDict[int, ClipArrays] = OrderedDict()

    def __len__(self) -> int:
        return self.num_clips

    def __getstate__(self) -> dict[str, Any]:
        # A worker renders its own clips; sending those of another costs more than it saves.
        return {**vars(self), "_rendered": OrderedDict()}

    def describe(self) -> SourceNotes:
        arrays = tuple(name for name in CLIP_ARRAYS if name not in _NEVER_RENDERED)
        return SourceNotes(
            name=f"live clips of seed {self.seed}", licence=LICENCE, trains_shipped_weights=True, arrays=arrays
        )

    def size(self, index: int) -> tuple[int, int]:
        return self.config.sizes[index // self.config.clips_per_shard % len(self.config.sizes)]

    def window(self, step: int, *, first: int, last: int) -> range:
        group, place = divmod(step // self.steps_per_window, last - first)
        # The place moves on from group to group, or validation would see one of the sizes alone.
        window = group * _WINDOWS + (first + place + group) % _WINDOWS
        count = self.config.clips_per_shard
        if (window + 1) * count > self.num_clips:
            raise InputError(f"step {step} is beyond the {self.num_clips} clips of the stream; give it more")
        return range(window * count, (window + 1) * count)

    def load(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        num_frames: int,
        size: tuple[int, int] | None = None,
        max_stride: int = 1,
    ) -> ClipArrays:
        frames = sample_frames(self.config.clip.num_frames, num_frames, max_stride, rng)
        arrays = pick_frames(self._render(index), frames)
        return arrays if size is None else resize_clip(arrays, size)

    def _render(self, index: int) -> ClipArrays:
        if index in self._rendered:
            self._rendered.move_to_end(index)
            return self._rendered[index]
        clip = stack_clip(make_clip(self.seed, index, replace(self.config.clip, size=self.size(index))))
        self._rendered[index] = {name: values for name, values in clip.items() if name in CLIP_ARRAYS}
        if len(self._rendered) > self.config.clips_per_shard:
            self._rendered.popitem(last=False)
        return self._rendered[index]
