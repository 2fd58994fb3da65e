"""7-Scenes: the scene branch on real RGB-D frames, beside what a constant could do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from unish.errors import InputError
from unish.evaluation.compare import resize_depth
from unish.evaluation.metrics import relative_rotation_errors, score_depth
from unish.evaluation.predictor import Predictor, Request
from unish.evaluation.results import Row, mean_of_rows
from unish.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.structs import Clip

CLIP_FRAMES = 4
FRAMES_PER_SECOND = 30.0
NO_DEPTH_MM = 65_535


class SevenScenesBenchmark:
    """A folder of ``frame-NNNNNN.color.*``, ``.depth.png`` (millimetres) and ``.pose.txt`` (camera to world, metres).

    A sequence is four consecutive files of the folder, without overlap. Depth is scored with one median scale per
    sequence; turns between all pairs of its frames need no alignment. Beside the method stand two baselines on the same
    pixels and frames: the *row prior* (mean depth of each image row over our own renders, see ``row_prior``) and
    *identity* (the camera never turns). Intrinsics are not given.
    """

    needs = "frame-*.color.*, frame-*.depth.png and frame-*.pose.txt of one 7-Scenes sequence"

    def sequences(self, data: Path) -> list[str]:
        stems = _frame_names(data)
        return [stems[start] for start in range(0, len(stems) - CLIP_FRAMES + 1, CLIP_FRAMES)]

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        stems = _frame_names(data)
        start = stems.index(sequence)
        clip, depth, c2w = _read_frames(data, stems[start : start + CLIP_FRAMES])
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


def _frame_names(data: Path) -> list[str]:
    """``frame-000000`` … of all frames that have a picture, a depth map and a pose."""
    names = sorted(path.name.removesuffix(".pose.txt") for path in data.glob("frame-*.pose.txt"))
    return [name for name in names if _colour_path(data, name) and (data / f"{name}.depth.png").is_file()]


def _colour_path(data: Path, name: str) -> Path | None:
    return next(iter(sorted(data.glob(f"{name}.color.*"))), None)


def _read_frames(data: Path, names: list[str]) -> tuple[Clip, torch.Tensor, torch.Tensor]:
    """The clip, its true depth in metres (0 = unknown) and its true camera-to-world poses."""
    images, depths, poses = [], [], []
    for name in names:
        colour = _colour_path(data, name)
        assert colour is not None
        images.append(np.asarray(Image.open(colour).convert("RGB")))
        millimetres = np.asarray(Image.open(data / f"{name}.depth.png")).astype(np.int64)
        depths.append(np.where(millimetres == NO_DEPTH_MM, 0, millimetres) / 1000)
        poses.append(np.loadtxt(data / f"{name}.pose.txt"))
    numbers = torch.tensor([int(name.rsplit("-", 1)[1]) for name in names])
    pictures = torch.from_numpy(np.stack(images))
    clip = Clip(
        images=pictures,
        timestamps_s=(numbers - numbers[0]).double() / FRAMES_PER_SECOND,
        frame_indices=numbers,
        segment=torch.zeros(len(names), dtype=torch.int64),
        source_size=(int(pictures.shape[1]), int(pictures.shape[2])),
        name=names[0],
    )
    return clip, torch.from_numpy(np.stack(depths)), torch.from_numpy(np.stack(poses))


SEVEN_SCENES = SevenScenesBenchmark()
