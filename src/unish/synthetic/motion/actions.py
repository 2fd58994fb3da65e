"""Procedural actions: what legs, trunk and arms do over time, as anatomical channels.

Leg actions return a ``Score``; arm actions write into one. Angles in this file are in degrees and become radians when
a score is read. Gait curves follow the shape of published normal-gait averages (Perry, "Gait Analysis", 1992), scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import CubicSpline, PchipInterpolator

from unish.synthetic.motion.anatomy import CHANNELS, INDEX, channel_limits

Curve = Float[ndarray, "M"]
Keys = list[tuple[int | float, int | float]]


@dataclass
class Score:
    """Channels while they are written: degrees, one row per time.

    Attributes:
        time: (M,) seconds.
        degrees: (M, C) channel values.
        turn_rate: (M,) degrees per second of the heading, positive to the left.
        clearance: (M,) metres between the floor and the lowest point of the body; > 0 only in flight.
    """

    time: Curve
    degrees: Float[ndarray, "M C"]
    turn_rate: Curve
    clearance: Curve

    @classmethod
    def standing(cls, rng: np.random.Generator, time: Curve) -> Score:
        """A person's own way to stand: a fixed posture and slow sway."""
        score = cls(time, np.zeros((len(time), len(CHANNELS))), np.zeros(len(time)), np.zeros(len(time)))
        posture = {
            "hip_abduct": (5, 3), "hip_rotate": (6, 4), "knee": (5, 4), "arm_abduct": (9, 5), "arm_flex": (2, 6),
            "elbow": (18, 9), "arm_twist": (6, 12), "pronate": (0, 15), "collar_up": (0, 3), "collar_forward": (0, 4),
        }  # fmt: skip
        for side in ("left", "right"):
            for name, (mean, spread) in posture.items():
                score.add(f"{side}_{name}", rng.normal(mean, spread))
            score.add(f"{side}_hip_flex", score["right_knee"] * 0.5 if side == "right" else score["left_knee"] * 0.5)
        score.add("spine_flex", rng.normal(3, 4))
        score.add("head_flex", rng.normal(4, 7))
        score.degrees += drift(rng, time, rate_hz=0.25, size=len(CHANNELS)) * _sway_degrees()
        return score

    def __getitem__(self, name: str) -> Curve:
        return self.degrees[:, INDEX[name]]

    def add(self, name: str, value: Curve | float | int) -> None:
        self.degrees[:, INDEX[name]] += value

    def put(self, name: str, value: Curve | float | int, weight: Curve | float = 1.0) -> None:
        """Blend a channel towards a value."""
        self.degrees[:, INDEX[name]] += weight * (value - self[name])

    def flatten_feet(self, weight: Curve | float = 1.0) -> None:
        """Turn the ankles so that the soles are parallel to the floor."""
        for side in ("left", "right"):
            level = self["pelvis_pitch"] - self[f"{side}_hip_flex"] + self[f"{side}_knee"]
            self.put(f"{side}_ankle", np.minimum(level, 32.0), weight)
            self.put(f"{side}_ankle_side", self[f"{side}_hip_abduct"], weight)

    def radians(self) -> Float[ndarray, "M C"]:
        """The channels in radians, held within the limits of the joints."""
        low, high = channel_limits()
        return np.clip(np.radians(self.degrees), low, high)


def drift(rng: np.random.Generator, time: Curve, *, rate_hz: float, size: int) -> Float[ndarray, "M K"]:
    """Smooth noise of unit variance: five random sinusoids around a rate, ``size`` independent channels."""
    rates = rate_hz * np.exp(rng.normal(0, 0.6, (5, size)))
    phases = rng.uniform(0, 2 * np.pi, (5, size))
    return np.sin(2 * np.pi * rates * time[:, None, None] + phases).sum(1) * np.sqrt(2 / 5)


def repeat(
    rng: np.random.Generator, time: Curve, *, rise: float, hold: float, fall: float, rest: float, spread: float = 0.25
) -> Curve:
    """A smooth 0 → 1 → 0 that repeats with varying durations (seconds) and a random start."""
    period = rise + hold + fall + rest
    count = int(np.ceil((time[-1] - time[0]) / period)) * 2 + 3
    lengths = np.array([rise, hold, fall, rest]) * np.exp(rng.normal(0, spread, (count, 4)))
    knots = time[0] - rng.uniform(0, period) + np.concatenate([[0.0], np.cumsum(lengths)])
    level = np.interp(time, knots, np.tile([0.0, 1.0, 1.0, 0.0], count + 1)[: len(knots)])
    return level * level * (3 - 2 * level)


