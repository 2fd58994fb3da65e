"""Training windows for the landmark branch: bodies in motion before cameras, seen by an imperfect landmark model.

Everything is made on the fly with tensor operations; batch i depends on (seed, i) alone.

Legend: S people (one per window), N frames, L = 33 landmarks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from unish.body import Body
from unish.geometry.camera import make_intrinsics, project
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.training.landmark_noise import LandmarkNoiseConfig, Observation, observe
from unish.lab.training.motion_pool import MotionPool
from unish.network.human.viewing_ray import turn_to
from unish.structs import BodyParams, HumanInputs

_MIN_DEPTH = 0.1


@dataclass(frozen=True, kw_only=True)
class LandmarkDataConfig:
    """What is drawn for a window; angles in degrees, distances in metres.

    Attributes:
        batch_size, num_frames: people per batch; frames per window.
        short_share: share of windows in which only a few frames at the start are there at all (down to one).
        frame_steps: candidates for the number of pool frames (30 Hz) between two frames.
        child_share: share of children; their second shape number is uniform in ``child_range``.
        distance_m, fov_deg: ranges; log-uniform distance, uniform field of view of the long side.
        pitch_deg, roll_deg: camera pitch range (negative: looking down), spread of its roll.
        focal_error: largest relative error of the focal length that the branch is told, in half of the windows.
        cut_share: share of windows in which the picture ends somewhere between the person's shoulders and ankles.
    """

    batch_size: int = 32
    num_frames: int = 12
    short_share: float = 0.25
    frame_steps: tuple[int, ...] = (1, 1, 2, 2, 3, 5, 5, 6, 10)
    child_share: float = 0.12
    child_range: tuple[float, float] = (-3.2, 0.0)
    distance_m: tuple[float, float] = (1.5, 15.0)
    fov_deg: tuple[float, float] = (25.0, 100.0)
    pitch_deg: tuple[float, float] = (-45.0, 20.0)
    roll_deg: float = 4.0
    focal_error: float = 0.2
    cut_share: float = 0.15
    noise: LandmarkNoiseConfig = field(default_factory=LandmarkNoiseConfig)


@dataclass(frozen=True, kw_only=True)
class LandmarkBatch:
    """Windows with their truth; one clip per person, so B = S and P = 1 for the branch.

    Attributes:
        humans: what the branch reads.
        timestamps_s: (S, N).
        intrinsics: (S, N, 3, 3) as told to the branch.
        truth: (S, N) body in the camera; ``transl`` included.
        landmarks: (S, N, L, 3) true landmarks, camera metres.
        joints: (S, N, 24, 3) true joints, camera metres.
        true_intrinsics: (S, N, 3, 3).
        present: (S, N) the frame exists (an unseen frame in the middle of a window exists too).
    """

    humans: HumanInputs
    timestamps_s: Float[Tensor, "S N"]
    intrinsics: Float[Tensor, "S N 3 3"]
    truth: BodyParams
    landmarks: Float[Tensor, "S N L 3"]
    joints: Float[Tensor, "S N 24 3"]
    true_intrinsics: Float[Tensor, "S N 3 3"]
    present: Bool[Tensor, "S N"]


def make_batch(pool: MotionPool, body: Body, config: LandmarkDataConfig, *, seed: int, index: int) -> LandmarkBatch:
    """Batch ``index`` of the endless data set ``seed``."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    size, count = config.batch_size, config.num_frames
    timestamps, rotations, root = _cut_motion(pool, config, generator)
    present = _present_frames(size, count, config, generator)
    betas = sample_betas(size, config, generator)
    truth = _film(rotations, root, timestamps, betas, body, config, generator)
    landmarks, joints = body.landmarks(truth), body.joints(truth)
    image_size, intrinsics = _sample_lens(size, joints, config, generator)
    cameras = intrinsics[:, None].expand(-1, count, -1, -1)
    bounds = _sample_bounds(project(landmarks, cameras, min_depth=_MIN_DEPTH), image_size, config, generator)
    observed = observe_landmarks(
        landmarks, cameras, bounds, body.standing_height(betas), timestamps, config.noise, generator
    )
    told = _misjudge_focal(intrinsics, config, generator)
    return LandmarkBatch(
        humans=HumanInputs(
            valid=(observed.valid & present)[:, None],
            landmarks_px=observed.px[:, None],
            landmarks_world=observed.world[:, None],
        ),
        timestamps_s=timestamps,
        intrinsics=told[:, None].expand(-1, count, -1, -1),
        truth=truth,
        landmarks=landmarks,
        joints=joints,
        true_intrinsics=cameras,
        present=present,
    )


