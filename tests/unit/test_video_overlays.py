"""What was laid over the pictures, what a stabiliser leaves beside them, and frames that show nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from test_video_bars import clip_of, code, frame_with, scene

from unish.network import UniSH
from unish.network.config import tiny_config
from unish.pipeline import run
from unish.settings import Settings
from unish.video import show_inside_bars
from unish.video.borders.black_borders import find_black_borders
from unish.video.borders.blank import find_blank
from unish.video.borders.overlays import find_overlaid, find_static_overlay

NOBODY = np.zeros((8, 180, 320), bool)


def busy(count: int = 8, *, seed: int = 1) -> np.ndarray:
    """A moving view full of edges."""
    return np.clip(110 + 2.5 * (scene(count, seed=seed).astype(np.float32) - 110), 0, 255).astype(np.uint8)


def with_logo(pictures: np.ndarray, *, place: tuple[int, int] = (230, 14)) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with a word in them, and where it is."""
    canvas = Image.new("L", pictures.shape[2:0:-1])
    ImageDraw.Draw(canvas).text(place, "LIVE 24", fill=255, font_size=18)
    share = np.asarray(canvas)[None, ..., None] / 255
    return (pictures * (1 - share) + np.array([250, 240, 230]) * share).astype(np.uint8), np.asarray(canvas) > 128


