"""Clips without parallax, made from one picture: no camera moves, and no focal length is solved from what is not there.

The picture is a rendered room; where real ones are at hand, a photograph and a frame of a video, too.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from furnished_room import bend, film_room, turn_errors, walk
from unish.geometry.camera import make_intrinsics, pixel_grid
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network.view_config import ViewSolverConfig
from unish.network.view_parallax import chain_zooms
from unish.network.view_solver import SolvedViews, solve_views

SIZE, FOCAL, FRAMES = (240, 320), 280.0, 6
CONFIG = ViewSolverConfig(num_keypoints=512, num_anchors=200, still_px=0.5)
"""Matches of pictures as small as these are good to a quarter of their own pixels."""

MOST_MOVED = 0.001
"""Of the depth: what a camera that keeps its place may seem to move."""

REAL = {
    "kitchen": "labelled/7scenes_redkitchen/frame-000000.color.jpg",
    "desk": "labelled/places/tum_fr1_xyz10/rgb/*",
}


@pytest.fixture(
    params=["rendered", *(pytest.param(name, marks=(pytest.mark.slow, pytest.mark.media)) for name in REAL)]
)
def picture(request: pytest.FixtureRequest) -> Tensor:
    if request.param == "rendered":
        return film_room(torch.zeros(1, 6), noise=0.0).images[0]
    folder: Path = request.getfixturevalue("media_dir")
    return read(min(folder.glob(REAL[request.param])))


def read(path: Path) -> Tensor:
    with Image.open(path) as image:
        return to_tensor(image.convert("RGB").resize(SIZE[::-1], Image.Resampling.LANCZOS))


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def to_image(picture: Tensor) -> Image.Image:
    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def record(frames: list[Tensor]) -> Tensor:
    """What a camera makes of the frames: noise of 1.5 %, other in each, and JPEG."""
    generator, out = torch.Generator().manual_seed(3), []
    for frame in frames:
        file = io.BytesIO()
        to_image(frame + 0.015 * torch.randn(frame.shape, generator=generator)).save(file, "JPEG", quality=75)
        out.append(to_tensor(Image.open(file)))
    return torch.stack(out)


def look(picture: Tensor, *, turn: Tensor | None = None, zoom: float = 1.0) -> Tensor:
    """The picture as a camera in the same place takes it, ``turn`` to the right and down (radians) or zoomed."""
    rotation = axis_angle_to_matrix(torch.zeros(3) if turn is None else turn)
    before = make_intrinsics(torch.tensor(FOCAL), *SIZE)
    after = make_intrinsics(torch.tensor(FOCAL * zoom), *SIZE)
    places = functional.pad(pixel_grid(*SIZE, like=before), (0, 1), value=1.0)
    places = places @ (before @ rotation.mT @ torch.linalg.inv(after)).mT
    grid = places[..., :2] / places[..., 2:] / torch.tensor(SIZE[::-1]) * 2 - 1
    return functional.grid_sample(picture[None], grid[None], "bicubic", "reflection", align_corners=False)[0]


def solve(images: Tensor) -> SolvedViews:
    """With a depth prior that is smooth, bent, and of another scale in each frame."""
    y = torch.linspace(-1, 1, SIZE[0])[:, None].expand(SIZE)
    depth = bend((3.0 - 1.2 * y).expand(len(images), *SIZE))
    guess = make_intrinsics(torch.full((len(images),), FOCAL), *SIZE)
    return solve_views(images[None], depth.log()[None], guess[None], config=CONFIG)


def assert_kept(found: SolvedViews) -> None:
    assert not found.moves.any() and not found.solves_focal.any()
    depth = found.bundle.log_depth.exp().median()
    assert invert_rigid(found.bundle.w2c)[..., :3, 3].norm(dim=-1).max() <= MOST_MOVED * depth


def assert_focal_kept(found: SolvedViews) -> None:
    torch.testing.assert_close(found.intrinsics[0, :, 0, 0], torch.full((found.intrinsics.shape[1],), FOCAL))
    assert (found.log_zoom == 0).all()


def test_one_picture_again_and_again(picture: Tensor) -> None:
    found = solve(record([picture] * FRAMES))
    assert_kept(found)
    assert_focal_kept(found)
    assert (found.bundle.w2c == torch.eye(4)).all()


def test_a_turn_of_two_degrees_a_frame(picture: Tensor) -> None:
    turns = [torch.tensor([0.3, 1.0, 0.0]) * np.radians(2.0).item() * (k - 2.5) for k in range(FRAMES)]
    found = solve(record([look(picture, turn=turn) for turn in turns]))
    assert_kept(found)
    assert_focal_kept(found)
    rotations = torch.stack([axis_angle_to_matrix(turn) for turn in turns])
    true = torch.eye(4).repeat(FRAMES, 1, 1)
    true[:, :3, :3] = rotations @ rotations[0].mT
    assert turn_errors(found.bundle.w2c[0], true).max() < 0.25


@pytest.mark.parametrize(("a_frame", "turn_deg"), [(1.01, 0.0), (1.03, 0.0), (0.97, 0.0), (1.02, 1.0)])
def test_a_zoom_is_a_focal_length_of_each_frame(picture: Tensor, a_frame: float, turn_deg: float) -> None:
    turns = [torch.tensor([0.0, np.radians(turn_deg).item() * (k - 2.5), 0.0]) for k in range(FRAMES)]
    found = solve(record([look(picture, turn=turns[k], zoom=a_frame**k) for k in range(FRAMES)]))
    assert_kept(found)
    steps = torch.arange(FRAMES, dtype=torch.float32)
    focal = found.intrinsics[0, :, 0, 0]
    torch.testing.assert_close(focal / focal[0], a_frame**steps, rtol=4e-3, atol=0)
    torch.testing.assert_close(focal.log().mean().exp(), torch.tensor(FOCAL), rtol=1e-4, atol=0)
    torch.testing.assert_close(found.intrinsics[0, :, :2, 2], found.intrinsics[0, :1, :2, 2].expand(FRAMES, 2))


def test_captions_that_move_over_a_picture(picture: Tensor) -> None:
    frames = []
    for k in range(FRAMES):
        image = to_image(picture)
        pen, (height, width) = ImageDraw.Draw(image), SIZE
        pen.rectangle([0, height - 34, width, height], fill=(20, 20, 40))
        for row in range(2):
            text = "breaking news: something moved over the picture " * 2
            pen.text((width - 40 * k - 90 * row, height - 32 + 15 * row), text, fill=(255, 255, 255), font_size=13)
            pen.text(
                (40 + 130 * row, height - 20 * k - 70 * row), "directed by\nsomebody", fill=(255, 240, 90), font_size=14
            )
        frames.append(to_tensor(image))
    found = solve(record(frames))
    assert_kept(found)
    assert_focal_kept(found)


@pytest.mark.parametrize("goes", ["across", "on the spot"])
def test_a_thing_that_fills_two_fifths_passes_a_camera_at_rest(picture: Tensor, goes: str) -> None:
    """It has more texture than what it passes, and between first and last frame it has covered most of that."""
    height, width = 4 * SIZE[0] // 5, SIZE[1] // 2
    thing, frames = film_room(walk(1) + 0.7, noise=0.0).images, []
    for k in range(FRAMES):
        shown = functional.interpolate(thing, scale_factor=1 + 0.03 * k, mode="bilinear")[0][:, :height, :width]
        left = (SIZE[1] - width) * k // (FRAMES - 1) if goes == "across" else 40
        frame = picture.clone()
        frame[:, 4 * k : 4 * k + height, left : left + width] = shown
        frames.append(frame)
    found = solve(record(frames))
    assert_kept(found)
    assert_focal_kept(found)


@pytest.mark.parametrize(
    "numbers", [[0, 0, 1, 1, 2, 2, 3, 3], [0] * 14 + [1, 2, 3, 4]], ids=["pairs", "rest, then walk"]
)
def test_repeated_frames_among_moving_ones(numbers: list[int]) -> None:
    """Frames that show the same have the same camera, and the others move: a camera that rests first does, too."""
    clip = film_room(walk(max(numbers) + 1), focal=FOCAL, noise=0.0)
    images = record([clip.images[number] for number in numbers])
    depth, guess = bend(clip.depth)[numbers], clip.intrinsics[numbers]
    found = solve_views(images[None], depth.log()[None], guess[None], known_camera=True, config=CONFIG)
    assert found.moves.all()
    places = invert_rigid(found.bundle.w2c)[0, :, :3, 3]
    path = places[-1].norm()
    same = torch.tensor(numbers).diff() == 0
    assert places.diff(dim=0)[same].norm(dim=-1).max() < 0.01 * path
    assert turn_errors(found.bundle.w2c[0], clip.w2c[numbers]).max() < 0.3


def test_focal_lengths_of_pairs_that_disagree_are_those_of_least_squares() -> None:
    true = torch.tensor([[0.0, 0.1, 0.15, 0.4]])
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3)]
    differences = torch.stack([true[:, j] - true[:, i] for i, j in pairs], dim=1)
    found = chain_zooms(differences, torch.ones(1, 4), pairs, 4)
    torch.testing.assert_close(found, true - true.mean(), atol=1e-4, rtol=0)
    unjoined = chain_zooms(differences, torch.tensor([[1.0, 1.0, 1.0, 0.0]]), pairs, 4)
    torch.testing.assert_close(unjoined[0, 3], unjoined[0, 2], atol=1e-3, rtol=0)
    twice = chain_zooms(torch.cat([differences, 0 * differences]), torch.ones(2, 4), pairs, 4)
    torch.testing.assert_close(twice[0], found[0])
    assert (twice[1] == 0).all()
