"""Single pictures as a clip: for data sets that are no videos."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray

from unish.structs import Clip


def clip_of_pictures(
    pictures: UInt8[ndarray, "T H W 3"],
    *,
    times_s: Float[ndarray, "T"],
    numbers: Int[ndarray, "T"],
    name: str,
) -> Clip:
    """Pictures of one size as one shot, however different they look: the reader's search for cuts is left out.

    Args:
        numbers: of the pictures in their data set; they come back as ``frame_indices``.
    """
    return Clip(
        images=torch.from_numpy(pictures),
        timestamps_s=torch.from_numpy(times_s).double(),
        frame_indices=torch.from_numpy(numbers).long(),
        segment=torch.zeros(len(pictures), dtype=torch.int64),
        source_size=(int(pictures.shape[1]), int(pictures.shape[2])),
        name=name,
    )
