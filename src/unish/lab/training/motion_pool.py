"""Motions made once and kept small, from which training windows are cut with tensor operations alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor
from tqdm import tqdm

from unish.body.joints import MIRRORED_JOINTS
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.io import written_beside
from unish.lab.synthetic.motion import MotionLibrary, sample_motion


@dataclass(frozen=True, kw_only=True)
class MotionPool:
    """M motions of T frames.

    Attributes:
        rotations_aa: (M, T, 24, 3) radians, relative to the parent; root in a y-up world.
        root: (M, T, 3) metres, y up, for the nominal skeleton.
        rate_hz: frames per second.
    """

    rotations_aa: Float16[Tensor, "M T 24 3"]
    root: Float16[Tensor, "M T 3"]
    rate_hz: float

    @classmethod
    def make(
        cls, count: int, *, library: MotionLibrary | None, seconds: float = 8.0, rate_hz: float = 30.0, seed: int = 0
    ) -> MotionPool:
        """Half captured motion (where there is a library), the rest procedural; motion i depends on (seed, i) alone."""
        times = torch.arange(round(seconds * rate_hz), dtype=torch.float64) / rate_hz
        rotations = torch.empty(count, len(times), 24, 3, dtype=torch.float16)
        root = torch.empty(count, len(times), 3, dtype=torch.float16)
        for i in tqdm(range(count), desc="motions", disable=None):
            rng = np.random.default_rng([seed, i])
            captured = library is not None and rng.uniform() < 0.5
            motion = library.sample(rng, times) if captured and library is not None else sample_motion(rng, times)
            rotations[i] = matrix_to_axis_angle(motion.rotations).half()
            root[i] = motion.root.half()
        return cls(rotations_aa=rotations, root=root, rate_hz=rate_hz)

    def save(self, path: Path) -> None:
        """Write the tensors beside their final name, then rename."""
        with written_beside(path) as beside:
            torch.save({"rotations_aa": self.rotations_aa, "root": self.root, "rate_hz": self.rate_hz}, beside)

    @classmethod
    def load(cls, path: Path) -> MotionPool:
        """Read what ``save`` wrote."""
        return cls(**torch.load(path, weights_only=True))

    def cut(
        self, motion: Int[Tensor, "S"], frames: Int[Tensor, "S N"], mirrored: Int[Tensor, "S"]
    ) -> tuple[Float[Tensor, "S N 24 3 3"], Float[Tensor, "S N 3"]]:
        """Rotations and root path of chosen frames, some of them mirrored left to right."""
        aa = self.rotations_aa[motion[:, None], frames].float()
        root = self.root[motion[:, None], frames].float()
        # A mirrored axis-angle keeps its x (axial vector in the mirror x → −x) and changes the sign of y and z.
        swapped = aa[:, :, list(MIRRORED_JOINTS)] * aa.new_tensor([1.0, -1.0, -1.0])
        flip = mirrored.bool()[:, None, None]
        aa = torch.where(flip[..., None], swapped, aa)
        root = torch.where(flip, root * root.new_tensor([-1.0, 1.0, 1.0]), root)
        return axis_angle_to_matrix(aa), root
