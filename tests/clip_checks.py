"""What every source of clips must keep to, whatever it reads."""

from __future__ import annotations

import numpy as np

from unish.lab.datasets import CLIP_ARRAYS, ClipArrays, ClipSource


def assert_is_a_clip(arrays: ClipArrays, num_frames: int) -> None:
    """Names, types, and shapes whose axes agree with one another."""
    axes: dict[str, int] = {"N": num_frames}
    assert "images" in arrays and arrays.keys() <= CLIP_ARRAYS.keys()
    for name, values in arrays.items():
        kind = CLIP_ARRAYS[name]
        assert values.dtype == np.dtype(kind.dtype), f"{name} is {values.dtype}"
        assert values.ndim == len(kind.shape.split()), f"{name} is {values.shape}"
        for axis, length in zip(kind.shape.split(), values.shape, strict=True):
            expected = int(axis) if axis.isdigit() else axes.setdefault(axis, length)
            assert length == expected, f"{name} is {values.shape}, but {axis} = {expected}"


def assert_keeps_its_promises(source: ClipSource, num_frames: int, *, index: int = 0) -> ClipArrays:
    """A loaded clip has what was described, in the size that was announced, and follows the dice alone."""
    notes = source.describe()
    assert isinstance(source, ClipSource) and notes.name and notes.licence
    clip = source.load(index, np.random.default_rng(3), num_frames=num_frames, max_stride=2)
    assert_is_a_clip(clip, num_frames)
    assert set(clip) == set(notes.arrays) and not set(notes.missing) & set(clip)
    assert clip["images"].shape[1:3] == source.size(index)
    again = source.load(index, np.random.default_rng(3), num_frames=num_frames, max_stride=2)
    for name, values in clip.items():
        np.testing.assert_array_equal(values, again[name], err_msg=name)
    small = source.load(index, np.random.default_rng(3), num_frames=num_frames, size=(32, 48))
    assert_is_a_clip(small, num_frames)
    assert small["images"].shape[1:3] == (32, 48)
    return clip
