"""Every public function of the metrics has a slow twin, and the two agree on random input, gaps and batches."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import twins_people
import twins_scene
from torch import Tensor

from unish.body import load_body
from unish.geometry.alignment import Similarity
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.evaluation import metrics
from unish.lab.evaluation.metrics import DepthScores

BATCH = 2
BODY = load_body("free")
SMPL_SIZED = dataclasses.replace(
    BODY, template=torch.zeros(6890, 3), shape_directions=torch.zeros(6890, 3, 10), skin_weights=torch.zeros(6890, 24)
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One call. With ``batched`` every tensor has a leading dimension that the twin is called along, one by one."""

    args: tuple[Any, ...]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    batched: bool = True


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_gaps(points: Tensor, frame: int) -> Tensor:
    """NaN in one frame of the first sample."""
    points = points.clone()
    points[0, frame] = torch.nan
    return points


JOINTS, TRUE_JOINTS = random(0, BATCH, 11, 24, 3), random(1, BATCH, 11, 24, 3)
ROOT, TRUE_ROOT = JOINTS[:, :, 0].cumsum(1), TRUE_JOINTS[:, :, 0].cumsum(1)
VALID = random(2, BATCH, 11) > -1.0
FEET, TRUE_FEET = 0.02 * random(3, BATCH, 11, 4, 3).cumsum(1), 0.004 * random(4, BATCH, 11, 4, 3).cumsum(1)
TOUCHING = random(5, BATCH, 11, 4) > -1.0
TRUE_PATH = make_rigid(axis_angle_to_matrix(0.4 * random(6, BATCH, 9, 3)), random(7, BATCH, 9, 3).cumsum(1))
PATH = make_rigid(axis_angle_to_matrix(0.2 * random(8, BATCH, 9, 3)), 0.2 * random(9, BATCH, 9, 3)) @ TRUE_PATH
POSE_VALID = random(10, BATCH, 9) > -1.0
DEPTH = random(11, BATCH, 3, 5, 6).abs() + 0.5
TRUE_DEPTH = 1.4 * DEPTH + 0.3 + 0.1 * random(12, BATCH, 3, 5, 6)
HOLED, FAR = DEPTH.clone(), TRUE_DEPTH.clone()
HOLED[:, 0, 0, :3], HOLED[:, 0, 1, :2], FAR[:, 1, 1], FAR[:, 2, 2] = 0.0, torch.nan, 90.0, 0.0
SHEET = torch.cat([random(13, 3, 4, 5, 2), 0.1 * random(14, 3, 4, 5, 1)], -1)
NOISY = (SHEET + 0.03 * random(15, 3, 4, 5, 3)) @ axis_angle_to_matrix(random(16, 3)).T * 0.6 + 1.0
SHEET_VALID = random(17, 3, 4, 5) > -1.2
NOISY_HOLED = NOISY.clone()
NOISY_HOLED[0, 0, :2] = torch.nan
SHIFTED = SHEET.flatten(0, 2)[:45] + torch.tensor([0.25, 0.1, 0.02])
PICTURE = 3 + 0.05 * random(18, BATCH, 12, 10)
PICTURE[:, :, 5:] += 0.5
PICTURE[:, 2, 3], PICTURE[:, 4, 4] = 0.0, torch.nan
PEOPLE = torch.tensor([[-1] * 2 + [0] * 5 + [1] * 3] * 12).expand(BATCH, 12, 10)
INTRINSICS = torch.tensor([[20.0, 0, 5], [0, 21, 6], [0, 0, 1]]).double().expand(BATCH, 3, 3)
NORMALS, TRUE_NORMALS = (random(seed, BATCH, 2, 4, 5, 3) for seed in (19, 20))
NORMALS = TRUE_NORMALS + 0.2 * NORMALS
NORMALS[:, 0, 0, 0], NORMALS[:, 0, 0, 1], TRUE_NORMALS[:, 1, 1, 1] = 0.0, torch.nan, 0.0
BOXES = random(21, 3, 6, 4).abs()
BOXES[..., 2:] += BOXES[..., :2] + 0.5
VERTICES, FACES = random(22, BATCH, 8, 3), torch.tensor([[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 0], [1, 5, 7]])
CLOUD = random(23, BATCH, 7, 3)
CLOUD[0, 3] = torch.nan


