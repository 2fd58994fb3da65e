"""Bars beside the picture: where they end, to the pixel, and what only looks like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from small_record import make_figure, make_record
from unish.people import PoseModels, read_tracks
from unish.reconstruction import intrinsics_at, know_camera
from unish.structs import Clip
from unish.video import place_inside, put_back, read_clip, read_inside_bars, show_inside_bars
from unish.video.borders.bars import find_bars
from unish.video.resize import resize_images
from written_videos import write_images, write_video

BLACK, BLUE = (0, 0, 0), (20, 40, 140)


def scene(count: int = 8, height: int = 180, width: int = 320, *, seed: int = 1, light: float = 1.0) -> np.ndarray:
    """(count, height, width, 3): a textured view, panned over; ``light`` below 1 makes it dark."""
    rng = np.random.default_rng(seed)
    size = (height + 2 * count, width + 6 * count, 3)
    view = sum(ndimage.gaussian_filter(rng.normal(0, s * 25, size), (s, s, 0)) for s in (1.0, 3.0, 10.0, 30.0))
    view = np.clip(110 + 0.8 * view, 12, 255) * light
    return np.stack([view[i : i + height, 3 * i : 3 * i + width] for i in range(count)]).astype(np.uint8)


def frame_with(pictures: np.ndarray, top: int, left: int, bottom: int, right: int, colour=BLACK) -> np.ndarray:
    framed = np.pad(pictures, ((0, 0), (top, bottom), (left, right), (0, 0)))
    outside = np.ones(framed.shape[1:3], bool)
    outside[top : framed.shape[1] - bottom, left : framed.shape[2] - right] = False
    framed[:, outside] = colour
    return framed


def blur_sides(pictures: np.ndarray, left: int, *, upright: bool = False, sigma: float = 12.0) -> np.ndarray:
    """An enlarged, blurred copy to the left and right (above and below), as editors make it."""
    pictures = pictures.swapaxes(1, 2) if upright else pictures
    out = []
    for picture in pictures:
        height, width = picture.shape[:2]
        factor = (width + 2 * left) / width
        copy = Image.fromarray(np.ascontiguousarray(picture)).resize((width + 2 * left, round(height * factor)))
        above = (copy.height - height) // 2
        copy = copy.crop((0, above, copy.width, above + height)).filter(ImageFilter.GaussianBlur(sigma))
        framed = np.array(copy)
        framed[:, left : left + width] = picture
        out.append(framed)
    framed = np.stack(out)
    return framed.swapaxes(1, 2) if upright else framed


def code(tmp_path: Path, pictures: np.ndarray, *, crf: int = 23) -> np.ndarray:
    """After H.264."""
    even = np.ascontiguousarray(pictures[:, : pictures.shape[1] // 2 * 2, : pictures.shape[2] // 2 * 2])
    path = write_video(tmp_path / "coded.mp4", even, fps=6.0, options={"crf": str(crf), "preset": "veryfast"})
    return read_clip(path, fps=6.0).images.numpy()


def area_of(pictures: np.ndarray, top: int, left: int, bottom: int, right: int) -> tuple[int, ...]:
    return (top, left, pictures.shape[1] - bottom, pictures.shape[2] - right)


WIDTHS = [
    (22, 0, 22, 0), (23, 0, 25, 0), (0, 41, 0, 41), (0, 160, 0, 161), (17, 33, 17, 31), (60, 60, 60, 60),
    (16, 0, 0, 0), (0, 0, 0, 24), (40, 0, 20, 0),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("widths", WIDTHS)
def test_black_bars_end_where_they_were_put(widths: tuple[int, int, int, int]) -> None:
    framed = frame_with(scene(), *widths)
    assert find_bars(framed) == area_of(framed, *widths)


@pytest.mark.slow
@pytest.mark.parametrize("crf", [18, 30])
@pytest.mark.parametrize("widths", [(22, 0, 22, 0), (23, 0, 23, 0), (0, 61, 0, 61), (17, 33, 17, 31), (16, 0, 0, 0)])
def test_after_coding_they_end_there_to_a_pixel(widths: tuple[int, int, int, int], crf: int, tmp_path: Path) -> None:
    coded = code(tmp_path, frame_with(scene(), *widths), crf=crf)
    found = find_bars(coded)
    assert found is not None
    # The last row or column is missing where the number was odd.
    assert np.abs(np.subtract(found, area_of(frame_with(scene(), *widths), *widths))).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("colour", [BLUE, (255, 255, 255), (128, 128, 128), (16, 16, 16)])
def test_bars_of_another_colour(colour: tuple[int, int, int], tmp_path: Path) -> None:
    coded = code(tmp_path, frame_with(scene(), 0, 40, 0, 40, colour))
    assert find_bars(coded) == area_of(coded, 0, 40, 0, 40)


@pytest.mark.slow
@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize(("left", "crf"), [(40, 18), (101, 23), (150, 23)])
def test_blurred_sides(left: int, crf: int, upright: bool, tmp_path: Path) -> None:
    coded = code(tmp_path, blur_sides(scene(height=240, width=240), left, upright=upright), crf=crf)
    widths = (left, 0, left, 0) if upright else (0, left, 0, left)
    found = find_bars(coded)
    assert found is not None and np.abs(np.subtract(found, area_of(coded, *widths))).max() <= 1


def night_on_one_side(count: int = 8) -> np.ndarray:
    """Lights to the left; to the right nothing is seen but a row of lamps in the upper half."""
    pictures = scene(count).astype(np.float32)
    pictures *= np.clip(np.linspace(2.0, -0.6, pictures.shape[2]), 0.01, 1)[:, None]
    pictures[:, : pictures.shape[1] // 2, -60:] += 90
    return np.clip(pictures, 0, 255).astype(np.uint8)


def haze(count: int = 8) -> np.ndarray:
    """A picture with hardly more detail than its blurred copy."""
    soft = np.stack([ndimage.gaussian_filter(one.astype(np.float32), (3, 3, 0)) for one in scene(count)])
    return np.clip(110 + 2 * (soft - 110), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("made", [night_on_one_side, haze])
def test_blurred_sides_of_dark_and_of_smooth_pictures(made, tmp_path: Path) -> None:
    framed = blur_sides(made(), 70)
    assert find_bars(code(tmp_path, framed)) == area_of(framed, 0, 70, 0, 70)


def test_a_dark_film_between_bars(tmp_path: Path) -> None:
    """Its luma stays below a third; one side of it is as black as the bar."""
    film = scene(light=0.35)
    film[:, -30:, :200] = 0
    coded = code(tmp_path, frame_with(film, 24, 0, 24, 0))
    assert find_bars(coded) == area_of(coded, 24, 0, 24, 0)


def write_on(framed: np.ndarray, texts: list[str], place: tuple[int, int]) -> np.ndarray:
    out = []
    for number, picture in enumerate(framed):
        canvas = Image.fromarray(picture)
        ImageDraw.Draw(canvas).text(place, texts[number % len(texts)], fill="white", font_size=16)
        out.append(np.asarray(canvas))
    return np.stack(out)


def test_captions_and_a_logo_in_the_bars(tmp_path: Path) -> None:
    framed = frame_with(scene(), 40, 0, 40, 0)
    framed = write_on(framed, ["What is written below", "changes all the time,", "", "or is not there"], (80, 231))
    framed[:, 8:26, 280:310] = (200, 180, 30)
    coded = code(tmp_path, framed)
    assert find_bars(coded) == area_of(coded, 40, 0, 40, 0)


def test_frames_that_are_black_hide_no_bars() -> None:
    framed = frame_with(scene(12), 24, 0, 24, 0)
    framed[:4] = 0
    assert find_bars(framed) == area_of(framed, 24, 0, 24, 0)


def night_sky(count: int) -> np.ndarray:
    """Black above roofs of many heights, before a camera that stands still."""
    pictures, rng = scene(count, light=0.5), np.random.default_rng(3)
    for left in range(0, 320, 20):
        pictures[:, : 40 + int(rng.integers(0, 30)), left : left + 20] = 0
    return pictures


def dark_floor(count: int) -> np.ndarray:
    """It gets darker towards the camera, down to black."""
    pictures = scene(count).astype(np.float32)
    pictures[:, 100:] *= np.clip(np.linspace(1, -0.5, 80), 0, 1)[:, None, None]
    return pictures.astype(np.uint8)


def white_wall(count: int) -> np.ndarray:
    """Overexposed over a straight skirting board, before a camera that stands still."""
    pictures = np.repeat(scene(1), count, axis=0)
    pictures[:, :70] = 255
    return pictures


def clear_sky(count: int) -> np.ndarray:
    pictures = np.repeat(scene(1), count, axis=0)
    pictures[:, :60] = (120, 170, 235)
    pictures[:, 60:66, ::3] = (120, 170, 235)
    return pictures


def bright_studio(count: int) -> np.ndarray:
    """Somebody in the middle of nothing but white."""
    pictures = np.full((count, 180, 320, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        y, x = np.mgrid[:180, :320]
        picture[((y - 100) / 70) ** 2 + ((x - 140 - 4 * number) / 30) ** 2 < 1] = scene(1)[0, 40, 50]
    return pictures


def spotlight(count: int) -> np.ndarray:
    pictures = scene(count)
    y, x = np.mgrid[:180, :320]
    return (pictures * (np.hypot(y - 90, x - 160) < 70)[None, ..., None]).astype(np.uint8)


def near_focus(count: int) -> np.ndarray:
    """The middle is sharp, the sides grow blurred gradually."""
    sharp = scene(count)
    blurred = np.stack([ndimage.gaussian_filter(one, (6, 6, 0)) for one in sharp])
    share = np.clip((np.abs(np.arange(320) - 160) - 50) / 60, 0, 1)[None, None, :, None]
    return (sharp * (1 - share) + blurred * share).astype(np.uint8)


def doorway(count: int) -> np.ndarray:
    """White walls beside an open door, before a camera that stands still."""
    pictures = scene(count)
    pictures[:, :, :70] = np.linspace(230, 190, 180)[:, None, None]
    pictures[:, :, 250:] = np.linspace(215, 220, 180)[:, None, None]
    return pictures


def thin_frame(count: int) -> np.ndarray:
    """Two black lines, as digitised films have them: not worth cutting."""
    return frame_with(scene(count), 0, 2, 0, 2)


NO_BARS = [night_sky, dark_floor, white_wall, clear_sky, bright_studio, spotlight, near_focus, doorway, thin_frame]


@pytest.mark.slow
@pytest.mark.parametrize("made", NO_BARS)
@pytest.mark.parametrize("count", [1, 8])
def test_what_is_no_bar(made, count: int, tmp_path: Path) -> None:
    pictures = made(count)
    assert find_bars(pictures) is None
    assert find_bars(code(tmp_path, pictures)) is None


@pytest.mark.slow
@pytest.mark.parametrize("light", [1.0, 0.3, 0.1, 0.0])
def test_scenes_that_fill_their_frames(light: float) -> None:
    for seed in range(4):
        assert find_bars(scene(4, 120, 200, seed=seed, light=light)) is None
        assert find_bars(np.repeat(scene(1, 120, 200, seed=seed, light=light), 6, axis=0)) is None


def test_an_edge_that_moves_is_no_bar() -> None:
    pictures = scene()
    for number, picture in enumerate(pictures):
        picture[: 20 + 3 * number] = 0
    assert find_bars(pictures) is None


def clip_of(images: np.ndarray, segment: list[int] | None = None, source: int = 1) -> Clip:
    count, height, width = images.shape[:3]
    return Clip(
        images=torch.from_numpy(images), timestamps_s=torch.arange(count, dtype=torch.float64) / 6,
        frame_indices=torch.arange(count), segment=torch.tensor(segment or [0] * count),
        source_size=(height * source, width * source),
    )  # fmt: skip


def test_a_clip_without_bars_is_left_as_it_is() -> None:
    clip = clip_of(scene())
    whole, inside = show_inside_bars(clip)
    assert whole is clip and inside is clip
    padded = replace(clip_of(frame_with(scene(), 24, 0, 24, 0)), picture_area=torch.tensor([[0, 0, 228, 320]] * 8))
    assert show_inside_bars(padded) == (padded, padded), "a folder of several shapes"


def test_the_clip_shows_what_is_inside_and_says_so() -> None:
    clip = clip_of(frame_with(scene(), 24, 0, 20, 0), source=2)
    whole, inside = show_inside_bars(clip)
    assert whole is clip and inside.size == (180, 320) and inside.source_size == (448, 640)
    assert inside.source_area == (48.0, 0.0, 408.0, 640.0) and inside.picture_area is None
    assert torch.equal(inside.images, clip.images[:, 24:204])
    assert inside.warnings == (
        "bars beside the picture (48 at the top, 40 at the bottom, pixels of the source) are no scene: what is inside "
        "is reconstructed",
    )


def test_bars_that_shots_share_are_cut_and_the_others_hidden() -> None:
    first, second = frame_with(scene(), 20, 0, 20, 0), frame_with(scene(height=140, seed=2), 40, 0, 40, 0)
    inside = show_inside_bars(clip_of(np.concatenate([first, second]), [0] * 8 + [1] * 8))[1]
    assert inside.source_area == (20.0, 0.0, 200.0, 320.0)
    assert inside.picture_area is not None
    assert inside.picture_area.tolist() == [[0, 0, 180, 320]] * 8 + [[20, 0, 160, 320]] * 8
    assert len(inside.warnings) == 2 and "shots 1 (from 0)" in inside.warnings[1]


def test_a_dark_shot_does_not_hide_the_bars_of_a_film() -> None:
    film = np.concatenate([scene(), np.zeros_like(scene(4)), scene(seed=4)])
    inside = show_inside_bars(clip_of(frame_with(film, 24, 0, 24, 0), [0] * 8 + [1] * 4 + [2] * 8))[1]
    assert inside.size == (180, 320) and inside.picture_area is None


@pytest.mark.slow
def test_a_picture_inside_bars_is_read_as_finely_as_one_without(tmp_path: Path) -> None:
    """1400 pixels wide with bars: the reader would shrink it, the picture of 400 needs no shrinking."""
    framed = frame_with(scene(4, 200, 400), 0, 500, 0, 500)
    path = write_images(tmp_path / "frames", framed)
    whole, inside = read_inside_bars(path, fps=6.0, source_fps=6.0)
    assert whole.size == (200, 1400) and inside.size == (200, 400)
    assert torch.equal(inside.images, torch.from_numpy(scene(4, 200, 400)))
    big = write_images(tmp_path / "big", frame_with(scene(3, 300, 1400), 100, 0, 100, 0))
    whole, inside = read_inside_bars(big, fps=6.0, source_fps=6.0)
    assert whole.size == (457, 1280) and inside.size[1] == 1280, "a letterboxed picture is as long as its frame"


def test_the_camera_of_the_source_is_told_for_what_the_clip_shows() -> None:
    clip = show_inside_bars(clip_of(frame_with(scene(), 24, 40, 20, 60), source=2))[1]
    camera = know_camera((500.0, 510.0, 400.0, 230.0), clip)
    assert camera.size == (180, 320) and camera.focal_source == "given"
    expected = torch.tensor([[250.0, 0, 160], [0, 255, 91], [0, 0, 1]])
    torch.testing.assert_close(camera.matrix, expected)
    torch.testing.assert_close(intrinsics_at(camera, (90, 160))[:2], expected[:2] / 2)


class NoLandmarks:
    def read_pose(self, picture, region):
        from unish.people.protocols import Pose

        empty = np.zeros((33, 3), np.float32)
        return Pose(px=empty, world=empty, score=0.0, region=region, next_region=region)


def test_tracks_of_the_source_are_brought_inside(tmp_path: Path) -> None:
    clip = show_inside_bars(clip_of(frame_with(scene(), 24, 40, 20, 60), source=2))[1]
    masks = np.zeros((1, 8, 112, 210), bool)
    masks[:, :, 12 + 20 : 12 + 40, 20 + 30 : 20 + 50] = True
    np.savez(
        tmp_path / "tracks.npz", frame_indices=np.arange(8), person_ids=np.array([3]), masks=masks,
        boxes_xyxy=np.tile([80.0 + 120, 48.0 + 80, 80.0 + 200, 48.0 + 160], (1, 8, 1)),
    )  # fmt: skip
    tracks, _ = read_tracks(
        tmp_path / "tracks.npz", clip, mask_size=(90, 160), models=PoseModels(landmarks=NoLandmarks())
    )
    assert tracks.boxes_xyxy[0, 0].tolist() == [60.0, 40.0, 100.0, 80.0]
    rows, columns = (tracks.masks[0] == 0).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 39, 30, 49)


@pytest.mark.parametrize("widths", [(24, 0, 24, 0), (0, 53, 0, 53), (17, 33, 0, 31)])
def test_what_was_found_is_put_back_without_a_value_changed(widths: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = widths
    clip = clip_of(frame_with(scene(3, 96, 128), *widths))
    whole, inside = show_inside_bars(clip)
    assert inside.size == (96, 128)
    found = make_record(make_figure(), num_people=1, num_frames=3)
    height, width = found.image_size.tolist()
    found = replace(found, extra={"depth_correction": np.arange(24, dtype=np.float32).reshape(1, 3, 8)})
    placement = place_inside(whole, inside, (height, width))
    images = resize_images(whole.images, placement.size).numpy().copy()
    images[(slice(None), *placement.region)] = found.images
    back = put_back(found, placement, images)
    t, b = (round(rows * height / 96) for rows in (top, bottom))
    x, r = (round(columns * width / 128) for columns in (left, right))
    assert back.image_size.tolist() == [t + height + b, x + width + r] and back.images.shape[1:3] == (*back.image_size,)
    for name in ("images", "depth", "point_conf", "person_masks"):
        values = getattr(back, name)
        np.testing.assert_array_equal(values[:, t : t + height, x : x + width], getattr(found, name))
        outside = np.ones(values.shape[1:3], bool)
        outside[t : t + height, x : x + width] = False
        assert name == "images" or (values[:, outside] == (-1 if name == "person_masks" else 0)).all()
    np.testing.assert_array_equal(back.boxes_xyxy, found.boxes_xyxy + np.float32([x, t, x, t]))
    np.testing.assert_array_equal(back.landmarks_px, found.landmarks_px + np.float32([x, t, 0]))
    inner = back.world_points()[:, t : t + height, x : x + width]
    np.testing.assert_allclose(inner, found.world_points(), rtol=1e-5, atol=1e-5)
    assert back.extra["depth_correction"][0, 1].tolist() == [8, 9, 10, 11, 12, 13 + x, 14 + t, 15]
    alone = place_inside(clip, clip, (height, width))
    assert alone.size == alone.inner and put_back(found, alone, found.images).depth is found.depth
