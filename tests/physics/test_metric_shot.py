"""A perfect prediction in unknown units must come back in metres, with everybody where they stand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch

from joined import join
from unish.body import load_body
from unish.geometry.camera import pixel_grid, unproject
from unish.geometry.rigid import invert_rigid, transform_points
from unish.geometry.rotation import axis_angle_to_matrix
from unish.lab.synthetic import SynthConfig, make_clip, observe_people
from unish.lab.synthetic.observe import camera_params
from unish.reconstruction import MetricShot, ShotEvidence, decide_camera, measure_shot
from unish.reconstruction.anchor import DISTANCE_SIGMA, place_bodies, shrink_shapes
from unish.structs import BodyParams, Camera, Landmarks, Prediction, Reconstruction, Tracks

SIZE = (96, 128)


@dataclass(frozen=True, kw_only=True)
class MeasuredErrors:
    """What is left of a perfect prediction, measured on one clip; the tests allow twice as much.

    Attributes:
        scale: relative, of the factor to metres; the small picture of a far person is drawn with few pixels.
        depth: relative, median over the scene.
        joints: metres, median.
        box_distance: metres between the pelvis and where the scene is in the middle of its box, median.
    """

    scale: float
    depth: float
    joints: float
    box_distance: float


CLIPS = {
    ("room", 82): MeasuredErrors(scale=2.4e-3, depth=2.4e-3, joints=8.0e-3, box_distance=0.173),
    ("room", 100): MeasuredErrors(scale=2.6e-4, depth=2.6e-4, joints=7.5e-4, box_distance=0.136),
    ("open", 4): MeasuredErrors(scale=8.3e-3, depth=1.11e-2, joints=2.0e-2, box_distance=0.203),
}


@pytest.fixture
def errors(request: pytest.FixtureRequest) -> MeasuredErrors:
    """Those of the clip that the test has got as ``truth``."""
    return CLIPS[request.node.callspec.params["truth"]]


@pytest.fixture(scope="module", params=CLIPS, ids=str)
def truth(request: pytest.FixtureRequest) -> Reconstruction:
    """Clips with a whole person in them: somebody who runs, one of two who stands idle, a walker outdoors."""
    place, index = request.param
    config = SynthConfig(
        size=SIZE, num_frames=4, min_people=1, max_people=2, place=place, sensor=False, renderer="plain", clothes=False
    )
    clip = make_clip(seed=5, index=index, config=config)
    tracks, landmarks = observe(clip)
    assert tracks.num_people and bool((landmarks.px[:, :, 11:29, 2] > 0.5).all(-1).all(-1).any()), "draw another clip"
    return clip


def observe(truth: Reconstruction) -> tuple[Tracks, Landmarks]:
    return observe_people(truth, load_body("free"), SIZE)


def predict(truth: Reconstruction, unit: float) -> Prediction:
    """What a perfect network would say: the truth in units of ``unit`` metres."""
    body = load_body("free")
    depth = torch.from_numpy(truth.depth) / unit
    c2w = torch.from_numpy(truth.c2w).clone()
    c2w[:, :3, 3] /= unit
    params = camera_params(truth, body)
    rotations = torch.cat([params.global_orient[:, :, None], params.body_pose], dim=2)
    points = unproject(depth, torch.from_numpy(truth.intrinsics))
    return Prediction(
        local_points=points[None],
        point_conf_logits=torch.where(depth > 0, 5.0, -5.0)[None],
        c2w=c2w[None],
        scale=torch.tensor([float(points.norm(dim=-1)[depth > 0].mean()) * unit]),
        rotations=rotations[None],
        betas=torch.from_numpy(truth.betas)[None],
        transl=params.transl[None],
    )


def true_camera(truth: Reconstruction) -> Camera:
    return Camera(matrix=torch.from_numpy(truth.intrinsics[0]), size=SIZE, focal_source="given")


def measure(
    truth: Reconstruction, prediction: Prediction, *, known_camera: bool = False, hidden: Sequence[int] = ()
) -> MetricShot:
    """``hidden``: landmarks of everybody that nobody has seen."""
    tracks, landmarks = observe(truth)
    px = landmarks.px.clone()
    px[:, :, list(hidden), 2] = 0.0
    camera = true_camera(truth) if known_camera else decide_camera(prediction, SIZE, predicted=False)
    shot = join([prediction], [range(truth.num_frames)], tracks.valid, camera)
    evidence = ShotEvidence(
        timestamps_s=torch.from_numpy(truth.timestamps_s).float(),
        valid=tracks.valid,
        masks=tracks.masks,
        landmarks_px=px,
        boxes_xyxy=tracks.boxes_xyxy,
        box_only=torch.zeros_like(tracks.valid),
    )
    betas = torch.from_numpy(truth.betas) if prediction.betas is not None else torch.zeros(tracks.num_people, 10)
    return measure_shot(shot, evidence, betas, load_body("free"))


@pytest.mark.slow
@pytest.mark.parametrize("unit", [0.3, 4.0])
@pytest.mark.parametrize("known_camera", [False, True])
def test_people_give_the_scene_its_scale(
    truth: Reconstruction, errors: MeasuredErrors, unit: float, known_camera: bool
) -> None:
    shot = measure(truth, predict(truth, unit), known_camera=known_camera)
    assert shot.scale.source == "people"
    # Rounded landmarks are exact here; what is left is the difference between body and clothed surface.
    assert shot.scale.factor == pytest.approx(unit, rel=2 * errors.scale)
    depth = torch.from_numpy(truth.depth)
    near = (depth > 0) & (depth < 50)
    assert float((shot.depth_before[near] / depth[near] - 1).abs().median()) < 2 * errors.depth


@pytest.mark.slow
def test_bodies_stand_where_they_are_in_the_world(truth: Reconstruction, errors: MeasuredErrors) -> None:
    """An unknown principal point is taken for the middle of the picture: rays, and people on them, lean by as much."""
    shot = measure(truth, predict(truth, 2.0))
    c2w, intrinsics = torch.from_numpy(truth.c2w), torch.from_numpy(truth.intrinsics)
    joints = torch.from_numpy(truth.joints)
    ahead = torch.einsum("tk,ptjk->ptj", c2w[:, :3, 2], joints - c2w[:, None, :3, 3])
    aside = (intrinsics[:, :2, 2] - torch.tensor([SIZE[1] / 2, SIZE[0] / 2])) / intrinsics[:, 0, :1]
    joints = joints + ahead[..., None] * torch.einsum("tki,ti->tk", c2w[:, :3, :2], aside)[:, None]
    seen = shot.valid & (shot.distance_sigma <= DISTANCE_SIGMA["knees"])
    assert seen.any()
    assert float((shot.joints - joints)[seen].norm(dim=-1).median()) < 2 * errors.joints
    moved = torch.from_numpy(truth.c2w)[:, :3, 3].norm(dim=-1).max()
    torch.testing.assert_close(
        shot.c2w, torch.from_numpy(truth.c2w), rtol=0, atol=1e-5 + 2 * errors.scale * float(moved)
    )


def test_a_face_over_shoulders_is_believed_before_the_scale_of_the_network(truth: Reconstruction) -> None:
    """Of nobody more is seen than that, and the network takes the scene for two and a half times as large as it is."""
    prediction = predict(truth, 2.0)
    shot = measure(truth, replace(prediction, scale=2.5 * prediction.scale), hidden=range(13, 33))
    assert shot.scale.source == "people"
    # Twice what is measured: half a percent.
    assert shot.scale.factor == pytest.approx(2.0, rel=0.011)


def test_units_of_the_network_do_not_matter(truth: Reconstruction) -> None:
    one, other = measure(truth, predict(truth, 1.0)), measure(truth, predict(truth, 7.0))
    torch.testing.assert_close(one.depth[:], other.depth[:], rtol=1e-5, atol=1e-5)  # rounding; measured: 3e-7
    torch.testing.assert_close(one.joints, other.joints, rtol=0, atol=1e-5)


def test_correction_moves_people_and_never_the_scene(truth: Reconstruction) -> None:
    tracks, _ = observe(truth)
    shot = measure(truth, predict(truth, 2.0))
    scene = tracks.masks < 0
    assert torch.equal(shot.depth[scene], shot.depth_before[scene])
    prediction = predict(truth, 2.0)
    wrong = prediction.local_points.clone()
    wrong[0][tracks.masks >= 0] *= 1.3
    bent = measure(truth, Prediction(**{**vars(prediction), "local_points": wrong}))
    # The person's own depth was 30 % too far: the ruler takes it for the scale, and the correction is unchanged.
    # Twice what the walker outdoors shows, where the mean depth of the scene is not that of the person: 0.0017.
    torch.testing.assert_close(bent.depth[~scene], shot.depth[~scene], rtol=3.5e-3, atol=0)


def test_the_recorded_correction_tells_the_depth_after_from_the_depth_before(truth: Reconstruction) -> None:
    tracks, _ = observe(truth)
    prediction = predict(truth, 2.0)
    bumpy = (
        prediction.local_points
        * (1 + 0.2 * torch.rand(truth.depth.shape, generator=torch.Generator().manual_seed(0)))[..., None]
    )
    shot = measure(truth, Prediction(**{**vars(prediction), "local_points": bumpy}))
    table = shot.correction.as_table()
    grid = pixel_grid(*SIZE, like=table)
    checked = 0
    for person, frame in torch.isfinite(table[..., 0]).nonzero().tolist():
        factor, tilt_x, tilt_y, relief, middle, x, y, extent = table[person, frame].tolist()
        mine = (tracks.masks[frame] == person) & (shot.depth_before[frame] > 0)
        u = ((grid[mine] - torch.tensor([x, y])) / extent).clamp(-0.75, 0.75)
        own = (shot.depth_before[frame][mine] / middle).log().clamp(-0.3, 0.3)
        after = factor * middle * (u @ torch.tensor([tilt_x, tilt_y]) + relief * own).exp()
        torch.testing.assert_close(shot.depth[frame][mine], after, rtol=1e-4, atol=0)
        checked += 1
    assert checked


def test_the_depth_shift_moves_people_with_the_points(truth: Reconstruction) -> None:
    """Without landmarks a body stands where the network puts it among its points; both are too near by as much."""
    prediction, missing, unit = predict(truth, 2.0), 0.2, 2.0
    shifted = Prediction(
        **vars(prediction)
        | {
            "local_points": prediction.local_points - torch.tensor([0.0, 0.0, missing]),
            "transl": prediction.transl - torch.tensor([0.0, 0.0, missing * unit]),
        }
    )
    before = {name: value.clone() for name, value in vars(shifted).items() if value is not None}
    tracks, landmarks = observe(truth)
    # The scale says how far the points are on average, and these are nearer.
    near = shifted.local_points.norm(dim=-1)[shifted.point_conf_logits > 0].mean()
    scaled = Prediction(**vars(shifted) | {"scale": near[None] * unit})
    shot = join([scaled], [range(4)], tracks.valid, true_camera(truth))
    evidence = ShotEvidence(
        timestamps_s=torch.from_numpy(truth.timestamps_s).float(),
        valid=tracks.valid,
        masks=tracks.masks,
        landmarks_px=torch.full_like(landmarks.px, torch.nan),
        boxes_xyxy=tracks.boxes_xyxy,
        box_only=torch.zeros_like(tracks.valid),
    )
    measured = measure_shot(shot, evidence, prediction.betas[0], load_body("free"))
    assert measured.scale.source == "network"
    depth = torch.from_numpy(truth.depth)
    close = (depth > 0) & (depth < 50)
    # Twice the measured error.
    assert float((measured.depth_before[close] / depth[close] - 1).abs().max()) < 0.003
    gap = (measured.joints - torch.from_numpy(truth.joints))[measured.valid].norm(dim=-1)
    # Measured: a centimetre, since what is known to half of a distance is smoothed over a second.
    assert float(gap.median()) < 0.02
    for name, value in before.items():
        assert torch.equal(getattr(shifted, name), value), f"{name} was changed in place"


def test_who_was_seen_as_a_box_only_stands_where_the_scene_is(truth: Reconstruction, errors: MeasuredErrors) -> None:
    """On the ray through the middle of the box, as far away as half of the person's pixels."""
    tracks, landmarks = observe(truth)
    prediction = predict(truth, 2.0)
    lost = Prediction(**vars(prediction) | {"transl": torch.full_like(prediction.transl, 40.0)})
    shot = join([lost], [range(truth.num_frames)], tracks.valid, true_camera(truth))
    evidence = ShotEvidence(
        timestamps_s=torch.from_numpy(truth.timestamps_s).float(),
        valid=tracks.valid,
        masks=tracks.masks,
        landmarks_px=torch.full_like(landmarks.px, torch.nan),
        boxes_xyxy=tracks.boxes_xyxy,
        box_only=tracks.valid,
    )
    measured = measure_shot(shot, evidence, prediction.betas[0], load_body("free"))
    torch.testing.assert_close(measured.depth[:], measured.depth_before[:])
    pelvis = transform_points(invert_rigid(measured.c2w), measured.joints[:, :, 0].transpose(0, 1)).transpose(0, 1)
    for person, frame in measured.valid.nonzero().tolist():
        own = measured.depth[frame][tracks.masks[frame] == person]
        middle = tracks.boxes_xyxy[person, frame].reshape(2, 2).mean(0)
        ray = torch.linalg.inv(measured.intrinsics[frame]) @ torch.tensor([*middle.tolist(), 1.0])
        # Measured: up to 2 %, by which a smooth course differs from what each frame says.
        torch.testing.assert_close(pelvis[person, frame, 2], own[own > 0].median(), rtol=0.04, atol=0)
        torch.testing.assert_close(pelvis[person, frame], pelvis[person, frame, 2] * ray, rtol=1e-4, atol=1e-4)
        correction = measured.correction.as_table()[person, frame]
        assert correction[0] == 1.0 and float(correction[4]) == pytest.approx(float(own[own > 0].median()), rel=1e-5)
    gap = (measured.joints - torch.from_numpy(truth.joints))[measured.valid][:, 0].norm(dim=-1)
    assert measured.valid.any() and float(gap.median()) < 2 * errors.box_distance


