"""Depth maps in files: PNG of 16 bits, NumPy arrays, OpenEXR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from PIL import Image

from unish.errors import InputError
from unish.io.exr import read_exr_depth

DEPTH_SUFFIXES = (".png", ".npy", ".npz", ".exr")


def read_depth_map(path: Path, unit: float) -> Float32[ndarray, "H W"]:
    """One map; 0 = unknown, which is what 0, negative and not finite numbers of the file mean.

    Args:
        path: a PNG of one channel, ``.npy``, ``.npz`` (one array, or one called ``depth``) or ``.exr``.
        unit: by which numbers of a PNG are multiplied; the others are taken as they are.

    Raises:
        InputError: it cannot be read.
    """
    depth: ndarray
    try:
        if path.suffix == ".png":
            depth = read_values(path) * unit
        elif path.suffix == ".exr":
            depth = read_exr_depth(path)
        else:
            stored = np.load(path, allow_pickle=False)
            depth = stored if isinstance(stored, ndarray) else stored["depth" if "depth" in stored else stored.files[0]]
    except (OSError, EOFError, IndexError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable depth map ({error}); write it again") from None
    depth = np.asarray(depth, np.float32).squeeze()
    if depth.ndim != 2:
        raise InputError(f"{path}: its array has the shape {depth.shape}; a depth map has rows and columns alone")
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_values(path: Path) -> ndarray:
    """A one-channel png with its own numbers (8 or 16 bits): depth, labels, masks.

    Raises:
        InputError: it cannot be read or has colours.
    """
    try:
        with Image.open(path) as image:
            values = np.array(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}); delete or replace it") from None
    if values.ndim != 2:
        raise InputError(f"{path}: has {values.shape[2]} channels in place of one; store numbers as a grey png")
    return values
