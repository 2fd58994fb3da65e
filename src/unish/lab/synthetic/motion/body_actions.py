"""Actions that take the whole body: kneeling, lying, lifting things, dancing, stretching."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unish.lab.synthetic.motion.leg_actions import lower_hips
from unish.lab.synthetic.motion.score import Curve, Score, drift, repeat

SIDES = ("left", "right")


def kneel(rng: np.random.Generator, time: Curve) -> Score:
    """On one knee or both, going down and up again or staying."""
    score = Score.standing(rng, time)
    down = repeat(rng, time, rise=1.3, hold=rng.uniform(1, 5), fall=1.3, rest=rng.uniform(0.3, 1.5))
    if rng.random() < 0.6:
        down = np.ones_like(time)
    raised = str(rng.choice(["left", "right", "none"]))
    sit_back = rng.uniform(0, 30) if raised == "none" else 0.0
    for side in SIDES:
        forward = side == raised
        score.put(f"{side}_hip_flex", rng.uniform(100, 110) if forward else sit_back, down)
        score.put(f"{side}_knee", rng.uniform(105, 115) if forward else 92 + 1.2 * sit_back, down)
        score.put(f"{side}_ankle", 0.0 if forward else rng.choice([-42.0, 25.0]), down)
        score.put(f"{side}_hip_abduct", rng.uniform(2, 14), down)
    score.add("spine_flex", down * rng.uniform(-5, 30))
    score.add("spine_side", 3 * drift(rng, time, rate_hz=0.2, size=1)[:, 0])
    return score


def lie(rng: np.random.Generator, time: Curve) -> Score:
    """Lying on the back or the belly, legs straight or drawn up, moving a little."""
    score = Score.standing(rng, time)
    on_back = rng.random() < 0.65
    score.put("pelvis_pitch", -90.0 if on_back else 90.0)
    drawn = rng.choice([0.0, 1.0]) * rng.uniform(0.5, 1.0) + 0.08 * drift(rng, time, rate_hz=0.15, size=1)[:, 0]
    for side in SIDES:
        bent = np.clip(drawn + rng.normal(0, 0.15), 0, 1)
        score.put(f"{side}_hip_flex", 48 * bent if on_back else 0.0)
        score.put(f"{side}_knee", 95 * bent if on_back else 60 * bent)
        score.put(f"{side}_ankle", -30.0 + 25 * bent if on_back else -42.0)
        score.put(f"{side}_arm_abduct", rng.uniform(12, 80))
        score.put(f"{side}_arm_flex", 0.0 if on_back else rng.uniform(0, 10))
        score.put(f"{side}_elbow", rng.uniform(5, 70))
    score.put("spine_flex", 0.0)
    score.put("head_flex", rng.uniform(0, 15) if on_back else rng.uniform(-35, -15))
    score.add("head_twist", 30 * drift(rng, time, rate_hz=0.15, size=1)[:, 0])
    return score


def pick_up(rng: np.random.Generator, time: Curve) -> Score:
    """Reaching down to the floor with bent knees and coming up with both hands in front."""
    score = Score.standing(rng, time)
    down = repeat(rng, time, rise=0.9, hold=rng.uniform(0.2, 1.0), fall=1.1, rest=rng.uniform(0.5, 2.5))
    depth, lean = rng.uniform(60, 110), rng.uniform(0.3, 0.5)
    lower_hips(score, down * depth, lean=lean)
    score.add("spine_flex", down * rng.uniform(15, 40))
    holding = rng.uniform(15, 45) * (1 - down)
    for side in SIDES:
        score.put(f"{side}_arm_flex", holding + down * rng.uniform(55, 90))
        score.put(f"{side}_arm_abduct", 4.0)
        score.put(f"{side}_elbow", 80 * (1 - down) + 12 * down)
    score.flatten_feet()
    return score


def dance(rng: np.random.Generator, time: Curve) -> Score:
    """To a beat: bouncing knees, swaying hips, arms and feet that follow in turn."""
    score = Score.standing(rng, time)
    beat = 2 * np.pi * (rng.uniform() + time * rng.uniform(0.8, 1.4))
    bounce = rng.uniform(6, 22) * (1 + np.cos(2 * beat))
    lower_hips(score, bounce, lean=0.2)
    sway, twist, lift = rng.uniform(2, 9), rng.uniform(0, 14), rng.uniform(0, 45)
    score.add("pelvis_side", sway * np.sin(beat))
    score.add("spine_side", -1.3 * sway * np.sin(beat))
    score.add("pelvis_twist", twist * np.sin(beat + rng.uniform(0, np.pi)))
    score.add("spine_twist", -1.5 * twist * np.sin(beat))
    for sign, side in ((1, "left"), (-1, "right")):
        raised = np.clip(sign * np.sin(beat) - 0.3, 0, 1) ** 2
        score.add(f"{side}_hip_flex", lift * raised)
        score.add(f"{side}_knee", 1.6 * lift * raised)
        score.add(f"{side}_hip_abduct", rng.uniform(2, 12))
        for name, middle, extent in (("arm_flex", 45, 45), ("arm_abduct", 35, 30), ("elbow", 70, 40)):
            phase, pace = rng.uniform(0, 2 * np.pi), rng.choice([0.5, 1.0, 2.0])
            score.put(f"{side}_{name}", middle + extent * np.sin(pace * beat + phase), rng.uniform(0.4, 1.0))
    score.flatten_feet()
    score.turn_rate += rng.uniform(0, 40) * drift(rng, time, rate_hz=0.15, size=1)[:, 0] * (lift > 20)
    return score


def stretch(rng: np.random.Generator, time: Curve) -> Score:
    """Arms over the head or behind the back, the trunk bent to a side, arched or turned."""
    score = Score.standing(rng, time)
    out = repeat(rng, time, rise=1.0, hold=rng.uniform(0.5, 2.5), fall=1.0, rest=rng.uniform(0.2, 1.0))
    overhead = rng.random() < 0.7
    for side in SIDES:
        score.put(f"{side}_arm_flex", rng.uniform(145, 172) if overhead else -40.0, out)
        score.put(f"{side}_arm_abduct", rng.uniform(5, 40), out)
        score.put(f"{side}_elbow", rng.uniform(5, 100) if overhead else 10.0, out)
        score.put(f"{side}_collar_up", 18.0, out)
    score.add("spine_side", out * rng.uniform(-30, 30))
    score.add("spine_flex", out * rng.uniform(-22, 5))
    score.add("spine_twist", out * rng.uniform(-25, 25))
    score.add("head_flex", out * rng.uniform(-25, 10))
    if rng.random() < 0.3:
        for side in SIDES:
            score.add(f"{side}_hip_abduct", rng.uniform(5, 18))
    score.flatten_feet()
    return score


BODY_ACTIONS: dict[str, Callable[[np.random.Generator, Curve], Score]] = {
    "kneel": kneel, "lie": lie, "pick_up": pick_up, "dance": dance, "stretch": stretch,
}  # fmt: skip
