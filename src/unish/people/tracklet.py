"""One person from frame to frame, without long gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.people.protocols import Observation, Pose


@dataclass(eq=False)
class Tracklet:
    """One person without long gaps: observations by frame, and what is needed to go on.

    What the next frame asks for is kept up to date by ``append``, so that a long track costs no more than a short one.

    Attributes:
        segment: shot number.
        last_pose: the most recent landmarks.
        last_detected_s: when a detector, not landmarks alone, last saw the person; −∞ = never.
    """

    segment: int
    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    people: list[Observation] = field(default_factory=list)
    last_pose: Pose | None = None
    last_detected_s: float = -math.inf
    _appearance_sum: Float[ndarray, "bins"] | float = 0.0

    def append(self, frame: int, time_s: float, person: Observation) -> None:
        """Go on with the observation of a later frame."""
        self.frames.append(frame)
        self.times.append(time_s)
        self.people.append(person)
        self._appearance_sum = self._appearance_sum + person.appearance
        self.last_pose = person.pose or self.last_pose
        if person.detected:
            self.last_detected_s = time_s

    def predicted_box(self, time_s: float) -> Float[ndarray, "4"]:
        """Last box, moved on at the speed of the last two for at most as long as lies between those."""
        last = self.people[-1].box_xyxy
        if len(self.people) < 2:
            return last
        past, gap = self.times[-1] - self.times[-2], time_s - self.times[-1]
        step = (last - self.people[-2].box_xyxy).reshape(2, 2).mean(axis=0)
        return last + np.tile(step, 2) * (0.8 * min(gap / past, 1.0))

    def appearance(self) -> Float[ndarray, "bins"]:
        """Mean over the whole tracklet."""
        return np.asarray(self._appearance_sum / len(self.people))
