"""What a landmark model gets wrong, in the sizes and with the persistence that were measured on real clips.

Errors of BlazePose are not white: most of an error stays for a fifth of a second and part of it for the whole clip,
depth is far worse than the picture plane, feet and upper arms come out short, the head looks up, and now and then a
limb, the sides or the facing are wrong for a while.

Legend: S people, N frames, L = 33 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import roma
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from unish.body.joints import MIRRORED_LANDMARKS

FACE = tuple(range(11))
LIMB_CHAINS = (
    (11, 13, 15), (12, 14, 16), (23, 25, 27), (24, 26, 28),
)  # fmt: skip
"""Root, middle and end landmark of both arms and both legs."""

_END_LANDMARKS = {15: (17, 19, 21), 16: (18, 20, 22), 27: (29, 31), 28: (30, 32)}
_ARMS, _LEGS = tuple(range(13, 23)), tuple(range(25, 33))


@dataclass(frozen=True, kw_only=True)
class EventRates:
    """Probability per window that something goes wrong for a while.

    Attributes:
        lost_limb: one of the four limbs is not seen.
        swapped_legs, swapped_arms: left and right are exchanged.
        wrong_facing: the person is taken for one who faces the other way.
        mirrored_bone: the depth of a limb bone has the wrong sign (each of eight bones).
        mirrored_legs: the same of both thighs or both shanks, all the time: a person seen from above taken for one who
            crouches.
        missing: no landmarks at all.
    """

    lost_limb: float = 0.25
    swapped_legs: float = 0.04
    swapped_arms: float = 0.04
    wrong_facing: float = 0.04
    mirrored_bone: float = 0.10
    mirrored_legs: float = 0.08
    missing: float = 0.15


@dataclass(frozen=True, kw_only=True)
class LandmarkNoiseConfig:
    """Standard deviations unless said otherwise.

    Attributes:
        bias_2d, drift_2d, jitter_2d: shares of person size in the picture: constant over the window, correlated over
            ``correlation_s``, independent per frame.
        correlation_s: decay time of drifting errors (0.2 s matches correlations .82, .63, .32 at 50, 100, 200 ms).
        yaw_deg, pitch_deg, roll_deg: constant part; a drifting part of the same size comes on top.
        bone_depth, bone_plane: direction error of each limb bone as a share of its length, along the ray and across.
        jitter_m: independent error of 3-D landmarks in x, y, z.
        severity: spread (of the logarithm) of a factor per window on everything above.
        stature: relative error of the landmark model's size, and how much of a person's own size it knows (0 = always
            an average adult, 1 = the truth), as (error, lowest share, highest share).
        events: what happens now and then.
    """

    bias_2d: float = 0.010
    drift_2d: float = 0.010
    jitter_2d: float = 0.005
    correlation_s: float = 0.2
    yaw_deg: float = 8.0
    pitch_deg: float = 6.0
    roll_deg: float = 2.5
    bone_depth: float = 0.27
    bone_plane: float = 0.06
    jitter_m: tuple[float, float, float] = (0.008, 0.010, 0.020)
    severity: float = 0.4
    stature: tuple[float, float, float] = (0.05, 0.0, 0.5)
    events: EventRates = field(default_factory=EventRates)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the landmark model says: pixels with visibility, metres in the viewing ray, and whether it says anything."""

    px: Float[Tensor, "S N L 3"]
    world: Float[Tensor, "S N L 3"]
    valid: Bool[Tensor, "S N"]