def periodic(phase: Curve, keys: Keys) -> Curve:
    """Smooth periodic curve through (phase in [0, 1), value) keys."""
    x, y = np.array(keys).T
    return CubicSpline(np.append(x, 1 + x[0]), np.append(y, y[0]), bc_type="periodic")(phase % 1.0)


def _sway_degrees() -> Float[ndarray, "C"]:
    sway = {"head": 4.0, "arm": 2.5, "elbo": 3.0, "pron": 5.0, "wris": 5.0, "spin": 1.5, "pelv": 0.7, "coll": 1.0}
    prefix = [name.removeprefix("left_").removeprefix("right_")[:4].rstrip("_") for name in CHANNELS]
    return np.array([sway.get(p, 0.4) for p in prefix])


# Legs and trunk ----------------------------------------------------------------------------------------------------


def idle(rng: np.random.Generator, time: Curve) -> Score:
    """Standing, weight shifting from leg to leg now and then."""
    score = Score.standing(rng, time)
    shift = drift(rng, time, rate_hz=0.12, size=1)[:, 0]
    score.add("pelvis_side", 2.0 * shift)
    score.add("spine_side", -2.0 * shift)
    for side, sign in (("left", 1), ("right", -1)):
        bent = 8.0 * np.maximum(sign * shift, 0)
        score.add(f"{side}_knee", bent)
        score.add(f"{side}_hip_flex", 0.5 * bent)
    score.turn_rate += drift(rng, time, rate_hz=0.2, size=1)[:, 0] * rng.uniform(0, 5)
    score.flatten_feet()
    return score


def walk(rng: np.random.Generator, time: Curve) -> Score:
    """Walking at a personal cadence and step length, slow to brisk, curving."""
    score = Score.standing(rng, time)
    stride = rng.uniform(0.55, 1.25)
    phase = rng.uniform() + time * rng.uniform(0.7, 1.15)
    _gait(
        score, phase, hip=[(0, 28 * stride), (0.5, -12 * stride), (0.85, 30 * stride)],
        knee=[(0, 5), (0.15, 16), (0.4, 5), (0.72, 40 + 20 * stride), (0.95, 4)],
        ankle=[(0, 1), (0.08, -5), (0.45, 9), (0.62, -17), (0.8, 0)],
    )  # fmt: skip
    _swing_arms(score, phase, swing=rng.uniform(5, 28) * stride, elbow=rng.uniform(5, 25))
    score.turn_rate += _wander(rng, time, 18.0)
    return score


def run(rng: np.random.Generator, time: Curve) -> Score:
    """Running with a flight phase after each push-off."""
    score = Score.standing(rng, time)
    stride = rng.uniform(0.7, 1.3)
    phase = rng.uniform() + time * rng.uniform(1.2, 1.55)
    _gait(
        score, phase, hip=[(0, 34 * stride), (0.38, -14 * stride), (0.75, 42 * stride)],
        knee=[(0, 16), (0.16, 38), (0.36, 16), (0.66, 50 + 45 * stride), (0.93, 16)],
        ankle=[(0, 4), (0.18, 18), (0.38, -22), (0.6, -5), (0.85, 4)],
    )  # fmt: skip
    _swing_arms(score, phase, swing=rng.uniform(18, 40), elbow=rng.uniform(60, 95))
    score.add("spine_flex", rng.uniform(2, 12))
    score.add("pelvis_pitch", rng.uniform(0, 8))
    flight = ((phase % 0.5) - 0.38) / 0.12
    score.clearance += np.where(flight > 0, 4 * flight * (1 - flight), 0) * rng.uniform(0.02, 0.08)
    score.turn_rate += _wander(rng, time, 22.0)
    return score


