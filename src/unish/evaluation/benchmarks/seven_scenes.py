"""7-Scenes: the scene branch on real RGB-D frames, beside what a constant could do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.datasets.rgbd_sequence import (
    SEVEN_SCENES_FPS,
    RgbdFrame,
    list_seven_scenes_frames,
    make_seven_scenes_sequence,
)
from unish.errors import InputError
from unish.evaluation.compare import resize_depth
from unish.evaluation.metrics import relative_rotation_errors, score_depth
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows
from unish.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.structs import Clip

CLIP_FRAMES = 4


class SevenScenesBenchmark:
    """A folder of ``frame-NNNNNN.color.*``, ``.depth.png`` (millimetres) and ``.pose.txt`` (camera to world, metres).

    A sequence is four consecutive files of the folder, without overlap. Depth is scored with one median scale per
    sequence; turns between all pairs of its frames need no alignment. Beside the method stand two baselines on the same
    pixels and frames: the *row prior* (mean depth of each image row over our own renders, see ``row_prior``) and
    *identity* (the camera never turns). Intrinsics are not given.
    """

    needs = "frame-*.color.*, frame-*.depth.png and frame-*.pose.txt of one 7-Scenes sequence"

    def sequences(self, data: Path) -> list[str]:
        frames = list_seven_scenes_frames(data)
        return [frames[start].name for start in range(0, len(frames) - CLIP_FRAMES + 1, CLIP_FRAMES)]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        frames = list_seven_scenes_frames(data)
        start = [frame.name for frame in frames].index(sequence)
        clip, depth, c2w = _read_clip(frames[start : start + CLIP_FRAMES])
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


def _read_clip(frames: tuple[RgbdFrame, ...]) -> tuple[Clip, Float[Tensor, "N H W"], Float[Tensor, "N 4 4"]]:
    """The clip, its true depth in metres (0 = unknown) and its true camera-to-world poses (world = first frame)."""
    arrays = make_seven_scenes_sequence(frames).read(np.arange(len(frames)))
    numbers = torch.tensor([round(frame.time_s * SEVEN_SCENES_FPS) for frame in frames])
    pictures = torch.from_numpy(arrays["images"])
    clip = Clip(
        images=pictures,
        timestamps_s=(numbers - numbers[0]).double() / SEVEN_SCENES_FPS,
        frame_indices=numbers,
        segment=torch.zeros(len(frames), dtype=torch.int64),
        source_size=(int(pictures.shape[1]), int(pictures.shape[2])),
        name=frames[0].name,
    )
    return clip, torch.from_numpy(arrays["depth"]).double(), torch.from_numpy(arrays["c2w"]).double()


SEVEN_SCENES = SevenScenesBenchmark()
