"""What charts of one sequence are drawn from: paths from above, errors by frame, a few depth maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import quote

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.errors import InputError
from unish.geometry.rigid import invert_rigid, transform_points
from unish.io import written_beside
from unish.lab.evaluation.compare import resize_depth
from unish.lab.evaluation.compared_people import match_boxes
from unish.lab.evaluation.metrics import joint_error, joint_error_procrustes, relative_rotation_errors
from unish.lab.evaluation.metrics.bodies import HIPS
from unish.lab.evaluation.metrics.depth import MAX_DEPTH_M, align_depth
from unish.lab.evaluation.predictor import Answer
from unish.structs import Reconstruction

NUM_MAPS = 3
_MAP_LONG_SIDE = 160


@dataclass(frozen=True, kw_only=True)
class DepthMap:
    """One frame small: the picture, true depth and aligned predicted depth in metres, 0 where undefined."""

    time_s: float
    image: UInt8[ndarray, "h w 3"]
    true_m: Float[ndarray, "h w"]
    predicted_m: Float[ndarray, "h w"]


@dataclass(frozen=True, kw_only=True)
class FrameData:
    """Of one sequence, for charts alone; scores are computed elsewhere.

    Attributes:
        times_s: (T,) of the frames that prediction and truth share.
        curves: by a name that ends in its unit, an error in each frame; NaN where there is none.
        paths, true_paths: by name (``camera``, ``person 0`` …) metres to the right of and ahead of the first camera,
            seen from above; each side in its own world, which begins at its first camera. NaN where absent.
        maps: a few frames over the whole sequence.
    """

    times_s: Float[ndarray, "T"]
    curves: dict[str, Float[ndarray, "T"]]
    paths: dict[str, Float[ndarray, "T 2"]]
    true_paths: dict[str, Float[ndarray, "T 2"]]
    maps: list[DepthMap] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """One compressed npz, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, ndarray] = {"times_s": self.times_s}
        arrays |= {f"curve:{name}": values.astype(np.float32) for name, values in self.curves.items()}
        arrays |= {f"path:{name}": values.astype(np.float32) for name, values in self.paths.items()}
        arrays |= {f"true_path:{name}": values.astype(np.float32) for name, values in self.true_paths.items()}
        for number, shown in enumerate(self.maps):
            arrays[f"map_time:{number}"] = np.array(shown.time_s)
            arrays[f"map_image:{number}"] = shown.image
            arrays[f"map_true:{number}"] = shown.true_m.astype(np.float16)
            arrays[f"map_predicted:{number}"] = shown.predicted_m.astype(np.float16)
        with written_beside(path) as beside, beside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> FrameData:
        """Read what ``save`` wrote.

        Raises:
            InputError: it is missing or not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            count = sum(key.startswith("map_time:") for key in arrays)
            return cls(
                times_s=arrays["times_s"],
                curves=_take_group(arrays, "curve"),
                paths=_take_group(arrays, "path"),
                true_paths=_take_group(arrays, "true_path"),
                maps=[
                    DepthMap(
                        time_s=float(arrays[f"map_time:{number}"]),
                        image=arrays[f"map_image:{number}"],
                        true_m=arrays[f"map_true:{number}"].astype(np.float32),
                        predicted_m=arrays[f"map_predicted:{number}"].astype(np.float32),
                    )
                    for number in range(count)
                ],
            )
        except Exception as error:
            raise InputError(f"{path}: no readable frame data ({error}); run `unish evaluate` again") from None


@runtime_checkable
class ShowsFrames(Protocol):
    """A benchmark that can say more about a sequence than one row; the runner keeps it beside the result file."""

    def show_frames(self, data: Path, sequence: str, answer: Answer) -> FrameData:
        """Charts' data of an answer that was scored a moment ago."""


def frame_file(results: Path, sequence: str) -> Path:
    """Where the frame data of a sequence lies: in ``NAME.frames/`` beside the result file ``NAME.json``."""
    return results.with_suffix(".frames") / f"{quote(sequence, safe=' ')}.npz"


