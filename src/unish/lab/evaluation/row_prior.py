"""The row-wise depth prior: mean distance at each height of a picture. A strong baseline for indoor depth.

``tools/measure_row_prior.py`` made ``row_prior.json`` beside this file from 200 clips of seed 3.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.errors import InputError
from unish.lab.evaluation.metrics.depth import MAX_DEPTH_M
from unish.structs import Reconstruction

NUM_ROWS = 60
FILE = Path(__file__).with_name("row_prior.json")


@lru_cache(maxsize=1)
def load_row_prior() -> Float[Tensor, "R"]:
    """Mean depth in metres of ``NUM_ROWS`` equal bands from the top of the picture to its bottom."""
    return torch.tensor(json.loads(FILE.read_text())["rows_m"], dtype=torch.float64)


def row_prior_depth(rows: Float[Tensor, "R"], size: tuple[int, int]) -> Float[Tensor, "1 H W"]:
    """The prior as a depth map of a (height, width) image."""
    bands = torch.nn.functional.interpolate(rows[None, None], size[0], mode="linear", align_corners=False)[0]
    return bands[..., None].expand(1, *size)


def measure_row_prior(folder: Path) -> Float[Tensor, "R"]:
    """Mean over all pixels with 0 < depth < 70 m of every clip in the folder, by band.

    Raises:
        InputError: no clip, or a band without any depth.
    """
    total, count = np.zeros(NUM_ROWS), np.zeros(NUM_ROWS)
    for path in sorted(folder.glob("clip-*.npz")):
        depth = Reconstruction.load(path).in_memory().depth.astype(np.float64)
        valid = (depth > 0) & (depth < MAX_DEPTH_M)
        band = np.arange(depth.shape[1]) * NUM_ROWS // depth.shape[1]
        np.add.at(total, band, np.where(valid, depth, 0).sum((0, 2)))
        np.add.at(count, band, valid.sum((0, 2)))
    if not count.all():
        raise InputError(f"{folder}: too few clips for a row-wise depth prior; make more with `unish synth`")
    return torch.from_numpy(total / count)
