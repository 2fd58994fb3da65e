"""Where cameras stand still, experience alone tells depth: such windows follow those whose cameras move."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from joined import own_depth
from unish.geometry.camera import unproject
from unish.passes.packed_records import pack_window, unpack_window
from unish.reconstruction import stitch
from unish.reconstruction.depth_curve import DepthCurve
from unish.reconstruction.stitch import Alignment, stitch_windows
from unish.reconstruction.window import Window, describe_window, plan_windows
from unish.structs import Camera, FrameArray, Prediction

HEIGHT, WIDTH, FRAMES = 40, 60, 18
CAMERA = Camera(
    matrix=torch.tensor([[60.0, 0, 30], [0, 60, 20], [0, 0, 1]]), size=(HEIGHT, WIDTH), focal_source="given"
)
WINDOWS = plan_windows(FRAMES, 8, 3)
STILL, MOVING = torch.zeros(8, 3), torch.linspace(0, 0.3, 8)[:, None] * torch.tensor([1.0, 0, 0])


def make_depth() -> Float[Tensor, "T H W"]:
    """A slanted floor before walls, 1 to 6 away."""
    generator = torch.Generator().manual_seed(0)
    return 1 + 5 * torch.rand(FRAMES, HEIGHT, WIDTH, generator=generator)


def bend(depth: Tensor, slope: float) -> Tensor:
    """Near too near and far too far, or the other way round, and all of it in another unit."""
    return 0.7 * (depth / 3) ** (1 + slope)


def describe(depths: list[Tensor], places: list[Tensor], people: list[Tensor] | None = None) -> list[Window]:
    described: list[Window] = []
    for index, (depth, place, frames) in enumerate(zip(depths, places, WINDOWS, strict=True)):
        c2w = torch.eye(4).repeat(len(frames), 1, 1)
        c2w[:, :3, 3] = place
        prediction = Prediction(
            local_points=unproject(depth, CAMERA.matrix.expand(len(frames), 3, 3))[None],
            point_conf_logits=torch.full((1, len(frames), HEIGHT, WIDTH), 3.0),
            c2w=c2w[None],
            scale=None,
        )
        before = described[-1] if described else None
        described.append(describe_window(prediction, frames, before, None if people is None else people[index]))
    return described


def cut(depth: Tensor) -> list[Tensor]:
    return [depth[frames.start : frames.stop] for frames in WINDOWS]


def slope_of(log_ratio: Tensor, depth: Tensor) -> float:
    """Of log ratio over log depth."""
    centred = depth.log() - depth.log().mean()
    return float((centred * log_ratio).sum() / centred.square().sum())


def nobody() -> Tensor:
    return torch.ones(0, FRAMES, dtype=torch.bool)


@pytest.mark.parametrize("slope", [0.3, -0.3])
@pytest.mark.parametrize("still", [(2,), (0,), (1, 2), (0, 2)])
def test_windows_without_movement_follow_those_with(slope: float, still: tuple[int, ...]) -> None:
    truth = make_depth()
    depths = [bend(own, slope) if index in still else own for index, own in enumerate(cut(truth))]
    windows = describe(depths, [STILL if index in still else MOVING for index in range(3)])
    assert [window.moves for window in windows] == [index not in still for index in range(3)]
    found = own_depth(stitch_windows(windows, nobody(), CAMERA))
    ratio = (found / truth).log()
    ratio = ratio - ratio.median()
    assert ratio.abs().median() < 0.01
    # What is expected of slopes pulls a little: .034 in the worst case.
    assert ratio.abs().quantile(0.95) < 0.05
    unbent = [
        replace(window, link=window.link and replace(window.link, levels=torch.zeros(0, 2))) for window in windows
    ]
    ratio = (own_depth(stitch_windows(unbent, nobody(), CAMERA)) / truth).log()
    assert (ratio - ratio.median()).abs().quantile(0.95) > 0.1, "one factor alone does not join them"


def test_what_parallax_tells_is_not_bent() -> None:
    """Windows whose cameras move disagree: nothing says which of them is right."""
    depths = [bend(own, 0.3) if index == 1 else own for index, own in enumerate(cut(make_depth()))]
    windows = describe(depths, [MOVING] * 3)
    found = own_depth(stitch_windows(windows, nobody(), CAMERA))
    torch.testing.assert_close(found[:5], depths[0][:5], rtol=0, atol=1e-5)
    assert windows[1].link is not None
    scale = torch.tensor(windows[1].link.log_scale).exp()
    torch.testing.assert_close(found[8:10], depths[1][3:5] * scale, rtol=1e-5, atol=1e-5)


def test_cameras_that_never_move_meet_in_the_middle() -> None:
    """None of the windows is better than another one: each gives way, and walls do not jump between them."""
    truth = make_depth()
    depths = [bend(own, slope) for own, slope in zip(cut(truth), (0.2, -0.2, 0.2), strict=True)]
    shot = stitch_windows(describe(depths, [STILL] * 3), nobody(), CAMERA, still=True)
    bent = (own_depth(shot) / truth).log()
    # How much the ratio changes with depth, in the middle of the first and of the second window.
    first, second = (slope_of(bent[frame], truth[frame]) for frame in (0, 9))
    assert abs(first - second) < 0.1 and abs(first) < 0.1, "0.2 and -0.2 before"
    assert torch.equal(shot.c2w, torch.eye(4).repeat(FRAMES, 1, 1))


def test_people_do_not_join_windows() -> None:
    """A person in the nearer half is drawn twice as far away by the second window."""
    truth = make_depth()
    people = [torch.full((8, HEIGHT, WIDTH), -1, dtype=torch.int16) for _ in WINDOWS]
    depths = [own.clone() for own in cut(truth)]
    for own, who in zip(depths[1:], people[1:], strict=True):
        who[:, :30] = 0
        own[:, :30] *= 2
    with_people = describe(depths, [MOVING] * 3, people)
    without = describe(depths, [MOVING] * 3)
    assert with_people[1].link is not None and without[1].link is not None
    assert with_people[1].link.log_scale == pytest.approx(0.0, abs=1e-6)
    assert without[1].link.log_scale == pytest.approx(-0.693, abs=1e-3)
    torch.testing.assert_close(with_people[1].link.levels[:, 1], torch.zeros(8), rtol=0, atol=1e-6)
    only_people = describe(depths, [MOVING] * 3, [torch.zeros_like(one) for one in people])
    assert only_people[1].link is not None
    assert only_people[1].link.log_scale == without[1].link.log_scale, "better than nothing"


def test_a_steep_seam_never_turns_depth_round() -> None:
    depths = [bend(own, -0.95) if index == 2 else own for index, own in enumerate(cut(make_depth()))]
    windows = describe(depths, [MOVING, MOVING, STILL])
    found = own_depth(stitch_windows(windows, nobody(), CAMERA))[-1].flatten()
    order = depths[2][-1].flatten().argsort()
    assert (found[order].diff() >= -1e-6).all()


def test_points_go_along_their_rays_and_one_factor_stands_for_the_curve() -> None:
    curve = DepthCurve(knots=torch.tensor([0.0, 1.0, 2.0]), offsets=torch.tensor([0.2, 0.0, -0.5]))
    bent = Alignment(scale=2.0, motion=torch.eye(4), residual=0.0, curve=curve)
    points = torch.tensor([[0.5, -0.2, 1.0], [1.0, 2.0, 3.0], [0.1, 0.1, 0.0]], dtype=torch.float64)
    moved = bent.resize_points(points)
    torch.testing.assert_close(moved[:, 2], bent.resize_depth(points[:, 2]))
    torch.testing.assert_close(moved[:2] / moved[:2, 2:], points[:2] / points[:2, 2:])
    assert abs(float(moved[1, 2]) - 6.0) > 1.0
    straight = Alignment(scale=2.0, motion=torch.eye(4), residual=0.0)
    torch.testing.assert_close(straight.resize_points(points), 2 * points)
    assert straight.mean_scale == 2.0 and bent.mean_scale == pytest.approx(2.0 * math.exp(-0.1))


def test_whoever_asks_a_bent_window_gets_bent_points_and_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last window does not move: the points that tell the shift, and the network's own scale, follow its curve."""
    depths = [bend(own, 0.3) if index == 2 else own for index, own in enumerate(cut(make_depth()))]
    windows = [replace(one, scale=2 * one.mean_distance) for one in describe(depths, [MOVING, MOVING, STILL])]
    seen: list[Tensor] = []
    monkeypatch.setattr(stitch, "recover_shift_of_samples", lambda samples, *_: seen.append(samples) or torch.zeros(()))
    monkeypatch.setattr(Alignment, "mean_scale", property(lambda one: 1.0 if one.curve is None else 1e-3))
    shot = stitch_windows(windows, nobody(), CAMERA)
    assert shot.network_scale == 2.0 and len(seen) == 1
    monkeypatch.setattr(Alignment, "mean_scale", property(lambda one: 1e-3 if one.curve is None else 1.0))
    assert stitch_windows(windows, nobody(), CAMERA).network_scale == pytest.approx(2e3), "each window by its own"
    last = windows[2].samples[-1][..., 2]
    assert float((seen[0][-1, :, 2] / last).log().std()) > 0.05, "near and far by different factors"


