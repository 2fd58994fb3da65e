"""The landmark branch: its view of a person, its first pose, and what the whole branch must not depend on."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unish.body import load_body
from unish.body.population import AGE_BETA
from unish.geometry.camera import project
from unish.geometry.rotation import axis_angle_to_matrix, rotation_angle
from unish.geometry.ruler import solve_translation
from unish.network.human.analytic_pose import rotations_from_landmarks
from unish.network.human.landmark_branch import MIRRORED_JOINTS, LandmarkBranch, LandmarkBranchConfig
from unish.network.human.solver import MAX_LOG_STATURE, limit_statures
from unish.network.human.viewing_ray import image_aligned_points, turn_to, view_person
from unish.structs import BodyParams, HumanInputs

SMALL = LandmarkBranchConfig(dim=32, num_heads=4, stage_depths=(1, 1))
INTRINSICS = torch.tensor([[900.0, 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]])
UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


def make_branch(config: LandmarkBranchConfig = SMALL) -> LandmarkBranch:
    """Random weights everywhere, also in the heads that start at zero."""
    torch.manual_seed(0)
    branch = LandmarkBranch(config)
    for name, parameter in branch.named_parameters():
        if "turn" in name or "shape" in name or name == "unseen":
            torch.nn.init.normal_(parameter, std=0.02)
    return branch.eval()


def pose(*batch: int, generator: torch.Generator, spread: float = 0.3) -> BodyParams:
    """People who face the camera from 4 m, moderately bent."""
    turns = spread * torch.randn(*batch, 23, 3, generator=generator)
    turns[..., [2, 5, 8], :] *= 0.2  # spine
    yaw = torch.zeros(*batch, 3)
    yaw[..., 1] = 0.5 * torch.randn(*batch, generator=generator)
    return BodyParams(
        betas=torch.zeros(*batch, 10), global_orient=UPRIGHT @ axis_angle_to_matrix(yaw),
        body_pose=axis_angle_to_matrix(turns), transl=torch.tensor([0.3, 0.1, 4.0]).expand(*batch, 3),
    )  # fmt: skip


def look(params: BodyParams, intrinsics: Tensor = INTRINSICS) -> HumanInputs:
    """Perfect landmarks of (B, P, N) people."""
    landmarks = load_body().landmarks(params)
    hips = landmarks[..., 23:25, :].mean(-2)
    px = project(landmarks, intrinsics.expand(*landmarks.shape[:-2], 3, 3))
    ray = turn_to(torch.nn.functional.normalize(hips, dim=-1))
    return HumanInputs(
        valid=torch.ones(landmarks.shape[:3], dtype=torch.bool),
        landmarks_px=torch.cat([px, torch.ones_like(px[..., :1])], -1),
        landmarks_world=(landmarks - hips[..., None, :]) @ ray,
    )


def run(branch: LandmarkBranch, humans: HumanInputs, times: Tensor, intrinsics: Tensor = INTRINSICS):
    clips, _, frames = humans.valid.shape
    with torch.no_grad():
        return branch(humans, times, intrinsics.expand(clips, frames, 3, 3))


@pytest.fixture
def humans(rng: torch.Generator) -> HumanInputs:
    return look(pose(2, 3, 5, generator=rng))


TIMES = torch.tensor([[0.0, 0.1, 0.25, 0.3, 0.9], [0.0, 0.2, 0.4, 0.6, 0.8]])


def test_shapes_and_proper_rotations(humans: HumanInputs) -> None:
    out = run(make_branch(), humans, TIMES)
    assert out.betas.shape == (2, 3, 10) and out.token.shape == (2, 3, 5, SMALL.token_dim)
    eye = torch.eye(3).expand_as(out.rotations)
    torch.testing.assert_close(out.rotations @ out.rotations.mT, eye, atol=1e-5, rtol=0)
    assert torch.linalg.det(out.rotations).min() > 0.99


def test_analytic_pose_is_exact_at_rest_and_near_when_posed(rng: torch.Generator) -> None:
    body = load_body()
    identity = torch.eye(3)
    rest = body.landmarks(
        BodyParams(
            betas=torch.zeros(10), global_orient=identity, body_pose=identity.expand(23, 3, 3), transl=torch.zeros(3)
        )
    )
    turn = axis_angle_to_matrix(torch.tensor([0.2, 1.0, -0.3]))
    found = rotations_from_landmarks(rest @ turn.T, rest)
    torch.testing.assert_close(found[0], turn, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1:], identity.expand(23, 3, 3), atol=1e-4, rtol=0)

    params = pose(64, generator=rng)
    joints = body.joints(params)
    found = rotations_from_landmarks(body.landmarks(params), rest)
    again = body.joints(replace(params, global_orient=found[:, 0], body_pose=found[:, 1:]))
    error = ((again - again[:, :1]) - (joints - joints[:, :1])).norm(dim=-1)
    assert error.median() < 0.05 and error.max() < 0.35


def test_a_bent_knee_becomes_a_knee_rotation() -> None:
    body = load_body()
    identity = torch.eye(3)
    params = BodyParams(
        betas=torch.zeros(10), global_orient=identity, body_pose=identity.repeat(23, 1, 1), transl=torch.zeros(3)
    )
    rest = body.landmarks(params)
    params.body_pose[3] = axis_angle_to_matrix(torch.tensor([1.2, 0.0, 0.0]))
    found = rotations_from_landmarks(body.landmarks(params), rest)
    assert rotation_angle(found[4].mT @ params.body_pose[3]) < 0.15
    assert rotation_angle(found[5]) < 1e-6


def test_view_is_centred_and_image_aligned_points_are_the_true_ones(humans: HumanInputs) -> None:
    view = view_person(
        humans.landmarks_px.flatten(0, 1), humans.landmarks_world.flatten(0, 1), humans.valid.flatten(0, 1),
        INTRINSICS.expand(6, 5, 3, 3),
    )  # fmt: skip
    # Twice the measured errors. The depth comes from the size of the person alone (weak perspective), so a limb that
    # points to the camera makes it wrong: by 0.22 m at most and 0.06 m at the median, of 4 m.
    assert view.image_points[..., 23:25, :].mean(-2).abs().max() < 1.2e-4
    wrong = (1 / view.inverse_depth - 4.0).abs()
    assert wrong.max() < 0.44 and wrong.median() < 0.12
    assert (image_aligned_points(view) - view.points).norm(dim=-1).median() < 0.024


def test_steps_of_the_solver_bring_the_body_to_the_landmarks(humans: HumanInputs) -> None:
    body = load_body()

    def misfit_px(steps: int) -> Tensor:
        out = run(make_branch(replace(SMALL, solver_steps=steps)), humans, TIMES)
        params = BodyParams(
            betas=out.betas[:, :, None].expand(-1, -1, 5, -1), global_orient=out.rotations[:, :, :, 0],
            body_pose=out.rotations[:, :, :, 1:], transl=torch.zeros(2, 3, 5, 3),
        )  # fmt: skip
        seen = humans.landmarks_px[..., :2]
        intrinsics = INTRINSICS.expand(2, 3, 5, 3, 3)
        return solve_translation(body.landmarks(params), seen, torch.ones(2, 3, 5, 33), intrinsics)[1].median()

    # Measured: 45, 15 and 3.8 pixels, of people some 350 pixels tall.
    assert misfit_px(3) < 0.5 * misfit_px(1) < 0.25 * misfit_px(0)


def test_landmarks_with_huge_errors_leave_the_networks_pose(humans: HumanInputs) -> None:
    one = HumanInputs(
        valid=humans.valid[:, :, :1], landmarks_px=humans.landmarks_px[:, :, :1],
        landmarks_world=humans.landmarks_world[:, :, :1],
    )  # fmt: skip
    alone = run(make_branch(replace(SMALL, solver_steps=0)), one, TIMES[:, :1]).rotations
    for sigma_px, same in ((1e5, True), (3.0, False)):
        sigma = torch.full((2, 3, 1, 33), sigma_px)
        solved = run(make_branch(), replace(one, landmarks_sigma_px=sigma), TIMES[:, :1]).rotations
        assert (rotation_angle(solved.mT @ alone).max() < 1e-3) == same


def test_a_stature_that_no_detector_tells_is_not_believed(humans: HumanInputs) -> None:
    """A pose that is misread looks like a child; statures as they are read of people are left to the bit."""
    body, branch = load_body(), make_branch(replace(SMALL, solver_steps=1))
    with torch.no_grad():
        branch.stages[-1].shape.bias[AGE_BETA] = -2.0
    heights = body.standing_height(run(branch, humans, TIMES).betas.flatten(0, 1))
    mean = body.standing_height(torch.zeros(1, 10))
    # The solver holds the stature to 1.7 cm.
    assert (heights / mean).log().abs().max() < MAX_LOG_STATURE + 0.03
    usual = 0.5 * torch.eye(10)[:2]
    assert torch.equal(limit_statures(body, usual), usual)


def test_one_person_alone_gives_what_the_batch_gives(humans: HumanInputs) -> None:
    branch = make_branch()
    together = run(branch, humans, TIMES)
    alone = HumanInputs(
        valid=humans.valid[1:, 2:], landmarks_px=humans.landmarks_px[1:, 2:],
        landmarks_world=humans.landmarks_world[1:, 2:],
    )  # fmt: skip
    single = run(branch, alone, TIMES[1:])
    torch.testing.assert_close(single.rotations[0, 0], together.rotations[1, 2], atol=2e-5, rtol=0)
    torch.testing.assert_close(single.betas[0, 0], together.betas[1, 2], atol=2e-5, rtol=0)


def test_unseen_frames_at_the_end_change_nothing_whatever_they_hold(humans: HumanInputs) -> None:
    branch = make_branch()
    short = HumanInputs(
        valid=humans.valid[:, :, :3], landmarks_px=humans.landmarks_px[:, :, :3],
        landmarks_world=humans.landmarks_world[:, :, :3],
    )  # fmt: skip
    expected = run(branch, short, TIMES[:, :3])
    for filler in (torch.nan, 1e4):
        px, world = humans.landmarks_px.clone(), humans.landmarks_world.clone()
        px[:, :, 3:], world[:, :, 3:] = filler, filler
        valid = humans.valid.clone()
        valid[:, :, 3:] = False
        out = run(branch, HumanInputs(valid=valid, landmarks_px=px, landmarks_world=world), TIMES)
        torch.testing.assert_close(out.rotations[:, :, :3], expected.rotations, atol=2e-5, rtol=0)
        torch.testing.assert_close(out.betas, expected.betas, atol=2e-5, rtol=0)
        assert out.rotations.isfinite().all() and out.token.isfinite().all()


def test_a_person_who_is_never_seen_is_finite_and_upright(humans: HumanInputs) -> None:
    valid = humans.valid.clone()
    valid[0, 1] = False
    out = run(make_branch(), replace(humans, valid=valid), TIMES)
    assert out.rotations.isfinite().all() and out.betas.isfinite().all()
    assert out.rotations[0, 1, :, 0, 1, 1].max() < -0.5
    assert out.betas[0, 1].abs().max() == 0


def test_one_frame_works(humans: HumanInputs) -> None:
    single = HumanInputs(
        valid=humans.valid[:, :, :1], landmarks_px=humans.landmarks_px[:, :, :1],
        landmarks_world=humans.landmarks_world[:, :, :1],
    )  # fmt: skip
    assert run(make_branch(), single, TIMES[:, :1]).rotations.shape == (2, 3, 1, 24, 3, 3)


def test_mirrored_people_get_mirrored_poses(humans: HumanInputs) -> None:
    from unish.body.joints import MIRRORED_LANDMARKS

    branch = make_branch()
    order = list(MIRRORED_LANDMARKS)
    px = humans.landmarks_px[..., order, :].clone()
    px[..., 0] = 1280 - px[..., 0]
    world = humans.landmarks_world[..., order, :] * torch.tensor([-1.0, 1.0, 1.0])
    out = run(branch, humans, TIMES)
    mirrored = run(branch, replace(humans, landmarks_px=px, landmarks_world=world), TIMES)
    sign = torch.tensor([-1.0, 1.0, 1.0])
    expected = out.rotations[..., list(MIRRORED_JOINTS), :, :] * (sign[:, None] * sign)
    # Rounding alone: 2.3e-6 and 8e-8 measured before the steps of the solver, 2e-5 and 1e-5 after them.
    torch.testing.assert_close(mirrored.rotations, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(mirrored.betas, out.betas, atol=1e-4, rtol=0)


def test_turning_the_camera_turns_the_root_and_nothing_else(rng: torch.Generator) -> None:
    params = pose(1, 1, 5, generator=rng)
    turn = axis_angle_to_matrix(torch.tensor([0.1, -0.25, 0.0]))
    rest = load_body().rest_joints(params.betas)[..., 0, :]
    moved = replace(params, global_orient=turn @ params.global_orient, transl=(params.transl + rest) @ turn.T - rest)
    # The solver has a test of its own: far from a minimum its steps enlarge what the network leaves.
    branch = make_branch(replace(SMALL, solver_steps=0))
    straight, turned = run(branch, look(params), TIMES[:1]), run(branch, look(moved), TIMES[:1])
    # Twice the measured angles; the person's own view may be rolled a little against the straight one.
    between = straight.rotations[..., 1:, :, :].mT @ turned.rotations[..., 1:, :, :]
    assert rotation_angle(between).max() < 6e-4
    root = (turn @ straight.rotations[..., 0, :, :]).mT @ turned.rotations[..., 0, :, :]
    assert rotation_angle(root).max() < 4e-4


def test_only_differences_of_time_matter(humans: HumanInputs) -> None:
    branch = make_branch()
    now, later = run(branch, humans, TIMES), run(branch, humans, TIMES + 100.0)
    torch.testing.assert_close(now.rotations, later.rotations, atol=2e-5, rtol=0)  # rounding; measured: 9e-7
    slow = run(branch, humans, TIMES * 1.5)
    assert (slow.rotations - now.rotations).abs().max() > 0.005  # measured: 0.015


def test_gradients_are_finite_and_reach_every_weight(humans: HumanInputs) -> None:
    branch = make_branch().train()
    valid = humans.valid.clone()
    valid[0, 0, 2:] = False
    out = branch(replace(humans, valid=valid), TIMES, INTRINSICS.expand(2, 5, 3, 3))
    (out.rotations.square().sum() * 0 + out.rotations[..., 0].sum() + out.betas.sum() + out.token.sum()).backward()
    for name, parameter in branch.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_missing_landmarks_are_refused(humans: HumanInputs) -> None:
    with pytest.raises(ValueError, match="landmarks_px"):
        run(make_branch(), HumanInputs(valid=humans.valid), TIMES)


def test_landmarks_beyond_the_border_are_not_visible_and_what_they_would_bend_is_straight(rng: torch.Generator) -> None:
    """Landmark models guess them inside the picture or outside, and are sure of them; visibility has no say there."""
    humans, times = look(pose(1, 1, 3, generator=rng, spread=0.6)), torch.arange(3.0)[None] / 6
    legs = torch.arange(33) >= 25
    sigma = torch.full((1, 1, 3, 33), torch.nan).masked_fill(legs, torch.inf)
    cut = replace(humans, landmarks_sigma_px=sigma)
    assert humans.landmarks_px is not None
    hidden_px = humans.landmarks_px.clone()
    hidden_px[..., legs, 2] = 0.0
    branch = make_branch(replace(SMALL, solver_steps=3))
    found, hidden = run(branch, cut, times), run(branch, replace(cut, landmarks_px=hidden_px), times)
    assert torch.equal(found.rotations, hidden.rotations) and torch.equal(found.betas, hidden.betas)
    bends = rotation_angle(found.rotations[..., [1, 2, 4, 5], :, :]).rad2deg()
    seen = rotation_angle(run(branch, humans, times).rotations[..., [1, 2, 4, 5], :, :]).rad2deg()
    assert bends.max() < 3 and seen.max() > 10
