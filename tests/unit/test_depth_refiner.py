"""The learnt refiner: nothing before it is trained, bounded and local to moving cameras after."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_view_depth import FRAMES, PERSON, Room
from torch import Tensor

from unish.network import UniSH
from unish.network.config import small_config
from unish.network.depth_refiner import MAX_STEP, NUM_CHANNELS, DepthRefiner, Evidence
from unish.network.view_depth import refine_depth


def refine(room: Room, refiner: DepthRefiner | None, *, moving: bool = True) -> tuple[Tensor, Tensor]:
    return refine_depth(room.prior, room.logits, room.views, room.anchors, moving=moving, refiner=refiner)


def wild_refiner() -> DepthRefiner:
    """One whose every weight is drawn at random, so that it changes everything."""
    generator = torch.Generator().manual_seed(3)
    refiner = DepthRefiner()
    for weight in refiner.parameters():
        fan_in = weight[0].numel() if weight.ndim > 1 else 16
        weight.data = torch.randn(weight.shape, generator=generator) / fan_in**0.5
    return refiner


def test_an_untrained_refiner_changes_nothing() -> None:
    room = Room(people=True)
    for found, expected in zip(refine(room, DepthRefiner()), refine(room, None), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)  # a confidence of 0 becomes .001


def test_steps_are_bounded() -> None:
    maps = 10 * torch.randn(2, NUM_CHANNELS, 24, 32, generator=torch.Generator().manual_seed(0))
    step, _ = wild_refiner().judge(maps)
    assert 0.5 * MAX_STEP < step.abs().max() <= MAX_STEP


def test_frames_of_a_batch_are_judged_alone_at_any_size() -> None:
    refiner = wild_refiner()
    maps = torch.randn(3, NUM_CHANNELS, 27, 37, generator=torch.Generator().manual_seed(0))
    together = refiner.judge(maps)
    alone = [refiner.judge(frame[None]) for frame in maps]
    for number in range(2):
        assert together[number].shape == (3, 27, 37)
        torch.testing.assert_close(together[number], torch.cat([each[number] for each in alone]), atol=1e-4, rtol=1e-4)


def test_every_weight_and_the_prior_get_a_gradient() -> None:
    room, refiner = Room(2), wild_refiner()
    room.prior.requires_grad_()
    found, logits = refine(room, refiner)
    (found.square().mean() + logits.mean()).backward()
    for name, weight in refiner.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.abs().max() > 0, name
    assert room.prior.grad is not None and room.prior.grad.isfinite().all()


@pytest.mark.parametrize("stride", [None, 0.0])
def test_a_camera_that_stays_in_its_place_is_not_refined(stride: float | None) -> None:
    """Still, or only turning: what pictures show of depth there is nothing."""
    room = Room(stride=stride or 0.0)
    if stride is None:
        room.views = replace(room.views, w2c=room.views.w2c[:1].expand(FRAMES, 4, 4))
    for found, expected in zip(
        refine(room, wild_refiner(), moving=False), refine(room, None, moving=False), strict=True
    ):
        assert torch.equal(found, expected)


def test_people_are_not_refined() -> None:
    """Several views say nothing of who moves: a person keeps the shape of the prior, and moves with the ground."""
    room = Room(people=True)
    found, _ = refine(room, wild_refiner())
    change = (found - room.prior)[:, *PERSON].flatten(1)
    assert (change.amax(1) - change.amin(1)).max() < 1e-6
    assert ((found - refine(room, None)[0]).abs() > 0.01).float().mean() > 0.02


class Lifts(DepthRefiner):
    def forward(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        return torch.full_like(evidence.fused, 0.2), evidence.confidence


def test_the_refiner_has_no_say_about_the_size_of_the_place() -> None:
    room = Room()
    torch.testing.assert_close(refine(room, Lifts())[0], refine(room, None)[0], atol=1e-5, rtol=0)


def test_what_ships_improves_a_room_whose_prior_is_wrong() -> None:
    refiner = UniSH.from_pretrained("small").depth_refiner
    assert refiner is not None
    room = Room()
    room.anchors = replace(room.anchors, information=torch.zeros(FRAMES, 300))
    with torch.no_grad():
        (before, _), (after, logits) = refine(room, None), refine(room, refiner)
    assert (after - before).abs().max() > 0.02
    before, after = (found - room.truth for found in (before, after))
    error, refined_error = ((off - off.median()).abs().mean() for off in (before, after))
    assert refined_error < error  # measured .0339 for .0351
    assert (logits >= room.logits - 1e-4).all()


def test_a_network_has_a_refiner_where_its_configuration_says_so() -> None:
    config = small_config()
    assert config.views is not None
    assert UniSH(config).depth_refiner is not None
    without = UniSH(replace(config, views=replace(config.views, refiner=False)))
    assert without.depth_refiner is None
    assert not any(name.startswith("depth_refiner") for name in without.state_dict())
