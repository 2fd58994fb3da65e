"""Motion capture files as one endless source of clips."""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from unish.errors import DegradedResultWarning, InputError
from unish.lab.synthetic.motion.asf_amc import read_asf_amc
from unish.lab.synthetic.motion.bvh import read_bvh
from unish.lab.synthetic.motion.deepmimic import read_deepmimic
from unish.lab.synthetic.motion.record import Motion, mirror_motion, resample_motion, turn_motion
from unish.lab.synthetic.motion.retarget import retarget


@dataclass(frozen=True)
class MotionLibrary:
    """Motions from files, at their own rates."""

    motions: tuple[Motion, ...]

    @classmethod
    def read(cls, paths: Iterable[str | Path]) -> MotionLibrary:
        """Every BVH, ASF/AMC and DeepMimic file in the folders, files and tar archives of ``paths``.

        A file that cannot be used is left out with a warning.

        Raises:
            InputError: a path does not exist, or nothing could be read.
        """
        motions = []
        for name, text, skeleton in _find_texts([Path(path) for path in paths]):
            try:
                motions.append(read_motion(name, text, skeleton))
            except InputError as error:
                warnings.warn(str(error), DegradedResultWarning, stacklevel=2)
        if not motions:
            raise InputError("no motion could be read; give folders with .bvh, .asf/.amc or DeepMimic .txt files")
        return cls(tuple(motions))

    @property
    def minutes(self) -> float:
        return sum(motion.duration_s for motion in self.motions) / 60

    def sample(self, rng: np.random.Generator, timestamps_s: Float64[Tensor, "N"]) -> Motion:
        """A random stretch at a random speed, heading and side; the longer a file the likelier (by √duration)."""
        weights = np.sqrt([motion.duration_s + 0.5 for motion in self.motions])
        motion = self.motions[rng.choice(len(self.motions), p=weights / weights.sum())]
        times = (timestamps_s - timestamps_s[0]) * rng.uniform(0.7, 1.25)
        slack = max(motion.duration_s - float(times[-1]), 0.0)
        picked = resample_motion(motion, motion.timestamps_s[0] + rng.uniform(0, 1) * slack + times)
        start = picked.root[:1] * torch.tensor([1.0, 0.0, 1.0])
        picked = replace(picked, timestamps_s=timestamps_s, root=picked.root - start)
        if rng.uniform() < 0.5:
            picked = mirror_motion(picked)
        return turn_motion(picked, rng.uniform(-np.pi, np.pi))


@lru_cache(maxsize=2)
def load_library(path: str) -> MotionLibrary:
    """The library of one folder or archive, once per process.

    Raises:
        InputError: as ``MotionLibrary.read``.
    """
    return MotionLibrary.read([path])


def read_motion(name: str, text: str, skeleton: str | None = None) -> Motion:
    """One motion from the text of a file; the end of ``name`` says which format (``skeleton``: the ASF of an AMC).

    Raises:
        InputError: unknown format, unreadable text or unknown skeleton.
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".bvh":
        return retarget(read_bvh(text, name=name))
    if suffix == ".txt":
        return retarget(read_deepmimic(text, name=name))
    if suffix == ".amc" and skeleton is not None:
        return retarget(read_asf_amc(skeleton, text, name=name))
    raise InputError(f"{name}: not a motion file that can be read (.bvh, .amc beside its .asf, DeepMimic .txt)")


def _find_texts(paths: list[Path]) -> Iterator[tuple[str, str, str | None]]:
    """(name, text, text of the skeleton) of every motion file, in a stable order."""
    for path in paths:
        if path.is_dir():
            found = sorted(f for f in path.rglob("*") if f.is_file() and _is_motion_name(f.name))
            files = {str(file.relative_to(path)): file.read_text(errors="replace") for file in found}
        elif path.is_file() and tarfile.is_tarfile(path):
            files = _read_tar(path)
        elif path.is_file():
            files = {path.name: path.read_text(errors="replace")}
        else:
            raise InputError(f"{path}: no such file or folder; give existing motion files")
        for name in sorted(files):
            if Path(name).suffix.lower() == ".asf":
                continue
            # CMU names a motion SUBJECT_TRIAL and its skeleton SUBJECT.
            skeleton = files.get(str(Path(name).with_name(f"{Path(name).stem.split('_')[0]}.asf")))
            yield name, files[name], skeleton


def _read_tar(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        files = {m.name: archive.extractfile(m) for m in archive.getmembers() if m.isfile() and _is_motion_name(m.name)}
        return {name: file.read().decode(errors="replace") for name, file in files.items() if file is not None}


def _is_motion_name(name: str) -> bool:
    return Path(name).suffix.lower() in (".bvh", ".amc", ".asf", ".txt")
