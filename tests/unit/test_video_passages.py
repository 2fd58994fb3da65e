"""Between two pictures that share nothing: a camera that moves on is no transition, a slide and a wipe are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from unish.video.shots.drawn import is_drawn
from unish.video.shots.passages import LONGEST_PASSAGE, camera_leaves
from unish.video.shots.places import show_same_place
from unish.video.shots.transitions import Change, ShotFinder

HEIGHT, WIDTH = 36, 64
Pictures = list[np.ndarray]


def place(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Soft spots of all colours, with detail of a few pixels."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    return (gaussian_filter(noise, (1.5, 1.5, 0)) * 220 + 128).clip(0, 255).astype(np.uint8)


def eased(count: int) -> np.ndarray:
    share = np.linspace(0, 1, count)
    return share * share * (3 - 2 * share)


def pan(*, widths: float = 1.2, count: int = 12, upright: bool = False, smear: int = 1) -> Pictures:
    """The camera turns by so many picture widths (heights where ``upright``)."""
    side = HEIGHT if upright else WIDTH
    distance = round(widths * side)
    wide = place(1, HEIGHT + distance * upright, WIDTH + distance * (not upright))
    seen = uniform_filter1d(wide, smear, axis=0 if upright else 1)
    shifts = (eased(count) * distance).round().astype(int)
    return [seen[s : s + HEIGHT, :WIDTH] if upright else seen[:, s : s + WIDTH] for s in shifts]


def slide(*, count: int = 12, upright: bool = False, back: bool = False) -> Pictures:
    """The second place pushes the first one out."""
    axis = 0 if upright else 1
    both, side = np.concatenate([place(2), place(3)], axis=axis), (HEIGHT if upright else WIDTH)
    shifts = (eased(count) * side).round().astype(int)
    pictures = [np.take(both, np.arange(s, s + side), axis=axis) for s in shifts]
    return [np.flip(picture, axis) for picture in pictures] if back else pictures


def zoom(*, size: float = 3.0, count: int = 12) -> Pictures:
    view, pictures = Image.fromarray(place(4, 4 * HEIGHT, 4 * WIDTH)), []
    for now in np.geomspace(1, size, count):
        left, top = (2 * side * (1 - 1 / now) for side in (WIDTH, HEIGHT))
        box = (left, top, 4 * WIDTH - left, 4 * HEIGHT - top)
        pictures.append(np.asarray(view.resize((WIDTH, HEIGHT), Image.Resampling.BOX, box=box)))
    return pictures


def wipe(*, count: int = 12) -> Pictures:
    edges = np.linspace(0, WIDTH, count).round()
    return [np.where(np.arange(WIDTH)[:, None] < edge, place(3), place(2)) for edge in edges]


def step_aside(*, count: int = 12) -> Pictures:
    """As ``wipe``, but both views are of one place, seen from a little farther to the right."""
    wide = place(1, HEIGHT, WIDTH + 8)
    edges = np.linspace(0, WIDTH, count).round()
    return [np.where(np.arange(WIDTH)[:, None] < edge, wide[:, 8:], wide[:, :WIDTH]) for edge in edges]


def dissolve(*, count: int = 12) -> Pictures:
    return [(place(2) * (1 - share) + place(3) * share).astype(np.uint8) for share in np.linspace(0, 1, count)]


@pytest.mark.parametrize("smear", [1, 6])
@pytest.mark.parametrize("upright", [False, True])
def test_a_pan_that_leaves_the_view_is_a_movement_of_the_camera(upright: bool, smear: int) -> None:
    pictures = pan(upright=upright, smear=smear)
    assert camera_leaves(pictures) and camera_leaves(pictures[::-1])


@pytest.mark.parametrize("size", [2.5, 3.0, 3.8])
def test_a_zoom_that_leaves_the_view_is_one(size: float) -> None:
    assert camera_leaves(zoom(size=size)) and camera_leaves(zoom(size=size)[::-1])


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_a_slide_brings_an_edge(upright: bool, back: bool) -> None:
    assert not camera_leaves(slide(upright=upright, back=back))


@pytest.mark.parametrize("pictures", [wipe(), dissolve(), dissolve(count=30), [place(2)] * 4 + [place(3)] * 4])
def test_what_stays_where_it_is_while_it_changes_is_none(pictures: Pictures) -> None:
    assert not camera_leaves(pictures)


def test_a_short_way_or_a_long_time_is_none() -> None:
    assert not camera_leaves(pan(widths=0.4))
    assert camera_leaves(pan(count=LONGEST_PASSAGE)) and not camera_leaves(pan(count=LONGEST_PASSAGE + 1))


def panned(*shifts: int) -> Pictures:
    """Parts of one wide place, so many pixels from its left end."""
    wide = place(6, width=600)
    return [wide[:, shift : shift + WIDTH] for shift in shifts]


def changes(
    passage: Pictures, chance: float, suspicion: float = 0.0, *, rate: float = 12.5, sure: slice = slice(1, -1)
) -> list[Change]:
    """Of a video that stands, shows the passage, and stands, with a model that gives the passage this probability.

    Args:
        sure: pictures of the passage that have it.
    """
    film = [passage[0]] * 30 + passage + [passage[-1]] * 30
    first, last, _ = sure.indices(len(passage))
    first, last = 30 + first, 30 + last

    def model(thumbnails: np.ndarray) -> np.ndarray:
        assert len(thumbnails) == len(film)
        inside = (np.arange(len(film)) >= first) & (np.arange(len(film)) < last)
        return (inside[:, None] * np.array([chance, suspicion])).astype(np.float32)

    finder = ShotFinder(model=model)
    for index, picture in enumerate(film):
        finder.push(index / rate, picture)
    return finder.finish()


@pytest.mark.parametrize(
    ("passage", "expected"), [(wipe(), 1), (slide(), 1), (dissolve(), 1), (pan(), 0), (pan(smear=6), 0), (zoom(), 0)]
)
def test_what_the_model_takes_for_a_transition_is_one_unless_the_camera_moved(passage: Pictures, expected: int) -> None:
    assert len(changes(passage, 0.9)) == len(changes(passage, 0.9, 0.8)) == expected, "a suspicion adds no second one"


def test_a_whip_pan_is_none_though_the_pictures_in_its_midst_share_nothing() -> None:
    """Nothing that an editor slides moves as fast; the same pictures, shown more slowly, may be two shots."""
    whip = panned(0, 0, 28, 56, 200, 228, 256, 256)
    assert not camera_leaves(whip)
    assert not changes(whip, 0.9, rate=16) and len(changes(whip, 0.9, rate=12.5)) == 1


@pytest.mark.parametrize(("per_picture", "expected"), [(12, 0), (6, 1)])
def test_beside_what_may_be_a_transition_a_whip_pan_is_slower(per_picture: int, expected: int) -> None:
    """Its begin or its end, before or after the pictures that share nothing with one another."""
    start = panned(0, *(per_picture * step for step in range(5)))
    begins = [*start, place(2), place(3), *[place(3)] * 5]
    assert len(changes(begins, 0.9, rate=16, sure=slice(6, 8))) == expected
    assert len(changes(begins[::-1], 0.9, rate=16, sure=slice(5, 7))) == expected


def test_a_place_is_known_again_where_the_light_clips() -> None:
    """Of a picture of which the light leaves white all but the dark corners, these tell how much brighter it became."""
    view = np.clip(place(7).astype(float) * 0.6 + 80, 0, 255).astype(np.uint8)
    light = np.minimum(view * 2.3, 255).astype(np.uint8)
    assert 0.75 < (light.mean(-1) > 250).mean() < 0.95
    assert show_same_place(view, light) and not show_same_place(place(8), light)


@pytest.mark.parametrize(
    ("passage", "expected"),
    [(wipe(), 1), (slide(), 1), (dissolve(), 0), (pan(), 0), (pan(smear=6), 0), (zoom(), 0), (step_aside(), 0)],
)
def test_a_suspicion_counts_where_the_pictures_were_drawn_of_two_views(passage: Pictures, expected: int) -> None:
    """A dissolve is nowhere divided: the published network knows it without a suspicion."""
    assert len(changes(passage, 0.1, 0.8)) == expected
    assert not changes(passage, 0.1, 0.6)


def test_what_changes_here_and_there_is_not_divided() -> None:
    """Point after point, as in a wipe, but in no order: an editor's halves hang together."""
    turn = np.random.default_rng(5).random((HEIGHT, WIDTH, 1))
    scattered = [np.where(turn < share, place(3), place(2)) for share in np.linspace(0, 1, 12)]
    blocks = [np.where(np.kron(turn[::12, ::16], np.ones((12, 16, 1))) < share, place(3), place(2))
              for share in np.linspace(0, 1, 12)]  # fmt: skip
    assert not is_drawn(scattered) and is_drawn(blocks)


def test_an_edge_that_one_picture_alone_shows_is_no_slide() -> None:
    """Nobody saw it move."""
    assert is_drawn(slide(count=5)) and not is_drawn(slide(count=3))
    assert is_drawn(step_aside()), "whether both views are of one place is asked besides"
