"""The glTF file, read back by independent libraries; its skins evaluated and compared with the body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from gltf_player import GltfPlayer
from golden_record import INTRINSICS, NUM_FRAMES, PLACES, SIZE, make_golden, paint, reliable_pixels
from small_record import make_figure, make_record
from unish.body import JOINT_NAMES, Body
from unish.export.axes import FLIP_YZ, keep_hemisphere, to_quaternions, upright
from unish.export.glb import write_glb
from unish.render.colours import person_colour
from unish.structs import Reconstruction

SHOTS = ((0, slice(0, 5)), (1, slice(5, 8)))


def place(points: np.ndarray, record: Reconstruction, shot: int) -> np.ndarray:
    """World points of a shot in its scene: y up, the floor (which is level) at height 0."""
    return points @ upright(record.gravity[shot]).T + [0.0, record.floor[shot, 3], 0.0]


def bring_back(points: np.ndarray, record: Reconstruction, shot: int) -> np.ndarray:
    return (points - [0.0, record.floor[shot, 3], 0.0]) @ upright(record.gravity[shot])


@pytest.fixture(scope="module")
def body() -> Body:
    return make_figure()


@pytest.fixture(scope="module")
def golden(body: Body) -> Reconstruction:
    return make_golden(body)


@pytest.fixture(scope="module")
def golden_path(golden: Reconstruction, body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden") / "scene.glb"
    write_glb(path, golden, body)
    return path


@pytest.fixture(scope="module")
def player(golden_path: Path) -> GltfPlayer:
    return GltfPlayer(golden_path)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, colour by colour."""
    values = np.asarray(srgb, np.float64) / 255
    return np.array([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values.ravel()]).reshape(
        values.shape
    )


def test_every_shot_is_a_scene_of_its_own(player: GltfPlayer, golden: Reconstruction) -> None:
    document = player.document
    assert [scene.name for scene in document.scenes] == ["shot 0", "shot 1"] and document.scene == 0
    inside = [player.nodes_of(shot) for shot, _ in SHOTS]
    assert not inside[0] & inside[1] and len(inside[0] | inside[1]) == len(document.nodes)
    for shot, frames in SHOTS:
        named = {document.nodes[index].name for index in inside[shot] & set(player.names.values())}
        assert all(name.endswith(f" of shot {shot}") for name in named)
        roots = {document.nodes[index].name for index in document.scenes[shot].nodes}
        # Skins stand at the top: what is above them does not move them.
        people = [f"person {person}{part}" for person in (3, 4) for part in ("", " mesh")]
        assert roots == {f"{name} of shot {shot}" for name in ("world", "camera", *people)}
        assert {target for target, _ in player.channels(shot)} <= inside[shot]
        assert document.scenes[shot].extras["first_frame"] == frames.start
        assert document.scenes[shot].extras["num_frames"] == NUM_FRAMES[shot]


def test_bounds_stand_where_the_format_demands_them(player: GltfPlayer) -> None:
    """Of places and of times; that they are right is looked at wherever an array is read."""
    document = player.document
    wanted = {primitive.attributes.POSITION for mesh in document.meshes for primitive in mesh.primitives}
    wanted |= {sampler.input for animation in document.animations for sampler in animation.samplers}
    for accessor in wanted:
        entry = document.accessors[accessor]
        assert len(entry.min) == len(entry.max) == (3 if entry.type == "VEC3" else 1)
        player.array(accessor)


def test_the_longest_shot_shows_first(tmp_path: Path, body: Body, golden: Reconstruction) -> None:
    turned = replace(golden, segment=np.array([0, 0, 0, 1, 1, 1, 1, 1], np.int32))
    write_glb(tmp_path / "scene.glb", turned, body)
    assert GltfPlayer(tmp_path / "scene.glb").document.scene == 1


