"""One inference call in the published order (network specification §7.3), on our network.

``UniSH`` gives the prediction. What follows it here is the published way to metres, faults included: the mask shrinks
while the call goes on, and the depth shift reaches some outputs only. Ours is ``unish.reconstruction``.

Legend: N frames of the one clip, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.focal import PUBLISHED_FTOL, focal_to_pixels, recover_focal_and_shift
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import matrix_to_axis_angle
from unish.network import PRESETS, UniSH, UniSHConfig
from unish.network.heads.points import points_from_log_depth
from unish.network.release_scene import ReleaseSceneConfig
from unish.structs import HumanInputs, Prediction

MIN_CONFIDENCE = 0.1
POSITIONS_PER_SECOND = 6.0

STAGES: dict[str, tuple[str, Callable]] = {
    # key of the fixture: part of ours, and how its output is laid out there
    "encoder_patch_tokens": ("scene.encoder", lambda out: out),
    "pi3.hidden": ("scene.decoder", lambda out: out.flatten(0, 1)),
    "pi3.hidden.registers": ("scene.decoder", lambda out: out[0, :, :5, ::8]),
    "point_hidden": ("scene.point_decoder", lambda out: out),
    "conf_hidden": ("scene.conf_decoder", lambda out: out),
    "camera_hidden": ("scene.camera_decoder", lambda out: out),
    "pi3.c2ws": ("scene.camera_head", lambda out: out[None]),
    "human_features": ("human.backbone", lambda out: out.transpose(1, 2).unflatten(2, (16, 12))),
    "human_head.token_out": ("human.head", lambda out: out[2][None]),
    "alignnet.scale": ("align.scale", lambda out: nn.functional.softplus(out[..., 0])),
    "alignnet.trans_cam": ("align.translation", lambda out: points_from_log_depth(out[:, 0])),
}


def published_config() -> UniSHConfig:
    """The release preset, with the focal solve stopping where the published one does."""
    config = PRESETS["release"]()
    assert isinstance(config.scene, ReleaseSceneConfig)
    return replace(config, scene=replace(config.scene, focal_ftol=PUBLISHED_FTOL))


@torch.no_grad()
def run_published_call(model: UniSH, images: Tensor, patches: Tensor, bbox_info: Tensor) -> dict[str, Tensor]:
    """Everything that the end-to-end fixtures record, under their keys.

    Args:
        images: (1, N, 3, H, W) RGB in [0, 1].
        patches: (1, N, 3, 256, 256) crops of the one person.
        bbox_info: (1, N, 3) pixels.
    """
    num_frames = images.shape[1]
    humans = HumanInputs(
        valid=torch.ones(1, 1, num_frames, dtype=torch.bool), patches=patches[:, None], bbox_info=bbox_info[:, None]
    )
    # The published call never passes a frame rate, so that every frame is one position after the other.
    timestamps = torch.arange(num_frames, dtype=torch.float64)[None] / POSITIONS_PER_SECOND
    with _record_stages(model) as stages:
        prediction = model(images, humans, timestamps)
    assert prediction.intrinsics is not None and prediction.rotations is not None and prediction.betas is not None
    focal_px = prediction.intrinsics[..., 0, 0]
    scene = {
        "pi3.local_points": prediction.local_points,
        "pi3.world_points": _to_world(prediction.c2w, prediction.local_points),
        "pi3.point_conf": prediction.point_conf_logits[..., None],
        "pi3.c2ws_cano": prediction.c2w,
    }
    human = {
        "human_head.bbox_info_over_focal": bbox_info / focal_px[..., None],
        "human_head.pose_cam": prediction.rotations[:, 0].flatten(2),
        "human_head.betas": prediction.betas[:, 0],
    }
    return stages | scene | human | _finish(prediction, stages)


def _finish(prediction: Prediction, stages: dict[str, Tensor]) -> dict[str, Tensor]:
    """Steps 2 and 4 to 8: metres, the second focal solve, and what is derived from it."""
    assert prediction.rotations is not None and prediction.betas is not None
    height, width = prediction.local_points.shape[2:4]
    points, confidence = prediction.local_points, prediction.point_conf_logits.sigmoid()
    first_mask = confidence > MIN_CONFIDENCE
    first_focal, first_shift = recover_focal_and_shift(points, first_mask, ftol=PUBLISHED_FTOL)
    mask = first_mask & (points[..., 2] + first_shift[..., None, None] > 0)
    mean_distance = (points.norm(dim=-1) * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) + 1e-8)
    scale = stages["alignnet.scale"] / mean_distance

    points, c2w, raw_c2w = points * scale, _scale_pose(prediction.c2w, scale), _scale_pose(stages["pi3.c2ws"], scale)
    focal, shift = recover_focal_and_shift(points, mask, ftol=PUBLISHED_FTOL)
    intrinsics = make_intrinsics(focal_to_pixels(focal, height, width), height, width)
    depth = points[..., 2] + shift[..., None, None]
    transl = stages["alignnet.trans_cam"] * scale + nn.functional.pad(shift[..., None], (2, 0))
    return {
        "norm_factor": mean_distance,
        "focal_call0": first_focal,
        "shift_call0": first_shift,
        "mask_call0": first_mask,
        "focal_call1": focal,
        "shift_call1": shift,
        "mask_call1": mask,
        "out.scale": scale,
        "out.local_points": points,
        "out.world_points": _to_world(c2w, points),
        "out.point_conf": confidence,
        "out.c2ws": raw_c2w,
        "out.c2ws_cano": c2w,
        "out.w2cs_cano": invert_rigid(c2w),
        "out.intrinsics": intrinsics,
        "out.depth_map": depth,
        "out.point_map": unproject(depth, intrinsics),
        "out.masks": mask & (depth > 0),
        "out.pose_cam": matrix_to_axis_angle(prediction.rotations[:, 0]).flatten(2),
        "out.trans_cam": transl,
        "out.betas": prediction.betas.expand(-1, depth.shape[1], -1),
    }


def _scale_pose(pose: Tensor, scale: Tensor) -> Tensor:
    """Poses (1, N, 4, 4) with their translations multiplied by ``scale`` (1, 1)."""
    return make_rigid(pose[..., :3, :3], pose[..., :3, 3] * scale)


def _to_world(c2w: Tensor, points: Tensor) -> Tensor:
    return transform_points(c2w, points.flatten(2, 3)).reshape_as(points)


@contextmanager
def _record_stages(model: UniSH) -> Iterator[dict[str, Tensor]]:
    """Outputs of the ``STAGES``, filled in while the context is open."""
    found: dict[str, Tensor] = {}

    def record(key: str, arrange: Callable) -> Callable:
        return lambda _module, _inputs, output: found.__setitem__(key, arrange(output))

    hooks = [model.get_submodule(part).register_forward_hook(record(k, f)) for k, (part, f) in STAGES.items()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
