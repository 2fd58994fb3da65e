"""Measures of the still scene, in a room whose every number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_room import FOCAL, HEIGHT, WIDTH, make_room, turn_world
from unish.reconstruction.checks import scene
from unish.reconstruction.checks.ground import unproject_pixels
from unish.reconstruction.checks.patches import choose_patches
from unish.reconstruction.checks.scene import (
    camera_extent,
    field_of_view,
    find_depth_jump,
    find_static,
    measure_stillness,
    overhang_share,
    static_disagreement,
)
from unish.reconstruction.world_checks import measure_shots
from unish.structs import FrameArray, Reconstruction

ALL = np.arange(6)


def _empty(num_frames: int = 6) -> Reconstruction:
    return make_room(num_people=0, num_frames=num_frames)[0]


def _flat(depth: float, num_frames: int = 6) -> Reconstruction:
    """Nothing but a wall."""
    record = _empty(num_frames)
    return replace(record, depth=np.full_like(record.depth, depth))


def _with_cameras(record: Reconstruction, x_m: np.ndarray) -> Reconstruction:
    c2w = record.c2w.copy()
    c2w[:, 0, 3] = x_m
    return replace(record, c2w=c2w)


def test_pixels_are_unprojected_at_their_centres() -> None:
    record = turn_world(_flat(3.0))
    found = unproject_pixels(record, 2, np.array([48, 0]), np.array([64, 10]))
    local = np.array([[0.5 / FOCAL * 3, 0.5 / FOCAL * 3, 3], [(10.5 - 64) / FOCAL * 3, (0.5 - 48) / FOCAL * 3, 3]])
    expected = local @ record.c2w[2, :3, :3].T + record.c2w[2, :3, 3]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_static_pixels_are_sure_and_belong_to_no_person_and_no_edge() -> None:
    record = _flat(3.0)
    depth, masks, conf = record.depth.copy(), record.person_masks.copy(), record.point_conf.copy()
    depth[0, :, 40:] = 3.25
    depth[0, :, 80:] = 3.6
    depth[0, 20, 5] = 0
    masks[0, 50:, :10] = 0
    conf[0, 60:, 100:] = 0.19
    expected = np.ones((HEIGHT, WIDTH), bool)
    # A step of 8 % is none, one of 11 % is: both sides of it go, and the four neighbours of a hole.
    expected[:, 79:81] = False
    expected[19:22, 5] = expected[20, 4:7] = False
    expected[50:, :10] = False
    expected[60:, 100:] = False
    found = find_static(replace(record, depth=depth, person_masks=masks, point_conf=conf), 0)
    np.testing.assert_array_equal(found, expected)
    # The same on its side.
    aside = np.full_like(record.depth, 3.0)
    aside[0, 40:] = 3.25
    aside[0, 70:] = 3.6
    expected = np.ones((HEIGHT, WIDTH), bool)
    expected[69:71] = False
    np.testing.assert_array_equal(find_static(replace(record, depth=aside), 0), expected)


def test_frames_that_agree_have_no_disagreement() -> None:
    # Measured 4e-5 percent: depth in float32.
    assert static_disagreement(_flat(4.0), ALL) == pytest.approx(0, abs=1e-3)
    assert static_disagreement(turn_world(_with_cameras(_flat(4.0), 0.1 * ALL)), ALL) == pytest.approx(0, abs=1e-3)


def test_disagreement_is_the_median_of_log_ratios_in_percent() -> None:
    record = _flat(4.0, 2)
    depth = record.depth.copy()
    depth[1] *= 1.1
    assert static_disagreement(replace(record, depth=depth), ALL[:2]) == pytest.approx(100 * np.log(1.1), abs=1e-3)
    # The median does not mind a third that is wrong.
    depth[1, :30] *= 3
    assert static_disagreement(replace(record, depth=depth), ALL[:2]) == pytest.approx(100 * np.log(1.1), abs=1e-3)
    # A camera that is said to have gone forwards by 0.2 m is off by that.
    c2w = record.c2w.copy()
    c2w[1, 2, 3] = 0.2
    expected = 100 * np.log(4.2 / 4), 100 * np.log(4 / 3.8)
    found = static_disagreement(replace(record, c2w=c2w), ALL[:2])
    assert found == pytest.approx(np.mean(expected), abs=1e-2)


def test_disagreement_needs_a_hundred_shared_points() -> None:
    record = _flat(4.0, 2)
    masks = np.zeros_like(record.person_masks)
    masks[:, :9, :11] = -1
    assert np.isnan(static_disagreement(replace(record, person_masks=masks), ALL[:2]))
    masks[:, :10, :10] = -1
    assert static_disagreement(replace(record, person_masks=masks), ALL[:2]) == pytest.approx(0, abs=1e-3)
    apart = record.c2w.copy()
    apart[1, :3, :3] = np.diag([-1, 1, -1])
    assert np.isnan(static_disagreement(replace(record, c2w=apart), ALL[:2]))


def test_disagreement_stays_within_the_frames() -> None:
    record = _flat(4.0, 6)
    depth = record.depth.copy()
    depth[3:] *= 1.5
    record = replace(record, depth=depth)
    assert static_disagreement(record, ALL[:3]) == pytest.approx(0, abs=1e-3)
    assert static_disagreement(record, ALL[3:]) == pytest.approx(0, abs=1e-3)
    assert static_disagreement(record, ALL) == pytest.approx(100 * np.log(1.5), abs=1e-3)


def test_a_frame_that_is_wrong_among_many_is_found_by_its_neighbours() -> None:
    record = _empty(30)
    depth = record.depth.copy()
    depth[12:14] /= 16
    found = find_depth_jump(replace(record, depth=depth), np.arange(30))
    assert (found.log_ratio, found.frame) == (pytest.approx(-np.log(16), abs=1e-4), 12)
    depth[14:] *= 1.25
    found = find_depth_jump(replace(record, depth=depth), np.arange(30))
    assert (found.log_ratio, found.frame) == (pytest.approx(np.log(20), abs=1e-4), 14)
    # The median over pairs does not see two frames of thirty.
    depth = record.depth.copy()
    depth[12:14] /= 16
    assert static_disagreement(replace(record, depth=depth), np.arange(30)) == pytest.approx(0, abs=1e-3)


def test_depth_that_changes_as_the_camera_moves_is_no_jump() -> None:
    # 30 cm a frame along its axis towards a wall 4 m away.
    c2w, depth = _flat(4.0).c2w.copy(), _flat(4.0).depth.copy()
    for frame in range(6):
        c2w[frame, 2, 3] = 0.3 * frame
        depth[frame] -= 0.3 * frame
    record = replace(_flat(4.0), c2w=c2w, depth=depth)
    assert find_depth_jump(turn_world(record), ALL).log_ratio == pytest.approx(0, abs=1e-5)
    # A camera that is said to stay makes it one, largest at the end; to the side the wall is as far as before.
    found = find_depth_jump(_with_cameras(replace(record, c2w=_flat(4.0).c2w), 0.1 * ALL), ALL)
    assert (found.log_ratio, found.frame) == (pytest.approx(np.log(2.5 / 2.8), abs=1e-5), 5)


def test_a_jump_is_of_the_still_scene_within_one_shot() -> None:
    record = _flat(4.0)
    depth, masks, conf = record.depth.copy(), record.person_masks.copy(), record.point_conf.copy()
    depth[3:] *= 1.5
    record = replace(record, depth=depth)
    assert [find_depth_jump(record, half).log_ratio for half in (ALL[:3], ALL[3:])] == pytest.approx([0, 0], abs=1e-6)
    assert find_depth_jump(record, ALL).log_ratio == pytest.approx(np.log(1.5), abs=1e-5)
    # People and what nobody is sure of have no say, in either frame.
    wide = slice(0, WIDTH * 3 // 4)
    for frames in ([2], [3]):
        masks[:], conf[:] = -1, 0.9
        masks[frames, :, wide] = 0
        near = np.where(np.arange(WIDTH) < wide.stop, depth, 4.0)
        assert find_depth_jump(replace(record, depth=near, person_masks=masks), ALL).log_ratio == pytest.approx(
            0, abs=1e-5
        )
        conf[frames, :, wide] = 0.19
        unsure = replace(record, depth=near, point_conf=conf)
        assert find_depth_jump(unsure, ALL).log_ratio == pytest.approx(0, abs=1e-5)
    alone = find_depth_jump(replace(record, depth=0 * depth), ALL)
    assert np.isnan(alone.log_ratio) and alone.frame == -1


def test_a_jump_is_measured_from_both_frames_and_at_depth_edges_too() -> None:
    # Two metres nearer to a wall, and at half of its depth there: 1 m instead of 2 m, and 3 m seen back instead of 4 m.
    c2w, depth = _flat(4.0, 2).c2w.copy(), _flat(4.0, 2).depth.copy()
    c2w[1, 2, 3], depth[1] = 2.0, 1.0
    found = find_depth_jump(replace(_flat(4.0, 2), c2w=c2w, depth=depth), ALL[:2])
    assert found.log_ratio == pytest.approx((np.log(3 / 4) - np.log(2 / 1)) / 2, abs=1e-5)
    rough = np.where(np.indices((HEIGHT, WIDTH)).sum(0) % 2, 4.0, 5.0) * np.array([1, 2])[:, None, None]
    assert not find_static(replace(_flat(4.0, 2), depth=rough.astype(np.float32)), 0).any()
    found = find_depth_jump(replace(_flat(4.0, 2), depth=rough.astype(np.float32)), ALL[:2])
    assert found.log_ratio == pytest.approx(np.log(2), abs=1e-5)


def test_jumps_are_looked_for_in_each_frame_once_and_in_long_shots_here_and_there(monkeypatch) -> None:
    wall, reads = _flat(4.0, 60), []

    def read(frame: int) -> np.ndarray:
        reads.append(frame)
        return wall.depth[0] * (2.0 if frame >= 40 else 1.0)

    record = replace(wall, depth=FrameArray(wall.depth.shape, wall.depth.dtype, read))
    found = find_depth_jump(record, np.arange(60))
    assert (found.log_ratio, found.frame) == (pytest.approx(np.log(2), abs=1e-5), 40) and reads == list(range(60))
    reads.clear()
    monkeypatch.setattr(scene, "MAX_JUMP_FRAMES", 20)
    found = find_depth_jump(record, np.arange(60))
    assert found.log_ratio == pytest.approx(np.log(2), abs=1e-5) and 40 <= found.frame < 43
    assert len(reads) == len(set(reads)) == 20


def test_a_still_camera_is_still_and_where_it_is() -> None:
    record = _empty(13)
    found = measure_stillness(record, np.arange(13))
    assert (found.shift_percent, found.still_share) == (pytest.approx(0, abs=1e-4), 1.0) and found.camera_still


def test_a_camera_that_only_the_file_moves_is_seen() -> None:
    """On a wall at 4 m, 0.16 m sideways are 4 px of 128; the pictures say that nothing moved."""
    record = _with_cameras(_flat(4.0, 7), np.linspace(0, 0.16, 7))
    found = measure_stillness(record, np.arange(7))
    # The first with the last frame is the widest gap.
    assert found.shift_percent == pytest.approx(100 * 4 / 128, abs=1e-3)
    assert found.still_share == 1.0


def _moved_pictures(record: Reconstruction, pixels: list[int]) -> Reconstruction:
    images = np.stack([np.roll(image, -shift, axis=1) for image, shift in zip(record.images, pixels, strict=True)])
    return replace(record, images=images)


def test_a_camera_that_moves_as_the_pictures_do_is_right() -> None:
    record = _with_cameras(_flat(4.0, 7), 0.08 * np.arange(7))
    found = measure_stillness(_moved_pictures(record, [2 * i for i in range(7)]), np.arange(7))
    # What leaves the picture comes in again on the other side, so a few patches find something else.
    assert found.shift_percent == pytest.approx(0, abs=1e-3)
    assert found.still_share < 0.05 and not found.camera_still


def test_what_looks_alike_after_a_patch_has_left_the_picture_is_no_shift() -> None:
    """The camera goes on by 100 of 128 pixels; stripes of the first picture stay, each moved up or down on its own."""
    record = _with_cameras(_flat(4.0, 2), np.array([0, 4.0]))
    first = record.images[0]
    second = first.copy()
    for left, shift in zip(range(28, WIDTH, 20), (6, -4, 3, -6, 5), strict=True):
        second[:, left : left + 20] = np.roll(first[:, left : left + 20], shift, axis=0)
    second[:, : WIDTH - 100] = first[:, 100:]
    found = measure_stillness(replace(record, images=np.stack([first, second])), ALL[:2])
    assert found.shift_percent == pytest.approx(0, abs=1e-3)


def test_a_large_picture_is_matched_at_a_smaller_size() -> None:
    record = _with_cameras(_flat(4.0, 4), np.linspace(0, 0.16, 4))
    intrinsics = record.intrinsics.copy()
    intrinsics[:, :2] *= 3
    large = replace(
        record, intrinsics=intrinsics, depth=record.depth.repeat(3, 1).repeat(3, 2),
        images=record.images.repeat(3, 1).repeat(3, 2), person_masks=record.person_masks.repeat(3, 1).repeat(3, 2),
        point_conf=record.point_conf.repeat(3, 1).repeat(3, 2),
    )  # fmt: skip
    found = measure_stillness(large, np.arange(4))
    assert found.shift_percent == pytest.approx(100 * 4 / 128, abs=1e-3)


def test_people_and_empty_pictures_say_nothing_of_the_camera() -> None:
    record = _empty()
    covered = np.zeros_like(record.person_masks)
    blank = np.full_like(record.images, 90)
    for nothing in (replace(record, person_masks=covered), replace(record, images=blank)):
        found = measure_stillness(nothing, ALL)
        assert np.isnan([found.shift_percent, found.still_share]).all() and not found.camera_still
    one = measure_stillness(record, ALL[:1])
    assert np.isnan([one.shift_percent, one.still_share]).all()


def test_what_moves_with_people_is_no_movement_of_the_camera() -> None:
    """Half of the picture is a person who moves; the other half stands still."""
    record = _flat(4.0, 7)
    images = record.images.copy()
    for frame in range(7):
        images[frame, :, 64:] = np.roll(images[frame, :, 64:], 3 * frame, axis=0)
    masks = record.person_masks.copy()
    masks[:, :, 60:] = 0
    found = measure_stillness(replace(record, images=images, person_masks=masks), np.arange(7))
    assert (found.shift_percent, found.still_share) == (pytest.approx(0, abs=1e-3), 1.0)


def test_patches_beside_people_are_not_trusted() -> None:
    """A wide margin around a person moves with them; and what was found on a person of the other frame is no find."""
    record = _flat(4.0, 2)
    images, masks = record.images.copy(), record.person_masks.copy()
    masks[:, :, 60:] = 0
    # The two pixels beside the person, and the person, move down by three pixels.
    images[1, :, 58:] = np.roll(images[1, :, 58:], 3, axis=0)
    found = measure_stillness(replace(record, images=images, person_masks=masks), ALL[:2])
    assert (found.shift_percent, found.still_share) == (pytest.approx(0, abs=1e-3), 1.0)
    # All of the picture moves up by five pixels. Only in the second frame somebody stands in the right half.
    moved = replace(record, images=np.stack([record.images[0], np.roll(record.images[0], -5, axis=0)]))
    assert measure_stillness(moved, ALL[:2]).still_share < 0.1
    later = np.full_like(masks, -1)
    later[1] = 0
    later[1, 20:60, 70:110] = -1
    assert np.isfinite(measure_stillness(replace(moved, person_masks=later), ALL[:2]).still_share)
    later[1] = 0
    assert np.isnan(measure_stillness(replace(moved, person_masks=later), ALL[:2]).still_share)
    later[1] = np.where(np.arange(WIDTH) < 40, -1, 0)
    aside = replace(moved, person_masks=later, images=np.stack([moved.images[0], np.roll(moved.images[0], 60, axis=1)]))
    # What was at the left went to the right, where it is covered; what was at the right came to the left.
    assert np.isnan(measure_stillness(aside, ALL[:2]).still_share)


def test_patches_are_cut_from_the_still_scene_and_where_there_is_something_to_see() -> None:
    """Somebody whom only the first frame knows, and a sky that is nearly smooth, move down; the rest stands still."""
    record = _flat(4.0, 2)
    images, masks = record.images.copy(), record.person_masks.copy()
    images[1, :, 58:] = np.roll(images[1, :, 58:], 3, axis=0)
    masks[0, :, 60:] = 0
    found = measure_stillness(replace(record, images=images, person_masks=masks), ALL[:2])
    assert (found.shift_percent, found.still_share) == (pytest.approx(0, abs=1e-3), 1.0)
    sky = 100 + record.images[0, :, 58:] // 64
    images[0, :, 58:], images[1, :, 58:] = sky, np.roll(sky, 3, axis=0)
    found = measure_stillness(replace(record, images=images), ALL[:2])
    assert (found.shift_percent, found.still_share) == (pytest.approx(0, abs=1e-3), 1.0)


def test_a_patch_lies_at_the_best_corner_of_its_cell() -> None:
    """On grey, bright squares of four pixels: every patch is at a corner of one, every square within reach has one."""
    grey = np.full((96, 128), 100.0)
    corners = {(row, column) for row in (15, 40, 78) for column in (20, 51, 90)}
    for row, column in corners:
        grey[row : row + 4, column : column + 4] = 150
    rows, columns = choose_patches(np.ones(grey.shape, bool), grey)
    squares = [(row - row_of, column - column_of) for row, column in zip(rows, columns, strict=True)
               for row_of, column_of in corners if -2 < row - row_of < 5 and -2 < column - column_of < 5]  # fmt: skip
    assert len(squares) == len(rows) >= 9
    assert {place for square in squares for place in square} <= {-1, 0, 3, 4}


def test_overhangs_are_counted_by_column() -> None:
    record = _flat(4.0, 2)
    assert overhang_share(record, ALL[:2]) == 0
    depth = record.depth.copy()
    # Upwards from row 60 the right quarter comes nearer by 20 %: a table top.
    depth[:, :60, 96:] = 3.2
    assert overhang_share(replace(record, depth=depth), ALL[:2]) == pytest.approx(0.25)
    depth[1] = 4.0
    assert overhang_share(replace(record, depth=depth), ALL[:2]) == pytest.approx(0.125)
    # What gets nearer by 11 %, or farther, or only in the upper third, does not count.
    for rows, value in ((60, 3.56), (60, 6.0), (31, 3.2)):
        depth = record.depth.copy()
        depth[:, :rows, 96:] = value
        assert overhang_share(replace(record, depth=depth), ALL[:2]) == 0
    depth[:, :60, 96:] = 3.2
    masks = record.person_masks.copy()
    masks[:, 50:70, 96:] = 0
    assert overhang_share(replace(record, depth=depth, person_masks=masks), ALL[:2]) == 0
    assert np.isnan(overhang_share(replace(record, depth=0 * depth), ALL[:2]))


def test_extent_of_the_camera_is_the_diagonal_of_its_box() -> None:
    record = _empty()
    c2w = record.c2w.copy()
    c2w[:, :3, 3] = [[0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 0, 12], [1, 1, 1], [50, 0, 0]]
    assert camera_extent(replace(record, c2w=c2w), ALL[:5]) == pytest.approx(13.0)


def test_field_of_view_is_across_the_long_side() -> None:
    record = _empty()
    assert field_of_view(record, ALL) == pytest.approx(2 * np.degrees(np.arctan(0.64)), abs=1e-5)
    intrinsics = record.intrinsics.copy()
    intrinsics[:, 0, 2] = 32
    intrinsics[:, 1, 1] = 50
    beside = np.degrees(np.arctan(0.32) + np.arctan(0.96))
    assert field_of_view(replace(record, intrinsics=intrinsics), ALL) == pytest.approx(beside, abs=1e-5)
    intrinsics[3, 0, 0] = 1000
    assert field_of_view(replace(record, intrinsics=intrinsics), ALL) == pytest.approx(beside, abs=1e-5)
    tall = replace(
        record, images=record.images.transpose(0, 2, 1, 3), intrinsics=intrinsics,
        **{name: getattr(record, name).transpose(0, 2, 1) for name in ("depth", "point_conf", "person_masks")},
    )  # fmt: skip
    assert field_of_view(tall, ALL) == pytest.approx(np.degrees(np.arctan(48 / 50) + np.arctan(80 / 50)), abs=1e-5)


def test_every_shot_is_measured_against_its_own_ground() -> None:
    record, body = make_room(num_frames=12)
    two = replace(
        record, segment=np.repeat([0, 1], 6).astype(np.int32), gravity=record.gravity.repeat(2, 0),
        floor=np.stack([record.floor[0], record.floor[0] + np.float32([0, 0, 0, 0.3])]),
    )  # fmt: skip
    first, second = measure_shots(two, body)
    assert (first.shot, second.shot) == (0, 1)
    assert first.frames.tolist() == list(range(6)) and second.frames.tolist() == list(range(6, 12))
    assert first.ground.scene_level_cm == pytest.approx(0, abs=0.05)
    assert second.ground.scene_level_cm == pytest.approx(30, abs=0.05)
    for shot in (first, second):
        assert shot.gravity_known and shot.floor_known and shot.stillness.camera_still
        assert (shot.camera_extent_m, shot.overhang_share) == (0, 0)
        assert shot.field_of_view_deg == pytest.approx(65.24, abs=0.01)
        assert shot.static_disagreement_percent == pytest.approx(0, abs=1e-3)
    unknown = replace(two, gravity=np.full((2, 3), np.nan, np.float32), floor=np.full((2, 4), np.nan, np.float32))
    assert not any(shot.gravity_known or shot.floor_known for shot in measure_shots(unknown, body))
