"""Down and the floor of a shot: from upright people and the points near their feet, and from nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from standing_shots import CAMERA_HEIGHT_M, HEIGHT, UP, WIDTH, floor_depth, make_evidence, make_shot
from unish.body import load_body
from unish.geometry.camera import unproject
from unish.geometry.rigid import transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction import MetricShot
from unish.reconstruction.ground import (
    Ground,
    _Floor,
    _hear_people,
    _Place,
    _sample_scene,
    estimate_ground,
    find_upright,
)
from unish.reconstruction.static_points import sample_static


def assert_ground(found: Ground, up: Tensor, height: float, *, seen: bool, atol: float) -> None:
    assert found.known and found.source == ("scene" if seen else "people")
    torch.testing.assert_close(found.gravity, -up, atol=atol, rtol=0)
    torch.testing.assert_close(found.floor, torch.cat([up, torch.tensor([height])]), atol=atol, rtol=0)


def estimate(shot: MetricShot) -> Ground:
    return estimate_ground(shot, load_body("free"))


def test_the_floor_is_the_plane_under_the_feet_and_gravity_its_normal() -> None:
    """Also where the people lean a little: the plane says it better."""
    assert_ground(estimate(make_shot()), UP, CAMERA_HEIGHT_M, seen=True, atol=1e-4)
    assert_ground(estimate(make_shot(roll=0.08)), UP, CAMERA_HEIGHT_M, seen=True, atol=1e-4)


def hold_level(shot: MetricShot) -> MetricShot:
    """The same with cameras that are not rolled."""
    roll = torch.tensor([0.0, 0.0, math.atan2(float(UP[0]), -float(UP[1]))])
    c2w = shot.c2w.clone()
    c2w[:, :3, :3] = c2w[:, :3, :3] @ axis_angle_to_matrix(roll)
    return replace(shot, c2w=c2w, depth=floor_depth(c2w, CAMERA_HEIGHT_M))


def test_without_floor_points_a_level_plane_at_the_lowest_vertices_stands_in() -> None:
    """Up is between the person's own and that of a camera which is held level."""
    shot = hold_level(make_shot())
    empty = torch.zeros_like(shot.depth)
    for bare in (replace(shot, depth=empty), replace(shot, conf=torch.full_like(shot.conf, 0.09))):
        found = estimate(bare)
        up = -found.gravity
        assert torch.linalg.cross(up, UP).norm() < 0.05
        lowest = float((load_body("free").vertices(shot.params)[0, 0] @ up).amin())
        assert_ground(found, up, -lowest, seen=False, atol=1e-4)


def test_a_plane_that_is_not_near_the_feet_is_no_floor() -> None:
    """A table half a metre above has more points; and a cellar below."""
    shot = make_shot()
    for height in (CAMERA_HEIGHT_M - 0.5, CAMERA_HEIGHT_M + 0.5):
        found = estimate(replace(shot, depth=floor_depth(shot.c2w, height)))
        assert found.known and found.source == "people"
    near = estimate(replace(shot, depth=floor_depth(shot.c2w, CAMERA_HEIGHT_M - 0.2)))
    assert_ground(near, UP, CAMERA_HEIGHT_M - 0.2, seen=True, atol=1e-4)


def test_sure_points_decide_between_planes() -> None:
    """Half of the frames, of more points but hardly confident, are 20 cm higher."""
    shot = make_shot()
    depth, conf = shot.depth.clone(), shot.conf.clone()
    depth[:2] = floor_depth(shot.c2w, CAMERA_HEIGHT_M - 0.2)[:2]
    conf[:2] = 0.3
    assert_ground(estimate(replace(shot, depth=depth, conf=conf)), UP, CAMERA_HEIGHT_M, seen=True, atol=1e-4)
    low_first = replace(shot, depth=depth, conf=conf.flip(0))
    found = estimate(replace(low_first, conf=torch.where(conf.flip(0) < 0.5, 0.15, conf.flip(0))))
    assert_ground(found, UP, CAMERA_HEIGHT_M - 0.2, seen=True, atol=1e-4)


def test_few_points_are_no_floor() -> None:
    """200 points of those that are looked at, one in seven."""
    shot = make_shot()
    looked_at = (torch.arange(HEIGHT * WIDTH) % 7 == 0).reshape(HEIGHT, WIDTH)
    near = (shot.depth > 0) & (shot.depth < 4) & looked_at  # the farther, the more the lean of the person lifts them
    spots = near.nonzero()
    for count, seen in ((200, True), (199, False)):
        depth = torch.where(looked_at, 0.0, shot.depth)
        chosen = spots[torch.linspace(0, len(spots) - 1, count).long()]
        depth[tuple(chosen.T)] = shot.depth[tuple(chosen.T)]
        assert estimate(replace(shot, depth=depth)).source == ("scene" if seen else "people")


