"""Edits that a viewer collects: the list of them, in words, and the pixels that a clicked place means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.edits import ClosedLoop, Contact, Drop, Edit, Floor, KnownDistance, Merge, PersonHeight, Split
from unish.errors import InputError
from unish.structs import Reconstruction
from unish.structs.progress import Progress
from unish.viewer.record import SceneRecord

_SAME_SURFACE = 0.15
"""Largest |log ratio| of a place's depth and of what the frame sees at its pixel."""

Apply = Callable[[Sequence[Edit], Progress], tuple[Reconstruction, Mapping[str, Any]]]
"""Brings a result to a complete list of edits; gives it as it is to be shown, with its report. Raises ``InputError``
where an edit does not fit; nothing has changed then."""


@dataclass(kw_only=True)
class EditList:
    """What a result is to be corrected by.

    Attributes:
        applied: edits that the shown result has, the complete list against the first run.
        wanted: those that it is to have.
    """

    applied: tuple[Edit, ...]
    wanted: tuple[Edit, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = self.applied

    def add(self, edit: Edit) -> None:
        self.wanted = (*self.wanted, edit)

    def take_back(self) -> None:
        """The last edit; nothing where there is none."""
        self.wanted = self.wanted[:-1]

    def clear(self) -> None:
        self.wanted = ()

    def describe(self) -> str:
        """Markdown: the wanted edits in their order, what is new among them, and what is taken back."""
        same = next((at for at, pair in enumerate(zip(self.applied, self.wanted, strict=False)) if pair[0] != pair[1]),
                    min(len(self.applied), len(self.wanted)))  # fmt: skip
        lines = [
            f"{number}. {describe_edit(edit)}{'' if number <= same else ' **(new)**'}"
            for number, edit in enumerate(self.wanted, start=1)
        ]
        lines += [f"- ~~{describe_edit(edit)}~~" for edit in self.applied[same:]]
        return "\n".join(lines) or "Nothing is corrected."


def describe_edit(edit: Edit) -> str:
    """Such as ``person 3 is 1.72 m tall``."""
    match edit:
        case PersonHeight():
            return f"person {edit.person} is {edit.metres:.2f} m tall"
        case Merge():
            return f"persons {' and '.join(map(str, edit.persons))} are one"
        case Split():
            return f"person {edit.person} is somebody else from {edit.at_s:.2f} s on"
        case Drop():
            return f"person {edit.person} is left out"
        case Contact():
            touches = "touches the ground" if edit.touches else "does not touch the ground"
            name = edit.point.replace("_", " ")
            return f"{name} of person {edit.person} {touches} from {edit.from_s:.2f} to {edit.to_s:.2f} s"
        case Floor():
            places = "a plane" if edit.points is None else f"{len(edit.points)} places"
            return f"the floor of shot {edit.shot + 1} is given by {places}"
        case ClosedLoop():
            return f"the camera of shot {edit.shot + 1} ends where it began"
        case KnownDistance():
            return f"two places at {edit.at_s:.2f} s are {edit.metres:.2f} m apart"


def find_source_pixel(
    record: SceneRecord, step: int, xyz: Float[ndarray, "3"]
) -> tuple[tuple[float, float], float]:  # fmt: skip
    """Where the film shows a place at a step.

    Args:
        xyz: in the world of the step's shot, metres.

    Returns:
        (x, y) in pixels of the source, and the time in seconds of the frame with depth that the step shows.

    Raises:
        InputError: this frame does not show the place; the message says why.
    """
    reconstruction, dense = record.reconstruction, record.dense_frame(step)
    frame = int(reconstruction.dense_frames[dense])
    pose = reconstruction.c2w[frame].astype(np.float64)
    camera = (xyz - pose[:3, 3]) @ pose[:3, :3]
    height, width = record.image_size
    advice = "go to a frame that shows it, or look through the camera"
    if camera[2] <= 0 or reconstruction.segment[frame] != reconstruction.segment[record.frames[step]]:
        raise InputError(f"the place is not in the picture of this frame; {advice}")
    x, y = (reconstruction.intrinsics[frame].astype(np.float64) @ (camera / camera[2]))[:2].tolist()
    if not (0 <= x < width and 0 <= y < height):
        raise InputError(f"the place is not in the picture of this frame; {advice}")
    depth_map = reconstruction.depth[dense]
    rows, columns = depth_map.shape
    seen = float(depth_map[int(y * rows / height), int(x * columns / width)])
    if seen <= 0:
        raise InputError(f"no depth is known at this place of the picture; {advice}")
    if abs(np.log(camera[2] / seen)) > _SAME_SURFACE:
        raise InputError(f"this frame sees another surface there, {seen:.2f} m away; {advice}")
    down, across = (reconstruction.source_size / reconstruction.image_size).tolist()
    return (x * across, y * down), float(reconstruction.timestamps_s[frame])