def step_about(rng: np.random.Generator, time: Curve) -> Score:
    """Turning on the spot or marching, with small steps."""
    score = Score.standing(rng, time)
    lift = rng.uniform(12, 75)
    phase = rng.uniform() + time * rng.uniform(0.6, 1.1)
    _gait(
        score, phase, hip=[(0, 4), (0.4, 2), (0.75, 4 + lift)], knee=[(0, 6), (0.4, 5), (0.75, 8 + 1.4 * lift)],
        ankle=[(0, 0), (0.45, 3), (0.65, -12), (0.85, 0)],
    )  # fmt: skip
    _swing_arms(score, phase, swing=rng.uniform(0, 18), elbow=rng.uniform(0, 30))
    score.turn_rate += rng.choice([-1, 1]) * rng.uniform(0, 110) + _wander(rng, time, 20.0)
    return score


def squat(rng: np.random.Generator, time: Curve) -> Score:
    """Squats of any depth; the trunk leans so that the weight stays over the feet."""
    score = Score.standing(rng, time)
    down = repeat(
        rng, time, rise=rng.uniform(0.5, 1.4), hold=rng.uniform(0.1, 2), fall=rng.uniform(0.4, 1.2),
        rest=rng.uniform(0.1, 1.5),
    )  # fmt: skip
    _lower_hips(score, down * rng.uniform(50, 130), lean=rng.uniform(0.25, 0.45))
    for side in ("left", "right"):
        score.add(f"{side}_hip_abduct", rng.uniform(2, 16))
        score.add(f"{side}_hip_rotate", rng.uniform(0, 14))
        score.add(f"{side}_arm_flex", down * rng.uniform(0, 95))
    score.flatten_feet()
    return score


def crouch(rng: np.random.Generator, time: Curve) -> Score:
    """Staying low, the weight moving from side to side (sports stance)."""
    score = Score.standing(rng, time)
    knee = rng.uniform(30, 100) + 8 * drift(rng, time, rate_hz=0.5, size=1)[:, 0]
    _lower_hips(score, knee, lean=rng.uniform(0.3, 0.6))
    for side in ("left", "right"):
        score.add(f"{side}_hip_abduct", rng.uniform(5, 22))
        score.add(f"{side}_arm_flex", rng.uniform(0, 60))
        score.add(f"{side}_elbow", rng.uniform(0, 70))
    score.add("pelvis_side", 6 * drift(rng, time, rate_hz=0.6, size=1)[:, 0])
    score.turn_rate += _wander(rng, time, 30.0)
    score.flatten_feet()
    return score


def sit(rng: np.random.Generator, time: Curve) -> Score:
    """Sitting down, staying, getting up; or sitting all the time."""
    score = Score.standing(rng, time)
    down = repeat(rng, time, rise=1.2, hold=rng.uniform(1, 6), fall=1.1, rest=rng.uniform(0.3, 2))
    if rng.uniform() < 0.5:
        down = np.ones_like(time)
    moving = 4 * down * (1 - down)
    hip, knee = rng.uniform(75, 100), rng.uniform(65, 110)
    for side in ("left", "right"):
        score.put(f"{side}_hip_flex", hip + rng.normal(0, 5), down)
        score.add(f"{side}_hip_flex", 25 * moving)
        score.put(f"{side}_knee", knee + rng.normal(0, 8), down)
        score.add(f"{side}_hip_abduct", down * rng.uniform(-5, 14))
        score.add(f"{side}_arm_flex", down * rng.uniform(0, 45))
        score.add(f"{side}_elbow", down * rng.uniform(10, 70))
    score.add("pelvis_pitch", 30 * moving - down * rng.uniform(-5, 15))
    score.add("spine_flex", 15 * moving + down * rng.uniform(-5, 25))
    score.flatten_feet()
    return score


def bend(rng: np.random.Generator, time: Curve) -> Score:
    """Bending over (picking up, bowing, stretching), sometimes to a side."""
    score = Score.standing(rng, time)
    down = repeat(rng, time, rise=0.9, hold=rng.uniform(0.2, 2), fall=0.9, rest=rng.uniform(0.2, 2))
    pitch, spine = rng.uniform(10, 75), rng.uniform(10, 60)
    score.add("pelvis_pitch", down * pitch)
    score.add("spine_flex", down * spine)
    score.add("spine_side", down * rng.normal(0, 12))
    score.add("spine_twist", down * rng.normal(0, 18))
    score.add("head_flex", down * rng.uniform(-30, 20))
    bent = down * rng.uniform(0, 55)
    for side in ("left", "right"):
        score.add(f"{side}_hip_flex", down * pitch + 0.55 * bent)
        score.add(f"{side}_knee", bent)
        score.add(f"{side}_arm_flex", down * rng.uniform(20, 100))
    score.flatten_feet()
    return score


