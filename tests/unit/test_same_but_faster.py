"""What was made faster gives what the plain way gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from furnished_room import film_room
from golden_record import make_golden
from unish.body import load_body
from unish.errors import InputError
from unish.geometry.surfaces import dilate, highest_around
from unish.network import dense_layers
from unish.network.matching.mutual import match_mutual
from unish.network.matching.subpixel import _sample_windows
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig
from unish.network.view_scene import refine_scene
from unish.passes import outputs
from unish.reconstruction.body_guide import MOST, SIGMA, TAU, smooth_within_parts
from unish.reconstruction.report import compare_body_to_points, measure_body_to_points
from unish.structs import Reconstruction
from unish.video.borders import bars


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_the_highest_around_a_pixel_is_that_of_pooling(radius: int, rng: torch.Generator) -> None:
    values = torch.randn(2, 20, 31, generator=rng)
    pooled = functional.max_pool2d(values[:, None], 2 * radius + 1, stride=1, padding=radius)[:, 0]
    assert torch.equal(highest_around(values, radius), pooled)
    assert torch.equal(dilate(values > 1.5, radius), highest_around((values > 1.5).float(), radius) > 0)


def test_windows_are_those_of_grid_sample_inside_and_outside(rng: torch.Generator) -> None:
    grey = torch.rand(2, 40, 50, generator=rng)
    px = torch.rand(2, 200, 2, generator=rng) * torch.tensor([90.0, 80.0]) - 20
    same = torch.eye(2).expand(2, 200, 2, 2)  # a deformation that changes nothing takes the plain way
    torch.testing.assert_close(_sample_windows(grey, px, 4), _sample_windows(grey, px, 4, same), rtol=0, atol=2e-5)


def test_the_gradient_of_windows_is_that_of_grid_sample(rng: torch.Generator) -> None:
    grey, px = torch.rand(1, 40, 50, generator=rng), torch.rand(1, 20, 2, generator=rng) * 30 + 6
    weights = torch.randn(1, 20, 7, 7, generator=rng)
    found = []
    for deformation in (None, torch.eye(2).expand(1, 20, 2, 2)):
        inputs = [grey.clone().requires_grad_(), px.clone().requires_grad_()]
        (_sample_windows(*inputs, 3, deformation) * weights).sum().backward()
        found.append([one.grad for one in inputs])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-3)


def test_equal_descriptors_are_matched_once(rng: torch.Generator) -> None:
    """A pattern that repeats itself: of three equal key points in either picture the first ones match."""
    descriptors = functional.normalize(torch.randn(2, 12, 64, generator=rng), dim=-1)
    descriptors[:, 3] = descriptors[:, 7] = descriptors[:, 9] = descriptors[0, 0]
    found = match_mutual(descriptors, torch.tensor([0]), torch.tensor([1]))
    matched = found.forward[0][found.forward[0] >= 0]
    assert len(matched.unique()) == len(matched)
    assert int(found.forward[0, 0]) == 3 and int(found.backward[0, 3]) == 0


def test_no_pairs_give_no_matches() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert match_mutual(torch.zeros(2, 5, 64), none, none).forward.shape == (0, 5)


def test_maps_are_enlarged_frame_by_frame_as_together(rng: torch.Generator) -> None:
    maps, small = torch.rand(3, 6, 8, generator=rng), torch.rand(3, 3, 6, 8, generator=rng)
    images = torch.rand(3, 3, 24, 32, generator=rng)
    together = dense_layers._resize_frames(maps, small, images)
    assert torch.equal(dense_layers.resize_guided(maps, small, images), together)


def test_a_camera_that_is_said_to_stand_still_gives_what_matches_say() -> None:
    clip = film_room(torch.zeros(5, 6))
    guess = clip.depth[None] * (1 + 0.1 * torch.arange(5)[:, None, None])
    rays = torch.cat([torch.rand(1, 5, *clip.depth.shape[1:], 2), torch.ones(1, 5, *clip.depth.shape[1:], 1)], dim=-1)
    scene = SceneOutput(
        local_points=rays * guess[..., None], point_conf_logits=torch.zeros_like(guess),
        c2w=torch.eye(4).expand(1, 5, 4, 4), intrinsics=clip.intrinsics[None], hidden=torch.zeros(1, 5, 1, 1),
    )  # fmt: skip
    config = ViewSolverConfig(num_keypoints=512, num_anchors=200)
    found, told = (refine_scene(clip.images[None], scene, still=still, config=config) for still in (False, True))
    for name in ("local_points", "point_conf_logits", "c2w", "intrinsics", "joined", "certain", "solves_focal"):
        assert torch.equal(getattr(found, name), getattr(told, name)), name


def test_a_film_without_bars_is_looked_at_along_its_border_alone(
    monkeypatch: pytest.MonkeyPatch, rng: torch.Generator
) -> None:
    scene = torch.randint(0, 256, (4, 90, 160, 3), generator=rng, dtype=torch.uint8)
    barred = scene.clone()
    barred[:, :12] = barred[:, -12:] = 0
    assert bars.find_bars(barred) == (12, 0, 78, 160)
    monkeypatch.setattr(bars._Side, "of", lambda strip: pytest.fail("the whole strip was looked at"))
    assert bars.find_bars(scene) is None


def test_two_depths_compared_at_once_give_what_each_gives_alone() -> None:
    body = load_body()
    record = make_golden(body)
    far = np.asarray(record.depth) * np.float32(1.02)
    alone = [measure_body_to_points(record, body, depth) for depth in (record.depth, far)]
    assert compare_body_to_points(record, body, [record.depth, far]) == alone and alone[0] != alone[1]


def test_what_is_too_far_apart_for_a_float_weighs_nothing(rng: torch.Generator) -> None:
    """Beside the plain formula of the module, to the bit."""
    size = 64
    left, log_body = torch.randn(2, 1, size, size, generator=rng) * torch.tensor([0.1, 2.0])[:, None, None, None]
    known = torch.rand(1, size, size, generator=rng) > 0.2
    found = smooth_within_parts(left, log_body, known, known)
    places = torch.stack(torch.meshgrid(*[torch.arange(size) + 0.5] * 2, indexing="xy"), -1) / (size * SIGMA)
    features = torch.cat([places, log_body[0, ..., None] / TAU], -1)
    asked = torch.zeros(size, size, dtype=torch.bool)
    asked[2::4, 2::4] = True
    sources = known[0] & asked
    apart = torch.cdist(features[known[0]], features[sources])
    assert apart.max() > 15, "weights below the smallest float are among them"
    weights = apart.square().div(-2).exp() + 1e-9
    assert torch.equal(found[known], weights @ left[0][sources].clamp(-MOST, MOST) / weights.sum(-1))


def test_a_result_that_cannot_be_saved_is_not_written_in_silence(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def fail(self: Reconstruction, *_: object, **__: object) -> None:
        raise InputError("the disk is full")

    record = make_golden(load_body())
    monkeypatch.setattr(Reconstruction, "save", fail)
    for name in ("write_preview", "write_glb", "write_report_page"):
        monkeypatch.setattr(outputs, name, lambda *_, **__: None)
    with pytest.raises(InputError, match="full"):
        outputs.write_files(record, load_body(), {"settings": {"fps": 6.0, "scene_fps": 6.0}, "seconds": {}}, tmp_path)
