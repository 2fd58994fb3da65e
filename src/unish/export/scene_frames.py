"""The frames of one shot that have depth, in the axes of an export: what formats of the scene are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from PIL import Image

from unish.body import Body
from unish.errors import InputError
from unish.export.axes import AXES
from unish.export.options import ExportOptions
from unish.export.take import make_take
from unish.geometry.surfaces import dilate
from unish.structs import Reconstruction

_MARGIN = 100
"""Masks of people are wider by this part of the long side: outlines are soft, and hair and shadows go beyond them."""
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class SceneFrames:
    """D frames with dense arrays of one shot.

    Attributes:
        record: frames with dense arrays alone, of all shots.
        rows: which of these are the frames of the shot.
        names: six digits, the number of each frame in the source.
        times_s: of the video.
        c2w: OpenCV axes of the camera, in the world of the export.
        intrinsics: pixels of the processed picture; the centre of the first one is (0.5, 0.5).
        placement: from the world of the shot to that of the export, a rigid motion.
        facts: what ``export.json`` says of every format that is made of them.
    """

    record: Reconstruction
    rows: Int64[ndarray, "D"]
    names: tuple[str, ...]
    times_s: Float64[ndarray, "D"]
    c2w: Float64[ndarray, "D 4 4"]
    intrinsics: Float64[ndarray, "D 3 3"]
    placement: Float64[ndarray, "4 4"]
    facts: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.record.image_size[0]), int(self.record.image_size[1])

    def pick(self, most: int) -> SceneFrames:
        """At most so many of the frames, evenly spread; says so."""
        if len(self.rows) <= most:
            return self
        some = np.linspace(0, len(self.rows) - 1, most).round().astype(int)
        note = f"{most} of the {len(self.rows)} frames with depth were written, evenly spread."
        return replace(
            self,
            rows=self.rows[some],
            names=tuple(np.array(self.names)[some].tolist()),
            times_s=self.times_s[some],
            c2w=self.c2w[some],
            intrinsics=self.intrinsics[some],
            facts=self.facts | {"notes": [*self.facts["notes"], note]},
        )

    def people(self, number: int) -> Bool[ndarray, "H W"]:
        """Pixels of people in one of the D frames, and a margin around them."""
        mask = torch.from_numpy(self.record.person_masks[int(self.rows[number])] >= 0)
        return dilate(mask, 1 + max(self.size) // _MARGIN).numpy()

    def no_scene(self, number: int) -> Bool[ndarray, "H W"]:
        """Pixels of one of the D frames that show no place: bars, a page around the film, pictures laid over it."""
        row = int(self.rows[number])
        unknown = self.record.point_conf[row] == 0
        return unknown if self.record.sky is None else unknown & ~self.record.sky[row]


def open_scene(reconstruction: Reconstruction, body: Body, options: ExportOptions) -> SceneFrames:
    """The shot that ``options`` name.

    Raises:
        InputError: there is no such shot, or no frame of it has depth.
    """
    take = make_take(reconstruction, body, replace(options, fps=None, people=None, in_place=False))
    dense = reconstruction.dense_frames
    rows = np.flatnonzero((dense >= take.frames[0]) & (dense <= take.frames[-1]))
    if not len(rows):
        raise InputError(f"shot {options.shot} has no frame with depth; there is no scene to write")
    record = reconstruction.at_dense_frames()
    return SceneFrames(
        record=record,
        rows=rows,
        names=tuple(f"{number:06d}" for number in record.frame_indices[rows].tolist()),
        times_s=record.timestamps_s[rows],
        c2w=take.c2w[dense[rows] - take.frames[0]],
        intrinsics=record.intrinsics[rows].astype(np.float64),
        placement=take.placement,
        facts={
            "shot": options.shot,
            "unit": "metres",
            "axes": AXES[options.up],
            "levelled_by_gravity": take.levelled,
            "notes": [note for note in take.notes if "feet were not held" not in note],
        },
    )


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The folder of a format with several files; the caller's work folder makes sure that it appears whole."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); make room, or choose another folder") from None


def write_pictures(frames: SceneFrames, folder: Path) -> None:
    """``images/NNNNNN.jpg``: the processed pictures."""
    (folder / "images").mkdir(exist_ok=True)
    for name, row in zip(frames.names, frames.rows.tolist(), strict=True):
        picture = Image.fromarray(np.ascontiguousarray(frames.record.images[row]))
        picture.save(folder / "images" / f"{name}.jpg", quality=JPEG_QUALITY, subsampling=0)


def write_masks(frames: SceneFrames, folder: Path, pattern: str) -> None:
    """Pictures that are black at people and at what is no scene, white elsewhere.

    Args:
        pattern: of their names, with ``{}`` for NNNNNN.
    """
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(frames.names):
        mask = np.where(frames.people(number) | frames.no_scene(number), 0, 255).astype(np.uint8)
        Image.fromarray(mask).save(folder / pattern.format(name))
