"""Other people's files: the same walk in each of their layouts scores like the walk itself, and nothing runs code."""

from __future__ import annotations

import base64
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unish.body import load_body, move_body
from unish.errors import InputError
from unish.geometry.rigid import invert_rigid
from unish.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from unish.lab.evaluation import Request, compare_with_truth
from unish.lab.evaluation.methods import AdapterPredictor, make_predictor
from unish.lab.evaluation.methods.parameters import SMPL_PELVIS, SMPLX_PELVIS
from unish.lab.evaluation.methods.point_maps import fit_intrinsics
from unish.lab.evaluation.methods.stored_arrays import read_arrays
from unish.lab.synthetic import clip_from_truth
from unish.structs import BodyParams, Reconstruction
from walking_record import make_walk

BODY = load_body("free")
TRUTH = make_walk()
FRAMES = TRUTH.frame_indices
NUM_SOURCE = int(FRAMES[-1]) + 1
PELVIS = BODY.rest_joints(torch.zeros(10))[0].numpy()

JOBLIB_FILE = (
    "fCQBl0RR910001t3uA9=Y-M9~X>V?Gl#B~xWoBV@Y;<I4V|0|0l#B>sb!lvLX>N0rj09w9V|0|0l!cU1luHMFlqie@aBp*El#CN<Z(?j|VlHlV"
    "ZE$&CaA{*}Y-N;;5l(e&aCt#;a$$K_a$#_AWpb30lqrFfeUvDS2y=B}V{Bn_bCiq)Zgp*Nd6bL?Ze(F{a$$Ltla!1Fb7*03Wt2+-O9O_Kj0JCU"
    "WMy)ci~&QGj0I$Ld2nTvXb_AAWOR9OWt5YYi~?pfl!=Iklv0!^O9PAnJd{pOPD=m(|Nlz=|Ns9>0CbdMj0$0FY;Sj8ZEaz2l!%NQZgp*Nd0%02"
    "a$$L2VQgt<Zf#|5bYEh5bY*jtOAvKp5C8xF|NsC0|NsC0|NsC000000004kL0000$002Nh004kM005vsl~Diy000000E`J{a$#*{Uuk4>lxPeo"
    "fs}oeC}<C85@-`k0)>=l6=)V{7ibxb0%<suiHL`kQj{o5185yiPEJby|Ns9=|NsC0O8|6~VrU<TXdp`vbz%+w|NsC0|NsC0|NsC00000000000"
    "0RR9100000l~Moz000000E`B7b#iWHWRz$ODS?!IlqhHqXcA}>O9D#+hLmU(i~&ZJXcuT1i~?pjl!=Iklv0!^O9N;fPEJlr|NsC0O8@`=|4RUL"
    "lwxQfh-e^75Orb%|NsC0000000000000000000O;00000008hm00000000m`000000000$00000000y~b#pE"
)
"""What joblib 1.6 wrote of a defaultdict: person 7 with three arrays, one of them in Fortran order."""


def request(truth: Reconstruction = TRUTH) -> Request:
    return Request(name="walk", source=clip_from_truth(truth))


def score(kind: str, folder: Path) -> tuple[Reconstruction, dict[str, float]]:
    record = make_predictor(f"adapter:{kind}:{folder}").predict(request()).reconstruction
    return record, compare_with_truth(record, TRUTH, BODY)


def in_camera(person: int) -> tuple[np.ndarray, np.ndarray]:
    """Root and ``transl`` of a person in each frame's camera."""
    total = len(FRAMES)
    moved = move_body(
        BodyParams(
            betas=torch.zeros(total, 10),
            global_orient=axis_angle_to_matrix(torch.from_numpy(TRUTH.global_orient_aa[person])),
            body_pose=torch.eye(3).expand(total, 23, 3, 3),
            transl=torch.from_numpy(TRUTH.transl[person]),
        ),
        invert_rigid(torch.from_numpy(TRUTH.c2w)),
        BODY.rest_joints(torch.zeros(total, 10))[:, 0],
    )
    return matrix_to_axis_angle(moved.global_orient).numpy(), moved.transl.numpy()


