"""The surface head over everybody in every dense frame; what it saw goes to the disk, a file for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int16
from torch import Tensor
from torch.nn import functional

from unish.geometry.crop_box import CROP_MARGIN, CropBox, place_crops, sample_crops, square_around
from unish.io import has_frame, read_frame, write_frame
from unish.io.colour_maps import join_colours, split_colours
from unish.network import load_crop_net
from unish.structs import Clip, FrameArray, ReliefCrops
from unish.structs.progress import Progress

_MIN_PIXELS = 100
"""Of a mask, below which there is no surface to speak of."""

_MIN_SIDE = 48
"""Of a crop in pixels of the video: of people who are smaller, the scene's depth shows as much."""

_FINER = 2
"""Points along a side of a crop for one pixel of the network: relief is smoother than colours."""

_CROPS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class ReliefReader:
    """Dense frame → its crops, from the files of a folder."""

    folder: Path
    size: tuple[int, int]

    def __call__(self, frame: int) -> ReliefCrops:
        kept = read_frame(self.folder, frame)
        kept |= {"relief": kept["relief"].astype(np.float32), "colours": join_colours(kept["colours"])}
        return ReliefCrops(**kept, size=self.size)


def write_relief(folder: Path, frame: int, crops: ReliefCrops) -> None:
    """What ``ReliefReader`` reads; ``folder`` is there, or made."""
    arrays = {name: value for name, value in vars(crops).items() if name != "size"}
    packed = {"relief": crops.relief.astype(np.float16), "colours": split_colours(crops.colours)}
    write_frame(folder, frame, arrays | packed)


def read_relief(
    clip: Clip,
    masks: Int16[FrameArray, "D h w"],
    shown: Bool[Tensor, "P D"],
    folder: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> ReliefReader:
    """Cut everybody who is large enough out of the video's own pixels, and ask the surface head about them.

    What the folder holds already is not done again; people of several frames pass the network together.

    Args:
        clip: the D frames.
        masks: index into the people axis, −1 = scene.
        shown: who is to be looked at.
        device: where the network runs.
    """
    waiting: list[tuple[int, list[CropBox]]] = []
    read = partial(_read_crops, clip, masks, folder, device)
    for frame in range(clip.num_frames):
        if not has_frame(folder, frame):
            waiting.append((frame, list(_find_people(masks[frame], shown[:, frame], clip.size, frame))))
        if frame == clip.num_frames - 1 or sum(len(boxes) for _, boxes in waiting) >= _CROPS_AT_ONCE:
            read(waiting)
            waiting = []
        if progress is not None:
            progress("surfaces of people", frame + 1, clip.num_frames)
    return ReliefReader(folder=folder, size=clip.size)


def _find_people(
    mask: Int16[Tensor, "h w"], shown: Bool[Tensor, "P"], size: tuple[int, int], frame: int
) -> Iterator[CropBox]:
    """Squares in pixels of the picture of (height, width) ``size``."""
    factor = torch.tensor([size[1] / mask.shape[1], size[0] / mask.shape[0]])
    for person in shown.nonzero()[:, 0].tolist():
        own = mask == person
        if int(own.sum()) < _MIN_PIXELS:
            continue
        left, top, side = square_around(own, factor=factor, margin=CROP_MARGIN)
        if side >= _MIN_SIDE:
            yield CropBox(frame=frame, person=person, left=left, top=top, side=side)


@torch.inference_mode()
def _read_crops(
    clip: Clip,
    masks: Int16[FrameArray, "D h w"],
    folder: Path,
    device: torch.device,
    waiting: list[tuple[int, list[CropBox]]],
) -> None:
    """Ask about all crops of some frames, and keep the answers frame by frame."""
    model = load_crop_net().to(device)
    side = model.config.size
    boxes = [box for _, boxes in waiting for box in boxes]
    places = torch.tensor([[box.left, box.top, box.side] for box in boxes], dtype=torch.int64).reshape(-1, 3)
    colours = torch.zeros(len(boxes), _FINER * side, _FINER * side, 3, dtype=torch.uint8)
    relief = torch.zeros(len(boxes), side, side)
    if boxes:
        cut = [box.cut(clip.images[box.frame].permute(2, 0, 1), _FINER * side) for box in boxes]
        colours = torch.stack(cut).clamp(0, 255).round().byte()
        pictures = functional.avg_pool2d(colours.float(), _FINER)
        colours = colours.permute(0, 2, 3, 1)
        own = torch.stack([masks[box.frame] == box.person for box in boxes])
        pixels = place_crops(places, clip.size, (int(own.shape[-2]), int(own.shape[-1])), side)
        shows = sample_crops(own.float(), pixels) > 0.5
        relief = model((pictures / 255).to(device), shows.to(device)).cpu()
    first = 0
    for frame, found in waiting:
        part = slice(first, first + len(found))
        crops = ReliefCrops(
            person=np.array([box.person for box in found], np.int16),
            boxes=places[part].numpy(),
            size=clip.size,
            relief=relief[part].numpy(),
            colours=colours[part].numpy(),
        )
        write_relief(folder, frame, crops)
        first = part.stop
