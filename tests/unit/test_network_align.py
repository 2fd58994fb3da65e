"""AlignNet that starts from the ruler: before any training it already gives the closed-form answer."""

from __future__ import annotations

import pytest
import torch

from unish.body import load_body
from unish.geometry.camera import make_intrinsics, pixel_grid, project
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network.align_net import AlignNet, AlignNetConfig, time_positions
from unish.network.closed_form_placement import masked_mean_distance, sample_depth
from unish.network.heads.points import points_from_log_depth
from unish.network.outputs import HumanOutput, SceneOutput
from unish.structs import BodyParams, HumanInputs

HEIGHT, WIDTH, NUM_FRAMES, METRES_PER_UNIT = 96, 128, 3, 2.5
TIMES = torch.arange(NUM_FRAMES, dtype=torch.float64)[None] / 6


def _make_net(dim: int = 16) -> AlignNet:
    torch.manual_seed(0)
    config = AlignNetConfig(dim=dim, num_heads=2, mlp_dim=16, start_from_ruler=True)
    return AlignNet(config, hidden_dim=8, token_dim=4, num_special_tokens=1, body="free").eval()


def _make_people(rng: torch.Generator) -> tuple[BodyParams, SceneOutput, HumanOutput, HumanInputs]:
    """Two bodies in front of a wall whose depth, in scene units, is theirs at every landmark."""
    shape = (1, 2, NUM_FRAMES)
    rotations = axis_angle_to_matrix(torch.randn(*shape, 24, 3, generator=rng) * 0.2)
    upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # SMPL's y up to the camera's y down
    rotations[..., 0, :, :] = upright @ rotations[..., 0, :, :]
    betas = torch.randn(1, 2, 10, generator=rng) * 0.5
    transl = torch.tensor([[[-0.7, 0.2, 4.0]], [[0.8, 0.1, 5.0]]])[None].expand(*shape, 3) + 0.05
    params = BodyParams(
        betas=betas[:, :, None].expand(*shape, 10),
        global_orient=rotations[..., 0, :, :],
        body_pose=rotations[..., 1:, :, :],
        transl=transl,
    )
    intrinsics = make_intrinsics(torch.full((1, NUM_FRAMES), 90.0), HEIGHT, WIDTH)
    landmarks = load_body("free").landmarks(params)
    px = project(landmarks, intrinsics[:, None].expand(1, 2, -1, -1, -1))
    # Each person's half of the picture stands at the median depth of the person.
    depth = torch.where(torch.arange(WIDTH) < WIDTH / 2, 0, 1)
    by_person = landmarks[..., [11, 12, 23, 24, 25, 26, 27, 28], 2].mean(-1).transpose(1, 2)  # (1, N, P)
    z = by_person[:, :, depth][:, :, None].expand(-1, -1, HEIGHT, -1) / METRES_PER_UNIT
    rays = (pixel_grid(HEIGHT, WIDTH, like=z) - torch.tensor([WIDTH / 2, HEIGHT / 2])) / 90.0
    scene = SceneOutput(
        local_points=torch.cat([rays, torch.ones_like(rays[..., :1])], -1) * z[..., None],
        point_conf_logits=torch.full((1, NUM_FRAMES, HEIGHT, WIDTH), 4.0),
        c2w=torch.eye(4).expand(1, NUM_FRAMES, 4, 4),
        intrinsics=intrinsics,
        hidden=torch.randn(1, NUM_FRAMES, 7, 8, generator=rng),
    )
    people = HumanOutput(rotations=rotations, betas=betas, token=torch.randn(*shape, 4, generator=rng))
    seen = torch.cat([px, torch.ones_like(px[..., :1])], -1)
    return params, scene, people, HumanInputs(valid=torch.ones(shape, dtype=torch.bool), landmarks_px=seen)


def test_an_untrained_net_gives_the_closed_form_answer(rng) -> None:
    params, scene, people, humans = _make_people(rng)
    out = _make_net()(scene, people, humans, TIMES)
    torch.testing.assert_close(out.transl, params.transl, atol=1e-4, rtol=0)  # rounding; measured: 1e-6
    expected = METRES_PER_UNIT * masked_mean_distance(scene)
    # Limbs stand before and behind the wall: twice the measured 1e-4.
    torch.testing.assert_close(out.scale, expected, atol=0, rtol=2e-4)


def test_people_who_are_not_seen_do_not_move_the_scale(rng) -> None:
    _, scene, people, humans = _make_people(rng)
    net = _make_net()
    valid = humans.valid.clone()
    valid[:, 1] = False
    px = humans.landmarks_px.masked_fill(~valid[..., None, None], torch.nan)
    out = net(scene, people, HumanInputs(valid=valid, landmarks_px=px), TIMES)
    alone = net(
        scene,
        HumanOutput(rotations=people.rotations[:, :1], betas=people.betas[:, :1], token=people.token[:, :1]),
        HumanInputs(valid=valid[:, :1], landmarks_px=px[:, :1]),
        TIMES,
    )
    torch.testing.assert_close(out.scale, alone.scale)
    assert out.transl.isfinite().all()