def in_own_world(person: int) -> tuple[np.ndarray, np.ndarray]:
    """The same in a world of its own, y up, turned and moved differently for everybody."""
    turn = axis_angle_to_matrix(torch.tensor([np.pi, 0.3 * person, 0.0])).float()
    orient = matrix_to_axis_angle(turn @ axis_angle_to_matrix(torch.from_numpy(TRUTH.global_orient_aa[person])))
    transl = (TRUTH.transl[person] + PELVIS) @ turn.numpy().T + [person, 2.0, -1.0] - PELVIS
    return orient.numpy(), transl.astype(np.float32)


def relative_to(pelvis: tuple[float, float, float], transl: np.ndarray) -> np.ndarray:
    """``transl`` of a body model with another rest pelvis, for the same place in space."""
    return transl + PELVIS - np.array(pelvis, np.float32)


def every_frame(values: np.ndarray) -> np.ndarray:
    """A value for every frame of the source; those between the used ones are far off."""
    out = np.full((NUM_SOURCE, *values.shape[1:]), 0.5, np.float32)
    out[FRAMES] = values
    return out


def write_wham(folder: Path) -> None:
    people = {}
    for person in range(2):
        (orient, transl), (world_orient, world_transl) = in_camera(person), in_own_world(person)
        people[person] = {
            "pose": np.concatenate([orient, TRUTH.body_pose_aa[person]], 1),
            "trans": relative_to(SMPL_PELVIS, transl),
            "pose_world": np.concatenate([world_orient, TRUTH.body_pose_aa[person]], 1),
            "trans_world": relative_to(SMPL_PELVIS, world_transl),
            "betas": np.full((len(FRAMES), 10), 3.0),
            "frame_ids": FRAMES,
        }
    (folder / "walk.pkl").write_bytes(pickle.dumps(people))


def write_tram(folder: Path) -> None:
    (folder / "walk" / "hps").mkdir(parents=True)
    camera = {
        "pred_cam_R": every_frame(TRUTH.c2w[:, :3, :3]),
        "pred_cam_T": every_frame(TRUTH.c2w[:, :3, 3]),
        "img_focal": np.float32(50),
        "img_center": np.array([21.0, 28.0]),
    }
    np.save(folder / "walk" / "camera.npy", camera, allow_pickle=True)  # type: ignore[arg-type]
    for person in range(2):
        orient, transl = in_camera(person)
        pose = np.concatenate([orient, TRUTH.body_pose_aa[person]], 1).reshape(-1, 24, 3)
        track = {
            "pred_rotmat": axis_angle_to_matrix(torch.from_numpy(pose)),
            "pred_shape": torch.ones(len(FRAMES), 10),
            "pred_trans": torch.from_numpy(relative_to(SMPL_PELVIS, transl))[:, None],
            "frame": torch.from_numpy(FRAMES),
        }
        np.save(folder / "walk" / "hps" / f"hps_track_{person}.npy", track, allow_pickle=True)  # type: ignore[arg-type]


def write_gvhmr(folder: Path) -> None:
    (folder / "walk").mkdir(parents=True)
    for person in range(2):
        content: dict[str, Any] = {"K_fullimg": torch.tensor([[50.0, 0, 21], [0, 50, 28], [0, 0, 1]])[None]}
        places = {"incam": in_camera(person), "global": in_own_world(person)}
        for where, (orient, transl) in places.items():
            content[f"smpl_params_{where}"] = {
                "global_orient": torch.from_numpy(every_frame(orient)),
                "body_pose": torch.from_numpy(every_frame(TRUTH.body_pose_aa[person, :, :63])),
                "transl": torch.from_numpy(every_frame(relative_to(SMPLX_PELVIS, transl))),
                "betas": torch.ones(NUM_SOURCE, 10),
            }
        torch.save(content, folder / "walk" / ("hmr4d_results.pt" if person == 0 else "hmr4d_results_1.pt"))


