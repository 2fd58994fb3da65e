"""The picture inside of bars: taken out of the frames before anybody looks at them, and put back into the result.

A network that sees bars takes them for a part of the scene: focal length and distances become those of another picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

from unish.structs import Clip, FrameArray, Frames, Reconstruction, pick_frames
from unish.video.borders.bars import Area, choose_frames, find_bars
from unish.video.borders.blank import describe_blank, find_blank, leave_out_frames
from unish.video.borders.inset import fill_area, find_inset
from unish.video.borders.surround import find_surroundings
from unish.video.read import LONG_SIDE, read_clip

_BARS = "bars beside the picture ({}, pixels of the source) are no scene: what is inside is reconstructed"
_SURROUNDINGS = (
    "what never changes around the picture ({}, pixels of the source), as in a recording of a screen, is no scene: "
    "what is inside is reconstructed"
)
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
    return show_inside_bars(read_clip(path, **options, long_side=larger), before=inside)


def show_inside_bars(clip: Clip, *, before: Clip | None = None) -> tuple[Clip, Clip]:
    """The frames that show something, whole, and what they show inside of bars; twice the same where there are none.

    Bars that all shots share are cut off, and so is what never changes around a recorded film. What one shot has more
    of bars becomes padding (``Clip.picture_area``). A picture in the picture is painted over in both
    (``Clip.inset_area``), so that nobody takes its people for people of the scene. A clip that already knows padding is
    taken as it is, and so is one that is blank from end to end.

    Args:
        before: what was found in the same frames at another resolution. It holds where nothing is found now, for an
            edge that is sharp in a small picture may be blurred over many rows of a large one.
    """
    if clip.picture_area is not None:
        return clip, clip
    blank = find_blank(clip.images)
    if blank.all():
        return clip, clip
    shown = pick_frames(clip.images, np.flatnonzero(~blank).tolist())
    area, surrounded = find_bars(shown), False
    if area is None:
        area = find_surroundings(np.asarray(shown[choose_frames(shown)]))
        surrounded = area is not None
    if area is None and before is not None and before.source_area is not None:
        area, surrounded = _rescale(before.source_area, clip), before.surrounded
    inside = clip if area is None else _crop(clip, area, surrounded)
    if area is not None:
        blank |= find_blank(inside.images)
    inside = _fill_inset(inside, ~blank)
    whole = inside if area is None else clip
    if blank.any() and not blank.all():
        inside = replace(inside, warnings=(*inside.warnings, describe_blank(clip, blank)))
        whole, inside = leave_out_frames(whole, blank), leave_out_frames(inside, blank)
    inside = _find_padding_of_shots(inside)
    return whole, inside


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the processed picture lies in the whole processed frame, bars included.

    Attributes:
        size: (height, width) of the whole frame.
        inner: of the picture.
        corner: (top, left) of the picture in the frame.
    """

    size: tuple[int, int]
    inner: tuple[int, int]
    corner: tuple[int, int]

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns of the picture in the frame."""
        (top, left), (height, width) = self.corner, self.inner
        return slice(top, top + height), slice(left, left + width)


def place_inside(whole: Clip, inside: Clip, inner: tuple[int, int]) -> Placement:
    """Where a picture that was processed at (height, width) ``inner`` lies: bars are rounded to pixels."""
    if inside.source_area is None:
        return Placement(size=inner, inner=inner, corner=(0, 0))
    factor = np.array([whole.size[0] / whole.source_size[0], whole.size[1] / whole.source_size[1]] * 2)
    top, left, bottom, right = (np.array(inside.source_area) * factor).round().tolist()
    scale = np.array([inner[0] / (bottom - top), inner[1] / (right - left)])
    before = (np.array([top, left]) * scale).round().astype(int)
    after = (np.array([whole.size[0] - bottom, whole.size[1] - right]) * scale).round().astype(int)
    height, width = (before + inner + after).tolist()
    return Placement(size=(height, width), inner=inner, corner=(int(before[0]), int(before[1])))


def put_back(found: Reconstruction, placement: Placement, images: UInt8[Frames, "T H W 3"]) -> Reconstruction:
    """What was found in the picture inside of bars, in pixels of the whole frames.

    The resolution stays that of the picture: not a value of a map is computed anew. There is nothing but zeros (and
    no person) in the bars. Bars are rounded to pixels; intrinsics, boxes and landmarks are exact for the maps.

    Args:
        images: the whole frames, the processed pictures in them.
    """
    if placement.size == placement.inner:
        return replace(found, images=images)

    def enlarge(values: Frames, fill: int = 0) -> FrameArray:
        def read(frame: int) -> ndarray:
            inner = values[frame]
            out = np.full(placement.size, fill, inner.dtype)
            out[placement.region] = inner
            return out

        return FrameArray((len(values), *placement.size), values.dtype, read)

    shift = np.array(placement.corner[::-1], np.float32)
    intrinsics, extra = found.intrinsics.copy(), dict(found.extra)
    intrinsics[:, :2, 2] += shift
    corrections = extra["depth_correction"].copy()
    corrections[..., 5:7] += shift  # see ``DepthComparison.as_table``
    return replace(
        found,
        image_size=np.array(placement.size, np.int32),
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


def _rescale(area: tuple[float, float, float, float], clip: Clip) -> Area:
    """Pixels of the source → of the clip, to whole ones."""
    rows, columns = clip.size[0] / clip.source_size[0], clip.size[1] / clip.source_size[1]
    top, left, bottom, right = area
    return round(top * rows), round(left * columns), round(bottom * rows), round(right * columns)


def _crop(clip: Clip, area: Area, surrounded: bool) -> Clip:
    """The clip that shows this area (clip pixels) only; says so."""
    top, left, bottom, right = area
    factor = np.array([clip.source_size[0] / clip.size[0], clip.source_size[1] / clip.size[1]] * 2)
    shown = np.array(area) * factor
    y0, x0, y1, x1 = shown.tolist()
    widths = {"left": x0, "right": clip.source_size[1] - x1, "top": y0, "bottom": clip.source_size[0] - y1}
    told = ", ".join(f"{width:.0f} at the {side}" for side, width in widths.items() if width)
    images = clip.images
    inner = FrameArray(
        (len(images), bottom - top, right - left, 3),
        images.dtype,
        lambda frame: images[frame][top:bottom, left:right],
        at_hand=images.at_hand if isinstance(images, FrameArray) else None,
    )
    return replace(
        clip,
        images=images[:, top:bottom, left:right] if isinstance(images, Tensor) else inner,
        source_area=(y0, x0, y1, x1),
        surrounded=surrounded,
        warnings=(*clip.warnings, (_SURROUNDINGS if surrounded else _BARS).format(told)),
    )


def _fill_inset(clip: Clip, shown: Bool[ndarray, "T"]) -> Clip:
    """The clip without the picture in its picture, where it has one; says so."""
    if not shown.any():
        return clip
    frames = pick_frames(clip.images, np.flatnonzero(shown).tolist())
    area = find_inset(np.asarray(frames[choose_frames(frames)]))
    if area is None:
        return clip
    top, left, bottom, right = area
    share = (bottom - top) * (right - left) / (clip.size[0] * clip.size[1])
    note = (
        f"a picture in the picture covers {100 * share:.0f} % of it (rows {top} to {bottom}, columns {left} to {right} "
        f"of {clip.size[1]} x {clip.size[0]}): it was painted over, and is no scene"
    )
    images = clip.images
    filled = FrameArray(
        images.shape,
        torch.uint8,
        lambda frame: torch.from_numpy(fill_area(np.asarray(images[frame]), area)),
        at_hand=images.at_hand if isinstance(images, FrameArray) else None,
    )
    return replace(clip, images=filled, inset_area=area, warnings=(*clip.warnings, note))


def _find_padding_of_shots(clip: Clip) -> Clip:
    """With the bars that only some shots have as padding of their frames."""
    shots = clip.segment.unique().tolist()
    if len(shots) == 1:
        return clip
    areas = torch.tensor([[0, 0, *clip.size]]).repeat(clip.num_frames, 1)
    barred = []
    for shot in shots:
        frames = clip.segment == shot
        area = find_bars(pick_frames(clip.images, frames.nonzero()[:, 0].tolist()))
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
