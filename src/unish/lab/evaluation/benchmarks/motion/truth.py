"""What a motion dataset gives: cameras, and people whose bodies are known in the world, one row per picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray
from torch import Tensor

from unish.body import Body
from unish.errors import InputError
from unish.geometry.camera import project
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation.metrics import foot_points
from unish.structs import BodyParams
from unish.video.sources.folders import list_images


@dataclass(frozen=True, kw_only=True, eq=False)
class TruePerson:
    """One person over T pictures, in the world, metres.

    Attributes:
        valid: the pictures that count.
        joints: SMPL's.
        vertices: SMPL's.
        feet: ``metrics.foot_points``.
        boxes_xyxy: pixels of the source, around the projected vertices; the side is 0 where nothing is in front.
    """

    valid: Bool[Tensor, "T"]
    joints: Float64[Tensor, "T 24 3"]
    vertices: Float32[Tensor, "T V 3"]
    feet: Float64[Tensor, "T 4 3"]
    boxes_xyxy: Float32[Tensor, "T 4"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionTruth:
    """One sequence of T pictures.

    Attributes:
        images: the folder with the pictures and nothing else; the method counts them in the order of their names.
        fps: of the pictures; picture i is at i / fps seconds.
        c2w: OpenCV axes, metres.
        people: who is known. Others may be in the picture.
    """

    images: Path
    fps: float
    c2w: Float64[Tensor, "T 4 4"]
    people: tuple[TruePerson, ...]

    @property
    def times_s(self) -> Float64[Tensor, "T"]:
        return torch.arange(len(self.c2w), dtype=torch.float64) / self.fps


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """Where a person is seen from: the cameras and the size (height, width) of the pictures in pixels."""

    c2w: Float64[Tensor, "T 4 4"]
    intrinsics: Float64[Tensor, "3 3"]
    size: tuple[int, int]


def pose_smpl(
    body: Body, betas: ndarray, global_orient_aa: ndarray, body_pose_aa: ndarray, transl: ndarray
) -> tuple[Float64[Tensor, "T 24 3"], Float32[Tensor, "T V 3"]]:
    """Joints and vertices of a person of one shape over T frames.

    Args:
        betas: (10,) or more, of which 10 count; global_orient_aa: (T, 3); body_pose_aa: (T, 69); transl: (T, 3) metres.
    """
    count = len(transl)
    shape = np.tile(np.ravel(betas)[: body.num_betas], (count, 1))
    params = BodyParams(
        betas=torch.from_numpy(shape.astype(np.float64)),
        global_orient=axis_angle_to_matrix(torch.from_numpy(np.asarray(global_orient_aa, np.float64))),
        body_pose=axis_angle_to_matrix(torch.from_numpy(np.asarray(body_pose_aa, np.float64)).reshape(count, 23, 3)),
        transl=torch.from_numpy(np.asarray(transl, np.float64)),
    )
    joints = body.to(dtype=torch.float64).joints(params)
    return joints, torch.from_numpy(body.vertices_from_axis_angle(shape, global_orient_aa, body_pose_aa, transl))


def make_person(
    body: Body,
    joints: Float64[Tensor, "T 24 3"],
    vertices: Float32[Tensor, "T V 3"],
    valid: ndarray,
    view: View,
) -> TruePerson:
    """A person of known joints and vertices; ``body`` names the vertices of its feet."""
    return TruePerson(
        valid=torch.from_numpy(np.asarray(valid, bool)),
        joints=joints,
        vertices=vertices,
        feet=foot_points(vertices, body).double(),
        boxes_xyxy=draw_boxes(vertices, view),
    )


def draw_boxes(vertices: Float32[Tensor, "T V 3"], view: View) -> Float32[Tensor, "T 4"]:
    """Boxes around the vertices that are in front of the camera, clipped to the picture, pixels of the source."""
    points = transform_points(invert_rigid(view.c2w).to(vertices.dtype), vertices)
    pixels = project(points, view.intrinsics.to(vertices.dtype).expand(len(points), 3, 3))
    in_front = (points[..., 2:] > 0.05).expand_as(pixels)
    low = torch.where(in_front, pixels, torch.inf).amin(1)
    high = torch.where(in_front, pixels, -torch.inf).amax(1)
    limits = vertices.new_tensor([view.size[1], view.size[0]])
    low, high = (x.clamp_min(0).minimum(limits) for x in (low, high))
    return torch.cat([low, high.maximum(low)], dim=1)


def check_pictures(folder: Path, expected: int) -> list[Path]:
    """The pictures of a sequence. Frames are numbered by them, so none may be missing.

    Raises:
        InputError: there are fewer than the truth is about.
    """
    pictures = list_images(folder)
    if len(pictures) < expected:
        raise InputError(
            f"{folder}: holds {len(pictures)} pictures, the truth is about {expected}; unpack the sequence again"
        )
    return pictures
