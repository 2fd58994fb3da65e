"""Edits of a finished run as what *settle* works with: other people, known sizes, and what is known of each shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from unish.edits import ClosedLoop, Edit, Floor, KnownDistance
from unish.errors import InputError
from unish.passes.edited_people import edit_people
from unish.passes.known_sizes import find_frame, to_processed
from unish.passes.observations import Observations
from unish.passes.stored_observations import StoredRun
from unish.reconstruction import ShotConstraints
from unish.settings import Settings, Span


@dataclass(frozen=True, kw_only=True)
class AppliedEdits:
    """Attributes:
    seen: the observations of the run, with the people that edits leave.
    settings: those of the run, with the sizes that edits say.
    constraints: what edits say of each shot; ``None`` where they say nothing.
    """

    seen: Observations
    settings: Settings
    constraints: list[ShotConstraints] | None


def apply_edits(run: StoredRun, edits: Sequence[Edit]) -> AppliedEdits:
    """See the module. Nothing of a run changes where no edit asks for it.

    Raises:
        InputError: an edit does not fit the run; the message says which and why.
    """
    people = edit_people(run.seen, edits, run.settings.person_height)
    distances = [*(run.settings.known_distance or ()), *(_span(one) for one in edits if isinstance(one, KnownDistance))]
    if people.heights and distances:
        raise InputError(
            "heights of people and known distances both say how large everything is; leave out one of them"
        )
    cameras = run.seen.cameras
    if cameras is not None and cameras.in_metres and (people.heights or distances):
        raise InputError(
            "the cameras that were given in metres say how large everything is; leave out person_height and "
            "known_distance"
        )
    constraints = [ShotConstraints() for _ in run.seen.shots]
    for number, edit in enumerate(edits, start=1):
        try:
            if isinstance(edit, Floor | ClosedLoop):
                shot = _check_shot(edit.shot, run.seen)
                constraints[shot] = _constrain(constraints[shot], edit, run.seen)
            elif isinstance(edit, KnownDistance):
                _look_at(edit, run.seen)
        except InputError as error:
            raise InputError(f"edit {number} ({edit.kind}): {error}") from None
    if people.contacts is not None:
        parts = [people.contacts[:, shot.frames] for shot in run.seen.shots]
        constraints = [replace(one, contacts=part) for one, part in zip(constraints, parts, strict=True)]
    says_nothing = people.contacts is None and not any(one.gives_floor or one.closed for one in constraints)
    return AppliedEdits(
        seen=people.seen,
        settings=replace(run.settings, person_height=people.heights or None, known_distance=tuple(distances) or None),
        constraints=None if says_nothing else constraints,
    )


def _span(edit: KnownDistance) -> Span:
    return (*edit.from_px, *edit.to_px, edit.at_s, edit.metres)


def _look_at(edit: KnownDistance, seen: Observations) -> None:
    """Raises:
    InputError: it lies outside of the video or of the picture."""
    find_frame(edit.at_s, seen, range(len(seen.shots)), f"at {edit.at_s:g} s")
    (x1, y1), (x2, y2) = edit.from_px, edit.to_px
    to_processed(torch.tensor([edit.from_px, edit.to_px]), seen, f"from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})")


def _check_shot(shot: int, seen: Observations) -> int:
    if shot >= len(seen.shots):
        there = "0 alone" if len(seen.shots) == 1 else f"0 to {len(seen.shots) - 1}"
        raise InputError(f"there is no shot {shot}; give one of the shots, {there}")
    return shot


def _constrain(known: ShotConstraints, edit: Floor | ClosedLoop, seen: Observations) -> ShotConstraints:
    if isinstance(edit, ClosedLoop):
        if seen.cameras is not None and not seen.cameras.refine:
            raise InputError("the cameras were given and stay as they are; leave this edit out")
        return replace(known, closed=True)
    if edit.plane is not None:
        return replace(known, floor=torch.tensor(edit.plane), floor_points=())
    points = []
    for x, y, time_s in edit.points or ():
        name = f"point ({x:g}, {y:g}) at {time_s:g} s"
        _, row, _ = find_frame(time_s, seen, [edit.shot], name)
        px, py = to_processed(torch.tensor([[x, y]]), seen, name)[0].tolist()
        points.append((row, (px, py)))
    return replace(known, floor=None, floor_points=tuple(points))
