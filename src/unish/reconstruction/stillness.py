"""Whether a camera stood still, decided once per shot from the pictures themselves.

Matches of a learnt network are good to a pixel or so, of which the solver makes centimetres and tenths of a degree of
movement. Pictures of a camera on a tripod agree to hundredths of a pixel wherever nothing moves.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int16, UInt8
from torch import Tensor

from unish.structs import FrameTensor

TILES = 12
"""Of the long side of the picture."""

MAX_SHIFT_PX = 0.4
"""Median shift of the tiles, in pixels of the processed image, below which nothing moved. Chosen on 34 clips of two to
eight seconds: cameras on tripods have frames up to 0.3, those in hands go beyond 1.5 in every clip."""

MIN_CORRELATION = 0.8
MIN_TEXTURE = 5e-5
"""Smallest eigenvalue of the mean gradient tensor, luma in 0..1, of a tile in which a shift can be seen."""

MIN_TILES = 6
MAX_COVERED = 0.3
"""Share of a tile that people, sky and padding may cover in either picture."""


def camera_stood_still(
    images: UInt8[FrameTensor, "T H W 3"],
    masks: Int16[FrameTensor, "T H W"],
    no_scene: Bool[FrameTensor, "T H W"] | None = None,
) -> bool:
    """Every frame shows the scene at the very place where the first one does.

    Tile by tile, the shift, gain and offset that explain a frame by the first one are solved linearly (Lucas & Kanade,
    1981); the median over tiles that are textured and show nothing but scene decides. ``False`` for one frame, and
    where too few tiles tell.

    Args:
        images: frames of one shot.
        masks: index of the person at each pixel, −1 = scene.
        no_scene: sky, whose clouds move whatever the camera does, and padding, which never moves.
    """
    if len(images) < 2:
        return False
    side = max(4, -(-max(images.shape[1:3]) // TILES))
    first = _luma(images[0])
    x, y = torch.zeros_like(first), torch.zeros_like(first)
    x[:, 1:-1], y[1:-1] = (first[:, 2:] - first[:, :-2]) / 2, (first[2:] - first[:-2]) / 2
    design = torch.stack([_tiles(part, side) for part in (x, y, first, torch.ones_like(first))], dim=-1)
    textured = _smallest_eigenvalue(design[..., :2]) > MIN_TEXTURE

    def free(frame: int) -> Bool[Tensor, "N"]:
        covered = masks[frame] >= 0 if no_scene is None else (masks[frame] >= 0) | no_scene[frame]
        return _tiles(covered.float(), side).mean(-1) <= MAX_COVERED

    usable_at_first = textured & free(0)
    for frame in range(1, len(images)):
        usable = usable_at_first & free(frame)
        if int(usable.sum()) < MIN_TILES or not _agree(design[usable], _tiles(_luma(images[frame]), side)[usable]):
            return False
    return True


def _agree(design: Float[Tensor, "N K 4"], seen: Float[Tensor, "N K"]) -> bool:
    """Whether the tiles of a frame are those of the first one: alike, and not shifted."""
    gram = design.mT @ design + 1e-6 * torch.eye(4)
    solution = torch.linalg.solve(gram, design.mT @ seen[..., None])[..., 0]
    shift = solution[:, :2].norm(dim=-1) / solution[:, 2].abs().clamp_min(0.1)
    pair = torch.stack([design[..., 2], seen], dim=-2)
    pair = pair - pair.mean(-1, keepdim=True)
    unit = torch.nn.functional.normalize(pair, dim=-1)
    correlation = (unit[:, 0] * unit[:, 1]).sum(-1)
    return bool(shift.median() <= MAX_SHIFT_PX) and bool(correlation.median() >= MIN_CORRELATION)


def _luma(image: UInt8[Tensor, "H W 3"]) -> Float[Tensor, "H W"]:
    """ITU-R BT.601 in 0..1, smoothed over 5×5 pixels so that a gradient means something."""
    grey = (image.float() @ torch.tensor([0.299, 0.587, 0.114]) / 255)[None, None]
    padded = torch.nn.functional.pad(grey, (2, 2, 2, 2), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 5, stride=1)[0, 0]


def _tiles(plane: Float[Tensor, "H W"], side: int) -> Float[Tensor, "N K"]:
    """Square tiles, those at the right and lower border that are not whole left out."""
    return plane.unfold(0, side, side).unfold(1, side, side).reshape(-1, side * side)


def _smallest_eigenvalue(gradient: Float[Tensor, "N K 2"]) -> Float[Tensor, "N"]:
    tensor = gradient.mT @ gradient / gradient.shape[1]
    half_trace = (tensor[:, 0, 0] + tensor[:, 1, 1]) / 2
    return half_trace - torch.hypot((tensor[:, 0, 0] - tensor[:, 1, 1]) / 2, tensor[:, 0, 1])
