"""One camera per shot: given, told by the network, or solved from the points; never one that no lens has."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from joined import join
from unish.geometry.camera import unproject
from unish.geometry.focal import recover_shift
from unish.reconstruction.camera import decide_camera, intrinsics_at, know_camera, know_lens
from unish.structs import Camera, Clip, Lens, Prediction

PICTURE, SIZE = (90, 160), (32, 64)
"""Squeezed: pixels of the network's images are a seventh wider than high."""


def make_prediction(matrix: Tensor, *, noise: float = 0.0, frames: int = 3) -> Prediction:
    """Points of hilly depth, seen by a camera of ``PICTURE`` with this matrix."""
    generator = torch.Generator().manual_seed(0)
    small = matrix * torch.tensor([SIZE[1] / PICTURE[1], SIZE[0] / PICTURE[0], 1.0])[:, None]
    depth = 2 + torch.rand(frames, *SIZE, generator=generator)
    points = unproject(depth, small.expand(frames, 3, 3))
    return Prediction(
        local_points=(points + noise * torch.randn(points.shape, generator=generator))[None],
        point_conf_logits=torch.full((1, frames, *SIZE), 3.0),
        c2w=torch.eye(4).expand(1, frames, 4, 4),
        intrinsics=small.expand(1, frames, 3, 3),
    )


SQUARE = torch.tensor([[140.0, 0, 80], [0, 140, 45], [0, 0, 1]])


@pytest.mark.parametrize("predicted", [True, False])
def test_a_focal_length_is_one_in_square_pixels_of_the_picture(predicted: bool) -> None:
    camera = decide_camera(make_prediction(SQUARE), PICTURE, predicted=predicted)
    torch.testing.assert_close(camera.matrix, SQUARE, rtol=1e-5, atol=1e-5)
    assert (camera.size, camera.focal_source) == (PICTURE, "guessed" if predicted else "solved")
    assert camera.field_of_view_deg == pytest.approx(2 * torch.atan(torch.tensor(80 / 140)).rad2deg().item())


def test_a_camera_that_the_network_solved_is_no_guess() -> None:
    for solves in (True, False):
        told = Prediction(**vars(make_prediction(SQUARE)) | {"solves_focal": torch.tensor([solves])})
        assert decide_camera(told, PICTURE, predicted=True).focal_source == ("solved" if solves else "guessed")


def test_frames_are_solved_together_and_doubtful_points_do_not_count() -> None:
    prediction = make_prediction(SQUARE)
    wrong = prediction.local_points.clone()
    wrong[0, 1, :16] *= torch.tensor([2.0, 0.5, 1.0])
    logits = prediction.point_conf_logits.clone()
    logits[0, 1, :16] = -3.0
    spoilt = Prediction(**vars(prediction) | {"local_points": wrong, "point_conf_logits": logits})
    camera = decide_camera(spoilt, PICTURE, predicted=False)
    torch.testing.assert_close(camera.matrix, SQUARE, rtol=1e-5, atol=1e-5)


HALF_DIAGONAL = (PICTURE[0] ** 2 + PICTURE[1] ** 2) ** 0.5 / 2


def make_lens(focal: float) -> Prediction:
    """Points that a camera of this focal length saw, in half diagonals of the picture."""
    seen = make_prediction(torch.tensor([[focal * HALF_DIAGONAL, 0, 80], [0, focal * HALF_DIAGONAL, 45], [0, 0, 1]]))
    return Prediction(**vars(seen) | {"intrinsics": None})


def test_points_of_no_lens_get_a_usual_one_and_it_counts_as_guessed() -> None:
    """Wider than 157 degrees across the diagonal, narrower than 6, or seen from behind."""
    mirrored = make_prediction(SQUARE)
    flipped = Prediction(**vars(mirrored) | {"local_points": mirrored.local_points * torch.tensor([-1.0, -1.0, 1.0])})
    for prediction in (flipped, make_lens(0.19), make_lens(20.5)):
        camera = decide_camera(prediction, PICTURE, predicted=False)
        assert camera.focal_source == "guessed"
        assert float(camera.matrix[0, 0]) == pytest.approx(1.5 * HALF_DIAGONAL, rel=1e-6)
    for focal in (0.21, 19.5):
        camera = decide_camera(make_lens(focal), PICTURE, predicted=False)
        assert camera.focal_source == "solved"
        assert float(camera.matrix[0, 0]) == pytest.approx(focal * HALF_DIAGONAL, rel=1e-3)


