"""Up by the directions of the scene's surfaces, and what a shot's ground makes of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from standing_shots import FLOOR, UP, make_evidence, make_shot
from unish.body import load_body
from unish.geometry.camera import unproject
from unish.geometry.plane import span_tangents
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction.fallbacks import describe_fallbacks
from unish.reconstruction.ground import estimate_ground
from unish.reconstruction.scene_gravity import SceneUp, vote_up
from unish.reconstruction.static_points import StaticPoints, sample_static


def make_scene(*surfaces: tuple[Tensor, int], noise: float = 0.03, seed: int = 0) -> StaticPoints:
    """So many points with normals around each direction."""
    generator = torch.Generator().manual_seed(seed)
    normals = torch.cat([normal.expand(count, 3) for normal, count in surfaces])
    normals = torch.nn.functional.normalize(normals + noise * torch.randn(normals.shape, generator=generator), dim=-1)
    count = len(normals)
    return StaticPoints(
        points=torch.randn(count, 3, generator=generator), normals=normals, conf=torch.full((count,), 0.8),
        depth=torch.full((count,), 3.0), frame=torch.zeros(count, dtype=torch.long), cameras=torch.eye(4)[None],
    )  # fmt: skip


def degrees_off(found: SceneUp | None, up: Tensor = UP) -> float:
    assert found is not None
    return math.degrees(math.acos(min(1.0, float(found.up @ up))))


def test_a_floor_and_walls_that_are_not_square_tell_up() -> None:
    right, ahead = span_tangents(UP)
    oblique = torch.nn.functional.normalize(right + 2 * ahead, dim=0)
    rubbish = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8]), dim=0)
    found = vote_up(make_scene((UP, 1500), (right, 2500), (oblique, 1000), (rubbish, 500)))
    assert degrees_off(found) < 1.0 and math.degrees(found.sigma) < 8.0  # type: ignore[union-attr]


def test_two_walls_alone_tell_up_and_one_does_not() -> None:
    right, ahead = span_tangents(UP)
    assert degrees_off(vote_up(make_scene((right, 2000), (ahead, 2000)))) < 1.0
    assert vote_up(make_scene((ahead, 4000))) is None
    assert vote_up(make_scene((UP, 100))) is None, "few points"


@pytest.mark.parametrize("degrees", [-45.0, 45.0])
def test_a_camera_that_looks_steeply_up_or_down_is_told_by_the_surfaces(degrees: float) -> None:
    """Where the likeliest way of holding a camera says less than what is seen."""
    pitch = axis_angle_to_matrix(torch.tensor([math.radians(degrees), 0.0, 0.0]))
    up, ahead = pitch @ torch.tensor([0.0, -1.0, 0.0]), pitch @ torch.tensor([0.0, 0.0, 1.0])
    right = torch.tensor([1.0, 0.0, 0.0])
    assert degrees_off(vote_up(make_scene((up, 2500), (ahead, 800), (right, 800))), up) < 1.0


def test_of_a_floor_and_a_ramp_the_larger_one_is_level() -> None:
    ramp = torch.nn.functional.normalize(UP + 0.1 * span_tangents(UP)[0], dim=0)
    assert degrees_off(vote_up(make_scene((UP, 3000), (ramp, 1000), noise=0.005))) < 1.0
    assert degrees_off(vote_up(make_scene((UP, 1000), (ramp, 3000), noise=0.005)), ramp) < 1.0


def test_the_more_surfaces_are_spread_the_less_is_certain() -> None:
    exact, rough = (vote_up(make_scene((UP, 4000), noise=noise)) for noise in (0.002, 0.08))
    assert exact is not None and rough is not None and 3 * exact.sigma < rough.sigma


def test_without_upright_people_the_scene_tells_gravity_and_floor() -> None:
    shot = make_shot()
    nobody = replace(shot, valid=torch.zeros_like(shot.valid))
    ground = estimate_ground(nobody, load_body("free"), static=sample_static(nobody, make_evidence(nobody)))
    assert ground.source == "directions"
    torch.testing.assert_close(ground.floor, FLOOR, atol=1e-3, rtol=0)
    torch.testing.assert_close(ground.gravity, -UP, atol=1e-3, rtol=0)
    said = describe_fallbacks([nobody], [ground], [0])
    assert any("directions of the scene's surfaces, to" in sentence for sentence in said)
    assert estimate_ground(nobody, load_body("free")).source == "none"


def test_people_who_lean_against_the_scene_are_told_of() -> None:
    """All people lean by 40 degrees: who is right nobody knows, but that they differ is said."""
    shot = make_shot(num_people=1, num_frames=6, roll=0.7)
    static = sample_static(shot, make_evidence(shot))
    ground = estimate_ground(shot, load_body("free"), static=static)
    assert ground.against is not None and math.degrees(ground.against.angle) == pytest.approx(40, abs=4)
    said = describe_fallbacks([shot], [ground], [0])
    assert any("disagree by" in sentence and "which way is down" in sentence for sentence in said)
    upright = make_shot(num_people=1, num_frames=6)
    agreed = estimate_ground(upright, load_body("free"), static=sample_static(upright, make_evidence(upright)))
    assert agreed.against is None and agreed.source == "scene"
    assert describe_fallbacks([upright], [agreed], [0]) == [], "nothing was guessed, so nothing is said"


def test_a_ramp_that_surfaces_and_people_contradict_is_not_level() -> None:
    """All points near the feet lie on it, but it leans by 14 degrees against what everything else says."""
    shot = make_shot(num_frames=6)
    static = sample_static(shot, make_evidence(shot))
    across = torch.nn.functional.normalize(torch.linalg.cross(UP, shot.c2w[0, :3, 2]), dim=0)
    ramp = torch.nn.functional.normalize(UP + 0.25 * across, dim=0)
    vertices = load_body("free").vertices(shot.params)[0, 0]
    foot = vertices[(vertices @ UP).argmin()]
    rays = unproject(torch.ones_like(shot.depth), shot.intrinsics) @ shot.c2w[:, None, :3, :3].mT
    ahead = ((foot - shot.c2w[:, :3, 3]) @ ramp)[:, None, None] / (rays @ ramp).clamp_max(-1e-6)
    depth = torch.where((rays @ ramp < -0.05) & (ahead < 20), ahead, 0.0)
    ground = estimate_ground(replace(shot, depth=depth), load_body("free"), static=static)
    assert ground.source == "scene"
    assert math.degrees(math.acos(float(ramp @ UP))) == pytest.approx(14, abs=0.1)
    assert math.degrees(math.acos(min(1.0, float(-ground.gravity @ UP)))) < 4.0
    assert abs(float(ground.floor[:3] @ foot + ground.floor[3])) < 0.05, "as high as the ramp is under the feet"


def test_without_people_the_way_the_camera_is_held_counts_beside_the_surfaces() -> None:
    """Two rough walls and no floor; the camera is rolled by six degrees against them."""
    right, ahead = span_tangents(UP)
    walls = make_scene((right, 2000), (ahead, 2000), noise=0.08)
    shot = make_shot()
    nobody = replace(shot, valid=torch.zeros_like(shot.valid), c2w=torch.eye(4).expand(4, 4, 4))
    ground, told = estimate_ground(nobody, load_body("free"), static=walls), vote_up(walls)
    assert told is not None and ground.source == "directions" and ground.floor.isnan().all()
    assert ground.sigma < told.sigma
    roll = [abs(math.degrees(math.atan2(float(up[0]), -float(up[1])))) for up in (told.up, -ground.gravity)]
    assert roll[0] == pytest.approx(5.8, abs=1.0) and 0.5 < roll[1] < roll[0] - 1.0
