"""What arms do over time. Each action writes over the arms of a score that a leg action made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unish.lab.synthetic.motion.anatomy import CHANNELS
from unish.lab.synthetic.motion.leg_actions import free
from unish.lab.synthetic.motion.score import Score, drift, repeat


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


def phone(rng: np.random.Generator, score: Score) -> None:
    """A telephone at the ear, or looked at in front of the chest."""
    side = rng.choice(["left", "right"])
    at_ear = rng.random() < 0.5
    pose = {"arm_flex": 42, "arm_abduct": 28, "arm_twist": -15, "elbow": 138} if at_ear else {
        "arm_flex": 28, "arm_abduct": 4, "arm_twist": 28, "elbow": 98}  # fmt: skip
    for name, value in pose.items():
        score.put(f"{side}_{name}", value + rng.normal(0, 4) + 2 * drift(rng, score.time, rate_hz=0.3, size=1)[:, 0])
    score.put("head_flex", 0.0 if at_ear else rng.uniform(18, 32))
    score.add("head_side", (8 if side == "left" else -8) * at_ear)


def carry(rng: np.random.Generator, score: Score) -> None:
    """Both hands in front of the body as around a box or a tray."""
    flex, elbow, apart = rng.uniform(5, 45), rng.uniform(60, 105), rng.uniform(-5, 22)
    for side in ("left", "right"):
        score.put(f"{side}_arm_flex", flex)
        score.put(f"{side}_arm_abduct", 6.0)
        score.put(f"{side}_arm_twist", apart)
        score.put(f"{side}_elbow", elbow)
        score.put(f"{side}_pronate", -50.0)
    score.add("spine_flex", -rng.uniform(0, 8))


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


ARM_ACTIONS: dict[str, Callable[[np.random.Generator, Score], None]] = {
    "hang": hang, "wave": wave, "reach": reach, "punch": punch, "hold": hold_pose, "gesture": gesture, "flail": flail,
    "phone": phone, "carry": carry,
}  # fmt: skip