def test_a_known_camera_is_kept_with_its_centre_and_scaled_with_the_picture() -> None:
    clip = Clip(
        images=torch.zeros(1, 54, 96, 3, dtype=torch.uint8), timestamps_s=torch.zeros(1, dtype=torch.float64),
        frame_indices=torch.arange(1), segment=torch.zeros(1, dtype=torch.int64), source_size=(1080, 1920),
    )  # fmt: skip
    camera = know_camera((1200.0, 1100.0, 900.0, 500.0), clip)
    assert (camera.size, camera.focal_source) == ((1080, 1920), "given")
    small = intrinsics_at(camera, (540, 480))
    torch.testing.assert_close(small, torch.tensor([[300.0, 0, 225], [0, 550, 250], [0, 0, 1]]))
    portrait = Camera(matrix=camera.matrix, size=(1920, 1080), focal_source="given")
    expected = torch.atan(torch.tensor(500 / 1100)) + torch.atan(torch.tensor(1420 / 1100))
    assert portrait.field_of_view_deg == pytest.approx(expected.rad2deg().item(), rel=1e-5)


@pytest.mark.parametrize("centre", [(80.0, 45.0), (96.0, 36.0), (64.0, 54.0)])
def test_an_off_centre_camera_does_not_bend_depth(centre: tuple[float, float]) -> None:
    """Ten per cent of the picture off: the shift that the points ask for is none, whatever the camera's middle."""
    matrix = torch.tensor([[150.0, 0, centre[0]], [0, 130, centre[1]], [0, 0, 1]])
    prediction = make_prediction(matrix)
    camera = Camera(matrix=matrix, size=PICTURE, focal_source="given")
    shot = join([prediction], [range(3)], torch.zeros(0, 3, dtype=torch.bool), camera)
    # Asked for: 0.5 % of the depth, which is 2 to 3 here.
    assert abs(shot.shift) < 1e-5
    moved = prediction.local_points - torch.tensor([0.0, 0.0, 0.3])
    near = Prediction(**vars(prediction) | {"local_points": moved})
    again = join([near], [range(3)], torch.zeros(0, 3, dtype=torch.bool), camera)
    assert again.shift == pytest.approx(0.3, abs=1e-5)


def test_one_shift_for_all_frames_of_each_clip() -> None:
    prediction = make_prediction(SQUARE)
    small, mask = prediction.intrinsics, torch.ones(2, 3, *SIZE, dtype=torch.bool)
    both = torch.cat([prediction.local_points - torch.tensor([0, 0, 0.2]), prediction.local_points])
    found = recover_shift(both, mask, small.expand(2, 3, 3, 3))
    torch.testing.assert_close(found, torch.tensor([0.2, 0.0]), rtol=0, atol=1e-5)


def test_a_known_lens_is_that_of_the_whole_source_bars_included() -> None:
    # A source of 400 × 300 with pixels twice as wide as high; bars of 50 at the top and 30 at the left are cut off.
    whole = Clip(
        images=torch.zeros(1, 300, 800, 3, dtype=torch.uint8), timestamps_s=torch.zeros(1, dtype=torch.float64),
        frame_indices=torch.zeros(1, dtype=torch.int64), segment=torch.zeros(1, dtype=torch.int64),
        source_size=(300, 400),
    )  # fmt: skip
    lens = Lens(focal=0.8, log_sigma=0.03, source="metadata", told_by="a tag")
    camera = know_lens(lens, whole)
    focal = 0.8 * (300**2 + 800**2) ** 0.5
    torch.testing.assert_close(camera.matrix, torch.tensor([[focal, 0, 400], [0, focal, 150], [0, 0, 1]]))
    assert (camera.size, camera.focal_source, camera.focal_sigma) == ((300, 800), "metadata", 0.03)
    inside = replace(whole, images=whole.images[:, 50:, 60:], source_area=(50.0, 30.0, 300.0, 400.0))
    cut = know_lens(lens, inside)
    torch.testing.assert_close(cut.matrix, torch.tensor([[focal, 0, 340], [0, focal, 100], [0, 0, 1]]))
    assert cut.size == (250, 740)


def test_a_field_of_view_comes_with_its_interval() -> None:
    sure, unsure = (Camera(matrix=SQUARE, size=PICTURE, focal_source="guessed", focal_sigma=s) for s in (0.0, 0.1))
    assert sure.field_of_view_interval_deg == pytest.approx((sure.field_of_view_deg,) * 2)
    low, high = unsure.field_of_view_interval_deg
    assert low < unsure.field_of_view_deg < high
    # 90 % of a normal distribution lie within 1.645 sigma.
    ratio = torch.tan(torch.tensor(high).deg2rad() / 2) / torch.tan(torch.tensor(low).deg2rad() / 2)
    assert float(ratio.log()) == pytest.approx(2 * 1.645 * 0.1, rel=1e-4)
    by_source = [
        Camera(matrix=SQUARE, size=PICTURE, focal_source=s).focal_sigma for s in ("given", "solved", "guessed")
    ]
    assert by_source == sorted(by_source)
