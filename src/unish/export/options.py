"""What an export may be asked for, meaning the same in every format. Importing this costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from unish.errors import InputError
from unish.values import check_count, check_number

Up = str
"""The axis that points up: ``y`` or ``z``."""

RIGS = ("smpl", "vrm", "mixamo", "ue5")
SOURCE, SMOOTH, WHOLE = "source", "smooth", "whole"
"""Frame rates by name: that of the video; the smallest multiple of it that is 30 or more, as programs for animation
expect; the same rounded to a whole number, which some readers want."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a reconstruction is written. A format that has no use for one of them leaves it out.

    Attributes:
        fps: frames per second, as a number or by name (``SOURCE``, ``SMOOTH``, ``WHOLE``); ``None`` for the frames of
            the reconstruction with their own times.
        up: the axis that points up; ``None`` keeps the OpenCV axes of the first camera (y down, z ahead).
        gravity: turn the world by the measured gravity, and move it so that the floor is at height 0.
        people: ``person_ids`` to write; ``None`` for all.
        in_place: people stay over the origin; only their height changes.
        lock_feet: what stands is on one spot for as long as it stands, also where the reconstruction lets it slide;
            joints at its frames are then no longer its own. ``None``: for every rig but ``smpl``, as those go to
            skeletons of other sizes, on which people look at feet.
        refine_cameras: adjust cameras to the points that are written; off for cameras that are known.
        shot: which shot, counted from 0. Each is a world of its own.
        rig: names and rest pose of the skeleton, one of ``RIGS``.
        per_person: a file for each person.
    """

    fps: float | str | None = None
    up: Up | None = None
    gravity: bool = False
    people: tuple[int, ...] | None = None
    in_place: bool = False
    lock_feet: bool | None = None
    refine_cameras: bool = True
    shot: int = 0
    rig: str = "smpl"
    per_person: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.fps, str):
            if self.fps not in (SOURCE, SMOOTH, WHOLE):
                raise InputError(f"fps is {self.fps!r}; give a number, or {SOURCE}, {SMOOTH} or {WHOLE}")
        elif self.fps is not None:
            check_number("fps", self.fps, above=0)
        if self.up not in ("y", "z", None):
            raise InputError(f"up is {self.up!r}; give y or z")
        if self.gravity and self.up is None:
            raise InputError("gravity levels the world, so one axis must be up; give up as y or z")
        if self.rig not in RIGS:
            raise InputError(f"rig is {self.rig!r}; give one of {', '.join(RIGS)}")
        check_count("shot", self.shot, at_least=0)

    @property
    def locks_feet(self) -> bool:
        """Whether feet that stand are put on one spot."""
        return self.rig != "smpl" if self.lock_feet is None else self.lock_feet
