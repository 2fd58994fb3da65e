"""People as markers of a motion laboratory: the 33 landmarks of the body's surface and the 24 joint centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from unish.body import JOINT_NAMES, LANDMARK_NAMES, Body
from unish.errors import InputError
from unish.export.options import ExportOptions
from unish.export.sidecar import describe_take
from unish.export.take import Take, TakePerson, make_take
from unish.structs import BodyParams, Reconstruction

MARKER_NAMES = (*LANDMARK_NAMES, *(f"{name}_jc" for name in JOINT_NAMES))
"""``_jc``: joint centre. Landmarks and joints share names, and no two markers may."""


def place_markers(body: Body, person: TakePerson) -> Float64[ndarray, "N 57 3"]:
    """Metres, in the world of the take; NaN where the person is not known.

    They are points of the body that was fitted, not detections: where a landmark was hidden, the body still has it.
    """
    out = np.full((len(person.valid), len(MARKER_NAMES), 3), np.nan)
    rotations = torch.from_numpy(person.rotations[person.valid]).float()
    params = BodyParams(
        betas=torch.from_numpy(person.betas).float().expand(len(rotations), -1),
        global_orient=rotations[:, 0],
        body_pose=rotations[:, 1:],
        transl=torch.from_numpy(person.pelvis[person.valid] - person.rest_joints[0]).float(),
    )
    landmarks = body.landmarks(params).double().numpy()
    out[person.valid] = np.concatenate([landmarks, person.joints[person.valid]], axis=1)
    return out


def open_laboratory(reconstruction: Reconstruction, body: Body, options: ExportOptions) -> tuple[Take, dict[str, Any]]:
    """A take with people at an even rate, and what ``export.json`` says of it.

    Raises:
        InputError: nobody is in it.
    """
    take = make_take(reconstruction, body, options)
    if not take.people:
        raise InputError("nobody of those who were asked for is in this shot; there are no markers to write")
    facts = describe_take(take, unit="metres", gaps="empty")
    return take, facts


def even_rate(take: Take) -> float:
    """Frames per second, for formats that know nothing else; that of the used frames where none was asked for."""
    return take.fps if np.isfinite(take.fps) else take.used_fps
