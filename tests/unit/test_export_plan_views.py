"""The views from above and from the side: to scale, the right way round, with everything in its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from golden_record import PLACES, make_golden
from small_record import make_figure
from unish.export.axes import upright
from unish.export.plan_views import PlacedBody, PlanViews
from unish.export.points import lift_pixels, select_pixels
from unish.render.colours import person_colour
from unish.structs import Reconstruction

PANEL = (240, 320)
CUBE = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]) * 0.04


@pytest.fixture(scope="module")
def golden() -> Reconstruction:
    return make_golden(make_figure())


def open_views(record: Reconstruction, shot: int = 0) -> PlanViews:
    return PlanViews(record, shot, np.arange(*record.shot_frames()[shot].indices(record.num_frames)), PANEL)


def find_body(views: PlanViews, frame: int, place: np.ndarray) -> list[np.ndarray]:
    """(x, y) of the middle of a small body in both panels, by what it changes."""
    bodies = [PlacedBody(vertices=CUBE + place, person_id=200, strength=1.0)]
    middles = []
    for drawn, empty in zip(views.draw(frame, bodies), views.draw(frame, []), strict=True):
        own = np.abs(drawn.astype(int) - person_colour(200)).sum(axis=-1) < 4  # its outline is its colour
        rows, columns = np.nonzero(own & (drawn != empty).any(axis=-1))
        middles.append(np.array([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2]))
    return middles


def has_colour(panel: np.ndarray, colour: object) -> np.ndarray:
    """Pixels of exactly this colour, those of the labels above and below left out."""
    found = (panel == colour).all(axis=-1)
    found[:26], found[-24:] = False, False
    return found


def without_scene(record: Reconstruction) -> Reconstruction:
    return replace(record, depth=np.zeros_like(record.depth))


@pytest.mark.parametrize("shot", [0, 1])
def test_places_are_drawn_to_scale_and_the_right_way_round(golden: Reconstruction, shot: int) -> None:
    """Above: right is right, ahead is up. Side: ahead is right, up is up. A metre is as long in every direction."""
    views = open_views(without_scene(golden), shot)
    frame = golden.shot_frames()[shot].start
    right, up, backward = upright(golden.gravity[shot])
    start = np.array([0.0, 0.0, 3.0])
    base = find_body(views, frame, start)
    moves = {"right": right, "up": up, "ahead": -backward}
    seen = {
        name: [m - b for m, b in zip(find_body(views, frame, start + by), base, strict=True)]
        for name, by in moves.items()
    }
    above, side = (seen["ahead"][0], seen["ahead"][1])
    assert above[1] < -20 and side[0] > 20
    scales = -above[1], side[0]
    for name, directions in {
        "right": ((1, 0), (0, 0)), "up": ((0, 0), (0, -1)), "ahead": ((0, -1), (1, 0)),
    }.items():  # fmt: skip
        for moved, direction, scale in zip(seen[name], directions, scales, strict=True):
            np.testing.assert_allclose(moved, scale * np.array(direction), atol=1.1)  # whole pixels


def test_the_camera_and_everybody_are_in_view(golden: Reconstruction) -> None:
    for shot in (0, 1):
        views = open_views(without_scene(golden), shot)
        shown = golden.shot_frames()[shot]
        for frame in range(shown.start, shown.stop):
            for person in np.flatnonzero(golden.person_valid[:, frame]):
                for middle in find_body(views, frame, golden.joints[person, frame, 0].astype(np.float64)):
                    assert (middle > 20).all() and (middle < np.array(PANEL[::-1]) - 20).all()


def test_the_floor_line_lies_under_what_stands_on_the_floor(golden: Reconstruction) -> None:
    """The line is where points of the floor are drawn; without a floor, or with an upright one, there is none."""
    record = without_scene(golden)
    views, frame = open_views(record), 0
    bare = replace(record, floor=np.full_like(record.floor, np.nan))
    upright_one = replace(record, floor=np.stack([place.wall for place in PLACES]).astype(np.float32))
    side = views.draw(frame, [])[1]
    magenta = (side == (255, 60, 255)).all(axis=-1)
    rows, columns = np.nonzero(magenta)
    assert set(columns.tolist()) == set(range(PANEL[1])) and np.ptp(rows) <= 1  # level, from edge to edge
    floor = PLACES[0].floor
    on_floor = np.array([0.3, 0.0, 4.0])
    on_floor -= floor[:3] * (floor[:3] @ on_floor + floor[3])
    assert find_body(views, frame, on_floor)[1][1] == pytest.approx(rows.mean(), abs=1.5)
    for other in (bare, upright_one):
        panel = open_views(other).draw(frame, [])[1]
        assert not (panel == (255, 60, 255)).all(axis=-1).any()


def test_a_tilted_floor_is_drawn_tilted(golden: Reconstruction) -> None:
    """Through the people: where the plane passes below the middle of them."""
    normal = upright(golden.gravity[0]).T @ np.array([0.2, 0.95, 0.25])
    normal /= np.linalg.norm(normal)
    tilted = replace(without_scene(golden), floor=np.stack([[*normal, 1.2], [*normal, 1.2]]).astype(np.float32))
    views = open_views(tilted)
    rows, columns = np.nonzero((views.draw(0, [])[1] == (255, 60, 255)).all(axis=-1))
    joints = golden.joints[:, :5].reshape(-1, 3)
    middle = np.median(joints[np.isfinite(joints).all(axis=1)], axis=0)
    ahead, up = -upright(golden.gravity[0])[2], upright(golden.gravity[0])[1]
    for metres in (-1.0, 0.0, 1.0):
        place = middle + metres * ahead
        place = place - up * (normal @ place + 1.2) / (normal @ up)
        x, y = find_body(views, 0, place)[1]
        assert np.abs(rows[np.abs(columns + 0.5 - x) <= 1] + 0.5 - y).min() < 1.6


def test_points_of_the_frame_are_bright_and_the_rest_is_dim(golden: Reconstruction) -> None:
    """What the frame sees, in its colours; what other frames have seen, dimmed; in their places."""
    images = np.full_like(golden.images, 200)
    record = replace(golden, images=images, person_masks=np.full_like(golden.person_masks, -1))
    views = open_views(record)
    for panel in views.draw(4, []):
        assert has_colour(panel, 200).sum() > 200 and has_colour(panel, 90).sum() > 50
    side = views.draw(4, [])[1]
    line = np.nonzero(has_colour(side, (255, 60, 255)))[0].mean()
    lowest = max(np.nonzero(has_colour(side, grey))[0].max() for grey in (200, 90))
    assert lowest == pytest.approx(line, abs=2)  # the lowest points lie on the floor


def test_far_points_are_not_drawn(golden: Reconstruction) -> None:
    images = golden.images.copy()
    images[:] = 10
    images[:, :6, :6] = 222  # the far block
    panels = open_views(replace(golden, images=images)).draw(0, [])
    assert not any(has_colour(panel, grey).any() for panel in panels for grey in (222, 99))


def test_a_ceiling_does_not_hide_what_is_below(golden: Reconstruction) -> None:
    """From above, points over everybody's head are left out; from the side they are shown."""
    heights = golden.world_points() @ upright(golden.gravity[0])[1]
    images = np.repeat(np.where(heights > 0.5, 230, 20).astype(np.uint8)[..., None], 3, axis=-1)
    joints = golden.joints + np.float32([0, 0, 1.5])  # so far away that the wall is in view
    above, side = open_views(replace(golden, images=images, joints=joints)).draw(0, [])
    dimmed = int(230 * 0.45)
    assert not has_colour(above, dimmed).any() and has_colour(side, dimmed).any()
    nobody = replace(golden, images=images, joints=np.full_like(golden.joints, np.nan))
    above = open_views(nobody).draw(0, [])[0]
    assert has_colour(above, dimmed).any()