def test_who_does_not_stand_or_is_badly_measured_tells_nothing() -> None:
    assert not estimate(make_shot(sit=1.6)).known, "sitting"
    standing = make_shot()
    assert not estimate(replace(standing, valid=torch.zeros_like(standing.valid))).known
    unsure = replace(standing, distance_sigma=torch.full_like(standing.distance_sigma, 0.1))
    unknown = estimate(unsure)
    assert (
        not unknown.known and unknown.floor.isnan().all() and unknown.gravity.isnan().all() and unknown.source == "none"
    )
    assert estimate(replace(standing, distance_sigma=torch.full_like(standing.distance_sigma, 0.09))).known


@pytest.mark.parametrize(
    ("num_frames", "num_valid", "known"), [(4, 2, False), (4, 3, True), (2, 2, True), (2, 1, False)]
)
def test_three_upright_frames_are_asked_for_or_all_of_a_shorter_shot(
    num_frames: int, num_valid: int, known: bool
) -> None:
    shot = make_shot(num_frames=num_frames)
    valid = torch.arange(num_frames)[None] < num_valid
    assert estimate(replace(shot, valid=valid)).known == known


def test_most_people_decide_which_way_is_up_and_how_low_the_feet_are() -> None:
    """One of three leans by twelve degrees and hangs half a metre higher."""

    def find(shot: MetricShot, higher: float) -> Ground:
        transl = shot.params.transl.clone()
        transl[0] += higher * UP
        params = replace(shot.params, transl=transl)
        joints = load_body("free").joints(params)
        return estimate(replace(shot, params=params, joints=joints, depth=torch.zeros_like(shot.depth)))

    all_upright = find(hold_level(make_shot(num_people=3)), 0.0)
    found = find(hold_level(make_shot(num_people=3, roll=0.2)), 0.5)
    assert found.known and found.source == "people"
    assert torch.linalg.cross(found.gravity, all_upright.gravity).norm() < 0.04
    assert torch.linalg.cross(found.gravity, UP).norm() < 0.05 and float(found.gravity @ UP) < 0
    assert abs(float(found.floor[3]) - CAMERA_HEIGHT_M) < 0.2


def test_scene_points_are_those_of_eight_frames_or_more_every_seventh_pixel() -> None:
    shot = make_shot(num_frames=25)
    points, weights = _sample_scene(replace(shot, conf=torch.rand(shot.conf.shape, generator=torch.Generator())))
    frames = list(range(0, 25, 3))
    local = unproject(shot.depth, shot.intrinsics)[frames].flatten(1, 2)[:, ::7]
    world = transform_points(shot.c2w[frames], local)
    conf = torch.rand(shot.conf.shape, generator=torch.Generator())[frames].flatten(1)[:, ::7]
    keep = (local[..., 2] > 0) & (conf >= 0.1)
    torch.testing.assert_close(points, world[keep])
    torch.testing.assert_close(weights, conf[keep])
    torch.testing.assert_close(points @ UP, torch.full((len(points),), -CAMERA_HEIGHT_M), atol=1e-4, rtol=0)


@pytest.mark.parametrize("roll", [3.0, 1.5])
def test_somebody_on_their_hands_or_lying_straight_does_not_turn_the_world(roll: float) -> None:
    """Neck and ankles are as far apart as when standing: for the body alone that is upright."""
    alone = make_shot(roll=roll)
    found = estimate_ground(alone, load_body("free"), static=sample_static(alone, make_evidence(alone)))
    assert found.known and degrees_between(-found.gravity, UP) < 3.0
    assert found.against is not None, "that the body says something else is told"
    beside = estimate(make_shot(num_people=2, roll=roll))
    assert beside.source == "scene" and degrees_between(-beside.gravity, UP) < 1.0


