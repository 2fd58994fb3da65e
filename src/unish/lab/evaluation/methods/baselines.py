"""What a method has to beat before its numbers mean anything: guesses that look at no pixel, or at each frame alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from unish.body import Body, load_body
from unish.errors import InputError
from unish.geometry.camera import make_intrinsics, pixel_grid, resize_intrinsics
from unish.lab.evaluation.methods.cameras import scale_intrinsics
from unish.lab.evaluation.methods.records import RECORD_LONG_SIDE, People, make_record
from unish.lab.evaluation.predictor import Answer, Request
from unish.lab.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.network import UniSH
from unish.network.small_scene import SmallScene, working_size
from unish.passes import Models
from unish.settings import Settings
from unish.structs import Clip, Tracks
from unish.structs.progress import Progress
from unish.video import processed_size

BASELINE_PREFIX = "baseline:"

FOCAL = 0.9
"""Focal length ÷ long side of the picture where the benchmark does not give it: 58° from edge to edge."""
CONSTANT_DEPTH_M = 3.0
CAMERA_HEIGHT_M = 1.5
WALL_M = 10.0
ARMS_DOWN_RAD = 1.3

Depth = Callable[[Clip, Float[Tensor, "3 3"], tuple[int, int]], Float[Tensor, "#T H W"] | None]
"""(clip, intrinsics for the size, size of the record) → depth of every frame, or one for all."""


def leave_depth_open(clip: Clip, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> None:
    """No depth at all: what only cameras and people are worth."""
    return


def fill_constant_depth(clip: Clip, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "1 H W"]:
    """``CONSTANT_DEPTH_M`` everywhere: a wall across the view."""
    return torch.full((1, *size), CONSTANT_DEPTH_M)


def fill_floor_plane(clip: Clip, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "1 H W"]:
    """The same floor and wall in every frame, see ``render_floor_plane``."""
    return render_floor_plane(intrinsics, size)[None]


def render_floor_plane(intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
    """z of a level floor ``CAMERA_HEIGHT_M`` below the camera, cut off by a wall across the view at z = ``WALL_M``.

    Pixels below the principal point by v − cy see the floor at z = height · fy ÷ (v − cy); all others see the wall.
    """
    slope = (pixel_grid(*size, like=intrinsics)[..., 1] - intrinsics[1, 2]) / intrinsics[1, 1]
    return torch.where(slope > 0, CAMERA_HEIGHT_M / slope.clamp_min(1e-6), WALL_M).clamp_max(WALL_M)


def fill_row_prior(clip: Clip, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "1 H W"]:
    """The mean depth of each height of a picture over our own synthetic clips, see ``row_prior``."""
    return row_prior_depth(load_row_prior(), size).float()


def predict_depth_prior(clip: Clip, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "T H W"]:
    """FastDepth on each frame alone, as it stands in ``small``, farther away the longer the focal length."""
    scene = UniSH.from_pretrained("small").scene.eval()
    assert isinstance(scene, SmallScene)
    working = working_size(*size, max(size))
    known = resize_intrinsics(intrinsics, size, working)[None, None]
    frames = [image.permute(2, 0, 1)[None, None].float() / 255 for image in clip.images]
    log_depth = torch.cat([scene.predict_depth_prior(frame, working) for frame in frames], dim=1)
    depth = (log_depth + scene.log_focal_ratio(known, working)).exp()[0]
    return functional.interpolate(depth[:, None], size, mode="bilinear", align_corners=False)[:, 0]


BASELINES: dict[str, Depth] = {
    "static-camera": leave_depth_open,
    "constant-depth": fill_constant_depth,
    "floor-plane": fill_floor_plane,
    "row-prior": fill_row_prior,
    "photo-prior": predict_depth_prior,
}


class BaselinePredictor:
    """A camera that never moves, one of ``BASELINES`` for the depth, and people who stand.

    The same for all: every camera is the first one; the focal length is the one the benchmark gives, or ``FOCAL``.
    People are those of the benchmark, or of the detector where it gives none and asks for people; each is the mean body
    that faces the camera with hanging arms, as far away as makes its height that of the box, in the middle of the box.
    """

    def __init__(self, name: str, *, body: str = "free", progress: Progress | None = None) -> None:
        if name not in BASELINES:
            raise InputError(f"unknown baseline {name!r}; choose one of {', '.join(BASELINES)}")
        self.name = name
        self.body = body
        self.progress = progress
        self._models = Models()

    @property
    def fingerprint(self) -> str:
        return f"{BASELINE_PREFIX}{self.name}"

    def predict(self, request: Request) -> Answer:
        clip, body = request.read(), load_body(request.settings.get("body", self.body))
        size = processed_size(clip.size, RECORD_LONG_SIDE)
        intrinsics = _guess_intrinsics(request.settings, clip, size)
        depth = BASELINES[self.name](clip, intrinsics, size)
        tracks = self._find_people(request, clip, size)
        people, boxes = stand_in_boxes(tracks, clip.size, size, intrinsics, body)
        record = make_record(
            clip,
            body,
            size=size,
            c2w=np.tile(np.eye(4), (clip.num_frames, 1, 1)),
            intrinsics=np.tile(intrinsics.numpy(), (clip.num_frames, 1, 1)),
            model=self.fingerprint,
            depth=None if depth is None else depth.expand(clip.num_frames, -1, -1).numpy(),
            people=people,
            boxes_xyxy=boxes,
        )
        return Answer(reconstruction=record, report={}, body=body)

    def _find_people(self, request: Request, clip: Clip, size: tuple[int, int]) -> Tracks:
        finder = request.people_finder or self._models.people_finder(
            Settings(**request.settings), progress=self.progress
        )
        return finder(clip, size)[0]


def stand_in_boxes(
    tracks: Tracks, clip_size: tuple[int, int], size: tuple[int, int], intrinsics: Float[Tensor, "3 3"], body: Body
) -> tuple[People, Float[ndarray, "P T 4"]]:
    """Mean bodies in camera coordinates, as high as the boxes of ``tracks``; and these boxes in pixels of ``size``.

    A box that the edge of the picture cuts off puts its person too far away: nothing is done about that.
    """
    scale = np.tile([size[1] / clip_size[1], size[0] / clip_size[0]], 2)
    boxes = tracks.boxes_xyxy.numpy().astype(np.float64) * scale
    valid = tracks.valid.numpy() & (boxes[..., 3] - boxes[..., 1] > 1)
    boxes = np.where(valid[..., None], boxes, np.nan)
    k = intrinsics.double().numpy()
    mean_betas = torch.zeros(1, 10)
    rest = body.shape(mean_betas)
    middle = (rest.vertices[0].amax(0) + rest.vertices[0].amin(0)).double().numpy() / 2
    pelvis = rest.joints[0, 0].double().numpy()
    distance = k[1, 1] * float(body.standing_height(mean_betas)[0]) / (boxes[..., 3] - boxes[..., 1])
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    target = np.concatenate([(centre - k[:2, 2]) / np.diag(k)[:2], np.ones_like(centre[..., :1])], -1)
    # Rest bodies have y up and face +z; half a turn about x brings the head up and the face towards the camera.
    upright = np.diag([1.0, -1.0, -1.0])
    pose = np.zeros((23, 3))
    pose[15, 2], pose[16, 2] = -ARMS_DOWN_RAD, ARMS_DOWN_RAD
    people = People(
        valid=valid,
        betas=np.zeros((len(valid), 10)),
        global_orient_aa=np.tile([math.pi, 0.0, 0.0], (*valid.shape, 1)),
        body_pose_aa=np.tile(pose.reshape(-1), (*valid.shape, 1)),
        transl=target * distance[..., None] - (upright @ (middle - pelvis) + pelvis),
        person_ids=tracks.person_ids.numpy(),
    )
    return people, boxes


def _guess_intrinsics(settings: dict[str, Any], clip: Clip, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """Those of the benchmark in pixels of ``size``, or the usual focal length."""
    if settings.get("intrinsics") is None:
        return make_intrinsics(torch.tensor(FOCAL * max(size)), *size)
    return scale_intrinsics(settings["intrinsics"], clip, size)
