"""The whole network in a tiny size: what goes in, what comes out, and what must not change it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from network_models import (
    CONFIGS,
    HEIGHT,
    NUM_CLIPS,
    NUM_FRAMES,
    WIDTH,
    make_camera,
    make_clips,
    make_human_inputs,
    make_network,
)
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig
from unish.structs import HumanInputs


@pytest.mark.slow
@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("num_people", [0, 1, 3])
def test_forward(family, num_people, rng) -> None:
    images, timestamps = make_clips(rng)
    with torch.no_grad():
        out = make_network(family)(images, make_human_inputs(num_people, rng), timestamps)
    assert out.local_points.shape == (NUM_CLIPS, NUM_FRAMES, HEIGHT, WIDTH, 3)
    assert out.intrinsics is not None
    assert (out.local_points[..., 2] > 0).all()
    torch.testing.assert_close(out.c2w[:, 0], torch.eye(4).expand(NUM_CLIPS, 4, 4), atol=1e-5, rtol=0)
    if num_people == 0:
        assert out.rotations is None and out.betas is None and out.transl is None
        assert (out.scale is None) == (family == "release")
        return
    assert out.rotations.shape == (NUM_CLIPS, num_people, NUM_FRAMES, 24, 3, 3)
    assert out.transl.shape == (NUM_CLIPS, num_people, NUM_FRAMES, 3)
    assert all(value.isfinite().all() for value in vars(out).values() if value is not None)
    assert (out.scale > 0).all()


def test_frames_in_another_order_give_the_same_points_in_that_order(rng) -> None:
    """The published scene branch knows no order of frames; only the reference camera is that of the first."""
    model, (images, timestamps) = make_network("release"), make_clips(rng)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        out, shuffled = (model(images[:, index], None, timestamps) for index in (torch.arange(3), order))
    torch.testing.assert_close(shuffled.local_points, out.local_points[:, order], atol=1e-4, rtol=1e-4)
    relative = torch.linalg.inv(out.c2w[:, order[:1]]) @ out.c2w[:, order]
    torch.testing.assert_close(shuffled.c2w, relative, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", CONFIGS)
def test_every_trained_parameter_gets_a_gradient(family, rng) -> None:
    model, (images, timestamps), humans = make_network(family).train(), make_clips(rng), make_human_inputs(2, rng)
    out = model(images, humans, timestamps)
    values = [out.local_points, out.point_conf_logits, out.c2w, out.scale, out.rotations, out.betas]
    total = sum(value.square().mean() for value in values) + out.transl[humans.valid].square().mean()
    (total + model(images, None, timestamps).local_points.mean()).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    # The query of the SMPL head is alone, so its self-attention weights are 1 whatever queries and keys are.
    without = {name for name, p in trained.items() if p.grad is None or not p.grad.isfinite().all()}
    assert not without


def test_a_known_camera_is_used(rng) -> None:
    images, timestamps = make_clips(rng)
    known = torch.tensor([[90.0, 0, 32], [0, 90.0, 24], [0, 0, 1]]).expand(NUM_CLIPS, NUM_FRAMES, 3, 3)
    for family in CONFIGS:
        with torch.no_grad():
            out = make_network(family)(images, None, timestamps, known)
        torch.testing.assert_close(out.intrinsics, known)


def test_wrong_shapes_are_refused(rng) -> None:
    images, timestamps = make_clips(rng)
    model = make_network("small")
    for wrong in (images[0], images[:, :, :2], images.permute(0, 1, 3, 4, 2)):
        with pytest.raises(Exception, match=r"type|shape"):
            model(wrong, None, timestamps)
    with pytest.raises(ValueError, match="divide into patches"):
        make_network("release")(images[..., :-1], None, timestamps)


def test_a_branch_says_what_evidence_it_misses(rng) -> None:
    images, timestamps = make_clips(rng)
    empty = HumanInputs(valid=torch.ones(NUM_CLIPS, 1, NUM_FRAMES, dtype=torch.bool))
    for family, missing in (("small", "landmarks"), ("release", "patches")):
        with pytest.raises(ValueError, match=missing):
            make_network(family)(images, empty, timestamps)


def test_people_are_read_with_the_turns_of_the_camera(rng, monkeypatch) -> None:
    """Those of the frames that matches join; none where one frame is not joined."""
    model, (images, timestamps), humans = make_network("small"), make_clips(rng), make_human_inputs(2, rng)
    turns = axis_angle_to_matrix(0.2 * torch.randn(NUM_CLIPS, NUM_FRAMES, 3, generator=rng))
    c2w = make_rigid(turns, torch.zeros(NUM_CLIPS, NUM_FRAMES, 3))
    joined = torch.tensor([[True] * NUM_FRAMES, [True] * (NUM_FRAMES - 1) + [False]])
    scene = replace(model.scene(images, make_camera()), c2w=c2w, joined=joined)
    monkeypatch.setattr(model, "see", lambda *args, **options: scene)
    told = []
    forward = model.human.forward
    monkeypatch.setattr(model.human, "forward", lambda humans, *rest: told.append(humans) or forward(humans, *rest))
    found = model(images, humans, timestamps)
    rotations = told[0].camera_rotations
    assert torch.equal(rotations[0], turns[0]) and (rotations[1] == torch.eye(3)).all()
    # Axes that all frames share make no difference, axes that turn do.
    alike = forward(replace(humans, camera_rotations=turns[:, :1].expand_as(turns)), timestamps, make_camera())
    plain = forward(humans, timestamps, make_camera())
    torch.testing.assert_close(alike.rotations, plain.rotations, atol=1e-3, rtol=0)
    assert (found.rotations[0] - plain.rotations[0]).abs().max() > 1e-3


@pytest.mark.parametrize("known", [True, False])
def test_what_is_known_of_the_pictures_reaches_the_layers_after_the_scene_branch(known, rng, monkeypatch) -> None:
    """People, what is no scene, and whether the camera is given; a single frame has nothing to be compared with."""
    model, (images, _) = make_network("small"), make_clips(rng)
    model.config = replace(model.config, views=ViewSolverConfig(num_anchors=7))
    told: list[dict[str, object]] = []

    def refine(images: torch.Tensor, scene: SceneOutput, **options: object) -> SceneOutput:
        told.append(options)
        return scene

    monkeypatch.setattr("unish.network.unish.refine_scene", refine)
    people = torch.randint(-1, 2, (NUM_CLIPS, NUM_FRAMES, HEIGHT, WIDTH), generator=rng)
    camera = make_camera() if known else None
    model.see(images, camera, people_masks=people, usable=people < 1)
    assert torch.equal(told[0]["people"], people) and torch.equal(told[0]["usable"], people < 1)
    assert told[0]["known_camera"] is known and told[0]["config"] is model.config.views
    model.see(images[:, :1], None if camera is None else camera[:, :1])
    assert len(told) == 1
