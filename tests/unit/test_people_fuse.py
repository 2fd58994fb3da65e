"""Two readings of one person made one: who is heard where, what moves along, and how much is to be doubted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_people import FRAME, Bodies, box_of, make_body
from unish.body import LANDMARK_NAMES
from unish.body.joints import MIRRORED_LANDMARKS
from unish.people.facing import weigh_facing
from unish.people.fuse import SIGMA_ALONE_M, add_points, fuse, measure_scale, sigma_alone
from unish.people.protocols import Observation
from unish.people.regions import Region

SIDES = [f"{side}_{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
         for side in ("left", "right")]  # fmt: skip
COCO = ["nose", *SIDES]
SAME = [LANDMARK_NAMES.index(name) for name in COCO]
MIRRORED = list(MIRRORED_LANDMARKS)
TRUNK = [5, 6, 11, 12]
SCALE = 100.0
"""Pixels for a metre at the person."""


def make_people(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """People who face the camera, seen without perspective; what a second model without error sees; their sizes."""
    random = np.random.default_rng(seed)
    left = np.array([("left" in name) - 1.0 * ("right" in name) for name in LANDMARK_NAMES])
    world = np.stack([0.15 * left, np.linspace(-0.9, 0.9, 33), 0.1 * left + 0.2], axis=-1)
    world = (world + 0.02 * random.standard_normal((count, 33, 3))).astype(np.float32)
    px = np.concatenate([SCALE * world[..., :2] + 300, random.random((count, 33, 1))], axis=-1).astype(np.float32)
    points = np.concatenate([px[:, SAME, :2], np.full((count, 17, 2), 0.8)], axis=-1).astype(np.float32)
    return px, world, points, np.full(count, 180.0)


def turn_around(px: np.ndarray, world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is read of the same people by a model that takes the front for the back."""
    return px[:, MIRRORED], world[:, MIRRORED] * np.array([1, 1, -1], np.float32)


def fuse_as_coco(px: np.ndarray, world: np.ndarray, points: np.ndarray, side: np.ndarray) -> tuple:
    """``fuse`` with points that lie at the joints: key points are up the trunk, down the thigh, and up the shank."""
    trunk = (world[:, [11, 12]].mean(axis=1) - world[:, [23, 24]].mean(axis=1))[:, None]
    thigh, shank = world[:, [23, 24]] - world[:, [25, 26]], world[:, [25, 26]] - world[:, [27, 28]]
    points = points.copy()
    for rows, up, metres in (
        ([5, 6], trunk, 0.015), ([11, 12], trunk, 0.014), ([13, 14], thigh, -0.015), ([15, 16], shank, 0.009),
    ):  # fmt: skip
        moved = metres * (up / np.linalg.norm(up, axis=-1, keepdims=True))[..., :2]
        points[:, rows, :2] += moved * measure_scale(px, world)[:, None, None]
    return fuse(px, world, points, side)


def test_scale_is_that_of_the_limbs():
    px, world, *_ = make_people(2)
    assert measure_scale(px, world) == pytest.approx([SCALE, SCALE], rel=1e-5)
    assert sigma_alone(px, world) == pytest.approx(np.full((2, 33), SIGMA_ALONE_M * SCALE), rel=1e-5)
    assert np.isfinite(measure_scale(px, 0 * world)).all()


def test_two_models_that_agree_leave_all_as_it_is_and_a_centimetre_of_doubt():
    px, world, points, side = make_people(3)
    fused = fuse_as_coco(px, world, points, side)
    assert np.allclose(fused[0], px, atol=1e-4) and np.array_equal(fused[1], world)
    assert fused[2] == pytest.approx(np.full((3, 33), 0.01 * SCALE), rel=1e-4)


