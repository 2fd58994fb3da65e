"""A camera on a tripod is told from one in a hand by the pictures, whatever people do in them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from unish.reconstruction.stillness import camera_stood_still

HEIGHT, WIDTH = 96, 128
NOBODY = torch.full((4, HEIGHT, WIDTH), -1, dtype=torch.int16)


def film(shift_px: float = 0.0, *, gain: float = 1.0, offset: float = 0.0, noise: float = 2.0) -> Tensor:
    """Four frames of a textured wall; frame i shows it ``shift_px`` · i further left, in its own exposure."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 14, 25, generator=generator)
    wall = torch.nn.functional.interpolate(coarse, (HEIGHT, 200), mode="bicubic", align_corners=True)[0, 0]
    frames = []
    for frame in range(4):
        x = torch.arange(WIDTH) + 35.0 + shift_px * frame
        left, share = x.floor().long(), x % 1
        picture = wall[:, left] * (1 - share) + wall[:, left + 1] * share
        picture = 40 + 150 * picture
        exposed = picture * (gain if frame % 2 else 1.0) + (offset if frame % 2 else 0.0)
        frames.append(exposed + noise * torch.randn(HEIGHT, WIDTH, generator=generator))
    return torch.stack(frames)[..., None].repeat(1, 1, 1, 3).clamp(0, 255).to(torch.uint8)


def test_a_tripod_stands_still_in_noise_and_in_changing_light() -> None:
    assert camera_stood_still(film(), NOBODY)
    assert camera_stood_still(film(gain=0.8, offset=15.0), NOBODY)


@pytest.mark.parametrize("shift_px", [-8.0, -0.2, 0.2, 1.0, 8.0])
def test_a_camera_that_turns_does_not(shift_px: float) -> None:
    """The last frame is off by three times as much: 0.6 pixels at least."""
    assert not camera_stood_still(film(shift_px), NOBODY)


def test_a_tenth_of_a_pixel_is_no_movement() -> None:
    assert camera_stood_still(film(0.1), NOBODY)


def test_a_cut_to_another_picture_is_no_stillness() -> None:
    pictures = film()
    pictures[2] = pictures[2].flip(1)
    assert not camera_stood_still(pictures, NOBODY)


def test_people_may_move_before_a_camera_that_stands_still() -> None:
    pictures, masks = film(), NOBODY.clone()
    generator = torch.Generator().manual_seed(1)
    for frame in range(4):
        across = slice(20 + 12 * frame, 80 + 12 * frame)
        pictures[frame, :, across] = torch.randint(0, 255, (HEIGHT, 60, 3), generator=generator, dtype=torch.uint8)
        masks[frame, :, across] = 0
    assert camera_stood_still(pictures, masks)
    assert not camera_stood_still(pictures, NOBODY), "the same change without anybody to explain it"


def test_a_small_corner_with_texture_does_not_tell() -> None:
    """A tile is a twelfth of the long side, and six of them are asked for."""
    pictures = film()
    plain = torch.full_like(pictures, 128)
    plain[:, :15, :15] = pictures[:, :15, :15]
    assert not camera_stood_still(plain, NOBODY)
    plain[:, :33, :44] = pictures[:, :33, :44]
    assert camera_stood_still(plain, NOBODY)


def test_without_texture_without_space_and_with_one_frame_nothing_is_known() -> None:
    assert not camera_stood_still(torch.full((4, HEIGHT, WIDTH, 3), 128, dtype=torch.uint8), NOBODY)
    assert not camera_stood_still(film(), torch.zeros_like(NOBODY))
    assert not camera_stood_still(film()[:1], NOBODY[:1])