def observe(
    points_px: Float[Tensor, "S N L 2"],
    points_ray: Float[Tensor, "S N L 3"],
    person_px: Float[Tensor, "S N"],
    bounds_xyxy: Float[Tensor, "S 4"],
    stature_m: Float[Tensor, "S"],
    timestamps_s: Float[Tensor, "S N"],
    config: LandmarkNoiseConfig,
    generator: Generator,
) -> Observation:
    """Noisy landmarks from true ones.

    Args:
        points_px: true projections.
        points_ray: true landmarks around the middle of the hips, metres, z along the viewing ray.
        person_px: size of the person in the picture.
        bounds_xyxy: what the picture shows, pixels; landmarks outside are guessed badly.
        stature_m: standing height.
        timestamps_s: seconds, increasing.
    """
    severity = (torch.randn(len(points_px), 1, generator=generator) * config.severity).exp()
    lost = _lose_limbs(timestamps_s, config, generator)
    outside = _overshoot(points_px, bounds_xyxy) / person_px[..., None]
    hidden = lost | (outside > 0)
    px = _disturb_pixels(points_px, points_ray, person_px, hidden, severity, timestamps_s, config, generator)
    world = _disturb_world(points_ray, hidden, severity, timestamps_s, config, generator)
    world = world * _misjudge_size(stature_m, config, generator)[:, None, None, None]
    seen = _visibility(points_ray, hidden, generator)
    px = torch.cat([px, seen[..., None]], dim=-1)
    px, world = _confuse_sides(px, world, timestamps_s, config, generator)
    missing = happen(timestamps_s, config.events.missing, (), generator, longest_s=1.0)
    missing |= torch.rand(missing.shape, generator=generator) < 0.02
    valid = ~missing
    valid[:, 0] |= ~valid.any(dim=1)
    return Observation(px=px, world=world, valid=valid)


def wander(
    timestamps_s: Float[Tensor, "S N"], shape: tuple[int, ...], correlation_s: float, generator: Generator
) -> Float[Tensor, "S N *shape"]:
    """Unit Gaussian noise whose correlation falls as exp(−Δt / ``correlation_s``) (Ornstein–Uhlenbeck), any spacing."""
    num_people, num_frames = timestamps_s.shape
    fresh = torch.randn(num_people, num_frames, *shape, generator=generator)
    keep = torch.exp(-timestamps_s.diff(dim=1) / correlation_s).float()
    values = [fresh[:, 0]]
    for frame in range(1, num_frames):
        share = keep[:, frame - 1].reshape(-1, *([1] * len(shape)))
        values.append(share * values[-1] + (1 - share.square()).sqrt() * fresh[:, frame])
    return torch.stack(values, dim=1)


def happen(
    timestamps_s: Float[Tensor, "S N"],
    rate: float,
    shape: tuple[int, ...],
    generator: Generator,
    *,
    longest_s: float,
    largest_share: float = 1.0,
) -> Bool[Tensor, "S N *shape"]:
    """Something goes on for a while (0.1 s to ``longest_s``) in a share ``rate`` of all windows."""
    size = (len(timestamps_s), *shape)
    time = timestamps_s.float().reshape(*timestamps_s.shape, *([1] * len(shape)))
    first, last = time[:, :1], time[:, -1:]
    length = 0.1 * (longest_s / 0.1) ** torch.rand(size, generator=generator)[:, None]
    length = torch.minimum(length, (last - first) * largest_share)
    start = first + (last - first + length) * torch.rand(size, generator=generator)[:, None] - length
    occurs = (torch.rand(size, generator=generator) < rate)[:, None]
    return occurs & (time >= start) & (time <= start + length)


def _lose_limbs(timestamps_s: Tensor, config: LandmarkNoiseConfig, generator: Generator) -> Bool[Tensor, "S N L"]:
    """Arms or legs, from the middle joint or from the end on, are not seen for a while."""
    lost = torch.zeros(*timestamps_s.shape, 33, dtype=torch.bool)
    events = happen(timestamps_s, config.events.lost_limb / 4, (4, 2), generator, longest_s=4.0)
    for limb, (_, middle, end) in enumerate(LIMB_CHAINS):
        ends = [end, *_END_LANDMARKS[end]]
        lost[..., ends] |= events[..., limb, :1]
        lost[..., [middle, *ends]] |= events[..., limb, 1:]
    return lost


def _overshoot(points_px: Float[Tensor, "S N L 2"], bounds: Float[Tensor, "S 4"]) -> Float[Tensor, "S N L"]:
    """How far points lie outside, pixels; 0 inside."""
    low, high = bounds[:, None, None, :2], bounds[:, None, None, 2:]
    return torch.maximum(low - points_px, points_px - high).amax(dim=-1).clamp_min(0)


