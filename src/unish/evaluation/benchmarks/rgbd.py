"""Real RGB-D frames: the scene branch beside what a constant could do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.datasets.rgbd_sequence import (
    RgbdFrame,
    RgbdSequence,
    list_seven_scenes_frames,
    list_slambook2_frames,
    make_seven_scenes_sequence,
    make_slambook2_sequence,
)
from unish.errors import InputError
from unish.evaluation.benchmarks.pictures import clip_of_pictures
from unish.evaluation.compare import resize_depth
from unish.evaluation.metrics import relative_rotation_errors, score_depth
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows
from unish.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.structs import Clip, Reconstruction

CLIP_FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class RgbdBenchmark:
    """Depth and turns on short clips of a recording with depth and poses.

    A clip is four consecutive files, or four files that are ``every`` apart. Depth is scored as ``score_views`` says;
    turns between all pairs of frames need no alignment and stand beside *identity* (the camera never turns). Intrinsics
    are not given.

    Attributes:
        needs: what the folder must hold.
        list_frames: the frames of a folder, in order.
        make_sequence: a readable recording of some of them.
        step: files (of those that are used) from the start of one clip to that of the next.
        every: which files are used: each so many.
    """

    needs: str
    list_frames: Callable[[Path], tuple[RgbdFrame, ...]]
    make_sequence: Callable[[tuple[RgbdFrame, ...]], RgbdSequence]
    step: int = CLIP_FRAMES
    every: int = 1

    def sequences(self, data: Path) -> list[str]:
        frames = self._frames(data)
        return [frames[start].name for start in range(0, len(frames) - CLIP_FRAMES + 1, self.step)]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        frames = self._frames(data)
        start = [frame.name for frame in frames].index(sequence)
        clip, depth, c2w = _read_clip(self.make_sequence(frames[start : start + CLIP_FRAMES]))
        answer = predictor.predict(Request(name=sequence, source=clip, settings={"people": 0}))
        return score_views(answer.reconstruction, depth, c2w)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over clips."""
        return mean_of_rows(list(rows.values()))

    def _frames(self, data: Path) -> tuple[RgbdFrame, ...]:
        return self.list_frames(data)[:: self.every]


def score_views(found: Reconstruction, depth: Float[Tensor, "N H W"], c2w: Float[Tensor, "N 4 4"]) -> Row:
    """Depth and turns of N views of one place, beside what needs no network.

    Args:
        depth: true depth in metres, 0 = unknown.
        c2w: true poses, any world.

    Raises:
        InputError: not as many frames came back.
    """
    if found.num_frames != len(depth):
        raise InputError(f"{found.num_frames} frames came back instead of {len(depth)}")
    return {
        **score_depth_maps(found, depth),
        "camera_turn_error_deg": turn_error(torch.from_numpy(found.c2w), c2w),
        "identity_turn_error_deg": turn_error(torch.eye(4).expand_as(c2w), c2w),
    }


def score_depth_maps(found: Reconstruction, depth: Float[Tensor, "N H W"]) -> Row:
    """Depth after one median scale for all frames, and as it is (metric), beside two baselines on the same pixels.

    *Row prior* is the mean depth of each image row over our own renders (see ``row_prior``); *constant* is one depth
    everywhere, the true median after the alignment. Depth is in metres, 0 = unknown. The focal length is in pixels of
    the true depth.
    """
    size = (depth.shape[1], depth.shape[2])
    ours = resize_depth(found.depth, size)
    prior = row_prior_depth(load_row_prior(), size).expand_as(depth)
    scaled, metric = (score_depth(ours, depth, alignment=alignment) for alignment in ("median", "none"))
    prior_scaled, prior_metric = (score_depth(prior, depth, alignment=alignment) for alignment in ("median", "none"))
    return {
        "depth_abs_rel": float(scaled.abs_rel),
        "row_prior_abs_rel": float(prior_scaled.abs_rel),
        "constant_abs_rel": float(score_depth(torch.ones_like(depth), depth, alignment="median").abs_rel),
        "depth_delta": float(scaled.delta),
        "row_prior_delta": float(prior_scaled.delta),
        "depth_abs_rel_metric": float(metric.abs_rel),
        "row_prior_abs_rel_metric": float(prior_metric.abs_rel),
        "focal_px": float(np.median(found.intrinsics[:, 0, 0]) * size[1] / found.image_size[1]),
    }


def turn_error(c2w: Float[Tensor, "N 4 4"], true_c2w: Float[Tensor, "N 4 4"]) -> float:
    """Error of the relative rotation, mean over all pairs of frames, degrees."""
    steps = range(1, c2w.shape[0])
    return float(torch.cat([relative_rotation_errors(c2w, true_c2w, step=step) for step in steps]).mean())


def _read_clip(recording: RgbdSequence) -> tuple[Clip, Float[Tensor, "N H W"], Float[Tensor, "N 4 4"]]:
    """The clip, its true depth in metres (0 = unknown) and its true camera-to-world poses (world = first frame)."""
    arrays = recording.read(np.arange(recording.num_frames))
    clip = clip_of_pictures(
        arrays["images"],
        times_s=arrays["timestamps"],
        numbers=np.array([int(frame.name.rsplit("-", 1)[-1]) for frame in recording.frames]),
        name=recording.frames[0].name,
    )
    return clip, torch.from_numpy(arrays["depth"]).double(), torch.from_numpy(arrays["c2w"]).double()


SEVEN_SCENES = RgbdBenchmark(
    needs="frame-*.color.*, frame-*.depth.png and frame-*.pose.txt of one 7-Scenes sequence",
    list_frames=list_seven_scenes_frames,
    make_sequence=make_seven_scenes_sequence,
)
SLAMBOOK2 = RgbdBenchmark(
    needs="color/N.png, depth/N.pgm and pose.txt of slambook2's ch5/rgbd",
    list_frames=list_slambook2_frames,
    make_sequence=make_slambook2_sequence,
    step=1,
)
