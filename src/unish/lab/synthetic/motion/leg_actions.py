"""What legs and trunk do over time. Each action starts a ``Score`` of its own.

Gait curves follow the shape of published normal-gait averages (Perry, "Gait Analysis", 1992), scaled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from unish.lab.synthetic.motion.anatomy import CHANNELS, INDEX, channel_limits
from unish.lab.synthetic.motion.score import Curve, Keys, Score, drift, periodic, repeat


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
    limp = rng.uniform(0.45, 0.9) if rng.random() < 0.15 else 1.0
    phase = rng.uniform() + time * rng.uniform(0.7, 1.15)
    _gait(
        score, phase, hip=[(0, 28 * stride), (0.5, -12 * stride), (0.85, 30 * stride)],
        knee=[(0, 5), (0.15, 16), (0.4, 5), (0.72, 40 + 20 * stride), (0.95, 4)],
        ankle=[(0, 1), (0.08, -5), (0.45, 9), (0.62, -17), (0.8, 0)], lift=rng.uniform(10, 16), limp=limp,
    )  # fmt: skip
    _swing_arms(score, phase, swing=rng.uniform(5, 28) * stride, elbow=rng.uniform(5, 25))
    score.turn_rate += _wander(rng, time, 18.0)
    return score


def run(rng: np.random.Generator, time: Curve) -> Score:
    """Running with a flight phase after each push-off."""
    score = Score.standing(rng, time)
    stride = rng.uniform(0.7, 1.3)
    phase = rng.uniform() + time * rng.uniform(1.2, 1.55)
    score.add("pelvis_pitch", rng.uniform(0, 8))
    _gait(
        score, phase, hip=[(0, 34 * stride), (0.38, -14 * stride), (0.75, 42 * stride)],
        knee=[(0, 16), (0.16, 38), (0.36, 16), (0.66, 50 + 45 * stride), (0.93, 16)],
        ankle=[(0, 4), (0.18, 18), (0.38, -22), (0.6, -5), (0.85, 4)],
    )  # fmt: skip
    _swing_arms(score, phase, swing=rng.uniform(18, 40), elbow=rng.uniform(60, 95))
    score.add("spine_flex", rng.uniform(2, 12))
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
        ankle=[(0, 0), (0.45, 3), (0.65, -12), (0.85, 0)], lift=5.0,
    )  # fmt: skip
    _swing_arms(score, phase, swing=rng.uniform(0, 18), elbow=rng.uniform(0, 30))
    score.turn_rate += rng.choice([-1, 1]) * rng.uniform(0, 75) + _wander(rng, time, 20.0)
    return score


def squat(rng: np.random.Generator, time: Curve) -> Score:
    """Squats of any depth; the trunk leans so that the weight stays over the feet."""
    score = Score.standing(rng, time)
    down = repeat(
        rng, time, rise=rng.uniform(0.5, 1.4), hold=rng.uniform(0.1, 2), fall=rng.uniform(0.4, 1.2),
        rest=rng.uniform(0.1, 1.5),
    )  # fmt: skip
    lower_hips(score, down * rng.uniform(50, 130), lean=rng.uniform(0.25, 0.45))
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
    lower_hips(score, knee, lean=rng.uniform(0.3, 0.6))
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
    lower_hips(score, np.maximum(crouching, 0) * rng.uniform(40, 90), lean=0.35)
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
    low[INDEX["pelvis_pitch"]] = -20.0  # nobody lies down at random
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
    lift: float = 0.0,
    limp: float = 1.0,
) -> None:
    """Both legs through one cycle (heel strike at phase 0), half a cycle apart; the pelvis follows.

    ``lift`` (degrees of hip flexion, twice as much in the knee) takes the swinging foot of a walker off the floor; a
    runner has none. ``limp`` is the share of the hip's and knee's movement that the right leg makes.
    """
    for side, offset in (("left", 0.0), ("right", 0.5)):
        share = limp if side == "right" else 1.0
        score.put(f"{side}_hip_flex", share * periodic(phase + offset, hip))
        score.put(f"{side}_knee", share * np.maximum(periodic(phase + offset, knee), 0))
        score.put(f"{side}_ankle", periodic(phase + offset, ankle))
        score.put(f"{side}_ankle_side", score[f"{side}_hip_abduct"])
        # While a foot carries a walker its sole is level; while it swings it needs room below the toes.
        level = score["pelvis_pitch"] - score[f"{side}_hip_flex"] + score[f"{side}_knee"]
        if lift > 0:
            score.put(f"{side}_ankle", level, _bump(phase + offset, 0.22, 0.12))
        swing = _bump(phase + offset, 0.78, 0.07)
        score.add(f"{side}_hip_flex", lift * swing)
        score.add(f"{side}_knee", 2.0 * lift * swing)
        score.add(f"{side}_ankle", lift * swing)
        score.add(f"{side}_toes", 25 * _bump(phase + offset, 0.55, 0.05))
    score.add("pelvis_twist", -5 * np.cos(2 * np.pi * phase))
    score.add("spine_twist", 9 * np.cos(2 * np.pi * phase))
    score.add("pelvis_side", -3 * np.sin(2 * np.pi * phase))
    score.add("spine_side", 3 * np.sin(2 * np.pi * phase))


def _bump(phase: Curve, centre: float, width: float) -> Curve:
    """A smooth periodic bump of height 1 around a phase."""
    away = (phase - centre + 0.5) % 1.0 - 0.5
    return np.exp(-0.5 * (away / width) ** 4)


def _swing_arms(score: Score, phase: Curve, *, swing: float, elbow: float) -> None:
    """Arms swing against the leg of their own side."""
    for side, offset in (("left", 0.0), ("right", 0.5)):
        forward = -np.cos(2 * np.pi * (phase + offset))
        score.add(f"{side}_arm_flex", swing * (forward + 0.2))
        score.add(f"{side}_elbow", elbow + 0.35 * swing * np.maximum(forward, 0))


def lower_hips(score: Score, knee: Curve, *, lean: float) -> None:
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


LEG_ACTIONS: dict[str, Callable[[np.random.Generator, Curve], Score]] = {
    "idle": idle, "walk": walk, "run": run, "turn": step_about, "squat": squat, "crouch": crouch, "sit": sit,
    "bend": bend, "lunge": lunge, "jump": jump, "jumping_jack": jumping_jack, "kick": kick, "free": free,
}  # fmt: skip
