"""Files of frames: whole or not there, the bytes that numpy writes, and nothing in memory but one frame."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from unish.io import FramePile, frame_files, read_frame, read_part, write_array, write_frame, write_npz
from unish.io.frame_files import FRAMES_PER_FILE
from unish.structs import FrameArray

RNG = np.random.default_rng(0)
ARRAYS = {
    "half": RNG.random((3, 4)).astype(np.float16), "flag": np.array(True), "none": np.zeros((0, 3)), "text": "a word",
    "whole": np.arange(5), "mask": RNG.random((4, 2)) > 0.5, "bytes": np.zeros((2, 2), np.uint8), "number": 3,
}  # fmt: skip


def test_the_bytes_are_those_of_numpy(tmp_path: Path) -> None:
    write_npz(tmp_path / "ours.npz", ARRAYS)
    wanted = io.BytesIO()
    np.savez_compressed(wanted, **ARRAYS)
    assert (tmp_path / "ours.npz").read_bytes() == wanted.getvalue()
    write_array(tmp_path / "ours.npy", ARRAYS["half"])
    alone = io.BytesIO()
    np.save(alone, ARRAYS["half"])
    assert (tmp_path / "ours.npy").read_bytes() == alone.getvalue()


def test_what_an_older_file_has_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte, and without compressing it again."""
    large = {"noise": RNG.random((300, 300)), "mask": np.zeros((300, 300), bool), "changed": np.arange(1000)}
    now = large | {"changed": np.arange(1000)[::-1], "new": np.ones(1000)}
    write_npz(tmp_path / "old.npz", large)
    write_npz(tmp_path / "wanted.npz", now)
    compressed: list[np.ndarray] = []
    write = frame_files._write_npy

    def count(file: IO[bytes], array: np.ndarray) -> None:
        compressed.append(array)
        write(file, array)

    monkeypatch.setattr(frame_files, "_write_npy", count)
    write_npz(tmp_path / "new.npz", now, like=tmp_path / "old.npz")
    assert [id(array) for array in compressed] == [id(now["changed"]), id(now["new"])]
    assert (tmp_path / "new.npz").read_bytes() == (tmp_path / "wanted.npz").read_bytes()
    write_npz(tmp_path / "same.npz", large, like=tmp_path / "old.npz")
    assert (tmp_path / "same.npz").read_bytes() == (tmp_path / "old.npz").read_bytes()
    (tmp_path / "broken.npz").write_bytes((tmp_path / "old.npz").read_bytes()[:-50])
    for name in ("missing.npz", "broken.npz"):
        write_npz(tmp_path / "first.npz", large, like=tmp_path / name)
        assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "old.npz").read_bytes()


def test_frames_are_written_one_by_one(tmp_path: Path) -> None:
    whole = RNG.random((50, 6, 7)).astype(np.float32)

    class Frames:
        shape, dtype = whole.shape, whole.dtype

        def __iter__(self) -> Iterator[np.ndarray]:
            return iter(whole)

    write_npz(tmp_path / "ours.npz", {"x": Frames(), "y": FrameArray(whole.shape, whole.dtype, lambda i: whole[i])})
    with np.load(tmp_path / "ours.npz", allow_pickle=False) as file:
        assert all(np.array_equal(file[name], whole) and file[name].dtype == whole.dtype for name in "xy")
    wanted = io.BytesIO()
    np.savez_compressed(wanted, x=whole, y=whole)
    ours, theirs = (zipfile.ZipFile(file) for file in (tmp_path / "ours.npz", wanted))
    assert [one.filename for one in ours.filelist] == [one.filename for one in theirs.filelist]
    assert all(ours.read(name) == theirs.read(name) for name in ("x.npy", "y.npy"))


def test_nothing_half_written_takes_the_name(tmp_path: Path) -> None:
    def fail(frame: int) -> np.ndarray:
        if frame == 2:
            raise RuntimeError
        return np.zeros((2, 2))

    with pytest.raises(RuntimeError):
        write_npz(tmp_path / "ours.npz", {"x": FrameArray((4, 2, 2), np.dtype(np.float64), fail)})
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_file(tmp_path: Path) -> None:
    whole = RNG.random((5, 3))
    write_array(tmp_path / "a.npy", whole)
    np.testing.assert_array_equal(read_part(tmp_path / "a.npy", 3), whole[3])
    part = read_part(tmp_path / "a.npy", slice(1, 4))
    np.testing.assert_array_equal(part, whole[1:4])
    assert type(part) is np.ndarray and part.flags.owndata, "nothing of the file stays mapped"


@pytest.mark.parametrize("num_frames", [1, FRAMES_PER_FILE - 1, FRAMES_PER_FILE, FRAMES_PER_FILE + 1, 60])
def test_a_pile_gives_back_every_frame(tmp_path: Path, num_frames: int) -> None:
    whole = RNG.random((num_frames, 2, 3))
    pile = FramePile(tmp_path / "pile", num_frames)
    for number, frame in enumerate(whole):
        assert pile.next_frame == number
        pile.add(frame)
        np.testing.assert_array_equal(pile.read(number), frame)
        np.testing.assert_array_equal(pile.read(0), whole[0])
    again = FramePile(tmp_path / "pile", num_frames)
    assert again.next_frame == again.num_stored == num_frames
    np.testing.assert_array_equal(np.stack([again.read(frame) for frame in range(num_frames)]), whole)


def test_a_pile_goes_on_after_its_last_whole_file(tmp_path: Path) -> None:
    whole = RNG.random((60, 2))
    pile = FramePile(tmp_path, 60)
    for frame in whole[: FRAMES_PER_FILE + 5]:
        pile.add(frame)
    (tmp_path / ".half.part").write_bytes(b"left by a killed process")
    again = FramePile(tmp_path, 60)
    assert again.next_frame == FRAMES_PER_FILE
    for frame in whole[FRAMES_PER_FILE:]:
        again.add(frame)
    np.testing.assert_array_equal(np.stack([again.read(frame) for frame in range(60)]), whole)


def test_a_frame_of_the_store_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    write_frame(folder, 3, {"depth": np.ones((2, 2)), "images": np.zeros((2, 2, 3), np.uint8)})
    write_frame(folder, 3, {"depth": np.full((2, 2), 9.0)})
    assert [path.name for path in folder.iterdir()] == ["00000003.npz"]
    assert set(read_frame(folder, 3)) == {"depth", "images"}
    np.testing.assert_array_equal(read_frame(folder, 3, ["depth"])["depth"], np.ones((2, 2)))
