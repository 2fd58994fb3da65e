"""Observations of people after edits: merged, split and dropped, with the heights and contacts that a user knows.

What was seen of everybody stays as it was seen; an edit changes whose it is.

Legend: R people of the run, P people after the edits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int16, Int64
from numpy import ndarray
from torch import Tensor

from unish.edits import Contact, Drop, Edit, Merge, PersonHeight, Split
from unish.errors import InputError
from unish.passes.network_pass import ReadPoses
from unish.passes.observations import Observations, ObservedShot
from unish.reconstruction import REGIONS, Window
from unish.structs import FrameArray, FrameTensor, Landmarks, ReliefCrops, Tracks

NOBODY = -1
_ROUNDING_S = 1e-3
"""Times in files are rounded; a frame that is this much earlier than the moment of an edit is meant, too."""


@dataclass(frozen=True, kw_only=True)
class EditedPeople:
    """What edits say of people.

    Attributes:
        seen: with the people that there are now.
        heights: metres by id.
        contacts: (P, T, 4) 1 touches, 0 does not, NaN unknown; ``None`` where no edit says anything.
    """

    seen: Observations
    heights: dict[int, float]
    contacts: Float[Tensor, "P T 4"] | None


class _Owners:
    """Whose each observation is, while edits are read one after the other.

    Attributes:
        owner: (R, T) id, ``NOBODY`` for those who are left out.
        contacts: (R, T, 4), see ``EditedPeople``.
    """

    def __init__(self, seen: Observations, heights: Mapping[int, float]) -> None:
        tracks = seen.tracks
        self.times, self.valid, self.heights = seen.clip.timestamps_s, tracks.valid, dict(heights)
        self.owner = tracks.person_ids[:, None].expand(tracks.valid.shape).clone()
        self.contacts = torch.full((*tracks.valid.shape, len(REGIONS)), torch.nan)
        self._next_id = int(tracks.person_ids.max()) + 1 if tracks.num_people else 0

    @property
    def ids(self) -> list[int]:
        return [one for one in self.owner.unique().tolist() if one != NOBODY]

    def frames_of(self, person: int) -> Bool[Tensor, "T"]:
        """In which frames the person was seen.

        Raises:
            InputError: there is nobody of that id.
        """
        if person not in self.ids:
            there = f"the people are {', '.join(map(str, self.ids))}" if self.ids else "there is nobody"
            raise InputError(f"nobody has the id {person} here: {there}")
        return ((self.owner == person) & self.valid).any(0)

    def span_of(self, person: int) -> str:
        times = self.times[self.frames_of(person)]
        return f"person {person} is seen from {float(times.min()):.2f} to {float(times.max()):.2f} s"

    def apply(self, edit: Edit) -> None:
        """Raises:
        InputError: it means nobody, or does not fit what was seen."""
        if isinstance(edit, Merge):
            self._merge(edit)
        elif isinstance(edit, Split):
            self._split(edit)
        elif isinstance(edit, Drop):
            self.frames_of(edit.person)
            self.owner[self.owner == edit.person] = NOBODY
            self.heights.pop(edit.person, None)
        elif isinstance(edit, PersonHeight):
            self.frames_of(edit.person)
            self.heights[edit.person] = edit.metres
        elif isinstance(edit, Contact):
            self._touch(edit)

    def _merge(self, edit: Merge) -> None:
        first, frames = edit.persons[0], self.frames_of(edit.persons[0])
        for other in edit.persons[1:]:
            both = frames & self.frames_of(other)
            if both.any():
                moment = float(self.times[both][0])
                raise InputError(
                    f"persons {first} and {other} are seen in one frame ({moment:.2f} s), so they are two; "
                    "split one of them first, or merge others"
                )
            frames = frames | self.frames_of(other)
            self.owner[self.owner == other] = first
        known = {self.heights.pop(person) for person in edit.persons if person in self.heights}
        if len(known) > 1:
            raise InputError(f"persons {', '.join(map(str, edit.persons))} have different heights; leave one of them")
        if known:
            self.heights[first] = known.pop()

    def _split(self, edit: Split) -> None:
        frames, later = self.frames_of(edit.person), self.times >= edit.at_s - _ROUNDING_S
        if not (frames & later).any() or not (frames & ~later).any():
            raise InputError(f"nothing is split at {edit.at_s:g} s: {self.span_of(edit.person)}")
        self.owner[(self.owner == edit.person) & later] = self._next_id
        self._next_id += 1

    def _touch(self, edit: Contact) -> None:
        if edit.point not in REGIONS:
            raise InputError(f"point of contact is {edit.point!r}; give one of {', '.join(REGIONS)}")
        within = (self.times >= edit.from_s - _ROUNDING_S) & (self.times <= edit.to_s + _ROUNDING_S)
        if not (self.frames_of(edit.person) & within).any():
            span = f"{edit.from_s:g} to {edit.to_s:g} s"
            raise InputError(f"no used frame shows the person from {span}: {self.span_of(edit.person)}")
        meant = (self.owner == edit.person) & self.valid & within
        self.contacts[..., REGIONS.index(edit.point)][meant] = float(edit.touches)


def edit_people(seen: Observations, edits: Sequence[Edit], heights: Mapping[int, float] | None = None) -> EditedPeople:
    """The people of a run as edits leave them, sorted by id; nothing changes where none is about people.

    Args:
        heights: metres by id that were given to the run.

    Raises:
        InputError: an edit means nobody, or does not fit what was seen; the message says which.
    """
    owners = _Owners(seen, heights or {})
    for number, edit in enumerate(edits, start=1):
        try:
            owners.apply(edit)
        except InputError as error:
            raise InputError(f"edit {number} ({edit.kind}): {error}") from None
    if torch.equal(owners.owner, seen.tracks.person_ids[:, None].expand_as(owners.owner)):
        people, contacts = seen, owners.contacts
    else:
        rows = _Rows.of(owners.owner, seen.tracks.valid, owners.ids)
        people, contacts = rows.give_people(seen, owners.ids), rows.gather(owners.contacts, torch.nan)
    told = bool(torch.isfinite(contacts).any())
    return EditedPeople(seen=people, heights=owners.heights, contacts=contacts if told else None)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """From which of the R people each of the P has what is known in a frame.

    Attributes:
        row: (P, T); where nothing was observed, the row that the person has elsewhere.
        valid: (P, T) observed.
        new: (R, T) which of the P has an observation, ``NOBODY`` where it is left out.
    """

    row: Int64[Tensor, "P T"]
    valid: Bool[Tensor, "P T"]
    new: Int64[Tensor, "R T"]

    @classmethod
    def of(cls, owner: Int64[Tensor, "R T"], valid: Bool[Tensor, "R T"], ids: list[int]) -> _Rows:
        own = owner == torch.tensor(ids, dtype=torch.int64)[:, None, None]
        observed = own & valid
        # Of several rows, the observed one, else one that is the person's here, else one that ever is.
        rank = observed.int() * 4 + own.int() * 2 + own.any(-1, keepdim=True).int()
        new = torch.where(own.any(0), own.int().argmax(0), NOBODY) if ids else torch.full_like(owner, NOBODY)
        return cls(row=rank.argmax(1), valid=observed.any(1), new=new)

    def gather(self, values: Tensor, blank: float | bool) -> Tensor:
        """(R, T, …) → (P, T, …), ``blank`` where nothing was observed."""
        found = values[self.row, torch.arange(values.shape[1])]
        keep = self.valid.reshape(*self.valid.shape, *(1,) * (values.ndim - 2))
        return torch.where(keep, found, torch.tensor(blank, dtype=values.dtype))

    def give_people(self, seen: Observations, ids: list[int]) -> Observations:
        """The same observations, of the people with these ids."""
        dense = torch.cat([shot.frames.start + shot.dense for shot in seen.shots])
        known = {name: value for name, value in vars(seen.landmarks).items() if value is not None}
        blanks = {name: 0.0 if name == "score" else torch.nan for name in known}
        return replace(
            seen,
            tracks=Tracks(
                person_ids=torch.tensor(ids, dtype=torch.int64),
                valid=self.valid,
                boxes_xyxy=self.gather(seen.tracks.boxes_xyxy, torch.nan),
                masks=self._relabel(seen.tracks.masks, torch.arange(seen.clip.num_frames)),
                warnings=seen.tracks.warnings,
            ),
            masks=self._relabel(seen.masks, dense),
            landmarks=Landmarks(**{name: self.gather(value, blanks[name]) for name, value in known.items()}),
            box_only=self.gather(seen.box_only, False),
            relief=None if seen.relief is None else partial(_relabel_relief, seen.relief, self.new[:, dense].numpy()),
            shots=[self._edit_shot(shot, seen.tracks.valid) for shot in seen.shots],
        )

    def _relabel(self, masks: Int16[FrameTensor, "D h w"], frames: Int64[Tensor, "D"]) -> Int16[FrameArray, "D h w"]:
        """Masks of these frames with the indices of the P people."""
        # Index −1, the scene, is the last entry of a table.
        tables = torch.nn.functional.pad(self.new[:, frames].mT, (0, 1), value=NOBODY).to(torch.int16)
        return FrameArray.like(masks, lambda place: tables[place][masks[place].long()])

    def _edit_shot(self, shot: ObservedShot, valid: Bool[Tensor, "R T"]) -> ObservedShot:
        used = torch.arange(shot.frames.start, shot.frames.stop)
        windows = []
        for window in shot.windows:
            frames = used[shot.dense[window.frames.start : window.frames.stop]]
            windows.append(replace(window, **self._edit_poses(window, frames, valid)))
        poses = shot.poses if len(self.row) else None
        if poses is not None:
            poses = replace(poses, **self._edit_poses(poses, used, valid))
        return replace(shot, windows=windows, poses=poses)

    def _edit_poses(
        self, found: Window | ReadPoses, frames: Int64[Tensor, "N"], valid: Bool[Tensor, "R T"]
    ) -> dict[str, Any]:
        """What the network said of people in these frames; a shape is the mean of those of the rows, by frames."""
        arrays = {name: getattr(found, name, None) for name in ("rotations", "transl")}
        betas = found.betas
        if betas is None or not len(self.row):
            # As where nobody is looked for.
            return {name: None for name in (*arrays, "betas") if hasattr(found, name)}
        row = self.row[:, frames]
        chosen = {name: value[row, torch.arange(len(frames))] for name, value in arrays.items() if value is not None}
        share = torch.nn.functional.one_hot(row, len(valid)) * self.valid[:, frames, None]
        weights = share.sum(1).to(betas.dtype)
        # Somebody who was not observed here has no say in their shape, whatever it is.
        weights = torch.where(
            weights.sum(1, keepdim=True) > 0, weights, torch.nn.functional.one_hot(row[:, 0], len(valid))
        )
        return chosen | {"betas": weights / weights.sum(1, keepdim=True) @ betas}


def _relabel_relief(read: Callable[[int], ReliefCrops], owners: Int[ndarray, "R D"], dense_frame: int) -> ReliefCrops:
    """The crops of a frame with the indices of the P people; ``owners``: see ``_Rows.new``."""
    crops = read(dense_frame)
    person = owners[crops.person, dense_frame].astype(np.int16)
    kept = person != NOBODY
    return replace(
        crops, person=person[kept], boxes=crops.boxes[kept], relief=crops.relief[kept], colours=crops.colours[kept]
    )
