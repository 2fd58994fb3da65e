"""What is lost or added in one place changes nothing in another: batch = single, people in any order, padding unseen.

Everything to 1e-5 of the largest magnitude, on the ``tiny`` preset and on the published architecture in a tiny size.
One metric scale per clip is measured by all of its people together; it is the only number that they share.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from joined import join, own_depth
from network_models import CONFIGS, HEIGHT, WIDTH, make_clips, make_human_inputs, make_network
from unish.network import UniSH
from unish.reconstruction.window import plan_windows
from unish.structs import Camera, HumanInputs, Prediction

SCENE = ("local_points", "point_conf_logits", "c2w", "intrinsics")
PEOPLE = ("rotations", "betas", "transl")
LIMIT = 1e-5


def assert_close(actual: Tensor, expected: Tensor, name: str) -> None:
    error, largest = float((actual - expected).abs().max()), float(expected.abs().max())
    assert error <= LIMIT * largest, f"{name} changed by {error:.1e}, its largest magnitude is {largest:.1e}"


def assert_same(actual: Prediction, expected: dict[str, Tensor]) -> None:
    for name, value in expected.items():
        assert_close(getattr(actual, name), value, name)


def predict(model: UniSH, images: Tensor, humans: HumanInputs | None, timestamps: Tensor) -> Prediction:
    with torch.no_grad():
        return model(images, humans, timestamps)


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> UniSH:
    return make_network(request.param)


@pytest.fixture
def clips(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    return make_clips(rng)


@pytest.fixture
def people(rng: torch.Generator) -> HumanInputs:
    """Three people in each clip; the last one is missed in the last frame."""
    return make_human_inputs(3, rng)


def given(inputs: HumanInputs) -> dict[str, Tensor]:
    """All that is there: it has an axis of people."""
    return {name: value for name, value in vars(inputs).items() if value is not None}


def keep(inputs: HumanInputs, *, clips: slice = slice(None), people: list[int] | slice = slice(None)) -> HumanInputs:
    return HumanInputs(**{name: value[clips][:, people] for name, value in given(inputs).items()})


def test_losing_a_window_changes_no_other(model: UniSH, clips, people) -> None:
    """Windows of a shot are clips of a batch, or calls of their own: it must not matter which."""
    images, timestamps = clips
    together = predict(model, images, people, timestamps)
    for window in (slice(0, 1), slice(1, 2)):
        alone = predict(model, images[window], keep(people, clips=window), timestamps[window])
        said = {name: value for name, value in vars(together).items() if value is not None}
        assert_same(alone, {name: value[window] for name, value in said.items()})


@pytest.mark.slow
def test_losing_a_person_changes_nobody_else(model: UniSH, clips, people) -> None:
    images, timestamps = clips
    everybody = predict(model, images, people, timestamps)
    for lost in range(3):
        rest = [person for person in range(3) if person != lost]
        without = predict(model, images, keep(people, people=rest), timestamps)
        assert_same(without, {name: getattr(everybody, name) for name in SCENE})
        assert_same(without, {name: getattr(everybody, name)[:, rest] for name in PEOPLE})


def test_the_order_of_people_is_irrelevant(model: UniSH, clips, people) -> None:
    images, timestamps = clips
    order = [2, 0, 1]
    sorted_out = predict(model, images, people, timestamps)
    shuffled = predict(model, images, keep(people, people=order), timestamps)
    assert_same(shuffled, {name: getattr(sorted_out, name) for name in (*SCENE, "scale")})
    assert_same(shuffled, {name: getattr(sorted_out, name)[:, order] for name in PEOPLE})


def test_padding_with_people_who_are_never_seen_is_invisible(model: UniSH, clips, people) -> None:
    images, timestamps = clips
    padded = {}
    for name, value in given(people).items():
        filler = torch.zeros_like(value[:, :2]) if name == "valid" else torch.full_like(value[:, :2], 0.5)
        padded[name] = torch.cat([value, filler], dim=1)
    plain = predict(model, images, people, timestamps)
    wider = predict(model, images, HumanInputs(**padded), timestamps)
    assert_same(wider, {name: getattr(plain, name) for name in (*SCENE, "scale")})
    for name in PEOPLE:
        assert_close(getattr(wider, name)[:, :3], getattr(plain, name), name)


@pytest.mark.slow
def test_losing_a_frame_of_one_person_changes_nobody_else(model: UniSH, clips, people) -> None:
    """Nor does it matter what the lost frame is said to have held."""
    images, timestamps = clips
    valid = people.valid.clone()
    valid[:, 1, 1] = False
    lost = HumanInputs(**(vars(people) | {"valid": valid}))
    emptied = {
        name: value.masked_fill(~valid.reshape(*valid.shape, *[1] * (value.ndim - 3)), 0.25)
        for name, value in given(lost).items()
        if name != "valid"
    }
    plain, without = (predict(model, images, humans, timestamps) for humans in (people, lost))
    overwritten = predict(model, images, HumanInputs(valid=valid, **emptied), timestamps)
    for name in PEOPLE:
        assert_close(getattr(without, name)[:, [0, 2]], getattr(plain, name)[:, [0, 2]], name)
    assert_same(overwritten, {name: getattr(without, name) for name in (*SCENE, "scale", "betas")})
    for name in ("rotations", "transl"):
        assert_close(getattr(overwritten, name)[valid], getattr(without, name)[valid], name)


def test_losing_the_last_window_changes_no_frame_of_the_others(rng) -> None:
    """Each window is brought into the world of the ones before it, never the other way round."""
    model = make_network("small")
    num_frames, windows = 8, plan_windows(8, 4, 2)
    images = torch.rand(1, num_frames, 3, 48, 64, generator=rng)
    times = torch.arange(num_frames, dtype=torch.float64)[None] / 6
    predictions = [predict(model, images[:, list(w)], None, times[:, list(w)]) for w in windows]
    nobody = torch.zeros(0, num_frames, dtype=torch.bool)
    camera = Camera(matrix=torch.eye(3), size=(HEIGHT, WIDTH), focal_source="given")
    whole = join(predictions, windows, nobody, camera)
    kept = windows[-1].start + 1  # frames that the last window does not own
    shorter = join(predictions[:-1], windows[:-1], nobody[:, : windows[-2].stop], camera)
    assert torch.equal(own_depth(shorter)[:kept], own_depth(whole)[:kept])
    assert torch.equal(shorter.conf[:kept], whole.conf[:kept]) and torch.equal(shorter.c2w[:kept], whole.c2w[:kept])