def _disturb_pixels(
    points_px: Tensor, points_ray: Tensor, person_px: Tensor, hidden: Tensor, severity: Tensor, timestamps_s: Tensor,
    config: LandmarkNoiseConfig, generator: Generator,
) -> Float[Tensor, "S N L 2"]:  # fmt: skip
    """Bias, drift and jitter; limb ends and the far side are worse, the face is better, hidden points are guesses."""
    bias = config.bias_2d * torch.randn(len(points_px), 1, 33, 2, generator=generator)
    drift = config.drift_2d * wander(timestamps_s, (33, 2), config.correlation_s, generator)
    jitter = config.jitter_2d * torch.randn(*points_px.shape, generator=generator)
    factor = torch.ones(33)
    factor[list(FACE)] = 0.5
    factor[[15, 16, 17, 18, 19, 20, 21, 22, 27, 28, 29, 30, 31, 32]] = 1.3
    far = 1.0 + 0.6 * (points_ray[..., 2] > 0.08)
    guess = 0.06 * wander(timestamps_s, (33, 2), 0.5, generator) * hidden[..., None]
    error = (bias + drift + jitter) * severity[..., None, None] * factor[:, None] * far[..., None] + guess
    return points_px + error * person_px[..., None, None]


def _disturb_world(
    points: Tensor, hidden: Tensor, severity: Tensor, timestamps_s: Tensor, config: LandmarkNoiseConfig,
    generator: Generator,
) -> Float[Tensor, "S N L 3"]:  # fmt: skip
    """Errors of bones, head, trunk and of the whole body's orientation, then jitter."""
    points = _disturb_limbs(points, hidden, severity, timestamps_s, config, generator)
    points = _tilt_trunk(points, timestamps_s, generator)
    points = _raise_face(points, generator)
    spread = torch.tensor([config.pitch_deg, config.yaw_deg, config.roll_deg]).deg2rad()
    fixed = torch.randn(len(points), 1, 3, generator=generator)
    turn = (fixed + wander(timestamps_s, (3,), 1.0, generator)) * spread * severity[..., None]
    points = points @ roma.rotvec_to_rotmat(turn).transpose(-1, -2)
    jitter = torch.tensor(config.jitter_m) * torch.randn(points.shape, generator=generator) * severity[..., None, None]
    points = points + jitter
    return points - points[..., 23:25, :].mean(dim=-2, keepdim=True)


def _disturb_limbs(
    points: Tensor, hidden: Tensor, severity: Tensor, timestamps_s: Tensor, config: LandmarkNoiseConfig,
    generator: Generator,
) -> Float[Tensor, "S N L 3"]:  # fmt: skip
    """Bones of the limbs, from the root out: wrong length, wrong direction, at times the wrong way in depth."""
    spread = torch.tensor([config.bone_plane, config.bone_plane, config.bone_depth]) * severity[..., None, None]
    fixed = torch.randn(len(points), 1, 8, 3, generator=generator)
    direction = (0.7 * fixed + 0.7 * wander(timestamps_s, (8, 3), 0.3, generator)) * spread
    mirrored = happen(timestamps_s, config.events.mirrored_bone, (8,), generator, longest_s=1.5, largest_share=0.6)
    crouches = torch.rand(len(points), 1, 1, generator=generator) < config.events.mirrored_legs
    bone_kind = torch.arange(8) % 2 == torch.randint(2, (len(points), 1, 1), generator=generator)
    mirrored ^= crouches & bone_kind & (torch.arange(8) >= 4)
    length = 0.92 + 0.13 * torch.rand(len(points), 1, 4, 2, generator=generator)
    length[:, :, :2, 0] = 0.72 + 0.25 * torch.rand(len(points), 1, 1, generator=generator)  # upper arms
    end_length = torch.cat(
        [
            0.7 + 0.3 * torch.rand(len(points), 1, 1, generator=generator).expand(-1, -1, 2),  # hands
            0.45 + 0.35 * torch.rand(len(points), 1, 1, generator=generator).expand(-1, -1, 2),  # feet
        ],
        dim=-1,
    )
    out = points.clone()
    for limb, chain in enumerate(LIMB_CHAINS):
        for bone in range(2):
            start, end = chain[bone], chain[bone + 1]
            vector = points[..., end, :] - points[..., start, :]
            size = vector.norm(dim=-1, keepdim=True)
            flip = torch.where(mirrored[..., 2 * limb + bone], -1.0, 1.0)
            vector = torch.cat([vector[..., :2], vector[..., 2:] * flip[..., None]], dim=-1)
            unsure = 1.0 + 1.5 * hidden[..., end, None]
            vector = vector + direction[..., 2 * limb + bone, :] * size * unsure
            vector = torch.nn.functional.normalize(vector, dim=-1) * size * length[:, :, limb, bone, None]
            out[..., end, :] = out[..., start, :] + vector
        for tip in _END_LANDMARKS[chain[2]]:
            vector = points[..., tip, :] - points[..., chain[2], :]
            out[..., tip, :] = out[..., chain[2], :] + vector * end_length[:, :, limb, None]
    return out


