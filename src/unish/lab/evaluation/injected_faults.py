"""Faults put into finished reconstructions, to see whether verdicts notice them.

Each function returns another record in which one thing is wrong and everything else is as a run with that fault would
have written it: what is seen from a camera that drifts moves with it, a person's own points stay with their body, and
the recorded depth correction says what the run would have measured.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from unish.body import Body
from unish.geometry.rotation import axis_angle_to_matrix
from unish.structs import BodyParams, Reconstruction

_OF_PEOPLE = ("boxes_xyxy", "landmarks_px", "global_orient_aa", "body_pose_aa", "transl", "joints")


def scale_lengths(record: Reconstruction, body: Body, factor: float) -> Reconstruction:
    """All lengths × ``factor``, the bodies' own included: the picture does not change."""
    c2w = record.c2w.copy()
    c2w[:, :3, 3] *= factor
    floor = record.floor.copy()
    floor[..., 3] *= factor
    betas = np.array([scale_shape(body, betas, factor) for betas in record.betas], np.float32)
    scaled = replace(
        record, c2w=c2w, depth=record.depth * np.float32(factor), floor=floor, betas=betas.reshape(-1, 10),
        transl=record.transl * np.float32(factor),
    )  # fmt: skip
    return replace(scaled, joints=pose_joints(scaled, body))


def scale_shape(body: Body, betas: Float[ndarray, "10"], factor: float) -> Float[ndarray, "10"]:
    """Betas of the body nearest to ``factor`` times the body of ``betas``, vertex by vertex in the rest pose."""
    directions = body.shape_directions.reshape(-1, body.num_betas).double().numpy()
    template = body.template.reshape(-1).double().numpy()
    wanted = factor * (template + directions @ betas) - template
    return np.linalg.lstsq(directions, wanted, rcond=None)[0].astype(np.float32)


def pose_joints(record: Reconstruction, body: Body) -> Float[ndarray, "P T 24 3"]:
    """Joints in the world from the parameters of a record; NaN where they are."""
    people, frames = record.person_valid.shape
    params = BodyParams(
        betas=torch.from_numpy(record.betas)[:, None].expand(people, frames, -1),
        global_orient=axis_angle_to_matrix(torch.from_numpy(record.global_orient_aa)),
        body_pose=axis_angle_to_matrix(torch.from_numpy(record.body_pose_aa).reshape(people, frames, 23, 3)),
        transl=torch.from_numpy(record.transl),
    )
    return body.joints(params).numpy()


def raise_floor(record: Reconstruction, metres: float) -> Reconstruction:
    """The floor plane ``metres`` higher than it was."""
    floor = record.floor.copy()
    floor[..., 3] -= metres
    return replace(record, floor=floor)


def tilt_floor(record: Reconstruction, degrees: float, heading: float) -> Reconstruction:
    """Floor and gravity turned about a level axis through the middle of where people's feet are.

    Args:
        heading: of the axis, radians from the camera's right of the first frame.
    """
    floor, gravity = record.floor.copy(), record.gravity.copy()
    feet = record.joints[:, :, [10, 11]].reshape(-1, 3)
    feet = feet[np.isfinite(feet).all(-1)]
    middle = np.median(feet, axis=0) if len(feet) else np.zeros(3)
    for row in range(len(floor)):
        normal = floor[row, :3].astype(np.float64)
        if not np.isfinite(normal).all():
            continue
        right = np.array([1.0, 0, 0]) - normal[0] * normal
        right /= np.linalg.norm(right)
        axis = np.cos(heading) * right + np.sin(heading) * np.cross(normal, right)
        turned = axis_angle_to_matrix(torch.from_numpy(np.radians(degrees) * axis)).numpy() @ normal
        foot = middle - (middle @ normal + floor[row, 3]) * normal
        floor[row] = [*turned, -turned @ foot]
        gravity[row] = -turned
    return replace(record, floor=floor, gravity=gravity)