def paths(**options: Any) -> Case:
    return Case(args=(PATH, TRUE_PATH), options=options)


SCORES = [
    DepthScores(abs_rel=torch.tensor([a, torch.nan]), delta=torch.tensor([b, torch.nan]),
                log_rmse=torch.tensor([c, torch.nan]), num_pixels=torch.tensor([n, 0.0]))
    for a, b, c, n in ((0.1, 0.9, 0.2, 30.0), (0.4, 0.5, 0.6, 10.0), (torch.nan, torch.nan, torch.nan, 0.0))
]  # fmt: skip

TWINS: dict[str, tuple[Callable[..., Any], list[Case]]] = {
    "find_root": (
        twins_people.find_root,
        [Case(args=(JOINTS[:, 0],)), Case(args=(JOINTS[:, 0, :14],), options={"joint_set": "h36m14"})],
    ),
    "regress_joints": (
        twins_people.regress_joints,
        [
            Case(args=(VERTICES[0], random(24, 17, 8)), options=options, batched=False)
            for options in ({}, {"joint_set": "h36m17"})
        ],
    ),
    "joint_error": (
        twins_people.joint_error, [Case(args=(JOINTS[:, 0], TRUE_JOINTS[:, 0], ROOT[:, 1], TRUE_ROOT[:, 1]))],
    ),
    "joint_error_procrustes": (
        twins_people.joint_error_procrustes,
        [Case(args=(with_gaps(JOINTS[:, 0], 4), TRUE_JOINTS[:, 0])),
         Case(args=(-TRUE_JOINTS[:, 0], TRUE_JOINTS[:, 0]))],
    ),
    "match_people": (
        twins_people.match_people,
        [Case(args=(BOXES[:2], BOXES.roll(1, 0) + 0.1, VALID[:, :6], random(25, 3, 6) > -0.5), batched=False),
         Case(args=(BOXES, BOXES[:2] + 0.3, random(26, 3, 6) > -0.5, VALID[:, :6]), options={"min_overlap": 0.3},
              batched=False)],
    ),
    "root_path": (
        twins_people.root_path,
        [Case(args=(JOINTS, ROOT), options={"reference": reference}) for reference in ("pelvis", "transl", "hips")],
    ),
    "smooth_root": (
        twins_people.smooth_root, [Case(args=(JOINTS, ROOT), options=options) for options in ({}, {"sigma": 1.3})],
    ),
    "world_joint_error": (
        twins_people.world_joint_error,
        [Case(args=(with_gaps(JOINTS, 3), TRUE_JOINTS),
              options={"first_frames": first, "chunk_frames": 4, "leftover": leftover, "valid": VALID})
         for first in (2, None) for leftover in ("alone", "merged", "dropped")]
        + [Case(args=(JOINTS, TRUE_JOINTS), options={"first_frames": 2})],
    ),
    "root_trajectory_error": (
        twins_people.root_trajectory_error,
        [Case(args=(ROOT, with_gaps(TRUE_ROOT, 5)), options={"valid": VALID}), Case(args=(ROOT, 0 * TRUE_ROOT)),
         Case(args=(ROOT, TRUE_ROOT), options={"min_path_m": 50.0})],
    ),
    "acceleration_error": (
        twins_people.acceleration_error,
        [Case(args=(with_gaps(JOINTS, 6), TRUE_JOINTS), options={"fps": 25.0, "valid": VALID}),
         Case(args=(JOINTS[:, :2], TRUE_JOINTS[:, :2]), options={"fps": 25.0})],
    ),
    "jitter": (
        twins_people.jitter, [Case(args=(with_gaps(JOINTS, 8),), options={"fps": 12.0, "valid": VALID})],
    ),
    "foot_points": (
        twins_people.foot_points,
        [Case(args=(random(27, BODY.num_vertices, 3), BODY), batched=False),
         Case(args=(random(28, 6890, 3), SMPL_SIZED), batched=False)],
    ),
    "foot_sliding": (
        twins_people.foot_sliding,
        [Case(args=(with_gaps(FEET, 2), TRUE_FEET), options={"fps": 24.0, "valid": VALID, "touching": TOUCHING}),
         Case(args=(FEET, TRUE_FEET), options={"resting_mm": 5.0}), Case(args=(FEET, 100 * TRUE_FEET))],
    ),
    "foot_floor_gap": (
        twins_people.foot_floor_gap,
        [Case(args=(bodies, random(29, BATCH, 4))) for bodies in (VERTICES, with_gaps(VERTICES, 2))],
    ),
    "human_scene_distance": (
        lambda points, vertices: twins_people.human_scene_distance(points, vertices, FACES.numpy()),
        [Case(args=(CLOUD, VERTICES)), Case(args=(CLOUD, with_gaps(VERTICES, 1)))],
    ),
    "align_camera_path": (
        twins_scene.align_camera_path,
        [paths(alignment=how, valid=POSE_VALID) for how in ("similarity", "rigid", "none")],
    ),
    "absolute_trajectory_error": (
        twins_scene.absolute_trajectory_error,
        [paths(alignment=how, valid=POSE_VALID) for how in ("similarity", "rigid", "none")]
        + [Case(args=(with_gaps(PATH, 4), TRUE_PATH)), paths(valid=torch.zeros_like(POSE_VALID))],
    ),
    "relative_rotation_errors": (twins_scene.relative_rotation_errors, [paths(), paths(step=3)]),
    "relative_translation_errors": (
        twins_scene.relative_translation_errors,
        [paths(step=step, alignment=how, valid=POSE_VALID)
         for step in (1, 3) for how in ("similarity", "rigid", "none")],
    ),
    "world_size_ratio": (
        twins_scene.world_size_ratio,
        [paths(measure=measure, valid=POSE_VALID) for measure in ("spread", "length", "alignment")]
        + [Case(args=(PATH, torch.eye(4).double().expand_as(PATH))), paths(valid=torch.zeros_like(POSE_VALID))],
    ),
    "size_error": (twins_scene.size_error, [Case(args=(torch.tensor([0.4, torch.nan]).double(),))]),
    "score_camera_path": (
        twins_scene.score_camera_path, [paths(), paths(step=2, alignment="rigid", valid=POSE_VALID)],
    ),
    "align_depth": (
        lambda predicted, true, valid, *, how: twins_scene.align_depth(predicted, true, valid, how),
        [Case(args=(DEPTH.flatten(1), TRUE_DEPTH.flatten(1), random(31, BATCH, 90) > -1), options={"how": how})
         for how in ("none", "median", "scale", "scale_exact", "scale_shift")],
    ),
    "score_depth": (
        twins_scene.score_depth,
        [Case(args=(HOLED, FAR), options={"alignment": how})
         for how in ("none", "median", "scale", "scale_exact", "scale_shift")]
        + [Case(args=(HOLED, FAR), options={"alignment": "scale", "max_depth": 2.5, "clip_predicted": 2.0}),
           Case(args=(DEPTH, 0 * DEPTH), options={"alignment": "scale"})],
    ),
    "average_depth_scores": (twins_scene.average_depth_scores, [Case(args=(SCORES,), batched=False)]),
    "metric_scale_error": (
        twins_scene.metric_scale_error, [Case(args=(HOLED, FAR)), Case(args=(DEPTH, 0 * DEPTH))],
    ),
    "align_point_maps": (
        twins_scene.align_point_maps,
        [Case(args=(NOISY_HOLED, SHEET, SHEET_VALID), options={"with_scale": scale}, batched=False)
         for scale in (True, False)],
    ),
    "refine_by_icp": (
        twins_scene.refine_by_icp,
        [Case(args=(SHIFTED, SHEET.flatten(0, 2)), options={"max_distance": reach}, batched=False)
         for reach in (0.15, 0.6, 1e-9)],
    ),
    "estimate_normals": (
        twins_scene.estimate_normals,
        [Case(args=(SHEET.flatten(0, 2),), options={"num_neighbours": 8}, batched=False),
         Case(args=(SHEET.flatten(0, 2),), options={"at": torch.tensor([5, 2, 40])}, batched=False)],
    ),
    "score_point_clouds": (
        twins_scene.score_point_clouds,
        [Case(args=(SHEET[0].flatten(0, 1) + 0.05, SHEET.flatten(0, 2)), options=options, batched=False)
         for options in ({}, {"max_points": 7})],
    ),
    "score_point_maps": (
        twins_scene.score_point_maps,
        [Case(args=(NOISY_HOLED, SHEET, SHEET_VALID), options=options, batched=False)
         for options in ({}, {"with_scale": False, "icp_distance": None}, {"max_points": 25})],
    ),
    "human_normals": (twins_scene.human_normals, [Case(args=(PICTURE, INTRINSICS, PEOPLE))]),
    "score_normals": (
        twins_scene.score_normals,
        [Case(args=(NORMALS, TRUE_NORMALS, random(33, BATCH, 2, 4, 5) > -1)),
         Case(args=(NORMALS, TRUE_NORMALS, torch.zeros(BATCH, 2, 4, 5).bool()))],
    ),
    "label_body_parts": (
        twins_scene.label_body_parts,
        [Case(args=(random(34, 9, 3), random(35, 40, 3), random(36, 40, 24)), batched=False)],
    ),
    "local_depth_error": (
        twins_scene.local_depth_error,
        [Case(args=(PICTURE, 2 * PICTURE.nan_to_num(1.0) + 0.1 * random(37, BATCH, 12, 10), PEOPLE), options=options)
         for options in ({}, {"alignment": "scale"}, {"min_pixels": 40}, {"min_pixels": 500})],
    ),
}  # fmt: skip
POSITIONAL = {
    "align_depth": lambda *args, how: metrics.align_depth(*args, how),
    "human_scene_distance": lambda points, vertices: metrics.human_scene_distance(points, vertices, FACES),
}
"""Calls that do not map onto (tensors of a batch, options)."""
UNSIGNED = {"estimate_normals"}


