"""Hand-held scans of places without people, as they are made to reconstruct a room."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.cameras.movements import Move
from unish.lab.synthetic.cameras.subjects import Subjects, measure_room, sample_side
from unish.lab.synthetic.stage import Prop, Stage

Rng = np.random.Generator
VIEWS_ACROSS = 0.45
"""Share of scans that look across a table, a counter or a bed close to the camera."""


def move_scan(rng: Rng, subjects: Subjects) -> Move:
    """Past the furniture at 0.1 to 0.5 m/s, turning at 5 to 40 degrees per second, 0.9 to 4.5 m away, looking down
    4 to 35 degrees, rolled up to 15: place and view wander along smooth curves, independently of each other."""
    start, focus = _sample_first_view(rng, subjects)
    seconds, pace = subjects.elapsed_s, subjects.pace
    heading = rng.uniform(0, 2 * np.pi)
    way = np.array([np.sin(heading), 0.35 * rng.normal(), np.cos(heading)])
    speed = rng.uniform(0.1, 0.5) * pace
    # Back and forth over a metre or so, whatever the length of the clip.
    reach = rng.uniform(0.4, 1.2)
    along = _swing(rng, seconds, speed / reach) * reach
    position = start + np.outer(along, way) + _swing(rng, seconds, 0.5)[:, None] * rng.normal(0, 0.08, 3) * pace
    wide = np.radians(rng.uniform(12, 40))
    turn = np.radians(rng.uniform(5, 40)) * pace
    share = rng.beta(2, 4)
    sweep = np.stack(
        [
            _swing(rng, seconds, (1 - share) * turn / wide) * wide,
            _swing(rng, seconds, share * turn / wide) * wide * 0.6,
        ],
        axis=1,
    )
    return Move(
        position=position,
        target=np.tile(focus, (len(seconds), 1)),
        sweep=sweep,
        hand=rng.uniform(0.4, 1.4),
        rolled=float(rng.choice([2.0, 6.0])),
    )


def _sample_first_view(rng: Rng, subjects: Subjects) -> tuple[Float[ndarray, "3"], Float[ndarray, "3"]]:
    """Where a scan starts and what it looks at there."""
    props = subjects.stage.props
    low_props = [prop for prop in props if _is_low_and_wide(prop)]
    if low_props and rng.random() < VIEWS_ACROSS:
        return _sample_view_across(rng, subjects.stage, low_props[rng.integers(len(low_props))])
    if props:
        prop = props[rng.integers(len(props))]
        focus = rng.uniform(prop.low, np.minimum(prop.high, prop.low + 2.2))
    else:
        focus = rng.uniform(subjects.stage.low, subjects.stage.high)
    azimuth, distance = sample_side(rng, subjects.stage, focus, np.exp(rng.uniform(np.log(0.9), np.log(4.5))))
    down = np.radians(rng.uniform(4, 35))
    start = focus + distance * np.array([np.cos(azimuth), 0, np.sin(azimuth)])
    start[1] = np.clip(focus[1] + distance * np.tan(down), 0.9, 1.9)
    return start, focus


def _is_low_and_wide(prop: Prop) -> bool:
    size = prop.high - prop.low
    return bool(prop.low[1] < 0.1 and 0.3 < prop.high[1] < 1.4 and min(size[0], size[2]) > 0.4)


def _sample_view_across(rng: Rng, stage: Stage, prop: Prop) -> tuple[Float[ndarray, "3"], Float[ndarray, "3"]]:
    """From just behind a prop and above it, over it, at what is beyond: a raised surface fills the foreground. Of some
    sides one with room to stand and much of the room ahead."""
    centre, half = (prop.low + prop.high) / 2, (prop.high - prop.low) / 2
    angles = rng.uniform(0, 2 * np.pi, 6)
    to_edge = np.minimum(
        half[0] / np.maximum(np.abs(np.cos(angles)), 1e-6), half[2] / np.maximum(np.abs(np.sin(angles)), 1e-6)
    )
    ahead = measure_room(stage, centre, angles + np.pi)
    can_stand = measure_room(stage, centre, angles) > to_edge
    side = int((ahead * rng.uniform(0.5, 1.0, 6) * np.where(can_stand, 1.0, 0.1)).argmax())
    behind = np.array([np.cos(angles[side]), 0.0, np.sin(angles[side])])
    start = centre + behind * (to_edge[side] + rng.uniform(-0.3, 0.5))
    start[1] = min(prop.high[1], 1.0) + rng.uniform(0.3, 0.9)
    focus = centre - behind * rng.uniform(0.2, max(0.9 * ahead[side], 0.3))
    focus[1] = rng.uniform(0.2, 1.3)
    return start, focus


def _swing(rng: Rng, seconds: Float[ndarray, "N"], rate: float) -> Float[ndarray, "N"]:
    """Between −1 and 1, never faster than ``rate`` per second; 0 at the start."""
    phase = rng.uniform(0, 2 * np.pi)
    wave = np.sin(rate * seconds + phase)
    return wave - wave[0] if rng.random() < 0.5 else np.sin(rate * seconds) * rng.choice([-1.0, 1.0])
