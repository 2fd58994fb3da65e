"""Frames that are read when they are asked for, indexed as an array is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unish.structs import FrameArray, cut_frames, join_frames, pick_frames

WHOLE = np.arange(7 * 3 * 4, dtype=np.float32).reshape(7, 3, 4)


class Reader:
    """Gives frames of an array and counts how often each was read."""

    def __init__(self, whole: np.ndarray | torch.Tensor) -> None:
        self.whole, self.reads = whole, list[int]()

    def __call__(self, frame: int) -> np.ndarray | torch.Tensor:
        self.reads.append(frame)
        return self.whole[frame]


def lazy(whole: np.ndarray | torch.Tensor = WHOLE) -> FrameArray:
    return FrameArray(whole.shape, whole.dtype, Reader(whole))


KEYS = [
    0, -1, np.int64(4), slice(None), slice(2, 5), slice(None, None, 3), slice(5, 2), [1, 4], [], np.array([6, 0]),
    np.array([True, False, True, False, False, False, True]), (2, 1), (2, [0, 2], [1, 3]), (slice(1, 3), 0),
    (slice(None), slice(0, 2), 1), ([0, 3], slice(1, None)), WHOLE > 30, (WHOLE > 30)[:, :, 0],
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexed_as_numpy_does(key: object) -> None:
    found, wanted = lazy()[key], WHOLE[key]
    np.testing.assert_array_equal(found, wanted)
    assert np.asarray(found).dtype == wanted.dtype and np.shape(found) == wanted.shape


@pytest.mark.parametrize("key", [3, torch.tensor(3), slice(1, 4), torch.tensor([5, 2]), torch.arange(7) > 4, (1, 2)])
def test_indexed_as_torch_does(key: object) -> None:
    whole = torch.from_numpy(WHOLE)
    found = lazy(whole)[key]
    assert isinstance(found, torch.Tensor) and torch.equal(found, whole[key])


def test_it_looks_like_an_array() -> None:
    frames = lazy()
    assert (frames.shape, frames.ndim, len(frames), frames.nbytes) == ((7, 3, 4), 3, 7, WHOLE.nbytes)
    assert frames.dtype == np.float32 and list(frames.at_hand) == list(range(7))
    np.testing.assert_array_equal(np.asarray(frames), WHOLE)
    assert np.asarray(frames, np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.stack(list(frames)), WHOLE)
    assert lazy(torch.zeros(0, 3, 4))[:].shape == (0, 3, 4)


def test_a_frame_costs_one_read_and_the_last_one_none() -> None:
    reader = Reader(WHOLE)
    frames = FrameArray(WHOLE.shape, WHOLE.dtype, reader)
    assert frames[2, 0, 0] == frames[2, 1, 1] - 5 and frames[[2, 3]].shape == (2, 3, 4)
    assert reader.reads == [2, 3]
    assert cut_frames(frames, slice(1, 6)).shape == (5, 3, 4) and reader.reads == [2, 3], "nothing is read by cutting"


def test_a_frame_need_not_be_remembered() -> None:
    reader = Reader(WHOLE)
    frames = FrameArray(WHOLE.shape, WHOLE.dtype, reader, remember=False)
    assert frames[2, 0, 0] == frames[2, 1, 1] - 5 and reader.reads == [2, 2] and frames._last[1] is None


@pytest.mark.parametrize("key", [7, -8, [0, 9], np.ones((7, 4), bool)])
def test_what_is_not_there_is_an_error(key: object) -> None:
    with pytest.raises(IndexError):
        lazy()[key]


def test_lists_beside_lists_are_refused_for_numpy_would_pair_them() -> None:
    with pytest.raises(TypeError, match="pick the frames first"):
        lazy()[[0, 1], [1, 2]]


def test_parts_are_cut_picked_and_joined() -> None:
    frames = lazy()
    np.testing.assert_array_equal(cut_frames(frames, slice(2, 6))[:], WHOLE[2:6])
    np.testing.assert_array_equal(pick_frames(frames, [6, 0, 3])[1:], WHOLE[[0, 3]])
    joined = join_frames([WHOLE[:2], cut_frames(frames, slice(2, 3)), WHOLE[3:]])
    assert joined.shape == WHOLE.shape
    np.testing.assert_array_equal(joined[:], WHOLE)
    assert FrameArray.like(frames, lambda frame: frames[frame] > 3, dtype=np.dtype(bool))[0].dtype == bool


def test_elements_are_picked_without_the_frame_and_are_the_same() -> None:
    picked = list[tuple[int, object]]()

    def pick(frame: int, place: tuple[object, ...]) -> np.ndarray:
        picked.append((frame, place))
        return WHOLE[(frame, *place)]

    reader = Reader(WHOLE)
    frames = FrameArray(WHOLE.shape, WHOLE.dtype, reader, pick=pick)
    changed = FrameArray.map(lambda one, other: one * 2 + other, cut_frames(frames, slice(2, 6)), WHOLE[2:6])
    rows, columns = np.array([0, 2, 1]), np.array([3, 0, 0])
    np.testing.assert_array_equal(changed[1, rows, columns], 3 * WHOLE[3, rows, columns])
    np.testing.assert_array_equal(changed[-1, ::2, 1:], 3 * WHOLE[5, ::2, 1:])
    assert reader.reads == [] and [frame for frame, _ in picked] == [3, 5]
    np.testing.assert_array_equal(changed[1], 3 * WHOLE[3])
    assert reader.reads == [3] and len(picked) == 2
    assert changed[1, 0, 0] == 3 * WHOLE[3, 0, 0] and len(picked) == 2, "a frame that is there need not be asked again"
    with pytest.raises(IndexError):
        frames[7, 0]


def test_what_is_at_hand_stays_known_when_frames_are_picked() -> None:
    frames = FrameArray(WHOLE.shape, WHOLE.dtype, Reader(WHOLE), at_hand=[0, 2, 4, 6])
    assert pick_frames(frames, [1, 2, 3, 4]).at_hand == [1, 3]
    assert list(pick_frames(WHOLE, [1, 2]).at_hand) == [0, 1]
