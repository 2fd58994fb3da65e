"""Dark and round pictures, and a lens that zooms told from a camera that comes nearer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from made_room import make_room
from unish.reconstruction.checks.pictures import measure_pictures
from unish.reconstruction.checks.scene import zoom_factor
from unish.structs import Reconstruction

HEIGHT, WIDTH = 96, 128
NUM_FRAMES = 8
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def texture(seed: int) -> Image.Image:
    """Blobs a few pixels wide, of high contrast, four times as large as the picture."""
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    return Image.fromarray(noise).resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.BICUBIC)


def look(source: Image.Image, size: float, right: float = 0.0) -> np.ndarray:
    """The picture's middle, enlarged by ``size`` and seen ``right`` pixels to the right."""
    across, down = WIDTH / size, HEIGHT / size
    left, top = 2 * WIDTH + right - across / 2, 2 * HEIGHT - down / 2
    box = (left, top, left + across, top + down)
    return np.asarray(source.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box))


def record_of(grey: list[np.ndarray], depth: np.ndarray) -> Reconstruction:
    """Nobody, these pictures, and this depth in every frame."""
    record, _ = make_room(num_people=0, num_frames=len(grey))
    images = np.repeat(np.stack(grey)[..., None], 3, axis=-1)
    return replace(record, images=images, depth=np.tile(depth.astype(np.float32), (len(grey), 1, 1)))


def two_walls(sizes: list[tuple[float, float]], depths: tuple[float, float], right: float = 0.0) -> Reconstruction:
    """A wall on the left and another one on the right, each enlarged as it is told in every frame."""
    walls, on_left = (texture(1), texture(2)), X < WIDTH // 2
    pictures = [
        np.where(on_left, look(walls[0], left, right * frame), look(walls[1], far, right * frame))
        for frame, (left, far) in enumerate(sizes)
    ]
    return record_of(pictures, np.where(on_left, *depths))


def enlarged(record: Reconstruction) -> float:
    return measure_pictures(record, np.arange(record.num_frames)).enlarged


def test_nothing_is_enlarged_in_pictures_that_are_known_to_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unish.reconstruction.checks.pictures._measure_zoom", lambda record, frames: 1.5)
    record = record_of([look(texture(1), 1.0)] * 3, np.full((HEIGHT, WIDTH), 3.0))
    found, still = (measure_pictures(record, np.arange(3), still=known) for known in (False, True))
    assert (found.enlarged, still.enlarged) == (1.5, 1.0)
    assert replace(found, enlarged=1.0) == still


@pytest.mark.parametrize("growth", [1.04, 1.02, 0.97])
@pytest.mark.parametrize("right", [0.0, 1.0])
def test_a_zoom_enlarges_near_and_far_alike(growth: float, right: float) -> None:
    """Also while the camera turns."""
    record = two_walls([(growth**frame, growth**frame) for frame in range(NUM_FRAMES)], (2.0, 6.0), right)
    assert enlarged(record) == pytest.approx(growth ** (NUM_FRAMES - 1), rel=0.03)


def test_a_zoom_that_the_file_knows_is_none_that_was_taken_for_something_else() -> None:
    record = two_walls([(1.04**frame, 1.04**frame) for frame in range(NUM_FRAMES)], (2.0, 6.0))
    intrinsics = record.intrinsics.copy()
    intrinsics[:, [0, 1], [0, 1]] *= 1.04 ** np.arange(NUM_FRAMES, dtype=np.float32)[:, None]
    known = replace(record, intrinsics=intrinsics)
    assert enlarged(known) == pytest.approx(1.0, rel=0.03)
    assert zoom_factor(known, np.arange(NUM_FRAMES)) == pytest.approx(1.04 ** (NUM_FRAMES - 1), rel=1e-5)
    assert zoom_factor(record, np.arange(NUM_FRAMES)) == 1.0


