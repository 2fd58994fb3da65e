"""A picture in the picture, and a picture amid what never changes: where they end, and what only looks like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_video_bars import clip_of, code, scene
from test_video_overlays import busy

from unish.network import UniSH
from unish.network.config import tiny_config
from unish.passes.known_camera import find_known_camera
from unish.pipeline import run
from unish.reconstruction.no_scene import find_padding
from unish.settings import Settings
from unish.structs import Clip
from unish.video import read_inside_bars, show_inside_bars
from unish.video.borders import inside as inside_module
from unish.video.borders.inset import fill_area, find_inset
from unish.video.borders.surround import find_surroundings
from written_videos import write_images

HEIGHT, WIDTH = 180, 320


def lay(small: np.ndarray, large: np.ndarray, top: int, left: int, *, frame: int = 0) -> np.ndarray:
    """The small pictures over the large ones, with a white frame of so many pixels."""
    out = large.copy()
    bottom, right = top + small.shape[1], left + small.shape[2]
    out[:, top - frame : bottom + frame, left - frame : right + frame] = 250
    out[:, top:bottom, left:right] = small
    return out


def still(pictures: np.ndarray) -> np.ndarray:
    return np.repeat(pictures[:1], len(pictures), axis=0)


def contrast(
    count: int = 8, height: int = HEIGHT, width: int = WIDTH, *, seed: int = 1, light: float = 0.0
) -> np.ndarray:
    """A moving view as rich as ``busy``, of any size and light."""
    view = scene(count, height, width, seed=seed).astype(np.float32)
    return np.clip(110 + light + 2.5 * (view - 110), 0, 255).astype(np.uint8)


def page(count: int = 8, *, seed: int = 5) -> np.ndarray:
    """A drawn page: flat, with lines of text; a pointer wanders over it."""
    rng = np.random.default_rng(seed)
    sheet = np.full((HEIGHT, WIDTH, 3), 235, np.uint8)
    for top in range(6, HEIGHT - 8, 12):
        for left in range(6, WIDTH - 6, 5):
            sheet[top : top + 6, left : left + 3] = rng.integers(20, 120, 3)
    pages = np.repeat(sheet[None], count, axis=0)
    for number, one in enumerate(pages):
        one[4 + number : 10 + number, 5 + 2 * number : 9 + 2 * number] = 0
    return pages


LAYOUTS = [(40, 0, 110, 320), (30, 50, 110, 200), (0, 60, 180, 190), (24, 0, 156, 240)]
"""(top, left, height, width): a browser, a page, an upright phone, a window that reaches to a corner."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_never_changes_is_around_the_picture(layout: tuple[int, int, int, int]) -> None:
    top, left, height, width = layout
    pictures = lay(contrast(8, height, width), page(), top, left)
    assert find_surroundings(pictures) == (top, left, top + height, left + width)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_after_coding_it_ends_there_within_two_pixels(layout: tuple[int, int, int, int], tmp_path: Path) -> None:
    top, left, height, width = layout
    found = find_surroundings(code(tmp_path, lay(contrast(8, height, width), page(), top, left), crf=26))
    assert found is not None and np.abs(np.array(found) - (top, left, top + height, left + width)).max() <= 2


def walker() -> np.ndarray:
    """Somebody who fills most of the picture walks before a camera on a tripod."""
    pictures, moving = still(busy()), busy(seed=3)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for number, (picture, other) in enumerate(zip(pictures, moving, strict=True)):
        body = ((rows - 95) / 75) ** 2 + ((columns - 60 - 22 * number) / 50) ** 2 < 1
        picture[body] = other[body]
    return pictures


def sea() -> np.ndarray:
    """Waves below a level horizon, and a sky without a cloud; the camera stands on a tripod."""
    pictures = busy()
    pictures[:, :70] = 210
    return pictures


def faded() -> np.ndarray:
    """The middle lives, and what is around it less and less: no edge."""
    pictures, frozen = busy().astype(np.float32), still(busy()).astype(np.float32)
    rows = np.clip(1.5 - np.abs(np.linspace(-2.5, 2.5, HEIGHT)), 0, 1)[:, None, None]
    return (frozen + rows * (pictures - frozen)).astype(np.uint8)


NEITHER = [busy, lambda: still(busy()), walker, sea, faded, page, lambda: lay(contrast(5, 110, 200), page(5), 30, 50)]


@pytest.mark.parametrize("made", NEITHER)
def test_what_has_no_surroundings(made) -> None:
    """Among them a drawn page without a film, and a film of too few frames."""
    assert find_surroundings(made()) is None


def near(found: tuple[int, ...] | None, wanted: tuple[int, ...]) -> bool:
    """It covers all of the inset but a pixel, and little more."""
    return found is not None and bool(np.abs(np.array(found) - wanted).max() <= 3)


def somebody_far(width: int = 60) -> np.ndarray:
    """In the middle of a view before a camera on a tripod somebody moves."""
    pictures, moving = still(scene(seed=2)), busy(seed=3)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    body = ((rows - 88) / 26) ** 2 + ((columns - 160) / width) ** 2 < 1
    pictures[:, body] = moving[:, body]
    return pictures