def lunge(rng: np.random.Generator, time: Curve) -> Score:
    """One leg in front, the other behind, going down and up."""
    score = Score.standing(rng, time)
    front, back = rng.permutation(["left", "right"])
    down = 0.25 + 0.75 * repeat(rng, time, rise=0.9, hold=rng.uniform(0.2, 1.5), fall=0.9, rest=0.5)
    depth = rng.uniform(50, 95)
    score.put(f"{front}_hip_flex", depth, down)
    score.put(f"{front}_knee", depth, down)
    score.put(f"{back}_hip_flex", -15.0, down)
    score.put(f"{back}_knee", depth * 0.9, down)
    score.add("spine_flex", down * rng.uniform(-5, 20))
    score.flatten_feet()
    score.put(f"{back}_ankle", 15.0, down)
    score.put(f"{back}_toes", 40.0, down)
    return score


def jump(rng: np.random.Generator, time: Curve) -> Score:
    """Crouch, take off, fly, land; on the spot."""
    score = Score.standing(rng, time)
    height = rng.uniform(0.05, 0.45)
    flight = 2 * np.sqrt(2 * height / 9.81)
    period = flight + rng.uniform(0.7, 1.8)
    clock = (time + rng.uniform(0, period)) % period
    ground = 1 - flight / period
    keys = [
        (0, 1.0),
        (0.35 * ground, 0.05),
        (0.7 * ground, 0.9),
        (ground, -0.05),
        ((1 + ground) / 2, rng.uniform(0, 0.5)),
    ]
    crouching = periodic(clock / period, keys)
    _lower_hips(score, np.maximum(crouching, 0) * rng.uniform(40, 90), lean=0.35)
    swing = rng.uniform(0, 130)
    for side in ("left", "right"):
        score.add(f"{side}_arm_flex", swing * np.sin(2 * np.pi * (clock / period - 0.75)))
        score.add(f"{side}_elbow", rng.uniform(0, 50))
        score.add(f"{side}_arm_abduct", rng.uniform(0, 40))
    airborne = np.clip((clock - (period - flight)) / flight, 0, 1)
    score.flatten_feet()
    score.add("left_ankle", -30 * np.sin(np.pi * airborne))
    score.add("right_ankle", -30 * np.sin(np.pi * airborne))
    score.clearance += 4 * height * airborne * (1 - airborne)
    score.turn_rate += _wander(rng, time, 20.0)
    return score


def jumping_jack(rng: np.random.Generator, time: Curve) -> Score:
    """Arms and legs out and in."""
    score = Score.standing(rng, time)
    out = 0.5 - 0.5 * np.cos(2 * np.pi * (rng.uniform() + time * rng.uniform(0.6, 1.3)))
    legs, arms = rng.uniform(12, 30), rng.uniform(110, 160)
    for side in ("left", "right"):
        score.add(f"{side}_hip_abduct", out * legs)
        score.add(f"{side}_arm_abduct", out * arms)
        score.add(f"{side}_collar_up", out * 15)
    score.flatten_feet()
    score.clearance += 4 * out * (1 - out) * rng.uniform(0.01, 0.08)
    return score


def kick(rng: np.random.Generator, time: Curve) -> Score:
    """Kicks with one leg: wind-up behind, forward swing, return."""
    score = Score.standing(rng, time)
    leg, other = rng.permutation(["left", "right"])
    pulse = repeat(rng, time, rise=0.45, hold=0.08, fall=0.55, rest=rng.uniform(0.4, 1.6))
    height = rng.uniform(25, 105)
    score.add(f"{leg}_hip_flex", pulse * height - 18 * np.gradient(pulse, time).clip(0, 1))
    score.add(f"{leg}_knee", 4 * pulse * (1 - pulse) * rng.uniform(30, 90))
    score.add(f"{leg}_hip_abduct", pulse * rng.uniform(-10, 35))
    score.add(f"{other}_knee", 12 * pulse)
    score.add(f"{other}_hip_flex", 6 * pulse)
    score.add("spine_flex", rng.uniform(-12, 12) * pulse)
    score.add(f"{other}_arm_flex", 45 * pulse)
    score.add(f"{leg}_arm_abduct", 30 * pulse)
    score.flatten_feet()
    score.put(f"{leg}_ankle", -25.0, pulse)
    score.turn_rate += _wander(rng, time, 25.0)
    return score


