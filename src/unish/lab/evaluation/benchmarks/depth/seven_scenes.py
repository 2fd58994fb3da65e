"""7-Scenes (Shotton et al. 2013), whole: every sequence that a scene's ``TestSplit.txt`` names, thinned out.

``SCENE/seq-NN/frame-NNNNNN.{color.png,depth.png,pose.txt}`` and ``SCENE/TestSplit.txt``, as
``lab.datasets.rgbd_sequence`` describes them. The benchmark ``7scenes`` scores short clips of a
single folder of such frames instead.
"""

from __future__ import annotations

from pathlib import Path

from unish.errors import InputError
from unish.lab.datasets.rgbd_sequence import find_seven_scenes, list_seven_scenes_frames, make_seven_scenes_sequence
from unish.lab.datasets.sequences import FrameSequence
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark

EVERY = 40
"""Each 40th picture of the 500 or 1000 of a sequence: the dense setting of π³ (Wang et al. 2025)."""


def list_seven_scenes(data: Path) -> list[str]:
    """``SCENE/seq-NN`` of all test sequences; ``data`` is one scene or the folder of all."""
    if not any(data.glob("seq-*")) and not any(data.glob("*/seq-*")):
        return []
    return sorted(f"{place.parent.name}/{place.name}" for place in find_seven_scenes(data, "test"))


def open_seven_scenes_test(data: Path, name: str) -> FrameSequence:
    """The scored pictures of one sequence.

    Raises:
        InputError: fewer than two of its pictures have depth and a pose.
    """
    scene, sequence = name.split("/")
    folder = data / sequence if data.name == scene and (data / sequence).is_dir() else data / scene / sequence
    frames = list_seven_scenes_frames(folder)[::EVERY]
    if len(frames) < 2:
        raise InputError(f"{folder}: too few pictures with depth and pose; unpack the sequence's zip file")
    return make_seven_scenes_sequence(frames)


SEVEN_SCENES_TEST = VideoDepthBenchmark(
    needs="7-Scenes' scene folders, each with its seq-NN folders and TestSplit.txt",
    list_sequences=list_seven_scenes,
    open_sequence=open_seven_scenes_test,
    has_points=True,
    settings={"people": 0},
)