PLACES = [(10, 210), (116, 30)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["moves", "framed", "stands", "before a still view"])
def test_a_picture_in_the_picture_is_found(place: tuple[int, int], kind: str) -> None:
    """Before a moving camera whatever it shows; before one that stands, when what it shows moves, and somebody else."""
    small, frame = contrast(8, 48, 84, seed=4, light=60), 2 if kind == "framed" else 0
    large = somebody_far() if kind == "before a still view" else contrast(light=-40)
    pictures = lay(still(small) if kind == "stands" else small, large, *place, frame=frame)
    top, left = place[0] - frame, place[1] - frame
    assert near(find_inset(pictures), (top, left, top + 48 + 2 * frame, left + 84 + 2 * frame))


@pytest.mark.slow
@pytest.mark.parametrize("crf", [20, 30])
def test_it_is_found_after_coding(crf: int, tmp_path: Path) -> None:
    pictures = lay(contrast(8, 48, 84, seed=4, light=40), contrast(light=-40), 10, 210)
    assert near(find_inset(code(tmp_path, pictures, crf=crf)), (10, 210, 58, 294))


def window() -> np.ndarray:
    """A window that moves with the room around it."""
    large = contrast(8, HEIGHT, WIDTH + 60, light=-40)
    large = np.stack([np.roll(large[0], -3 * number, axis=1) for number in range(8)])
    for number, picture in enumerate(large):
        picture[50:110, 150 - 3 * number : 240 - 3 * number] = 230
    return large[:, :, :WIDTH]


def poster() -> np.ndarray:
    """It hangs in a room before a camera on a tripod; somebody walks."""
    return lay(still(contrast(8, 48, 84, seed=4, light=40)), walker(), 10, 210)


def ticker() -> np.ndarray:
    """A strip whose text changes, over a moving view."""
    return lay(contrast(8, 34, 190, seed=4, light=40), contrast(light=-40), 4, 120)


def tiny() -> np.ndarray:
    """Marks of a few pixels that change, in a frame without room for another picture."""
    return lay(contrast(8, 22, 30, seed=4, light=40), contrast(8, 96, 128, light=-40), 6, 90)


def film_beside_a_chat() -> np.ndarray:
    """What lives in a still page is the film, and a smaller part beside it."""
    return lay(contrast(8, 48, 84, seed=4, light=60), somebody_far(width=20), 10, 210)


NO_INSET = [film_beside_a_chat, busy, lambda: still(busy()), walker, sea, window, poster, ticker, tiny, lambda: busy(5)]


@pytest.mark.parametrize("made", NO_INSET)
def test_what_is_no_inset(made) -> None:
    assert find_inset(made()) is None


def test_the_place_of_an_inset_is_filled_from_around_it() -> None:
    """Between two colours it passes from one to the other; in a corner it goes on as beside it; the rest is kept."""
    picture = np.zeros((60, 90, 3), np.uint8)
    picture[:, :] = np.linspace(20, 200, 90)[:, None]
    laid = picture.copy()
    laid[20:40, 30:60] = 255
    filled = fill_area(laid, (20, 30, 40, 60))
    assert np.abs(filled.astype(int) - picture).max() <= 25 and filled[20:40, 30:60].max() < 160
    keep = np.ones((60, 90), bool)
    keep[20:40, 30:60] = False
    np.testing.assert_array_equal(filled[keep], picture[keep])
    corner = np.full((60, 90, 3), 77, np.uint8)
    corner[40:, 60:] = 255
    assert (fill_area(corner, (40, 60, 60, 90)) == 77).all()


def test_the_clip_is_painted_over_and_says_so() -> None:
    plain = contrast(light=-40)
    whole, inside = show_inside_bars(clip_of(lay(contrast(8, 48, 84, seed=4, light=40), plain, 10, 210)))
    assert whole is inside and near(inside.inset_area, (10, 210, 58, 294))
    assert any("a picture in the picture covers" in warning for warning in inside.warnings)
    shown = np.asarray(inside.images)
    top, left, bottom, right = inside.inset_area
    assert shown[:, top:bottom, left:right].mean() < 100, "the inset is lighter than what it was laid over"
    np.testing.assert_array_equal(shown[:, :, :200], plain[:, :, :200])
    padding = find_padding(inside, (90, 160))
    assert torch.stack([padding[frame] for frame in range(8)]).float().mean(0)[6:28, 106:146].eq(1).all()
    assert padding[0].float().mean() < 0.09


def test_a_recorded_screen_is_cut_to_its_film() -> None:
    pictures = lay(contrast(8, 110, 200), page(), 30, 50)
    whole, inside = show_inside_bars(clip_of(pictures))
    assert inside.source_area == (30.0, 50.0, 140.0, 250.0) and whole.size == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(np.asarray(inside.images), pictures[:, 30:140, 50:250])
    (note,) = [warning for warning in inside.warnings if "never changes" in warning]
    assert "50 at the left, 70 at the right, 30 at the top, 40 at the bottom" in note


