"""A known world between burnt-in bars: it comes back as without them, in pixels of the whole frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_oracle_pipeline import CASES, Case

from oracle_world import CLIP_SIZE, SHOTS, SIZE, SOURCE_SIZE, OracleNetwork, World, make_world
from unish import pipeline
from unish.body import load_body
from unish.pipeline import Result, Settings, run
from unish.structs import Clip

BARS = {
    "letter": (18, 0, 18, 0),
    "pillar": (0, 75, 0, 75),
    "both": (21, 35, 21, 35),
    "unlike": (31, 0, 12, 0),
}
"""Rows and columns above, left, below, right of the clip's pictures."""


def frame(clip: Clip, widths: tuple[int, int, int, int]) -> Clip:
    """The same clip between black bars."""
    top, left, bottom, right = widths
    images = torch.nn.functional.pad(clip.images, (0, 0, left, right, top, bottom))
    factor = SOURCE_SIZE[0] // CLIP_SIZE[0]
    size = (int(images.shape[1]) * factor, int(images.shape[2]) * factor)
    return replace(clip, images=images, source_size=size)


def reconstruct(world: World, case: Case, clip: Clip, *, at: tuple[int, int] = (0, 0)) -> Result:
    """``at``: row and column of the clip at which its picture begins. The network and the people know the picture."""
    fx, fy, cx, cy = (case.cameras[0, i, j].item() * 2 for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    known = (fx, fy, cx + 2 * at[1], cy + 2 * at[0])
    return run(
        clip,
        settings=Settings(person_points=False, window=5, overlap=2, intrinsics=known if case.known else None),
        people_finder=lambda clip, size: (world.tracks, world.landmarks),
        network=OracleNetwork(world=world, config=case.config, betas=torch.zeros(2, 10)),
    )


@pytest.fixture(scope="module", params=["small, known, off centre", "release, unknown camera"])
def without_bars(request: pytest.FixtureRequest) -> tuple[Case, World, Result]:
    case = CASES[request.param]
    world = make_world(load_body(), case.cameras, betas=torch.zeros(2, 10))
    return case, world, reconstruct(world, case, world.clip)


@pytest.mark.slow
@pytest.mark.parametrize("bars", list(BARS))
def test_the_world_comes_back_in_pixels_of_the_whole_frames(
    without_bars: tuple[Case, World, Result], bars: str
) -> None:
    (case, world, first), widths = without_bars, BARS[bars]
    plain = first.reconstruction
    clip = frame(world.clip, widths)
    result = reconstruct(world, case, clip, at=widths[:2])
    found = result.reconstruction
    rows, columns = (round(widths[0] * SIZE[0] / CLIP_SIZE[0]), round(widths[1] * SIZE[1] / CLIP_SIZE[1]))
    below, right = (round(widths[2] * SIZE[0] / CLIP_SIZE[0]), round(widths[3] * SIZE[1] / CLIP_SIZE[1]))
    place = np.s_[:, rows : rows + SIZE[0], columns : columns + SIZE[1]]
    assert found.image_size.tolist() == [rows + SIZE[0] + below, columns + SIZE[1] + right]
    assert tuple(found.source_size) == clip.source_size
    # The focal length of a given camera takes another way through float32.
    same = {"rtol": 1e-5, "atol": 1e-5} if case.known else {"rtol": 0, "atol": 0}
    for key in ("c2w", "joints", "transl", "betas", "floor", "gravity"):
        np.testing.assert_allclose(getattr(found, key), getattr(plain, key), **same, err_msg=key)
    for key in ("depth", "point_conf", "person_masks", "images"):
        np.testing.assert_allclose(getattr(found, key)[place], getattr(plain, key), **same, err_msg=key)
    outside = np.ones(found.depth.shape, bool)
    outside[place] = False
    assert not found.depth[outside].any() and not found.point_conf[outside].any()
    assert (found.person_masks[outside] == -1).all()
    shift = np.array([columns, rows], np.float32)
    expected = world.intrinsics.numpy().copy()
    expected[:, :2, 2] += shift
    np.testing.assert_allclose(found.intrinsics, expected, rtol=3e-6)
    np.testing.assert_array_equal(found.boxes_xyxy, plain.boxes_xyxy + np.tile(shift, 2))
    np.testing.assert_array_equal(found.landmarks_px, plain.landmarks_px + np.append(shift, np.float32(0)))
    assert [row["field_of_view_deg"] for row in result.report["shots"]] == pytest.approx(
        [row["field_of_view_deg"] for row in first.report["shots"]], rel=1e-5
    )
    assert any("bars beside the picture" in line for line in result.report["warnings"])


def test_unseen_bars_spoil_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can fail: the network is shown another picture."""
    case = CASES["small, unknown camera"]
    world = make_world(load_body(), case.cameras, betas=torch.zeros(2, 10), people=0)
    network = OracleNetwork(world=world, config=case.config, betas=torch.zeros(2, 10))
    settings, clip = Settings(window=5, overlap=2, people=0), frame(world.clip, BARS["letter"])
    assert run(clip, settings=settings, network=network).reconstruction.num_frames == clip.num_frames
    monkeypatch.setattr(pipeline, "show_inside_bars", lambda clip: (clip, clip))
    with pytest.raises(AssertionError):
        run(clip, settings=settings, network=network)


@pytest.mark.slow
def test_bars_of_one_shot_are_hidden_and_named() -> None:
    """The network sees them; nothing else does."""
    case = CASES["small, known, off centre"]
    world = make_world(load_body(), case.cameras, betas=torch.zeros(2, 10))
    world.clip.images[SHOTS[1], :30] = 0
    world.clip.images[SHOTS[1], -30:] = 0
    result = reconstruct(world, case, world.clip)
    rows = round(30 * SIZE[0] / CLIP_SIZE[0])
    depth, hidden = result.reconstruction.depth[SHOTS[1]], np.zeros(SIZE, bool)
    hidden[:rows] = hidden[-rows:] = True
    assert not depth[:, hidden].any() and result.reconstruction.depth[SHOTS[0]][:, hidden].any()
    scene = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0)
    scene[SHOTS[1]] &= ~hidden
    np.testing.assert_allclose(result.reconstruction.depth[scene], world.depth.numpy()[scene], rtol=2e-3)
    assert any("shots 1 (from 0) have bars" in line for line in result.report["warnings"])
