"""Whom the user wants: people named by a box or a point of the picture at a time, or by their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.errors import InputError
from unish.people.boxes import box_area, box_iou
from unish.people.masks import sample_mask
from unish.people.protocols import Observation
from unish.structs import Clip

_MIN_IOU = 0.25
_MIN_MASK = 0.5
_REACH_S = 0.25
"""How far from the time that the user gives somebody may be looked for, where the frame nearest to it shows nobody."""


@dataclass(frozen=True, kw_only=True)
class PeopleChoice:
    """Whom to keep; everybody when nothing is given.

    Attributes:
        boxes: (x0, y0, x1, y1, t): source pixels and seconds.
        points: (x, y, t): source pixels and seconds.
        ids: numbers that a run with everybody gives.
    """

    boxes: Sequence[tuple[float, float, float, float, float]] = ()
    points: Sequence[tuple[float, float, float]] = ()
    ids: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.boxes or self.points or self.ids)


def choose_people(
    people: Mapping[int, Mapping[int, Observation]], choice: PeopleChoice, clip: Clip
) -> dict[int, Mapping[int, Observation]]:
    """The people that are meant, over the whole video, with their numbers.

    A box means whoever's own box overlaps it best (by a quarter at least), a point whoever's mask, or else box, it is
    in; of several boxes, the one whose middle is nearest. Where the used frame nearest to the time shows nobody there,
    those within a quarter of a second are looked at.

    Args:
        people: observations by frame number of the clip, of everybody, by number.
        choice: nothing given keeps everybody.
        clip: the used frames.

    Raises:
        InputError: nobody is there, or has that number; the message says who is where.
    """
    if not choice:
        return dict(people)
    unknown = [identity for identity in choice.ids if identity not in people]
    if unknown:
        there = f"there are {_join(people)}" if people else "nobody was found in the video"
        raise InputError(f"person id {_join(unknown)}: {there}")
    wanted = set(choice.ids)
    for *box, time_s in choice.boxes:
        shown = clip.from_source(np.array(box, np.float64).reshape(2, 2)).reshape(4)
        wanted.add(_find(people, clip, time_s, f"person box {_list(box)}@{time_s:g}", partial(_overlap, box=shown)))
    for *point, time_s in choice.points:
        spot = clip.from_source(np.array(point, np.float64))
        wanted.add(_find(people, clip, time_s, f"person at {_list(point)}@{time_s:g}", partial(_holds, spot=spot)))
    return {identity: person for identity, person in people.items() if identity in wanted}


def _find(
    people: Mapping[int, Mapping[int, Observation]],
    clip: Clip,
    time_s: float,
    name: str,
    rate: Callable[[Observation], float],
) -> int:
    """Number of the person whom ``rate`` rates highest in the frame nearest to the time; 0 is no match."""
    times = clip.timestamps_s.numpy()
    nearest = np.argsort(abs(times - time_s), kind="stable")
    for frame in (nearest[0], *(one for one in nearest[1:] if abs(times[one] - time_s) <= _REACH_S)):
        rated = [(rate(person[int(frame)]), -number) for number, person in people.items() if int(frame) in person]
        if rated and max(rated)[0] > 0:
            return -max(rated)[1]
    raise InputError(f"{name}: nobody is there; {_describe(people, clip, int(nearest[0]))}")


def _overlap(person: Observation, box: Float[ndarray, "4"]) -> float:
    overlap = float(box_iou(person.box_xyxy[None], box[None])[0, 0])
    return overlap if overlap >= _MIN_IOU else 0.0


def _holds(person: Observation, spot: Float[ndarray, "2"]) -> float:
    """Above 1 where the spot is on the person's mask, above 0 where it is in the box, greatest in its middle."""
    x0, y0, x1, y1 = person.box_xyxy
    if not (x0 <= spot[0] <= x1 and y0 <= spot[1] <= y1):
        return 0.0
    away = np.linalg.norm(spot - [(x0 + x1) / 2, (y0 + y1) / 2]) / np.sqrt(max(float(box_area(person.box_xyxy)), 1.0))
    pose = person.pose
    on_mask = pose is not None and pose.mask is not None and sample_mask(pose, spot[None, None])[0, 0] > _MIN_MASK
    return float(on_mask) + float(np.exp(-away))


def _describe(people: Mapping[int, Mapping[int, Observation]], clip: Clip, frame: int) -> str:
    """Who is where in a frame, source pixels; or, of an empty one, when people are in view."""
    at = f"at {float(clip.timestamps_s[frame]):.2f} s"
    seen = {number: person[frame] for number, person in people.items() if frame in person}
    if seen:
        where = [
            f"person {number} in {_list(clip.to_source(one.box_xyxy.reshape(2, 2)).reshape(4).round())}"
            for number, one in seen.items()
        ]
        return f"{at} there {'is' if len(where) == 1 else 'are'} {', '.join(where)}"
    if not people:
        return "nobody was found in the video"
    times = clip.timestamps_s.numpy()
    spans = [f"person {number} from {times[min(one)]:.2f} to {times[max(one)]:.2f} s" for number, one in people.items()]
    return f"{at} nobody is in view, only {', '.join(spans)}"


def _list(numbers: Sequence[float] | ndarray) -> str:
    return ",".join(f"{number:g}" for number in numbers)


def _join(numbers: Sequence[int] | Mapping[int, object]) -> str:
    return ", ".join(str(number) for number in numbers)