def recorded_screen() -> tuple[Clip, Clip]:
    """The page of 320 x 180 pixels, and its film of 200 x 110."""
    return show_inside_bars(clip_of(lay(contrast(8, 110, 200), page(), 30, 50)))


def test_a_lens_that_is_told_is_that_of_the_film_alone() -> None:
    """Nobody filmed the page. A given matrix is in pixels of the source all the same."""
    whole, film = recorded_screen()
    wide = find_known_camera(Settings(fov=60.0), whole, film)
    assert wide is not None and wide.size == (110, 200)
    matrix = wide.matrix.numpy()
    np.testing.assert_allclose(matrix[:2, 2], [100, 55])
    np.testing.assert_allclose(matrix[0, 0], 100 / np.tan(np.radians(30)), rtol=1e-5)
    equivalent = find_known_camera(Settings(focal_35mm=30.0), whole, film)
    alone = clip_of(np.asarray(film.images))
    same = find_known_camera(Settings(focal_35mm=30.0), alone, alone)
    assert equivalent is not None and same is not None
    torch.testing.assert_close(equivalent.matrix, same.matrix)
    given = find_known_camera(Settings(intrinsics=(300.0, 300.0, 160.0, 90.0)), whole, film)
    assert given is not None and given.matrix[:2, 2].tolist() == [110, 60]


def chequered(count: int, height: int, width: int) -> np.ndarray:
    """A still picture of squares."""
    squares = np.random.default_rng(3).integers(40, 220, (height // 10, width // 10, 1), np.uint8)
    return np.repeat(np.kron(squares, np.ones((10, 10, 3), np.uint8))[None], count, axis=0)


@pytest.mark.parametrize("surrounded", [True, False])
def test_what_a_small_picture_shows_holds_where_a_large_one_shows_nothing(surrounded: bool) -> None:
    """Edges of large pictures may be blurred over many rows; what was found is not forgotten without a word."""
    large = replace(clip_of(chequered(6, 120, 160)), source_size=(60, 80))
    before = replace(large, source_area=(10.0, 20.0, 50.0, 70.0), surrounded=surrounded)
    assert show_inside_bars(large)[1] is large
    inside = show_inside_bars(large, before=before)[1]
    assert inside.source_area == before.source_area and inside.size == (80, 100)
    assert inside.surrounded == surrounded
    assert ("never changes" if surrounded else "bars beside") in inside.warnings[0]


def test_a_second_look_at_more_pixels_knows_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 1280 pixels a film amid a page is found, and at the 1400 of the source none."""
    path = write_images(tmp_path / "page", chequered(1, 140, 1400))
    areas = [(20, 457, 110, 823), None]
    monkeypatch.setattr(inside_module, "find_surroundings", lambda frames: areas.pop(0))
    whole, inside = read_inside_bars(path, fps=6.0, source_fps=6.0)
    assert whole.size == (140, 1400) and inside.surrounded and not areas
    assert inside.source_area is not None
    np.testing.assert_allclose(inside.source_area, [22, 500, 120, 900], atol=1)


def test_nothing_is_drawn_around_the_film_of_a_recorded_screen() -> None:
    """Of a large page with a small film, next to nothing is stored but the film."""
    torch.manual_seed(0)
    model = UniSH(tiny_config()).eval()
    pictures = lay(contrast(6, 110, 200), page(6), 30, 50)
    settings = Settings(people=0, size=56, fov=60.0, person_points=False)
    found = run(clip_of(pictures), settings=settings, network=model).reconstruction
    height, width = found.image_size.tolist()
    rows, columns = (
        slice(height * 32 // HEIGHT, height * 138 // HEIGHT),
        slice(width * 52 // WIDTH, width * 248 // WIDTH),
    )
    images = np.asarray(found.images)
    assert images[:, rows, columns].mean() > 60
    around = np.ones((height, width), bool)
    around[height * 28 // HEIGHT : height * 142 // HEIGHT + 2, width * 48 // WIDTH : width * 252 // WIDTH + 2] = False
    assert (images[:, around] == 0).all()
    np.testing.assert_allclose(found.intrinsics[0, :2, 2], [width * 150 / WIDTH, height * 85 / HEIGHT], atol=2)


def test_an_inset_has_no_depth() -> None:
    pictures = lay(contrast(8, 48, 84, seed=4, light=40), contrast(light=-40), 10, 210)
    torch.manual_seed(0)
    model = UniSH(tiny_config()).eval()
    result = run(clip_of(pictures), settings=Settings(people=0, size=320), network=model)
    confidence = np.asarray(result.reconstruction.point_conf)
    rows, columns = (np.linspace(0, 1, side) for side in confidence.shape[1:])
    inset = ((rows > 14 / HEIGHT) & (rows < 54 / HEIGHT))[:, None] & (columns > 214 / WIDTH) & (columns < 290 / WIDTH)
    assert (confidence[:, inset] < 1e-3).all()
    assert (confidence[:, ~inset] < 1e-3).mean() < 0.1
    assert any("a picture in the picture covers" in warning for warning in result.report["warnings"])