def test_who_was_measured_a_moment_ago_stays_as_far_away(truth: Reconstruction) -> None:
    """A box without landmarks for one frame, before a scene that is twice as deep there: nobody leaps."""
    tracks, landmarks = observe(truth)
    prediction = predict(truth, 2.0)
    person = int(tracks.valid.sum(1).argmax())
    frame = int(tracks.valid[person].nonzero()[1])
    own = tracks.masks[frame] == person
    points = prediction.local_points.clone()
    points[0, frame][own] *= 2
    deep = Prediction(**vars(prediction) | {"local_points": points})
    px, box_only = landmarks.px.clone(), torch.zeros_like(tracks.valid)
    px[person, frame], box_only[person, frame] = torch.nan, True
    evidence = ShotEvidence(
        timestamps_s=torch.from_numpy(truth.timestamps_s).float(),
        valid=tracks.valid,
        masks=tracks.masks,
        landmarks_px=px,
        boxes_xyxy=tracks.boxes_xyxy,
        box_only=box_only,
    )
    shot = join([deep], [range(truth.num_frames)], tracks.valid, true_camera(truth))
    measured = measure_shot(shot, evidence, prediction.betas[0], load_body("free"))
    pelvis = transform_points(invert_rigid(measured.c2w), measured.joints[:, :, 0].transpose(0, 1)).transpose(0, 1)
    expected = (invert_rigid(measured.c2w)[frame] @ torch.tensor([*truth.joints[person, frame, 0], 1.0]))[2]
    assert float(pelvis[person, frame, 2]) == pytest.approx(float(expected), rel=0.05)


