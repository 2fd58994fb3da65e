"""The staged body: algebra, agreement with a slow reference, and the free body's own facts."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from unish.body import JOINT_LANDMARKS, JOINT_NAMES, LANDMARK_NAMES, PARENTS, Body, load_body, match_shape, move_body
from unish.body.joints import MIRRORED_JOINTS, MIRRORED_LANDMARKS
from unish.body.population import AGE_BETA, STATURE_BETA
from unish.geometry.rigid import make_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.structs import BodyParams


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def random_params(*lead: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> BodyParams:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*lead, *shape, generator=generator, dtype=dtype)

    return BodyParams(
        betas=draw(10),
        global_orient=axis_angle_to_matrix(draw(3)),
        body_pose=axis_angle_to_matrix(0.4 * draw(23, 3)),
        transl=draw(3),
    )


def zero_params(betas: Tensor | None = None) -> BodyParams:
    betas = torch.zeros(10) if betas is None else betas
    lead = betas.shape[:-1]
    return BodyParams(
        betas=betas,
        global_orient=torch.eye(3).expand(*lead, 3, 3),
        body_pose=torch.eye(3).expand(*lead, 23, 3, 3),
        transl=torch.zeros(*lead, 3),
    )


def skin_slowly(body: Body, params: BodyParams) -> Tensor:
    """One vertex and one joint at a time, straight from the SMPL paper, for one body."""
    vertices = body.template + (body.shape_directions * params.betas).sum(-1)
    joints = body.joint_template + (body.joint_directions * params.betas).sum(-1)
    rotations = [params.global_orient, *params.body_pose]
    transforms: list[Tensor] = []
    for joint, parent in enumerate(PARENTS):
        local = torch.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        transforms.append(transforms[parent] @ local if parent >= 0 else local)
    out = torch.zeros_like(vertices)
    for v in range(len(vertices)):
        for joint in range(24):
            away = torch.cat([vertices[v] - joints[joint], torch.ones(1)])
            out[v] += body.skin_weights[v, joint] * (transforms[joint] @ away)[:3]
    return out + params.transl


def test_moving_parameters_and_moving_vertices_give_the_same_mesh(body: Body) -> None:
    params = random_params(3)
    rotation = axis_angle_to_matrix(torch.tensor([[0.3, -1.0, 2.0], [0.0, 3.1, 0.0], [1e-5, 0.0, 0.0]]))
    rigid = make_rigid(rotation, torch.tensor([[0.5, -2.0, 3.0]]).expand(3, 3))
    moved = move_body(params, rigid, body.rest_joints(params.betas)[..., 0, :])
    assert (body.vertices(moved) - transform_points(rigid, body.vertices(params))).abs().max() < 1e-5
    assert (body.joints(moved) - transform_points(rigid, body.joints(params))).abs().max() < 1e-5
    assert body.rest_joints(params.betas)[..., 0, :].norm(dim=-1).min() > 0.01, "J0 must matter for this test to tell"


def test_batch_equals_single(body: Body) -> None:
    params = random_params(2, 3)
    one = BodyParams(**{f.name: getattr(params, f.name)[1, 2] for f in fields(params)})
    for method in (body.vertices, body.joints, body.landmarks):
        torch.testing.assert_close(method(params)[1, 2], method(one), atol=2e-6, rtol=0)
    torch.testing.assert_close(body.standing_height(params.betas)[1, 2], body.standing_height(one.betas))


def test_fast_skinning_equals_slow_reference(body: Body) -> None:
    params = random_params(seed=4)
    few = torch.arange(0, body.num_vertices, 97)
    small = Body(**{
        **{f.name: getattr(body, f.name) for f in fields(body)},
        "template": body.template[few],
        "shape_directions": body.shape_directions[few],
        "skin_weights": body.skin_weights[few],
    })  # fmt: skip
    torch.testing.assert_close(small.vertices(params), skin_slowly(small, params), atol=2e-6, rtol=0)
    torch.testing.assert_close(body.vertices(params)[few], small.vertices(params), atol=2e-6, rtol=0)


def test_gradients_are_right(body: Body) -> None:
    few = torch.arange(0, body.num_vertices, 1500)
    small = Body(**{
        **{f.name: getattr(body, f.name) for f in fields(body)},
        "template": body.template[few],
        "shape_directions": body.shape_directions[few],
        "skin_weights": body.skin_weights[few],
    }).to(dtype=torch.float64)  # fmt: skip
    params = random_params(seed=7, dtype=torch.float64)
    inputs = (params.betas, matrix_to_axis_angle(params.global_orient), matrix_to_axis_angle(params.body_pose))

    def run(betas: Tensor, orient_aa: Tensor, pose_aa: Tensor, transl: Tensor) -> tuple[Tensor, Tensor]:
        moved = BodyParams(
            betas=betas,
            global_orient=axis_angle_to_matrix(orient_aa),
            body_pose=axis_angle_to_matrix(pose_aa),
            transl=transl,
        )
        return small.vertices(moved), small.landmarks(moved)[::8]

    assert torch.autograd.gradcheck(run, tuple(x.requires_grad_() for x in (*inputs, params.transl)), fast_mode=True)


def test_zero_pose_is_the_shaped_template_and_smpl_faces_ahead(body: Body) -> None:
    params = zero_params()
    torch.testing.assert_close(body.vertices(params), body.template, atol=1e-6, rtol=0)
    joints = dict(zip(JOINT_NAMES, body.joints(params), strict=True))
    assert joints["head"][1] > joints["neck"][1] > joints["pelvis"][1] > joints["left_ankle"][1], "y is up"
    assert joints["left_hand"][0] > joints["left_wrist"][0] > joints["left_elbow"][0] > 0.3, "left is +x"
    assert (joints["left_wrist"] - joints["left_shoulder"])[1:].abs().max() < 0.01, "arms are level"
    assert joints["left_foot"][2] - joints["left_ankle"][2] > 0.08, "feet point to +z"
    assert joints["pelvis"].norm() < 0.3


def test_axis_angle_entry_agrees(body: Body) -> None:
    params = random_params(2)
    vertices = body.vertices_from_axis_angle(
        params.betas.numpy(), matrix_to_axis_angle(params.global_orient).numpy(),
        matrix_to_axis_angle(params.body_pose).reshape(2, 69).numpy(), params.transl.numpy(),
    )  # fmt: skip
    np.testing.assert_allclose(vertices, body.vertices(params).numpy(), atol=1e-5)
    none = body.vertices_from_axis_angle(np.zeros((0, 10)), np.zeros((0, 3)), np.zeros((0, 69)), np.zeros((0, 3)))
    assert none.shape == (0, body.num_vertices, 3)


def test_free_body_is_one_closed_surface(body: Body) -> None:
    faces = body.faces
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed = {tuple(edge) for edge in edges.tolist()}
    assert len(directed) == len(edges) and all((b, a) in directed for a, b in directed)
    assert body.num_vertices - len(edges) // 2 + len(faces) == 2, "Euler number of a sphere"
    a, b, c = body.template[faces].unbind(1)
    volume = (a * torch.linalg.cross(b, c)).sum() / 6
    assert 0.05 < volume < 0.09, "cubic metres, positive when faces look outwards"
    assert 6000 <= body.num_vertices <= 7500
    torch.testing.assert_close(body.skin_weights.sum(1), torch.ones(body.num_vertices))


def test_free_body_is_symmetric(body: Body) -> None:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    betas = torch.linspace(-1, 1, 10)
    joints = body.rest_joints(betas)
    torch.testing.assert_close(joints[list(MIRRORED_JOINTS)] * flip, joints, atol=1e-6, rtol=0)
    landmarks = body.landmarks(zero_params(betas))
    torch.testing.assert_close(landmarks[list(MIRRORED_LANDMARKS)] * flip, landmarks, atol=1e-6, rtol=0)
    vertices = body.shape(betas).vertices
    nearest = torch.cdist(vertices * flip, vertices).min(1).values
    assert nearest.max() < 1e-3


def test_landmarks_land_where_they_should(body: Body) -> None:
    params = zero_params()
    at = dict(zip(LANDMARK_NAMES, body.landmarks(params), strict=True))
    joints = body.joints(params)
    for landmark, joint in JOINT_LANDMARKS.items():
        torch.testing.assert_close(body.landmarks(params)[landmark], joints[joint])
    head = joints[JOINT_NAMES.index("head")]
    assert at["nose"][2] > head[2] + 0.08 and abs(at["nose"][0]) < 1e-3
    assert at["nose"][2] > at["left_eye"][2] > at["left_eye_outer"][2] > at["left_ear"][2]
    assert at["left_eye"][1] > at["nose"][1] > at["mouth_left"][1] > head[1] - 0.05
    assert 0.004 < at["left_eye_inner"][0] < at["left_eye"][0] < at["left_eye_outer"][0] < at["left_ear"][0] < 0.1
    assert at["left_foot_index"][2] - at["left_heel"][2] > 0.2
    floor = body.template[:, 1].min()
    assert at["left_heel"][1] - floor < 0.06 and at["left_foot_index"][1] - floor < 0.04
    assert at["left_index"][2] > at["left_pinky"][2] + 0.03, "the palm looks down, the index finger ahead"
    assert at["left_thumb"][2] > at["left_index"][2]
    for name, point in at.items():
        if name.startswith("left") or name == "mouth_left":
            assert point[0] > 0, name


def test_contact_vertices_touch(body: Body) -> None:
    floor = body.template[:, 1].min()
    for name, indices in body.contact_vertices.items():
        assert 4 <= len(indices) <= 300, name
        points = body.template[indices]
        assert (points[:, 0] > 0).all() if name.startswith("left") else True, name
        if "toe" in name or "heel" in name:
            assert (points[:, 1] < floor + 0.025).all(), name
    toe, heel = (body.template[body.contact_vertices[f"left_{part}"]] for part in ("toe", "heel"))
    assert toe[:, 2].min() > heel[:, 2].max()
    assert body.template[body.contact_vertices["pelvis_seat"]][:, 2].max() < body.joint_template[0, 2]


def test_statures_of_adults_and_children(body: Body) -> None:
    mean = body.standing_height(torch.zeros(10))
    assert 1.65 < mean < 1.75
    taller, child = torch.zeros(2, 10)
    taller[STATURE_BETA], child[AGE_BETA] = 3.5, -3.2
    assert body.standing_height(taller) > 1.98
    assert body.standing_height(child) < 0.93
    adult_head, child_head = (
        (body.shape(b).vertices[:, 1].max() - body.rest_joints(b)[12, 1]) / body.standing_height(b)
        for b in (torch.zeros(10), child)
    )
    assert child_head > 1.2 * adult_head, "a child is no scaled adult"
    betas = torch.randn(500, 10, generator=torch.Generator().manual_seed(1)).clamp(-2.5, 2.5)
    betas[:, AGE_BETA] = 0
    adults = body.standing_height(betas)
    assert adults.min() > 1.3 and 1.8 < adults.max() < 2.2 and abs(adults.mean() - mean) < 0.03
    betas[:, AGE_BETA] = torch.linspace(-0.5, -3.5, 500)
    betas[:, STATURE_BETA] *= 0.5
    children = body.standing_height(betas)
    assert 0.6 < children.min() < 1.2 and children.max() < 1.8


def test_match_shape_finds_the_same_skeleton(body: Body) -> None:
    betas = torch.randn(5, 10, generator=torch.Generator().manual_seed(3))
    found = match_shape(body, betas, body)
    off = body.rest_joints(found) - body.rest_joints(betas)
    assert (off - off[:, :1]).norm(dim=-1).max() < 0.005
    assert (body.standing_height(found) - body.standing_height(betas)).abs().max() < 0.01


def test_to_moves_every_float(body: Body) -> None:
    double = body.to(dtype=torch.float64)
    assert double.vertices(random_params(dtype=torch.float64)).dtype == torch.float64
    assert double.faces.dtype == torch.int64
