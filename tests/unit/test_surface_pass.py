"""The surface head over a clip: who is looked at, together or alone, and what is not done twice."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unish.network import load_crop_net
from unish.passes import surfaces
from unish.passes.surfaces import read_relief
from unish.structs import Clip, FrameArray

SIZE, SMALL = (240, 320), (120, 160)
NUM_FRAMES = 5


class Head(nn.Module):
    """Answers with the picture's brightness where the mask is, and counts."""

    config = SimpleNamespace(size=32)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        self.asked.append(len(images))
        return images.mean(1) * masks


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Head:
    made = Head()
    monkeypatch.setattr(surfaces, "load_crop_net", lambda: made)
    return made


def make_clip() -> tuple[Clip, FrameArray, Tensor]:
    """Person 0 is large, 1 too small, 2 not to be looked at; 0 is away in frame 3."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (NUM_FRAMES, *SIZE, 3), dtype=np.uint8))
    masks = torch.full((NUM_FRAMES, *SMALL), -1, dtype=torch.int16)
    masks[:, 10:110, 60:100] = 0
    masks[:, 5:17, 5:15] = 1
    masks[:, 20:100, 120:150] = 2
    shown = torch.tensor([[True] * NUM_FRAMES, [True] * NUM_FRAMES, [False] * NUM_FRAMES])
    shown[0, 3] = False
    clip = Clip(
        images=images, timestamps_s=torch.arange(NUM_FRAMES, dtype=torch.float64) / 6, source_size=SIZE,
        frame_indices=torch.arange(NUM_FRAMES), segment=torch.zeros(NUM_FRAMES, dtype=torch.int64),
        name="clip",
    )  # fmt: skip
    return clip, FrameArray(masks.shape, torch.int16, lambda frame: masks[frame]), shown


def test_who_is_large_enough_is_cut_out_of_the_video(head: Head, tmp_path: Path) -> None:
    clip, masks, shown = make_clip()
    read = read_relief(clip, masks, shown, tmp_path / "relief", device=torch.device("cpu"))
    assert [read(frame).person.tolist() for frame in range(NUM_FRAMES)] == [[0], [0], [0], [], [0]]
    assert sum(head.asked) == 4 and len(head.asked) == 1, "people of several frames pass the network together"
    crops = read(0)
    left, top, side = crops.boxes[0].tolist()
    assert crops.size == SIZE and side == 230, "1.15 × 200 pixels of the video"
    assert (left + side / 2, top + side / 2) == pytest.approx((160, 120), abs=1)
    assert crops.colours.shape == (1, 64, 64, 3) and crops.relief.shape == (1, 32, 32)
    inside = crops.colours[0, 30:34, 30:34].astype(float).mean() / 255
    assert crops.relief[0, 15:17, 15:17].mean() == pytest.approx(inside, abs=0.01)
    assert crops.relief[0, 16, 2] == 0, "outside of the mask"


def test_what_is_there_is_not_done_again(head: Head, tmp_path: Path) -> None:
    clip, masks, shown = make_clip()
    whole = read_relief(clip, masks, shown, tmp_path / "whole", device=torch.device("cpu"))
    folder = tmp_path / "relief"
    read_relief(clip, masks, shown, folder, device=torch.device("cpu"))
    (folder / "00000002.npz").unlink()
    head.asked.clear()
    again = read_relief(clip, masks, shown, folder, device=torch.device("cpu"))
    assert head.asked == [1]
    for frame in range(NUM_FRAMES):
        np.testing.assert_array_equal(again(frame).relief, whole(frame).relief)


def test_the_head_that_ships_sees_a_ball_as_round() -> None:
    """And answers the same for crops together and alone."""
    head = load_crop_net()
    size = head.config.size
    y, x = np.mgrid[:size, :size] / size - 0.5
    radius = 0.35
    inside = x**2 + y**2 < radius**2
    z = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))
    shade = np.where(inside, 0.3 + 0.6 * np.clip(z / radius - 0.3 * y / radius, 0, 1), 0.5)
    image = torch.from_numpy(np.stack([shade, 0.9 * shade, 0.8 * shade])).float()
    images, masks = torch.stack([image, image.flip(-1)]), torch.from_numpy(inside).expand(2, -1, -1)
    with torch.inference_mode():
        relief = head(images, masks)
        alone = head(images[1:], masks[1:])
    torch.testing.assert_close(relief[1:], alone, atol=1e-4, rtol=0)
    middle, rim = (
        relief[0][torch.from_numpy(z > 0.9 * radius)],
        relief[0][torch.from_numpy(inside & (z < 0.4 * radius))],
    )
    assert rim.median() > middle.median() + 0.02