def test_the_correction_moves_the_pelvis_along_its_ray(rng) -> None:
    params, scene, people, humans = _make_people(rng)
    net = _make_net()
    before = net(scene, people, humans, TIMES).transl
    net.translation.bias.data.fill_(0.1)
    after = net(scene, people, humans, TIMES).transl
    rest_pelvis = load_body("free").rest_joints(params.betas)[..., 0, :]
    torch.testing.assert_close(after + rest_pelvis, (before + rest_pelvis) * torch.tensor(0.1).exp())


def test_without_people_the_unit_of_the_scene_is_the_metre(rng) -> None:
    _, scene, _, _ = _make_people(rng)
    net = _make_net()
    torch.testing.assert_close(net.scale_without_people(scene, TIMES), masked_mean_distance(scene))
    published = AlignNet(AlignNetConfig(dim=16, num_heads=2), hidden_dim=8, token_dim=4, num_special_tokens=1)
    assert published.scale_without_people(scene, TIMES) is None


def test_scaling_the_scene_does_not_change_the_metres(rng) -> None:
    _, scene, people, humans = _make_people(rng)
    net = _make_net()
    doubled = SceneOutput(**(vars(scene) | {"local_points": scene.local_points * 2}))
    torch.testing.assert_close(net(doubled, people, humans, TIMES).scale, net(scene, people, humans, TIMES).scale)


def test_gradients_are_finite_with_missing_landmarks(rng) -> None:
    _, scene, people, humans = _make_people(rng)
    net = _make_net().train()
    valid = humans.valid.clone()
    valid[:, 0, 1] = False
    px = humans.landmarks_px.masked_fill(~valid[..., None, None], torch.nan)
    people = HumanOutput(**{name: value.clone().requires_grad_() for name, value in vars(people).items()})
    out = net(scene, people, HumanInputs(valid=valid, landmarks_px=px), TIMES)
    (out.scale.sum() + out.transl[valid].square().sum()).backward()
    for value in (*vars(people).values(), net.translation.weight, net.scale.weight):
        assert value.grad is not None and value.grad.isfinite().all()


def test_depth_is_read_at_the_pixel_and_nowhere_else(rng) -> None:
    _, scene, _, _ = _make_people(rng)
    corners = torch.tensor([[0.2, 0.9], [WIDTH - 0.1, HEIGHT - 0.1], [-0.1, 5.0], [WIDTH + 0.1, 5.0], [torch.nan, 5.0]])
    depth = sample_depth(scene, corners.expand(1, 1, NUM_FRAMES, 5, 2))[0, 0]
    z = scene.local_points[0, ..., 2]
    torch.testing.assert_close(depth[:, 0], z[:, 0, 0])
    torch.testing.assert_close(depth[:, 1], z[:, -1, -1])
    assert not depth[:, 2:].any()


def test_evidence_without_landmarks_is_refused(rng) -> None:
    _, scene, people, humans = _make_people(rng)
    with pytest.raises(ValueError, match="landmarks_px"):
        _make_net()(scene, people, HumanInputs(valid=humans.valid), TIMES)


def test_the_published_form_gives_metres_and_each_person_their_own(rng) -> None:
    """Its translation stands among the points of the scene; what makes those metres makes it metres."""
    _, scene, people, humans = _make_people(rng)
    torch.manual_seed(0)
    config = AlignNetConfig(dim=16, num_heads=2, mlp_dim=16)
    net = AlignNet(config, hidden_dim=8, token_dim=4, num_special_tokens=1).eval()
    raw_scale, raw = net.decode(scene.hidden, people.token, humans.valid, time_positions(TIMES, 6.0))
    metres_per_unit = torch.nn.functional.softplus(raw_scale) / masked_mean_distance(scene)[:, None]
    out = net(scene, people, humans, TIMES)
    torch.testing.assert_close(out.transl, points_from_log_depth(raw) * metres_per_unit[..., None, None])
    torch.testing.assert_close(out.scale, torch.nn.functional.softplus(raw_scale).mean(1))
    farther = SceneOutput(**(vars(scene) | {"local_points": scene.local_points * 2}))
    torch.testing.assert_close(net(farther, people, humans, TIMES).transl, out.transl / 2)


def test_time_is_read_from_the_timestamps_not_counted_in_frames(rng) -> None:
    _, scene, people, humans = _make_people(rng)
    torch.manual_seed(0)
    net = AlignNet(AlignNetConfig(dim=16, num_heads=2), hidden_dim=8, token_dim=4, num_special_tokens=1).eval()
    at_6_hz, later, at_1_hz = (net(scene, people, humans, t).transl for t in (TIMES, TIMES + 100, TIMES * 6))
    torch.testing.assert_close(later, at_6_hz)
    assert (at_1_hz - at_6_hz).abs().max() > 1e-3
