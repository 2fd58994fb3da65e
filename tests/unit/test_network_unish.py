"""The whole network in a tiny size: what goes in, what comes out, and what must not change it."""

from __future__ import annotations

import pytest
import torch
from network_models import tiny_release

from unish.network import PRESETS, UniSH
from unish.structs import HumanInputs, Prediction

NUM_CLIPS, NUM_FRAMES, HEIGHT, WIDTH = 2, 3, 48, 64


CONFIGS = {"small": PRESETS["tiny"], "release": tiny_release}


def make_model(family: str) -> UniSH:
    torch.manual_seed(0)
    model = UniSH(CONFIGS[family]())
    # Zero-initialised corrections would hide mistakes in what feeds them.
    for parameter in model.align.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return model.eval()


def make_inputs(rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(NUM_CLIPS, NUM_FRAMES, 3, HEIGHT, WIDTH, generator=rng)
    timestamps = torch.tensor([[0.0, 0.2, 0.4], [5.0, 5.1, 5.9]], dtype=torch.float64)
    return images, timestamps


def make_humans(num_people: int, rng: torch.Generator) -> HumanInputs:
    shape = (NUM_CLIPS, num_people, NUM_FRAMES)
    valid = torch.ones(shape, dtype=torch.bool)
    valid[:, -1:, -1] = num_people < 2  # the last of several people is missed once
    px = torch.rand(*shape, 33, 3, generator=rng) * torch.tensor([WIDTH, HEIGHT, 1.0])
    world = torch.randn(*shape, 33, 3, generator=rng) * 0.3
    missing = ~valid[..., None, None]
    return HumanInputs(
        valid=valid,
        landmarks_px=px.masked_fill(missing, torch.nan),
        landmarks_world=world.masked_fill(missing, torch.nan),
        patches=torch.rand(*shape, 3, 256, 256, generator=rng) if num_people else torch.zeros(*shape, 3, 256, 256),
        bbox_info=torch.rand(*shape, 3, generator=rng) * 20,
    )


def take(inputs: HumanInputs, clips: slice = slice(None), people: slice | list[int] = slice(None)) -> HumanInputs:
    return HumanInputs(**{name: value[clips][:, people] for name, value in vars(inputs).items()})


def assert_same(actual: Prediction, expected: Prediction, names: tuple[str, ...]) -> None:
    for name in names:
        torch.testing.assert_close(getattr(actual, name), getattr(expected, name), atol=2e-4, rtol=2e-4, msg=name)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("num_people", [0, 1, 3])
def test_forward(family, num_people, rng) -> None:
    images, timestamps = make_inputs(rng)
    with torch.no_grad():
        out = make_model(family)(images, make_humans(num_people, rng), timestamps)
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
    assert all(value.isfinite().all() for value in vars(out).values())
    assert (out.scale > 0).all()


@pytest.mark.parametrize("family", CONFIGS)
def test_a_batch_equals_its_clips(family, rng) -> None:
    model, (images, timestamps), humans = make_model(family), make_inputs(rng), make_humans(2, rng)
    with torch.no_grad():
        together = model(images, humans, timestamps)
        for clip in (slice(0, 1), slice(1, 2)):
            alone = model(images[clip], take(humans, clip), timestamps[clip])
            expected = Prediction(**{name: value[clip] for name, value in vars(together).items()})
            assert_same(alone, expected, tuple(vars(together)))


@pytest.mark.parametrize("family", CONFIGS)
def test_the_scene_does_not_depend_on_the_people_nor_their_order(family, rng) -> None:
    model, (images, timestamps), humans = make_model(family), make_inputs(rng), make_humans(3, rng)
    order = [2, 0, 1]
    with torch.no_grad():
        out = model(images, humans, timestamps)
        alone = model(images, None, timestamps)
        shuffled = model(images, take(humans, people=order), timestamps)
    assert_same(alone, out, ("local_points", "point_conf_logits", "c2w", "intrinsics"))
    assert_same(shuffled, out, ("scale",))
    for name in ("rotations", "betas", "transl"):
        torch.testing.assert_close(getattr(shuffled, name), getattr(out, name)[:, order], atol=1e-4, rtol=1e-4)


def test_frames_in_another_order_give_the_same_points_in_that_order(rng) -> None:
    """The published scene branch knows no order of frames; only the reference camera is that of the first."""
    model, (images, timestamps) = make_model("release"), make_inputs(rng)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        out, shuffled = (model(images[:, index], None, timestamps) for index in (torch.arange(3), order))
    torch.testing.assert_close(shuffled.local_points, out.local_points[:, order], atol=1e-4, rtol=1e-4)
    relative = torch.linalg.inv(out.c2w[:, order[:1]]) @ out.c2w[:, order]
    torch.testing.assert_close(shuffled.c2w, relative, atol=1e-4, rtol=1e-4)


def test_what_an_unobserved_person_is_said_to_look_like_is_not_read(rng) -> None:
    model, (images, timestamps), humans = make_model("small"), make_inputs(rng), make_humans(2, rng)
    junk = {
        name: torch.where(humans.valid[..., None, None], value, 7.0)
        for name, value in vars(humans).items()
        if name.startswith("landmarks")
    }
    with torch.no_grad():
        out = model(images, humans, timestamps)
        other = model(images, HumanInputs(**(vars(humans) | junk)), timestamps)
    assert_same(other, out, ("scale", "betas"))
    for name in ("rotations", "transl"):
        torch.testing.assert_close(getattr(other, name)[humans.valid], getattr(out, name)[humans.valid])


@pytest.mark.parametrize("family", CONFIGS)
def test_every_trained_parameter_gets_a_gradient(family, rng) -> None:
    model, (images, timestamps), humans = make_model(family).train(), make_inputs(rng), make_humans(2, rng)
    out = model(images, humans, timestamps)
    values = [out.local_points, out.point_conf_logits, out.c2w, out.scale, out.rotations, out.betas]
    total = sum(value.square().mean() for value in values) + out.transl[humans.valid].square().mean()
    (total + model(images, None, timestamps).local_points.mean()).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    # The query of the SMPL head is alone, so its self-attention weights are 1 whatever queries and keys are.
    without = {name for name, p in trained.items() if p.grad is None or not p.grad.isfinite().all()}
    assert not without


def test_a_known_camera_is_used(rng) -> None:
    images, timestamps = make_inputs(rng)
    known = torch.tensor([[90.0, 0, 32], [0, 90.0, 24], [0, 0, 1]]).expand(NUM_CLIPS, NUM_FRAMES, 3, 3)
    for family in CONFIGS:
        with torch.no_grad():
            out = make_model(family)(images, None, timestamps, known)
        torch.testing.assert_close(out.intrinsics, known)


def test_wrong_shapes_are_refused(rng) -> None:
    images, timestamps = make_inputs(rng)
    model = make_model("small")
    for wrong in (images[0], images[:, :, :2], images.permute(0, 1, 3, 4, 2)):
        with pytest.raises(Exception, match=r"type|shape"):
            model(wrong, None, timestamps)
    with pytest.raises(ValueError, match="divide into patches"):
        make_model("release")(images[..., :-1], None, timestamps)


def test_a_branch_says_what_evidence_it_misses(rng) -> None:
    images, timestamps = make_inputs(rng)
    empty = HumanInputs(valid=torch.ones(NUM_CLIPS, 1, NUM_FRAMES, dtype=torch.bool))
    for family, missing in (("small", "landmarks"), ("release", "patches")):
        with pytest.raises(ValueError, match=missing):
            make_model(family)(images, empty, timestamps)
