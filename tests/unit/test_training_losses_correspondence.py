"""Bodies and their points: on a rendered body nothing is wrong, and each term sees the damage that it is there for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from unish.body import load_body
from unish.geometry.camera import make_intrinsics, project, unproject
from unish.geometry.rotation import axis_angle_to_matrix
from unish.geometry.surfaces import rasterize_depth
from unish.lab.training.losses.correspondence import (
    find_visible_vertices,
    landmark_loss,
    measure_distances,
    order_loss,
    sample_person_points,
    surface_loss,
)
from unish.render.plain import rasterize
from unish.structs import BodyParams

SIZE = (96, 80)
DOUBLE = torch.float64


@dataclass(frozen=True, kw_only=True)
class Street:
    """Two people in one clip of one frame: the second stands a metre behind the first, half hidden by them."""

    vertices: torch.Tensor
    landmarks: torch.Tensor
    faces: torch.Tensor
    intrinsics: torch.Tensor
    depth: torch.Tensor
    ids: torch.Tensor

    @property
    def points(self) -> torch.Tensor:
        return unproject(self.depth, self.intrinsics)

    @property
    def valid(self) -> torch.Tensor:
        return torch.ones(1, 2, 1, dtype=torch.bool)

    def visible(self) -> torch.Tensor:
        return find_visible_vertices(self.vertices, self.faces, self.intrinsics, self.ids, self.valid)

    def detect(self) -> torch.Tensor:
        """Landmarks where they are, all visible."""
        places = project(self.landmarks, self.intrinsics[0, 0].expand(1, 2, 1, 3, 3))
        return torch.cat([places, torch.ones_like(places[..., :1])], -1)

    def draw(self, points: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        return sample_person_points(points, self.ids, 2, num_points=2000, generator=torch.Generator().manual_seed(seed))

    def surface(self, vertices: torch.Tensor, points: torch.Tensor, width: float | None = None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        found, drawn = self.draw(points)
        return surface_loss(vertices, self.visible(), found, drawn, num_vertices=300, width=width, generator=generator)


@pytest.fixture(scope="module")
def street() -> Street:
    body = load_body("free").to(dtype=DOUBLE)
    turn = axis_angle_to_matrix(torch.tensor([[np.pi, 0.0, 0.0], [np.pi, 0.0, 0.4]], dtype=DOUBLE))
    params = BodyParams(
        betas=torch.zeros(2, 10, dtype=DOUBLE),
        global_orient=turn,
        body_pose=torch.eye(3, dtype=DOUBLE).expand(2, 23, 3, 3),
        transl=torch.tensor([[0.1, -0.1, 3.0], [-0.3, -0.2, 4.0]], dtype=DOUBLE),
    )
    vertices, landmarks = body.vertices(params)[None, :, None], body.landmarks(params)[None, :, None]
    camera = make_intrinsics(torch.full((1, 1), 110.0, dtype=DOUBLE), *SIZE)
    each = rasterize_depth(vertices[:, :, 0], body.faces, camera.expand(1, 2, 3, 3), SIZE)
    each = torch.where(each > 0, each, 6.0)
    depth, ids = each.min(1)
    ids = torch.where(depth < 6, ids, -1)
    return Street(
        vertices=vertices,
        landmarks=landmarks,
        faces=body.faces,
        intrinsics=camera,
        depth=depth[:, None],
        ids=ids[:, None],
    )


# Visibility -----------------------------------------------------------------------------------------------------------


def test_visible_vertices_equal_the_slow_twin(street: Street) -> None:
    """The twin: an exact rasteriser of all bodies at once, and one vertex after the other."""
    visible = street.visible()
    num = street.vertices.shape[-2]
    together = street.vertices.reshape(-1, 3)
    faces = torch.cat([street.faces, street.faces + num])
    drawn = rasterize(together.numpy(), faces.numpy(), street.intrinsics[0, 0].numpy(), SIZE)
    pixels = project(together, street.intrinsics[0, 0])
    for i in range(0, 2 * num, 7):
        x, y = (int(value // 1) for value in pixels[i])
        inside = 0 <= x < SIZE[1] and 0 <= y < SIZE[0]
        own = inside and int(street.ids[0, 0, y, x]) == i // num
        seen = own and float(together[i, 2]) <= drawn.depth[y, x] + 0.02
        assert bool(visible.reshape(-1)[i]) == seen


def test_visibility_means_what_it_says(street: Street) -> None:
    visible = street.visible()
    shares = visible.float().mean(-1).flatten().tolist()
    assert 0.35 < shares[0] < 0.65  # about the half that faces the camera
    assert shares[1] < 0.8 * shares[0]  # partly behind the other
    alone = torch.tensor([[[False], [True]]])
    only = find_visible_vertices(street.vertices, street.faces, street.intrinsics, street.ids, alone)
    assert not only[0, 0].any() and only[0, 1].sum() >= visible[0, 1].sum()
    spoilt = street.vertices.clone()
    spoilt[0, 0] = torch.nan
    assert torch.equal(find_visible_vertices(spoilt, street.faces, street.intrinsics, street.ids, alone), only)
    nobody = torch.full_like(street.ids, -1)
    assert not find_visible_vertices(street.vertices, street.faces, street.intrinsics, nobody, street.valid).any()


# Truth and damage -----------------------------------------------------------------------------------------------------


def test_truth_costs_nearly_nothing(street: Street) -> None:
    """A pixel is 2.7 and 3.6 cm wide at the two; measured: 1.6 cm root mean square, means that differ by .4 mm."""
    assert street.surface(street.vertices, street.points) < 0.018**2
    assert order_loss(street.vertices, street.visible(), street.points, street.intrinsics) == 0
    detected = street.detect()
    assert landmark_loss(street.landmarks, detected, street.intrinsics, street.valid) < 1e-20


def test_distance_of_body_and_points_is_seen_and_is_a_square(street: Street) -> None:
    for far in (0.2, 0.4):
        moved = street.vertices - torch.tensor([0.0, 0.0, far])
        cost = float(street.surface(moved, street.points)) ** 0.5
        assert 0.8 * far < cost < 1.05 * far
    assert street.surface(moved, street.points, width=0.1) < 2 * 0.1 * far  # a length, not a square
    # The nearest of fewer points is never nearer: distance to a drawn part is an upper bound.
    exact = torch.cdist(street.vertices[0, 0, 0][street.visible()[0, 0, 0]], street.points[street.ids == 0]).amin(-1)
    assert float(exact.square().mean()) < float(street.surface(street.vertices, street.points)) * 1.5


def test_points_behind_the_body_are_pulled_forward_and_points_before_it_are_left(street: Street) -> None:
    visible = street.visible()
    scale = torch.tensor(1.05, dtype=DOUBLE, requires_grad=True)
    behind = order_loss(street.vertices, visible, scale * street.points, street.intrinsics)
    # 5 % of 3 m and of 4 m, less the margin
    assert behind.item() == pytest.approx(0.05 * 3.4 - 0.01, abs=0.02)
    behind.backward()
    assert scale.grad is not None and scale.grad > 0  # a smaller scene is better
    before = order_loss(street.vertices, visible, 0.95 * street.points, street.intrinsics)
    assert before == 0


def test_a_smaller_world_agrees_better_in_metres_and_not_in_distances(street: Street) -> None:
    """Bodies a fifth too far; then points and places at half the scale, and only bodies keep their size."""
    centre = street.vertices.mean(-2, keepdim=True)
    far, size = 1.2 * centre, street.vertices - centre
    costs = {}
    for scale in (1.0, 0.5):
        points, drawn = street.draw(scale * street.points)
        vertices, distances = scale * far + size, measure_distances(points, drawn)
        for name, unit in (("metres", torch.ones_like(distances)), ("distances", distances)):
            each = unit[..., None, None]
            costs[name, scale] = float(
                surface_loss(
                    vertices / each, street.visible(), points / each, drawn, num_vertices=300, width=None,
                    generator=torch.Generator().manual_seed(1),
                )
            )  # fmt: skip
    assert costs["metres", 0.5] < 0.6 * costs["metres", 1.0]
    assert costs["distances", 0.5] > costs["distances", 1.0]


def test_distances_are_those_of_the_points_and_order_is_measured_in_them(street: Street) -> None:
    points, drawn = street.draw(street.points)
    distances = measure_distances(points, drawn)
    for person in (0, 1):
        found = points[0, person, 0][drawn[0, person, 0]].norm(dim=-1)
        assert float(distances[0, person, 0]) == pytest.approx(float(found.mean()))
    assert float(measure_distances(points, drawn & False).mean()) == 1
    only = street.visible() & torch.tensor([True, False])[:, None, None]
    behind = [
        float(order_loss(street.vertices, only, 1.05 * street.points, street.intrinsics, unit=unit))
        for unit in (None, distances)
    ]
    assert behind[1] == pytest.approx(behind[0] / float(distances[0, 0, 0]))


def test_landmarks_are_robust_weighted_and_independent_of_resolution(street: Street) -> None:
    detected = street.detect() * torch.tensor([1.0, 1.0, 0.9])
    moved = detected.clone()
    moved[..., 0] += 2
    loss = landmark_loss(street.landmarks, moved, street.intrinsics, street.valid)
    assert 0 < float(loss) < 0.01
    larger = street.intrinsics * torch.tensor([3.0, 3, 1])[:, None]
    tripled = moved * torch.tensor([3.0, 3, 1])
    torch.testing.assert_close(landmark_loss(street.landmarks, tripled, larger, street.valid), loss)
    wild = detected.clone()
    wild[0, 0, 0, 5, :2] = torch.tensor([1.0, 90.0])
    # The one that is off by more than the size of the person costs its length, not its square.
    assert landmark_loss(street.landmarks, wild, street.intrinsics, street.valid) < 2 * 0.1 * 1.5 / 33
    wild[0, 0, 0, 5, 2] = 0.3
    assert landmark_loss(street.landmarks, wild, street.intrinsics, street.valid) < 1e-12
    wild[0, 1] = torch.nan
    assert landmark_loss(street.landmarks, wild, street.intrinsics, street.valid) < 1e-12


@pytest.mark.long
def test_descent_finds_the_person_and_the_scale(street: Street) -> None:
    """From 30 cm off and 10 % too large a scene, with all three terms: the loss knows where to go."""
    visible = street.visible()
    detected = street.detect()
    offset = torch.tensor([[0.05, -0.05, -0.3], [0.0, 0.1, 0.3]], dtype=DOUBLE)[None, :, None, None].clone()
    log_scale = torch.tensor(0.1, dtype=DOUBLE)
    unknown = [offset.requires_grad_(), log_scale.requires_grad_()]
    optimiser, generator = torch.optim.Adam(unknown, lr=0.02), torch.Generator().manual_seed(0)
    for step in range(150):
        optimiser.param_groups[0]["lr"] = 0.02 * (1 - step / 150)
        optimiser.zero_grad()
        points, vertices = log_scale.exp() * street.points, street.vertices + offset
        found, drawn = sample_person_points(points, street.ids, 2, num_points=300, generator=generator)
        loss = surface_loss(vertices, visible, found, drawn, num_vertices=100, width=None, generator=generator)
        loss = loss + order_loss(vertices, visible, points, street.intrinsics)
        loss = loss + 30 * landmark_loss(street.landmarks + offset, detected, street.intrinsics, street.valid)
        loss.backward()
        optimiser.step()
    assert offset.abs().max() < 0.05
    assert log_scale.abs() < 0.02


# Laws -----------------------------------------------------------------------------------------------------------------


def test_surface_equals_the_slow_twin_and_padding_does_not_count(street: Street) -> None:
    visible, (points, drawn) = street.visible()[..., ::40], street.draw(street.points)
    vertices = street.vertices[..., ::40, :] + 0.05

    def measure(*people: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return surface_loss(*people, num_vertices=10**6, width=0.1, generator=generator)

    loss = measure(vertices, visible, points, drawn)
    slow = []
    for person in range(2):
        own = points[0, person, 0][drawn[0, person, 0]]
        costs = [((v - own).square().sum(-1)).min() for v in vertices[0, person, 0][visible[0, person, 0]]]
        slow.append(sum(0.02 * (float(1 + c / 0.01) ** 0.5 - 1) for c in costs) / len(costs))
    assert float(loss) == pytest.approx(sum(slow) / 2, rel=1e-9)
    padded = [torch.cat([x, torch.full_like(x, fill)], 1) for x, fill in (
        (vertices, torch.nan), (visible, False), (points, 0.0), (drawn, False),
    )]  # fmt: skip
    torch.testing.assert_close(measure(*padded), loss)
    orders = [order_loss(v, m, street.points, street.intrinsics) for v, m in ((vertices, visible), padded[:2])]
    assert orders[0] == orders[1]


def test_nothing_seen_costs_nothing(street: Street) -> None:
    vertices, landmarks = ((x * torch.nan).requires_grad_() for x in (street.vertices, street.landmarks))
    points = street.points.requires_grad_()
    unseen = torch.zeros_like(street.visible())
    nobody = torch.full_like(street.ids, -1)
    found, drawn = sample_person_points(points, nobody, 2, num_points=50, generator=torch.Generator())
    assert not drawn.any()
    loss = surface_loss(vertices, unseen, found, drawn, num_vertices=9, width=None, generator=torch.Generator())
    loss = loss + order_loss(vertices, unseen, points, street.intrinsics)
    detected = torch.full_like(landmarks, torch.nan)
    loss = loss + landmark_loss(landmarks, detected, street.intrinsics, ~street.valid)
    assert loss == 0
    loss.backward()
    for tensor in (vertices, landmarks, points):
        assert tensor.grad is not None and (tensor.grad == 0).all()


def test_gradients(street: Street) -> None:
    """On every 500th visible vertex; what is seen, drawn and nearest does not change under tiny steps."""
    visible = street.visible()
    few = torch.zeros_like(visible)
    few[..., ::500] = visible[..., ::500]
    index = few.any(1)[0, 0].nonzero()[:, 0]
    few = few[..., index]
    detected = street.detect() + torch.tensor([2.0, 2.0, 0.0])

    def losses(vertices: torch.Tensor, landmarks: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, ...]:
        points = scale * street.points
        found, drawn = sample_person_points(points, street.ids, 2, num_points=60, generator=torch.Generator())
        return (
            surface_loss(vertices, few, found, drawn, num_vertices=99, width=0.2, generator=torch.Generator()),
            order_loss(vertices, few, points, street.intrinsics),
            landmark_loss(landmarks, detected[..., ::4, :], street.intrinsics, street.valid),
        )

    start = street.vertices[..., index, :].clone().requires_grad_()
    scale = torch.tensor(1.05, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(losses, (start, street.landmarks[..., ::4, :].clone().requires_grad_(), scale))