def move_person(record: Reconstruction, person: int, factors: Float[ndarray, "T"]) -> Reconstruction:
    """One person's distance × ``factors``, frame by frame, along the line from the camera to the pelvis.

    The body keeps its size, so it no longer fits its landmarks. The person's own points go with it.
    """
    transl, joints, depth = record.transl.copy(), record.joints.copy(), record.depth.copy()
    factors = np.asarray(factors, np.float32)
    shift = (factors[:, None] - 1) * (joints[person, :, 0] - record.c2w[:, :3, 3])
    transl[person] += shift
    joints[person] += shift[:, None]
    depth = np.where(record.person_masks == person, depth * factors[:, None, None], depth)
    moved = replace(record, transl=transl, joints=joints, depth=depth)
    return _multiply_correction(moved, person, factors)


def enlarge_person(record: Reconstruction, body: Body, person: int, factor: float) -> Reconstruction:
    """One person × ``factor`` in size and distance: they still fit their landmarks. Camera and scene stay."""
    betas = record.betas.copy()
    betas[person] = scale_shape(body, betas[person], factor)
    transl = record.transl.copy()
    centre = record.c2w[:, :3, 3]
    transl[person] = centre + factor * (transl[person] - centre)
    # The rest pelvis J0 is scaled about the world's origin with the shape; the body has to stay on its ray.
    rest = body.rest_joints(torch.from_numpy(np.stack([record.betas[person], betas[person]])))[:, 0].numpy()
    transl[person] += factor * rest[0] - rest[1]
    depth = np.where(record.person_masks == person, record.depth * np.float32(factor), record.depth)
    grown = replace(record, betas=betas, transl=transl, depth=depth)
    grown = replace(grown, joints=np.where(np.arange(len(betas))[:, None, None, None] == person,
                                           pose_joints(grown, body), record.joints))  # fmt: skip
    return _multiply_correction(grown, person, np.full(record.num_frames, factor, np.float32))


def double_person(record: Reconstruction, person: int, *, metres: float = 0.1, share: float = 0.03) -> Reconstruction:
    """The same person once more: beside themselves, box and landmarks a little off, with half of the mask.

    Args:
        share: by how much box and landmarks are off, of the box height.
    """
    doubled = _append_copy(record, person)
    doubled.transl[-1, :, 0] += metres
    doubled.joints[-1, ..., 0] += metres
    box = record.boxes_xyxy[person]
    off = np.float32(share) * (box[:, 3:] - box[:, 1:2])
    doubled.boxes_xyxy[-1] += off * np.array([-1, 1, -1, -1], np.float32)
    doubled.landmarks_px[-1, ..., :2] += off[:, None]
    rows = np.arange(record.depth.shape[1])[None, :, None]
    odd = (record.person_masks == person) & (rows % 2 == 1)
    doubled.person_masks[odd] = record.num_people
    return doubled


def split_person(record: Reconstruction, body: Body, person: int, *, size: float = 0.55) -> Reconstruction:
    """The upper half of a person becomes a small twin of its own that floats at their waist; their box is what is left.

    The twin has ``size`` times the stature, at the same distance, its feet where the pelvis of the person is.
    """
    split = _append_copy(record, person)
    box = record.boxes_xyxy[person]
    middle = (box[:, 1] + box[:, 3]) / 2
    split.boxes_xyxy[person, :, 1] = middle
    split.boxes_xyxy[-1, :, 3] = middle
    top = record.landmarks_px[person, ..., 1]
    split.landmarks_px[-1, ..., 1] = box[:, None, 1] + (top - box[:, None, 1]) / 2
    split.betas[-1] = scale_shape(body, record.betas[person], size)
    up = -record.c2w[:, :3, 1]
    lower = record.joints[person, :, 0] - record.joints[person, :, [10, 11]].mean(0)
    height = (lower * up).sum(-1)
    split.transl[-1] += up * (height * size)[:, None]
    split = replace(split, joints=pose_joints(split, body))
    rows = np.arange(record.depth.shape[1])[None, :, None]
    upper = (record.person_masks == person) & (rows < np.nan_to_num(middle)[:, None, None])
    split.person_masks[upper] = record.num_people
    return split


