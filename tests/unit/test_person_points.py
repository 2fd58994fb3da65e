"""Points of people at their own resolution: on the body, with the relief's detail, and kept frame by frame."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from crops_of_bodies import SIZE, WALL_M, SeenBodies, see_bodies
from small_record import make_figure, make_record
from unish.body import load_body
from unish.errors import InputError
from unish.export.faces import blur_faces
from unish.export.points import choose_points
from unish.geometry.surfaces import dilate
from unish.lab.evaluation.compared_clouds import score_person_points
from unish.lab.evaluation.compared_views import share_frames
from unish.reconstruction.person_points import place_people
from unish.structs import FrameArray, PeopleCloud, PersonPoints, Reconstruction

STILL = torch.eye(4)


@pytest.fixture(scope="module")
def seen() -> SeenBodies:
    return see_bodies(load_body("free"))


def place(seen: SeenBodies, **changes: object) -> PeopleCloud:
    given = {
        "crops": seen.crops, "depth": torch.where(seen.mask >= 0, 3.3, WALL_M), "mask": seen.mask,
        "intrinsics": seen.intrinsics, "c2w": STILL, "vertices": seen.vertices, "faces": seen.faces,
    }  # fmt: skip
    return place_people(**(given | changes))


def distances(cloud: PeopleCloud, seen: SeenBodies, person: int) -> np.ndarray:
    """From the points of a person to the true surface, metres."""
    return cKDTree(seen.true_points(person).numpy()).query(cloud.of(person).points)[0]


@pytest.mark.parametrize("person", [0, 1])
def test_a_perfect_relief_lies_on_the_true_surface_whatever_the_depth_map_says(seen: SeenBodies, person: int) -> None:
    found = distances(place(seen), seen, person)
    # Pixels are 1.5 and 2 cm wide there: measured 0.9 and 1.1 cm at most for 95 %.
    assert len(found) > 800 and np.quantile(found, 0.95) < 0.02


def test_folds_come_from_the_relief_and_not_from_the_body(seen: SeenBodies) -> None:
    crops = replace(seen.crops, relief=np.zeros_like(seen.crops.relief))
    flat, full = place(seen, crops=crops).of(0), place(seen).of(0)

    def turns(cloud: PeopleCloud) -> float:
        return float(np.std(cloud.normals[:, 1].astype(float)))

    assert turns(full) > 1.5 * turns(flat)


def test_relief_has_no_level(seen: SeenBodies) -> None:
    crops = replace(seen.crops, relief=seen.crops.relief + np.float32(0.7))
    np.testing.assert_allclose(place(seen, crops=crops).points, place(seen).points, atol=2e-3)


def test_points_follow_bodies_and_the_world(seen: SeenBodies) -> None:
    once, twice = place(seen), place(seen, vertices=2 * seen.vertices)
    np.testing.assert_allclose(twice.points, 2 * once.points, rtol=1e-3, atol=1e-3)
    moved = torch.tensor([[0.0, 0.0, 1.0, 5.0], [0.0, 1.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    there = place(seen, c2w=moved)
    np.testing.assert_allclose(there.points, once.points @ moved[:3, :3].numpy().T + moved[:3, 3].numpy(), atol=1e-4)
    np.testing.assert_allclose(there.normals, once.normals @ moved[:3, :3].half().numpy().T, atol=2e-3)


def test_normals_are_unit_vectors_towards_the_camera(seen: SeenBodies) -> None:
    cloud = place(seen)
    normals = cloud.normals.astype(float)
    length = np.linalg.norm(normals, axis=-1)
    assert (length > 0).mean() > 0.99, "a point without neighbours has none"
    np.testing.assert_allclose(length[length > 0], 1, atol=2e-3)
    assert ((normals * cloud.points).sum(-1) < 0.1).all()


def test_a_person_alone_is_the_same_as_beside_another(seen: SeenBodies) -> None:
    one = {name: getattr(seen.crops, name)[1:] for name in ("person", "boxes", "relief", "colours")}
    alone = place(seen, crops=replace(seen.crops, **one), vertices=seen.vertices[1:])
    both = place(seen).of(1)
    np.testing.assert_allclose(alone.points, both.points, atol=1e-4)


def test_without_a_body_the_depth_places_the_person(seen: SeenBodies) -> None:
    cloud = place(seen, vertices=torch.full_like(seen.vertices, torch.nan), depth=seen.surface)
    assert np.median(distances(cloud, seen, 0)) < 0.03
    nothing = place(seen, vertices=torch.full_like(seen.vertices, torch.nan), depth=torch.zeros(SIZE))
    assert len(nothing.points) == 0


def test_nothing_hangs_between_a_person_and_the_wall(seen: SeenBodies) -> None:
    """Also where the mask takes in a rim of the wall, whose relief means nothing."""
    wide = seen.mask.clone()
    wide[dilate(seen.mask == 0, 1) & (seen.mask < 0)] = 0
    relief = np.where(seen.crops.relief > 4, np.float32(2.0), seen.crops.relief)  # a step of two sides of the crop
    cloud = place(seen, mask=wide, crops=replace(seen.crops, relief=relief)).of(0)
    behind = cloud.points[:, 2] > float(seen.true_points(0)[:, 2].max()) + 0.15
    assert behind.mean() < 0.01


def test_nobody_has_more_points_than_pixels(seen: SeenBodies) -> None:
    cloud = place(seen).of(0)
    assert len(cloud.points) <= 1.05 * int((seen.mask == 0).sum())


def score_in_truth(seen: SeenBodies, cloud: PeopleCloud, **changes: object) -> dict[str, float]:
    """Two equal frames of the bodies, judged against their own truth."""
    depth = np.stack([seen.surface.numpy()] * 2)
    truth = replace(
        make_record(make_figure(), num_frames=2),
        images=np.zeros((2, *SIZE, 3), np.uint8), image_size=np.array(SIZE, np.int32), depth=depth,
        point_conf=np.ones((2, *SIZE), np.float16), person_masks=np.stack([seen.mask.numpy()] * 2),
        intrinsics=np.stack([seen.intrinsics.numpy()] * 2), c2w=np.stack([np.eye(4, dtype=np.float32)] * 2),
    )  # fmt: skip
    found = replace(truth, person_points=PersonPoints(2, lambda frame: replace(cloud, **changes)))
    assert score_person_points(truth, share_frames(truth, truth)) == {}
    return score_person_points(found, share_frames(found, truth))


def test_true_points_score_well_and_damage_is_seen(seen: SeenBodies) -> None:
    cloud = place(seen)
    good = score_in_truth(seen, cloud)
    # The folds are as wide as the points are apart: measured 16°, none between.
    assert good["person_points_normal_error_deg"] < 20 and good["person_points_between_percent"] < 0.2
    turned = score_in_truth(seen, cloud, normals=cloud.normals[:, [1, 2, 0]])
    assert turned["person_points_normal_error_deg"] > good["person_points_normal_error_deg"] + 20
    nearer = score_in_truth(seen, cloud, points=0.5 * cloud.points)
    assert nearer["person_points_between_percent"] == good["person_points_between_percent"], "shape alone counts"
    rim = np.random.default_rng(0).random(len(cloud.points)) < 0.1
    hanging = score_in_truth(seen, cloud, points=np.where(rim[:, None], 1.3 * cloud.points, cloud.points))
    assert hanging["person_points_between_percent"] > 1


def make_points(record: Reconstruction) -> PersonPoints:
    """Person 0 alone, with more points from frame to frame; nobody in frame 1."""
    rng = np.random.default_rng(0)

    def make(frame: int) -> PeopleCloud:
        num = 0 if frame == 1 else 5 + frame
        return PeopleCloud(
            points=rng.normal(size=(num, 3)).astype(np.float32) + np.float32([0, 0, 4]),
            colours=rng.integers(0, 255, (num, 3)).astype(np.uint8),
            normals=np.tile(np.float16([0, 0, -1]), (num, 1)),
            person=np.zeros(num, np.int16),
        )

    return PersonPoints(len(record.depth), [make(frame) for frame in range(len(record.depth))].__getitem__)


@pytest.fixture
def record() -> Reconstruction:
    found = make_record(make_figure())
    return replace(found, person_points=make_points(found))


def test_points_are_stored_beside_the_file_and_read_frame_by_frame(record: Reconstruction, tmp_path: Path) -> None:
    record.save(tmp_path / "reconstruction.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reconstruction.npz", "reconstruction.people"]
    loaded = Reconstruction.load(tmp_path)
    assert record.person_points is not None and loaded.person_points is not None
    for before, after in zip(record.person_points, loaded.person_points, strict=True):
        for name, values in vars(before).items():
            np.testing.assert_array_equal(getattr(after, name), values)
            assert getattr(after, name).dtype == values.dtype, name
    (tmp_path / "reconstruction.people" / "00000002.npz").unlink()
    assert len(loaded.person_points[3].points) == 8, "only the frame that is asked for is read"
    with pytest.raises(InputError, match="does not hold 6 frames"):
        Reconstruction.load(tmp_path)


def test_points_are_those_of_the_person_or_their_pixels(record: Reconstruction, tmp_path: Path) -> None:
    record.save(tmp_path / "reconstruction.npz")
    loaded, pixels = Reconstruction.load(tmp_path), replace(record, person_points=None)
    assert record.person_points is not None
    for frame, points in enumerate(loaded.points(person=0)):
        expected = pixels.points(person=0)[frame] if frame == 1 else record.person_points[frame].points
        np.testing.assert_array_equal(points, expected)
    for points, expected in zip(loaded.points(person=1), pixels.points(person=1), strict=True):
        np.testing.assert_array_equal(points, expected)


def test_a_file_without_its_folder_has_no_points_of_people(record: Reconstruction, tmp_path: Path) -> None:
    record.save(tmp_path / "reconstruction.npz")
    (tmp_path / "elsewhere").mkdir()
    alone = tmp_path / "elsewhere" / "reconstruction.npz"
    alone.write_bytes((tmp_path / "reconstruction.npz").read_bytes())
    assert Reconstruction.load(alone).person_points is None


@pytest.mark.parametrize("beside", [False, True])
def test_depth_of_a_frame_is_computed_once_for_maps_and_points(
    record: Reconstruction, tmp_path: Path, beside: bool
) -> None:
    computed: list[int] = []

    def compute(frame: int) -> np.ndarray:
        computed.append(frame)
        return np.asarray(record.depth[frame])

    depth = FrameArray(record.depth.shape, record.depth.dtype, compute)

    def find_points(frame: int) -> PeopleCloud:
        assert record.person_points is not None and depth[frame].any()
        return record.person_points[frame]

    lazy = replace(record, depth=depth, person_points=PersonPoints(6, find_points))
    if beside:
        lazy.save(tmp_path / "reconstruction.npz", beside=True)
        found = Reconstruction.load(tmp_path)
    else:
        found = lazy.in_memory(people=tmp_path / "reconstruction.people")
    assert computed == list(range(6))
    np.testing.assert_array_equal(np.asarray(found.depth), record.depth)
    assert found.person_points is not None and len(found.person_points[3].points) == 8


def test_saving_replaces_older_points_and_keeps_those_it_reads(record: Reconstruction, tmp_path: Path) -> None:
    path = tmp_path / "reconstruction.npz"
    record.save(path)
    loaded = Reconstruction.load(path)
    loaded.save(path)
    assert record.person_points is not None
    other = PersonPoints(6, lambda frame: record.person_points[0])  # type: ignore[index]
    replace(record, person_points=other).save(path)
    assert [len(cloud.points) for cloud in Reconstruction.load(path).person_points or ()] == [5] * 6
    kept = Reconstruction.load(path).in_memory()
    (tmp_path / "reconstruction.people" / "00000000.npz").unlink()
    assert kept.person_points is not None and len(kept.person_points[0].points) == 5


def test_clouds_show_people_at_their_own_resolution(record: Reconstruction) -> None:
    chosen = choose_points(record, max_points=10**6)
    for frame in range(record.num_frames):
        own = (chosen.frame == frame) & (chosen.person == 0)
        if frame != 1:
            np.testing.assert_array_equal(chosen.xyz[own], record.points(person=0)[frame])
    by_pixels = choose_points(replace(record, person_points=None), max_points=10**6)
    np.testing.assert_array_equal(chosen.xyz[chosen.person != 0], by_pixels.xyz[by_pixels.person != 0])
    few = choose_points(record, max_points=60)
    assert len(few.xyz) <= 60


def test_blurred_faces_are_not_shown_by_points_either(record: Reconstruction) -> None:
    assert blur_faces(record).person_points is None