def test_without_people_the_network_scale_is_used(truth: Reconstruction) -> None:
    prediction = predict(truth, 3.0)
    alone = Prediction(
        local_points=prediction.local_points,
        point_conf_logits=prediction.point_conf_logits,
        c2w=prediction.c2w,
        scale=prediction.scale,
    )
    nobody = torch.zeros(0, truth.num_frames, dtype=torch.bool)
    camera = decide_camera(alone, SIZE, predicted=False)
    shot = join([alone], [range(truth.num_frames)], nobody, camera)
    evidence = ShotEvidence(
        timestamps_s=torch.from_numpy(truth.timestamps_s).float(),
        valid=torch.zeros(0, truth.num_frames, dtype=torch.bool),
        masks=torch.full((truth.num_frames, *SIZE), -1, dtype=torch.int16),
        landmarks_px=torch.zeros(0, truth.num_frames, 33, 3),
        boxes_xyxy=torch.zeros(0, truth.num_frames, 4),
        box_only=torch.zeros(0, truth.num_frames, dtype=torch.bool),
    )
    measured = measure_shot(shot, evidence, torch.zeros(0, 10), load_body("free"))
    assert measured.scale.source == "network"
    assert measured.scale.factor == pytest.approx(3.0, rel=1e-5)


def test_ruler_trusts_what_it_sees() -> None:
    body = load_body("free")
    rotations = torch.eye(3).expand(1, 1, 24, 3, 3).clone()
    rotations[..., 0, :, :] = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    intrinsics = torch.tensor([[[400.0, 0, 200], [0, 400.0, 200], [0, 0, 1]]])
    params = BodyParams(
        betas=torch.zeros(1, 1, 10),
        global_orient=rotations[:, :, 0],
        body_pose=rotations[:, :, 1:],
        transl=torch.tensor([[[0.2, 0.1, 4.0]]]),
    )
    landmarks = body.landmarks(params)
    px = landmarks @ intrinsics[0].T
    px = torch.cat([px[..., :2] / px[..., 2:], torch.ones(1, 1, 33, 1)], dim=-1)

    def place(hidden: list[int]) -> tuple[torch.Tensor, float]:
        seen = px.clone()
        seen[..., hidden, 2] = 0.0
        placed = place_bodies(
            body, rotations, torch.zeros(1, 10), seen, intrinsics, (400, 400), torch.ones(1, 1, dtype=torch.bool),
            torch.full((1, 1, 3), torch.nan),
        )  # fmt: skip
        return placed.params.transl[0, 0], float(placed.distance_sigma[0, 0])

    transl, sigma = place([])
    torch.testing.assert_close(transl, params.transl[0, 0], rtol=0, atol=1e-3)
    assert sigma == pytest.approx(DISTANCE_SIGMA["full"])
    assert place([27, 28])[1] == pytest.approx(DISTANCE_SIGMA["knees"])
    assert place([25, 26, 27, 28])[1] == pytest.approx(DISTANCE_SIGMA["hips"])
    no_hips = [23, 24, 25, 26, 27, 28]
    assert place(no_hips)[1] == pytest.approx(DISTANCE_SIGMA["shoulders"])
    assert place([*no_hips, *range(11)])[1] == pytest.approx(DISTANCE_SIGMA["none"]), "no face over the shoulders"
    assert place([*no_hips, 11])[1] == pytest.approx(DISTANCE_SIGMA["none"]), "one shoulder says no width"

    crooked = px.clone()
    crooked[..., 11:29, :2] += 8.0 * torch.randn(18, 2, generator=torch.Generator().manual_seed(0))
    px = crooked
    assert place([])[1] > 2 * DISTANCE_SIGMA["full"], "a body that misses its landmarks is a bad ruler"


def test_a_shape_counts_as_far_as_its_size_was_seen() -> None:
    betas = torch.full((4, 10), -2.0)
    sigma = torch.tensor([[0.05, 0.05, 0.5], [0.17, 0.17, 0.17], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]])
    valid = torch.ones(4, 3, dtype=torch.bool)
    valid[3] = False
    settled = shrink_shapes(betas, sigma, valid)
    torch.testing.assert_close(settled[0], betas[0], msg="most frames show the whole person")
    assert bool((betas[1] < settled[1]).all()) and bool((settled[1] < settled[2]).all())
    assert float(settled[2].abs().max()) < 0.2, "hardly seen: nearly the mean shape"
    assert bool(torch.isfinite(settled).all())
    turned = shrink_shapes(betas.flip(0), sigma.flip(0), valid.flip(0))
    torch.testing.assert_close(turned.flip(0), settled)
