"""TUM RGB-D dynamics (Sturm et al. 2012): the eight freiburg3 sequences in which people sit or walk.

https://cvg.cit.tum.de/data/datasets/rgbd-dataset: ``rgbd_dataset_freiburg3_sitting_static``, ``_xyz``, ``_halfsphere``
and ``_rpy``, and the same of ``walking``.
"""

from __future__ import annotations

import re
from pathlib import Path

from unish.lab.datasets.rgbd_sequence import list_tum_frames, make_tum_sequence
from unish.lab.datasets.sequences import FrameSequence
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark, list_folders

EVERY, NUM_FRAMES = 3, 90
"""Each third picture, at most 90 of them: what MonST3R (Zhang et al. 2024) and those after it score."""


def list_tum_dynamics(data: Path) -> list[str]:
    return [name for name in list_folders(data, "*", "rgb.txt") if re.search(r"freiburg3_(sitting|walking)_", name)]


def open_tum_dynamics(data: Path, name: str) -> FrameSequence:
    """The scored pictures, counted among those that have depth and a pose.

    Raises:
        InputError: one of the three lists cannot be read, or nothing fits together in time.
    """
    folder = data / name
    return make_tum_sequence(folder, list_tum_frames(folder)[::EVERY][:NUM_FRAMES])


TUM = VideoDepthBenchmark(
    needs="rgbd_dataset_freiburg3_sitting_* and _walking_* folders of the TUM RGB-D benchmark",
    list_sequences=list_tum_dynamics,
    open_sequence=open_tum_dynamics,
)
