"""A textured room with exact truth, a wrong depth prior and noisy anchors: what several views make of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from textured_room import paint, see_room, walk
from torch import Tensor

from unish.geometry.camera import pixel_grid
from unish.geometry.rigid import invert_rigid
from unish.network.view_depth import Anchors, Views, refine_depth

SIZE = (192, 256)
FRAMES = 4
PERSON = (slice(60, 150), slice(110, 150))


class Room:
    """Views, true log-depth, a prior that is 20 % off in a smooth way and noisy, anchors with 3 % noise."""

    def __init__(self, frames: int = FRAMES, *, stride: float = 0.12, people: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        w2c, intrinsics = walk(frames, SIZE, stride=stride)
        pictures, self.truth = see_room(invert_rigid(w2c), intrinsics, SIZE)
        mask = torch.full((frames, *SIZE), -1)
        if people:
            mask[:, *PERSON] = 0
            for frame in range(frames):  # another pattern in each frame: it moves
                place = torch.rand(1, 90, 40, 3, generator=generator) + frame
                pictures[frame, :, *PERSON] = paint(place, 0)[0]
            self.truth = torch.where(mask == 0, 0.5, self.truth)
        self.views = Views(
            images=pictures,
            w2c=w2c,
            intrinsics=intrinsics,
            people=mask,
            usable=torch.ones(frames, *SIZE, dtype=torch.bool),
        )
        x, y = (pixel_grid(*SIZE, like=pictures) / 100).unbind(-1)
        level = 0.1 * torch.randn(frames, 1, 1, generator=generator)
        self.prior = self.truth + 0.2 * (2 * x).sin() * (1.5 * y).cos() + 0.1 + level
        self.logits = torch.zeros(frames, *SIZE)
        pixels = torch.rand(frames, 300, 2, generator=generator) * torch.tensor([256.0, 192.0])
        self.anchors = Anchors(
            pixels=pixels,
            log_depth=self.at(self.truth, pixels) + 0.03 * torch.randn(frames, 300, generator=generator),
            information=torch.full((frames, 300), 1000.0),
        )

    def at(self, maps: Tensor, pixels: Tensor) -> Tensor:
        column, row = pixels.floor().long().unbind(-1)
        return maps.flatten(1).gather(1, row * SIZE[1] + column)

    def refine(self, *, moving: bool = True) -> tuple[Tensor, Tensor]:
        return refine_depth(self.prior, self.logits, self.views, self.anchors, moving=moving)

    def error(self, log_depth: Tensor) -> Tensor:
        return (log_depth - self.truth).abs()[self.views.people < 0]


def test_a_moving_camera_finds_the_room() -> None:
    room = Room()
    found, logits = room.refine()
    before, after = room.error(room.prior), room.error(found)
    assert before.median() > 0.1
    assert after.median() < 0.02  # measured .0135
    assert after.mean() < 0.03
    assert (logits >= room.logits).all() and logits.max() > 0.2
    assert torch.equal(found, room.refine()[0])


def test_without_anchors_the_views_still_correct_the_prior() -> None:
    room = Room()
    room.anchors = replace(room.anchors, information=torch.zeros(FRAMES, 300))
    assert room.error(room.refine()[0]).median() < 0.3 * room.error(room.prior).median()


def test_without_texture_the_field_of_the_anchors_is_left() -> None:
    room = Room()
    room.views = replace(room.views, images=torch.full_like(room.views.images, 0.5))
    found, logits = room.refine()
    assert room.error(found).median() < 0.03
    assert (logits - room.logits).abs().max() < 0.01


def test_a_few_wrong_anchors_do_not_carry_a_frame_away() -> None:
    """Where the camera hardly moves, the only anchors that seem to be known are wrong matches, taken for very near."""
    room = Room(stride=0.001)
    room.prior = room.truth + 0.05
    wrong = torch.zeros(FRAMES, 300, dtype=torch.bool)
    wrong[1:3, :3] = True
    room.anchors = replace(
        room.anchors,
        log_depth=room.anchors.log_depth - 3.0 * wrong,
        information=torch.where(wrong, 5000.0, 1.0),
    )
    with_them, _ = room.refine()
    room.anchors = replace(room.anchors, information=torch.zeros(FRAMES, 300))
    torch.testing.assert_close(with_them, room.refine()[0])
    assert room.error(with_them).median() < 0.06


def test_what_no_other_frame_confirms_is_not_certain(monkeypatch) -> None:
    room = Room()
    monkeypatch.setattr("unish.network.view_depth.count_agreeing", lambda depth, *_, **__: torch.zeros_like(depth))
    _, logits = room.refine()
    assert (logits - room.logits).max() < 1e-3


def test_a_movement_that_moves_no_pixel_says_nothing_about_depth() -> None:
    """Cameras that are wrong by a thousandth of the depth, on pictures of a camera that stood still."""
    room = Room()
    room.prior = room.prior[:1].expand(FRAMES, -1, -1)
    room.anchors = replace(room.anchors, information=torch.zeros(FRAMES, 300))
    w2c = room.views.w2c[:1].repeat(FRAMES, 1, 1)
    w2c[:, 0, 3] += 0.004 * torch.arange(FRAMES)
    room.views = replace(room.views, images=room.views.images[:1].expand(FRAMES, -1, -1, -1), w2c=w2c)
    found, logits = room.refine()
    assert (found - room.prior).abs().median() < 0.03
    assert (logits - room.logits).max() < 0.02


def test_what_is_no_scene_is_no_evidence() -> None:
    """Sky and captions: what their pixels show, and that it changes, does not matter to the rest."""
    room, other = Room(), Room()
    usable = room.views.usable.clone()
    usable[:, :48] = False
    images = room.views.images.clone()
    images[:, :, :48] = torch.rand_like(images[:, :, :48])
    room.views, other.views = replace(room.views, usable=usable), replace(other.views, usable=usable, images=images)
    first, second = room.refine()[0], other.refine()[0]
    torch.testing.assert_close(first[:, 64:], second[:, 64:], atol=5e-3, rtol=0)


def test_the_order_of_frames_does_not_matter() -> None:
    room, mixed = Room(), Room()
    order = torch.tensor([2, 0, 3, 1])
    mixed.views = Views(**{name: getattr(room.views, name)[order] for name in Views.__annotations__})
    mixed.anchors = Anchors(**{name: getattr(room.anchors, name)[order] for name in Anchors.__annotations__})
    mixed.prior = room.prior[order]
    torch.testing.assert_close(mixed.refine()[0], room.refine()[0][order], atol=5e-3, rtol=0)


def test_people_are_no_evidence() -> None:
    """Other pictures and depths at people, and anchors on them, change nothing of the scene."""
    room, other = Room(people=True), Room(people=True)
    images, prior = other.views.images.clone(), other.prior.clone()
    images[:, :, *PERSON] = torch.rand_like(images[:, :, *PERSON])
    prior[:, *PERSON] += 0.6  # near enough to the wall for the mean over frames, were people in it
    other.views, other.prior = replace(other.views, images=images), prior
    pixels = other.anchors.pixels
    on_person = ((pixels > torch.tensor([110.0, 60.0])) & (pixels < torch.tensor([150.0, 150.0]))).all(-1)
    assert on_person.any()
    other.anchors = replace(other.anchors, log_depth=other.anchors.log_depth + on_person)
    away = room.views.people < 0
    away[:, 48:162, 98:162] = False  # the guided filter and the enlarging look a few pixels around
    first, second = room.refine()[0], other.refine()[0]
    torch.testing.assert_close(first[away], second[away], atol=5e-3, rtol=0)  # measured .0024


def test_people_keep_their_shape_and_their_place_on_the_ground() -> None:
    room = Room(people=True)
    found, _ = room.refine()
    correction = found - room.prior
    of_person = correction[:, *PERSON].flatten(1)
    assert (of_person.amax(1) - of_person.amin(1)).max() < 1e-6
    beside_feet = torch.cat([correction[:, 141:152, 96:106], correction[:, 141:152, 154:164]], dim=-1).flatten(1)
    torch.testing.assert_close(of_person[:, 0], beside_feet.median(1).values, atol=0.07, rtol=0)  # measured .035
    assert beside_feet.abs().median() > 0.03  # the ground did move


def test_a_still_camera_gets_one_background_and_keeps_its_prior() -> None:
    room = Room(people=True)
    still = room.views.w2c[:1].expand(FRAMES, 4, 4)
    hidden = room.views.people.clone()
    hidden[1:, 60:150, :110] = -1
    room.views = replace(room.views, w2c=still)
    found, logits = room.refine(moving=False)
    seen = (room.views.people < 0).all(0)
    assert (found[:, seen] == found[:1, seen]).all()
    torch.testing.assert_close(found[0, seen], room.prior[:, seen].sort(0).values[1])
    assert torch.equal(found[:, ~seen], room.prior[:, ~seen])
    assert torch.equal(logits, room.logits)


def test_a_turning_camera_keeps_its_prior_but_for_what_frames_disagree_on() -> None:
    room = Room(stride=0.0)
    found, _ = room.refine(moving=False)
    assert not torch.equal(room.views.w2c[0], room.views.w2c[1])
    middle = (slice(None), slice(40, 150), slice(60, 200))
    change = (found - room.prior)[middle]
    levels = (room.prior - room.truth).mean((1, 2))
    # The levels of the four frames differ; the change brings them together and is nothing else.
    after = (found - room.truth).mean((1, 2))
    assert after.std() < 0.5 * levels.std()
    assert change.mean().abs() < 0.05


def test_a_single_frame_has_its_anchors() -> None:
    room = Room(1)
    found, _ = room.refine()
    assert room.error(found).median() < 0.02
    assert torch.equal(room.refine(moving=False)[0], room.prior)


def test_gradients_reach_prior_anchors_and_cameras() -> None:
    """Directional derivatives against central differences, in float64; the choice of planes is not differentiable."""
    room = Room(3)
    views, anchors = (
        type(x)(**{k: v.double() if v.is_floating_point() else v for k, v in vars(x).items()})
        for x in (room.views, room.anchors)
    )
    prior, logits = room.prior.double(), room.logits.double()
    weights = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(1)).double()
    weights = torch.nn.functional.avg_pool2d(weights, 9, 1, 4)

    def value(prior: Tensor, depth: Tensor, w2c: Tensor) -> Tensor:
        given = replace(anchors, log_depth=depth)
        found, confidence = refine_depth(prior, logits, replace(views, w2c=w2c), given, moving=True)
        return ((found + 0.1 * confidence) * weights).sum()

    inputs = [prior, anchors.log_depth, views.w2c]
    for number, step in enumerate((1e-6, 1e-6, 1e-7)):
        direction = torch.randn(inputs[number].shape, generator=torch.Generator().manual_seed(2)).double()
        direction = direction if number < 2 else direction * torch.tensor([[0, 0, 0, 1.0]])
        leaf = inputs[number].clone().requires_grad_()
        value(*[leaf if i == number else x for i, x in enumerate(inputs)]).backward()
        up, down = (
            value(*[x + sign * step * direction if i == number else x for i, x in enumerate(inputs)])
            for sign in (1, -1)
        )
        slope = (up - down) / (2 * step)
        torch.testing.assert_close((leaf.grad * direction).sum(), slope, rtol=0.02, atol=1e-3)