def write_smpl(folder: Path) -> None:
    np.savez(
        folder / "walk.npz",
        frame_indices=FRAMES,
        betas=np.zeros((2, 10)),
        body_pose_aa=TRUTH.body_pose_aa,
        world_orient_aa=TRUTH.global_orient_aa,
        world_transl=relative_to(SMPL_PELVIS, TRUTH.transl),
        c2w=TRUTH.c2w,
        intrinsics=[50, 50, 21, 28],
    )


@pytest.mark.parametrize(
    ("kind", "write"), [("wham", write_wham), ("tram", write_tram), ("gvhmr", write_gvhmr), ("smpl", write_smpl)]
)
def test_parameter_files_score_like_the_walk(kind: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path)
    record, scores = score(kind, tmp_path)
    assert scores["people_matched"] == 1 and scores["root_trajectory_percent"] < 0.1
    assert scores["mpjpe_mm"] < (40 if kind == "gvhmr" else 0.1)  # SMPL-X has no two hand joints like SMPL's
    assert scores["w_mpjpe_mm"] < (40 if kind == "gvhmr" else 0.2)
    assert scores["camera_rigid_error_m"] < 1e-4 and scores["camera_turn_error_deg"] < 0.05
    np.testing.assert_allclose(record.joints[:, :, 0], TRUTH.joints[:, :, 0], atol=1e-3)
    assert scores["depth_abs_rel"] == 1 and (scores["focal_error"] > 0.1) == (kind == "wham")


def test_people_of_different_worlds_meet_where_they_share_a_camera(tmp_path: Path) -> None:
    """The second person is seen later than the first; frames with nobody keep the nearest camera."""
    write_wham(tmp_path)
    people = pickle.loads((tmp_path / "walk.pkl").read_bytes())
    for person, rows in ((0, slice(0, 4)), (1, slice(3, 5))):
        people[person] = {key: values[rows] for key, values in people[person].items()}
    (tmp_path / "walk.pkl").write_bytes(pickle.dumps(people))
    record, _ = score("wham", tmp_path)
    np.testing.assert_allclose(record.c2w[:5], TRUTH.c2w[:5], atol=1e-4)
    np.testing.assert_array_equal(record.c2w[5], record.c2w[4])
    np.testing.assert_allclose(record.joints[1, 3:5, 0], TRUTH.joints[1, 3:5, 0], atol=1e-3)
    assert record.person_valid.sum() == 6


def test_a_licensed_body_takes_the_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wham(tmp_path)
    licensed = replace(BODY, name="SMPL.pkl")
    monkeypatch.setattr("unish.lab.evaluation.methods.adapters.load_body", lambda _: licensed)
    record = AdapterPredictor("wham", tmp_path, body="SMPL.pkl").predict(request()).reconstruction
    assert (record.betas == 3).all() and record.body_model == "SMPL.pkl"


def point_maps() -> tuple[np.ndarray, np.ndarray]:
    k = np.linalg.inv(TRUTH.intrinsics)
    height, width = TRUTH.depth.shape[1:]
    v, u = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    local = (np.stack([u, v, np.ones_like(u)], -1) @ k.transpose(0, 2, 1)[:, None]) * TRUTH.depth[..., None]
    return local, TRUTH.world_points()


@pytest.mark.parametrize("key", ["local_points", "points"])
def test_pi3_files(key: str, tmp_path: Path) -> None:
    local, world = point_maps()
    chosen = {key: {"local_points": local, "points": world}[key][None]}
    conf = np.full((1, *TRUTH.depth.shape, 1), 3.0)
    np.savez(tmp_path / "walk.npz", camera_poses=TRUTH.c2w[None], conf=conf, images=np.array({}, object), **chosen)
    record, scores = score("pi3", tmp_path)
    np.testing.assert_allclose(record.depth, TRUTH.depth, rtol=1e-3)
    np.testing.assert_allclose(record.intrinsics, TRUTH.intrinsics, rtol=1e-4)
    assert scores["depth_abs_rel_metric"] < 1e-4 and record.num_people == 0
    assert record.point_conf[0, 0, 0] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-3)