def test_times_come_back(player: GltfPlayer, golden: Reconstruction) -> None:
    for shot, frames in SHOTS:
        expected = golden.timestamps_s[frames]
        for times, _, _ in player.channels(shot).values():
            found = player.document.scenes[shot].extras["start_s"] + times.astype(np.float64)
            np.testing.assert_allclose(found, expected, atol=1e-7, rtol=0)  # measured: 5e-8, half a step of 32 bits


def test_scene_points_lie_where_the_scene_is(player: GltfPlayer, golden: Reconstruction) -> None:
    """On the floor or the wall and in their colour, wherever a camera saw them; no people, no far block."""
    for shot, frames in SHOTS:
        name = f"scene points of shot {shot}"
        world = bring_back(player.points(name), golden, shot)
        place = PLACES[shot]
        off = np.abs(np.stack([world @ plane[:3] + plane[3] for plane in (place.floor, place.wall)])).min(axis=0)
        # Cubes that hold both take a mean between them.
        assert np.quantile(off, 0.95) < 1e-5 and off.max() < 0.08
        colours = player.array(player.attributes(name).COLOR_0)
        assert colours.dtype == np.float32 and colours.shape[1] == 3
        wrong = np.abs(colours - to_linear(paint(world)))[off < 1e-5]
        assert np.quantile(wrong, 0.99) < 0.012  # measured: 0.006, the roundings of 8 bits at their brightest
        seen = sum(int(reliable_pixels(golden, frame).sum()) for frame in range(frames.start, frames.stop))
        assert 1000 < len(world) < seen / 2


def test_up_is_up_in_every_shot(player: GltfPlayer, golden: Reconstruction) -> None:
    """The floor is level, and height 0 is there."""
    for shot, _ in SHOTS:
        heights = player.points(f"scene points of shot {shot}")[:, 1]
        assert (np.abs(heights) < 1e-4).sum() > 100 and heights.min() > -1e-4


def test_people_are_clouds_of_their_own(player: GltfPlayer, golden: Reconstruction) -> None:
    """Their own pixels, exactly, of the frame that has most of them; the body stands as in that frame."""
    for shot, frames in SHOTS:
        for person, person_id in enumerate(golden.person_ids):
            name = f"person {person_id} points of shot {shot}"
            node = player.document.nodes[player.names[name]]
            frame = node.extras["frame"]
            sizes = [int((golden.person_masks[t] == person).sum()) for t in range(frames.start, frames.stop)]
            assert frame == frames.start + int(np.argmax(sizes))
            assert node.extras["time_s"] == pytest.approx(
                golden.timestamps_s[frame] - golden.timestamps_s[frames.start]
            )
            pixels = (golden.person_masks[frame] == person) & reliable_pixels(golden, frame)
            expected = place(golden.world_points()[frame][pixels], golden, shot)
            np.testing.assert_allclose(player.points(name), expected, atol=2e-6)
            colours = player.array(player.attributes(name).COLOR_0)
            np.testing.assert_allclose(colours, to_linear(golden.images[frame][pixels]), atol=1e-7)
            mesh = f"person {person_id} mesh of shot {shot}"
            here = player.skinned(mesh, frame - frames.start, shot)
            np.testing.assert_allclose(player.skinned(mesh, None), here, atol=1e-6)


def test_skins_pose_like_the_body(player: GltfPlayer, golden: Reconstruction, body: Body) -> None:
    """At every time of both shots; filled-in frames are shown, frames without a body show nothing."""
    vertices = golden.vertices(body)
    for shot, frames in SHOTS:
        for person, person_id in enumerate(golden.person_ids):
            for key, frame in enumerate(range(frames.start, frames.stop)):
                found = player.skinned(f"person {person_id} mesh of shot {shot}", key, shot)
                if np.isfinite(vertices[person, frame]).all():
                    expected = place(vertices[person, frame], golden, shot)
                    np.testing.assert_allclose(found, expected, atol=4e-6)  # measured: 1.3e-6
                else:
                    assert np.ptp(found, axis=0).max() < 1e-6