def observe_landmarks(
    landmarks: Float[Tensor, "S N L 3"],
    intrinsics: Float[Tensor, "S N 3 3"],
    bounds_xyxy: Float[Tensor, "S 4"],
    stature_m: Float[Tensor, "S"],
    timestamps_s: Float[Tensor, "S N"],
    noise: LandmarkNoiseConfig,
    generator: Generator,
) -> Observation:
    """What an imperfect landmark model says about bodies before a camera; ``landmarks`` are true, in camera metres."""
    hips = landmarks[..., 23:25, :].mean(dim=-2)
    ray = turn_to(torch.nn.functional.normalize(hips, dim=-1))
    return observe(
        project(landmarks, intrinsics, min_depth=_MIN_DEPTH), (landmarks - hips[..., None, :]) @ ray,
        1.6 * intrinsics[..., 0, 0] / hips[..., 2], bounds_xyxy, stature_m, timestamps_s, noise, generator,
    )  # fmt: skip


def sample_betas(size: int, config: LandmarkDataConfig, generator: Generator) -> Float[Tensor, "S 10"]:
    """Shapes of the free body: adults with unit normal numbers, and a share of children (second number below zero)."""
    betas = torch.randn(size, 10, generator=generator)
    low, high = config.child_range
    child = torch.rand(size, generator=generator) < config.child_share
    betas[:, 1] = torch.where(child, low + (high - low) * torch.rand(size, generator=generator), 0.0)
    betas[:, 0] = torch.where(child, 0.5 * betas[:, 0], betas[:, 0])
    return betas


def _uniform(size: int, span: tuple[float, float], generator: Generator) -> Float[Tensor, "S"]:
    return span[0] + (span[1] - span[0]) * torch.rand(size, generator=generator)


