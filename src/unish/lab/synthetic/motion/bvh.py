"""Biovision hierarchy files (``.bvh``)."""

from __future__ import annotations

from io import StringIO

import numpy as np
from scipy.spatial.transform import Rotation

from unish.errors import InputError
from unish.lab.synthetic.motion.source import SourceClip, pose_source


def read_bvh(text: str, *, name: str = "bvh") -> SourceClip:
    """Parse a BVH file; end sites become joints named after their parent with ``End`` behind.

    Only the root's position channels are used. Rotations apply in the order of the channel list, each about the axes
    that the earlier ones turned.

    Raises:
        InputError: the text is not a complete BVH file.
    """
    head, marker, motion = text.partition("MOTION")
    try:
        joints = _read_hierarchy(head.split())
        count, time, table = motion.strip().split("\n", 2)
        num_frames, seconds = int(count.split()[-1]), float(time.split()[-1])
        numbers = np.loadtxt(StringIO(table), ndmin=2).ravel()
        values = numbers[: num_frames * joints.num_channels].reshape(num_frames, joints.num_channels)
    except (ValueError, IndexError) as error:
        raise InputError(f"{name}: not a complete BVH file ({error}); give an uncut text file") from None
    if not marker or num_frames < 1 or seconds <= 0:
        raise InputError(f"{name}: the BVH file has no motion; give one with at least one frame")
    local = np.tile(np.eye(3), (num_frames, len(joints.names), 1, 1))
    root = np.tile(joints.offsets[0], (num_frames, 1))
    for joint, (start, channels) in enumerate(joints.channels):
        axes = [channel[0].upper() for channel in channels if channel.endswith("rotation")]
        columns = [start + i for i, channel in enumerate(channels) if channel.endswith("rotation")]
        if axes:
            local[:, joint] = Rotation.from_euler("".join(axes), values[:, columns], degrees=True).as_matrix()
        for i, channel in enumerate(channels):
            if joint == 0 and channel.endswith("position"):
                root[:, "XYZ".index(channel[0].upper())] = values[:, start + i]
    return pose_source(
        tuple(joints.names), joints.parents, joints.offsets, local, root, rate_hz=1.0 / seconds, name=name
    )


class _Hierarchy:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.parents: list[int] = []
        self.channels: list[tuple[int, list[str]]] = []
        self.num_channels = 0
        self._offsets: list[list[float]] = []

    @property
    def offsets(self) -> np.ndarray:
        return np.array(self._offsets)

    def add(self, name: str, parent: int) -> int:
        self.names.append(name)
        self.parents.append(parent)
        self.channels.append((self.num_channels, []))
        self._offsets.append([0.0, 0.0, 0.0])
        return len(self.names) - 1

    def set_offset(self, joint: int, offset: list[float]) -> None:
        self._offsets[joint] = offset

    def set_channels(self, joint: int, channels: list[str]) -> None:
        self.channels[joint] = (self.num_channels, channels)
        self.num_channels += len(channels)


def _read_hierarchy(words: list[str]) -> _Hierarchy:
    joints = _Hierarchy()
    open_joints: list[int] = []
    current, i = -1, 0
    while i < len(words):
        word = words[i]
        if word in ("ROOT", "JOINT"):
            current = joints.add(words[i + 1], open_joints[-1] if open_joints else -1)
            i += 2
        elif word == "End":
            current = joints.add(f"{joints.names[open_joints[-1]]}End", open_joints[-1])
            i += 2
        elif word == "OFFSET":
            joints.set_offset(current, [float(number) for number in words[i + 1 : i + 4]])
            i += 4
        elif word == "CHANNELS":
            count = int(words[i + 1])
            joints.set_channels(current, words[i + 2 : i + 2 + count])
            i += 2 + count
        else:
            if word == "{":
                open_joints.append(current)
            elif word == "}":
                open_joints.pop()
            i += 1
    if not joints.names:
        raise ValueError("no joints")
    return joints
