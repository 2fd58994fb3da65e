"""Short gaps of people are filled: smoothly, in the world, within a shot, and marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from small_record import make_figure, make_record
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, rotation_angle
from unish.reconstruction import fill_gaps
from unish.structs import BodyParams, Reconstruction

PARAMETERS = ("global_orient_aa", "body_pose_aa", "transl", "joints")


def _record(hidden: list[tuple[int, int]], *, num_frames: int = 12, num_shots: int = 1) -> Reconstruction:
    """Two people, one of them not seen in the frames from … to … (exclusive)."""
    record = make_record(make_figure(), num_frames=num_frames, num_shots=num_shots)
    record.person_valid[:] = True
    rng = np.random.default_rng(0)
    record.transl[0] = np.cumsum(rng.normal(size=(num_frames, 3)) * 0.1, axis=0)
    record.global_orient_aa[0] = rng.normal(size=(num_frames, 3))
    record.body_pose_aa[0] = rng.normal(size=(num_frames, 69)) * 0.4
    record.joints[:] = rng.normal(size=(2, num_frames, 24, 3))
    for start, stop in hidden:
        record.person_valid[0, start:stop] = False
        for name in (*PARAMETERS, "boxes_xyxy"):
            getattr(record, name)[0, start:stop] = np.nan
    return record


def test_only_short_gaps_between_seen_frames_are_filled() -> None:
    # Six frames a second: two frames that are missing leave half a second between those beside them.
    record = _record([(0, 2), (3, 5), (6, 9), (11, 12)])
    assert not fill_gaps(record, make_figure(), 0.0).person_filled.any()
    filled = fill_gaps(record, make_figure(), 0.5)
    assert np.argwhere(filled.person_filled).tolist() == [[0, 3], [0, 4]]
    longer = fill_gaps(record, make_figure(), 1.0)
    assert np.argwhere(longer.person_filled)[:, 1].tolist() == [3, 4, 6, 7, 8]
    for found in (filled, longer):
        np.testing.assert_array_equal(found.person_valid, record.person_valid)
        shown = found.person_valid | found.person_filled
        for name in PARAMETERS:
            values = getattr(found, name)
            assert np.isfinite(values[shown]).all() and np.isnan(values[~shown]).all(), name
            np.testing.assert_array_equal(values[record.person_valid], getattr(record, name)[record.person_valid])
        assert np.isnan(found.boxes_xyxy[found.person_filled]).all()


def test_nothing_is_filled_over_a_cut() -> None:
    record = _record([(5, 7)], num_shots=2)
    assert not fill_gaps(record, make_figure(), 10.0).person_filled.any()
    # The worlds of two shots have nothing to do with one another: what another shot holds changes nothing.
    record = _record([(2, 4)], num_shots=2)
    elsewhere = replace(record, transl=record.transl.copy())
    elsewhere.transl[:, 6:] += 100
    first, second = (fill_gaps(one, make_figure(), 10.0).transl[:, :6] for one in (record, elsewhere))
    np.testing.assert_array_equal(first, second)


def test_joints_turn_evenly_and_the_root_stays_between_its_neighbours() -> None:
    record = _record([(4, 8)])
    found = fill_gaps(record, make_figure(), 2.0)
    turns = axis_angle_to_matrix(torch.from_numpy(found.body_pose_aa[0, 3:9].reshape(6, 23, 3)).double())
    steps = rotation_angle(turns[:-1].mT @ turns[1:])
    np.testing.assert_allclose(steps, steps[:1].expand(5, 23), atol=2e-5)
    low, high = np.sort(record.transl[0, [3, 8]], axis=0)
    inside = found.transl[0, 4:8]
    assert (inside >= low - 1e-6).all() and (inside <= high + 1e-6).all()


def test_the_joints_are_those_of_the_body() -> None:
    body = make_figure()
    found = fill_gaps(_record([(4, 8)]), body, 2.0)
    params = BodyParams(
        betas=torch.from_numpy(found.betas[:1]).expand(4, 10),
        global_orient=axis_angle_to_matrix(torch.from_numpy(found.global_orient_aa[0, 4:8])),
        body_pose=axis_angle_to_matrix(torch.from_numpy(found.body_pose_aa[0, 4:8].reshape(4, 23, 3))),
        transl=torch.from_numpy(found.transl[0, 4:8]),
    )
    np.testing.assert_allclose(found.joints[0, 4:8], body.joints(params).numpy(), atol=2e-6)


def test_half_a_turn_is_bridged_the_short_way() -> None:
    record = _record([(4, 7)])
    about_y = np.array([0.0, 1.0, 0.0], np.float32)
    # 170 degrees one way and 170 the other way lie 20 degrees apart, at the back.
    record.global_orient_aa[0, 3], record.global_orient_aa[0, 7] = 2.967 * about_y, -2.967 * about_y
    middle = fill_gaps(record, make_figure(), 2.0).global_orient_aa[0, 5]
    back = axis_angle_to_matrix(torch.tensor([0.0, torch.pi, 0.0]))
    assert rotation_angle(axis_angle_to_matrix(torch.from_numpy(middle)) @ back.mT) < 1e-3
    assert matrix_to_axis_angle(axis_angle_to_matrix(torch.from_numpy(middle))).norm() <= torch.pi + 1e-5