def free(rng: np.random.Generator, time: Curve) -> Score:
    """Random poses within the limits of the joints, joined smoothly: coverage, not realism."""
    score = Score.standing(rng, time)
    low, high = (np.degrees(limit) for limit in channel_limits())
    step = rng.uniform(0.5, 1.6)
    knots = time[0] - step + step * np.arange(int((time[-1] - time[0]) / step) + 4)
    extent = rng.uniform(0.25, 1.0)
    middle = Score.standing(rng, knots).degrees
    # Beta(1.3, 1.3) between the limits, pulled towards standing by a factor of its own for each clip.
    poses = middle + extent * (low + (high - low) * rng.beta(1.3, 1.3, (len(knots), len(CHANNELS))) - middle)
    for name in ("pelvis_pitch", "pelvis_side", "pelvis_twist"):
        poses[:, INDEX[name]] *= rng.choice([0.25, 1.0])
    score.degrees = PchipInterpolator(knots, poses)(time)
    score.turn_rate += _wander(rng, time, 45.0)
    return score


def _gait(
    score: Score,
    phase: Curve,
    *,
    hip: Keys,
    knee: Keys,
    ankle: Keys,
) -> None:
    """Both legs through one cycle (heel strike at phase 0), half a cycle apart; the pelvis follows."""
    for side, offset in (("left", 0.0), ("right", 0.5)):
        score.put(f"{side}_hip_flex", periodic(phase + offset, hip))
        score.put(f"{side}_knee", np.maximum(periodic(phase + offset, knee), 0))
        score.put(f"{side}_ankle", periodic(phase + offset, ankle))
        score.put(f"{side}_ankle_side", score[f"{side}_hip_abduct"])
        toe_off = np.exp(-0.5 * (((phase + offset - 0.55) % 1.0 - 0.0) / 0.07) ** 2)
        score.add(f"{side}_toes", 25 * toe_off)
    score.add("pelvis_twist", -5 * np.cos(2 * np.pi * phase))
    score.add("spine_twist", 9 * np.cos(2 * np.pi * phase))
    score.add("pelvis_side", -3 * np.sin(2 * np.pi * phase))
    score.add("spine_side", 3 * np.sin(2 * np.pi * phase))


def _swing_arms(score: Score, phase: Curve, *, swing: float, elbow: float) -> None:
    """Arms swing against the leg of their own side."""
    for side, offset in (("left", 0.0), ("right", 0.5)):
        forward = -np.cos(2 * np.pi * (phase + offset))
        score.add(f"{side}_arm_flex", swing * (forward + 0.2))
        score.add(f"{side}_elbow", elbow + 0.35 * swing * np.maximum(forward, 0))


def _lower_hips(score: Score, knee: Curve, *, lean: float) -> None:
    """Bend the knees; thighs and trunk follow so that the hips stay about over the heels' front."""
    for side in ("left", "right"):
        score.add(f"{side}_knee", knee)
        score.add(f"{side}_hip_flex", knee * (0.55 + lean))
    score.add("pelvis_pitch", knee * lean)
    score.add("spine_flex", knee * 0.15)
    score.add("head_flex", -knee * 0.2)


def _wander(rng: np.random.Generator, time: Curve, degrees_per_second: float) -> Curve:
    """A heading that changes now and then."""
    return drift(rng, time, rate_hz=0.15, size=1)[:, 0] * rng.uniform(0, degrees_per_second)


# Arms --------------------------------------------------------------------------------------------------------------


def wave(rng: np.random.Generator, score: Score) -> None:
    """One raised hand that waves."""
    side = rng.choice(["left", "right"])
    up = repeat(rng, score.time, rise=0.5, hold=2.0, fall=0.5, rest=0.8)
    beat = np.sin(2 * np.pi * score.time * rng.uniform(1.2, 2.4))
    score.put(f"{side}_arm_abduct", rng.uniform(60, 120), up)
    score.put(f"{side}_arm_twist", -75.0, up)
    score.put(f"{side}_elbow", 75 + 22 * beat, up)
    score.add(f"{side}_wrist_flex", 15 * beat * up)


