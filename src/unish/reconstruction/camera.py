"""The camera of a shot, decided once, from the first prediction that was made of it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from unish.geometry.camera import make_intrinsics, resize_intrinsics
from unish.geometry.focal import focal_to_pixels, recover_shared_focal_and_shift
from unish.structs import CONFIDENT, Camera, Clip, Lens, Prediction

FOCAL_RANGE = (0.2, 20.0)
"""In half diagonals of the picture: 157 to 6 degrees across the diagonal. Points that ask for more are no scene."""

USUAL_FOCAL = 1.5
"""Where nothing can be solved: 56 degrees along the long side of a 16:9 picture."""


def know_camera(intrinsics: tuple[float, float, float, float], clip: Clip) -> Camera:
    """The camera that the user gives as (fx, fy, cx, cy), pixels of the whole source, of what the clip shows of it."""
    fx, fy, cx, cy = intrinsics
    matrix = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float32)
    if clip.source_area is None:
        return Camera(matrix=matrix, size=clip.source_size, focal_source="given")
    top, left, bottom, right = clip.source_area
    matrix[:2, 2] -= torch.tensor([left, top])
    factors = torch.tensor([clip.size[1] / (right - left), clip.size[0] / (bottom - top), 1.0])
    return Camera(matrix=matrix * factors[:, None], size=clip.size, focal_source="given")


def know_lens(lens: Lens, clip: Clip) -> Camera:
    """The camera with this lens, of what the clip shows of the source.

    Its principal point is the middle of the source, or of the film that is cut out of a recorded screen.
    """
    height, width = float(clip.source_size[0]), float(clip.source_size[1])
    top, left, bottom, right = clip.source_area or (0.0, 0.0, height, width)
    rows, columns = clip.size[0] / (bottom - top), clip.size[1] / (right - left)
    if clip.surrounded:
        height, width, top, left = bottom - top, right - left, 0.0, 0.0
    focal = torch.tensor(lens.focal * math.hypot(height * rows, width * columns), dtype=torch.float32)
    matrix = make_intrinsics(focal, *clip.size)
    matrix[0, 2], matrix[1, 2] = (width / 2 - left) * columns, (height / 2 - top) * rows
    return Camera(matrix=matrix, size=clip.size, focal_source=lens.source, focal_sigma=lens.log_sigma)


def decide_camera(prediction: Prediction, picture_size: tuple[int, int], *, predicted: bool) -> Camera:
    """One pinhole with square pixels and the principal point in the middle, for all frames of a shot.

    A solved focal length that no lens has gives way to a usual one, and counts as guessed.

    Args:
        prediction: of the first window of the shot, batch of one.
        picture_size: (height, width) of the picture with square pixels that the network's images were resized from.
        predicted: the network itself says which camera it assumed (``Prediction.intrinsics``), the same for all frames;
            else the one camera is solved that explains the points of all frames best.
    """
    height, width = prediction.point_conf_logits.shape[-2:]
    if predicted and prediction.intrinsics is not None:
        matrix = resize_intrinsics(prediction.intrinsics[0, 0], (height, width), picture_size)
        solved = prediction.solves_focal is not None and bool(prediction.solves_focal[0])
        return Camera(matrix=matrix, size=picture_size, focal_source="solved" if solved else "guessed")
    confident = prediction.point_conf_logits[0].sigmoid() > CONFIDENT
    focal, _ = recover_shared_focal_and_shift(prediction.local_points[0], confident, picture_size=picture_size)
    solved = FOCAL_RANGE[0] < float(focal) < FOCAL_RANGE[1]
    focal = focal if solved else torch.full_like(focal, USUAL_FOCAL)
    matrix = make_intrinsics(focal_to_pixels(focal, *picture_size), *picture_size)
    return Camera(matrix=matrix, size=picture_size, focal_source="solved" if solved else "guessed")


def intrinsics_at(camera: Camera, size: tuple[int, int]) -> Float[Tensor, "3 3"]:
    """Intrinsics in pixels of a picture of (height, width) ``size``."""
    return resize_intrinsics(camera.matrix, camera.size, size)
