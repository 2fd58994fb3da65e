"""Fused clouds: every surface once, what moves or floats left out, and not more points than asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from golden_record import PLACES, SIZE, make_golden, paint, reliable_pixels
from small_record import make_figure, make_record
from unish.export.fusion import FusedPoints, _open_view, _thin, far_limit, fuse_scene, fuse_surfaces
from unish.structs import Reconstruction


@pytest.fixture(scope="module")
def golden() -> Reconstruction:
    return make_golden(make_figure())


def still_record(num_frames: int, depth: np.ndarray, *, size: tuple[int, int] = SIZE) -> Reconstruction:
    """A camera that stands still before ``depth``, of which the frames have their own copies; grey pictures."""
    record = make_record(make_figure(), num_people=0, num_frames=num_frames)
    maps = np.broadcast_to(depth, (num_frames, *size)).astype(np.float32)
    return replace(
        record,
        image_size=np.array(size, np.int32),
        c2w=np.tile(np.eye(4, dtype=np.float32), (num_frames, 1, 1)),
        depth=maps,
        images=np.full((*maps.shape, 3), 100, np.uint8),
        point_conf=np.full(maps.shape, 0.9, np.float16),
        person_masks=np.full(maps.shape, -1, np.int16),
    )


def fuse(record: Reconstruction, *, max_points: int = 10**6, max_views: int = 48) -> np.ndarray:
    return fuse_scene(record, np.arange(record.num_frames), max_points=max_points, max_views=max_views).xyz


def test_a_still_camera_gives_the_points_of_one_frame(golden: Reconstruction) -> None:
    """However many frames there are, and although their depths disagree by some per cent."""
    rows = np.indices(SIZE)[0]
    slope = 3 + 0.02 * rows
    alone = fuse(still_record(1, slope))
    assert len(alone) > 0.5 * rows.size
    rng = np.random.default_rng(0)
    wobble = slope * np.exp(rng.uniform(-0.03, 0.03, (12, 1, 1)))
    many = fuse(still_record(12, wobble))
    assert len(many) < 1.1 * len(alone)


def test_a_camera_that_comes_nearer_adds_nothing_between_the_points() -> None:
    """From half the distance the points of the first frame lie two pixels apart."""
    record = still_record(2, np.full(SIZE, 4.0))
    alone = len(fuse(record, max_views=1))
    depth, c2w = record.depth.copy(), record.c2w.copy()
    depth[1], c2w[1, 2, 3] = 2.0, 2.0
    assert len(fuse(replace(record, depth=depth, c2w=c2w))) == alone
    depth[1], c2w[1, 2, 3] = 1.0, 3.0  # four pixels: what lies between them is new
    assert len(fuse(replace(record, depth=depth, c2w=c2w))) > 1.02 * alone


def test_every_surface_of_a_shot_is_there(golden: Reconstruction) -> None:
    """Also what only the last frame shows; and each shot has its own."""
    for shot, frames in ((0, np.arange(5)), (1, np.arange(5, 8))):
        fused = fuse_scene(golden, frames, max_points=10**6)
        place = PLACES[shot]
        off = np.abs(np.stack([fused.xyz @ plane[:3] + plane[3] for plane in (place.floor, place.wall)])).min(axis=0)
        assert np.quantile(off, 0.95) < 1e-5
        np.testing.assert_allclose(fused.colours[off < 1e-5], paint(fused.xyz[off < 1e-5]), atol=4)
        world = golden.world_points()
        for frame in frames:
            rows, columns = np.nonzero(reliable_pixels(golden, frame) & (golden.person_masks[frame] < 0))
            near = world[frame, rows, columns, 2] < 20
            asked = world[frame, rows[near], columns[near]]
            gap, _ = cKDTree(fused.xyz).query(asked)
            assert np.quantile(gap, 0.95) < 0.2  # about two pixels at this distance


def test_people_far_things_and_guesses_stay_out(golden: Reconstruction) -> None:
    fused = fuse_scene(golden, np.arange(5), max_points=10**6)
    assert np.linalg.norm(fused.xyz, axis=1).max() < 30
    reds = (np.abs(fused.colours.astype(int) - [200, 60, 20]) < 45).all(axis=1)
    at_people = np.abs(fused.xyz[:, 2] - 3.2) < 0.05
    assert not (reds & at_people).any()


def test_what_frames_see_through_goes_away() -> None:
    """Something that stood there in two of seven frames, and depth that was wrong in one; what hides stays."""
    depth = np.full((7, *SIZE), 4.0)
    depth[1:3, 10:20, 10:20] = 2.0
    depth[5, 30:40, 40:50] = 1.0
    depth[:, 25:45, 10:25] = 3.0
    z = fuse(still_record(7, depth))[:, 2]
    assert set(np.round(z, 1).tolist()) == {3.0, 4.0}
    depth[1:5, 10:20, 10:20] = 2.0  # four of seven: it was there
    z = fuse(still_record(7, depth))[:, 2]
    assert set(np.round(z, 1).tolist()) == {2.0, 3.0, 4.0}


def test_as_many_for_as_against_keep_a_point() -> None:
    depth = np.full((4, *SIZE), 4.0)
    depth[:2, 10:20, 10:20] = 2.0
    assert 2.0 in np.round(fuse(still_record(4, depth))[:, 2], 1)
    depth[1, 10:20, 10:20] = 4.0
    assert 2.0 not in np.round(fuse(still_record(4, depth))[:, 2], 1)


def test_how_far_is_far() -> None:
    """Thirty metres, or five times the median depth where that is more."""
    near, far = still_record(3, np.full(SIZE, 2.0)), still_record(3, np.full(SIZE, 8.0))
    assert far_limit(near, np.arange(3)) == 30.0 and far_limit(far, np.arange(3)) == 40.0
    depth = np.zeros((2, 1, 6), np.float32)
    depth[1, 0, 3:] = 10.0, 7.0, 8.0
    mixed = replace(still_record(2, np.full((1, 6), 1.0), size=(1, 6)), depth=depth)
    assert far_limit(mixed, np.array([1])) == 40.0 and far_limit(mixed, np.array([0])) == 30.0
    depth = np.full(SIZE, 10.0)
    depth[:, 40:] = 49.0
    assert fuse(still_record(2, depth))[:, 2].max() == pytest.approx(49.0)
    depth[:, 40:] = 51.0
    assert fuse(still_record(2, depth))[:, 2].max() == pytest.approx(10.0)


def test_thinning_takes_means_and_bounds_the_number(golden: Reconstruction) -> None:
    record = still_record(1, np.full(SIZE, 4.0))
    whole = fuse(record)
    for most in (1500, 500, 40, 1):
        fused = fuse(record, max_points=most)
        assert 0.4 * most <= len(fused) <= most
        if most >= 500:
            np.testing.assert_allclose(fused.mean(axis=0), whole.mean(axis=0), atol=0.25)
    # Points are no denser than pixels at the median depth: 4 m ÷ 60 pixels.
    distances, _ = cKDTree(whole).query(whole, k=2)
    assert np.median(distances[:, 1]) == pytest.approx(4 / 60, rel=0.35)


def test_cubes_begin_at_the_lowest_point_and_hold_their_lower_sides() -> None:
    xyz = np.float32([[5, 1, 2], [5.4, 1, 2], [6.2, 1, 2], [7, 1, 2], [5, 1, 3.5]])
    colours = np.uint8([[0, 10, 20], [100, 10, 20], [7, 8, 9], [1, 2, 3], [4, 5, 6]])
    confidence = np.float32([0.2, 0.4, 0.5, 0.6, 0.7])
    points = FusedPoints(xyz=xyz, colours=colours, confidence=confidence)
    found = _thin(points, side=1.0, max_points=4)
    order = np.lexsort(found.xyz.T)
    np.testing.assert_allclose(found.xyz[order], [[5.2, 1, 2], [6.2, 1, 2], [7, 1, 2], [5, 1, 3.5]], atol=1e-6)
    assert found.colours[order].tolist() == [[50, 10, 20], [7, 8, 9], [1, 2, 3], [4, 5, 6]]
    np.testing.assert_allclose(found.confidence[order], [0.3, 0.5, 0.6, 0.7], atol=1e-6)


def test_near_surfaces_are_no_denser_than_the_rest() -> None:
    """A small thing close to the camera does not take the room of the scene."""
    depth = np.full(SIZE, 8.0)
    depth[:, :30] = 0.5
    z = fuse(still_record(1, depth))[:, 2]
    assert (z < 1).sum() < 0.05 * (z > 1).sum()


def test_large_maps_are_read_in_steps() -> None:
    size = (340, 480)  # twice as many as are needed
    record = still_record(1, np.full(size, 4.0), size=size)
    pixels = record.depth[0].size
    assert pixels / 6 < len(fuse(record)) <= pixels / 4 * 1.02
    np.testing.assert_allclose(fuse(record).mean(axis=0)[:2], (np.array([240, 170]) - [32, 24]) / 60 * 4, atol=0.05)


def test_few_of_many_frames_are_read() -> None:
    """Evenly spread, the first and the last among them."""
    depth = np.zeros((9, *SIZE))
    for frame in range(9):
        depth[frame, 5:-5, 7 * frame : 7 * frame + 7] = 4 + frame
    z = np.unique(np.round(fuse(still_record(9, depth), max_views=3)[:, 2], 3))
    assert z.min() == 4 and z.max() == 12 and set(z.tolist()) == {4.0, 8.0, 12.0}


def test_nothing_to_fuse() -> None:
    fused = fuse_scene(still_record(2, np.zeros(SIZE)), np.arange(2), max_points=10)
    assert fused.xyz.shape == (0, 3) and fused.colours.shape == (0, 3)


def test_a_view_finds_every_pixel_again_and_nothing_beyond_its_borders() -> None:
    """Points are compared with the depth at the pixel that they fall on, in whole pixels and in steps of them."""
    for size, step in ((SIZE, 1), ((340, 480), 2)):
        rows, columns = np.indices(size)
        record = still_record(1, 3 + 0.002 * rows + 0.003 * columns, size=size)
        view = _open_view(record, 0, 30.0)
        assert view.step == step and view.z.shape == (size[0] // step, size[1] // step)
        index, flat, ratio = view.compare(view.xyz)
        np.testing.assert_array_equal(index, np.arange(len(view.xyz)))
        np.testing.assert_array_equal(flat, np.flatnonzero(view.scene))
        assert len(index) == view.z.size and np.abs(ratio).max() < 1e-5
        _, _, nearer = view.compare(view.xyz * np.float32(0.5))
        np.testing.assert_allclose(nearer, np.log(0.5), atol=1e-5)
        focal, (height, width) = 60.0, size
        borders = {(0.4, 5.0): 0, (-0.4, 5.0): None, (width - 0.4, 5.0): 1, (width + 0.4, 5.0): None,
                   (5.0, 0.4): 2, (5.0, -0.4): None, (5.0, height - 0.4): 3, (5.0, height + 0.4): None}  # fmt: skip
        at = np.array([((x - 32) / focal * 4, (y - 24) / focal * 4, 4.0) for x, y in borders], np.float32)
        found, _, _ = view.compare(at)
        assert found.tolist() == [number for number, kept in enumerate(borders.values()) if kept is not None]
        behind, _, _ = view.compare(at * np.float32(-1))
        assert not len(behind)


def test_what_is_unsure_is_compared_with_nothing() -> None:
    record = still_record(1, np.full(SIZE, 4.0))
    masks, confidence = record.person_masks.copy(), record.point_conf.copy()
    masks[0, :10], confidence[0, 40:] = 0, 0.1
    view = _open_view(replace(record, person_masks=masks, point_conf=confidence), 0, 30.0)
    index, _, _ = view.compare(_open_view(record, 0, 30.0).xyz)
    assert len(index) == 30 * 64 == len(view.xyz) and (view.z > 0).sum() == 30 * 64
    wider = _open_view(replace(record, person_masks=masks), 0, 30.0, margin_px=3)
    assert len(wider.xyz) == (48 - 13) * 64  # three more rows beside the person are left out


def test_surfaces_are_triangles_that_turn_their_front_to_the_camera(golden: Reconstruction) -> None:
    frames = np.arange(5)
    surface, cloud = fuse_surfaces(golden, frames), fuse_scene(golden, frames, max_points=10**6)
    corners = surface.xyz[surface.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    towards = -corners.mean(axis=1)  # the first camera is the origin, and the others stand beside it
    assert ((normals * towards).sum(axis=1) > 0).mean() > 0.99
    assert set(range(len(surface.xyz))) == set(surface.faces.ravel().tolist()), "no vertex is left over"
    # The cloud is thinned, and has what is too small for a mesh: for the rest they show the same places.
    assert np.quantile(cKDTree(surface.xyz).query(cloud.xyz)[0], 0.95) < 0.3


def test_surfaces_do_not_span_a_step_in_depth_and_have_no_islands() -> None:
    depth = np.full(SIZE, 3.0)
    depth[:, 32:] = 6.0
    depth[4:7, 4:7] = 1.0
    surface = fuse_surfaces(still_record(1, depth), np.arange(1))
    z = surface.xyz[surface.faces][..., 2]
    assert (np.ptp(z, axis=1) < 0.1).all()
    assert set(np.unique(z.round())) == {3.0, 6.0}, "nine pixels alone are no surface"
