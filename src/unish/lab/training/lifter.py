"""Training of the landmark branch: losses, validation and the recipe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.body import Body, load_body
from unish.body.skinning import apply_shape, skin_points
from unish.geometry.rotation import rotation_angle
from unish.geometry.ruler import solve_translation
from unish.lab.synthetic.motion import MotionLibrary
from unish.lab.training.landmarks import LandmarkBatch, LandmarkDataConfig, make_batch
from unish.lab.training.motion_pool import MotionPool
from unish.lab.training.trainer import FitConfig, fit, move_batch
from unish.network.human.landmark_branch import LandmarkBranch, LandmarkBranchConfig
from unish.network.outputs import HumanOutput
from unish.structs import BodyParams

# Landmarks do not show spine split, collars, toes and hands well: their rotations count less.
_ROTATION_WEIGHTS = torch.ones(24)
_ROTATION_WEIGHTS[[3, 6, 9, 12, 13, 14]] = 0.5
_ROTATION_WEIGHTS[[10, 11, 22, 23]] = 0.1
_ROTATION_WEIGHTS[0] = 3.0
_MAX_GAP_S = 0.3


@dataclass(frozen=True, kw_only=True)
class LifterConfig:
    """One run.

    Attributes:
        branch: trained without the steps of its solver, with which the same weights are used afterwards: through three
            of them a step of training takes six times as long.
        pool_size, pool_seconds: motions made before training.
        position, picture, motion, rotation, shape, betas: weights of the losses (metres, metres, metres, radians²-like,
            metres, unit normal numbers).
        validation_batches: batches of a data set of its own.
    """

    branch: LandmarkBranchConfig = field(default_factory=lambda: LandmarkBranchConfig(solver_steps=0))
    data: LandmarkDataConfig = field(default_factory=LandmarkDataConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            steps=20_000,
            minutes=43.0,
            learning_rate=1e-3,
            warmup_steps=100,
            precision="bfloat16",
            ema_decay=0.99,
            validate_every=200,
            checkpoint_every=100,
        )
    )
    pool_size: int = 1500
    pool_seconds: float = 8.0
    position: float = 10.0
    picture: float = 10.0
    motion: float = 5.0
    rotation: float = 1.0
    shape: float = 5.0
    betas: float = 0.02
    validation_batches: int = 4


def train_lifter(
    run_dir: Path, config: LifterConfig, *, motion_paths: Iterable[Path] = (), resume: bool = False
) -> LandmarkBranch:
    """Train the landmark branch on procedural motion and on the captured motion of ``motion_paths`` (if any)."""
    body = load_body(config.branch.body)
    place_body = cache(body.to)  # on the device of the batches, once
    pool = _make_pool(run_dir / "motions.pt", config, list(motion_paths))
    held_back = MotionPool.make(100, library=None, seconds=config.pool_seconds, seed=1)
    torch.manual_seed(config.fit.seed)
    branch = LandmarkBranch(config.branch)
    validation = [make_batch(held_back, body, config.data, seed=77, index=i) for i in range(config.validation_batches)]
    fit(
        branch, lambda model, batch: compute_loss(model, batch, place_body(batch.joints.device), config),
        lambda step: make_batch(pool, body, config.data, seed=config.fit.seed, index=step),
        config=config.fit, run_dir=run_dir, resume=resume,
        validate=lambda model: score_batches(model, validation, body),
    )  # fmt: skip
    return branch


def _make_pool(path: Path, config: LifterConfig, motion_paths: list[Path]) -> MotionPool:
    """The motions of a run, kept beside its checkpoint for a resumed one."""
    if path.exists():
        return MotionPool.load(path)
    library = MotionLibrary.read(motion_paths) if motion_paths else None
    pool = MotionPool.make(config.pool_size, library=library, seconds=config.pool_seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    pool.save(path)
    return pool


def compute_loss(
    model: nn.Module, batch: LandmarkBatch, body: Body, config: LifterConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the losses, and each of them."""
    output = model(batch.humans, batch.timestamps_s, batch.intrinsics)
    with torch.autocast(batch.joints.device.type, enabled=False):
        terms = loss_terms(output, batch, body)
        total = sum(getattr(config, name) * value for name, value in terms.items())
    return total, {name: value.detach() for name, value in terms.items()}


def loss_terms(output: HumanOutput, batch: LandmarkBatch, body: Body) -> dict[str, Tensor]:
    """Losses by name; positions are around the pelvis, frames that do not exist are left out."""
    predicted = _posed(output)
    points = _pose_points(body, predicted)
    points = points - points[..., 33:34, :]
    truth = torch.cat([batch.landmarks, batch.joints], dim=-2) - batch.joints[..., :1, :]
    weight = _frame_weights(batch)
    position = _mean((points - truth).norm(dim=-1).mean(-1), weight)
    truth_rotations = torch.cat([batch.truth.global_orient[:, :, None], batch.truth.body_pose], dim=2)
    square = (output.rotations[:, 0] - truth_rotations).square().sum((-1, -2))
    rotation = _mean((square * _ROTATION_WEIGHTS.to(square)).mean(-1), weight)
    betas, true_betas = output.betas[:, 0], batch.truth.betas[:, 0]
    rest = body.rest_joints(betas) - body.rest_joints(true_betas)
    return {
        "position": position,
        "picture": _picture_loss(points[..., :33, :], batch, weight),
        "motion": _motion_loss(points, truth, batch),
        "rotation": rotation,
        "shape": (rest - rest[:, :1]).norm(dim=-1).mean(),
        "betas": (betas - true_betas).square().mean(),
    }