@pytest.mark.slow
@pytest.mark.parametrize("place", [(230, 14), (10, 150), (120, 80)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_logo_before_a_moving_view_is_found(place: tuple[int, int], seed: int, tmp_path) -> None:
    pictures, logo = with_logo(busy(seed=seed), place=place)
    found = find_static_overlay(code(tmp_path, pictures), NOBODY)
    assert (found & logo).sum() > 0.9 * logo.sum()
    assert not (found & ~ndimage.binary_dilation(logo, iterations=8)).any()


def test_nothing_is_an_overlay_where_nothing_moves() -> None:
    pictures, _ = with_logo(np.repeat(busy(1), 8, axis=0))
    assert not find_static_overlay(pictures, NOBODY).any()


def test_what_else_keeps_its_place() -> None:
    """A horizon that slides along itself, somebody who is followed, a view of a few frames, the scene alone."""
    assert not find_static_overlay(busy(), NOBODY).any()
    horizon = busy()
    horizon[:, :80] = 220
    horizon[:, 80:84] = 20
    assert not find_static_overlay(horizon, NOBODY).any()
    pictures, logo = with_logo(busy())
    followed = np.repeat(ndimage.binary_dilation(logo, iterations=10)[None], 8, axis=0)
    assert not find_static_overlay(pictures, followed).any()
    assert not find_static_overlay(pictures[:5], NOBODY[:5]).any()


def test_a_dashboard_is_too_large_for_an_overlay() -> None:
    pictures = busy()
    pictures[:, 100:] = busy(1, seed=9)[0, 100:]
    assert not find_static_overlay(pictures, NOBODY).any()


def turn(pictures: np.ndarray, *, seed: int = 0, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """As a stabiliser does it, and where it leaves black."""
    rng, out, black = np.random.default_rng(seed), [], []
    for picture in pictures:
        how = {"angle": strength * rng.uniform(-2, 2), "translate": tuple((strength * rng.uniform(-9, 9, 2)).tolist())}
        out.append(np.asarray(Image.fromarray(picture).rotate(resample=Image.Resampling.BICUBIC, **how)))
        whole = Image.new("L", picture.shape[1::-1], 255)
        black.append(np.asarray(whole.rotate(resample=Image.Resampling.BICUBIC, **how)) < 128)
    return np.stack(out), np.stack(black)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_black_that_a_stabiliser_leaves_is_found(seed: int, tmp_path) -> None:
    pictures, black = turn(scene(seed=seed), seed=seed)
    found = np.asarray(find_black_borders(code(tmp_path, pictures)))
    assert (found & black).sum() > 0.8 * black.sum()
    assert (found & ~ndimage.binary_dilation(black, iterations=3)).mean() < 1e-3


def night(count: int) -> np.ndarray:
    """A view from a moving camera; what is dark in it is black."""
    bright = scene(count, seed=6).astype(np.float32)
    return np.clip(2 * (bright - 110), 0, 255).astype(np.uint8)


def ragged(count: int) -> np.ndarray:
    """Roofs before a bright sky, upside down: black at the border with a rough end that moves."""
    pictures = scene(count)
    for number, picture in enumerate(pictures):
        for left in range(0, 320, 16):
            picture[: 12 + (left * 7 + 5 * number) % 23, left : left + 16] = 0
    return pictures


def steady(count: int) -> np.ndarray:
    """The same wedge in every frame."""
    pictures = scene(count)
    pictures[:, np.arange(180)[:, None] < 10 + 0.05 * np.arange(320)] = 0
    return pictures


@pytest.mark.parametrize("made", [scene, night, ragged, steady])
def test_other_black_is_no_border(made) -> None:
    found = find_black_borders(made(8))
    assert found is None or np.asarray(found).mean() < 1e-3


def test_overlays_are_told_shot_by_shot_and_named() -> None:
    first, logo = with_logo(busy())
    pictures, black = turn(scene(seed=3))
    images = np.concatenate([first, scene(seed=2), pictures])
    frames, notes = find_overlaid(images, np.zeros(images.shape[:3], bool), [slice(0, 8), slice(8, 16), slice(16, 24)])
    found = np.asarray(frames)
    assert found[:8, logo].mean() > 0.9 and not found[8:16].any() and found[16:][black].mean() > 0.8
    assert len(notes) == 2
    assert "frames 0 to 7" in notes[0] and "overlay" in notes[0]
    assert "frames 16 to 23" in notes[1] and "black borders" in notes[1]


def test_blank_frames() -> None:
    frames = scene(12)
    frames[0], frames[5], frames[9] = 0, 255, 128
    frames[1] = np.random.default_rng(0).integers(0, 12, frames[1].shape)
    assert np.flatnonzero(find_blank(frames)).tolist() == [0, 1, 5]
    assert not find_blank(scene(4, light=0.3)).any() and not find_blank(scene(4, 37, 51)).any()


def test_blank_frames_are_left_out_and_named() -> None:
    frames = scene(12)
    frames[[0, 1, 6]], frames[11] = 0, 255
    clip = clip_of(frames, [0, 0] + [1] * 10)
    whole, inside = show_inside_bars(clip)
    assert inside.source_area is None and torch.equal(whole.images, inside.images)
    assert inside.frame_indices.tolist() == [2, 3, 4, 5, 7, 8, 9, 10] and inside.segment.tolist() == [0] * 8
    assert torch.equal(inside.timestamps_s, clip.timestamps_s[inside.frame_indices])
    assert torch.equal(inside.images, clip.images[inside.frame_indices])
    assert inside.warnings == (
        "4 of 12 used frames are blank, black or white (0.00 to 1.83 s): they were left out, among them 1 whole shots",
    )


def test_blank_frames_inside_and_over_bars() -> None:
    film = scene(12)
    film[3] = 255
    framed = frame_with(film, 24, 0, 24, 0)
    framed[7], framed[8] = 255, 0
    whole, inside = show_inside_bars(clip_of(framed))
    assert inside.size == (180, 320) and whole.size == (228, 320)
    assert inside.frame_indices.tolist() == whole.frame_indices.tolist() == [0, 1, 2, 4, 5, 6, 9, 10, 11]


def test_a_clip_that_is_blank_from_end_to_end_stays() -> None:
    clip = clip_of(np.zeros((4, 60, 80, 3), np.uint8))
    assert show_inside_bars(clip) == (clip, clip)


def test_no_depth_is_given_at_a_logo_and_the_report_names_it() -> None:
    """Through the whole pipeline, with a network that knows nothing."""
    pictures, logo = with_logo(busy())
    torch.manual_seed(0)
    result = run(clip_of(pictures), settings=Settings(people=0, size=320), network=UniSH(tiny_config()).eval())
    height, width = result.reconstruction.depth.shape[1:]
    seen = np.asarray(Image.fromarray(logo).resize((width, height), Image.Resampling.NEAREST))
    assert (result.reconstruction.point_conf[:, seen] < 1e-3).mean() > 0.85
    assert (result.reconstruction.point_conf[:, ~seen] < 1e-3).mean() < 0.1
    assert any("is an overlay that keeps its place" in warning for warning in result.report["warnings"])
