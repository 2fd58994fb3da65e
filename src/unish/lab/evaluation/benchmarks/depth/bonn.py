"""Bonn RGB-D Dynamic (Palazzolo et al. 2019): people who walk, throw balloons and move boxes before a moving sensor.

https://www.ipb.uni-bonn.de/data/rgbd-dynamic-dataset: ``rgbd_bonn_NAME/`` in the layout of the TUM benchmark (``rgb/``,
``depth/`` png / 5000 metres, ``rgb.txt``, ``depth.txt``, ``groundtruth.txt``).
"""

from __future__ import annotations

from pathlib import Path

from unish.errors import InputError
from unish.lab.datasets.rgbd_sequence import list_tum_frames, make_tum_sequence
from unish.lab.datasets.sequences import FrameSequence
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark

CLIPS = ("balloon2", "crowd2", "crowd3", "person_tracking2", "synchronous")
FIRST_FRAME, NUM_FRAMES = 30, 110
"""The stretch of each clip, in colour pictures, that MonST3R (Zhang et al. 2024) and those after it score."""


def list_bonn(data: Path) -> list[str]:
    """Those of the five clips that are there."""
    return [name for name in CLIPS if (data / f"rgbd_bonn_{name}" / "rgb.txt").is_file()]


def open_bonn(data: Path, name: str) -> FrameSequence:
    """The stretch of a clip. Each picture has the depth that is nearest in time; pictures without one are left out.

    Raises:
        InputError: the clip ends before the stretch, or its lists cannot be read.
    """
    folder = data / f"rgbd_bonn_{name}"
    chosen = set(sorted((folder / "rgb").glob("*.png"))[FIRST_FRAME : FIRST_FRAME + NUM_FRAMES])
    frames = tuple(frame for frame in list_tum_frames(folder) if frame.colour in chosen)
    if len(frames) < 2:
        raise InputError(
            f"{folder}: no pictures {FIRST_FRAME} to {FIRST_FRAME + NUM_FRAMES - 1}; unpack the clip again"
        )
    return make_tum_sequence(folder, frames)


BONN = VideoDepthBenchmark(
    needs=f"rgbd_bonn_NAME folders of the Bonn RGB-D Dynamic dataset ({', '.join(CLIPS)})",
    list_sequences=list_bonn,
    open_sequence=open_bonn,
)
