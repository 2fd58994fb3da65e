"""Sizes for the network, and antialiased shrinking."""

from __future__ import annotations

import pytest
import torch

from unish.errors import InputError
from unish.video import processed_size, resize_images


@pytest.mark.parametrize(
    ("source", "long_side", "multiple", "expected"),
    [
        ((720, 1280), 518, 14, (294, 518)),
        ((1920, 1080), 512, 16, (512, 288)),
        ((100, 100), 518, 14, (518, 518)),
        ((40, 1280), 518, 14, (14, 518)),
        ((480, 640), 500, 14, (378, 504)),
    ],
)
def test_processed_size(source: tuple[int, int], long_side: int, multiple: int, expected: tuple[int, int]) -> None:
    assert processed_size(source, long_side, multiple) == expected


def test_processed_size_too_small() -> None:
    with pytest.raises(InputError):
        processed_size((480, 640), 8, 14)


def test_resize_averages_over_areas() -> None:
    stripes = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    small = resize_images(stripes, (8, 8))
    assert (small.float() - 100).abs().max() <= 12  # no moiré


def test_resize_to_the_same_size_changes_nothing(rng: torch.Generator) -> None:
    images = torch.randint(0, 255, (2, 20, 30, 3), generator=rng).to(torch.uint8)
    assert torch.equal(resize_images(images, (20, 30)), images)


def test_resize_keeps_a_ramp(rng: torch.Generator) -> None:
    ramp = torch.arange(0, 240, dtype=torch.float32)[None, None, :, None].expand(1, 32, 240, 3).to(torch.uint8)
    small = resize_images(ramp, (16, 120))[0, 8, :, 0].float()
    assert torch.allclose(small[2:-2], 0.5 + 2 * torch.arange(2.0, 118.0), atol=1.0)
