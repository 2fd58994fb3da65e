"""Methods under test: what baselines say, what a record is filled with, and where files are looked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.body import load_body
from unish.errors import InputError
from unish.lab.evaluation import Request, compare_with_truth
from unish.lab.evaluation.limits import FirstFrames, keep_first_of_record
from unish.lab.evaluation.methods import BASELINES, BaselinePredictor, FilesPredictor, make_predictor
from unish.lab.evaluation.methods.baselines import CAMERA_HEIGHT_M, CONSTANT_DEPTH_M, WALL_M, render_floor_plane
from unish.lab.evaluation.methods.files import find_file, hash_folder
from unish.lab.evaluation.row_prior import load_row_prior, row_prior_depth
from unish.lab.synthetic import clip_from_truth, observe_people
from unish.structs import Reconstruction
from walking_record import SIZE, make_walk

BODY = load_body("free")
TRUTH = make_walk()


def ask(truth: Reconstruction, **settings: object) -> Request:
    return Request(
        name="walk",
        source=clip_from_truth(truth),
        settings=dict(settings),
        people_finder=lambda clip, size: observe_people(truth, BODY, size),
    )


def test_record_world_is_the_first_camera() -> None:
    np.testing.assert_allclose(TRUTH.c2w[0], np.eye(4), atol=1e-7)
    assert TRUTH.joints.shape == (2, 6, 24, 3) and np.isfinite(TRUTH.joints).all()
    scores = compare_with_truth(TRUTH, TRUTH, BODY)
    assert scores["people_matched"] == 1 and scores["mpjpe_mm"] < 1e-2 and scores["pve_mm"] < 1e-2


def test_record_boxes_hold_the_bodies() -> None:
    width, height = SIZE[1], SIZE[0]
    boxes = TRUTH.boxes_xyxy
    assert (boxes[..., :2] >= 0).all() and (boxes[..., 2] <= width).all() and (boxes[..., 3] <= height).all()
    w2c = np.linalg.inv(TRUTH.c2w)
    joints = np.einsum("tij,ptkj->ptki", w2c[:, :3, :3], TRUTH.joints) + w2c[:, None, :3, 3]
    px = np.einsum("tij,ptkj->ptki", TRUTH.intrinsics, joints)
    px = (px[..., :2] / px[..., 2:]).clip(0, [width, height])
    assert (px >= boxes[..., None, :2] - 0.5).all() and (px <= boxes[..., None, 2:] + 0.5).all()


@pytest.mark.long
@pytest.mark.parametrize("name", BASELINES)
def test_baselines_stand_still(name: str) -> None:
    record = BaselinePredictor(name).predict(ask(TRUTH)).reconstruction
    assert (record.c2w == np.eye(4)).all() and record.num_people == 2
    k = record.intrinsics[0]
    assert k[0, 0] == pytest.approx(0.9 * max(record.image_size))
    scores = compare_with_truth(record, TRUTH, BODY)
    assert scores["people_matched"] == 1 and 0 < scores["mpjpe_mm"] < 400
    assert scores["camera_turn_error_deg"] == pytest.approx(scores["camera_turn_identity_deg"])


def test_baseline_depths_are_what_their_names_say() -> None:
    depth = {name: BaselinePredictor(name).predict(ask(TRUTH)).reconstruction.depth[0] for name in BASELINES}
    assert (depth["static-camera"] == 0).all() and (depth["constant-depth"] == CONSTANT_DEPTH_M).all()
    height, width = depth["row-prior"].shape
    prior = row_prior_depth(load_row_prior(), (height, width))[0]
    np.testing.assert_allclose(depth["row-prior"], prior, rtol=1e-6)
    assert (depth["floor-plane"][: height // 2] == WALL_M).all() and depth["floor-plane"][-1].max() < WALL_M


def test_photo_prior_looks_at_every_frame_and_at_the_focal_length() -> None:
    k = TRUTH.intrinsics[0]
    near, far = (
        BaselinePredictor("photo-prior")
        .predict(ask(TRUTH, intrinsics=(f * float(k[0, 0]), f * float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))))
        .reconstruction.depth
        for f in (1, 2)
    )
    np.testing.assert_allclose(far, 2 * near, rtol=1e-4)
    assert near.std() > 0.01 and (near > 0).all()
    moved = np.flatnonzero((TRUTH.images[1:] != TRUTH.images[:-1]).any(axis=(1, 2, 3)))
    assert all((near[t + 1] != near[t]).any() for t in moved) and len(moved)


def test_floor_plane_is_level_and_as_low_as_it_says() -> None:
    """Unprojected again, every floor pixel lies at the same height below the camera."""
    k = torch.tensor([[300.0, 0, 160], [0, 280, 100], [0, 0, 1]])
    depth = render_floor_plane(k, (240, 320))
    y = (torch.arange(240) + 0.5 - 100)[:, None] / 280 * depth
    floor = depth < WALL_M
    assert floor[150:].all() and not floor[:100].any()
    torch.testing.assert_close(y[floor], torch.full_like(y[floor], CAMERA_HEIGHT_M))


def test_baseline_people_fill_their_boxes() -> None:
    """The same intrinsics, so a body whose height fills the box projects onto it again."""
    k = TRUTH.intrinsics[0]
    request = ask(TRUTH, intrinsics=(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])))
    record = BaselinePredictor("constant-depth").predict(request).reconstruction
    vertices = record.vertices(BODY)
    px = np.einsum("tij,ptkj->ptki", record.intrinsics, vertices)
    px = px[..., :2] / px[..., 2:]
    np.testing.assert_allclose(
        px[..., 1].max(2) - px[..., 1].min(2), np.ptp(record.boxes_xyxy[..., 1::2], axis=-1), rtol=0.08
    )
    middle = (px.max(2) + px.min(2)) / 2
    centre = (record.boxes_xyxy[..., :2] + record.boxes_xyxy[..., 2:]) / 2
    assert np.abs(middle - centre).max() < 0.06 * max(record.image_size)
    assert (record.joints[..., 15, 1] < record.joints[..., 0, 1]).all()  # the head is above the pelvis: y points down
    assert (record.joints[..., 20, 1] > record.joints[..., 16, 1]).all()  # hands hang


def test_baseline_without_people_or_with_unknown_name() -> None:
    request = replace(ask(TRUTH, people=0), people_finder=None)
    assert BaselinePredictor("row-prior").predict(request).reconstruction.num_people == 0
    with pytest.raises(InputError, match="floor-plane"):
        make_predictor("baseline:nothing")


def test_first_frames_keep_the_shots_that_they_belong_to() -> None:
    floor = np.float32([[0, -1, 0, 1], [0, -1, 0, 2]])
    two = replace(TRUTH, segment=np.int32([0, 0, 0, 0, 1, 1]), gravity=np.float32([[0, 1, 0], [1, 0, 0]]), floor=floor)
    assert keep_first_of_record(two, 4).floor.tolist() == floor[:1].tolist()
    assert keep_first_of_record(two, 4).gravity.tolist() == [[0, 1, 0]]
    assert keep_first_of_record(two, 5).floor.tolist() == floor.tolist()


def test_first_frames_limits_clips_finders_and_files(tmp_path: Path) -> None:
    method = FirstFrames(BaselinePredictor("constant-depth"), 3)
    assert method.fingerprint == "baseline:constant-depth"
    short = method.predict(ask(TRUTH)).reconstruction
    assert short.num_frames == 3 and short.person_valid.shape == (2, 3)
    TRUTH.save(tmp_path / "walk.npz")
    cut = FirstFrames(FilesPredictor(tmp_path), 4).predict(ask(TRUTH)).reconstruction
    assert cut.num_frames == 4 and cut.joints.shape == (2, 4, 24, 3) and cut.depth.shape[0] == 4
    assert compare_with_truth(cut, TRUTH, BODY)["mpjpe_mm"] < 1e-2
    assert keep_first_of_record(TRUTH, 6) is TRUTH

    class Listener:
        fingerprint = "listener"

        def predict(self, request: Request) -> object:
            raise InputError(str(request.settings))

    with pytest.raises(InputError, match="'max_frames': 5"):
        FirstFrames(Listener(), 5).predict(Request(name="a", source=tmp_path, settings={"max_frames": 24}))  # type: ignore[arg-type]


def test_files_are_found_with_and_without_the_suffix_of_the_video(tmp_path: Path) -> None:
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "result.npz").touch()
    names = [("result.npz", ".npz")]
    assert find_file(tmp_path, "walk.mp4", names) == find_file(tmp_path, "walk", names) == tmp_path / "walk/result.npz"
    before = hash_folder(tmp_path)
    (tmp_path / "run.npz").write_bytes(b"1")
    assert find_file(tmp_path, "run.mp4", names) == tmp_path / "run.npz"
    assert hash_folder(tmp_path) != before
    with pytest.raises(InputError, match="no such file"):
        find_file(tmp_path, "jump", names)
