"""Regions and crops: to the crop and back, and what is sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unish.people.crops import cut_crops, sample_square
from unish.people.regions import Region, cut_region

regions = st.builds(
    Region,
    x=st.floats(-100, 900),
    y=st.floats(-100, 900),
    side=st.floats(2, 1500),
    angle=st.floats(-math.pi, math.pi),
)


@settings(deadline=None, max_examples=50)
@given(region=regions, points=st.lists(st.tuples(st.floats(-500, 1500), st.floats(-500, 1500)), min_size=1))
def test_from_the_picture_to_the_region_and_back(region, points):
    points = np.array(points)
    assert np.allclose(region.to_picture(region.from_picture(points)), points, atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(region=regions)
def test_bounds_hold_the_corners(region):
    corners = region.to_picture(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    assert np.allclose(region.bounds(), [*corners.min(axis=0), *corners.max(axis=0)], atol=1e-3)


def test_cut_region_samples_where_the_region_says():
    # The picture holds its own coordinates, so a crop shows where each of its pixels came from.
    y, x = torch.meshgrid(torch.arange(120) + 0.5, torch.arange(200) + 0.5, indexing="ij")
    picture = torch.stack([x, y, x + y])
    region = Region(x=103.0, y=61.0, side=50.0, angle=0.7)
    crop = cut_region(picture, region, 16)
    index = (np.arange(16) + 0.5) / 16
    spots = np.stack(np.meshgrid(index, index), axis=-1)
    assert np.allclose(crop[:2].permute(1, 2, 0).numpy(), region.to_picture(spots), atol=1e-3)


def test_cut_region_pads_with_black_beyond_the_border():
    crop = cut_region(torch.ones(3, 40, 40), Region(x=0.0, y=20.0, side=40.0), 8)
    assert torch.equal(crop[:, :, :4], torch.zeros(3, 8, 4))
    assert torch.allclose(crop[:, :, 4:], torch.ones(3, 8, 4))


@pytest.mark.parametrize(
    ("box", "side"), [((10, 20, 50, 100), 100.0), ((10, 20, 110, 60), 125.0), ((10, 20, 10.4, 20.6), 1.25)]
)
def test_around_box_is_upright_around_the_middle(box, side):
    """The longer side times the margin, a pixel at least."""
    region = Region.around_box(np.array(box, float), margin=1.25)
    assert (region.x, region.y) == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert region.side == pytest.approx(side) and region.angle == 0


@pytest.mark.parametrize("degrees", [-179, -90, -1, 0, 45, 90, 179])
def test_around_body_has_the_whole_circle_and_the_head_on_top(degrees):
    """The angle is how far the head is turned from up, to the right, between −π and π."""
    angle = math.radians(degrees)
    top = np.array([60 + 30 * math.sin(angle), 40 - 30 * math.cos(angle)])
    region = Region.around_body(np.array([60.0, 40.0]), top, margin=1.25)
    assert (region.x, region.y) == (60, 40) and region.angle == pytest.approx(angle, abs=1e-9)
    assert region.side == pytest.approx(75)
    tiny = Region.around_body(np.array([60.0, 40.0]), np.array([60.0, 39.7]), margin=1.25)
    assert tiny.side == 1.0
    assert tiny.to_picture(np.array([1.0, 1.0])).tolist() == pytest.approx([60.5, 40.5])


@pytest.mark.parametrize(("top", "angle"), [((50, 0), 0.0), ((100, 50), math.pi / 2), ((0, 50), -math.pi / 2)])
def test_around_body_turns_the_head_up(top, angle):
    region = Region.around_body(np.array([50.0, 50.0]), np.array(top, float), margin=1.25)
    assert region.angle == pytest.approx(angle)
    assert region.side == pytest.approx(125)
    head = region.from_picture(np.array(top, float))
    assert head == pytest.approx([0.5, 0.1], abs=1e-9)


def _boxes(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return boxes, boxes.isfinite().all(dim=-1)


def test_crops_of_absent_people_are_black():
    boxes = torch.tensor([[[2.0, 2.0, 10.0, 12.0], [math.nan] * 4]])
    crops = cut_crops(torch.full((2, 20, 30, 3), 200, dtype=torch.uint8), *_boxes(boxes))
    assert crops.valid.tolist() == [[True, False]]
    assert crops.patches[0, 1].abs().max() == 0 and crops.bbox_info[0, 1].abs().max() == 0
    assert crops.bbox_info[0, 0].tolist() == [6 - 15, 7 - 10, 10]
    assert crops.patches[0, 0, :, 128, 128].tolist() == pytest.approx([200 / 255] * 3)


def test_sample_square_follows_the_formula(rng):
    image = torch.randint(0, 256, (20, 24, 3), generator=rng, dtype=torch.uint8)
    centre, side = torch.tensor([3.3, 15.2], dtype=torch.float64), torch.tensor(17.7, dtype=torch.float64)
    crop = sample_square(image, centre, side)
    padded = np.zeros((60, 64, 3))
    padded[20:40, 20:44] = image.numpy() / 255
    for column, row in ((0, 0), (255, 255), (100, 31), (200, 128)):
        x = 3.3 + (column - 128) * 17.7 / 256 + 20
        y = 15.2 + (row - 128) * 17.7 / 256 + 20
        i, j = math.floor(y), math.floor(x)
        a, b = y - i, x - j
        top = (1 - b) * padded[i, j] + b * padded[i, j + 1]
        bottom = (1 - b) * padded[i + 1, j] + b * padded[i + 1, j + 1]
        assert np.allclose(crop[:, row, column], (1 - a) * top + a * bottom, atol=1e-6)


@pytest.mark.parametrize("scale", ["1.0", "1.25"])
def test_crops_agree_with_the_published_preprocessing(parity_dir, scale):
    with np.load(parity_dir / "fixtures" / "mod_preproc_opencv5.0.npz", allow_pickle=False) as file:
        frames = torch.from_numpy(file["crop_frames_u8"]).permute(0, 2, 3, 1).contiguous()
        shares = torch.from_numpy(file["crop_boxes"])
        patches, info, row = (file[f"crop_scale{scale}_{name}"] for name in ("patches_sub4", "bbox_info", "row128"))
    boxes = shares * torch.tensor([frames.shape[2], frames.shape[1]]).repeat(2)
    crops = cut_crops(frames, *_boxes(boxes), box_scale=float(scale))
    # OpenCV computes the positions in single precision.
    assert np.abs(crops.patches[..., ::4, ::4].numpy() - patches).max() < 1e-5
    assert np.abs(crops.patches[..., 128, :].numpy() - row).max() < 1e-5
    assert np.abs(crops.bbox_info.numpy() - info).max() < 1e-4
