"""Edits of a world of which everything is known: what a user corrects is right afterwards, and nothing is lost."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import oracle_world
from oracle_world import CLIP_SIZE, NUM_FRAMES, SHOTS, SIZE, SOURCE_SIZE, OracleNetwork, World, make_world
from unish import into_folder, refinement
from unish.body import Body, load_body, resize_shape
from unish.cli import main
from unish.edits import (
    KINDS,
    ClosedLoop,
    Contact,
    Drop,
    Edit,
    Floor,
    KnownDistance,
    Merge,
    PersonHeight,
    Split,
    parse_edits,
)
from unish.errors import InputError
from unish.geometry.camera import unproject
from unish.geometry.rigid import make_rigid
from unish.geometry.rotation import axis_angle_to_matrix
from unish.io import write_json
from unish.network.config import tiny_config
from unish.passes import OBSERVATIONS, apply_edits, concluded, open_observations
from unish.people import describe_unread
from unish.pipeline import Result, Settings
from unish.reconstruction import REGIONS
from unish.structs import BodyParams, FrameArray, Landmarks, Prediction, Reconstruction
from unish.structs.reconstruction import PEOPLE_STORE

pytestmark = pytest.mark.slow

CONFIG = replace(tiny_config(), long_side=128, multiple=32)
FOCAL = 220.0
START_S = 7200.0
CUT = 4
"""Frame from which on the second person has another id, where one is cut in two."""

Settle = Callable[..., Result]


def camera() -> Tensor:
    return torch.tensor([[FOCAL, 0, CLIP_SIZE[1] / 2], [0, FOCAL, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)


def seconds(frame: int) -> float:
    """Of a frame, rounded as users give it."""
    return round(START_S + frame / 6, 3)


def write_little(record: Reconstruction, body: Body, report: dict[str, Any], folder: Path, **options: Any) -> list[str]:
    """In place of ``write_files``: what edits need of a result."""
    record.save(folder / "reconstruction.npz")
    write_json(folder / "report.json", report)
    return []


def leave_out_quality(patched: pytest.MonkeyPatch) -> None:
    """The distances of bodies to points, which take longest of what a report says, and are asked for by nobody here."""
    patched.setattr(concluded, "measure_quality", lambda *args: {})


def observe(
    world: World, out: Path, network: OracleNetwork | None = None, *, all_files: bool = False, **settings: Any
) -> Result:
    """A finished result in ``out``; the network takes everybody for 8 % too large unless another one is given."""
    wrong = resize_shape(world.body, world.betas, torch.full((len(world.betas),), 0.08))
    given = (2 * FOCAL, 2 * FOCAL, float(CLIP_SIZE[1]), float(CLIP_SIZE[0]))
    people = (world.tracks, world.landmarks)
    with pytest.MonkeyPatch.context() as patched:
        if not all_files:
            leave_out_quality(patched)
            patched.setattr(into_folder, "write_files", write_little)
        return into_folder.reconstruct_into(
            world.clip,
            out,
            settings=Settings(window=5, overlap=2, intrinsics=given, **settings),
            people_finder=lambda clip, size: people,
            network=network or OracleNetwork(world=world, config=CONFIG, betas=wrong),
        )[0]


def cut_in_two(world: World) -> World:
    """The same, whose second person has got another id from frame ``CUT`` on."""
    rows, after = [0, 1, 1], torch.arange(NUM_FRAMES) >= CUT
    valid = world.tracks.valid[rows].clone()
    valid[1] &= ~after
    valid[2] &= after
    masks = world.tracks.masks.clone()
    masks[CUT:][masks[CUT:] == 1] = 2
    boxes = torch.where(valid[..., None], world.tracks.boxes_xyxy[rows], torch.nan)
    seen = valid[..., None, None]
    return replace(
        world,
        tracks=replace(world.tracks, person_ids=torch.tensor([4, 9, 12]), valid=valid, boxes_xyxy=boxes, masks=masks),
        landmarks=Landmarks(
            px=torch.where(seen, world.landmarks.px[rows], torch.nan),
            world=torch.where(seen, world.landmarks.world[rows], torch.nan),
            score=valid.float(),
        ),
        params=BodyParams(**{name: value[rows] for name, value in vars(world.params).items()}),
        betas=world.betas[rows],
    )


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(load_body(), camera(), betas=torch.zeros(2, 10))


@pytest.fixture(scope="module")
def first(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("first")
    return out, observe(world, out, all_files=True)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settle]:
    """``refine_into`` that leaves the folder as it is."""
    leave_out_quality(monkeypatch)
    monkeypatch.setattr(refinement, "write_files", lambda *args, **options: [])

    def settled(out: Path, *edits: Edit) -> Result:
        return refinement.refine_into(out, edits)[0]

    yield settled


def scene_ratio(world: World, result: Result) -> list[float]:
    """Median of found over true depth of the scene in each shot."""
    sure = (world.conf_logits > 0).numpy() & (world.tracks.masks.numpy() < 0)
    ratio = result.reconstruction.depth / world.depth.numpy()
    return [float(np.median(ratio[shot][sure[shot]])) for shot in SHOTS]


def source_pixel(row: int, column: int) -> tuple[float, float]:
    """(x, y) of the source at the middle of a pixel of the processed frame."""
    return (column + 0.5) * SOURCE_SIZE[1] / SIZE[1], (row + 0.5) * SOURCE_SIZE[0] / SIZE[0]


def files(out: Path) -> dict[str, bytes]:
    """What the same edits give to the bit; report.json tells how long everything took."""
    paths = [path for path in (*out.iterdir(), *(out / PEOPLE_STORE).iterdir()) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths if path.name != "report.json"}


# Nothing lost


def test_undoing_all_edits_gives_the_first_files(first: tuple[Path, Result], tmp_path: Path) -> None:
    shutil.copytree(first[0], tmp_path, dirs_exist_ok=True)
    before, edits = files(tmp_path), [Drop(person=4), PersonHeight(person=9, metres=1.5), ClosedLoop(shot=0)]
    results = {"reconstruction.npz", "scene.glb", "preview.mp4", "report.html"}
    assert results == {name for name in before if "/" not in name}
    seen = list(Reconstruction.load(tmp_path).in_memory().person_points)
    found = refinement.refine(tmp_path, edits)
    edited = files(tmp_path)
    assert all(edited[name] != before[name] for name in results)
    assert sum(len(cloud.person) for cloud in found.person_points) > 1000
    for cloud, then in zip(found.person_points, seen, strict=True):
        assert (cloud.person == 0).all(), "who is left has moved to the front of the people axis"
        np.testing.assert_array_equal(cloud.colours, then.of(1).colours)
    refinement.refine(tmp_path, edits)
    assert files(tmp_path) == edited, "the same edits again give the same bytes"
    refinement.refine(tmp_path, [])
    assert files(tmp_path) == before


def test_edits_are_recorded(first: tuple[Path, Result], settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concluded, "describe_unread", lambda tracks, landmarks: [f"of {tracks.person_ids.tolist()}"])
    result = settle(first[0], Drop(person=9))
    assert "of [4]" in result.report["warnings"], "what is said of landmarks is said of the people that are left"
    told = [{"kind": "drop", "person": 9}]
    assert result.report["edits"] == result.reconstruction.edits == told
    assert first[1].report["edits"] == first[1].reconstruction.edits == []
    assert parse_edits({"format": "unish-edits/1", "edits": told}) == (Drop(person=9),)


def test_the_page_runs(
    world: World, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/refine.md: its files are edits, its commands and its Python run on people 1 and 4 of two seconds."""
    clip = replace(world.clip, timestamps_s=torch.arange(NUM_FRAMES, dtype=torch.float64) / 6)
    tracks = replace(world.tracks, person_ids=torch.tensor([1, 4]))
    monkeypatch.chdir(tmp_path)
    observe(replace(world, clip=clip, tracks=tracks), tmp_path / "out" / "dance")
    monkeypatch.setattr(refinement, "write_files", write_little)
    leave_out_quality(monkeypatch)
    text = (repository / "docs" / "refine.md").read_text()
    rows = [json.loads(row) for row in re.findall(r"`({.*})`", text)]
    assert {edit.kind for edit in parse_edits({"format": "unish-edits/1", "edits": rows})} == set(KINDS)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert [kind for kind, _ in blocks] == ["json", "bash", "json", "bash", "python"]
    for kind, block in blocks:
        if kind == "json":
            (tmp_path / "edits.json").write_text(block)
        elif kind == "python":
            exec(compile(block, "docs/refine.md", "exec"), {})
        else:
            assert main(shlex.split(block)[1:]) == 0, capsys.readouterr().err