def public_functions() -> set[str]:
    """Of the sub-package and of every module in it, named in ``__all__`` or not."""
    modules = [importlib.import_module(m.name) for m in pkgutil.iter_modules(metrics.__path__, f"{metrics.__name__}.")]
    return {
        name
        for module in (metrics, *modules)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__.startswith(metrics.__name__)
    }


def test_every_public_function_has_a_twin_and_is_exported() -> None:
    assert public_functions() == TWINS.keys()
    assert TWINS.keys() <= set(metrics.__all__)
    assert all(cases for _, cases in TWINS.values())


@pytest.mark.parametrize("name", sorted(TWINS))
def test_twins_agree(name: str) -> None:
    slow, cases = TWINS[name]
    fast = POSITIONAL.get(name, getattr(metrics, name))
    for case in cases:
        found = plain(fast(*case.args, **case.options))
        items = [(pick(case.args, i), pick(case.options, i)) for i in range(BATCH)] if case.batched else [
            (pick(case.args, None), pick(case.options, None))
        ]  # fmt: skip
        answers = [plain(slow(*args, **options)) for args, options in items]
        wanted = (
            {key: np.stack([answer[key] for answer in answers]) for key in answers[0]} if case.batched else answers[0]
        )
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            signs = (np.abs(found[key]), np.abs(value)) if name in UNSIGNED else (found[key], value)
            np.testing.assert_allclose(*signs, rtol=1e-6, atol=1e-7, err_msg=f"{name} {key} {case.options}")


def pick(value: Any, index: int | None) -> Any:
    """Arguments of the twin: arrays, of one sample where the case is a batch."""
    if isinstance(value, Tensor):
        return np.asarray(value if index is None else value[index])
    if isinstance(value, dict):
        return {key: pick(item, index) for key, item in value.items()}
    return tuple(pick(item, index) for item in value) if isinstance(value, tuple) else value


def plain(value: Any) -> dict[str, np.ndarray]:
    """Any answer as named arrays."""
    if isinstance(value, Similarity):
        value = (value.scale, value.rotation, value.translation)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        value = {str(number): item for number, item in enumerate(value)}
    return {key: np.asarray(item) for key, item in (value if isinstance(value, dict) else {"": value}).items()}
