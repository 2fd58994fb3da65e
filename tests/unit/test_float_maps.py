"""Maps of floats as byte planes: nothing is lost, and smooth maps become small."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from unish.io.float_maps import join_bytes, split_bytes

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0], np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (12, 9)], ids=str)
def test_any_bits_come_back(size: tuple[int, int]) -> None:
    dice = np.random.default_rng(0)
    for values in (
        dice.integers(0, 2**32, size, dtype=np.uint32).view(np.float32),
        dice.choice(SPECIAL, size),
        dice.normal(size=size).astype(np.float32),
    ):
        planes = split_bytes(values)
        assert planes.shape == (4, *size) and planes.dtype == np.uint8
        np.testing.assert_array_equal(join_bytes(planes).view(np.uint32), values.view(np.uint32))


def test_a_smooth_map_becomes_smaller_than_by_compression_alone() -> None:
    rows, columns = np.mgrid[:96, :128] / 100
    depth = (3 + np.sin(rows) * columns + 0.5 * rows**2).astype(np.float32)
    assert len(zlib.compress(split_bytes(depth))) < 0.7 * len(zlib.compress(depth.tobytes()))
