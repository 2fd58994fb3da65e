"""What a method found → the record that benchmarks compare: all that the method did not say is filled in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from unish.body import Body, move_body
from unish.errors import InputError
from unish.geometry.camera import project
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.structs import BodyParams, Clip, Reconstruction
from unish.version import __version__
from unish.video import resize_images

RECORD_LONG_SIDE = 252
"""Long side in pixels of the pictures in a record whose method has no picture size of its own."""
_NEAR_M = 0.1
"""Vertices nearer to the camera than this have no say in a person's box."""


@dataclass(frozen=True, kw_only=True)
class People:
    """SMPL parameters of P people in T frames, in the same world as the cameras; meaningful where ``valid``.

    Attributes:
        valid: the person has a body in the frame.
        betas: one shape per person, in the shape space of the body that the record is made with.
        global_orient_aa, body_pose_aa: axis-angle, SMPL order.
        transl: metres, SMPL's ``transl``: added after posing.
        person_ids: identities; 0, 1, … when not given.
    """

    valid: Bool[ndarray, "P T"]
    betas: Float[ndarray, "P 10"]
    global_orient_aa: Float[ndarray, "P T 3"]
    body_pose_aa: Float[ndarray, "P T 69"]
    transl: Float[ndarray, "P T 3"]
    person_ids: Int[ndarray, "P"] | None = None


def no_people(num_frames: int) -> People:
    """For a method that reconstructs the scene alone."""
    return People(
        valid=np.zeros((0, num_frames), bool),
        betas=np.zeros((0, 10)),
        global_orient_aa=np.zeros((0, num_frames, 3)),
        body_pose_aa=np.zeros((0, num_frames, 69)),
        transl=np.zeros((0, num_frames, 3)),
    )


def make_record(
    clip: Clip,
    body: Body,
    *,
    size: tuple[int, int],
    c2w: Float[ndarray, "T 4 4"],
    intrinsics: Float[ndarray, "T 3 3"],
    model: str,
    depth: Float[ndarray, "T H W"] | None = None,
    conf: Float[ndarray, "T H W"] | None = None,
    people: People | None = None,
    boxes_xyxy: Float[ndarray, "P T 4"] | None = None,
) -> Reconstruction:
    """A reconstruction of the frames of ``clip``.

    The world is turned and moved so that the first camera is its origin. Joints are posed with ``body``. Masks,
    landmarks, gravity and floor stay unknown.

    Args:
        clip: ``request.read()``: the frames that were asked for; everything below has one entry for each of them.
        size: (height, width) of the picture that ``intrinsics`` and ``depth`` belong to; it must show all of the frame.
        c2w: camera to world, OpenCV axes (x right, y down, z forward), metres.
        intrinsics: pixels, pixel centres at +0.5.
        model: name of the method, for the record.
        depth: z in metres, 0 where undefined; without it all is undefined, which depth metrics count as wrong.
        conf: 0..1; without it 1 where there is a depth.
        boxes_xyxy: pixels of ``size``; without it the bounds of the body's vertices in the picture. Benchmarks match
            people by their boxes.

    Raises:
        InputError: a number of frames does not fit, or a camera is not finite.
    """
    num_frames = clip.num_frames
    _check(clip, {"c2w": c2w, "intrinsics": intrinsics, "depth": depth, "conf": conf})
    people = no_people(num_frames) if people is None else people
    w2first = invert_rigid(torch.from_numpy(np.asarray(c2w[:1], np.float64)))
    cameras = w2first @ torch.from_numpy(np.asarray(c2w, np.float64))
    params = _move_people(people, w2first[0], body)
    with torch.no_grad():
        joints = body.joints(params).numpy()
    if boxes_xyxy is None:
        boxes_xyxy = _bound_bodies(people.valid, params, body, cameras, intrinsics, size)
    depth = np.zeros((num_frames, *size), np.float32) if depth is None else np.nan_to_num(depth, posinf=0, neginf=0)
    num_people, num_shots = len(people.valid), len(clip.segment.unique())
    ids = np.arange(num_people) if people.person_ids is None else people.person_ids
    blank = partial(_blank_absent, valid=people.valid)
    return Reconstruction(
        segment=clip.segment.numpy().astype(np.int32),
        timestamps_s=clip.timestamps_s.numpy(),
        frame_indices=clip.frame_indices.numpy(),
        source_size=np.array(clip.source_size, np.int32),
        image_size=np.array(size, np.int32),
        images=resize_images(clip.images, size).numpy(),
        intrinsics=np.asarray(intrinsics, np.float32),
        c2w=cameras.numpy().astype(np.float32),
        depth=np.maximum(depth, 0).astype(np.float32),
        point_conf=((depth > 0) if conf is None else conf).astype(np.float16),
        person_masks=np.full((num_frames, *size), -1, np.int16),
        person_ids=ids.astype(np.int32),
        person_valid=people.valid,
        person_filled=np.zeros_like(people.valid),
        boxes_xyxy=blank(boxes_xyxy),
        landmarks_px=np.full((num_people, num_frames, 33, 3), np.nan, np.float32),
        betas=np.asarray(people.betas, np.float32),
        global_orient_aa=blank(matrix_to_axis_angle(params.global_orient).numpy()),
        body_pose_aa=blank(people.body_pose_aa),
        transl=blank(params.transl.numpy()),
        joints=blank(joints),
        gravity=np.full((num_shots, 3), np.nan, np.float32),
        floor=np.full((num_shots, 4), np.nan, np.float32),
        faces=body.faces.numpy().astype(np.int32),
        body_model=body.name,
        model=model,
        version=__version__,
    )


