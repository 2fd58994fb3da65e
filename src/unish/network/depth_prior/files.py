"""Depth maps that somebody else has made, from a folder.

Files are PNG (16 bits), ``.npy``, ``.npz`` (one array, or one called ``depth``) or ``.exr``, of any size that shows the
whole picture. 0, negative and not finite numbers mean unknown. Which file belongs to which frame: where names of files
are those of the pictures (a folder of pictures as source), these decide; where there are as many files as frames with
depth, their order (by the last number in the name, else the name); else the last number in the name is the frame's in
the source, counted from 0. Where none fits a frame, the frame does without.

``prior.json`` beside them says what the numbers are: ``{"kind": "metric"}`` (metres, as without the file),
``"scale-free"`` or ``"affine"`` (inverse depth up to scale and shift); ``"unit": 0.001`` is what numbers of a PNG are
multiplied by (the default for metric depth is millimetres); ``"one_scale": true`` says that the factor is one for all
frames; ``"licence": "…"`` goes into the report.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from unish.errors import InputError
from unish.io.depth_maps import DEPTH_SUFFIXES, read_depth_map
from unish.network.depth_prior.record import PriorDepth, PriorView
from unish.values import check_number, shorten

NOTES = "prior.json"
_KINDS = ("metric", "scale-free", "affine")


class DepthFiles:
    """``DepthPrior`` from the files of a folder; see the module.

    Raises:
        InputError: there is no such folder, no depth map in it, or its ``prior.json`` makes no sense.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"depth prior: {self.folder} is no folder; give one with depth maps")
        self.paths = sorted(
            (path for path in self.folder.iterdir() if path.suffix in DEPTH_SUFFIXES), key=lambda path: _order(path)
        )
        if not self.paths:
            raise InputError(f"{self.folder}: holds no depth maps ({', '.join(DEPTH_SUFFIXES)}); give another folder")
        notes = _read_notes(self.folder / NOTES)
        self.kind = notes.get("kind", "metric")
        self.unit, self.one_scale = notes.get("unit", 0.001), notes.get("one_scale", False)
        self.name, self.licence = f"files {self.folder}", str(notes.get("licence", "not stated"))
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        told = json.dumps([str(self.folder.resolve()), notes, stats]).encode()
        self.fingerprint = f"files sha256:{hashlib.sha256(told).hexdigest()}"

    def estimate(self, view: PriorView) -> PriorDepth:
        """See ``DepthPrior``.

        Raises:
            InputError: a file cannot be read, or none belongs to any of the frames.
        """
        chosen = self._choose(view)
        if not any(chosen):
            raise InputError(
                f"{self.folder}: none of its {len(self.paths)} depth maps belongs to frames "
                f"{view.frame_indices[0]} to {view.frame_indices[-1]} of the source; name them by frame"
            )
        maps = [None if path is None else self._read(path, view) for path in chosen]
        # Files may differ in size: all of them in the size of the largest.
        height = max(depth.shape[0] for depth in maps if depth is not None)
        width = max(depth.shape[1] for depth in maps if depth is not None)
        values = torch.stack([_fit(depth, (height, width)) for depth in maps])
        return PriorDepth(values=values, known=values > 0, kind=self.kind, one_scale=self.one_scale)

    def _read(self, path: Path, view: PriorView) -> Float[Tensor, "h w"]:
        """The part of a map of the whole picture that lies inside of its bars."""
        depth = torch.from_numpy(read_depth_map(path, self.unit))
        height, width = depth.shape
        top, left, bottom, right = (
            round(share * side) for share, side in zip(view.part, (height, width) * 2, strict=True)
        )
        return depth[min(top, height - 1) : max(bottom, top + 1), min(left, width - 1) : max(right, left + 1)]

    def _choose(self, view: PriorView) -> list[Path | None]:
        if view.frame_names is not None:
            by_name = {path.stem: path for path in self.paths}
            found = [by_name.get(Path(name).stem) for name in view.frame_names]
            if any(found):
                return found
        if len(self.paths) == view.num_dense:
            return [self.paths[position] for position in view.positions]
        by_number = {number: path for path in self.paths if (number := _last_number(path)) is not None}
        return [by_number.get(index) for index in view.frame_indices]


def _fit(depth: Float[Tensor, "h w"] | None, size: tuple[int, int]) -> Float[Tensor, "H W"]:
    """To a size, without mixing what is known with what is not; zeros for ``None``."""
    if depth is None:
        return torch.zeros(size)
    if tuple(depth.shape) == size:
        return depth
    return functional.interpolate(depth[None, None], size, mode="nearest-exact")[0, 0]


def _last_number(path: Path) -> int | None:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def _order(path: Path) -> tuple[float, str]:
    number = _last_number(path)
    return (np.inf if number is None else number), path.name


def _read_notes(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not JSON ({error}); see docs/experts.md for what it may say") from None
    if not isinstance(notes, dict) or not notes.keys() <= {"kind", "unit", "one_scale", "licence"}:
        raise InputError(f"{path}: says {shorten(notes)}; it may say kind, unit, one_scale and licence")
    if notes.get("kind", "metric") not in _KINDS:
        raise InputError(f"{path}: kind is {shorten(notes['kind'])}; give one of {', '.join(_KINDS)}")
    if "unit" in notes:
        notes["unit"] = check_number(f"unit in {path}", notes["unit"], above=0)
    if not isinstance(notes.get("one_scale", False), bool):
        raise InputError(f"{path}: one_scale is {shorten(notes['one_scale'])}; give true or false")
    return notes