@pytest.mark.parametrize("step_m", [0.08, -0.08])
def test_a_camera_that_comes_nearer_is_no_zoom(step_m: float) -> None:
    sizes = [(2.0 / (2.0 - step_m * frame), 6.0 / (6.0 - step_m * frame)) for frame in range(NUM_FRAMES)]
    assert enlarged(two_walls(sizes, (2.0, 6.0))) == 1.0


def test_before_one_flat_wall_nothing_tells_the_two_apart() -> None:
    """A tenth of difference in depth does."""
    sizes = [(1.04**frame, 1.04**frame) for frame in range(NUM_FRAMES)]
    assert enlarged(two_walls(sizes, (4.0, 4.0))) == 1.0
    assert enlarged(two_walls(sizes, (4.0, 5.0))) > 1.2


def test_a_camera_that_stands_or_turns_enlarges_nothing() -> None:
    for right in (0.0, 2.0):
        assert enlarged(two_walls([(1.0, 1.0)] * NUM_FRAMES, (2.0, 6.0), right)) == pytest.approx(1.0, abs=0.02)


def test_pictures_that_do_not_tell() -> None:
    """One frame, no texture, and pictures that have nothing to do with one another."""
    flat = np.full((HEIGHT, WIDTH), 99, np.uint8)
    others = [look(texture(seed), 1.0) for seed in range(6)]
    for pictures in ([look(texture(1), 1.0)], [flat] * 4, others):
        assert enlarged(record_of(pictures, np.full((HEIGHT, WIDTH), 3.0))) == 1.0


@pytest.mark.parametrize("light", [1.0, 0.3, 0.05])
def test_brightness_follows_the_light(light: float) -> None:
    pictures = [(look(texture(1), 1.0) * light).astype(np.uint8)] * 3
    found = measure_pictures(record_of(pictures, np.full((HEIGHT, WIDTH), 3.0)), np.arange(3))
    lit = pictures[0][pictures[0] >= 24]
    expected = np.percentile(lit if len(lit) else pictures[0], 90)
    assert found.brightness == pytest.approx(expected, abs=1.0)


def test_black_bars_do_not_make_a_picture_dark() -> None:
    picture = look(texture(1), 1.0).copy()
    picture[:36], picture[-36:] = 0, 0
    found = measure_pictures(record_of([picture] * 2, np.full((HEIGHT, WIDTH), 3.0)), np.arange(2))
    assert found.brightness == pytest.approx(np.percentile(picture[36:-36], 90), abs=8.0) and not found.is_round


def is_round(shown: np.ndarray, seed: int = 1) -> bool:
    """Of pictures of which only a part is shown, on a black that coding has made uneven."""
    black = np.random.default_rng(0).integers(0, 12, (HEIGHT, WIDTH), dtype=np.uint8)
    lit = np.maximum(look(texture(seed), 1.0), 60)
    record = record_of([np.where(shown, lit, black)] * 3, np.full((HEIGHT, WIDTH), 3.0))
    return measure_pictures(record, np.arange(3)).is_round


def disc(x: float, y: float, radius: float) -> np.ndarray:
    return np.hypot(X + 0.5 - x, Y + 0.5 - y) < radius


@pytest.mark.parametrize(
    "shown",
    [disc(64, 48, 47), disc(64, 48, 60), disc(60, 50, 44), disc(64, 48, 70), disc(64, 48, 30)],
    ids=["inscribed", "cut above and below", "aside", "corners only", "small"],
)
def test_discs_are_round(shown: np.ndarray) -> None:
    assert is_round(shown)


@pytest.mark.parametrize(
    "shown",
    [
        disc(64, 48, 200),
        (Y > 12) & (Y < 84),
        (X > 20) & (X < 108),
        (Y > 12) & (Y < 84) & (X > 20) & (X < 108),
        np.abs(X - 64) / 60 + np.abs(Y - 48) / 44 < 1,
        np.abs(X - 64) < 20 + 0.4 * Y,
        np.zeros((HEIGHT, WIDTH), bool),
    ],
    ids=["whole", "letterbox", "pillarbox", "both", "diamond", "trapezium", "black"],
)
def test_other_shapes_are_not(shown: np.ndarray) -> None:
    assert not is_round(shown)
