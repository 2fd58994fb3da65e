"""Faces made unrecognisable, for pictures that are shown to others."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFilter

from unish.body import JOINT_NAMES
from unish.structs import FrameArray, Reconstruction

_FACE = slice(0, 11)
"""BlazePose landmarks of nose, eyes, ears and mouth."""
_HEAD_JOINT = JOINT_NAMES.index("head")
_HEAD_RADIUS_M = 0.15
"""Half the height of a head, with room: from chin to crown an adult's measures 0.25 m at most."""
_SPREAD = 1.35
"""Radius over the largest distance of a landmark from the middle: ears and chin lie outside of the landmarks."""
_TALL = 1.2
"""Height of the ellipse over its width."""
_CELLS = 5
"""Mean colours that are left across a face; nobody can be recognised by so few."""
_MAX_GAP_S = 1.0
"""Faces stay covered through gaps of a track up to this long: who is not detected may be seen all the same."""


def blur_faces(reconstruction: Reconstruction) -> Reconstruction:
    """The same reconstruction, ``images`` with the faces of all its people blurred; a frame is blurred when it is read.
    People's points are left to the pixels of these.

    Covered are an ellipse around the landmarks of nose, eyes, ears and mouth, and one around the projected head of the
    body, since either can be misplaced. Within them five cells across keep their mean colour, and a blur hides their
    edges: what was averaged cannot be computed back. Faces of bystanders, whom nobody tracked, and faces in mirrors and
    on posters stay as they are.
    """
    places = _find_faces(reconstruction)[:, reconstruction.dense_frames]

    def read(frame: int) -> UInt8[ndarray, "H W 3"]:
        return _cover(reconstruction.images[frame], places[:, frame])

    images = reconstruction.images
    # Points of people have colours of their own, sharper than those of the images.
    return replace(reconstruction, images=FrameArray(images.shape, np.dtype(np.uint8), read), person_points=None)


def _find_faces(record: Reconstruction) -> Float64[ndarray, "P2 T 3"]:
    """Middle (x, y) and half width of what is covered, pixels, NaN for nothing: by landmarks, then by bodies."""
    landmarks = record.landmarks_px[:, :, _FACE, :2].astype(np.float64)
    middle = (landmarks.min(axis=2) + landmarks.max(axis=2)) / 2
    radius = _SPREAD * np.linalg.norm(landmarks - middle[:, :, None], axis=-1).max(axis=2)
    w2c = np.linalg.inv(record.c2w.astype(np.float64))
    head = np.einsum("tij,ptj->pti", w2c[:, :3, :3], record.joints[:, :, _HEAD_JOINT].astype(np.float64))
    head += w2c[:, :3, 3]
    pixels = np.einsum("tij,ptj->pti", record.intrinsics.astype(np.float64), head)
    depth = np.where(head[..., 2] > 0, head[..., 2], np.nan)
    from_body = np.concatenate(
        [pixels[..., :2] / depth[..., None], (_HEAD_RADIUS_M * record.intrinsics[:, 0, 0] / depth)[..., None]], axis=-1
    )
    # A face turned away has its landmarks close together: the head still has its size.
    radius = np.fmax(radius, from_body[..., 2])
    from_landmarks = np.concatenate([middle, radius[..., None]], axis=-1)
    return _bridge_gaps(np.concatenate([from_landmarks, from_body]), record)


def _bridge_gaps(faces: Float64[ndarray, "P2 T 3"], record: Reconstruction) -> Float64[ndarray, "P2 T 3"]:
    """Places between those of a person that are no farther than ``_MAX_GAP_S`` apart, within one shot."""
    out, times = faces.copy(), record.timestamps_s
    for person in range(len(faces)):
        known = np.flatnonzero(np.isfinite(faces[person]).all(axis=-1))
        for before, after in pairwise(known.tolist()):
            near = times[after] - times[before] <= _MAX_GAP_S and record.segment[before] == record.segment[after]
            if after > before + 1 and near:
                share = (times[before + 1 : after] - times[before]) / (times[after] - times[before])
                ends = faces[person, [before, after]]
                out[person, before + 1 : after] = ends[0] + share[:, None] * (ends[1] - ends[0])
    return out


def _cover(image: UInt8[ndarray, "H W 3"], places: Float64[ndarray, "P2 3"]) -> UInt8[ndarray, "H W 3"]:
    """The picture with an ellipse of coarse colours at each place; a place without a face changes nothing."""
    covered = Image.fromarray(image)
    for x, y, radius in places[np.isfinite(places).all(axis=-1)].tolist():
        half_width, half_height = max(1.0, radius), max(1.0, _TALL * radius)
        box = (
            max(0, int(x - half_width)), max(0, int(y - half_height)),
            min(covered.width, int(x + half_width) + 1), min(covered.height, int(y + half_height) + 1),
        )  # fmt: skip
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        region = covered.crop(box)
        cells = (min(_CELLS, region.width), min(_CELLS, region.height))
        coarse = region.resize(cells, Image.Resampling.BOX).resize(region.size, Image.Resampling.NEAREST)
        coarse = coarse.filter(ImageFilter.GaussianBlur(half_width / _CELLS))
        mask = Image.new("L", region.size, 0)
        left, top = x - half_width - box[0], y - half_height - box[1]
        ImageDraw.Draw(mask).ellipse((left, top, left + 2 * half_width, top + 2 * half_height), fill=255)
        covered.paste(coarse, box[:2], mask)
    return np.asarray(covered)