# Sizes


def test_a_height_is_exact_and_brings_the_scene(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    true = float(world.body.standing_height(world.betas[0]))
    assert min(scene_ratio(world, first[1])) > 1.06
    result = settle(first[0], PersonHeight(person=4, metres=true))
    assert scene_ratio(world, result) == pytest.approx([1.0, 1.0], rel=0.02)
    assert result.report["people"][0]["height_m"] == pytest.approx(true, abs=1e-3)
    # The same as a run that was given it.
    assert result.report["people"][0]["size"] == f"{true:.2f} m, given"


def test_a_known_distance_brings_the_scene(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    points = unproject(world.depth[3], world.intrinsics[3])
    metres = float((points[60, 20] - points[62, 100]).norm())
    edit = KnownDistance(from_px=source_pixel(60, 20), to_px=source_pixel(62, 100), at_s=seconds(3), metres=metres)
    assert scene_ratio(world, settle(first[0], edit)) == pytest.approx([1.0, 1.0], rel=0.02)


# Identities


@pytest.fixture(scope="module")
def broken(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result in which the second person has two ids."""
    out = tmp_path_factory.mktemp("broken")
    assert observe(cut_in_two(world), out).reconstruction.person_ids.tolist() == [4, 9, 12]
    return out


def test_two_ids_become_one_person_with_one_shape(
    world: World, first: tuple[Path, Result], broken: Path, settle: Settle
) -> None:
    found, whole = settle(broken, Merge(persons=(12, 9))).reconstruction, first[1].reconstruction
    assert found.person_ids.tolist() == [4, 12] and found.betas.shape == (2, 10)
    np.testing.assert_array_equal(found.person_valid, world.tracks.valid.numpy())
    np.testing.assert_array_equal(found.person_masks, world.tracks.masks.numpy())
    for name in ("joints", "betas", "landmarks_px", "boxes_xyxy", "depth", "c2w", "contact_prob"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), atol=1e-4, err_msg=name)


def test_a_person_is_split_and_the_other_one_stays(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    found = settle(first[0], Split(person=9, at_s=seconds(CUT))).reconstruction
    assert found.person_ids.tolist() == [4, 9, 10]
    expected = cut_in_two(world).tracks
    np.testing.assert_array_equal(found.person_valid, expected.valid.numpy())
    np.testing.assert_array_equal(found.person_masks, expected.masks.numpy())
    np.testing.assert_allclose(found.joints[0], first[1].reconstruction.joints[0], atol=0.03)


def test_who_is_dropped_is_gone_and_their_pixels_are_scene(
    world: World, first: tuple[Path, Result], settle: Settle
) -> None:
    result = settle(first[0], Drop(person=4))
    found, masks = result.reconstruction, world.tracks.masks.numpy()
    assert found.person_ids.tolist() == [9] and [row["id"] for row in result.report["people"]] == [9]
    np.testing.assert_array_equal(found.person_masks, np.where(masks == 1, 0, -1))
    np.testing.assert_array_equal(found.person_valid[0], world.tracks.valid[1].numpy())
    nobody = settle(first[0], Drop(person=4), Drop(person=9))
    assert nobody.reconstruction.num_people == 0 and nobody.report["people"] == []
    assert (nobody.reconstruction.person_masks == -1).all() and (nobody.reconstruction.depth > 0).any()


def test_heights_and_contacts_go_with_the_person(broken: Path, settle: Settle) -> None:
    touches = Contact(person=12, point="left_toe", from_s=START_S, to_s=seconds(NUM_FRAMES), touches=False)
    edits = [PersonHeight(person=12, metres=1.5), touches, Merge(persons=(9, 12)), Drop(person=4)]
    result = settle(broken, *edits)
    (person,) = result.report["people"]
    assert person["id"] == 9 and person["height_m"] == pytest.approx(1.5, abs=1e-3)
    toe = result.reconstruction.contact_prob[0, :, REGIONS.index("left_toe")]
    assert (toe[CUT + 1 :] == 0).all() and not (toe[:CUT] == 0).any()


def test_missing_landmarks_are_told_of_the_people_that_there_are(broken: Path, tmp_path: Path) -> None:
    """Of ids 4, 9 and 12 the last has no landmarks: together with 9 they are missing in more than a quarter, too."""
    report = json.loads((broken / "report.json").read_text())
    pictures = FrameArray.like(Reconstruction.load(broken).images, lambda frame: pytest.fail("a picture was read"))
    run = open_observations(broken / OBSERVATIONS, pictures, report["observations"], tmp_path / "maps")
    px = run.seen.landmarks.px.clone()
    px[2] = torch.nan
    run = replace(run, seen=replace(run.seen, landmarks=replace(run.seen.landmarks, px=px)))

    def told(*edits: Edit) -> list[str]:
        seen = apply_edits(run, edits).seen
        return [text.split(" are missing")[0] for text in describe_unread(seen.tracks, seen.landmarks)]

    assert told() == ["landmarks of person 12"]
    assert told(Merge(persons=(9, 12))) == ["landmarks of person 9"]
    assert told(Drop(person=12)) == []


# Contacts, floor, camera


def heel_path(world: World, result: Result) -> np.ndarray:
    """Metres that the left heel of the first person moves over the floor from frame to frame of the first shot."""
    record, frames = result.reconstruction, range(SHOTS[0].stop)
    pose = axis_angle_to_matrix(torch.from_numpy(record.body_pose_aa[0].reshape(-1, 23, 3)))
    params = BodyParams(
        betas=torch.from_numpy(record.betas[0]).expand(NUM_FRAMES, 10),
        global_orient=axis_angle_to_matrix(torch.from_numpy(record.global_orient_aa[0])),
        body_pose=pose,
        transl=torch.from_numpy(record.transl[0]),
    )
    heel = world.body.landmarks(params)[frames, 29].numpy()
    steps, up = np.diff(heel, axis=0), record.floor[0, :3]
    return np.linalg.norm(steps - (steps @ up)[:, None] * up, axis=-1)


def test_a_contact_holds_the_foot_and_no_contact_frees_it(
    world: World, first: tuple[Path, Result], settle: Settle
) -> None:
    span = {"person": 4, "from_s": seconds(0), "to_s": seconds(SHOTS[0].stop - 1)}
    on, off = (
        settle(first[0], *(Contact(point=point, touches=touches, **span) for point in REGIONS))
        for touches in (True, False)
    )
    for result, probability in ((on, 1.0), (off, 0.0)):
        assert (result.reconstruction.contact_prob[0, SHOTS[0]] == probability).all()
        assert not (result.reconstruction.contact_prob[0, SHOTS[1]] == probability).all()
    # This person glides, by 17 cm/s: a foot that touches does not.
    assert heel_path(world, on).max() < 0.3 * heel_path(world, off).min()


def test_a_plane_is_kept_and_feet_are_not_asked(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    plane = np.array([0.05, -1.0, 0.1, 1.4]) * 2
    result = settle(first[0], Floor(shot=1, plane=tuple(plane.tolist())))
    found = result.reconstruction
    np.testing.assert_allclose(found.floor[1], plane / np.linalg.norm(plane[:3]), atol=1e-6)
    np.testing.assert_allclose(found.gravity[1], -found.floor[1, :3], atol=1e-6)
    assert [shot["ground"] for shot in result.report["shots"]][1] == "given floor"
    np.testing.assert_allclose(found.floor[0], first[1].reconstruction.floor[0], atol=0.05)


def test_pixels_of_the_floor_tell_where_it_is(world: World, first: tuple[Path, Result], settle: Settle) -> None:
    places = [(60, 20, 0), (62, 100, 3), (56, 64, 6), (61, 110, 6)]
    points = tuple((*source_pixel(row, column), seconds(frame)) for row, column, frame in places)
    result = settle(first[0], Floor(shot=0, points=points))
    # The world is as much too large as its people.
    floor = result.reconstruction.floor[0] / [1.0, 1.0, 1.0, scene_ratio(world, result)[0]]
    np.testing.assert_allclose(floor, world.floors()[0].numpy(), atol=0.02)
    assert result.report["shots"][0]["ground"] == "given floor"


class Drifting(OracleNetwork):
    """Its cameras turn and walk away from the true ones, further with every frame."""

    def __call__(self, images: Tensor, *args: Any, **options: Any) -> Prediction:
        true = super().__call__(images, *args, **options)
        index = torch.tensor(list(self._recognise(images)))
        late = (index - index[0])[:, None]
        drift = make_rigid(
            axis_angle_to_matrix(late * torch.tensor([0.0, 0.01, 0.003])), late * torch.tensor([0.01, 0.0, 0.004])
        )
        return replace(true, c2w=drift[None] @ true.c2w)


def walk_around(*, radius_m: float = 0.3) -> Tensor:
    """Cameras that go around a circle in each shot, and end where they began."""
    poses = []
    for shot in SHOTS:
        angle = torch.linspace(0, 2 * torch.pi, shot.stop - shot.start)
        place = torch.stack([angle.sin(), torch.zeros_like(angle), 1 - angle.cos()], -1) * radius_m
        turn = torch.stack([torch.full_like(angle, -0.12), 0.05 * angle.sin(), torch.zeros_like(angle)], -1)
        poses.append(make_rigid(axis_angle_to_matrix(turn), place))
    return torch.cat(poses)


def test_a_camera_that_ends_where_it_began(tmp_path: Path, settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle_world, "_move_camera", walk_around)
    world = make_world(load_body(), camera(), betas=torch.zeros(2, 10))
    before = observe(world, tmp_path, Drifting(world=world, config=CONFIG, betas=world.betas), settle=False)
    found, old, shot = settle(tmp_path, ClosedLoop(shot=0)).reconstruction, before.reconstruction, SHOTS[0]
    np.testing.assert_array_equal(found.c2w[shot.stop - 1], np.eye(4))
    np.testing.assert_array_equal(found.c2w[SHOTS[1]], old.c2w[SHOTS[1]])
    off, was_off = (np.abs(one.c2w[shot] - world.c2w[shot].numpy()).max() for one in (found, old))
    assert was_off > 0.05 and off < 0.5 * was_off
    # People and points have moved with their cameras: each frame sees what it saw.
    np.testing.assert_array_equal(found.depth, old.depth)
    np.testing.assert_allclose(in_cameras(found), in_cameras(old), atol=1e-4)
    # So they come to where the true cameras would have put them.
    c2w = world.c2w.numpy()
    wanted = np.einsum("tij,ptkj->ptki", c2w[:, :3, :3], in_cameras(old)) + c2w[:, None, :3, 3]
    gone, was_gone = (np.nanmax(np.abs(one.joints - wanted)[:, shot]) for one in (found, old))
    assert was_gone > 0.2 and gone < 0.3 * was_gone


def in_cameras(record: Reconstruction) -> np.ndarray:
    """Joints of everybody in the camera of each frame."""
    away = record.joints - record.c2w[:, None, :3, 3]
    return np.einsum("tji,ptkj->ptki", record.c2w[:, :3, :3], away)


# What cannot be

SPAN = {"person": 4, "point": "left_toe", "touches": True}
WRONG: dict[str, tuple[Sequence[Edit], str]] = {
    "nobody": ([PersonHeight(person=7, metres=1.7)], "nobody has the id 7 here: the people are 4, 9"),
    "after a drop": ([Drop(person=4), Drop(person=4)], "edit 2 (drop): nobody has the id 4 here: the people are 9"),
    "both in view": ([Merge(persons=(4, 9))], "persons 4 and 9 are seen in one frame (7200.00 s), so they are two"),
    "two heights": (
        [Split(person=9, at_s=seconds(CUT)), PersonHeight(person=9, metres=1.7), PersonHeight(person=10, metres=1.8),
         Merge(persons=(9, 10))],
        "edit 4 (merge): persons 9, 10 have different heights",
    ),
    "split before": ([Split(person=9, at_s=3.0)], "at 3 s: person 9 is seen from 7200.00 to 7201.67 s"),
    "split after": ([Split(person=9, at_s=9000.0)], "nothing is split at 9000 s"),
    "contact outside": ([Contact(from_s=1.0, to_s=2.0, **SPAN)], "no used frame shows the person from 1 to 2 s"),
    "contact of no point": (
        [Contact(from_s=seconds(0), to_s=seconds(3), **(SPAN | {"point": "nose"}))],
        "point of contact is 'nose'; give one of left_heel, left_toe, right_heel, right_toe",
    ),
    "no shot": ([ClosedLoop(shot=2)], "edit 1 (closed_loop): there is no shot 2; give one of the shots, 0 to 1"),
    "floor above": ([Floor(shot=0, plane=(0.0, 1.0, 0.0, -1.5))], "floor: the camera would be under it"),
    "floor elsewhere": (
        [Floor(shot=1, points=((9.0, 9.0, seconds(8)), (20.0, 9.0, seconds(8)), (20.0, 30.0, 3.0)))],
        "point (20, 30) at 3 s: the nearest frame with depth is at 7201.17 s; give a time within the shot",
    ),
    "floor on a line": (
        [Floor(shot=0, points=tuple((*source_pixel(60, column), seconds(0)) for column in (30, 60, 100)))],
        "floor: its points lie on a line",
    ),
    "distance outside": (
        [KnownDistance(from_px=(1.0, 1.0), to_px=(900.0, 1.0), at_s=seconds(0), metres=1.0)],
        "edit 1 (known_distance): from (1, 1) to (900, 1): not within the picture of 500×300 pixels",
    ),
    "two sizes": (
        [PersonHeight(person=4, metres=1.7),
         KnownDistance(from_px=(90.0, 290.0), to_px=(300.0, 290.0), at_s=seconds(0), metres=1.0)],
        "heights of people and known distances both say how large everything is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(name: str, first: tuple[Path, Result]) -> None:
    edits, said = WRONG[name]
    before = files(first[0])
    with pytest.raises(InputError) as caught:
        refinement.refine(first[0], edits)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert files(first[0]) == before and not (first[0] / ".unish-run").exists()
