"""ScanNet (Dai et al. 2017): static rooms, scanned by hand.

http://www.scan-net.org, after its own ``reader.py`` has unpacked the ``.sens`` files: ``sceneNNNN_NN/color/N.jpg``,
``depth/N.png`` (millimetres, 0 = unknown), ``pose/N.txt`` (4×4 camera to world, metres; −inf where tracking was lost),
``intrinsic/intrinsic_color.txt`` (4×4, pixels of the colour picture).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unish.errors import InputError
from unish.lab.datasets.rgbd_sequence import RgbdFrame, RgbdSequence
from unish.lab.datasets.sequences import FrameSequence, read_numbers
from unish.lab.evaluation.benchmarks.depth.video import VideoDepthBenchmark, list_folders

EVERY, NUM_FRAMES = 3, 90
"""Each third picture, at most 90 of them: what MonST3R (Zhang et al. 2024) and those after it score."""
FPS = 30.0


def list_scannet(data: Path) -> list[str]:
    return list_folders(data, "scene*", "color")


def open_scannet(data: Path, name: str) -> FrameSequence:
    """The scored pictures; those whose camera was lost are left out.

    Raises:
        InputError: a file is missing, or hardly any camera is known.
    """
    folder = data / name
    numbers = sorted(int(path.stem) for path in (folder / "color").glob("*.jpg") if path.stem.isdigit())
    frames = []
    for number in numbers[::EVERY][:NUM_FRAMES]:
        pose = read_numbers(folder / "pose" / f"{number}.txt", (4, 4))
        if np.isfinite(pose).all():
            frames.append(
                RgbdFrame(
                    name=f"{number:06d}",
                    colour=folder / "color" / f"{number}.jpg",
                    depth=folder / "depth" / f"{number}.png",
                    pose=pose,
                    time_s=number / FPS,
                )
            )
    if len(frames) < 2:
        raise InputError(f"{folder}: fewer than two pictures with a known camera; unpack the scene again")
    k = read_numbers(folder / "intrinsic" / "intrinsic_color.txt", (4, 4))
    camera = (float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
    return RgbdSequence(frames=tuple(frames), camera=camera, metres_per_unit=0.001)


SCANNET = VideoDepthBenchmark(
    needs="sceneNNNN_NN folders with color/, depth/, pose/ and intrinsic/, as ScanNet's reader.py unpacks them",
    list_sequences=list_scannet,
    open_sequence=open_scannet,
    settings={"people": 0},
)
