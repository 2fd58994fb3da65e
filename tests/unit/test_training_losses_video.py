"""Flow, and depth along it: nothing is wrong with a rendered walk past a room, and shrinking it lowers no term."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from unish.geometry.camera import make_intrinsics, pixel_grid, project, unproject
from unish.geometry.rigid import invert_rigid, make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.training.losses.flow import depth_flow_loss, find_consistent_flow, find_static_flow, flow_loss

SIZE = (36, 48)
DOUBLE = torch.float64
PAIRS = torch.tensor([(i, j) for i in range(3) for j in range(3) if i != j]).T


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Three frames of a slanted wall seen by a camera that moves and turns, with exact flow."""

    points: torch.Tensor
    c2w: torch.Tensor
    intrinsics: torch.Tensor
    flow: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        backward = self.flow[:, [list(map(tuple, PAIRS.T.tolist())).index((j, i)) for i, j in PAIRS.T.tolist()]]
        return find_consistent_flow(self.flow, backward)

    def measure(self, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        mask = self.mask if mask is None else mask
        return (
            flow_loss(self.points, self.c2w, self.intrinsics, self.flow, PAIRS, mask),
            depth_flow_loss(self.points, self.c2w, self.flow, PAIRS, mask),
        )


def make_walk(num_clips: int = 1) -> Walk:
    intrinsics = make_intrinsics(torch.full((num_clips, 3), 40.0, dtype=DOUBLE), *SIZE)
    turn = torch.tensor([[0.0, 0, 0], [0.02, 0.05, 0.01], [0.0, 0.1, -0.02]], dtype=DOUBLE)
    place = torch.tensor([[0.0, 0, 0], [0.2, 0.05, 0.1], [0.4, 0.0, 0.3]], dtype=DOUBLE)
    c2w = make_rigid(axis_angle_to_matrix(turn), place)[None].repeat(num_clips, 1, 1, 1)
    normal = torch.nn.functional.normalize(torch.tensor([0.3, 0.1, 1.0], dtype=DOUBLE), dim=0)
    rays = unproject(torch.ones(num_clips, 3, *SIZE, dtype=DOUBLE), intrinsics) @ c2w[:, :, None, :3, :3].mT
    distances = torch.arange(4.0, 4.0 + num_clips, dtype=DOUBLE)[:, None]
    depth = (distances - c2w[..., :3, 3] @ normal)[..., None, None] / (rays @ normal)
    points = unproject(depth, intrinsics)
    moved = transform_points(invert_rigid(c2w[:, PAIRS[1]]) @ c2w[:, PAIRS[0]], points[:, PAIRS[0]].flatten(2, 3))
    target = project(moved, intrinsics[:, PAIRS[1]]).unflatten(2, SIZE)
    return Walk(points=points, c2w=c2w, intrinsics=intrinsics, flow=target - pixel_grid(*SIZE, like=target))


# Masks ----------------------------------------------------------------------------------------------------------------


def test_flow_that_comes_back_is_consistent_and_what_is_hidden_is_not() -> None:
    walk = make_walk()
    mask = walk.mask
    grid = pixel_grid(*SIZE, like=walk.flow)
    target = grid + walk.flow
    inside = (target > 0).all(-1) & (target[..., 0] < SIZE[1]) & (target[..., 1] < SIZE[0])
    assert torch.equal(mask, inside) and 0.7 < mask.double().mean() < 0.99
    spoilt = walk.flow.clone()
    spoilt[:, 0, 10:20, 10:20] += 3.0
    assert not replace(walk, flow=spoilt).mask[:, 0, 10:20, 10:20].any()


def test_people_are_left_out_at_both_ends_of_the_flow() -> None:
    ids = torch.full((1, 3, *SIZE), -1)
    ids[:, 1, 10:20, 10:20] = 0
    flow = torch.zeros(1, len(PAIRS[0]), *SIZE, 2)
    flow[..., 0] = 5.0
    static = find_static_flow(flow, ids, PAIRS)
    for pair, (i, j) in enumerate(PAIRS.T.tolist()):
        expected = torch.ones(SIZE, dtype=torch.bool)
        if i == 1:
            expected[10:20, 10:20] = False
        if j == 1:
            expected[10:20, 5:15] = False
        assert torch.equal(static[0, pair], expected)


# Flow and depth along it ----------------------------------------------------------------------------------------------


def test_truth_costs_nothing_at_any_scale() -> None:
    """Depth of a plane is not linear in the image: interpolated, it is off by up to 4e-5 here."""
    walk = make_walk()
    for scale in (1.0, 0.01, 300.0):
        c2w = walk.c2w.clone()
        c2w[..., :3, 3] *= scale
        flow, depth = replace(walk, points=scale * walk.points, c2w=c2w).measure()
        assert flow < 1e-12 and depth < 1e-4


def test_terms_see_wrong_cameras_depth_and_intrinsics() -> None:
    walk = make_walk()
    still = replace(walk, c2w=torch.eye(4, dtype=DOUBLE).expand(1, 3, 4, 4))
    wrong_scale = replace(walk, points=1.2 * walk.points)
    zoomed = replace(walk, intrinsics=walk.intrinsics * torch.tensor([1.1, 1.1, 1.0])[:, None])
    assert still.measure()[0] > 1 and still.measure()[1] > 0.02
    assert wrong_scale.measure()[0] > 0.15 and wrong_scale.measure()[1] > 0.002
    assert zoomed.measure()[0] > 0.2
    factor = torch.tensor([1.0, 1.1, 1.0], dtype=DOUBLE)[:, None, None, None]
    flicker = replace(walk, points=walk.points * factor).measure()[1]
    assert flicker.item() == pytest.approx(torch.tensor(1.1).log().item() * 4 / 6, rel=0.1)  # four of six pairs


def test_flow_loss_is_measured_as_stated() -> None:
    walk = make_walk()
    diagonal = (SIZE[0] ** 2 + SIZE[1] ** 2) ** 0.5
    for off, huber in ((0.4, 0.5 * 0.4**2), (3.0, 2.5)):
        moved = replace(walk, flow=walk.flow + torch.tensor([off, 0.0]))
        assert moved.measure(walk.mask)[0].item() == pytest.approx(100 * huber / diagonal, rel=1e-3)


def test_batch_is_the_mean_of_its_clips() -> None:
    walk = make_walk(2)
    noisy = replace(walk, points=walk.points * (1 + 0.05 * random(0, 2, 3, *SIZE, 1)))
    mask = walk.mask & walk.mask.flip(0)  # as many pixels in both
    whole = noisy.measure(mask)
    parts = [
        Walk(
            points=noisy.points[i, None], c2w=walk.c2w[i, None], intrinsics=walk.intrinsics[i, None],
            flow=walk.flow[i, None],
        ).measure(mask[i, None])
        for i in (0, 1)
    ]  # fmt: skip
    for term in (0, 1):
        torch.testing.assert_close(whole[term], (parts[0][term] + parts[1][term]) / 2)


def test_shrinking_the_clip_is_no_way_out() -> None:
    walk = make_walk()
    noisy = walk.points * (1 + 0.05 * random(0, 1, 3, *SIZE, 1))
    scale = torch.ones((), dtype=DOUBLE, requires_grad=True)
    c2w = make_rigid(walk.c2w[..., :3, :3], scale * walk.c2w[..., :3, 3])
    for loss in replace(walk, points=scale * noisy, c2w=c2w).measure():
        gradient = torch.autograd.grad(loss, scale, retain_graph=True)[0]
        assert loss > 1e-3 and gradient.abs() < 1e-12


@pytest.mark.slow
def test_gradients_of_flow_terms() -> None:
    walk = make_walk()
    rows, columns = slice(10, 14), slice(20, 25)
    small = replace(
        walk, points=walk.points[:, :, rows, columns] * (1 + 0.05 * random(0, 1, 3, 4, 5, 1)),
        flow=0.3 * random(1, 1, 6, 4, 5, 2), intrinsics=make_intrinsics(torch.full((1, 3), 40.0, dtype=DOUBLE), 4, 5),
    )  # fmt: skip
    every = torch.ones(1, 6, 4, 5, dtype=torch.bool)

    def losses(
        points: torch.Tensor, turn: torch.Tensor, place: torch.Tensor, focal: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        c2w = make_rigid(axis_angle_to_matrix(turn), place)
        return replace(small, points=points, c2w=c2w, intrinsics=make_intrinsics(focal, 4, 5)).measure(every)

    inputs = (small.points, 0.02 * random(2, 1, 3, 3), 0.1 * random(3, 1, 3, 3), torch.full((1, 3), 40.0, dtype=DOUBLE))
    assert torch.autograd.gradcheck(losses, [x.clone().requires_grad_() for x in inputs])


def test_nothing_to_compare_costs_nothing() -> None:
    walk = make_walk()
    points = walk.points.clone()
    points[:, :, :5] = 0
    points.requires_grad_()
    behind = replace(walk, points=points, flow=walk.flow * torch.nan)
    for loss in behind.measure(torch.zeros_like(walk.mask)):
        assert loss == 0
        (gradient,) = torch.autograd.grad(loss, points)
        assert (gradient == 0).all()
    turned = make_rigid(axis_angle_to_matrix(torch.tensor([[[0, 0, 0], [0, 3.1, 0], [0, 0.05, 0]]]).double()),
                        walk.c2w[..., :3, 3])  # fmt: skip
    for loss in replace(walk, points=points, c2w=turned).measure(torch.ones_like(walk.mask)):
        (gradient,) = torch.autograd.grad(loss, points)
        assert loss.isfinite() and gradient.isfinite().all()
