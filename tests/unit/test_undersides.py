"""Nothing of a body goes through the ground: its lowest points, and what lifts them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from moving_people import TIMES, normal
from standing_shots import CAMERA_HEIGHT_M, FLOOR, UP, make_evidence, make_shot
from unish.body import JOINT_NAMES, load_body
from unish.body.pose_rows import Poses
from unish.geometry.rotation import axis_angle_to_matrix
from unish.reconstruction import Ground, MetricShot, settle_motion
from unish.reconstruction.undersides import SCALE_M, SIGMA_M, SUNK_M, Undersides, find_undersides, sunk_term

BODY = load_body("free")
CARRIER = BODY.skin_weights.argmax(-1)
GROUND = Ground(gravity=-UP, floor=FLOOR, source="feet")


def bend(shot: MetricShot, rng: torch.Generator) -> MetricShot:
    pose = axis_angle_to_matrix(0.4 * torch.randn(*shot.valid.shape, 23, 3, generator=rng))
    params = replace(shot.params, body_pose=pose)
    return replace(shot, params=params, joints=BODY.joints(params))


def lower(shot: MetricShot, by: Tensor) -> MetricShot:
    params = replace(shot.params, transl=shot.params.transl - by[..., None] * UP)
    return replace(shot, params=params, joints=BODY.joints(params))


def find_lowest(shot: MetricShot, vertices: slice | Tensor = slice(None)) -> Tensor:
    """Over the floor, metres."""
    return (BODY.vertices(shot.params)[..., vertices, :] @ UP).amin(-1) + CAMERA_HEIGHT_M


def test_the_lowest_point_of_each_part(rng: torch.Generator) -> None:
    shot = bend(make_shot(num_people=2, num_frames=3), rng)
    solved = torch.tensor([[True, True, False], [True, False, True]])
    found = find_undersides(shot, FLOOR, solved, BODY)
    assert not found.ground[solved].any() and torch.equal(found.floor, FLOOR) and not found.offsets[~solved].any()
    assert (found.ground[~solved] == -torch.inf).all(), "nothing lifts who does not count"
    skeleton = BODY.skeleton(shot.params)
    points = skeleton.positions + (skeleton.rotations @ found.offsets[..., None])[..., 0]
    heights = (points + shot.params.transl[..., None, :]) @ UP
    for joint, name in enumerate(JOINT_NAMES):
        lowest = (BODY.vertices(shot.params)[:, :, joint == CARRIER] @ UP).amin(-1)
        torch.testing.assert_close(heights[..., joint][solved], lowest[solved], rtol=0, atol=1e-5, msg=name)


def test_blocks_of_bodies_are_as_all_at_once(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    shot = bend(make_shot(num_people=2, num_frames=3), rng)
    whole = find_undersides(shot, FLOOR, shot.valid, BODY).offsets
    monkeypatch.setattr("unish.reconstruction.undersides._BLOCK", 4)
    torch.testing.assert_close(find_undersides(shot, FLOOR, shot.valid, BODY).offsets, whole)


def test_who_stands_below_the_floor_has_their_ground_there_and_nobody_s_is_higher() -> None:
    shot = make_shot(num_frames=3)
    support = torch.tensor([[[-0.3, -0.4, 0.0, torch.nan], [0.5, 0.4, 0.4, 0.5], [torch.nan] * 4]])
    found = find_undersides(shot, FLOOR, shot.valid, BODY, support)
    torch.testing.assert_close(found.ground, torch.tensor([[-0.4, 0.0, 0.0]]))
    picked = found.pick((torch.zeros(1, 4).long(), torch.tensor([[1, 0, 2, 0]])), torch.tensor([[True] * 3 + [False]]))
    assert picked.ground.tolist() == [[0.0, pytest.approx(-0.4), 0.0, -torch.inf]]
    assert picked.offsets.dtype == torch.float64 == picked.floor.dtype
    torch.testing.assert_close(picked.offsets[0, 1], found.offsets[0, 0].double())


def test_the_term_is_that_of_a_robust_depth(rng: torch.Generator) -> None:
    """Gradient of ½ Σ c² log(1 + d²/c²) / σ² by autograd; nothing where nothing is deep enough."""
    people, frames = 2, len(TIMES)
    rotations = axis_angle_to_matrix(0.3 * normal(people, frames, 24, 3, generator=rng))
    offsets = 0.1 * normal(people, frames, 24, 3, generator=rng)
    floor = torch.cat([torch.nn.functional.normalize(normal(3, generator=rng), dim=0), torch.tensor([0.1])]).double()
    ground = -0.05 * torch.rand(people, frames, generator=rng).double()
    poses = Poses(rotations, 0.1 * normal(people, frames, 3, generator=rng), normal(people, 10, generator=rng))

    def cost(changes: Tensor) -> Tensor:
        turned = rotations @ axis_angle_to_matrix(changes[..., :72].unflatten(-1, (24, 3)))
        betas = poses.betas[:, None].expand(-1, frames, -1)
        skeleton = BODY.to(dtype=torch.float64).pose(
            BODY.to(dtype=torch.float64).rest_joints(betas), turned[:, :, 0], turned[:, :, 1:]
        )
        joints = skeleton.positions - skeleton.positions[..., :1, :] + (poses.position + changes[..., 72:])[:, :, None]
        points = joints + (skeleton.rotations @ offsets[..., None])[..., 0]
        height = points @ floor[:3] + floor[3] - ground[..., None]
        depth = (height + SUNK_M).clamp_max(0.0)
        return 0.5 * (SCALE_M**2 * torch.log1p((depth / SCALE_M) ** 2)).sum() / SIGMA_M**2

    changes = torch.zeros(people, frames, 75, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(cost(changes), changes)
    undersides = Undersides(offsets=offsets, ground=ground, floor=floor)
    matrix, gradient = sunk_term(BODY.to(dtype=torch.float64), poses, undersides)
    assert expected.abs().max() > 10
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(matrix, matrix.mT)
    # A step against the curvature lowers the cost.
    step = -torch.linalg.solve(matrix + 10 * torch.eye(75), gradient[..., None])[..., 0]
    assert cost(0.5 * step) < cost(torch.zeros_like(step))
    free = replace(undersides, ground=torch.full_like(ground, -torch.inf))
    assert not any(part.any() for part in sunk_term(BODY.to(dtype=torch.float64), poses, free))


def settle(shot: MetricShot, support: Tensor | None = None) -> MetricShot:
    """With landmarks that err by 11 cm, so that the picture hardly holds; somebody has to touch, in the first frame."""
    evidence = make_evidence(shot)
    contact = torch.zeros(*shot.valid.shape, 4)
    contact[:, 0] = 1.0
    sigma = torch.full(evidence.landmarks_px.shape[:3], 2.0)
    return settle_motion(shot, replace(evidence, landmarks_sigma_px=sigma), GROUND, contact, BODY, support)


def test_who_sinks_in_is_lifted_to_the_ground() -> None:
    """Found 5 cm too low in some frames. What is left, 2.3 cm, the floor forgives, or the picture holds."""
    by = torch.zeros(1, 8)
    by[0, 3:6] = 0.05
    shot = lower(make_shot(num_frames=8), by)
    assert find_lowest(shot).amin() < -0.049
    found = settle(shot)
    assert find_lowest(found)[0, 3:6].amin() > -0.025 and find_lowest(found)[0, 3:6].amax() < 0.0
    # Who stands in a pit is not: they come up by what steadiness asks of a step down and up within half a second.
    pit = torch.zeros(1, 8, 4)
    pit[0, 3:6] = -0.05
    deep = settle(shot, pit)
    assert find_lowest(deep)[0, 3:6].amax() < -0.02
    deeper = settle(shot, 20 * pit)
    torch.testing.assert_close(find_lowest(deep), find_lowest(deeper), rtol=0, atol=1e-3)


def test_hands_and_knees_do_not_go_through_the_ground_either() -> None:
    """Somebody bends down, the hands 5 cm under the floor while the feet stand on it."""
    upright = make_shot(num_frames=6)
    pose = torch.zeros(1, 6, 23, 3)
    bent = {"left_hip": -1.9, "right_hip": -1.9, "left_shoulder": 1.4, "right_shoulder": -1.4}
    for name, turn in bent.items():
        pose[0, 2:5, JOINT_NAMES.index(name) - 1, 0 if "hip" in name else 2] = turn
    params = replace(upright.params, body_pose=axis_angle_to_matrix(pose))
    lowest = (BODY.vertices(params) @ UP).amin(-1)
    params = replace(params, transl=params.transl + (-CAMERA_HEIGHT_M - 0.05 - lowest)[..., None] * UP)
    params = replace(params, transl=torch.where(pose.any(-1).any(-1)[..., None], params.transl, upright.params.transl))
    shot = replace(upright, params=params, joints=BODY.joints(params))
    feet = torch.cat(
        list(BODY.contact_vertices[f"{side}_{part}"] for side in ("left", "right") for part in ("heel", "toe"))
    )
    hands = torch.cat([(JOINT_NAMES.index(f"{side}_hand") == CARRIER).nonzero()[:, 0] for side in ("left", "right")])
    others = torch.tensor(sorted(set(range(BODY.num_vertices)) - set(feet.tolist())))
    assert find_lowest(shot, others)[0, 2:5].amax() < -0.045, find_lowest(shot, hands)
    assert find_lowest(settle(shot), others)[0, 2:5].amin() > -0.025
