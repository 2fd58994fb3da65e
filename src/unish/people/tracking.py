"""Who is who from frame to frame; over the whole video, see ``identity``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from unish.people.appearance import appearance_similarity
from unish.people.boxes import box_area, box_iou, pose_similarity
from unish.people.identity import IdentityConfig, settle_identities
from unish.people.protocols import Observation
from unish.people.regions import Region
from unish.people.tracklet import Tracklet

_NEVER = 1e6


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Settings of ``HungarianTracker``.

    Attributes:
        max_gap_s: a person may be missing so long (and always one frame) and be followed by place and motion.
        max_cost: dearest link between a track and an observation, on a scale of 0 (same) to 1.
        max_speed: how far a person may get in a second, in lengths of the box diagonal, on top of a quarter at once.
        min_evidence: surest observation that a track must contain to count as a person;
        steady_evidence, steady_s: or the mean of all of a track that is seen for so long (or all of a shorter video).
        max_blind_s: how long a person may be followed by landmarks alone, without any detector.
    """

    max_gap_s: float = 1.0
    max_cost: float = 0.75
    max_speed: float = 1.5
    min_evidence: float = 0.8
    steady_evidence: float = 0.6
    steady_s: float = 1.0
    max_blind_s: float = 1.0


class HungarianTracker:
    """``Tracker``: the cheapest one-to-one assignment in each frame, and after the last one ``settle_identities``.

    Nothing is linked by place across a cut.
    """

    def __init__(self, config: TrackerConfig | None = None, identity: IdentityConfig | None = None):
        self.config, self.identity = config or TrackerConfig(), identity or IdentityConfig()
        self.tracklets: list[Tracklet] = []
        self._recent: list[Tracklet] = []
        self._num_frames = 0
        self._first_s = np.inf
        self._previous_s = -np.inf

    def predict(self, time_s: float, segment: int) -> list[Region]:
        """Where to look for the people of the previous frames whom a detector saw not long ago."""
        regions = []
        for tracklet in self._active(time_s, segment):
            blind_s = time_s - tracklet.last_detected_s
            if tracklet.last_pose is not None and blind_s <= self.config.max_blind_s:
                regions.append(tracklet.last_pose.next_region)
        return regions

    def update(self, time_s: float, segment: int, people: Sequence[Observation]) -> None:
        """Assign the observations of the next frame to the people seen before, or to new ones."""
        active = self._active(time_s, segment)
        cost = np.array([[self._link_cost(old, new, time_s) for new in people] for old in active])
        taken = set()
        if cost.size:
            # What is too dear counts as little as no link: a good one is not given up for two that barely go.
            for row, column in zip(*linear_sum_assignment(np.minimum(cost, self.config.max_cost)), strict=True):
                if cost[row, column] <= self.config.max_cost:
                    active[row].append(self._num_frames, time_s, people[column])
                    taken.add(column)
        for column, person in enumerate(people):
            if column not in taken and person.detected:
                new = Tracklet(segment=segment)
                new.append(self._num_frames, time_s, person)
                self.tracklets.append(new)
                active.append(new)
        # Time and shots only move on: what may not go on now never will.
        self._recent = active
        self._num_frames += 1
        self._first_s = min(self._first_s, time_s)
        self._previous_s = time_s

    def identities(self) -> list[dict[int, Observation]]:
        """The observations of each person by frame number, in order of first appearance."""
        return settle_identities([one for one in self.tracklets if self._is_sure(one)], self.identity)

    def _is_sure(self, tracklet: Tracklet) -> bool:
        """Whether this is a person: one look that leaves no doubt, or many that leave little."""
        scores = [person.score for person in tracklet.people]
        steady_s = min(self.config.steady_s, self._previous_s - self._first_s)
        steady = tracklet.times[-1] - tracklet.times[0] >= steady_s
        return max(scores) >= self.config.min_evidence or (
            steady and sum(scores) >= self.config.steady_evidence * len(scores)
        )

    def _active(self, time_s: float, segment: int) -> list[Tracklet]:
        """Tracklets of this shot that may still go on. The person of the very last frame always may."""
        return [
            tracklet
            for tracklet in self._recent
            if tracklet.segment == segment
            and (time_s - tracklet.times[-1] <= self.config.max_gap_s or tracklet.times[-1] == self._previous_s)
        ]

    def _link_cost(self, tracklet: Tracklet, person: Observation, time_s: float) -> float:
        """0 = same place, pose and clothes; 1 = nothing in common; ``_NEVER`` when out of reach."""
        gap = time_s - tracklet.times[-1]
        last, here = tracklet.people[-1], person.box_xyxy
        expected = tracklet.predicted_box(time_s)
        diagonal = float(np.linalg.norm(last.box_xyxy[2:] - last.box_xyxy[:2]))
        way = float(np.linalg.norm((here - expected).reshape(2, 2).mean(axis=0)))
        reach = (0.25 + self.config.max_speed * gap) * diagonal
        areas = [max(float(box_area(box)), 1.0) for box in (last.box_xyxy, here)]
        growth = abs(math.log(areas[1] / areas[0])) / 2
        if way > reach or growth > 0.7 + gap:
            return _NEVER
        place = max(box_iou(expected[None], here[None])[0, 0], 0.5 * (1 - way / reach))
        colours = appearance_similarity(tracklet.appearance(), person.appearance)
        likeness = np.clip((colours - 0.7) / 0.3, 0, 1)
        if last.pose is None or person.pose is None:
            return float(1 - 0.6 * place - 0.4 * likeness)
        shift = np.zeros(2) if len(tracklet.people) < 2 else (expected - last.box_xyxy)[:2]
        shared = (last.pose.px[:, 2] > 0.5) & (person.pose.px[:, 2] > 0.5)
        same = pose_similarity(last.pose.px[:, :2] + shift, person.pose.px[:, :2], shared, areas[1])
        return float(1 - 0.4 * place - 0.3 * same - 0.3 * likeness)
