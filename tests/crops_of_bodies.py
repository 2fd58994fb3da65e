"""Bodies in front of a wall, seen exactly: depth, masks, and the relief that a perfect surface head would see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unish.body import Body
from unish.geometry.camera import pixel_grid
from unish.geometry.crop_box import CropBox, square_around
from unish.geometry.surfaces import rasterize_depth
from unish.structs import BodyParams, ReliefCrops

SIZE = (180, 240)
WALL_M = 6.0
CROP = 96


@dataclass(frozen=True, kw_only=True)
class SeenBodies:
    """Two people of 1.7 m in one frame; camera axes, metres.

    Attributes:
        surface: true depth, whose people have folds that bodies lack.
    """

    vertices: Tensor
    faces: np.ndarray
    intrinsics: Tensor
    surface: Tensor
    mask: Tensor
    crops: ReliefCrops

    def true_points(self, person: int) -> Tensor:
        """Of all pixels of a person."""
        own = self.mask == person
        pixels = pixel_grid(*SIZE, like=self.surface)[own]
        rays = (pixels - self.intrinsics[:2, 2]) / self.intrinsics.diagonal()[:2]
        return torch.cat([rays, torch.ones(len(rays), 1)], dim=-1) * self.surface[own][:, None]


def see_bodies(body: Body) -> SeenBodies:
    """One stands straight at 3 m, one at 4 m with an arm held out to the camera."""
    pose = torch.eye(3).repeat(2, 23, 1, 1)
    pose[1, 15] = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    params = BodyParams(
        betas=torch.zeros(2, 10),
        global_orient=torch.diag(torch.tensor([1.0, -1.0, -1.0])).repeat(2, 1, 1),
        body_pose=pose,
        transl=torch.tensor([[-0.7, 0.2, 3.0], [0.7, 0.2, 4.0]]),
    )
    vertices = body.vertices(params)
    intrinsics = torch.tensor([[200.0, 0.0, 120.0], [0.0, 200.0, 90.0], [0.0, 0.0, 1.0]])
    layers = rasterize_depth(vertices, body.faces, intrinsics.expand(2, 3, 3), SIZE)
    depth, mask = torch.full(SIZE, WALL_M), torch.full(SIZE, -1, dtype=torch.int16)
    for person, layer in enumerate(layers):
        nearer = (layer > 0) & (layer < depth)
        depth, mask = torch.where(nearer, layer, depth), torch.where(nearer, person, mask).to(torch.int16)
    folds = 0.01 * torch.sin(pixel_grid(*SIZE, like=depth)[..., 1] / 1.5)
    surface = torch.where(mask >= 0, depth + folds, depth)
    crops = [_cut(surface, mask == person, intrinsics, person) for person in range(2)]
    return SeenBodies(
        vertices=vertices,
        faces=body.faces.numpy(),
        intrinsics=intrinsics,
        surface=surface,
        mask=mask,
        crops=ReliefCrops(
            person=np.array([0, 1], np.int16),
            boxes=np.stack([box for box, _ in crops]),
            size=SIZE,
            relief=np.stack([relief for _, relief in crops]),
            colours=np.full((2, 2 * CROP, 2 * CROP, 3), 90, np.uint8),
        ),
    )


def _cut(surface: Tensor, own: Tensor, intrinsics: Tensor, person: int) -> tuple[np.ndarray, np.ndarray]:
    """Box and relief, which is nonsense outside of the person, and has the offset that a network happens to have.

    Of the nearest pixel: a mean over the outline would be on nobody.
    """
    left, top, side = square_around(own, factor=torch.ones(2), margin=1.15)
    box = CropBox(frame=0, person=person, left=left, top=top, side=side)
    along = (surface * box.along_middle(intrinsics, SIZE)).log() / box.log_unit(intrinsics)
    offset = along[own].median() - 0.3
    nearest = torch.nn.functional.interpolate(
        torch.nn.functional.pad(
            torch.where(own, along - offset, 5.0)[None, None],
            (-left, left + side - SIZE[1], -top, top + side - SIZE[0]),
            value=5.0,
        ),
        (CROP, CROP),
        mode="nearest-exact",
    )[0, 0]
    return np.array([left, top, side]), nearest.numpy()
