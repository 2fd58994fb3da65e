"""Frames that show nothing: black before and after a film, a white flash between two scenes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from torch import Tensor

from unish.structs import Clip, Frames, pick_frames

_BLOCKS = 24
"""Blocks along the longer side whose means are compared."""
_SPREAD = 6.0
"""Levels, of 255, between the darkest and the lightest of them, but for the outermost hundredth."""
_BLACK, _WHITE = 28.0, 228.0
"""Mean level. Grey without any contrast may be fog or a wall near the camera."""


def find_blank(images: UInt8[Frames | Tensor, "T H W 3"]) -> Bool[ndarray, "T"]:
    """Which frames are black or white all over."""
    side = max(1, max(images.shape[1:3]) // _BLOCKS)
    rows, columns = (np.arange(0, max(1, length - side + 1), side) for length in images.shape[1:3])
    blank = np.zeros(len(images), bool)
    for index, image in enumerate(images):
        sums = np.add.reduceat(np.add.reduceat(np.asarray(image).astype(np.int64), rows, axis=0), columns, axis=1)
        areas = np.outer(np.diff([*rows, image.shape[0]]), np.diff([*columns, image.shape[1]]))
        means = sums / areas[..., None]
        low, high = np.quantile(means, (0.01, 0.99))
        blank[index] = high - low <= _SPREAD and not _BLACK < means.mean() < _WHITE
    return blank


def leave_out_frames(clip: Clip, out: Bool[ndarray, "T"]) -> Clip:
    """The clip without these frames, and without shots of which nothing is left."""
    keep = torch.from_numpy(~out)
    in_memory = isinstance(clip.images, Tensor)
    images = clip.images[keep] if in_memory else pick_frames(clip.images, keep.nonzero()[:, 0].tolist())
    return replace(
        clip,
        images=images,
        timestamps_s=clip.timestamps_s[keep],
        frame_indices=clip.frame_indices[keep],
        segment=clip.segment[keep].unique(return_inverse=True)[1],
        picture_area=None if clip.picture_area is None else clip.picture_area[keep],
        frame_names=None if clip.frame_names is None else tuple(np.array(clip.frame_names)[~out].tolist()),
    )


def describe_blank(clip: Clip, out: Bool[ndarray, "T"]) -> str:
    """A sentence for the report."""
    times = clip.timestamps_s.numpy()[out]
    lost = len(set(clip.segment.tolist()) - set(clip.segment.numpy()[~out].tolist()))
    shots = f", among them {lost} whole shots" if lost else ""
    return (
        f"{int(out.sum())} of {clip.num_frames} used frames are blank, black or white ({times[0]:.2f} to "
        f"{times[-1]:.2f} s): they were left out{shots}"
    )