def test_points_are_the_second_model_s_and_what_it_does_not_know_moves_along():
    px, world, points, side = make_people(1)
    moved = np.random.default_rng(1).standard_normal((1, 17, 2)).astype(np.float32)
    points[..., :2] += moved
    fused, _, sigma, _ = fuse_as_coco(px, world, points, side)
    assert np.allclose(fused[:, SAME, :2], points[..., :2], atol=1e-4)
    assert np.array_equal(fused[..., 2], px[..., 2])
    carriers = {"pinky": "wrist", "index": "wrist", "thumb": "wrist", "heel": "ankle", "foot_index": "ankle"}
    for name in LANDMARK_NAMES:
        side_name, _, part = name.partition("_")
        carrier = f"{side_name}_{carriers[part]}" if part in carriers else name
        carrier = "nose" if "mouth" in name else f"{side_name}_eye" if "eye" in part else carrier
        index, row = LANDMARK_NAMES.index(name), COCO.index(carrier)
        assert fused[0, index, :2] - px[0, index, :2] == pytest.approx(moved[0, row], abs=1e-4), name
        apart = float(np.linalg.norm(moved[0, row]))
        assert sigma[0, index] == pytest.approx(np.hypot(0.01 * SCALE, 0.35 * apart), rel=1e-3), name


@pytest.mark.parametrize(("share", "heard"), [(0.119, True), (0.121, False)])
def test_a_second_model_whose_trunk_is_elsewhere_is_not_heard(share, heard):
    """12 % of the size, as a mean over shoulders and hips; limbs do not matter. Doubt ends at that distance then."""
    px, world, points, side = make_people(2)
    points[0, TRUNK, 0] += share * side[0]
    points[:, 10, 0] += side
    fused, _, sigma, _ = fuse_as_coco(px, world, points, side)
    assert np.allclose(fused[0, SAME, :2], points[0, :, :2], atol=1e-3) == heard
    assert np.array_equal(fused[0], px[0]) != heard
    for landmark, apart in ((11, share * side[0]), (13, 0.0), (16, side[0] if heard else 0.12 * side[0])):
        apart = min(apart, 0.12 * side[0]) if not heard else apart
        assert sigma[0, landmark] == pytest.approx(np.hypot(0.01 * SCALE, 0.35 * apart), rel=1e-3)
    assert np.allclose(fused[1, SAME, :2], points[1, :, :2], atol=1e-3)


@pytest.mark.parametrize(("score", "share"), [(0.9, 1.0), (0.3, 1.0), (0.15, 0.5), (0.0, 0.0)])
def test_points_that_the_second_model_does_not_see_are_hardly_visible(score, share):
    """What is behind a table BlazePose is sure of; and what moves along with such a point is seen as little."""
    px, world, points, side = make_people(2)
    points[0, 16, 2] = score
    fused, *_ = fuse_as_coco(px, world, points, side)
    ankle_and_foot = [28, 30, 32]
    assert fused[0, ankle_and_foot, 2] == pytest.approx(share * px[0, ankle_and_foot, 2], abs=1e-6)
    others = np.delete(np.arange(33), ankle_and_foot)
    assert np.array_equal(fused[0, others, 2], px[0, others, 2]) and np.array_equal(fused[1, :, 2], px[1, :, 2])


def test_trunks_are_compared_where_the_second_model_is_sure():
    """Hips beyond the border are guesses; but of somebody of whom it sees no corner of the trunk it knows nothing."""
    px, world, points, side = make_people(3)
    points[0, [11, 12], 0] += side[0]
    points[0, [11, 12], 2] = 0.29
    points[1, [11, 12], 0] += side[1]
    points[2, TRUNK, 2] = 0.29
    points[:, 9, 0] += 5
    fused, *_ = fuse_as_coco(px, world, points, side)
    wrist = LANDMARK_NAMES.index("left_wrist")
    assert (fused[:, wrist, 0] - px[:, wrist, 0]).tolist() == pytest.approx([5, 0, 0], abs=1e-3)


def test_of_a_small_part_of_a_person_the_size_is_not_that_of_the_box():
    """A metre at least: 11 centimetres apart are one person, however little is seen; 13 are not."""
    px, world, points, _ = make_people(2)
    points[:, TRUNK, 0] += np.array([[0.11], [0.13]]) * SCALE
    fused, *_ = fuse_as_coco(px, world, points, np.array([20.0, 20.0]))
    moved = (fused[:, 11, 0] - px[:, 11, 0]).tolist()
    assert moved == pytest.approx([0.11 * SCALE, 0], abs=1e-3)


