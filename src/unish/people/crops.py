"""Square crops of people for a crop-based human branch, sampled as the published network expects them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from torch import Tensor

from unish.structs import Crops

CROP_SIZE = 256


def cut_crops(
    images: UInt8[Tensor, "T H W 3"],
    boxes_xyxy: Float[Tensor, "P T 4"],
    valid: Bool[Tensor, "P T"],
    *,
    box_scale: float = 1.0,
) -> Crops:
    """Crops of everybody who is valid, and where they were cut.

    Args:
        images: the frames.
        boxes_xyxy: pixels of ``images``.
        box_scale: side of the square over the longer side of the box.
    """
    num_people, num_frames = valid.shape
    patches = torch.zeros(num_people, num_frames, 3, CROP_SIZE, CROP_SIZE)
    bbox_info = torch.zeros(num_people, num_frames, 3)
    middle = torch.tensor([images.shape[2] / 2, images.shape[1] / 2])
    for person, frame in valid.nonzero().tolist():
        low, high = boxes_xyxy[person, frame].split(2)
        centre, side = (low + high) / 2, (high - low).max() * box_scale
        bbox_info[person, frame] = torch.cat([centre - middle, side[None]])
        patches[person, frame] = sample_square(images[frame], centre.double(), side.double())
    return Crops(patches=patches, bbox_info=bbox_info, valid=valid)


def sample_square(
    image: UInt8[Tensor, "H W 3"], centre: Float64[Tensor, "2"], side: Float64[Tensor, ""]
) -> Float32[Tensor, "3 size size"]:
    """Bilinear samples in [0, 1], zero outside the picture.

    Pixel (X, Y) of the crop is the picture at (cx + (X − 128)·s/256, cy + (Y − 128)·s/256), where *whole numbers* are
    pixel centres: that is what OpenCV's ``warpAffine`` does, so it is half a pixel off the +0.5 convention on purpose.
    """
    steps = (torch.arange(CROP_SIZE, dtype=torch.float64) - CROP_SIZE / 2) * (side / CROP_SIZE)
    rows = _line_weights(centre[1] + steps, image.shape[0])
    columns = _line_weights(centre[0] + steps, image.shape[1])
    picture = image.permute(2, 0, 1).double() / 255
    return (rows @ picture @ columns.T).float()


def _line_weights(positions: Float64[Tensor, "N"], length: int) -> Float[Tensor, "N length"]:
    """Bilinear interpolation along one axis as a matrix: hat functions around each position."""
    pixels = torch.arange(length, dtype=torch.float64)
    return (1 - (positions[:, None] - pixels).abs()).clamp_min(0)
