"""Motion benchmarks, each on a tiny tree in its published layout: the truth scores 0, damage is seen in its size."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from made_answers import Oracle
from small_smpl import SMPLX_PARENTS
from unish.body import Body, load_body, move_body
from unish.errors import InputError
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.lab.evaluation.benchmarks import BENCHMARKS
from unish.lab.evaluation.benchmarks.motion.body_files import load_smplx_to_smpl
from unish.lab.evaluation.benchmarks.motion.scoring import IN_CAMERA, IN_WORLD
from unish.lab.evaluation.benchmarks.motion.smplx import load_smplx
from unish.lab.evaluation.results import Row
from unish.structs import BodyParams, Reconstruction
from written_motion import (
    FPS,
    INTRINSICS,
    NUM_FRAMES,
    WRITERS,
    Tree,
    make_answer,
    write_emdb,
    write_pickle,
    write_rich,
    write_threedpw,
)

ZERO = 0.05  # mm: vertices are float32, a few metres from the origin
NAMES = ("emdb1", "emdb2", "3dpw", "rich")


def score(name: str, data: Path, tree: Tree, answer: Reconstruction, body: Body | None = None) -> Row:
    return BENCHMARKS[name].score(data, tree.sequence, Oracle(lambda request: answer, body=body or tree.bodies[0]))


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Tree]:
    data = tmp_path_factory.mktemp(request.param)
    return request.param, data, WRITERS[request.param](data)


def test_the_truth_scores_zero_at_the_rate_of_the_method(case: tuple[str, Path, Tree]) -> None:
    name, data, tree = case
    expected = ["P0_00_mvs_a", tree.sequence] if name == "emdb1" else [tree.sequence]
    assert BENCHMARKS[name].sequences(data) == expected
    oracle = Oracle(lambda request: make_answer(tree), body=tree.bodies[0])
    row = BENCHMARKS[name].score(data, tree.sequence, oracle)
    request = oracle.requests[0]
    assert request.source == tree.images and request.settings["source_fps"] == FPS
    assert Path(request.settings["body"]).name == "SMPL_NEUTRAL.npz"
    counted = NUM_FRAMES if name == "3dpw" else NUM_FRAMES - 1
    assert row["frames"] == counted
    assert row["people_matched"] == pytest.approx(counted / (2 * NUM_FRAMES - 1) if name == "3dpw" else 1)
    for column in ("mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "wa_mpjpe_mm", "w_mpjpe_mm"):
        assert row.get(column, 0) < ZERO, column
    assert row["person_distance_error"] < 1e-4
    assert row.get("root_trajectory_percent", 0) < 0.05
    assert row["accel_m_s2"] < 0.2  # float32 vertices times 900
    assert set(IN_CAMERA) <= row.keys() and (set(IN_WORLD) <= row.keys()) == (name in ("emdb2", "rich"))
    assert ("camera_ate_m" in row) == (name == "emdb2")
    if name == "emdb2":
        assert row["camera_ate_m"] < 1e-4 and row["world_size_ratio"] == pytest.approx(1, abs=1e-4)


def test_damage_moves_the_metric_that_is_there_to_see_it(case: tuple[str, Path, Tree]) -> None:
    name, data, tree = case
    answer = make_answer(tree)
    away = score(name, data, tree, replace(answer, transl=answer.transl + np.float32([0, 0, 0.5])))
    assert away["mpjpe_mm"] < ZERO and away["person_distance_error"] > 0.05
    assert away.get("wa_mpjpe_mm", 0) < ZERO and away.get("root_trajectory_percent", 0) < 0.05
    turn = np.float32(Rotation.from_rotvec([0, 0.3, 0]).as_matrix())
    orient = (Rotation.from_matrix(turn) * Rotation.from_rotvec(answer.global_orient_aa[0])).as_rotvec()
    turned = score(name, data, tree, replace(answer, global_orient_aa=orient[None].astype(np.float32)))
    assert turned["mpjpe_mm"] > 20 and turned["pve_mm"] > 20 and turned["pa_mpjpe_mm"] < ZERO
    if "wa_mpjpe_mm" not in away:
        return
    count = answer.num_frames
    drift = np.linspace(0, 1, count, dtype=np.float32)[None, :, None] * np.float32([0, 0.4, 0])
    drifted = score(name, data, tree, replace(answer, transl=answer.transl + drift))
    assert drifted["mpjpe_mm"] < ZERO < 5 < drifted["wa_mpjpe_mm"] < drifted["w_mpjpe_mm"]
    # Path and drift are even: the rigid fit turns the one onto the other, what is left is the difference in length.
    path = np.linalg.norm(np.diff(answer.transl[0][[0, -1]], axis=0))
    assert 1 < drifted["root_trajectory_percent"] < 100 * 0.4 / path
    shaken = answer.transl + 0.1 * np.float32((-1) ** np.arange(count))[None, :, None] * np.float32([0, 1, 0])
    noisy = score(name, data, tree, replace(answer, transl=shaken))
    assert noisy["jitter"] > 20 + drifted["jitter"] and noisy["accel_m_s2"] < 0.2


def test_another_world_changes_nothing(case: tuple[str, Path, Tree]) -> None:
    name, data, tree = case
    elsewhere = replace(tree, c2w=tree.c2w.copy())
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = Rotation.from_rotvec([0.2, -1, 0.4]).as_matrix(), [3, 1, -2]
    answer = make_answer(elsewhere)
    params = BodyParams(
        betas=torch.from_numpy(answer.betas).double().expand(answer.num_frames, 10),
        global_orient=axis_angle_to_matrix(torch.from_numpy(answer.global_orient_aa[0]).double()),
        body_pose=torch.eye(3).double().expand(answer.num_frames, 23, 3, 3),
        transl=torch.from_numpy(answer.transl[0]).double(),
    )
    pelvis = tree.bodies[0].to(dtype=torch.float64).rest_joints(params.betas)[:, 0]
    moved = move_body(params, torch.from_numpy(rigid).expand(answer.num_frames, 4, 4), pelvis)
    row = score(name, data, tree, replace(
        answer,
        c2w=(rigid @ answer.c2w).astype(np.float32),
        global_orient_aa=matrix_to_axis_angle(moved.global_orient).numpy()[None].astype(np.float32),
        transl=moved.transl.numpy()[None].astype(np.float32),
    ))  # fmt: skip
    assert row["mpjpe_mm"] < ZERO and row.get("w_mpjpe_mm", 0) < ZERO and row.get("root_trajectory_percent", 0) < 0.05


def test_frames_without_the_person_are_not_scored(case: tuple[str, Path, Tree]) -> None:
    name, data, tree = case
    answer = make_answer(tree, every=2)
    seen = np.zeros((1, answer.num_frames), bool)
    seen[:, :3] = True  # frames 0, 2 and 4 of 21
    row = score(name, data, tree, replace(answer, person_valid=seen))
    assert row["frames"] == 5 and row["mpjpe_mm"] < ZERO
    nobody = replace(
        answer,
        **{
            key: getattr(answer, key)[:0]
            for key in ("person_ids", "person_valid", "person_filled", "boxes_xyxy", "betas", "global_orient_aa",
                        "body_pose_aa", "transl", "joints", "landmarks_px")
        },
    )  # fmt: skip
    row = score(name, data, tree, nobody)
    assert row["frames"] == 0 and row["people_matched"] == 0 and np.isnan(row["mpjpe_mm"])


def test_a_body_that_is_a_tenth_too_large(tmp_path: Path) -> None:
    tree = write_emdb(tmp_path)
    body = tree.bodies[0]
    grown = replace(
        body,
        **{
            key: 1.1 * getattr(body, key)
            for key in ("template", "shape_directions", "joint_template", "joint_directions", "pose_directions")
        },
    )
    row = score("emdb2", tmp_path, tree, make_answer(tree), body=grown)
    with np.load(tmp_path / "body_models" / "smpl" / "SMPL_NEUTRAL.npz") as file:
        regressor = torch.from_numpy(file["J_regressor"])
    vertices = body.to(dtype=torch.float64).vertices(tree.walks[0].params())[np.arange(NUM_FRAMES) != 7]
    joints = regressor @ vertices
    root = joints[:, [1, 2]].mean(1, keepdim=True)
    assert row["mpjpe_mm"] == pytest.approx(100 * float((joints - root).norm(dim=-1).mean()), rel=1e-3)
    assert row["pve_mm"] == pytest.approx(100 * float((vertices - root).norm(dim=-1).mean()), rel=1e-3)
    assert row["pa_mpjpe_mm"] < ZERO < 1 < row["wa_mpjpe_mm"]


def test_feet_that_rest_and_slide(tmp_path: Path) -> None:
    tree = write_emdb(tmp_path)
    still = {key: np.tile(getattr(tree.walks[0], key)[:1], (NUM_FRAMES, 1)) for key in ("orient", "pose", "transl")}
    tree = replace(tree, walks=(replace(tree.walks[0], **still),))
    path = tmp_path / "P9" / "83_outdoor_long" / "P9_83_outdoor_long_data.pkl"
    content = pickle.loads(path.read_bytes())
    content["smpl"] |= {"poses_root": still["orient"], "poses_body": still["pose"], "trans": still["transl"]}
    write_pickle(path, content)
    answer = make_answer(tree)
    row = score("emdb2", tmp_path, tree, answer)
    assert row["foot_sliding_mm"] < 0.01 and np.isnan(row["root_trajectory_percent"]) and row["jitter"] < 0.01
    speed = np.arange(answer.num_frames)[None, :, None] / 6 * np.float32([0.6, 0, 0])  # m/s at six frames a second
    row = score("emdb2", tmp_path, tree, replace(answer, transl=answer.transl + speed.astype(np.float32)))
    assert row["foot_sliding_mm"] == pytest.approx(600 / FPS, rel=1e-3)


def test_a_camera_path_of_half_the_size(tmp_path: Path) -> None:
    tree = write_emdb(tmp_path)
    answer = make_answer(tree)
    c2w = answer.c2w.copy()
    c2w[:, :3, 3] *= 0.5
    row = score("emdb2", tmp_path, tree, replace(answer, c2w=c2w))
    assert row["world_size_ratio"] == pytest.approx(0.5, abs=1e-3) and row["camera_ate_m"] < 1e-4
    assert row["wa_mpjpe_mm"] < ZERO  # the body's own path is as it was


def test_both_people_are_told_apart_by_their_boxes(tmp_path: Path) -> None:
    tree = write_threedpw(tmp_path)
    tree = replace(tree, bodies=(tree.bodies[0], tree.bodies[0]))
    answer = make_answer(tree, people=(1, 0))
    row = score("3dpw", tmp_path, tree, answer)
    assert row["frames"] == 2 * NUM_FRAMES - 1 and row["people_matched"] == 1
    # He is posed in his own body and she is not: half of the frames have an error, of the size of the two bodies'.
    alone = score("3dpw", tmp_path, tree, make_answer(tree, people=(1,)))
    assert alone["mpjpe_mm"] > 1 and row["mpjpe_mm"] == pytest.approx(
        alone["mpjpe_mm"] * (NUM_FRAMES - 1) / (2 * NUM_FRAMES - 1), rel=0.01
    )
    swapped = replace(answer, boxes_xyxy=answer.boxes_xyxy[::-1].copy())
    assert score("3dpw", tmp_path, tree, swapped)["mpjpe_mm"] > 3 * row["mpjpe_mm"]


def test_the_free_body_is_scored_by_its_joints_alone(tmp_path: Path) -> None:
    tree, free = write_emdb(tmp_path / "emdb"), load_body("free")
    row = score("emdb1", tmp_path / "emdb", tree, make_answer(tree, body=free), body=free)
    assert np.isnan(row["pve_mm"]) and 0 < row["mpjpe_mm"] < 60
    tree = write_threedpw(tmp_path / "3dpw")
    with pytest.raises(InputError, match="SMPL file as its body"):
        score("3dpw", tmp_path / "3dpw", tree, make_answer(tree, body=free), body=free)


@pytest.mark.parametrize(
    ("name", "missing", "words"),
    [
        ("emdb1", "body_models/smpl/SMPL_FEMALE.npz", r"SMPL_FEMALE\.pkl.*smpl\.is\.tue\.mpg\.de"),
        ("3dpw", "body_models/J_regressor_h36m.npy", r"J_regressor_h36m\.npy.*SPIN"),
        ("3dpw", "body_models/smpl/SMPL_MALE.npz", r"SMPL_MALE\.pkl"),
        ("3dpw", "imageFiles/downtown_walking_00/image_00003.jpg", "20 pictures.*21"),
        ("rich", "body_models/smplx/SMPLX_MALE.npz", r"SMPLX_MALE\.npz.*smpl-x\.is\.tue\.mpg\.de"),
        ("rich", "body_models/smplx2smpl_deftrafo_setup.pkl", "Model correspondences"),
        ("rich", "body_models/smpl/SMPL_NEUTRAL.npz", "SMPL_NEUTRAL"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, name: str, missing: str, words: str) -> None:
    tree = WRITERS[name](tmp_path)
    load_smplx_to_smpl.cache_clear()
    (tmp_path / missing).unlink()
    oracle = Oracle(lambda request: make_answer(tree))
    with pytest.raises(InputError, match=words) as caught:
        BENCHMARKS[name].score(tmp_path, tree.sequence, oracle)
    assert "\n" not in str(caught.value) and not oracle.requests


def test_an_empty_folder_holds_no_sequence(tmp_path: Path) -> None:
    for name in NAMES:
        assert BENCHMARKS[name].sequences(tmp_path) == [] and BENCHMARKS[name].needs


@pytest.mark.parametrize("change", [{"smpl": {"betas": np.zeros(10)}}, {"camera": {}}, {"gender": None}])
def test_truth_that_lacks_a_part_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    tree = write_emdb(tmp_path)
    path = tmp_path / "P9" / "83_outdoor_long" / "P9_83_outdoor_long_data.pkl"
    content = pickle.loads(path.read_bytes()) | change
    write_pickle(path, {key: value for key, value in content.items() if value is not None})
    with pytest.raises(InputError, match=r"P9_83_outdoor_long_data\.pkl: lacks.*fetch EMDB"):
        score("emdb1", tmp_path, tree, make_answer(tree))


def test_rich_at_a_quarter_of_the_size(tmp_path: Path) -> None:
    tree = write_rich(tmp_path)
    path = tmp_path / "scan_calibration" / "Gym" / "calibration" / "002.xml"
    text = path.read_text()
    full = " ".join(map(repr, np.ravel(INTRINSICS * np.array([[4], [4], [1]])).tolist()))
    path.write_text(text.replace(" ".join(map(repr, np.ravel(INTRINSICS).tolist())), full))
    assert score("rich", tmp_path, tree, make_answer(tree))["people_matched"] == 0  # four times the focal length
    (tmp_path / "images").rename(tmp_path / "images_ds4")
    assert score("rich", tmp_path, tree, make_answer(tree))["people_matched"] == 1


def test_sequences_weigh_by_their_frames() -> None:
    rows = {"a": {"frames": 30, "mpjpe_mm": 10.0}, "b": {"frames": 10, "mpjpe_mm": 50.0}, "c": {"error": "cut"}}
    summary = BENCHMARKS["emdb2"].summarise(rows)
    assert summary == {"frames": 40, "mpjpe_mm": pytest.approx(20.0), "failed": 1}


def test_smplx_agrees_with_a_slow_twin(tmp_path: Path) -> None:
    rng, num = np.random.default_rng(2), 9
    weights = rng.random((num, 55)) ** 8
    arrays = {
        "v_template": rng.normal(size=(num, 3)), "shapedirs": rng.normal(size=(num, 3, 20)),
        "posedirs": 0.01 * rng.normal(size=(num, 3, 486)), "J_regressor": rng.random((55, num)),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.stack([np.array([2**32 - 1, *SMPLX_PARENTS[1:]]), np.arange(55)]),
        "hands_meanl": rng.normal(size=45), "hands_meanr": rng.normal(size=45),
    }  # fmt: skip
    np.savez(tmp_path / "SMPLX_FEMALE.npz", **arrays)
    betas, orient, body, transl = (rng.normal(size=size) for size in (10, (2, 3), (2, 63), (2, 3)))
    found = load_smplx(tmp_path / "SMPLX_FEMALE.npz").vertices(
        *(torch.from_numpy(values).float() for values in (betas, orient, body, transl))
    )
    shaped = arrays["v_template"] + arrays["shapedirs"][..., :10] @ betas
    joints = arrays["J_regressor"] @ shaped
    for frame in range(2):
        hands = np.concatenate([arrays["hands_meanl"], arrays["hands_meanr"]])
        angles = np.concatenate([orient[frame], body[frame], np.zeros(9), hands]).reshape(55, 3)
        turns = Rotation.from_rotvec(angles).as_matrix()
        corrected = shaped + arrays["posedirs"] @ (turns[1:] - np.eye(3)).ravel()
        world = [np.eye(4)] * 55
        for joint, parent in enumerate(SMPLX_PARENTS):
            local = np.eye(4)
            local[:3, :3] = turns[joint]
            local[:3, 3] = joints[joint] - (joints[parent] if joint else 0)
            world[joint] = world[parent] @ local if joint else local
        posed = np.zeros((num, 3))
        for joint in range(55):
            moved = (corrected - joints[joint]) @ world[joint][:3, :3].T + world[joint][:3, 3]
            posed += arrays["weights"][:, [joint]] * moved
        np.testing.assert_allclose(found[frame], posed + transl[frame], atol=2e-4)
    np.savez(tmp_path / "SMPLX_MALE.npz", **(arrays | {"kintree_table": arrays["kintree_table"][:, :24]}))
    with pytest.raises(InputError, match="24 joints in place of SMPL-X's 55"):
        load_smplx(tmp_path / "SMPLX_MALE.npz")
