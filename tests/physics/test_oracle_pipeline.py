"""The whole pipeline with a perfect network gives the truth back: every key of the file, whatever the camera.

Tolerances are twice the largest error of all cases. What is left comes from smoothing distances over time (7.5 mm at
the ends of a shot, along the viewing ray) and from drawing bodies at whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from oracle_world import ABSENT, CLIP_SIZE, NUM_FRAMES, SHOTS, SIZE, SOURCE_SIZE, OracleNetwork, World, make_world
from small_smpl import make_smpl_arrays
from unish.body import load_body
from unish.network import PRESETS, UniSHConfig
from unish.network.config import tiny_config
from unish.pipeline import Result, Settings, run

SMALL = replace(tiny_config(), long_side=128, multiple=32)
RELEASE = replace(
    PRESETS["release"](), long_side=128, multiple=32,
    scene=replace(PRESETS["release"]().scene, encoder=replace(PRESETS["release"]().scene.encoder, patch_size=16)),
)  # fmt: skip
CENTRE = (CLIP_SIZE[1] / 2, CLIP_SIZE[0] / 2)


def make_cameras(focals: tuple[tuple[float, float], tuple[float, float]], centre: tuple[float, float]) -> Tensor:
    return torch.stack([torch.tensor([[fx, 0, centre[0]], [0, fy, centre[1]], [0, 0, 1]]) for fx, fy in focals])


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, what it is told of the camera, and the camera itself (pixels of the clip)."""

    config: UniSHConfig
    known: bool
    cameras: Tensor
    licensed: bool = False


UNKNOWN = make_cameras(((210.0, 210.0), (250.0, 250.0)), CENTRE)
OFF_CENTRE = make_cameras(((220.0, 230.0),) * 2, (CENTRE[0] + 25, CENTRE[1] - 15))
CASES = {
    "small, unknown camera": Case(config=SMALL, known=False, cameras=UNKNOWN),
    "small, known, off centre": Case(config=SMALL, known=True, cameras=OFF_CENTRE),
    "release, unknown camera": Case(config=RELEASE, known=False, cameras=UNKNOWN),
    "release, known, off centre, licensed body": Case(config=RELEASE, known=True, cameras=OFF_CENTRE, licensed=True),
}


