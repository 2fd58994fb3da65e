"""The exact truth of a rendered clip, in the world of its first camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16, UInt8
from numpy import ndarray

from unish.body import move_body
from unish.geometry.rotation import matrix_to_axis_angle
from unish.lab.synthetic.config import SKY_DEPTH
from unish.lab.synthetic.people import Actor, load_cast_body
from unish.lab.synthetic.wardrobe import PART_STEP, Part
from unish.render import SKY_ID, Frame
from unish.structs import Reconstruction

INSIDE = 0.16
"""A landmark counts as visible when the surface at its pixel is less than this far (metres) in front of it: landmarks
lie inside the body, hips and shoulders deepest."""
LOOSE = 0.08
"""Further allowance (metres) where the surface is the person's own clothes, which stand off the body."""


def write_truth(
    frames: Sequence[Frame],
    images: UInt8[ndarray, "T H W 3"],
    actors: Sequence[Actor],
    *,
    c2stage: Float[ndarray, "T 4 4"],
    intrinsics: Float[ndarray, "3 3"],
    timestamps_s: Float[ndarray, "T"],
    body_name: str,
    labels: dict[str, str],
    normals: bool,
    version: str,
) -> Reconstruction:
    """Record of a clip. ``extra`` has, besides ``labels`` as ``truth_<label>``:

    ``truth_global_orient_aa``, ``truth_body_pose_aa``, ``truth_transl``, ``truth_joints`` (as their namesakes, finite
    for hidden people too), ``truth_landmarks`` (P, T, 33, 3) world metres, ``truth_landmarks_px`` (P, T, 33, 3) pixels
    and visibility for hidden people too, ``truth_camera_global_orient_aa`` (P, T, 3) and ``truth_camera_transl``
    (P, T, 3) in each frame's camera, ``truth_contacts`` (P, T, C) contact points on the floor with
    ``truth_contact_names`` (C,), ``truth_actions`` (P,), ``truth_sky`` (T, H, W), ``truth_parts`` (T, H, W) as ``Part``
    numbers them, and ``normals`` when asked for.
    """
    stage_to_world = np.linalg.inv(c2stage[0])
    c2w = stage_to_world @ c2stage
    c2w[0] = np.eye(4)
    ids = np.stack([frame.ids for frame in frames])
    sky = ids == SKY_ID
    masks, parts = split_ids(ids)
    depth = np.where(sky, np.float32(SKY_DEPTH), np.stack([frame.depth for frame in frames]))
    people = _people_truth(actors, stage_to_world, c2stage, intrinsics, depth, masks, parts == Part.CLOTHES, body_name)
    valid = people.pop("valid")
    num, total = valid.shape
    up, (height, width) = stage_to_world[:3, 1], depth.shape[1:]
    extra = {f"truth_{name}": value for name, value in people.items() if name not in ("betas", "boxes", "faces")}
    extra |= {f"truth_{name}": np.array(value) for name, value in labels.items()}
    extra |= {"truth_sky": sky, "truth_parts": parts}
    if normals:
        extra["normals"] = np.stack([frame.normals for frame in frames]).astype(np.float16)
    return Reconstruction(
        segment=np.zeros(total, np.int32),
        timestamps_s=np.asarray(timestamps_s, np.float64),
        frame_indices=np.arange(total, dtype=np.int64),
        source_size=np.array([height, width], np.int32),
        image_size=np.array([height, width], np.int32),
        images=images,
        intrinsics=np.repeat(intrinsics[None].astype(np.float32), total, axis=0),
        c2w=c2w.astype(np.float32),
        depth=depth,
        point_conf=(depth > 0).astype(np.float16),
        person_masks=masks,
        person_ids=np.arange(num, dtype=np.int32),
        person_valid=valid,
        person_filled=np.zeros((num, total), bool),
        boxes_xyxy=people["boxes"],
        landmarks_px=_blank(people["landmarks_px"], valid),
        betas=people["betas"],
        global_orient_aa=_blank(people["global_orient_aa"], valid),
        body_pose_aa=_blank(people["body_pose_aa"], valid),
        transl=_blank(people["transl"], valid),
        joints=_blank(people["joints"], valid),
        gravity=(-up)[None].astype(np.float32),
        floor=np.append(up, -up @ stage_to_world[:3, 3])[None].astype(np.float32),
        faces=people["faces"],
        body_model=load_cast_body(body_name)[0].name,
        model="synthetic truth",
        version=version,
        extra=extra,
    )


