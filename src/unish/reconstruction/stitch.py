"""Windows of one shot → one world.

A long shot is predicted in overlapping windows, each with its own arbitrary scale and its own first camera as world.
The frames that two windows share say how to bring the later one into the earlier one's world: the ratio of their depths
gives the scale, the pairs of camera poses give the rigid motion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from unish.geometry.camera import resize_intrinsics
from unish.geometry.focal import recover_shift
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.structs import Camera, Prediction

CONFIDENT = 0.1
"""Points below this confidence are left out of every average, as in the published network."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One shot in one world, its scale still unknown.

    Attributes:
        prediction: batch of one, all frames of the shot.
        camera: of all frames.
        intrinsics: (3, 3) the same in pixels of the prediction's images.
        shift: what must be added to every z, in the prediction's unit, for the points to be seen through this camera:
            of the points and of whoever stands among them.
        network_scale: factor from the prediction's units to metres as the network itself believes, if it says so.
        residual: mean distance between the two positions of a shared camera after stitching, in multiples of the median
            depth, of the worst pair of windows; 0 for a single window.
        seen: (P,) frames in which each person was observed.
        still: the camera stood still.
        unjoined: pairs of neighbouring windows without one pixel that both are confident of: nothing says how the scale
            of one is to be brought to that of the other.
    """

    prediction: Prediction
    camera: Camera
    intrinsics: Float[Tensor, "3 3"]
    shift: float
    network_scale: float | None
    residual: float
    seen: Int64[Tensor, "P"]
    still: bool
    unjoined: int


def plan_windows(num_frames: int, window: int, overlap: int) -> list[range]:
    """Overlapping windows that cover every frame; the last one is moved back so that none is short.

    Raises:
        ValueError: unless 0 ≤ overlap < window, and overlap ≥ 1 when more than one window is needed.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"need 0 <= overlap < window, got overlap {overlap}, window {window}")
    if num_frames <= window:
        return [range(num_frames)]
    if overlap == 0:
        raise ValueError("windows that share no frame cannot be brought into one world; use an overlap of at least 1")
    starts = [*range(0, num_frames - window, window - overlap), num_frames - window]
    return [range(start, start + window) for start in starts]


def stitch_windows(
    predictions: list[Prediction],
    windows: list[range],
    valid: Bool[Tensor, "P T"],
    camera: Camera,
    *,
    still: bool = False,
) -> Shot:
    """Bring every window into the world and scale of the first, and take each frame from the window that knows it best.

    Args:
        predictions: one per window, batch of one.
        windows: frame indices of each window, as ``plan_windows`` gives them.
        valid: observed people, to weigh each window's body shapes by how often it saw the person.
        camera: with which all windows were predicted.
        still: the camera is known to have stood still: all poses are then the same, to the bit.
    """
    if still:
        predictions = [replace(one, c2w=torch.eye(4).expand_as(one.c2w)) for one in predictions]
    moved, residuals, unjoined = [predictions[0]], [], 0
    for index in range(1, len(predictions)):
        aligned, residual, joined = _align_window(moved[-1], windows[index - 1], predictions[index], windows[index])
        moved.append(aligned)
        residuals.append(residual)
        unjoined += not joined
    owner = _choose_owner(windows)
    merged = Prediction(
        local_points=_gather(moved, windows, owner, "local_points", axis=1),
        point_conf_logits=_gather(moved, windows, owner, "point_conf_logits", axis=1),
        # Joining windows would round.
        c2w=torch.eye(4).repeat(1, len(owner), 1, 1) if still else _gather(moved, windows, owner, "c2w", axis=1),
        rotations=_gather(moved, windows, owner, "rotations", axis=2) if moved[0].rotations is not None else None,
        transl=_gather(moved, windows, owner, "transl", axis=2) if moved[0].transl is not None else None,
        betas=_average_betas(moved, windows, valid) if moved[0].betas is not None else None,
    )
    size = (int(merged.point_conf_logits.shape[-2]), int(merged.point_conf_logits.shape[-1]))
    intrinsics = intrinsics_at(camera, size)
    confident = merged.point_conf_logits[0].sigmoid() > CONFIDENT
    shift = recover_shift(merged.local_points[0], confident, intrinsics.expand(len(confident), 3, 3))
    scales = [float(p.scale[0]) / distance for p in moved if p.scale is not None and (distance := mean_distance(p)) > 0]
    return Shot(
        prediction=merged,
        camera=camera,
        intrinsics=intrinsics,
        shift=float(shift),
        network_scale=float(torch.tensor(scales).median()) if scales else None,
        residual=max(residuals, default=0.0),
        seen=valid.sum(1),
        still=still,
        unjoined=unjoined,
    )