@pytest.fixture(scope="module")
def licensed_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the licensed format with all vertices of the free body, so that it can be drawn."""
    arrays = make_smpl_arrays(every=1, num_shapes=10)
    arrays["posedirs"] = arrays["posedirs"] * 0.0
    arrays["f"] = load_body().faces.numpy().astype(np.uint32)
    path = tmp_path_factory.mktemp("body") / "SMPL_NEUTRAL.npz"
    np.savez(path, **arrays)
    return path


def reconstruct(
    case: Case, body_file: Path, *, people: int = 2, fill_gaps: float = 0.0
) -> tuple[World, OracleNetwork, Result]:
    body = load_body(body_file) if case.licensed else load_body()
    shapes = torch.zeros(2, 10)
    if case.licensed or case.config.body == "free":
        shapes[:, 0], shapes[1, 1] = torch.tensor([0.4, -0.5]), 0.3
    world = make_world(body, case.cameras, betas=shapes, people=people)
    network = OracleNetwork(world=world, config=case.config, betas=shapes)
    fx, fy, cx, cy = (case.cameras[0, i, j].item() * 2 for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    settings = Settings(
        window=5, overlap=2, body=str(body_file) if case.licensed else "free", fill_gaps=fill_gaps,
        intrinsics=(fx, fy, cx, cy) if case.known else None,
    )  # fmt: skip
    tracks, landmarks = world.tracks, world.landmarks
    result = run(world.clip, settings=settings, people_finder=lambda clip, size: (tracks, landmarks), network=network)
    return world, network, result


@pytest.fixture(scope="module", params=CASES)
def finished(request: pytest.FixtureRequest, licensed_file: Path) -> tuple[Case, World, OracleNetwork, Result]:
    case = CASES[request.param]
    return case, *reconstruct(case, licensed_file)


def test_cameras_come_back(finished: tuple[Case, World, OracleNetwork, Result]) -> None:
    case, world, network, result = finished
    found = result.reconstruction
    np.testing.assert_allclose(found.intrinsics, world.intrinsics.numpy(), rtol=3e-7)
    for shot in SHOTS:
        assert (found.intrinsics[shot] == found.intrinsics[shot.start]).all(), "one camera per shot"
    np.testing.assert_allclose(found.c2w, world.c2w.numpy(), rtol=0, atol=1e-4)
    assert (found.c2w[[shot.start for shot in SHOTS]] == np.eye(4, dtype=np.float32)).all()
    windows = [(range(0, 5), case.known), (range(2, 7), True), (range(7, 11), case.known)]
    assert network.calls == windows, "an unknown camera is decided on the first window of each shot"


def test_people_come_back(finished: tuple[Case, World, OracleNetwork, Result]) -> None:
    _, world, _, result = finished
    found, valid = result.reconstruction, world.tracks.valid.numpy()
    truth = world.world_params()
    assert found.person_ids.tolist() == [4, 9] and not found.person_filled.any()
    np.testing.assert_array_equal(found.person_valid, valid)
    assert not found.person_valid[ABSENT]
    np.testing.assert_allclose(found.betas, world.betas.numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.joints[valid], world.body.joints(truth).numpy()[valid], rtol=0, atol=0.015)
    np.testing.assert_allclose(found.transl[valid], truth.transl.numpy()[valid], rtol=0, atol=0.015)
    turned = world.body.vertices_from_axis_angle(
        np.repeat(found.betas[:, None], NUM_FRAMES, 1)[valid], found.global_orient_aa[valid],
        found.body_pose_aa[valid], found.transl[valid],
    )  # fmt: skip
    # These people glide by 1.5 cm a frame, as nobody who stands does: a foot that is held for three frames is off by as
    # much at either end. Measured 1.6 cm in two bodies, where the camera is unknown, and .75 in all others.
    off = np.abs(turned - world.body.vertices(truth).numpy()[valid]).max(axis=(1, 2))
    assert off.max() < 0.02 and (off < 0.015).sum() >= len(off) - 2
    for name in (
        "joints",
        "transl",
        "global_orient_aa",
        "body_pose_aa",
        "boxes_xyxy",
        "landmarks_px",
        "joint_certainty",
    ):
        values = getattr(found, name)
        assert np.isnan(values[~valid]).all() and np.isfinite(values[valid]).all(), name
    factor = np.array([SIZE[1] / CLIP_SIZE[1], SIZE[0] / CLIP_SIZE[0]])
    np.testing.assert_allclose(
        found.boxes_xyxy[valid], (world.tracks.boxes_xyxy.numpy() * np.tile(factor, 2))[valid], rtol=0, atol=1e-3
    )
    np.testing.assert_allclose(
        found.landmarks_px[valid], (world.landmarks.px.numpy() * np.append(factor, 1))[valid], rtol=0, atol=1e-3
    )


def test_the_scene_comes_back_in_metres(finished: tuple[Case, World, OracleNetwork, Result]) -> None:
    _, world, _, result = finished
    found, sure = result.reconstruction, (world.conf_logits > 0).numpy()
    assert (found.depth[~sure] == 0).all(), "what is not sure is undefined"
    scene = sure & (world.tracks.masks.numpy() < 0)
    ratio = found.depth[sure] / world.depth.numpy()[sure]
    assert np.abs(ratio[scene[sure]] - 1).max() < 8e-4 and np.abs(ratio - 1).max() < 4e-3
    np.testing.assert_allclose(found.point_conf, world.conf_logits.sigmoid().numpy(), atol=1e-3)
    np.testing.assert_array_equal(found.person_masks, world.tracks.masks.numpy())
    floors = world.floors().numpy()
    np.testing.assert_allclose(found.gravity, -floors[:, :3], rtol=0, atol=3e-3)
    np.testing.assert_allclose(found.floor, floors, rtol=0, atol=0.013)


def test_the_frames_come_back(finished: tuple[Case, World, OracleNetwork, Result]) -> None:
    _, world, _, result = finished
    found = result.reconstruction
    np.testing.assert_array_equal(found.timestamps_s, world.clip.timestamps_s.numpy())
    np.testing.assert_array_equal(found.frame_indices, world.clip.frame_indices.numpy())
    np.testing.assert_array_equal(found.segment, world.clip.segment.numpy())
    assert (*found.source_size, *found.image_size) == (*SOURCE_SIZE, *SIZE)
    assert found.images.shape == (NUM_FRAMES, *SIZE, 3)
    assert (found.body_model, found.model) == (world.body.name, "oracle")
    np.testing.assert_array_equal(found.faces, world.body.faces.numpy())


def test_the_report_says_what_was_guessed_and_no_more(finished: tuple[Case, World, OracleNetwork, Result]) -> None:
    case, world, _, result = finished
    quality, warnings = result.report["quality"], result.report["warnings"]
    assert quality["reprojection_percent"] < 0.03 and quality["body_to_points_cm"] < 0.55
    assert quality["body_to_points_before_cm"] < 0.55 and quality["stitching_residual"] < 1e-6
    certainty, valid = result.reconstruction.joint_certainty, world.tracks.valid.numpy()
    shares = [float((sure[seen] >= 0.5).mean()) for sure, seen in zip(certainty, valid, strict=True)]
    assert [person["joints_seen"] for person in result.report["people"]] == shares and min(shares) > 0.5
    heights = [person["height_m"] for person in result.report["people"]]
    np.testing.assert_allclose(heights, world.body.standing_height(world.betas).numpy(), rtol=0, atol=1e-5)
    of_camera = [sentence for sentence in warnings if "focal length" in sentence]
    assert len(of_camera) == (0 if case.known else 2)
    of_shape = [sentence for sentence in warnings if "mean shape" in sentence]
    assert bool(of_shape) == (case.config.body == "smpl" and not case.licensed)
    assert len(warnings) == len(of_camera) + len(of_shape), warnings
    source = "given" if case.known else "guessed" if case.config.predicts_camera else "solved"
    assert [shot["focal_source"] for shot in result.report["shots"]] == [source, source]
    assert [shot["frames"] for shot in result.report["shots"]] == [7, 4]
    for row in [*result.report["shots"], *result.report["people"]]:
        assert (row["verdict"], row["reasons"]) == ("good", []), row
    for shot, frames in zip(result.report["shots"], SHOTS, strict=True):
        assert (shot["camera_still"], shot["gravity_known"], shot["floor_known"]) == (False, True, True)
        (focal, _, middle), *_ = world.intrinsics[frames.start].tolist()
        angle = np.arctan(middle / focal) + np.arctan((SIZE[1] - middle) / focal)
        assert shot["field_of_view_deg"] == pytest.approx(np.degrees(angle), abs=0.01)
        assert shot["static_disagreement_percent"] < 1.0 and shot["depth_jump"] < 1.01
    for index, person in enumerate(result.report["people"]):
        own = world.tracks.valid[index].nonzero()[:, 0]
        times = world.clip.timestamps_s[own]
        assert (person["first_s"], person["last_s"]) == (float(times[0]), float(times[-1]))
        assert abs(person["foot_to_floor_cm"]) < 2.0 and person["ray_jitter_cm"] < 2.0 and person["max_speed_m_s"] < 1.0
        pelvis = world.body.joints(world.params)[index, own, 0]
        expected = np.percentile(pelvis.norm(dim=-1).numpy(), [5, 50, 95])
        np.testing.assert_allclose(person["distance_m"], expected, rtol=0, atol=0.015)


def test_without_people_the_networks_scale_is_taken_and_said(licensed_file: Path) -> None:
    world, _, result = reconstruct(CASES["small, unknown camera"], licensed_file, people=0)
    found, sure = result.reconstruction, (world.conf_logits > 0).numpy()
    assert found.num_people == 0 and found.joints.shape == (0, NUM_FRAMES, 24, 3)
    np.testing.assert_allclose(found.depth[sure], world.depth.numpy()[sure], rtol=2e-3)
    # The floor and the wall behind it tell which way is down all the same.
    np.testing.assert_allclose(found.floor, world.floors().numpy(), rtol=0, atol=0.02)
    np.testing.assert_allclose(found.gravity, -found.floor[:, :3], rtol=0, atol=1e-6)
    said = " ".join(result.report["warnings"])
    assert "nobody measures the scene, so its size is a guess" in said
    assert "which way is down follows from the directions of the scene's surfaces" in said


def test_a_gap_is_filled_with_the_truth(licensed_file: Path) -> None:
    world, _, result = reconstruct(CASES["small, known, off centre"], licensed_file, fill_gaps=0.4)
    found, truth = result.reconstruction, world.world_params()
    assert np.argwhere(found.person_filled).tolist() == [list(ABSENT)] and not found.person_valid[ABSENT]
    # A walk that is straight is met to what the frames beside it are met to.
    np.testing.assert_allclose(found.joints[ABSENT], world.body.joints(truth)[ABSENT].numpy(), rtol=0, atol=0.015)
    np.testing.assert_allclose(found.transl[ABSENT], truth.transl[ABSENT].numpy(), rtol=0, atol=0.015)
    for name in ("boxes_xyxy", "landmarks_px", "contact_prob"):
        assert np.isnan(getattr(found, name)[ABSENT]).all(), name
    _, _, unfilled = reconstruct(CASES["small, known, off centre"], licensed_file)
    assert unfilled.report["people"] == result.report["people"], "what is measured was seen"