def _cut_motion(
    pool: MotionPool, config: LandmarkDataConfig, generator: Generator
) -> tuple[Float[Tensor, "S N"], Float[Tensor, "S N 24 3 3"], Float[Tensor, "S N 3"]]:
    """Windows at many frame rates, played at 0.8 to 1.2 times their speed; random twist in wrists and collars."""
    size, count = config.batch_size, config.num_frames
    length = pool.rotations_aa.shape[1]
    steps = torch.tensor(config.frame_steps)[torch.randint(len(config.frame_steps), (size,), generator=generator)]
    steps = steps.clamp_max((length - 1) // max(count - 1, 1))
    start = (torch.rand(size, generator=generator) * (length - (count - 1) * steps)).long()
    frames = (start[:, None] + steps[:, None] * torch.arange(count)).clamp_max(length - 1)
    motion = torch.randint(len(pool.root), (size,), generator=generator)
    rotations, root = pool.cut(motion, frames, torch.randint(2, (size,), generator=generator))
    speed = pool.rate_hz * _uniform(size, (0.8, 1.2), generator)
    # Captured motion has no wrists and stiff collars; a constant offset per window covers what people do with them.
    offset = torch.zeros(size, 1, 24, 3)
    for joints, degrees in (((20, 21), 20.0), ((13, 14), 6.0), ((3, 6, 9, 12, 15), 6.0), ((7, 8, 10, 11), 5.0)):
        offset[:, 0, list(joints)] = math.radians(degrees) * torch.randn(size, len(joints), 3, generator=generator)
    return (frames - frames[:, :1]).double() / speed[:, None], rotations @ axis_angle_to_matrix(offset), root


def _present_frames(size: int, count: int, config: LandmarkDataConfig, generator: Generator) -> Bool[Tensor, "S N"]:
    """Full windows and short ones."""
    short = torch.rand(size, generator=generator) < config.short_share
    frames = torch.randint(1, count + 1, (size,), generator=generator)
    return torch.arange(count) < torch.where(short, frames, count)[:, None]


def _film(
    rotations: Tensor, root: Tensor, timestamps: Tensor, betas: Tensor, body: Body, config: LandmarkDataConfig,
    generator: Generator,
) -> BodyParams:  # fmt: skip
    """The moving body in the frame of a camera that may pan and shake; always at least 1.2 m before it."""
    size, count = root.shape[:2]
    pitch = _uniform(size, config.pitch_deg, generator).deg2rad()
    roll = config.roll_deg * torch.randn(size, 1, generator=generator).deg2rad()
    heading = _uniform(size, (-math.pi, math.pi), generator)[:, None]
    still = torch.rand(size, 1, generator=generator) < 0.5
    pan = torch.where(still, 0.0, 0.3 * torch.randn(size, 1, generator=generator)) * timestamps.float()
    shake = torch.where(still, 0.0, 0.02) * torch.randn(size, count, generator=generator)
    zero = torch.zeros(size, count)
    yaw = axis_angle_to_matrix(torch.stack([zero, heading + pan, zero], dim=-1))
    # A camera that looks along −z of a y-up world, pitched down (negative), turns the world by +|pitch| about x.
    tilt = axis_angle_to_matrix(torch.stack([shake - pitch[:, None], zero, zero], dim=-1))
    turn = axis_angle_to_matrix(torch.stack([zero, zero, roll + shake], dim=-1))
    to_camera = turn @ torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ tilt @ yaw
    near, far = config.distance_m
    distance = near * (far / near) ** torch.rand(size, 1, generator=generator)
    ratio = body.standing_height(betas)[:, None, None] / 1.68
    path = (to_camera @ (root - root[:, :1])[..., None])[..., 0] * ratio
    depth = distance + path[..., 2]
    depth = depth + (1.2 - depth.amin(dim=1, keepdim=True)).clamp_min(0)
    # Sideways the camera follows the person more or less; see ``_sample_lens`` for where in the picture they end up.
    follow = torch.rand(size, 1, 1, generator=generator)
    position = torch.cat([path[..., :2] * (1 - follow), depth[..., None]], dim=-1)
    shared = betas[:, None].expand(-1, count, -1)
    return BodyParams(
        betas=shared, global_orient=to_camera @ rotations[:, :, 0], body_pose=rotations[:, :, 1:],
        transl=_place(position, distance, generator) - body.rest_joints(shared)[..., 0, :],
    )  # fmt: skip


def _place(position: Tensor, distance: Tensor, generator: Generator) -> Float[Tensor, "S N 3"]:
    """Off the optical axis by up to some 30°."""
    aside = distance * 0.25 * torch.randn(len(position), 2, generator=generator).clamp(-2, 2)
    return torch.cat([position[..., :2] + aside[:, None], position[..., 2:]], dim=-1)


def _sample_lens(
    size: int, joints: Tensor, config: LandmarkDataConfig, generator: Generator
) -> tuple[Float[Tensor, "S 2"], Float[Tensor, "S 3 3"]]:
    """(width, height) and intrinsics; the field of view is widened until the pelvis of the middle frame is inside."""
    wide = torch.rand(size, generator=generator) < 0.6
    image_size = torch.where(wide[:, None], torch.tensor([1280.0, 720.0]), torch.tensor([720.0, 1280.0]))
    focal = 640.0 / (_uniform(size, config.fov_deg, generator) / 2).deg2rad().tan()
    pelvis = joints[:, joints.shape[1] // 2, 0]
    aside = (pelvis[:, :2] / pelvis[:, 2:]).abs()
    focal = torch.minimum(focal, (0.45 * image_size / aside.clamp_min(1e-3)).amin(dim=-1))
    intrinsics = make_intrinsics(focal, 1, 1)
    intrinsics[:, :2, 2] = image_size / 2
    return image_size, intrinsics


def _sample_bounds(
    pixels: Tensor, image_size: Tensor, config: LandmarkDataConfig, generator: Generator
) -> Float[Tensor, "S 4"]:
    """What of the picture there is: all of it, or cut at the bottom somewhere between shoulders and ankles."""
    middle = pixels[:, pixels.shape[1] // 2, :, 1]
    shoulders, ankles = middle[:, 11:13].mean(dim=-1), middle[:, 27:29].mean(dim=-1)
    cut = torch.lerp(shoulders, ankles, 0.35 + 0.65 * torch.rand(len(pixels), generator=generator))
    is_cut = (torch.rand(len(pixels), generator=generator) < config.cut_share) & (ankles > shoulders)
    bottom = torch.where(is_cut, torch.minimum(cut, image_size[:, 1]), image_size[:, 1])
    return torch.stack([torch.zeros_like(bottom), torch.zeros_like(bottom), image_size[:, 0], bottom], dim=-1)


def _misjudge_focal(
    intrinsics: Float[Tensor, "S 3 3"], config: LandmarkDataConfig, generator: Generator
) -> Float[Tensor, "S 3 3"]:
    """Right in half of the windows."""
    factor = (1 - config.focal_error) * ((1 + config.focal_error) / (1 - config.focal_error)) ** torch.rand(
        len(intrinsics), generator=generator
    )
    factor = torch.where(torch.rand(len(intrinsics), generator=generator) < 0.5, factor, 1.0)
    told = intrinsics.clone()
    told[:, [0, 1], [0, 1]] *= factor[:, None]
    return told