def score_batches(model: nn.Module, batches: list[LandmarkBatch], body: Body) -> dict[str, float]:
    """Errors over the seen frames: joints (mm, around the pelvis), root (degrees), distance (%), acceleration (mm).

    Computed where the model is.
    """
    totals: dict[str, list[float]] = {}
    device = next(model.parameters()).device
    body = body.to(device)
    for batch in batches:
        batch = move_batch(batch, device)
        output = model(batch.humans, batch.timestamps_s, batch.intrinsics)
        predicted = _posed(output)
        joints = body.joints(predicted)
        seen = batch.humans.valid[:, 0].float()
        error = ((joints - joints[..., :1, :]) - (batch.joints - batch.joints[..., :1, :])).norm(dim=-1)
        root = rotation_angle(output.rotations[:, 0, :, 0].transpose(-1, -2) @ batch.truth.global_orient)
        clean = project_clean(batch)
        landmarks = body.landmarks(predicted)
        weights = torch.ones_like(clean[..., 0])
        transl, residual = solve_translation(landmarks, clean, weights, batch.true_intrinsics)
        depth = (joints[..., 0, 2] + transl[..., 2]) / batch.joints[..., 0, 2]
        size = batch.true_intrinsics[..., 0, 0] * 1.6 / batch.joints[..., 0, 2]
        scores = {
            "joints_mm": _mean(error.mean(-1), seen) * 1000,
            "root_deg": _mean(root, seen).rad2deg(),
            "distance_percent": _mean((depth - 1).abs(), seen) * 100,
            "picture_percent": _mean(residual / size, seen) * 100,
            "motion_mm": _motion_loss(joints, batch.joints, batch) * 1000,
            "height_cm": (body.standing_height(output.betas[:, 0]) - body.standing_height(batch.truth.betas[:, 0]))
            .abs()
            .mean()
            * 100,
        }
        for name, value in scores.items():
            totals.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in totals.items()}


def project_clean(batch: LandmarkBatch) -> Float[Tensor, "S N 33 2"]:
    """True landmarks in pixels."""
    scaled = batch.landmarks @ batch.true_intrinsics.transpose(-1, -2)
    return scaled[..., :2] / scaled[..., 2:].clamp_min(0.1)


def _posed(output: HumanOutput) -> BodyParams:
    """The first person of every clip, at the origin."""
    rotations = output.rotations[:, 0]
    betas = output.betas[:, 0, None].expand(-1, rotations.shape[1], -1)
    return BodyParams(
        betas=betas, global_orient=rotations[:, :, 0], body_pose=rotations[:, :, 1:],
        transl=rotations.new_zeros(*rotations.shape[:2], 3),
    )  # fmt: skip


def _pose_points(body: Body, params: BodyParams) -> Float[Tensor, "S N 57 3"]:
    """The 33 landmarks, then the 24 joints, with one pass through the joint tree."""
    rest = body.rest_joints(params.betas)
    skeleton = body.pose(rest, params.global_orient, params.body_pose)
    shaped = apply_shape(body.landmark_template, body.landmark_directions, params.betas)
    landmarks = skin_points(shaped, body.landmark_weights, rest, skeleton.rotations, skeleton.positions)
    return torch.cat([landmarks, skeleton.positions], dim=-2)


def _frame_weights(batch: LandmarkBatch) -> Float[Tensor, "S N"]:
    """Seen frames count fully, existing unseen ones a little, others not."""
    seen = batch.humans.valid[:, 0]
    return torch.where(seen, 1.0, 0.2) * batch.present


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def _picture_loss(points: Tensor, batch: LandmarkBatch, weight: Tensor) -> Tensor:
    """Distance across the ray, in metres, after the ruler has placed the body where it fits the true pixels best."""
    clean = project_clean(batch)
    transl, _ = solve_translation(points, clean, torch.ones_like(clean[..., 0]), batch.true_intrinsics)
    placed = points + transl[..., None, :]
    scaled = placed @ batch.true_intrinsics.transpose(-1, -2)
    error = (scaled[..., :2] - clean * placed[..., 2:]) / batch.true_intrinsics[..., None, None, 0, 0]
    return _mean(error.norm(dim=-1).clamp_max(1.0).mean(-1), weight)


def _motion_loss(points: Tensor, truth: Tensor, batch: LandmarkBatch) -> Tensor:
    """First and second differences over time, metres per frame, where frames are near in time."""
    difference = points - truth
    near = (batch.timestamps_s.diff(dim=1) < _MAX_GAP_S) & batch.present[:, 1:]
    first = difference.diff(dim=1)
    second = first.diff(dim=1)
    terms = _mean(first.norm(dim=-1).mean(-1), near.float())
    return terms + _mean(second.norm(dim=-1).mean(-1), (near[:, 1:] & near[:, :-1]).float())