def test_a_slope_that_few_points_share_is_no_floor() -> None:
    """Points around the feet that are drawn as a slope, and 25 cm thick: the camera and the body say more."""
    shot = make_shot(num_frames=8)
    slope = torch.nn.functional.normalize(UP + 0.16 * torch.linalg.cross(UP, shot.c2w[0, :3, 2]), dim=0)
    world = transform_points(shot.c2w, unproject(shot.depth, shot.intrinsics).flatten(1, 2))
    foot = shot.params.transl[0, 0]
    rise = ((world - foot) @ (UP - slope)).reshape(shot.depth.shape)
    noise = 0.25 * (torch.rand(shot.depth.shape, generator=torch.Generator().manual_seed(0)) - 0.5)
    # Along the ray a height of h needs h over the ray's slope against the floor.
    down = (world - shot.c2w[:, None, :3, 3]) @ -UP
    lifted = shot.depth * (1 - ((rise + noise) / down.reshape(shot.depth.shape).clamp_min(0.3)))
    drawn = replace(shot, depth=torch.where((shot.depth > 0) & (shot.depth < 8), lifted, 0.0))
    found = estimate(drawn)
    assert found.source == "scene" and degrees_between(-found.gravity, UP) < 5.0 < degrees_between(slope, UP)
    foot = torch.cat([foot_under(shot), torch.ones(1)])
    assert abs(float(found.floor @ foot)) < 0.12
    over = replace(drawn, params=replace(drawn.params, transl=drawn.params.transl + 0.2 * UP))
    hanging = estimate(replace(over, joints=load_body("free").joints(over.params)))
    assert hanging.source == "scene" and abs(float(hanging.floor @ foot)) < 0.12, "not as high as the feet"


def foot_under(shot: MetricShot) -> Tensor:
    """Where the first person stands in the first frame."""
    vertices = load_body("free").vertices(shot.params)[0, 0]
    return vertices[(vertices @ UP).argmin()]


def degrees_between(one: Tensor, other: Tensor) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, float(one @ other)))))


@pytest.mark.parametrize("degrees", [18.0, 22.0, -30.0, 50.0])
def test_a_camera_that_is_rolled_far_is_not_believed_beside_people_and_floor(degrees: float) -> None:
    """The floor is looked for around what people alone say, too: what cameras say besides is too far from it."""
    shot = make_shot(num_frames=8)
    c2w = shot.c2w.clone()
    c2w[:, :3, :3] = c2w[:, :3, :3] @ axis_angle_to_matrix(torch.tensor([0.0, 0.0, math.radians(degrees)]))
    found = estimate(replace(shot, c2w=c2w, depth=floor_depth(c2w, CAMERA_HEIGHT_M)))
    assert_ground(found, UP, CAMERA_HEIGHT_M, seen=True, atol=1e-3)


def test_many_people_are_little_surer_than_one_and_many_frames_than_few() -> None:
    body = load_body("free")
    one, few, many = (_hear_people(*find_upright(make_shot(num_people=people), body)) for people in (1, 2, 8))
    assert [len(people) for people in (one, few, many)] == [1, 2, 8]
    joint = [sum(1 / person.sigma**2 for person in people) ** -0.5 for people in (one, few, many)]
    assert joint[0] > joint[1] > joint[2] > math.radians(10.0)
    (longer,) = _hear_people(*find_upright(make_shot(num_frames=100), body))
    assert math.radians(10.0) < longer.sigma < math.radians(10.5) < one[0].sigma


def test_a_floor_is_as_certain_as_its_share_of_the_points_near_the_feet() -> None:
    plane = torch.cat([UP, torch.zeros(1)])
    sigmas = [_Floor(plane=plane, share=share).normal.sigma for share in (1.0, 0.5, 0.25, 0.125)]
    assert sigmas == pytest.approx([math.radians(degrees) for degrees in (4.0, 4.0, 8.0, 16.0)])


def test_a_level_plane_is_as_high_as_the_slope_is_under_the_feet() -> None:
    """Two people on a slope, a third beside it who sinks: most count; without a plane, their feet."""
    across = torch.nn.functional.normalize(torch.linalg.cross(UP, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    slope = torch.nn.functional.normalize(UP + 0.1 * across, dim=0)
    plane = torch.cat([slope, torch.tensor([1.0])])
    feet = torch.tensor([3.0, 3.2, 3.1])[:, None] * across + torch.tensor([0.2, 0.1, -5.0])[:, None] * UP
    bodies = feet[:, None] + torch.tensor([0.0, 0.9, 1.7])[None, :, None] * UP
    place = _Place(bodies=bodies, points=torch.zeros(0, 3), weights=torch.zeros(0), seed=0)
    level = place.find_level(UP, plane)
    under = feet[2] + UP * (-float(plane @ torch.cat([feet[2], torch.ones(1)])) / float(slope @ UP))
    torch.testing.assert_close(level, torch.cat([UP, -(under @ UP)[None]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(place.find_level(UP, torch.zeros(4)), torch.cat([UP, torch.tensor([-0.1])]))