@pytest.mark.parametrize(("score", "heard"), [(0.3, True), (0.29, False)])
def test_points_of_which_the_second_model_is_not_sure_stay_where_they_are(score, heard):
    """What lies beyond the border of the picture it has to put inside. The doubt remains."""
    px, world, points, side = make_people(1)
    points[0, 16, 1] -= 50
    points[0, 16, 2] = score
    fused, _, sigma, _ = fuse_as_coco(px, world, points, side)
    for landmark in (28, 30, 32):
        assert fused[0, landmark, 1] - px[0, landmark, 1] == pytest.approx(-50 * heard, abs=1e-3)
        assert sigma[0, landmark] == pytest.approx(np.hypot(0.01 * SCALE, 0.35 * 50), rel=1e-3)
    assert np.allclose(fused[0, :28], px[0, :28], atol=1e-3)


def test_left_and_right_are_the_second_model_s_and_depth_follows():
    px, world, points, side = make_people(4)
    wrong_px, wrong_world = px.copy(), world.copy()
    wrong_px[::2], wrong_world[::2] = turn_around(px[::2], world[::2])
    fused_px, fused_world, sigma, _ = fuse_as_coco(wrong_px, wrong_world, points, side)
    assert np.allclose(fused_px, px, atol=1e-3) and np.array_equal(fused_world, world)
    assert sigma == pytest.approx(np.full((4, 33), 0.01 * SCALE), rel=1e-3)


def test_how_sure_left_and_right_are_is_said_of_the_order_that_is_kept():
    """Both models agree; the first one had it the other way round; one of them has read somebody else."""
    px, world, points, side = make_people(3)
    px[1:2], world[1:2] = turn_around(px[1:2], world[1:2])
    points[2, :, 0] += side[2]
    *_, facing = fuse_as_coco(px, world, points, side)
    _, straight, *_ = fuse_as_coco(px, world, points, side)
    assert facing[:2] == pytest.approx(weigh_facing(straight, points, np.array([False, True, False]))[:2])
    assert facing[0] > facing[1] + 1 and np.isnan(facing[2])


def test_somebody_else_does_not_turn_a_person_around():
    """Nor do a few exchanged limbs, or a trunk seen from the side that says the contrary of all limbs."""
    px, world, points, side = make_people(3)
    points[0] = np.concatenate([points[0, :1], points[0, 1:].reshape(8, 2, 4)[:, ::-1].reshape(16, 4)])
    points[0, :, 0] += 0.3 * side[0]
    points[1, [13, 14, 15, 16]] = points[1, [14, 13, 16, 15]]
    centre = px[2, [11, 12, 23, 24], 0].mean()
    for row, landmark in zip(TRUNK, [11, 12, 23, 24], strict=True):
        px[2, landmark, 0] = centre + 0.05 * (px[2, landmark, 0] - centre)
        points[2, row, 0] = 2 * centre - px[2, landmark, 0]
    fused_px, fused_world, *_ = fuse_as_coco(px, world, points, side)
    assert np.array_equal(fused_world, world) and np.array_equal(fused_px[0], px[0])
    assert np.allclose(fused_px[1:, SAME, :2], points[1:, :, :2], atol=1e-3)


def test_mirrored_people_are_fused_to_mirrored_people():
    px, world, points, side = make_people(3)
    points[..., :2] += np.random.default_rng(2).standard_normal((3, 17, 2)).astype(np.float32)
    coco = [COCO.index(LANDMARK_NAMES[MIRRORED[landmark]]) for landmark in SAME]

    def mirror(marks, order, width):
        mirrored = marks[:, order].copy()
        mirrored[..., 0] = width - mirrored[..., 0]
        return mirrored

    straight = fuse_as_coco(px, world, points, side)
    mirrored = fuse_as_coco(mirror(px, MIRRORED, 600), mirror(world, MIRRORED, 0), mirror(points, coco, 600), side)
    assert np.allclose(mirrored[0], mirror(straight[0], MIRRORED, 600), atol=1e-3)
    assert np.allclose(mirrored[1], mirror(straight[1], MIRRORED, 0), atol=1e-5)
    assert np.allclose(mirrored[2], straight[2][:, MIRRORED], atol=1e-3)