def compare_frames(prediction: Reconstruction, truth: Reconstruction) -> FrameData:
    """Frame by frame, the two sides matched as in ``compare_with_truth``.

    Curves: ``mpjpe_mm``, ``pa_mpjpe_mm`` and ``pelvis_position_m`` (in the world, nothing aligned) as means over the
    people of the frame; ``camera_position_m`` (nothing aligned), ``camera_turn_deg`` from the frame before,
    ``depth_abs_rel`` after one scale for the sequence.

    Raises:
        InputError: the two share fewer than two frames.
    """
    _, ours, theirs = np.intersect1d(prediction.frame_indices, truth.frame_indices, return_indices=True)
    if len(ours) < 2:
        raise InputError("prediction and truth share fewer than two frames; nothing can be drawn")
    c2w, true_c2w = (
        torch.from_numpy(side.c2w[frames].astype(np.float64)) for side, frames in ((prediction, ours), (truth, theirs))
    )
    above = _look_from_above(true_c2w[0, :3, :3].mT.numpy() @ truth.gravity[0])
    start, true_start = invert_rigid(c2w[0]), invert_rigid(true_c2w[0])
    centres, true_centres = (start @ c2w)[:, :3, 3], (true_start @ true_c2w)[:, :3, 3]
    turns = relative_rotation_errors(c2w, true_c2w).numpy()
    curves = {
        "camera_position_m": (centres - true_centres).norm(dim=-1).numpy(),
        "camera_turn_deg": np.concatenate([[np.nan], turns]),
    }
    paths = {"camera": centres.numpy() @ above}
    true_paths = {"camera": true_centres.numpy() @ above}
    errors: dict[str, list[ndarray]] = {"mpjpe_mm": [], "pa_mpjpe_mm": [], "pelvis_position_m": []}
    for number, (i, j) in enumerate(match_boxes(prediction, truth, ours, theirs)):
        valid = torch.from_numpy(prediction.person_valid[i, ours] & truth.person_valid[j, theirs])
        joints, true = (
            torch.from_numpy(x.astype(np.float64)) for x in (prediction.joints[i, ours], truth.joints[j, theirs])
        )
        for name, values in _compare_bodies(joints, true, c2w, true_c2w, valid).items():
            errors[name].append(values)
        moved, true_moved = transform_points(start, joints[:, 0]), transform_points(true_start, true[:, 0])
        distance = (moved - true_moved).norm(dim=-1)
        errors["pelvis_position_m"].append(torch.where(valid, distance, torch.nan).numpy())
        paths[f"person {number}"] = moved.numpy() @ above
        true_paths[f"person {number}"] = true_moved.numpy() @ above
    curves |= {name: _mean_over_people(values) for name, values in errors.items() if values}
    depth_curve, maps = _compare_depth(prediction, truth, ours, theirs)
    return FrameData(
        times_s=truth.timestamps_s[theirs].astype(np.float64),
        curves=curves | {"depth_abs_rel": depth_curve},
        paths=paths,
        true_paths=true_paths,
        maps=maps,
    )


def _take_group(arrays: dict[str, ndarray], group: str) -> dict[str, ndarray]:
    return {key.removeprefix(f"{group}:"): value for key, value in arrays.items() if key.startswith(f"{group}:")}


def _look_from_above(down: Float[ndarray, "3"]) -> Float[ndarray, "3 2"]:
    """Right and ahead of the first camera on the ground, as columns in that camera's axes.

    Args:
        down: in these axes; where it is unknown, or the camera looks along it, the picture's own down is taken.
    """
    axis = np.asarray(down, np.float64)
    if not np.isfinite(axis).all() or abs(axis[2]) > 0.95:
        axis = np.array([0.0, 1.0, 0.0])
    axis = axis / np.linalg.norm(axis)
    ahead = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    ahead /= np.linalg.norm(ahead)
    return np.stack([np.cross(axis, ahead), ahead], 1)


def _compare_bodies(
    joints: Float[Tensor, "T 24 3"],
    true: Float[Tensor, "T 24 3"],
    c2w: Float[Tensor, "T 4 4"],
    true_c2w: Float[Tensor, "T 4 4"],
    valid: Tensor,
) -> dict[str, ndarray]:
    """Errors in the camera; NaN where not valid."""
    out = {name: np.full(len(valid), np.nan) for name in ("mpjpe_mm", "pa_mpjpe_mm")}
    if valid.any():
        near, true_near = (
            transform_points(invert_rigid(pose[valid]), points[valid])
            for pose, points in ((c2w, joints), (true_c2w, true))
        )
        root, true_root = (points[:, list(HIPS)].mean(1) for points in (near, true_near))
        out["mpjpe_mm"][valid.numpy()] = joint_error(near, true_near, root, true_root).numpy()
        out["pa_mpjpe_mm"][valid.numpy()] = joint_error_procrustes(near, true_near).numpy()
    return out


def _mean_over_people(values: list[ndarray]) -> Float[ndarray, "T"]:
    stacked = np.stack(values)
    count = np.isfinite(stacked).sum(0)
    return np.where(count > 0, np.nansum(stacked, 0) / np.maximum(count, 1), np.nan)


def _compare_depth(
    prediction: Reconstruction, truth: Reconstruction, ours: ndarray, theirs: ndarray
) -> tuple[Float[ndarray, "T"], list[DepthMap]]:
    """AbsRel of each frame after one scale for all, and a few frames to look at."""
    true = torch.from_numpy(truth.depth[theirs]).double()
    depth = resize_depth(prediction.depth[ours], (true.shape[1], true.shape[2])).double()
    counts = (true > 0) & (true < MAX_DEPTH_M)
    made = counts & (depth > 0)
    if made.any():
        depth = align_depth(depth.flatten(), true.flatten(), made.flatten(), "scale").reshape(depth.shape)
    relative = torch.where(counts, (depth - true).abs() / torch.where(counts, true, 1.0), 0.0).sum((1, 2))
    total = counts.sum((1, 2))
    curve = torch.where(total > 0, relative / total.clamp_min(1), torch.nan).numpy()
    chosen = (
        np.unique(np.linspace(0, len(ours) - 1, min(NUM_MAPS, len(ours))).round().astype(int)) if made.any() else ()
    )
    step = max(1, -(-max(true.shape[1:]) // _MAP_LONG_SIDE))
    maps = [
        DepthMap(
            time_s=float(truth.timestamps_s[theirs[frame]]),
            image=truth.images[theirs[frame], ::step, ::step],
            true_m=torch.where(counts[frame], true[frame], 0.0)[::step, ::step].numpy(),
            predicted_m=torch.where(made[frame], depth[frame], 0.0)[::step, ::step].numpy(),
        )
        for frame in chosen
    ]
    return curve, maps
