"""Who is who over time: frame-to-frame assignment, then tracks of one person joined over gaps and cuts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from unish.people.appearance import appearance_similarity
from unish.people.boxes import box_area, box_iou, pose_similarity
from unish.people.protocols import Observation, Pose
from unish.people.regions import Region

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
        min_likeness: appearance that lets somebody be recognised after a longer absence.
        clear_lead: by which the best match must beat the second best there.
        max_blind_s: how long a person may be followed by landmarks alone, without any detector.
    """

    max_gap_s: float = 1.0
    max_cost: float = 0.75
    max_speed: float = 1.5
    min_evidence: float = 0.8
    steady_evidence: float = 0.6
    steady_s: float = 1.0
    min_likeness: float = 0.9
    clear_lead: float = 0.02
    max_blind_s: float = 1.0


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


class HungarianTracker:
    """``Tracker``: the cheapest one-to-one assignment in each frame, then tracklets joined by appearance.

    A person who was missing for more than ``max_gap_s``, or who is seen again after a cut, is recognised by appearance
    alone, and only when the best match is clearly the best; otherwise the person is a new one. Nothing is linked by
    place across a cut.
    """

    def __init__(self, config: TrackerConfig | None = None):
        self.config = config or TrackerConfig()
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
        groups = join_tracklets([one for one in self.tracklets if self._is_sure(one)], self.config)
        return [
            {
                frame: person
                for tracklet in group
                for frame, person in zip(tracklet.frames, tracklet.people, strict=True)
            }
            for group in groups
        ]

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


def join_tracklets(tracklets: Sequence[Tracklet], config: TrackerConfig) -> list[list[Tracklet]]:
    """Group tracklets of one person, in order of first appearance.

    Greedy: each tracklet, in order of time, joins the group that looks most like it, if none of that group's frames
    are its own, the likeness is at least ``min_likeness`` and the runner-up is clearly worse.
    """
    ordered = sorted(tracklets, key=lambda one: one.frames[0])
    looks = np.array([tracklet.appearance() for tracklet in ordered])
    group_of = np.zeros(len(ordered), int)
    groups: list[list[Tracklet]] = []
    last_frames = np.zeros(len(ordered), int)
    for index, tracklet in enumerate(ordered):
        likeness = np.zeros(len(groups))
        np.maximum.at(likeness, group_of[:index], appearance_similarity(looks[:index], looks[index]))
        # Only who was still in view when this one came can share a frame with it.
        own = set(tracklet.frames)
        for late in np.nonzero(last_frames[: len(groups)] >= tracklet.frames[0])[0]:
            if not all(own.isdisjoint(old.frames) for old in groups[late]):
                likeness[late] = 0.0
        best, second = (*np.sort(likeness)[::-1], 0.0, 0.0)[:2]
        chosen = len(groups)
        if best >= config.min_likeness and best - second >= config.clear_lead:
            chosen = int(likeness.argmax())
            groups[chosen].append(tracklet)
        else:
            groups.append([tracklet])
        group_of[index] = chosen
        last_frames[chosen] = max(last_frames[chosen], tracklet.frames[-1])
    return groups