def test_nearer_points_hide_farther_ones(golden: Reconstruction) -> None:
    """From above the higher of two points is seen."""
    record = make_two_layers(golden)
    above = open_views(record).draw(0, [])[0]
    low, high = has_colour(above, int(100 * 0.45)), has_colour(above, int(220 * 0.45))
    rows, columns = np.nonzero(high)
    inside = low[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert (
        len(rows) > 500 and low.sum() > 500 and inside.sum() < 0.6 * len(rows)
    )  # between dots the lower plane shines through


def make_two_layers(golden: Reconstruction) -> Reconstruction:
    """Frames 0 and 1 look straight down on two level planes from one place; gravity is the viewing direction."""
    depth = np.zeros_like(golden.depth)
    depth[1:3], depth[3:5] = 2.0, 2.6
    images = np.zeros_like(golden.images)
    images[1:3], images[3:5] = 220, 100
    c2w = np.tile(np.eye(4, dtype=np.float32), (8, 1, 1))
    return replace(
        golden,
        depth=depth,
        images=images,
        c2w=c2w,
        person_masks=np.full_like(golden.person_masks, -1),
        gravity=np.tile(np.float32([0, 0, 1]), (2, 1)),
        joints=np.full_like(golden.joints, np.nan),
    )


def test_people_far_away_do_not_shrink_the_others(golden: Reconstruction) -> None:
    """One of three at 30 m: the scale stays, and whoever is out of view is no trouble."""
    record = without_scene(golden)
    more = {
        name: np.concatenate([getattr(record, name), getattr(record, name)[:1]])
        for name in (
            "person_ids",
            "person_valid",
            "person_filled",
            "joints",
            "boxes_xyxy",
            "landmarks_px",
            "betas",
            "global_orient_aa",
            "body_pose_aa",
            "transl",
        )
    }
    more["joints"][2] = [0.0, 0.0, 30.0]
    near, far = (open_views(item) for item in (record, replace(record, **more)))
    for place in (np.array([0.0, 0.0, 3.0]), np.array([0.5, 0.0, 4.0])):
        np.testing.assert_array_equal(find_body(near, 0, place), find_body(far, 0, place))
    far.draw(0, [PlacedBody(vertices=CUBE + np.array([0, 0, 30.0]), person_id=1, strength=1.0)])


def test_the_camera_is_drawn_where_it_is_with_its_way_and_its_view(golden: Reconstruction) -> None:
    """White lines: one through all places so far, and a triangle that opens into the viewing direction."""
    record = without_scene(golden)
    views = open_views(record)
    centres = golden.c2w[:5, :3, 3].astype(np.float64)
    places = [find_body(views, 0, centre) for centre in centres]
    for frame in (0, 4):
        for number, panel in enumerate(views.draw(frame, [])):
            white = (panel == 255).all(axis=-1)
            white[:26], white[-24:] = False, False  # the labels
            for earlier in range(frame + 1):
                x, y = np.round(places[earlier][number] - 0.5).astype(int)
                assert white[y - 1 : y + 2, x - 1 : x + 2].any()
            if frame == 0:
                x, y = np.round(places[4][number] - 0.5).astype(int)
                assert not white[y - 1 : y + 2, x - 1 : x + 2].any() or number == 1
    side = (views.draw(0, [])[1] == 255).all(axis=-1)
    side[:26], side[-24:] = False, False
    rows, columns = np.nonzero(side)
    x, y = places[0][1]
    # Seen from the side it is 48 high at 50, the principal point at 22, and gravity is tilted by 7°.
    ends = [np.arctan(22 / 50), -np.arctan(26 / 50)]
    tilt = np.arcsin(upright(golden.gravity[0])[1][2])
    lengths = [24 / np.cos(end) for end in ends]
    expected = [y - length * np.sin(end + tilt) for length, end in zip(lengths, ends, strict=True)]
    np.testing.assert_allclose([rows.min(), rows.max()], expected, atol=1.6)
    assert columns.min() == pytest.approx(x, abs=1.6)
    above = (views.draw(0, [])[0] == 255).all(axis=-1)
    above[:26], above[-24:] = False, False
    rows, columns = np.nonzero(above)
    x, y = places[0][0]
    # The view is 64 pixels wide at a focal length of 58, the principal point at 35: 29 to the right, 35 to the left.
    left, right = columns.min(), columns.max()
    length = y - rows.min()
    assert rows.max() == pytest.approx(y, abs=1.5) and 22 <= length <= 25  # 24 pixels, a little less for the tilt
    assert (x - left) / length == pytest.approx(35 / 58, abs=0.12)
    assert (right - x) / length == pytest.approx(29 / 58, abs=0.12)


def test_labels_say_what_is_unknown(golden: Reconstruction) -> None:
    record = without_scene(golden)
    unknown = replace(record, gravity=np.full_like(record.gravity, np.nan))
    assert open_views(record)._side_label() == "from the side"
    assert open_views(unknown)._side_label() == "from the side, gravity unknown"
    no_floor = replace(unknown, floor=np.full_like(record.floor, np.nan))
    assert open_views(no_floor)._side_label() == "from the side, gravity unknown, no floor"


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_bodies_are_outlined_and_let_the_points_shine_through(golden: Reconstruction, strength: float) -> None:
    record = without_scene(golden)
    views = open_views(record)
    size = np.linspace(-0.4, 0.4, 60)
    block = np.stack(np.meshgrid(size, size, size), axis=-1).reshape(-1, 3) + np.array([0.2, 0.1, 4.0])
    empty = views.draw(0, [])[0].astype(float)
    panel = views.draw(0, [PlacedBody(vertices=block, person_id=1, strength=strength)])[0].astype(float)
    colour = person_colour(1).astype(float)
    moved = ((panel - empty) @ (colour - 14)) / ((colour - 14) @ (colour - 14))
    moved = moved[np.abs(empty - 14).max(axis=-1) == 0]
    values, counts = np.unique(np.round(moved[moved > 0.02], 2), return_counts=True)
    common = sorted(values[np.argsort(-counts)[:2]])
    np.testing.assert_allclose(common, [0.4 * strength, strength], atol=0.02)


def test_the_grid_has_whole_steps(golden: Reconstruction) -> None:
    """Lines run through the first camera, a step apart that is written below and is no less than 60 pixels."""
    views = open_views(without_scene(golden))
    above = views.draw(0, [])[0]
    lines = np.flatnonzero((above[40:200] == 52).all(axis=-1).mean(axis=0) > 0.8)
    gaps = np.diff(lines)
    metre = find_body(views, 0, np.array([1.0, 0.0, 3.0]))[0][0] - find_body(views, 0, np.array([0.0, 0.0, 3.0]))[0][0]
    assert len(lines) >= 2 and np.ptp(gaps) <= 1 and gaps.min() >= 59
    steps = gaps.mean() / (metre / upright(golden.gravity[0])[0][0])
    assert min(abs(steps - step) for step in (0.5, 1, 2, 5)) < 0.06
    x = find_body(views, 0, golden.c2w[0, :3, 3].astype(np.float64))[0][0]
    assert np.abs(lines + 0.5 - x).min() <= 1.5


@pytest.mark.parametrize(("far", "step"), [(0.2, 0.5), (6.0, 2.0), (3e4, 1e4), (3e8, 1e8)])
def test_the_step_of_the_grid_follows_the_scale(golden: Reconstruction, far: float, step: float) -> None:
    """The smallest of 0.5, 1, 2, 5, … metres that is 60 pixels or more; powers of ten where all is lost in space."""
    record = level_record(golden, np.array([[0.0, 0.0, 1.0], [far, 0.0, 1.0]]))
    frames = np.arange(*record.shot_frames()[0].indices(record.num_frames))
    views = PlanViews(record, 0, frames, (600, 600))
    above = views.draw(0, [])[0]
    lines = np.flatnonzero((above[40:-40] == 52).all(axis=-1).mean(axis=0) > 0.6)
    assert len(lines) >= 2 and np.diff(lines).min() >= 59
    # Where a metre is not to be seen: joints and camera take 1 of 1 + 2 × .35 of the picture.
    metre = scale_of(views)[0] if far < 100 else 600 / 1.7 / far
    assert np.diff(lines).mean() == pytest.approx(step * metre, rel=0.05)


def test_nothing_at_all(golden: Reconstruction) -> None:
    """No depth, nobody, a camera that stands still."""
    empty = replace(
        without_scene(golden),
        joints=np.full_like(golden.joints, np.nan),
        c2w=np.tile(np.eye(4, dtype=np.float32), (8, 1, 1)),
    )
    panels = open_views(empty).draw(2, [])
    assert [panel.shape for panel in panels] == [(*PANEL, 3)] * 2


def scale_of(views: PlanViews) -> tuple[float, float]:
    """Pixels of a metre across, in both panels (the first camera looks along z, gravity is y)."""
    starts, ends = (find_body(views, 0, np.array(place)) for place in ([-0.25, 0.1, 0.1], [0.25, 0.1, 0.6]))
    return 2 * (ends[0] - starts[0])[0], 2 * (ends[1] - starts[1])[0]


def level_record(golden: Reconstruction, joints: np.ndarray) -> Reconstruction:
    """No scene, a level camera that stands still, and joints at these places in every frame."""
    places = np.full_like(golden.joints, np.nan)
    places[:, :, : len(joints)] = joints
    return replace(
        without_scene(golden),
        c2w=np.tile(np.eye(4, dtype=np.float32), (8, 1, 1)),
        gravity=np.tile(np.float32([0, 1, 0]), (2, 1)),
        joints=places,
    )


def test_there_is_room_around_cameras_and_people(golden: Reconstruction) -> None:
    """A metre and a half, or .35 of the extent where that is more, on each side of the picture's tighter direction."""
    alone = open_views(level_record(golden, np.zeros((1, 3))))
    np.testing.assert_allclose(scale_of(alone), 240 / 3.0, atol=2)
    far = open_views(level_record(golden, np.array([[0.0, 0.0, 8.0]])))
    np.testing.assert_allclose(scale_of(far), (240 / (8 + 2 * 0.35 * 8), 320 / (8 + 2 * 0.35 * 8)), atol=2)
    wide = open_views(level_record(golden, np.array([[-5.0, 0, 0], [5.0, 0, 0]])))
    np.testing.assert_allclose(scale_of(wide), (320 / (10 + 7), 240 / 3), atol=2)


def test_a_few_lost_joints_do_not_shrink_the_rest(golden: Reconstruction) -> None:
    """The outermost fiftieth does not count; people at more than two and a half times the median distance do not."""
    near = np.tile([0.0, 0.0, 4.0], (24, 1))
    views = [open_views(level_record(golden, near))]
    for person, frame, joint, place in ((0, 2, 5, 9.0), (0, slice(None), slice(None), 10.2)):
        record = level_record(golden, near)
        record.joints[person, frame, joint] = [0.0, 0.0, place]
        views.append(open_views(record))
    assert scale_of(views[1]) == scale_of(views[0])
    pair = level_record(golden, near)
    pair.joints[0, :, :6] = [0.0, 0.0, 9.8]  # not so far that they are left out
    assert scale_of(open_views(pair))[0] < 0.6 * scale_of(views[0])[0]
    pair.joints[0, :, :6] = [0.0, 0.0, 10.3]
    assert scale_of(open_views(pair)) == scale_of(views[0])


@pytest.mark.parametrize(("above_head", "shown"), [(0.25, True), (0.35, False)])
def test_how_low_a_ceiling_is(golden: Reconstruction, above_head: float, shown: bool) -> None:
    record = make_two_layers(golden)
    joints = record.joints.copy()
    joints[:, :, 0] = [0.0, 0.0, 2.0 + above_head]
    above = open_views(replace(record, joints=joints)).draw(0, [])[0]
    assert has_colour(above, int(220 * 0.45)).any() == shown and has_colour(above, int(100 * 0.45)).any()


def test_labels_stand_where_they_do_not_disturb(golden: Reconstruction) -> None:
    """The names in the upper left corners, the size of the grid in the lower left, a person's number at the right."""
    record = level_record(golden, np.zeros((1, 3)))
    body = PlacedBody(vertices=CUBE + np.array([0.0, 0.5, 0.2]), person_id=7, strength=1.0)
    font = ImageFont.load_default(size=14)
    for panel, with_body, name in zip(
        open_views(record).draw(0, []), open_views(record).draw(0, [body]), ("from above", "from the side"), strict=True
    ):
        for text, corner in ((name, (6, 4)), ("grid 1 m", (6, 220))):
            left, top, right, bottom = (round(side) for side in ImageDraw.Draw(Image.new("L", (9, 9))).textbbox(
                corner, text, font=font
            ))  # fmt: skip
            area = (panel[top - 2 : bottom + 2, left - 2 : right + 2] > 150).all(axis=-1)
            rows, columns = np.nonzero(area)
            assert abs(rows.min() - 2) <= 1 and abs(columns.min() - 2) <= 1
            assert abs(rows.max() - (bottom - top + 1)) <= 1 and abs(columns.max() - (right - left + 1)) <= 1
        changed = (with_body != panel).any(axis=-1)
        number = changed & (with_body.min(axis=-1) > 150)
        own = np.abs(with_body.astype(int) - person_colour(7)).sum(axis=-1) < 4
        rows, columns = np.nonzero(number)
        assert 0 <= columns.min() - np.nonzero(own)[1].max() <= 5 and abs(np.nonzero(own)[0].max() - rows.max()) <= 5


@pytest.mark.parametrize("step", [1, 2, 3])
def test_some_pixels_are_those_of_all(golden: Reconstruction, step: int) -> None:
    noise = np.random.default_rng(0).random(golden.depth.shape)
    depth = golden.depth * np.where(noise > 0.9, 1.3, 1.0).astype(np.float32) * (noise > 0.02)
    record = replace(golden, depth=depth)
    wanted = select_pixels(record, 0)[::step, ::step]
    assert 0 < wanted.sum() < wanted.size
    np.testing.assert_array_equal(select_pixels(record, 0, stride=step), wanted)


def test_not_too_many_points_are_drawn(golden: Reconstruction, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (340, 480)
    maps = {
        name: np.tile(getattr(golden, name), (1, 8, 8, *[1] * (getattr(golden, name).ndim - 3)))[:, :340, :480]
        for name in ("images", "depth", "point_conf", "person_masks")
    }
    maps["depth"] = np.full_like(maps["depth"], 4.0)
    views = open_views(replace(golden, image_size=np.array(size, np.int32), **maps))
    lifted: list[int] = []

    def count(record: Reconstruction, frame: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        lifted.append(len(rows))
        return lift_pixels(record, frame, rows, columns)

    monkeypatch.setattr("unish.export.plan_views.lift_pixels", count)
    views.draw(0, [])
    assert lifted[0] == pytest.approx(12_000, rel=0.25)