def test_what_is_hidden_switches(player: GltfPlayer, golden: Reconstruction) -> None:
    """Sizes never grow slowly; before the first appearance a person waits where that is."""
    for shot, frames in SHOTS:
        for person, person_id in enumerate(golden.person_ids):
            shown = (golden.person_valid | golden.person_filled)[person, frames]
            channels = player.channels(shot)
            root = player.bones(f"person {person_id} mesh of shot {shot}")["pelvis"]
            if shown.all():
                assert (root, "scale") not in channels
                continue
            _, sizes, interpolation = channels[root, "scale"]
            assert interpolation == "STEP"
            np.testing.assert_array_equal(sizes, np.repeat(shown[:, None], 3, axis=1))
            places = channels[root, "translation"][1]
            assert np.isfinite(places).all()
            first = int(np.argmax(shown))
            np.testing.assert_array_equal(places[:first], np.repeat(places[[first]], first, axis=0))


def test_rotations_never_turn_the_long_way_round(player: GltfPlayer, golden: Reconstruction) -> None:
    """q and −q are one rotation, but a blend from one to the other passes through all others: no jump past 180°."""
    crossed = 0
    for shot, _ in SHOTS:
        for (node, path), (_, values, interpolation) in player.channels(shot).items():
            if path != "rotation":
                continue
            assert interpolation == "LINEAR"
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1.0, atol=1e-6)
            assert ((values[1:] * values[:-1]).sum(axis=1) >= 0).all()
            first = player.bones(f"person 3 mesh of shot {shot}")["pelvis"]
            crossed += node == first and (values[:, 3] < 0).any()
    assert crossed  # the record has a turn that crosses over


def test_signs_of_quaternions_follow_one_another() -> None:
    """Two joints, one of which turns by 1.2 full turns: half a turn on, the sign that SciPy gives changes."""
    turns = np.stack([np.linspace(0, 2.4 * np.pi, 30), np.full(30, 0.3)], axis=1)
    quaternions = to_quaternions(Rotation.from_euler("y", turns.reshape(-1, 1)).as_matrix().reshape(30, 2, 3, 3))
    assert ((quaternions[1:] * quaternions[:-1]).sum(-1) < 0).any()
    kept = keep_hemisphere(quaternions)
    assert ((kept[1:] * kept[:-1]).sum(-1) > 0).all()
    np.testing.assert_array_equal(np.abs(kept), np.abs(quaternions))
    np.testing.assert_array_equal(kept[:, 1], quaternions[:, 1])
    np.testing.assert_array_equal(kept[0], quaternions[0])


def test_the_camera_flies_along_the_path(player: GltfPlayer, golden: Reconstruction) -> None:
    for shot, frames in SHOTS:
        turn = upright(golden.gravity[shot])
        centres = place(golden.c2w[frames, :3, 3], golden, shot)
        np.testing.assert_allclose(player.points(f"camera path of shot {shot}"), centres, atol=1e-6)
        camera = player.names[f"camera of shot {shot}"]
        np.testing.assert_allclose(player.placed(camera, None), player.placed(camera, 0, shot), atol=1e-6)
        for key, frame in enumerate(range(frames.start, frames.stop)):
            placed = player.placed(camera, key, shot)
            np.testing.assert_allclose(placed[:3, 3], centres[key], atol=1e-6)
            np.testing.assert_allclose(placed[:3, :3], turn @ golden.c2w[frame, :3, :3] @ FLIP_YZ, atol=1e-6)
        view = player.document.cameras[shot].perspective
        assert np.tan(view.yfov / 2) == pytest.approx(SIZE[0] / 2 / INTRINSICS[1, 1])
        width = np.tan(view.yfov / 2) * view.aspectRatio
        assert width == pytest.approx(SIZE[1] / 2 / INTRINSICS[0, 0])
        # What is nearer than a centimetre would be inside of the lens; there is no far plane.
        assert view.znear == 0.01 and view.zfar is None


