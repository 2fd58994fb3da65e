"""Video depth and camera paths: one score for all datasets that have true depth, whatever their files look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.errors import InputError
from unish.geometry.camera import resize_intrinsics
from unish.lab.datasets.sequences import FrameSequence
from unish.lab.datasets.source import ClipArrays
from unish.lab.evaluation.benchmarks.pictures import clip_of_pictures
from unish.lab.evaluation.benchmarks.summary import weighted_mean_of_rows
from unish.lab.evaluation.compared_views import SharedFrames, View, resize_depth, score_points
from unish.lab.evaluation.metrics import DepthAlignment, score_camera_path, score_depth
from unish.lab.evaluation.metrics.depth import MAX_DEPTH_M
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row
from unish.structs import Clip, Reconstruction

_ALIGNMENTS: tuple[tuple[DepthAlignment, str], ...] = (
    ("scale", ""),
    ("scale_shift", "_scale_shift"),
    ("none", "_metric"),
)


@dataclass(frozen=True, kw_only=True)
class VideoDepthBenchmark:
    """Depth of whole sequences after none, one scale, or one scale and shift per sequence, and the path of the camera.

    The method gets the pictures, numbered from 0, with their times and no intrinsics. The frames that it answers with
    are scored; ``scored_share`` is below 1 where some are missing. Its depth is brought to the size of the true one by
    nearest neighbour. Means over sequences weight depth by the number of pixels that have a truth, as published
    video-depth scores do, and cameras equally.

    Attributes:
        needs: what the data folder must hold.
        list_sequences: names of the sequences of a data folder, sorted.
        open_sequence: (data folder, name) → the frames that are scored.
        max_depth: true depth from here on does not count, metres; infinity where published scores have no limit.
        clip_predicted: aligned depth beyond it counts as it, where published scores do so.
        is_metric: the truth is in metres, so that unaligned depth and sizes may be scored.
        has_points: score the points of all frames together in one world, too (accuracy, completeness, normals).
        settings: what the benchmark prescribes for the method.
    """

    needs: str
    list_sequences: Callable[[Path], list[str]]
    open_sequence: Callable[[Path, str], FrameSequence]
    max_depth: float = MAX_DEPTH_M
    clip_predicted: float | None = None
    is_metric: bool = True
    has_points: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def sequences(self, data: Path) -> list[str]:
        return self.list_sequences(data)

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        opened = self.open_sequence(data, sequence)
        truth = opened.read(np.arange(opened.num_frames))
        answer = predictor.predict(
            Request(name=sequence, source=make_clip(sequence, truth), settings=dict(self.settings))
        )
        found = answer.reconstruction
        frames = found.frame_indices
        if len(frames) == 0 or frames.max() >= opened.num_frames:
            raise InputError(f"{sequence}: the result is about other frames than 0 to {opened.num_frames - 1}")
        row: Row = {"frames": len(frames), "scored_share": len(frames) / opened.num_frames}
        row |= self._score_depth(found, truth["depth"][frames])
        if "intrinsics" in truth:
            focal = found.intrinsics[:, 0, 0] / found.image_size[1]
            true_focal = truth["intrinsics"][frames, 0, 0] / truth["images"].shape[2]
            row["focal_error"] = float(np.median(np.abs(focal / true_focal - 1)))
        if "c2w" in truth and len(frames) > 1:
            row |= score_cameras(torch.from_numpy(found.c2w), torch.from_numpy(truth["c2w"][frames]), self.is_metric)
        if self.has_points:
            row |= _score_points(found, {key: truth[key][frames] for key in ("depth", "intrinsics", "c2w")})
        return row

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Depth weighted by pixels, the rest by sequences."""
        return weighted_mean_of_rows(rows, weight="valid_pixels", prefix="depth_")

    def _score_depth(self, found: Reconstruction, true_depth: np.ndarray) -> Row:
        true = torch.from_numpy(true_depth)
        depth = resize_depth(found.depth, (true.shape[1], true.shape[2]))
        # Only pixels with a truth go in: where a laser measured it, they are one in six.
        known = true > 0
        depth, true = depth[known][None, None], true[known][None, None]
        row: Row = {}
        for alignment, suffix in _ALIGNMENTS[: 3 if self.is_metric else 2]:
            scores = score_depth(
                depth, true, alignment=alignment, max_depth=self.max_depth, clip_predicted=self.clip_predicted
            )
            row["valid_pixels"] = int(scores.num_pixels)
            row[f"depth_abs_rel{suffix}"] = float(scores.abs_rel)
            row[f"depth_delta{suffix}"] = float(scores.delta)
        return row


def make_clip(name: str, arrays: ClipArrays) -> Clip:
    """The pictures of a sequence as a reader would give them, numbered from 0."""
    numbers = np.arange(len(arrays["images"]))
    return clip_of_pictures(arrays["images"], times_s=arrays["timestamps"], numbers=numbers, name=name)


def list_folders(data: Path, pattern: str, inside: str) -> list[str]:
    """Names of the folders that fit ``pattern`` and hold ``inside``, sorted."""
    return sorted(path.name for path in data.glob(pattern) if (path / inside).exists())


def score_cameras(c2w: Float[Tensor, "N 4 4"], true_c2w: Float[Tensor, "N 4 4"], is_metric: bool) -> Row:
    """Columns of a camera path; those that test its true size only where the truth is in metres."""
    path = score_camera_path(c2w, true_c2w)
    row: Row = {
        "camera_ate_m": float(path.ate_m),
        "camera_rpe_translation_m": float(path.rpe_translation_m),
        "camera_rpe_rotation_deg": float(path.rpe_rotation_deg),
    }
    if is_metric:
        row |= {
            "camera_rigid_error_m": float(path.rigid_error_m),
            "world_size_ratio": float(path.world_size_ratio),
        }
    return row


def _score_points(found: Reconstruction, truth: Mapping[str, np.ndarray]) -> Row:
    """World points of both after a similarity and ICP; see ``compared_views.score_points``."""
    depth, intrinsics, c2w = (torch.from_numpy(truth[key]).double() for key in ("depth", "intrinsics", "c2w"))
    size, own = (int(depth.shape[1]), int(depth.shape[2])), (int(found.image_size[0]), int(found.image_size[1]))
    no_floor = torch.full((len(c2w), 4), torch.nan, dtype=torch.float64)
    predicted = View(
        depth=resize_depth(found.depth, size).double(),
        intrinsics=resize_intrinsics(torch.from_numpy(found.intrinsics).double(), own, size),
        c2w=torch.from_numpy(found.c2w).double(),
        floor=no_floor,
    )
    return score_points(
        SharedFrames(
            ours=found.frame_indices,
            theirs=found.frame_indices,
            predicted=predicted,
            true=View(depth=depth, intrinsics=intrinsics, c2w=c2w, floor=no_floor),
            people=torch.full(depth.shape, -1),
            fps=float("nan"),
        )
    )