def intrinsics_at(camera: Camera, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """Intrinsics in pixels of a picture of (height, width) ``size``."""
    return resize_intrinsics(camera.matrix, camera.size, size)


def mean_distance(prediction: Prediction) -> float:
    """Mean ‖local point‖ over the confident pixels of all frames: what the network's scale refers to; 0 without any."""
    keep = prediction.point_conf_logits[0].sigmoid() > CONFIDENT
    return float(prediction.local_points[0][keep].norm(dim=-1).mean()) if keep.any() else 0.0


def _align_window(
    previous: Prediction, previous_frames: range, new: Prediction, new_frames: range
) -> tuple[Prediction, float, bool]:
    """The new window in the world and scale of the previous one, the residual, and whether there was evidence."""
    shared = [frame for frame in new_frames if frame in previous_frames]
    in_previous = [frame - previous_frames.start for frame in shared]
    in_new = [frame - new_frames.start for frame in shared]
    old_depth = previous.local_points[0, in_previous, ..., 2]
    new_depth = new.local_points[0, in_new, ..., 2]
    keep = (previous.point_conf_logits[0, in_previous].sigmoid() > CONFIDENT) & (old_depth > 0) & (new_depth > 0)
    # The median log ratio is the scale that is right for most pixels, whatever a moving or uncertain minority says.
    ratios = (old_depth.log() - new_depth.log())[keep] if keep.any() else old_depth.new_zeros(1)
    scale = ratios.median().exp()
    c2w = new.c2w.clone()
    c2w[..., :3, 3] *= scale
    motion = _average_motion(previous.c2w[0, in_previous] @ invert_rigid(c2w[0, in_new]))
    aligned = Prediction(
        local_points=new.local_points * scale,
        point_conf_logits=new.point_conf_logits,
        c2w=motion @ c2w,
        scale=new.scale,
        rotations=new.rotations,
        betas=new.betas,
        transl=new.transl,
    )
    gap = (previous.c2w[0, in_previous, :3, 3] - aligned.c2w[0, in_new, :3, 3]).norm(dim=-1).mean()
    typical = old_depth[keep].median().clamp_min(1e-6) if keep.any() else torch.tensor(torch.nan)
    return aligned, float(gap / typical), bool(keep.any())


def _average_motion(motions: Float[Tensor, "K 4 4"]) -> Float[Tensor, "4 4"]:
    """Chordal mean of the rotations (nearest rotation to their average), mean of the translations."""
    u, _, vh = torch.linalg.svd(motions[:, :3, :3].mean(0))
    sign = torch.det(u @ vh)
    rotation = u @ torch.diag(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign])) @ vh
    return make_rigid(rotation, motions[:, :3, 3].mean(0))


def _choose_owner(windows: list[range]) -> list[int]:
    """For every frame the window in which it lies farthest from a border, where a window has most context."""
    num_frames = windows[-1].stop
    owner = []
    for frame in range(num_frames):
        inside = [(min(frame - w.start, w.stop - 1 - frame), -i) for i, w in enumerate(windows) if frame in w]
        owner.append(-max(inside)[1])
    return owner


def _gather(predictions: list[Prediction], windows: list[range], owner: list[int], name: str, *, axis: int) -> Tensor:
    pieces = []
    for index, (prediction, frames) in enumerate(zip(predictions, windows, strict=True)):
        mine = [frame - frames.start for frame in frames if owner[frame] == index]
        value = getattr(prediction, name)
        pieces.append(value.index_select(axis, torch.tensor(mine, dtype=torch.long, device=value.device)))
    return torch.cat(pieces, dim=axis)


def _average_betas(
    predictions: list[Prediction], windows: list[range], valid: Bool[Tensor, "P T"]
) -> Float[Tensor, "1 P 10"]:
    betas = torch.stack([p.betas[0] for p in predictions if p.betas is not None])
    seen = torch.stack([valid[:, list(frames)].sum(1) for frames in windows]).to(betas)
    weights = seen / seen.sum(0).clamp_min(1)
    return (betas * weights[..., None]).sum(0)[None]
