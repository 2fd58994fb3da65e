"""Square crops of people, and what depth is in them.

A crop does not show how far away somebody is, but it shows how deep a surface is for its width. *Relief* is depth along
the ray of the crop's middle, in sides of the crop, with any offset. For somebody at distance Z whose crop is s pixels
wide under the focal length f, a side is Z·s/f metres, and (weak perspective)

    log(depth along the middle ray) = log Z + relief · s / f.

Legend: pictures of H×W pixels, crops of S×S pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional

from unish.geometry.camera import pixel_grid

CROP_MARGIN = 1.15
"""Side of a crop over the longer side of the person's box."""


@dataclass(frozen=True, kw_only=True)
class CropBox:
    """A square around a person: whole pixels, which may reach out of the picture."""

    frame: int
    person: int
    left: int
    top: int
    side: int

    def cut(self, maps: Shaped[Tensor, "D H W"], size: int) -> Float[Tensor, "D size size"]:
        """The square, resized; 0 outside of the picture."""
        height, width = maps.shape[-2:]
        beyond = (-self.left, self.left + self.side - width, -self.top, self.top + self.side - height)
        square = functional.pad(maps, beyond).float()  # negative widths cut
        return functional.interpolate(square[None], (size, size), mode="bilinear", antialias=True)[0]

    def paste(self, values: Float[Tensor, "S S"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
        """The square in its place in a picture of (H, W), 0 elsewhere."""
        square = functional.interpolate(values[None, None], (self.side, self.side), mode="bilinear")[0, 0]
        return functional.pad(
            square, (self.left, size[1] - self.left - self.side, self.top, size[0] - self.top - self.side)
        )

    def log_unit(self, intrinsics: Float[Tensor, "3 3"]) -> Float[Tensor, ""]:
        """s / f: relief times this is the change of log-depth."""
        return self.side / (intrinsics[0, 0] * intrinsics[1, 1]).sqrt()

    def along_middle(self, intrinsics: Float[Tensor, "3 3"], size: tuple[int, int]) -> Float[Tensor, "H W"]:
        """Depth along the crop's middle ray over z, for every pixel of the picture."""
        pixels = pixel_grid(*size, like=intrinsics)
        focal, centre = intrinsics.diagonal()[:2], intrinsics[:2, 2]
        middle = (pixels.new_tensor([self.left, self.top]) + self.side / 2 - centre) / focal
        axis = functional.normalize(torch.cat([middle, middle.new_ones(1)]), dim=0)
        return ((pixels - centre) / focal) @ axis[:2] + axis[2]


def square_around(mask: Bool[Tensor, "H W"], *, factor: Float[Tensor, "2"], margin: float) -> tuple[int, int, int]:
    """Left, top and side, in whole pixels, of a square with room around all that a mask shows.

    Args:
        factor: (x, y) pixels of the picture that is to be cut for one of the mask.
        margin: the side over the longer side of what the mask shows.
    """
    rows, columns = mask.nonzero(as_tuple=True)
    low = torch.stack([columns.min(), rows.min()]) * factor
    high = torch.stack([columns.max() + 1, rows.max() + 1]) * factor
    side = int(((high - low).max() * margin).ceil())
    left, top = ((low + high - side) / 2).floor().long().tolist()
    return left, top, side


def place_crops(
    boxes: Int[Tensor, "K 3"], from_size: tuple[int, int], to_size: tuple[int, int], size: int
) -> Float[Tensor, "K size size 2"]:
    """Where the pixels of K crops lie in another size of the picture that they were cut from.

    Args:
        boxes: left, top, side in pixels of the picture of (height, width) ``from_size``.
        to_size: of the picture that the result is in pixels of.
    """
    factor = _find_factor(from_size, to_size)
    left_top, side = boxes[:, None, None].float().split([2, 1], dim=-1)
    return (left_top + pixel_grid(size, size, like=factor) / size * side) * factor


def place_in_crop(
    box: Int[Tensor, "3"], places: Float[Tensor, "N 2"], from_size: tuple[int, int], to_size: tuple[int, int]
) -> Float[Tensor, "N 2"]:
    """The same of some places in one crop, (x, y) in sides of it."""
    return (box[:2].float() + places * box[2].float()) * _find_factor(from_size, to_size)


def _find_factor(from_size: tuple[int, int], to_size: tuple[int, int]) -> Float[Tensor, "2"]:
    """(x, y)"""
    return torch.tensor([to_size[1] / from_size[1], to_size[0] / from_size[0]])


def sample_crops(
    maps: Float[Tensor, "K H W"], pixels: Float[Tensor, "K rows columns 2"], *, nearest: bool = False
) -> Float[Tensor, "K rows columns"]:
    """Values of a map for each crop at places in it, bilinear or of the nearest pixel; 0 outside of the picture."""
    spots = 2 * pixels / pixels.new_tensor([maps.shape[-1], maps.shape[-2]]) - 1
    mode = "nearest" if nearest else "bilinear"
    return functional.grid_sample(maps[:, None], spots, mode=mode, align_corners=False)[:, 0]