def test_levels_come_back_from_the_disk() -> None:
    window = describe(cut(make_depth()), [MOVING] * 3)[1]
    assert window.link is not None and len(window.link.levels) == 8
    maps = {name: getattr(window, name) for name in ("depth", "conf_logits", "samples", "sampled")}
    dense = {name: FrameArray(values.shape, values.dtype, values.__getitem__) for name, values in maps.items()}
    again = unpack_window(pack_window(window), len(window.frames), dense)
    assert again.link is not None and torch.equal(again.link.levels, window.link.levels)
    assert (again.link.log_scale, again.link.depth) == (window.link.log_scale, window.link.depth)


def test_some_pixels_are_those_of_the_whole_map_which_nobody_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    depths = [bend(own, 0.3) if index == 1 else own for index, own in enumerate(cut(make_depth()))]
    windows = describe(depths, [MOVING, STILL, MOVING])
    logits = torch.randn(8, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    windows = [replace(window, conf_logits=logits) for window in windows]
    whole, some = (stitch_windows(windows, nobody(), CAMERA) for _ in range(2))
    places = [
        (torch.tensor([3, 39, 0, 17, 5]), torch.tensor([59, 0, 1, 30, 2])),
        (slice(1, None, 3), slice(0, None, 2)),
    ]
    for frame in (0, 9, 17):
        for place in places:
            assert torch.equal(some.depth[(frame, *place)], whole.depth[frame][place])
            assert torch.equal(some.conf[(frame, *place)], whole.conf[frame][place])
    assert isinstance(some.depth, FrameArray) and some.depth._last[0] == -1 and whole.depth._last[0] == 17