def _tilt_trunk(points: Tensor, timestamps_s: Tensor, generator: Generator) -> Float[Tensor, "S N L 3"]:
    """Everything above the hips turns about them: leaning towards or away from the camera, twisted shoulders."""
    spread = torch.tensor([7.0, 7.0, 2.0]).deg2rad()
    turn = 0.7 * (torch.randn(len(points), 1, 3, generator=generator) + wander(timestamps_s, (3,), 0.5, generator))
    upper = points[..., :23, :] @ roma.rotvec_to_rotmat(turn * spread).transpose(-1, -2)
    return torch.cat([upper, points[..., 23:, :]], dim=-2)


def _raise_face(points: Tensor, generator: Generator) -> Float[Tensor, "S N L 3"]:
    """The face looks up by some 15–50° about the axis through the ears."""
    ears = (points[..., 7:8, :] + points[..., 8:9, :]) / 2
    axis = torch.nn.functional.normalize(points[..., 8:9, :] - points[..., 7:8, :], dim=-1)
    angle = (15.0 + 35.0 * torch.rand(len(points), 1, 1, 1, generator=generator)).deg2rad()
    # From the left to the right ear: a positive turn takes the nose towards the crown.
    turned = (points[..., :11, :] - ears) @ roma.rotvec_to_rotmat(axis * angle).transpose(-1, -2)[..., 0, :, :]
    return torch.cat([turned + ears, points[..., 11:, :]], dim=-2)


def _misjudge_size(
    stature_m: Float[Tensor, "S"], config: LandmarkNoiseConfig, generator: Generator
) -> Float[Tensor, "S"]:
    """Factor on the true landmarks: pulled towards an average adult of 1.70 m, with an error of its own."""
    error, lowest, highest = config.stature
    knows = lowest + (highest - lowest) * torch.rand(len(stature_m), generator=generator)
    noise = (error * torch.randn(len(stature_m), generator=generator)).exp()
    return (1.70 / stature_m) ** (1 - knows) * noise


def _visibility(points_ray: Tensor, hidden: Tensor, generator: Generator) -> Float[Tensor, "S N L"]:
    """Near 1 where seen, lower on the far side, below 0.4 where hidden."""
    chance = torch.rand(hidden.shape, generator=generator)
    clear = 1.0 - 0.12 * chance.square()
    far = 0.6 + 0.4 * torch.rand(hidden.shape, generator=generator).sqrt()
    seen = torch.where(points_ray[..., 2] > 0.12, far, clear)
    return torch.where(hidden, 0.4 * chance, seen)


def _confuse_sides(
    px: Tensor, world: Tensor, timestamps_s: Tensor, config: LandmarkNoiseConfig, generator: Generator
) -> tuple[Float[Tensor, "S N L 3"], Float[Tensor, "S N L 3"]]:
    """Left and right swapped in the legs, in the arms, or everywhere together with depth (facing the wrong way)."""
    rates = config.events
    mistakes = ((rates.swapped_legs, _LEGS), (rates.swapped_arms, _ARMS), (rates.wrong_facing, range(33)))
    for rate, members in mistakes:
        order = torch.arange(33)
        order[list(members)] = torch.tensor(MIRRORED_LANDMARKS)[list(members)]
        swapped = happen(timestamps_s, rate, (), generator, longest_s=1.5, largest_share=0.45)[..., None, None]
        depth = -1.0 if len(members) == 33 else 1.0
        px = torch.where(swapped, px[:, :, order], px)
        world = torch.where(swapped, world[:, :, order] * world.new_tensor([1.0, 1.0, depth]), world)
    return px, world