def _check(clip: Clip, given: Mapping[str, ndarray | None]) -> None:
    for name, values in given.items():
        if values is not None and len(values) != clip.num_frames:
            raise InputError(
                f"{clip.name}: {len(values)} frames of {name} for the {clip.num_frames} that were asked for"
            )
        if name in ("c2w", "intrinsics") and not np.isfinite(np.asarray(values)).all():
            raise InputError(f"{clip.name}: a camera is not finite ({name}); give every frame one")


def _blank_absent(values: ndarray, valid: Bool[ndarray, "P T"]) -> ndarray:
    """NaN where a person is absent."""
    keep = valid.reshape(*valid.shape, *(1,) * (values.ndim - 2))
    return np.where(keep, values, np.nan).astype(np.float32)


def _move_people(people: People, w2first: Float[torch.Tensor, "4 4"], body: Body) -> BodyParams:
    """Parameters (P, T) in the world of the first camera, float32 like the body; zeros where not valid."""
    num_people, num_frames = people.valid.shape
    known = torch.from_numpy(people.valid)[..., None]

    def finite(values: ndarray) -> torch.Tensor:
        return torch.where(known, torch.from_numpy(np.asarray(values, np.float32)), 0.0)

    betas = torch.from_numpy(np.asarray(people.betas, np.float32))[:, None].expand(num_people, num_frames, 10)
    params = BodyParams(
        betas=betas,
        global_orient=axis_angle_to_matrix(finite(people.global_orient_aa)),
        body_pose=axis_angle_to_matrix(finite(people.body_pose_aa).unflatten(-1, (23, 3))),
        transl=finite(people.transl),
    )
    return move_body(params, w2first.float().expand(num_people, num_frames, 4, 4), body.rest_joints(betas)[..., 0, :])


def _bound_bodies(
    valid: Bool[ndarray, "P T"],
    params: BodyParams,
    body: Body,
    c2w: Float[torch.Tensor, "T 4 4"],
    intrinsics: Float[ndarray, "T 3 3"],
    size: tuple[int, int],
) -> Float[ndarray, "P T 4"]:
    """Bounds of the projected vertices within the picture; NaN where the whole body is behind the camera."""
    boxes = np.full((*valid.shape, 4), np.nan)
    w2c, k = invert_rigid(c2w).float(), torch.from_numpy(np.asarray(intrinsics, np.float32))
    limits = torch.tensor([size[1], size[0]], dtype=torch.float32)
    for person, frame in zip(*np.nonzero(valid), strict=True):
        one = BodyParams(**{name: value[person, frame] for name, value in vars(params).items()})
        with torch.no_grad():
            points = transform_points(w2c[frame], body.vertices(one))
        points = points[points[:, 2] > _NEAR_M]
        if len(points):
            px = torch.minimum(project(points, k[frame]).clamp_min(0), limits)
            boxes[person, frame] = torch.cat([px.amin(0), px.amax(0)]).numpy()
    return boxes
