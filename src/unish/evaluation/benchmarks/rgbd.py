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
from unish.evaluation.compare import resize_depth
from unish.evaluation.metrics import relative_rotation_errors, score_depth
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows
from unish.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.structs import Clip

CLIP_FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class RgbdBenchmark:
    """Depth and turns on short clips of a recording with depth and poses.

    A clip is four consecutive files. Depth is scored with one median scale per clip; turns between all pairs of its
    frames need no alignment. Beside the method stand two baselines on the same pixels and frames: the *row prior* (mean
    depth of each image row over our own renders, see ``row_prior``) and *identity* (the camera never turns). Intrinsics
    are not given.

    Attributes:
        needs: what the folder must hold.
        list_frames: the frames of a folder, in order.
        make_sequence: a readable recording of some of them.
        step: files from the start of one clip to that of the next.
    """

    needs: str
    list_frames: Callable[[Path], tuple[RgbdFrame, ...]]
    make_sequence: Callable[[tuple[RgbdFrame, ...]], RgbdSequence]
    step: int = CLIP_FRAMES

    def sequences(self, data: Path) -> list[str]:
        frames = self.list_frames(data)
        return [frames[start].name for start in range(0, len(frames) - CLIP_FRAMES + 1, self.step)]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        frames = self.list_frames(data)
        start = [frame.name for frame in frames].index(sequence)
        clip, depth, c2w = _read_clip(self.make_sequence(frames[start : start + CLIP_FRAMES]))
        answer = predictor.predict(Request(name=sequence, source=clip, settings={"people": 0}))
        found = answer.reconstruction
        if found.num_frames != CLIP_FRAMES:
            raise InputError(f"{sequence}: {found.num_frames} frames came back instead of {CLIP_FRAMES}")
        size = (depth.shape[1], depth.shape[2])
        ours = score_depth(resize_depth(found.depth, size), depth, alignment="median")
        prior = score_depth(row_prior_depth(load_row_prior(), size).expand_as(depth), depth, alignment="median")
        return {
            "depth_abs_rel": float(ours.abs_rel),
            "row_prior_abs_rel": float(prior.abs_rel),
            "depth_delta": float(ours.delta),
            "row_prior_delta": float(prior.delta),
            "camera_turn_error_deg": _turn_error(torch.from_numpy(found.c2w), c2w),
            "identity_turn_error_deg": _turn_error(torch.eye(4).expand_as(c2w), c2w),
            "focal_px": float(np.median(found.intrinsics[:, 0, 0]) * size[1] / found.image_size[1]),
        }

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means over clips."""
        return mean_of_rows(list(rows.values()))


def _turn_error(c2w: Float[Tensor, "N 4 4"], true_c2w: Float[Tensor, "N 4 4"]) -> float:
    """Mean over all pairs of frames, degrees."""
    steps = range(1, c2w.shape[0])
    return float(torch.cat([relative_rotation_errors(c2w, true_c2w, step=step) for step in steps]).mean())


def _read_clip(recording: RgbdSequence) -> tuple[Clip, Float[Tensor, "N H W"], Float[Tensor, "N 4 4"]]:
    """The clip, its true depth in metres (0 = unknown) and its true camera-to-world poses (world = first frame)."""
    num = recording.num_frames
    arrays = recording.read(np.arange(num))
    pictures = torch.from_numpy(arrays["images"])
    clip = Clip(
        images=pictures,
        timestamps_s=torch.from_numpy(arrays["timestamps"]).double(),
        frame_indices=torch.tensor([int(frame.name.rsplit("-", 1)[-1]) for frame in recording.frames]),
        segment=torch.zeros(num, dtype=torch.int64),
        source_size=(int(pictures.shape[1]), int(pictures.shape[2])),
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