def test_drawn_cameras_reach_to_the_corners_of_the_picture(player: GltfPlayer, golden: Reconstruction) -> None:
    """Eight edges each, at one depth, through the pixel corners of the picture."""
    for shot, frames in SHOTS:
        ends = bring_back(player.points(f"cameras of shot {shot}"), golden, shot).reshape(-1, 8, 2, 3)
        assert len(ends) == NUM_FRAMES[shot]
        depth = golden.depth[frames]
        for drawn, frame in zip(ends, range(frames.start, frames.stop), strict=True):
            local = (drawn - golden.c2w[frame, :3, 3]) @ golden.c2w[frame, :3, :3]
            np.testing.assert_allclose(local[:4, 0], 0.0, atol=1e-6)
            np.testing.assert_allclose(local[:4, 1, 2], 0.06 * np.median(depth), rtol=1e-4)
            pixels = local[:4, 1] @ INTRINSICS.T
            corners = [(0, 0), (SIZE[1], 0), (SIZE[1], SIZE[0]), (0, SIZE[0])]
            np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], corners, atol=1e-3)
            round_trip = local[4:, 0], local[4:, 1]
            np.testing.assert_allclose(round_trip[0], local[:4, 1], atol=1e-6)
            np.testing.assert_allclose(round_trip[1], np.roll(local[:4, 1], -1, axis=0), atol=1e-6)


def test_bodies_have_the_colour_and_the_normals_of_their_person(
    player: GltfPlayer, golden: Reconstruction, body: Body
) -> None:
    for person, person_id in enumerate(golden.person_ids):
        name = f"person {person_id} mesh of shot 0"
        node = player.document.nodes[player.names[name]]
        primitive = player.document.meshes[node.mesh].primitives[0]
        surface = player.document.materials[primitive.material]
        expected = [*to_linear(person_colour(int(person_id))), 1.0]
        np.testing.assert_allclose(surface.pbrMetallicRoughness.baseColorFactor, expected, atol=1e-6)
        np.testing.assert_array_equal(player.array(primitive.indices)[:, 0], golden.faces.ravel())
        rest = body.shape(torch.from_numpy(golden.betas[person])).vertices.numpy()
        rest[:, 1] -= rest[:, 1].min()  # the rest pose stands on the floor
        np.testing.assert_allclose(player.array(primitive.attributes.POSITION), rest, atol=1e-6)
        normals = player.array(primitive.attributes.NORMAL)
        expected_normals = trimesh.Trimesh(rest, golden.faces, process=False).vertex_normals
        assert (normals * expected_normals).sum(axis=1).min() > 0.8  # means weighted by area and by angle
        skin = player.document.skins[node.skin]
        assert [player.document.nodes[joint].name for joint in skin.joints] == list(JOINT_NAMES)
        assert skin.skeleton == skin.joints[0]


