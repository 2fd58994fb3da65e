"""Pictures as planes of differences: nothing is lost, and pictures become smaller."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from unish.io.colour_maps import join_colours, split_colours


@pytest.mark.parametrize("shape", [(0, 5, 5), (1, 1, 1), (2, 1, 7), (3, 7, 1), (2, 12, 9)], ids=str)
def test_any_colours_come_back(shape: tuple[int, int, int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    planes = split_colours(pictures)
    assert planes.shape == (3, *shape) and planes.dtype == np.uint8
    found = join_colours(planes)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, pictures)


def test_a_smooth_picture_becomes_smaller_than_by_compression_alone() -> None:
    rows, columns = np.mgrid[:96, :128]
    grey = 120 + 60 * np.sin(rows / 20) * np.cos(columns / 30) + np.random.default_rng(0).normal(0, 0.5, rows.shape)
    pictures = (grey[None, ..., None] + [10, 0, -10]).astype(np.uint8)
    assert len(zlib.compress(split_colours(pictures))) < 0.6 * len(zlib.compress(pictures.tobytes()))