def swap_tracks(record: Reconstruction, one: int, other: int, frame: int) -> Reconstruction:
    """From ``frame`` on, each of two people is what the other was; the shapes stay, since they belong to the ids."""
    order = np.arange(record.num_people)
    order[[one, other]] = order[[other, one]]
    later = np.arange(record.num_frames) >= frame
    names = (*_OF_PEOPLE, "person_valid", "person_filled")
    changed: dict[str, Any] = {name: getattr(record, name).copy() for name in names}
    for array in changed.values():
        array[:, later] = array[order][:, later]
    masks = record.person_masks.copy()
    masks[later] = np.where(masks[later] >= 0, order[masks[later]], -1)
    extra = dict(record.extra)
    if "depth_correction" in extra:
        extra["depth_correction"] = extra["depth_correction"].copy()
        extra["depth_correction"][:, later] = extra["depth_correction"][order][:, later]
    return replace(record, **changed, person_masks=masks.astype(np.int16), extra=extra)


def drift_camera(record: Reconstruction, end_m: Float[ndarray, "3"]) -> Reconstruction:
    """Cameras, and all that is seen from them, move off evenly until ``end_m`` at the end of each shot."""
    share = np.zeros(record.num_frames)
    for shot in np.unique(record.segment):
        frames = np.flatnonzero(record.segment == shot)
        share[frames] = np.linspace(0, 1, len(frames))
    shift = (share[:, None] * end_m).astype(np.float32)
    c2w = record.c2w.copy()
    c2w[:, :3, 3] += shift
    return replace(record, c2w=c2w, transl=record.transl + shift, joints=record.joints + shift[:, None])


def compress_far_half(record: Reconstruction, factor: float, *, gradually: bool = False) -> Reconstruction:
    """Scene pixels beyond the median depth of the scene × ``factor``; people stay, and so differ from the scene.

    Args:
        gradually: depth is left alone up to the median, then grows slower, and is ``factor`` times what it was at twice
            the median; no surface is torn.
    """
    scene = (record.person_masks < 0) & (record.depth > 0)
    limit = float(np.median(record.depth[scene]))

    def share(depth: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """By what a depth is multiplied."""
        if not gradually:
            return np.where(depth > limit, factor, 1.0)
        return np.where(depth > limit, np.maximum(depth / limit, 1.0) ** (np.log(factor) / np.log(2)), 1.0)

    depth = np.where(scene, record.depth * share(record.depth), record.depth).astype(np.float32)
    result = replace(record, depth=depth)
    w2c = np.linalg.inv(record.c2w.astype(np.float64))
    for person in range(record.num_people):
        pelvis = np.einsum("tj,tj->t", w2c[:, 2, :3], record.joints[person, :, 0]) + w2c[:, 2, 3]
        result = _multiply_correction(result, person, (1 / share(pelvis)).astype(np.float32))
    return result


def add_ray_noise(record: Reconstruction, person: int, sigma_m: float, seed: int) -> Reconstruction:
    """Independent noise of ``sigma_m`` metres on the distance of one person in every frame."""
    distance = np.linalg.norm(record.joints[person, :, 0] - record.c2w[:, :3, 3], axis=-1)
    noise = np.random.default_rng(seed).normal(size=record.num_frames) * sigma_m
    return move_person(record, person, np.nan_to_num(1 + noise / distance, nan=1.0))


def _multiply_correction(record: Reconstruction, person: int, factors: Float[ndarray, "T"]) -> Reconstruction:
    if "depth_correction" not in record.extra:
        return record
    table = record.extra["depth_correction"].copy()
    table[person, :, 0] *= factors
    return replace(record, extra=record.extra | {"depth_correction": table})


def _append_copy(record: Reconstruction, person: int) -> Reconstruction:
    """The record with one more person, a copy of ``person`` in arrays that may be written to; no mask of their own."""
    per_person = (*_OF_PEOPLE, "person_valid", "person_filled", "betas")
    names = {field.name for field in fields(record)} & set(per_person)
    changed: dict[str, Any] = {
        name: np.concatenate([getattr(record, name), getattr(record, name)[person : person + 1]]) for name in names
    }
    ids = np.append(record.person_ids, record.person_ids.max() + 1).astype(np.int32)
    extra = dict(record.extra)
    if "depth_correction" in extra:
        table = extra["depth_correction"]
        extra["depth_correction"] = np.concatenate([table, table[person : person + 1]])
    return replace(record, **changed, person_ids=ids, person_masks=record.person_masks.copy(), extra=extra)
