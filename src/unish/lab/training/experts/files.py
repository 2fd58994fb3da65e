"""An expert whose answers lie in files: run any depth network over the frames that ``write_frames`` writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from unish.errors import InputError
from unish.lab.datasets.depth_folder import read_depth
from unish.lab.training.experts.protocol import ExpertView


class FileExpert:
    """Depth from ``FOLDER/CLIP/depth/FRAME.png`` (16 bits), ``.npy``, ``.npz`` or ``.exr``.

    CLIP is the number of the clip in six digits, FRAME counts from 000. The unit is free; 0, negative and not finite
    mean unknown.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = f"files {folder}"

    def estimate(self, view: ExpertView) -> Float[Tensor, "F H W"]:
        """What the files say about the pixels that show people.

        Raises:
            InputError: a file is missing, cannot be read or has another size than the pictures.
        """
        folder = _clip_folder(self.folder, view) / "depth"
        maps = [read_depth(folder, f"{frame:03d}", unit_m=0.001) for frame in range(len(view.images))]
        if any(depth.shape != view.images.shape[-2:] for depth in maps):
            raise InputError(f"{folder}: depth is {maps[0].shape}, images are {tuple(view.images.shape[-2:])}")
        depth = torch.from_numpy(np.stack(maps)).to(view.images.device)
        return torch.where(view.person_ids >= 0, depth, 0.0)


def write_frames(views: Iterable[ExpertView], folder: Path) -> None:
    """``FOLDER/CLIP/images/FRAME.png`` of every view: what another network has to answer for a ``FileExpert``."""
    for view in views:
        place = _clip_folder(folder, view) / "images"
        place.mkdir(parents=True, exist_ok=True)
        pictures = (view.images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for frame, picture in enumerate(pictures):
            Image.fromarray(picture).save(place / f"{frame:03d}.png")


def _clip_folder(folder: Path, view: ExpertView) -> Path:
    return folder / f"{view.clip:06d}"
