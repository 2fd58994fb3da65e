"""Losses on bodies: nothing on truth, measured changes, people who were not seen, gradients."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from unish.body import Body, load_body
from unish.geometry.camera import make_intrinsics, unproject
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.training.losses.body import compare_bodies, picture_loss, recover_cameras, scale_loss, translation_loss
from unish.structs import BodyParams

LEAD = (2, 2, 3)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("free").to(dtype=torch.float64)


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_people(seed: int, lead: tuple[int, ...] = LEAD) -> BodyParams:
    """People two to five metres in front of the camera."""
    return BodyParams(
        betas=0.5 * random(seed, *lead, 10),
        global_orient=axis_angle_to_matrix(random(seed + 1, *lead, 3)),
        body_pose=axis_angle_to_matrix(0.3 * random(seed + 2, *lead, 23, 3)),
        transl=torch.tensor([0.0, 0.0, 3.5]).double() + 0.3 * random(seed + 3, *lead, 3),
    )


def every(lead: tuple[int, ...] = LEAD) -> torch.Tensor:
    return torch.ones(lead, dtype=torch.bool)


def select(params: BodyParams, index: object) -> BodyParams:
    return BodyParams(**{f.name: getattr(params, f.name)[index] for f in fields(params)})


def test_bodies_vanish_on_truth_wherever_they_stand(body: Body) -> None:
    truth = make_people(0)
    elsewhere = replace(truth, transl=truth.transl + 1)
    for name, loss in compare_bodies(body, elsewhere, truth, every()).items():
        assert loss < 1e-7, name


def test_bodies_are_measured_as_stated(body: Body) -> None:
    truth, guess = make_people(0, (1, 1, 1)), make_people(5, (1, 1, 1))
    losses = compare_bodies(body, guess, truth, every((1, 1, 1)))
    joints, vertices = (
        [(pose(x) - body.joints(x)[..., :1, :])[0, 0, 0] for x in (guess, truth)]
        for pose in (body.joints, body.vertices)
    )
    slow = sum(float((a - b).abs().sum()) for a, b in zip(joints[0], joints[1], strict=True)) / 24
    assert float(losses["joints"]) == pytest.approx(slow)
    assert float(losses["vertices"]) == pytest.approx(float((vertices[0] - vertices[1]).abs().mean() * 3))
    turned = replace(
        truth, global_orient=axis_angle_to_matrix(torch.tensor([0.0, 0.5, 0.0]).double()) @ truth.global_orient
    )
    losses = compare_bodies(body, turned, truth, every((1, 1, 1)))
    assert float(losses["pose_angle"]) == pytest.approx(0.5 / 24, abs=2e-4)
    square = 4 * (1 - torch.cos(torch.tensor(0.5)))  # ‖R − I‖² = 4·(1 − cos angle)
    assert float(losses["pose_matrix"]) == pytest.approx(float(square) / 24, rel=1e-6)
    assert losses["shape"] == 0


def test_people_who_were_not_seen_do_not_count(body: Body) -> None:
    truth, guess = make_people(0), make_people(5)
    valid = every()
    valid[0, 1, 1:] = False
    losses = compare_bodies(body, guess, truth, valid)
    places = translation_loss(guess.transl, truth.transl, torch.ones(2).double(), valid)

    spoilt = BodyParams(**{f.name: getattr(truth, f.name).clone() for f in fields(truth)})
    for f in fields(spoilt):
        getattr(spoilt, f.name)[0, 1, 1:] = torch.nan
    padded = BodyParams(**{
        f.name: torch.cat([getattr(spoilt, f.name), torch.full_like(getattr(truth, f.name), torch.nan)], 1)
        for f in fields(truth)
    })  # fmt: skip
    wider = BodyParams(**{f.name: torch.cat([getattr(guess, f.name)] * 2, 1).requires_grad_() for f in fields(guess)})
    mask = torch.cat([valid, torch.zeros_like(valid)], 1)
    again = compare_bodies(body, wider, padded, mask)
    for name in losses:
        torch.testing.assert_close(again[name], losses[name])
    moved = translation_loss(wider.transl, padded.transl, torch.ones(2).double(), mask)
    torch.testing.assert_close(moved, places)
    (sum(again.values()) + moved).backward()
    for f in fields(wider):
        gradient = getattr(wider, f.name).grad
        assert gradient.isfinite().all() and (gradient[~mask] == 0).all(), f.name


def test_nobody_costs_nothing(body: Body) -> None:
    guess = make_people(5)
    guess.transl.requires_grad_()
    nobody = ~every()
    nowhere = make_people(0).transl * torch.nan
    losses = compare_bodies(body, guess, make_people(0), nobody)
    camera = make_intrinsics(torch.full((2, 3), 60.0).double(), 48, 64)
    picture = picture_loss(body.joints(guess), camera, body.joints(make_people(0)) * torch.nan, camera, nobody)
    total = sum(losses.values()) + picture
    total = total + translation_loss(guess.transl, nowhere, torch.ones(2).double(), nobody)
    assert total == 0
    total.backward()
    assert guess.transl.grad is not None and guess.transl.grad.isfinite().all()


def test_batch_is_the_mean_of_its_clips(body: Body) -> None:
    truth, guess = make_people(0), make_people(5)
    whole = compare_bodies(body, guess, truth, every())
    for name, loss in whole.items():
        parts = [compare_bodies(body, select(guess, [i]), select(truth, [i]), every()[:1])[name] for i in (0, 1)]
        torch.testing.assert_close(loss, (parts[0] + parts[1]) / 2)


def test_translation_is_judged_in_metres_at_any_scale_of_the_scene() -> None:
    truth, guess = make_people(0).transl, make_people(5).transl
    scale = torch.tensor([0.25, 8.0]).double()
    in_scene = guess / scale[:, None, None, None]
    found = translation_loss(in_scene, truth, scale, every())
    torch.testing.assert_close(found, (guess - truth).square().sum(-1).mean())
    assert translation_loss(truth / scale[:, None, None, None], truth, scale, every()) < 1e-12
    assert scale_loss(scale, scale) == 0
    assert scale_loss(scale + 0.5, scale) == 0.5


def test_translation_can_be_judged_by_the_share_of_the_distance() -> None:
    truth = make_people(0).transl
    one = torch.ones(2).double()
    same = [translation_loss(1.1 * far * truth, far * truth, one, every(), width=0.05) for far in (1.0, 7.0)]
    torch.testing.assert_close(same[0], same[1])
    torch.testing.assert_close(same[0], torch.tensor(2 * 0.05**2 * (5**0.5 - 1)).double())  # r = 2 widths
    assert translation_loss(truth, truth, one, every(), width=0.05) == 0


def test_pictures_agree_when_bodies_and_points_are_true(body: Body) -> None:
    """The whole way: intrinsics and shift from a point map of unknown scale, bodies drawn with them."""
    truth = make_people(0)
    camera = make_intrinsics(torch.full((2, 3), 60.0).double(), 48, 64)
    points = unproject(2 + random(3, 2, 3, 48, 64).abs(), camera)
    moved = 0.25 * (points - torch.tensor([0, 0, 0.4]))
    found, shift = recover_cameras(moved, torch.ones(2, 3, 48, 64, dtype=torch.bool))
    torch.testing.assert_close(shift, torch.full((2, 3), 0.1).double(), atol=1e-6, rtol=0)
    joints = body.joints(truth)
    # The network sees the same body in its own camera, that is 0.4 m nearer; the shift takes it back.
    placed = joints - torch.tensor([0, 0, 0.4]) + 4 * shift[:, None, :, None, None] * torch.tensor([0, 0, 1])
    assert picture_loss(placed, found, joints, camera, every()) < 1e-5
    assert picture_loss(joints + 0.1, found, joints, camera, every()) > 0.02


def test_pictures_do_not_depend_on_resolution_and_leave_out_what_is_behind(body: Body) -> None:
    truth, guess = body.joints(make_people(0)), body.joints(make_people(5))
    small, large = (make_intrinsics(torch.full((2, 3), 60.0 * k).double(), 48 * k, 64 * k) for k in (1, 4))
    loss = picture_loss(guess, small, truth, small, every())
    torch.testing.assert_close(picture_loss(guess, large, truth, large, every()), loss)
    behind = guess.clone()
    behind[0] = -behind[0]
    torch.testing.assert_close(
        picture_loss(behind, small, truth, small, every()),
        picture_loss(guess[1:], small[1:], truth[1:], small[1:], every()[1:]),
    )


def test_gradients(body: Body) -> None:
    truth, lead = make_people(0, (1, 1, 1)), (1, 1, 1)
    camera = make_intrinsics(torch.full((1, 1), 60.0).double(), 48, 64)

    def losses(
        betas: torch.Tensor, turn: torch.Tensor, pose: torch.Tensor, transl: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        guess = BodyParams(
            betas=betas, global_orient=axis_angle_to_matrix(turn), body_pose=axis_angle_to_matrix(pose), transl=transl
        )
        picture = picture_loss(body.joints(guess), camera, body.joints(truth), camera, every(lead))
        place = translation_loss(transl, truth.transl, torch.ones(1).double(), every(lead))
        return (*compare_bodies(body, guess, truth, every(lead)).values(), picture, place)

    start = make_people(5, lead)
    inputs = (start.betas, random(6, *lead, 3), 0.3 * random(7, *lead, 23, 3), start.transl)
    assert torch.autograd.gradcheck(losses, [x.requires_grad_() for x in inputs], fast_mode=True)