def test_vggt_files_of_every_source_frame(tmp_path: Path) -> None:
    w2c = every_frame(np.linalg.inv(TRUTH.c2w))[:, :3]
    np.savez(
        tmp_path / "walk.npz",
        depth=every_frame(TRUTH.depth)[..., None],
        depth_conf=every_frame(np.full_like(TRUTH.depth, 5.0)),
        extrinsic=w2c,
        intrinsic=every_frame(TRUTH.intrinsics),
    )
    record, scores = score("vggt", tmp_path)
    assert scores["depth_abs_rel_metric"] < 1e-4 and scores["camera_ate_m"] < 1e-4
    assert record.point_conf[0, 0, 0] == pytest.approx(0.8, abs=1e-3)


def test_maps_that_fit_no_frame_are_refused(tmp_path: Path) -> None:
    local, _ = point_maps()
    conf = np.ones(TRUTH.depth.shape)
    np.savez(tmp_path / "walk.npz", camera_poses=TRUTH.c2w[:5], conf=conf[:5], local_points=local[:5])
    with pytest.raises(InputError, match="5 maps for 6 frames"):
        score("pi3", tmp_path)
    np.savez(tmp_path / "walk.npz", camera_poses=TRUTH.c2w, conf=conf[:, :42], local_points=local[:, :42])
    with pytest.raises(InputError, match="uncropped"):
        score("pi3", tmp_path)
    np.savez(tmp_path / "walk.npz", camera_poses=TRUTH.c2w)
    with pytest.raises(InputError, match="no conf, local_points or points"):
        score("pi3", tmp_path)


def test_focal_is_exact_on_a_pinhole() -> None:
    local, _ = point_maps()
    used = np.ones(local.shape[:3], bool)
    np.testing.assert_allclose(fit_intrinsics(local, used), TRUTH.intrinsics, rtol=1e-6)
    with pytest.raises(InputError, match="no point"):
        fit_intrinsics(local, ~used)


def test_joblib_files_are_read_without_joblib(tmp_path: Path) -> None:
    path = tmp_path / "wham_output.pkl"
    path.write_bytes(base64.b85decode(JOBLIB_FILE))
    (person,) = read_arrays(path).values()
    np.testing.assert_array_equal(person["pose"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(person["turned"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(person["frame_ids"], [0, 1])
    assert person["pose"].dtype == np.float32


class Attack:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("suffix", [".pkl", ".npy", ".pt", ".npz"])
def test_files_that_ask_for_code_are_refused(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, content = tmp_path / f"walk{suffix}", {"a": Attack()}
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(content))
    elif suffix == ".npy":
        np.save(path, content, allow_pickle=True)  # type: ignore[arg-type]
    elif suffix == ".pt":
        torch.save(content, path)
    else:
        np.savez(path, a=np.array(content, object))
    with pytest.raises(InputError, match="walk") as error:
        read_arrays(path)
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()


def test_wrong_kinds_folders_and_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wham, tram, gvhmr, smpl, pi3, vggt"):
        make_predictor(f"adapter:nothing:{tmp_path}")
    with pytest.raises(InputError, match="no such folder"):
        make_predictor(f"adapter:wham:{tmp_path / 'none'}")
    (tmp_path / "walk.pkl").write_bytes(pickle.dumps({0: {"pose": np.zeros((2, 71))}}))
    with pytest.raises(InputError, match=r"pose has shape \(2, 71\)"):
        score("wham", tmp_path)
    (tmp_path / "walk.pkl").write_bytes(pickle.dumps({0: {"pose": np.zeros((2, 72))}}))
    with pytest.raises(InputError, match="no pose_world"):
        score("wham", tmp_path)
    (tmp_path / "walk.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match="nobody"):
        score("wham", tmp_path)
