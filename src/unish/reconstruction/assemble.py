"""Shots → the one record of the whole video."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int16, UInt8
from torch import Tensor

from unish.body import Body
from unish.geometry.rotation import matrix_to_axis_angle
from unish.reconstruction.contacts import REGIONS, TOUCH_M, TOUCH_M_S
from unish.reconstruction.depth_curve import NUM_KNOTS
from unish.reconstruction.ground import Ground
from unish.reconstruction.height_map import HeightMap
from unish.reconstruction.joint_certainty import measure_joint_certainty
from unish.reconstruction.shot import MetricShot
from unish.structs import (
    CONFIDENT,
    Clip,
    FrameArray,
    Frames,
    FrameTensor,
    Landmarks,
    Reconstruction,
    Tracks,
    join_frames,
)
from unish.version import __version__


def assemble(
    clip: Clip,
    images: UInt8[Frames, "D H W 3"],
    masks: Int16[FrameTensor, "D H W"],
    tracks: Tracks,
    landmarks: Landmarks,
    shots: list[MetricShot],
    grounds: list[Ground],
    betas: Float[Tensor, "P 10"],
    body: Body,
    model: str,
    sky: Bool[FrameTensor, "D H W"] | None = None,
    contacts: list[Float[Tensor, "P _ 4"]] | None = None,
    scale_intervals: list[tuple[float, float]] | None = None,
    heights: list[HeightMap | None] | None = None,
) -> Reconstruction:
    """Join the shots along time; dense arrays, of the D frames that have depth, are computed when a frame is read.

    ``tracks`` and ``landmarks`` are in pixels of ``images``.

    Args:
        sky: pixels that show it; ``None`` where nobody has looked.
        contacts: probability that heels and toes touch, of each shot; ``None`` where nobody has looked.
        scale_intervals: of the size of each shot (``size.measure_scale_interval``); ``None`` where nobody has asked.
        heights: local heights of the ground of each shot; ``None`` where nobody has looked, or gravity is unknown.
    """
    valid = torch.cat([shot.valid for shot in shots], dim=1)
    starts = np.cumsum([0, *(len(shot.c2w) for shot in shots)]).tolist()
    dense = torch.cat([start + shot.dense for start, shot in zip(starts[:-1], shots, strict=True)])
    orient = torch.cat([matrix_to_axis_angle(shot.params.global_orient) for shot in shots], dim=1)
    pose = torch.cat([matrix_to_axis_angle(shot.params.body_pose).flatten(-2) for shot in shots], dim=1)
    transl = torch.cat([shot.params.transl for shot in shots], dim=1)
    joints = torch.cat([shot.joints for shot in shots], dim=1)
    corrections = torch.cat([shot.correction.as_table() for shot in shots], dim=1)
    of_people, (height, width) = partial(_blank_absent, valid=valid), images.shape[1:3]
    return Reconstruction(
        segment=clip.segment.numpy().astype(np.int32),
        timestamps_s=clip.timestamps_s.numpy(),
        frame_indices=clip.frame_indices.numpy(),
        source_size=np.array(clip.source_size, np.int32),
        image_size=np.array([height, width], np.int32),
        intrinsics=torch.cat([shot.intrinsics for shot in shots]).numpy().astype(np.float32),
        c2w=torch.cat([shot.c2w for shot in shots]).numpy().astype(np.float32),
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
        joint_certainty=of_people(measure_joint_certainty(shots, landmarks, (int(height), int(width)))),
        gravity=torch.stack([ground.gravity for ground in grounds]).numpy().astype(np.float32),
        floor=torch.stack([ground.floor for ground in grounds]).numpy().astype(np.float32),
        faces=body.faces.numpy().astype(np.int32),
        body_model=body.name,
        model=model,
        version=__version__,
        extra={"depth_correction": of_people(corrections)},
        images=images,
        dense_frames=dense.numpy(),
        camera_interpolated=~(np.isin(np.arange(len(clip.segment)), dense.numpy()) | _mark_told(shots)),
        depth_curve=_join_curves(shots),
        scale_interval=None if scale_intervals is None else np.array(scale_intervals, np.float32),
        **({} if heights is None else _join_heights(heights)),
        **({} if contacts is None else _describe_contacts(of_people(torch.cat(contacts, dim=1)))),
        **_dense_arrays(shots, masks, sky),
    )


def _mark_told(shots: list[MetricShot]) -> Bool[np.ndarray, "T"]:
    """Frames without depth whose camera was given, or measured."""
    told = []
    for shot in shots:
        measured = np.zeros(len(shot.c2w), bool) if shot.measured is None else shot.measured.numpy()
        told.append(measured | shot.keeps_cameras)
    return np.concatenate(told)


def _join_curves(shots: list[MetricShot]) -> Float32[np.ndarray, "S K 2"]:
    """NaN for a shot without a curve."""
    none = torch.full((NUM_KNOTS, 2), torch.nan)
    curves = [none if shot.curve is None else shot.curve.as_table() for shot in shots]
    return torch.stack(curves).numpy().astype(np.float32)


def _join_heights(maps: list[HeightMap | None]) -> dict[str, Any]:
    """One array for all shots, as large as the largest grid; NaN and confidence 0 beyond each."""
    rows, columns = (
        max((int(one.height.shape[axis]) for one in maps if one is not None), default=0) for axis in (0, 1)
    )
    height = np.full((len(maps), rows, columns), np.nan, np.float32)
    confidence, grid = np.zeros_like(height), np.full((len(maps), 4), np.nan, np.float32)
    for number, one in enumerate(maps):
        if one is not None:
            h, w = one.height.shape
            height[number, :h, :w], confidence[number, :h, :w], grid[number] = one.height, one.confidence, one.grid
    return {"ground_height": height, "ground_confidence": confidence, "ground_grid": grid}


def _describe_contacts(probability: Float32[np.ndarray, "P T 4"]) -> dict[str, Any]:
    return {
        "contact_prob": probability,
        "contact_names": np.array(REGIONS),
        "contact_thresholds": np.array([TOUCH_M, TOUCH_M_S], np.float32),
    }


def _dense_arrays(
    shots: list[MetricShot], masks: Int16[FrameTensor, "D H W"], sky: Bool[FrameTensor, "D H W"] | None
) -> dict[str, Any]:
    """All that has a value for every pixel, but for the images."""
    conf, depth = join_frames([shot.conf for shot in shots]), join_frames([shot.depth for shot in shots])

    def known_depth(frame: int) -> Float32[np.ndarray, "H W"]:
        """Undefined is written as 0, so that no reader mistakes a guess for a measurement."""
        values = depth[frame]
        known = (conf[frame] >= CONFIDENT) & (values > 0) & torch.isfinite(values)
        return torch.where(known if sky is None else known & ~sky[frame], values, 0.0).numpy()

    def as_numpy(frames: FrameTensor, dtype: type[np.generic]) -> FrameArray:
        return FrameArray.like(frames, lambda frame: frames[frame].numpy().astype(dtype), dtype=np.dtype(dtype))

    arrays = {
        "depth": FrameArray.like(depth, known_depth, dtype=np.dtype(np.float32)),
        "point_conf": as_numpy(conf, np.float16),
        "person_masks": as_numpy(masks, np.int16),
    }
    return arrays if sky is None else arrays | {"sky": as_numpy(sky, np.bool_)}


def _blank_absent(values: Float[Tensor, "P T *shape"], valid: Bool[Tensor, "P T"]) -> np.ndarray:
    """NaN where a person is absent."""
    keep = valid.reshape(*valid.shape, *(1,) * (values.ndim - 2))
    return torch.where(keep, values, torch.nan).numpy().astype(np.float32)
