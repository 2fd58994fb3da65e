"""Shots → the one record of the whole video."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

import unish
from unish.body import Body
from unish.geometry.rotation import matrix_to_axis_angle
from unish.reconstruction.ground import Ground
from unish.reconstruction.shot import MetricShot
from unish.reconstruction.stitch import CONFIDENT
from unish.structs import Clip, Landmarks, Reconstruction, Tracks


def assemble(
    clip: Clip,
    images: np.ndarray,
    tracks: Tracks,
    landmarks: Landmarks,
    shots: list[MetricShot],
    grounds: list[Ground],
    betas: Float[Tensor, "P 10"],
    body: Body,
    model: str,
    sky: Bool[Tensor, "T H W"] | None = None,
) -> Reconstruction:
    """Join the shots along time. ``tracks`` and ``landmarks`` are in pixels of ``images`` (T, H, W, 3).

    Args:
        grounds: of each shot.
        sky: pixels that show it; ``None`` where nobody has looked.
    """
    valid = torch.cat([shot.valid for shot in shots], dim=1)
    conf = torch.cat([shot.conf for shot in shots])
    depth = torch.cat([shot.depth for shot in shots])
    # Undefined is written as 0, so that no reader mistakes a guess for a measurement.
    known = (conf >= CONFIDENT) & (depth > 0) & torch.isfinite(depth)
    depth = torch.where(known if sky is None else known & ~sky, depth, 0.0)
    orient = torch.cat([matrix_to_axis_angle(shot.params.global_orient) for shot in shots], dim=1)
    pose = torch.cat([matrix_to_axis_angle(shot.params.body_pose).flatten(-2) for shot in shots], dim=1)
    transl = torch.cat([shot.params.transl for shot in shots], dim=1)
    joints = torch.cat([shot.joints for shot in shots], dim=1)
    corrections = torch.cat([shot.correction.as_table() for shot in shots], dim=1)
    of_people = partial(_blank_absent, valid=valid)
    height, width = images.shape[1:3]
    return Reconstruction(
        segment=clip.segment.numpy().astype(np.int32),
        timestamps_s=clip.timestamps_s.numpy(),
        frame_indices=clip.frame_indices.numpy(),
        source_size=np.array(clip.source_size, np.int32),
        image_size=np.array([height, width], np.int32),
        images=images,
        intrinsics=torch.cat([shot.intrinsics for shot in shots]).numpy().astype(np.float32),
        c2w=torch.cat([shot.c2w for shot in shots]).numpy().astype(np.float32),
        depth=depth.numpy().astype(np.float32),
        point_conf=conf.numpy().astype(np.float16),
        sky=None if sky is None else sky.numpy(),
        person_masks=tracks.masks.numpy(),
        person_ids=tracks.person_ids.numpy().astype(np.int32),
        person_valid=valid.numpy(),
        person_filled=np.zeros(tuple(valid.shape), bool),
        boxes_xyxy=of_people(tracks.boxes_xyxy),
        landmarks_px=of_people(landmarks.px),
        betas=betas.numpy().astype(np.float32),
        global_orient_aa=of_people(orient),
        body_pose_aa=of_people(pose),
        transl=of_people(transl),
        joints=of_people(joints),
        gravity=torch.stack([ground.gravity for ground in grounds]).numpy().astype(np.float32),
        floor=torch.stack([ground.floor for ground in grounds]).numpy().astype(np.float32),
        faces=body.faces.numpy().astype(np.int32),
        body_model=body.name,
        model=model,
        version=unish.__version__,
        extra={"depth_correction": of_people(corrections)},
    )


def _blank_absent(values: Float[Tensor, "P T *shape"], valid: Bool[Tensor, "P T"]) -> np.ndarray:
    """NaN where a person is absent."""
    keep = valid.reshape(*valid.shape, *(1,) * (values.ndim - 2))
    return torch.where(keep, values, torch.nan).numpy().astype(np.float32)