def split_ids(ids: Int16[ndarray, "*T H W"]) -> tuple[Int16[ndarray, "*T H W"], UInt8[ndarray, "*T H W"]]:
    """Person index (−1 = scene and sky) and ``Part`` of rendered ids."""
    person = np.where(ids < 0, np.int16(-1), ids % np.int16(PART_STEP))
    return person, np.where(ids < 0, Part.SCENE, ids // PART_STEP).astype(np.uint8)


def _people_truth(
    actors: Sequence[Actor],
    stage_to_world: Float[ndarray, "4 4"],
    c2stage: Float[ndarray, "T 4 4"],
    intrinsics: Float[ndarray, "3 3"],
    depth: Float[ndarray, "T H W"],
    masks: ndarray,
    clothes: Bool[ndarray, "T H W"],
    body_name: str,
) -> dict[str, ndarray]:
    """Arrays over (people, frames), finite everywhere but ``boxes``; ``valid`` says who is seen when."""
    body, _ = load_cast_body(body_name)
    total = len(c2stage)
    names = list(body.contact_vertices)
    rows: list[dict[str, ndarray]] = []
    stage_to_camera = torch.from_numpy(np.linalg.inv(c2stage)).float()
    to_world = torch.from_numpy(stage_to_world).float().expand(total, 4, 4)
    for number, actor in enumerate(actors):
        rest_pelvis = body.rest_joints(actor.params.betas)[:, 0]
        world = move_body(actor.params, to_world, rest_pelvis)
        camera = move_body(actor.params, stage_to_camera, rest_pelvis)
        in_camera = _transform(np.linalg.inv(c2stage), actor.landmarks)
        rows.append({
            "valid": (masks == number).any((1, 2)),
            "boxes": _mask_boxes(masks == number),
            "betas": actor.params.betas[0].numpy(),
            "global_orient_aa": matrix_to_axis_angle(world.global_orient).numpy(),
            "body_pose_aa": matrix_to_axis_angle(world.body_pose).reshape(total, 69).numpy(),
            "transl": world.transl.numpy(),
            "joints": _transform(stage_to_world, actor.joints),
            "landmarks": _transform(stage_to_world, actor.landmarks),
            "landmarks_px": _observe_landmarks(in_camera, intrinsics, depth, clothes & (masks == number)),
            "camera_global_orient_aa": matrix_to_axis_angle(camera.global_orient).numpy(),
            "camera_transl": camera.transl.numpy(),
            "contacts": actor.contacts,
            "actions": np.array(actor.action),
        })  # fmt: skip
    shapes = {
        "valid": ((total,), bool), "boxes": ((total, 4), np.float32), "betas": ((10,), np.float32),
        "global_orient_aa": ((total, 3), np.float32), "body_pose_aa": ((total, 69), np.float32),
        "transl": ((total, 3), np.float32), "joints": ((total, 24, 3), np.float32),
        "landmarks": ((total, 33, 3), np.float32), "landmarks_px": ((total, 33, 3), np.float32),
        "camera_global_orient_aa": ((total, 3), np.float32), "camera_transl": ((total, 3), np.float32),
        "contacts": ((total, len(names)), bool), "actions": ((), "U1"),
    }  # fmt: skip
    arrays = {
        name: np.stack([row[name] for row in rows]) if rows else np.zeros((0, *shape), kind)
        for name, (shape, kind) in shapes.items()
    }
    return arrays | {"faces": body.faces.numpy().astype(np.int32), "contact_names": np.array(names)}


def _observe_landmarks(
    points: Float[ndarray, "T 33 3"],
    intrinsics: Float[ndarray, "3 3"],
    depth: Float[ndarray, "T H W"],
    worn: Bool[ndarray, "T H W"],
) -> Float[ndarray, "T 33 3"]:
    """Pixels and visibility (0 or 1): inside the picture, in front of the camera, nothing in front of it.

    ``worn`` marks the pixels of the person's own clothes.
    """
    height, width = depth.shape[1:]
    z = np.maximum(points[..., 2], 1e-3)
    projected = points @ intrinsics.T
    pixels = projected[..., :2] / z[..., None]
    column, row = np.floor(np.clip(pixels, -1e6, 1e6)).astype(np.int64).transpose(2, 0, 1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (points[..., 2] > 0.05)
    frame = np.arange(len(points))[:, None]
    at = frame, row.clip(0, height - 1), column.clip(0, width - 1)
    surface = depth[at]
    visible = inside & ((surface == 0) | (surface > z - INSIDE - LOOSE * worn[at]))
    return np.concatenate([pixels, visible[..., None]], axis=-1).astype(np.float32)


def _mask_boxes(mask: Bool[ndarray, "T H W"]) -> Float[ndarray, "T 4"]:
    """Tight boxes around the visible pixels (outer pixel edges); NaN without any."""
    boxes = np.full((len(mask), 4), np.nan, np.float32)
    for frame, picture in enumerate(mask):
        rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
        if len(rows):
            boxes[frame] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def _transform(matrix: Float[ndarray, "*T 4 4"], points: Float[ndarray, "T N 3"]) -> Float[ndarray, "T N 3"]:
    moved = points.astype(np.float64) @ np.swapaxes(matrix[..., :3, :3], -1, -2) + matrix[..., None, :3, 3]
    return moved.astype(np.float32)


def _blank(values: ndarray, valid: Bool[ndarray, "P T"]) -> ndarray:
    """NaN where not valid."""
    return np.where(valid.reshape(*valid.shape, *[1] * (values.ndim - 2)), values, np.nan).astype(np.float32)