def test_people_are_fused_each_for_themselves_and_sizes_do_not_matter():
    px, world, points, side = make_people(4, seed=3)
    points[..., :2] += 3 * np.random.default_rng(4).standard_normal((4, 17, 2)).astype(np.float32)
    points[1, :, 0] += 200
    together = fuse_as_coco(px, world, points, side)
    for index in range(4):
        row = slice(index, index + 1)
        alone = fuse_as_coco(px[row], world[row], points[row], side[row])
        assert all(
            np.allclose(one, all_of_them[row], atol=1e-4, equal_nan=True)
            for one, all_of_them in zip(alone, together, strict=True)
        )
    double = np.array([2, 2, 1], np.float32)
    larger = fuse_as_coco(px * double, world, points * double[[0, 1, 2, 2]], 2 * side)
    assert np.allclose(larger[0], together[0] * double, atol=1e-3) and np.allclose(
        larger[2], 2 * together[2], atol=1e-3
    )


class Shifted:
    """A second model that sees every person in the middle of a region, three pixels to the right of a body."""

    def __init__(self, *bodies):
        self.bodies, self.regions = bodies, []

    def read_points(self, picture, regions):
        self.regions = list(regions)
        points = np.full((len(self.bodies), 17, 4), 0.9, np.float32)
        points[..., :2] = np.stack([body.px[SAME, :2] for body in self.bodies]) + np.array([3, 0])
        return points


def test_people_with_poses_get_points_from_regions_close_around_what_is_seen():
    bodies = [make_body(100, 120, 100), make_body(220, 120, 80)]
    bodies[0].px[2, :2] = 0, 0
    bodies[0].px[2, 2] = 0.49
    bodies[1].px[2:, 2] = 0
    people = [
        Observation(box_xyxy=box_of(bodies[0]), score=0.9, appearance=np.zeros(72), pose=bodies[0]),
        Observation(box_xyxy=box_of(bodies[0]), score=0.9, appearance=np.zeros(72)),
        Observation(box_xyxy=np.array([190.0, 80, 250, 160]), score=0.9, appearance=np.zeros(72), pose=bodies[1]),
    ]
    # The second box is too small for somebody without a pose to be looked at again.
    people[1] = replace(people[1], box_xyxy=np.array([0.0, 0, 63, 63]))
    model = Shifted(bodies[0], bodies[0], bodies[1])
    found = add_points(FRAME, people, model, Bodies(), min_landmark_score=0.5)
    assert found[1] is people[1]
    for person, body in zip(found[::2], bodies, strict=True):
        assert np.allclose(person.pose.px[11:, 0], body.px[11:, 0] + 3) and person.pose.sigma_px.shape == (33,)
        assert replace(person.pose, px=body.px, world=body.world, sigma_px=None).score == body.score
        assert isinstance(person.pose.facing, float)
    # Around what is visible and the middles of the sides of the box.
    first, _, second = model.regions
    assert (first.x, first.y, first.side, first.angle) == pytest.approx((100, 120, 115, 0))
    assert (second.x, second.y, second.side) == pytest.approx((220, 120, 1.15 * 80))
    alone = Shifted(bodies[0])
    assert add_points(FRAME, people[1:2], alone, Bodies(), min_landmark_score=0.5) == people[1:2]
    assert add_points(FRAME, [], alone, Bodies(), min_landmark_score=0.5) == []


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0, np.pi])
def test_regions_around_points_touch_them(angle):
    points = np.random.default_rng(0).random((6, 2)) * [40, 90] + 50
    region = Region.around_points(points, angle=angle, margin=1.0)
    local = region.from_picture(points)
    assert local.min() == pytest.approx(0, abs=1e-9) and local.max() == pytest.approx(1, abs=1e-9)
    assert local.min(axis=0) + local.max(axis=0) == pytest.approx([1, 1], abs=1e-9)
    assert Region.around_points(points, angle=angle, margin=1.5).side == pytest.approx(1.5 * region.side)
    assert Region.around_points(points[:1], angle=angle, margin=1.0).side == 1.0
