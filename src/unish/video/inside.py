"""The picture inside of bars: taken out of the frames before anybody looks at them, and put back into the result.

A network that sees bars takes them for a part of the scene: focal length and distances become those of another picture.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from unish.structs import Clip, Reconstruction
from unish.video.bars import Area, find_bars
from unish.video.blank import describe_blank, find_blank, leave_out_frames
from unish.video.read import LONG_SIDE, read_clip
from unish.video.resize import resize_images

_NEARLY = 0.95
"""Of the size of the source."""


def read_inside_bars(path: str | Path, **options: Any) -> tuple[Clip, Clip]:
    """``read_clip``, and ``show_inside_bars`` at the resolution that the picture would be read at without its bars."""
    whole = read_clip(path, **options)
    whole, inside = show_inside_bars(whole)
    if inside.source_area is None or whole.size == whole.source_size:
        return whole, inside
    larger = math.ceil(LONG_SIDE * max(whole.size) / max(inside.size))
    if larger >= _NEARLY * max(whole.source_size):
        # Shrinking by less than that would cost more than the pixels that it saves.
        larger = max(whole.source_size)
    return show_inside_bars(read_clip(path, **options, long_side=larger))


def show_inside_bars(clip: Clip) -> tuple[Clip, Clip]:
    """The frames that show something, whole, and what they show inside of bars; twice the same where there are none.

    Bars that all shots share are cut off. What one shot has more of them becomes padding (``Clip.picture_area``). A
    clip that already knows padding is taken as it is, and so is one that is blank from end to end.
    """
    if clip.picture_area is not None:
        return clip, clip
    blank = find_blank(clip.images.numpy())
    if blank.all():
        return clip, clip
    area = find_bars(clip.images.numpy()[~blank] if blank.any() else clip.images.numpy())
    inside = clip if area is None else _crop(clip, area)
    if area is not None:
        blank |= find_blank(inside.images.numpy())
    whole = clip
    if blank.any() and not blank.all():
        inside = replace(inside, warnings=(*inside.warnings, describe_blank(clip, blank)))
        whole, inside = leave_out_frames(clip, blank), leave_out_frames(inside, blank)
    inside = _find_padding_of_shots(inside)
    return whole, inside


def put_back(found: Reconstruction, whole: Clip, inside: Clip) -> Reconstruction:
    """What was found in the picture inside of bars, in pixels of the whole frames.

    The resolution stays that of the picture: not a value of a map is computed anew. There is nothing but zeros (and
    no person) in the bars. Bars are rounded to pixels; intrinsics, boxes and landmarks are exact for the maps.
    """
    if inside.source_area is None:
        return found
    factor = np.array([whole.size[0] / whole.source_size[0], whole.size[1] / whole.source_size[1]] * 2)
    top, left, bottom, right = (np.array(inside.source_area) * factor).round().tolist()
    inner = (int(found.image_size[0]), int(found.image_size[1]))
    scale = np.array([inner[0] / (bottom - top), inner[1] / (right - left)])
    before = (np.array([top, left]) * scale).round().astype(int)
    after = (np.array([whole.size[0] - bottom, whole.size[1] - right]) * scale).round().astype(int)
    size = tuple(int(one) for one in before + inner + after)
    place = (slice(None), slice(before[0], before[0] + inner[0]), slice(before[1], before[1] + inner[1]))

    def enlarge(values: ndarray, fill: int = 0) -> ndarray:
        out = np.full((len(values), *size, *values.shape[3:]), fill, values.dtype)
        out[place] = values
        return out

    images = resize_images(whole.images, (size[0], size[1])).numpy().copy()
    images[place] = found.images
    shift = before[::-1].astype(np.float32)
    intrinsics, extra = found.intrinsics.copy(), dict(found.extra)
    intrinsics[:, :2, 2] += shift
    corrections = extra["depth_correction"].copy()
    corrections[..., 5:7] += shift  # see ``DepthComparison.as_table``
    return replace(
        found,
        image_size=np.array(size, np.int32),
        images=images,
        intrinsics=intrinsics,
        depth=enlarge(found.depth),
        point_conf=enlarge(found.point_conf),
        sky=None if found.sky is None else enlarge(found.sky),
        person_masks=enlarge(found.person_masks, -1),
        boxes_xyxy=found.boxes_xyxy + np.tile(shift, 2),
        landmarks_px=found.landmarks_px + np.append(shift, np.float32(0)),
        extra=extra | {"depth_correction": corrections},
    )


def _crop(clip: Clip, area: Area) -> Clip:
    """The clip that shows this area (clip pixels) only; says so."""
    top, left, bottom, right = area
    factor = np.array([clip.source_size[0] / clip.size[0], clip.source_size[1] / clip.size[1]] * 2)
    shown = np.array(area) * factor
    y0, x0, y1, x1 = shown.tolist()
    widths = {"left": x0, "right": clip.source_size[1] - x1, "top": y0, "bottom": clip.source_size[0] - y1}
    told = ", ".join(f"{width:.0f} at the {side}" for side, width in widths.items() if width)
    note = f"bars beside the picture ({told}, pixels of the source) are no scene: what is inside is reconstructed"
    return replace(
        clip,
        images=clip.images[:, top:bottom, left:right],
        source_area=(y0, x0, y1, x1),
        warnings=(*clip.warnings, note),
    )


def _find_padding_of_shots(clip: Clip) -> Clip:
    """With the bars that only some shots have as padding of their frames."""
    shots = clip.segment.unique().tolist()
    if len(shots) == 1:
        return clip
    areas = torch.tensor([[0, 0, *clip.size]]).repeat(clip.num_frames, 1)
    barred = []
    for shot in shots:
        frames = clip.segment == shot
        area = find_bars(clip.images[frames].numpy())
        if area is not None:
            areas[frames] = torch.tensor(area)
            barred.append(str(shot))
    if not barred:
        return clip
    note = (
        f"shots {', '.join(barred)} (from 0) have bars beside the picture that others lack: no depth is given there, "
        "but the network saw them, and their distances and field of view may be wrong; give each shot as a video"
    )
    return replace(clip, picture_area=areas, warnings=(*clip.warnings, note))