def test_the_four_largest_weights_of_a_vertex_are_kept(tmp_path: Path, body: Body) -> None:
    weights = body.skin_weights.clone()
    weights[0] = 0.0
    weights[0, [2, 3, 5, 8, 13, 21]] = torch.tensor([0.05, 0.2, 0.1, 0.3, 0.01, 0.34])
    weights[1] = 0.0
    weights[1, 7] = 1.0
    many = replace(body, skin_weights=weights)
    write_glb(tmp_path / "scene.glb", make_record(body, num_people=1), many)
    player = GltfPlayer(tmp_path / "scene.glb")
    attributes = player.attributes("person 3 mesh")
    assert player.array(attributes.JOINTS_0)[:2].tolist() == [[21, 8, 3, 5], [7, 0, 0, 0]]
    kept = np.array([0.34, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(player.array(attributes.WEIGHTS_0)[:2], [kept / 0.94, [1, 0, 0, 0]], atol=1e-6)


def test_a_vertex_without_a_face_has_a_normal(tmp_path: Path, body: Body) -> None:
    """The format wants unit vectors of all."""
    lonely = replace(body, template=body.template.clone())
    faces = body.faces[(body.faces != 0).all(dim=1)]
    record = replace(make_record(body, num_people=1), faces=faces.numpy().astype(np.int32))
    write_glb(tmp_path / "scene.glb", record, replace(lonely, faces=faces))
    player = GltfPlayer(tmp_path / "scene.glb")
    normals = player.array(player.attributes("person 3 mesh").NORMAL)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)


def test_up_is_up_whatever_is_known(tmp_path: Path, body: Body) -> None:
    """Down points down, the first camera looks ahead along −z, and nothing is mirrored."""
    record = make_record(body)
    for gravity in ([0.0, 1.0, 0.0], [np.nan] * 3, [np.nan, 1.0, 0.0], [0.1, 0.95, 0.3], [0.3, 0.9, -0.2]):
        down = np.array(gravity, np.float32)
        write_glb(tmp_path / "scene.glb", replace(record, gravity=down[None]), body)
        world = GltfPlayer(tmp_path / "scene.glb").local(0, None)[:3, :3]
        assert np.linalg.det(world) == pytest.approx(1.0)
        down = down / np.linalg.norm(down) if np.isfinite(down).all() else np.array([0.0, 1.0, 0.0])
        np.testing.assert_allclose(world @ down, [0.0, -1.0, 0.0], atol=1e-6)
        ahead = world @ [0.0, 0.0, 1.0]
        assert ahead[2] < -0.9 and abs(ahead[0]) < 1e-6


@pytest.mark.parametrize("gravity", [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1e-5, 0.0, 2.0]])
def test_a_camera_that_looks_straight_down_has_some_heading(gravity: list[float]) -> None:
    turn = upright(np.array(gravity))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    np.testing.assert_allclose(turn @ gravity / np.linalg.norm(gravity), [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(turn[0], [1, 0, 0], atol=1e-4)  # the picture's right stays right


def test_read_by_trimesh(golden_path: Path, golden: Reconstruction) -> None:
    """The default scene: clouds in smooth colours, in place, and both bodies."""
    scene = trimesh.load(golden_path)
    shown = {name: scene.geometry[scene.graph[name][1]] for name in scene.graph.nodes_geometry}
    assert all(name.endswith(" of shot 0") for name in shown)
    kinds = {name.removesuffix(" of shot 0"): type(item).__name__ for name, item in shown.items()}
    assert kinds == {
        "scene points": "PointCloud", "person 3 points": "PointCloud", "person 4 points": "PointCloud",
         "cameras": "Path3D", "person 3 mesh": "Trimesh", "person 4 mesh": "Trimesh",
    }  # fmt: skip
    for name in ("person 3 mesh of shot 0", "person 4 mesh of shot 0"):
        assert len(shown[name].faces) == len(golden.faces)
    cloud = shown["scene points of shot 0"]
    matrix = scene.graph["scene points of shot 0"][0]
    world = bring_back(np.asarray(cloud.vertices) @ matrix[:3, :3].T + matrix[:3, 3], golden, 0)
    wrong = np.abs(np.asarray(cloud.colors)[:, :3] - 255 * to_linear(paint(world))).max(axis=1)
    assert np.quantile(wrong, 0.9) < 3.5 and (np.asarray(cloud.colors)[:, 3] == 255).all()
    assert scene.metadata["start_s"] == golden.timestamps_s[0]


def test_the_number_of_points_is_bounded(tmp_path: Path, body: Body, golden: Reconstruction) -> None:
    """Each shot has its share by the number of its frames."""
    write_glb(tmp_path / "scene.glb", golden, body, max_points=400)
    player = GltfPlayer(tmp_path / "scene.glb")
    sizes = [len(player.points(f"scene points of shot {shot}")) for shot in (0, 1)]
    assert 125 < sizes[0] <= 250 and 75 < sizes[1] <= 150
    write_glb(tmp_path / "few.glb", golden, body, max_points=1)
    player = GltfPlayer(tmp_path / "few.glb")
    assert [len(player.points(f"scene points of shot {shot}")) for shot in (0, 1)] == [1, 1]


def test_large_people_are_thinned(tmp_path: Path, body: Body) -> None:
    record = make_record(body, num_people=1, num_frames=1)
    large = {
        name: np.repeat(np.repeat(getattr(record, name), 6, axis=1), 6, axis=2)
        for name in ("images", "depth", "point_conf")
    }
    masks = np.zeros((1, 288, 384), np.int16)
    depth = np.full((1, 288, 384), 3.0, np.float32)
    write_glb(tmp_path / "scene.glb", replace(record, **(large | {"person_masks": masks, "depth": depth})), body)
    player = GltfPlayer(tmp_path / "scene.glb")
    assert 15_000 <= len(player.points("person 3 points")) <= 30_000
    assert "scene points" not in player.names


def test_a_person_who_has_points_but_no_body(tmp_path: Path, body: Body, golden: Reconstruction) -> None:
    """And one with a body but no points, and one with neither."""
    nobody = np.zeros_like(golden.person_valid)
    points_only = replace(golden, person_valid=nobody, person_filled=nobody)
    write_glb(tmp_path / "scene.glb", points_only, body)
    player = GltfPlayer(tmp_path / "scene.glb")
    assert not player.document.skins and {f"person {i} points of shot {s}" for i in (3, 4) for s in (0, 1)} <= set(
        player.names
    )
    write_glb(tmp_path / "scene.glb", replace(golden, person_masks=np.full_like(golden.person_masks, -1)), body)
    player = GltfPlayer(tmp_path / "scene.glb")
    assert len(player.document.skins) == 4 and "person 3 points of shot 0" not in player.names
    here = player.skinned("person 3 mesh of shot 0", 1, 0)
    np.testing.assert_allclose(player.skinned("person 3 mesh of shot 0", None), here, atol=1e-6)


def test_frames_with_a_body_come_before_larger_ones_without(tmp_path: Path, body: Body, golden: Reconstruction) -> None:
    masks = golden.person_masks.copy()
    masks[0, 4:, :40] = 0  # the first person is not valid there
    write_glb(tmp_path / "scene.glb", replace(golden, person_masks=masks), body)
    player = GltfPlayer(tmp_path / "scene.glb")
    assert player.document.nodes[player.names["person 3 points of shot 0"]].extras["frame"] == 2


@pytest.mark.parametrize(("num_people", "num_frames"), [(0, 1), (0, 4), (1, 1)])
def test_small_records(tmp_path: Path, body: Body, num_people: int, num_frames: int) -> None:
    record = make_record(body, num_people=num_people, num_frames=num_frames)
    write_glb(tmp_path / "scene.glb", record, body)
    player = GltfPlayer(tmp_path / "scene.glb")
    assert len(player.document.skins) == num_people
    assert ("camera path" in player.names) == (num_frames > 1)
    trimesh.load(tmp_path / "scene.glb")


def test_long_shots_draw_some_of_their_cameras(tmp_path: Path, body: Body) -> None:
    record = make_record(body, num_people=0, num_frames=130)
    write_glb(tmp_path / "scene.glb", record, body)
    player = GltfPlayer(tmp_path / "scene.glb")
    tips = player.points("cameras").reshape(-1, 16, 3)[:, 0]
    assert len(tips) == 60 and np.ptp(tips[:, 0]) == pytest.approx(0.1 * 129, rel=1e-5)
    assert len(player.points("camera path")) == 130


def test_nobody_ever_valid_and_no_depth(tmp_path: Path, body: Body) -> None:
    record = make_record(body)
    empty = replace(record, person_valid=np.zeros_like(record.person_valid), depth=np.zeros_like(record.depth))
    write_glb(tmp_path / "scene.glb", empty, body)
    player = GltfPlayer(tmp_path / "scene.glb")
    assert not player.document.skins and "scene points" not in player.names
    local = bring_back(player.points("cameras"), record, 0).reshape(-1, 16, 3)[0]
    assert local[1, 2] == pytest.approx(0.1)  # drawn at some size nevertheless


def test_nothing_half_written(tmp_path: Path, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError):
        write_glb(tmp_path / "scene.glb", make_record(body), body)
    assert list(tmp_path.iterdir()) == []
