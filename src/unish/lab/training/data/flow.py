"""Clips of real video with optical flow: what scene and cameras have to agree with where there is no truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.lab.datasets.resize import resize_clip
from unish.lab.datasets.source import ClipArrays, ClipSource
from unish.lab.training.data.buckets import ClipBuckets, sample_shape
from unish.lab.training.losses.flow import find_consistent_flow, find_static_flow

_FINER = 2
"""Flow is measured in pictures of so many times the working size, where small motions are still seen."""


@dataclass(frozen=True, kw_only=True)
class FlowBatch:
    """B clips of N frames, with E pairs of neighbouring frames, both ways.

    Attributes:
        flow: first → second frame of each pair, pixels.
        mask: where the flow comes back and shows nobody: what moves there is the camera, or it is not known to move.
    """

    images: Float[Tensor, "B N 3 H W"]
    pairs: Int[Tensor, "2 E"]
    flow: Float[Tensor, "B E H W 2"]
    mask: Bool[Tensor, "B E H W"]


@dataclass(frozen=True, kw_only=True)
class FlowDataConfig:
    """What is drawn from the clips; the fields are those of ``SceneDataConfig``."""

    num_clips: int = 3
    num_frames: int = 4
    long_sides: tuple[int, ...] = (160, 160, 192)
    max_stride: int = 3
    mirror: bool = True


class FlowBatches:
    """``FlowBatches(source, config, seed=seed)(step)`` is batch number ``step``; all clips may be drawn.

    Raises:
        InputError: the source does not say who is where.
    """

    def __init__(self, source: ClipSource, config: FlowDataConfig, *, seed: int = 0) -> None:
        notes = source.describe()
        if missing := {"images", "ids"} - set(notes.arrays):
            raise InputError(
                f"{notes.name} has no {', '.join(sorted(missing))}: its flow cannot be told from its people"
            )
        self.source = source
        self.config = config
        self.seed = seed
        self._pool = ClipBuckets.of(source, np.arange(len(source)))

    def __call__(self, step: int) -> FlowBatch:
        config, rng = self.config, np.random.default_rng([self.seed, step])
        lead = self._pool.sizes[rng.integers(len(self._pool.sizes))]
        shape = sample_shape(
            lead, rng, long_sides=config.long_sides, frame_counts=(), num_clips=config.num_clips,
            num_frames=config.num_frames,
        )  # fmt: skip
        fitting = self._pool.fitting(lead, num_frames=shape.num_frames)
        clips = []
        for index in rng.choice(fitting, size=shape.num_clips):
            stride = config.max_stride
            clip = self.source.load(int(index), rng, num_frames=shape.num_frames, max_stride=stride)
            turn = -1 if config.mirror and rng.random() < 0.5 else 1
            clips.append({name: np.ascontiguousarray(clip[name][:, :, ::turn]) for name in ("images", "ids")})
        return _to_flow_batch(clips, (shape.height, shape.width))


def list_neighbours(num_frames: int) -> Int[Tensor, "2 E"]:
    """Pairs of neighbouring frames: all forward ones, then the same backward; E = 2·(N − 1)."""
    first = torch.arange(num_frames - 1)
    return torch.stack([torch.cat([first, first + 1]), torch.cat([first + 1, first])])


def measure_flow(first: UInt8[ndarray, "H W 3"], second: UInt8[ndarray, "H W 3"]) -> Float32[ndarray, "H W 2"]:
    """Optical flow in pixels: DIS (Kroeger et al., "Fast optical flow using dense inverse search", 2016) of OpenCV.

    Raises:
        InputError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise InputError("optical flow needs OpenCV; pip install 'unish[flow]'") from None
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before, after = (cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in (first, second))
    return solver.calc(before, after, np.zeros((*before.shape, 2), np.float32))


def _to_flow_batch(clips: list[ClipArrays], size: tuple[int, int]) -> FlowBatch:
    small = [resize_clip(clip, size) for clip in clips]
    pairs = list_neighbours(len(small[0]["images"]))
    fine = (_FINER * size[0], _FINER * size[1])
    flow = torch.stack([_measure_pairs(resize_clip(clip, fine)["images"], pairs) for clip in clips])
    ids = torch.from_numpy(np.stack([clip["ids"] for clip in small])).long()
    forward, backward = flow.chunk(2, dim=1)
    consistent = torch.cat([find_consistent_flow(forward, backward), find_consistent_flow(backward, forward)], dim=1)
    images = torch.from_numpy(np.stack([clip["images"] for clip in small]))
    return FlowBatch(
        images=images.permute(0, 1, 4, 2, 3).float() / 255,
        pairs=pairs,
        flow=flow,
        mask=consistent & find_static_flow(flow, ids, pairs),
    )


def _measure_pairs(images: UInt8[ndarray, "N H2 W2 3"], pairs: Int[Tensor, "2 E"]) -> Float[Tensor, "E H W 2"]:
    """Flow of every pair in the pixels of the working size."""
    flows = np.stack([measure_flow(images[first], images[second]) for first, second in pairs.T.tolist()])
    planes = torch.from_numpy(flows).permute(0, 3, 1, 2)
    return torch.nn.functional.avg_pool2d(planes, _FINER).permute(0, 2, 3, 1) / _FINER
