"""Our own expert: the relief of one person from a crop, learnt on close renders of dressed people.

What relief is stands in ``unish.geometry.crop_box``.

Legend: F frames of H×W pixels, C crops of S×S pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unish.geometry.crop_box import CROP_MARGIN, CropBox, square_around
from unish.lab.training.experts.protocol import ExpertView
from unish.lab.training.stages.people_cache import hash_weights
from unish.network.crop_net import CropNet

_MIN_PIXELS = 100
"""Of a person, below which there is no surface to speak of."""


def find_boxes(person_ids: Int[Tensor, "F H W"], *, margin: float = CROP_MARGIN) -> Iterator[CropBox]:
    """A square around everybody who is large enough, frame by frame."""
    for frame, ids in enumerate(person_ids):
        for person in ids.unique().tolist():
            mask = ids == person
            if person < 0 or int(mask.sum()) < _MIN_PIXELS:
                continue
            left, top, side = square_around(mask, factor=torch.ones(2), margin=margin)
            yield CropBox(frame=frame, person=person, left=left, top=top, side=side)


class CropExpert:
    """``CropNet`` asked about every person of every frame, pasted back into the pixels of the frames.

    Args:
        model: trained; see ``train_crop_expert``.
    """

    def __init__(self, model: CropNet) -> None:
        self.model = model.eval()
        self.key = f"crop {hash_weights(model)}"

    @torch.no_grad()
    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        """Depth with one unknown factor for each person and frame; 0 outside of people, and for very small ones."""
        size = (int(view.images.shape[-2]), int(view.images.shape[-1]))
        depth = torch.zeros_like(view.images[:, 0])
        for box in find_boxes(view.person_ids):
            mask = view.person_ids[box.frame] == box.person
            crop = box.cut(torch.cat([view.images[box.frame], mask[None].float()]), self.model.config.size)
            relief = self.model(crop[None, :3], crop[None, 3] > 0.5)[0]
            camera = view.intrinsics[box.frame]
            along = (box.paste(relief, size) * box.log_unit(camera)).exp()
            depth[box.frame] = torch.where(mask, along / box.along_middle(camera, size), depth[box.frame])
        return depth