def reach(rng: np.random.Generator, score: Score) -> None:
    """Reaching out with one or both hands in changing directions."""
    for side in rng.permutation(["left", "right"])[: rng.integers(1, 3)]:
        out = repeat(rng, score.time, rise=0.6, hold=rng.uniform(0.1, 1.5), fall=0.6, rest=rng.uniform(0.1, 1))
        score.put(f"{side}_arm_flex", rng.uniform(20, 160), out)
        score.put(f"{side}_arm_abduct", rng.uniform(0, 60), out)
        score.put(f"{side}_elbow", rng.uniform(0, 45), out)
    score.add("spine_twist", 12 * drift(rng, score.time, rate_hz=0.3, size=1)[:, 0])


def punch(rng: np.random.Generator, score: Score) -> None:
    """A guard with quick straight punches."""
    for side in ("left", "right"):
        out = repeat(rng, score.time, rise=0.16, hold=0.05, fall=0.22, rest=rng.uniform(0.3, 1.2))
        score.put(f"{side}_arm_flex", 45 + 45 * out)
        score.put(f"{side}_arm_abduct", 15.0)
        score.put(f"{side}_elbow", 125 - 115 * out)
        score.add("spine_twist", (-25 if side == "left" else 25) * out)


def hold_pose(rng: np.random.Generator, score: Score) -> None:
    """Hands on the hips, folded arms, hands behind the head, carrying, arms out: with sway."""
    poses = [
        {"arm_abduct": 45, "arm_flex": -15, "arm_twist": 35, "elbow": 100},
        {"arm_abduct": 8, "arm_flex": 40, "arm_twist": 45, "elbow": 105},
        {"arm_abduct": 120, "arm_flex": 10, "arm_twist": -60, "elbow": 130},
        {"arm_abduct": 5, "arm_flex": 20, "arm_twist": 0, "elbow": 85},
        {"arm_abduct": 85, "arm_flex": 0, "arm_twist": 0, "elbow": 10},
        {"arm_abduct": 15, "arm_flex": 165, "arm_twist": 0, "elbow": 15},
        {"arm_abduct": 15, "arm_flex": 85, "arm_twist": 0, "elbow": 10},
    ]
    pose = poses[rng.integers(len(poses))]
    for side in ("left", "right"):
        for name, value in pose.items():
            score.put(f"{side}_{name}", value + rng.normal(0, 8), rng.uniform(0.8, 1.0))
    for side in ("left", "right"):
        for name in pose:
            score.add(f"{side}_{name}", 3 * drift(rng, score.time, rate_hz=0.4, size=1)[:, 0])


def gesture(rng: np.random.Generator, score: Score) -> None:
    """Talking hands: smooth random arm movements; the head turns."""
    extent = rng.uniform(0.3, 1.0)
    ranges = (("arm_flex", 25, 30), ("arm_abduct", 20, 22), ("elbow", 65, 35), ("arm_twist", 10, 35))
    for side in ("left", "right"):
        for name, mean, spread in ranges:
            curve = mean + spread * drift(rng, score.time, rate_hz=rng.uniform(0.25, 0.9), size=1)[:, 0]
            score.put(f"{side}_{name}", curve, extent)
    score.add("head_twist", 25 * drift(rng, score.time, rate_hz=0.2, size=1)[:, 0])


def flail(rng: np.random.Generator, score: Score) -> None:
    """Both arms anywhere within their limits: dance, sport, balance."""
    fast = free(rng, score.time)
    for name in CHANNELS:
        if any(part in name for part in ("arm_", "elbow", "pronate", "wrist", "collar")):
            score.put(name, fast[name], 0.9)


def hang(rng: np.random.Generator, score: Score) -> None:
    """Leave the arms to what the legs' action does with them."""


LEG_ACTIONS: dict[str, Callable[[np.random.Generator, Curve], Score]] = {
    "idle": idle, "walk": walk, "run": run, "turn": step_about, "squat": squat, "crouch": crouch, "sit": sit,
    "bend": bend, "lunge": lunge, "jump": jump, "jumping_jack": jumping_jack, "kick": kick, "free": free,
}  # fmt: skip
ARM_ACTIONS: dict[str, Callable[[np.random.Generator, Score], None]] = {
    "hang": hang, "wave": wave, "reach": reach, "punch": punch, "hold": hold_pose, "gesture": gesture, "flail": flail,
}  # fmt: skip
