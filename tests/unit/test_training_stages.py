"""Coarse and fine: what they read, that truth costs nothing, and that they train what they say."""

import copy
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from unish.body import Body, load_body
from unish.errors import InputError
from unish.geometry.camera import project
from unish.lab.training.landmark_noise import EventRates, LandmarkNoiseConfig
from unish.lab.training.recipes import COARSE, FINE
from unish.lab.training.stages.coarse import CoarseWeights, coarse_loss
from unish.lab.training.stages.domains import COARSE_WORLD
from unish.lab.training.stages.fine import FineWeights, fine_loss, keep_scale, shrink_people
from unish.lab.training.stages.localise import hide_learnt_tokens, run_localise_stage, train_localise_stage
from unish.lab.training.stages.localiser import Localiser, Located, plain_config
from unish.lab.training.stages.people_cache import PeopleBatch, PeopleCache, cache_people
from unish.lab.training.stages.people_clips import PeopleConfig, describe_clips, pick_people
from unish.lab.training.stages.people_validation import score_people
from unish.lab.training.trainer import FitConfig
from unish.network import PRESETS, UniSH
from unish.network.geometry_tokens import NUM_GEOMETRY, NUM_PLACE

WORLD = replace(
    COARSE_WORLD, places=("hall",), sizes=((64, 48),), clips_per_shard=4, clip=replace(COARSE_WORLD.clip, num_frames=3)
)
NO_EVENTS = EventRates(**{field.name: 0.0 for field in fields(EventRates)})
NO_NOISE = LandmarkNoiseConfig(bias_2d=0.0, drift_2d=0.0, jitter_2d=0.0, events=NO_EVENTS)
CONFIG = PeopleConfig(num_frames=3, num_observations=2, noise=NO_NOISE)
FEW = FitConfig(steps=2, warmup_steps=0, learning_rate=1e-3, checkpoint_every=0)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("free")


@pytest.fixture(scope="module")
def network() -> UniSH:
    torch.manual_seed(0)
    return UniSH(plain_config(PRESETS["tiny"]())).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: UniSH, body: Body) -> Path:
    place = tmp_path_factory.mktemp("people")
    source = WORLD.open(place / "shards", 4)
    cache_people(source, place / "described", network, body, CONFIG, seed=3)
    return place


@pytest.fixture
def clips(folder: Path) -> PeopleCache:
    return PeopleCache(folder / "described")


class Oracle(Localiser):
    """Answers with the truth of the batch; a scale that is off moves nobody."""

    trains_human, is_metric = True, False

    def __init__(self, factor: float = 1.0) -> None:
        nn.Module.__init__(self)
        self.factor = factor

    def forward(self, batch: PeopleBatch) -> Located:
        truth = batch.truth
        units = truth.params.transl / truth.scale[:, None, None, None]
        return Located(params=truth.params, units=units, metres_per_unit=self.factor * truth.scale)


def with_true_cameras(batch: PeopleBatch) -> PeopleBatch:
    return replace(batch, cameras=batch.truth.intrinsics, shift=torch.zeros_like(batch.shift))


@pytest.mark.long
def test_landmarks_are_where_the_true_body_is_seen(clips: PeopleCache, body: Body) -> None:
    batch = clips.sample(0, 0, 4)
    valid = batch.humans.valid
    assert valid.any()
    cameras = batch.truth.intrinsics[:, None].expand(*valid.shape, 3, 3)
    seen = project(body.landmarks(batch.truth.params), cameras)
    clear = valid[..., None] & (batch.humans.landmarks_px[..., 2] > 0.5)
    error = (seen - batch.humans.landmarks_px[..., :2]).norm(dim=-1)[clear]
    assert error.max() < 0.05
    assert batch.humans.landmarks_px[~valid].isnan().all()


@pytest.mark.long
def test_the_masks_belong_to_the_people(clips: PeopleCache, body: Body) -> None:
    batch = clips.sample(0, 0, 4)
    where = torch.stack([batch.person_ids == person for person in range(2)], dim=1)
    pelvis = batch.truth.params.transl + body.rest_joints(batch.truth.params.betas)[..., 0, :]
    cameras = batch.truth.intrinsics[:, None].expand(*batch.humans.valid.shape, 3, 3)
    pixel = project(pelvis[..., None, :], cameras)[..., 0, :]
    inside = 0
    for clip, person, frame in batch.humans.valid.nonzero().tolist():
        rows, columns = where[clip, person, frame].nonzero(as_tuple=True)
        if len(rows) > 20:
            x, y = pixel[clip, person, frame].tolist()
            assert columns.min() - 2 <= x <= columns.max() + 3
            inside += int(rows.min() - 2 <= y <= rows.max() + 3)
    assert inside > 0


@pytest.mark.long
def test_large_pictures_are_shrunk_with_all_that_is_in_them(folder: Path, network: UniSH, body: Body) -> None:
    source, config = WORLD.open(folder / "shards", 4), replace(CONFIG, num_observations=1)
    found = {}
    for side in (None, 64, 32):  # the stored ones are 64 by 48
        place = folder / f"side-{side}"
        cache_people(source, place, network, body, replace(config, long_side=side), seed=3)
        found[side] = next(iter(PeopleCache(place).walk(4)))
    assert found[None].person_ids.shape[-2:] == found[64].person_ids.shape[-2:] == (32, 24)
    assert torch.equal(found[None].scene.hidden, found[64].scene.hidden)
    assert found[32].person_ids.shape[-2:] == (16, 12)
    small, large = (found[side].humans.landmarks_px[..., :2].nan_to_num() for side in (32, 64))
    assert large.max() > 10
    torch.testing.assert_close(2 * small, large, atol=1e-3, rtol=0)
    shares = [(found[side].person_ids >= 0).float().mean() for side in (32, 64)]
    assert 0.97 < shares[0] / shares[1] < 1.03


def test_the_best_seen_come_first_and_ids_follow(folder: Path) -> None:
    source = WORLD.open(folder / "shards", 4)
    arrays = source.load(0, np.random.default_rng(0), num_frames=3)
    arrays["ids"] = np.full_like(arrays["ids"], -1)
    arrays["ids"][:, 0, :3] = 4
    arrays["ids"][:, 1, :2] = 1
    arrays["ids"][:, 2, 0] = 0
    picked = pick_people(arrays, 2)
    assert picked["ids"][0, :3, 0].tolist() == [0, 1, 2]
    assert picked["ids"][0, 5, 5] == -1
    assert (picked["betas"][0] == arrays["betas"][4]).all()


def test_detected_landmarks_are_taken_as_they_are(folder: Path, network: UniSH, body: Body) -> None:
    """A video has neither truth nor simulated landmarks; its pixels become those of the maps."""
    arrays = WORLD.open(folder / "shards", 4).load(0, np.random.default_rng(0), num_frames=3)
    video = {name: arrays[name] for name in ("images", "ids", "timestamps", "person_valid", "landmarks_px")}
    video["landmarks_world"] = np.random.default_rng(0).normal(size=(6, 3, 33, 3)).astype(np.float32)
    described = describe_clips([video], network, body, CONFIG, [torch.Generator()])
    assert not any(name.startswith("true_") for name in described)
    assert described["valid"].shape == (1, 1, 2, 3)
    first = int(np.argmax([(arrays["ids"] == person).sum() for person in range(6)]))
    frame = int(arrays["person_valid"][first].nonzero()[0][0])
    expected = torch.from_numpy(arrays["landmarks_px"][first, frame]) * torch.tensor([0.5, 0.5, 1.0])
    torch.testing.assert_close(described["landmarks_px"][0, 0, 0, frame], expected)


def test_data_that_a_stage_cannot_use_is_refused(tmp_path: Path, network: UniSH) -> None:
    arrays = {"images": np.zeros((1, 3, 32, 48, 3), np.uint8), "depth": np.ones((1, 3, 32, 48), np.float32)}
    save_file(arrays, tmp_path / "shard-000000.safetensors")
    with pytest.raises(InputError, match=r"body_pose_aa.*cannot train the stage coarse"):
        train_localise_stage(COARSE, network, tmp_path / "run", data=tmp_path)


def test_draws_repeat(clips: PeopleCache) -> None:
    first, again, other = clips.sample(1, 7, 3), clips.sample(1, 7, 3), clips.sample(1, 8, 3)
    assert torch.equal(first.humans.landmarks_world.nan_to_num(), again.humans.landmarks_world.nan_to_num())
    assert not torch.equal(first.humans.landmarks_world.nan_to_num(), other.humans.landmarks_world.nan_to_num())


def test_truth_can_be_hidden(folder: Path) -> None:
    hidden = PeopleCache(folder / "described", hide_truth=True)
    assert hidden.sample(0, 0, 2).truth is None


def test_other_settings_are_refused(folder: Path, network: UniSH, body: Body) -> None:
    source = WORLD.open(folder / "shards", 4)
    with pytest.raises(InputError, match="other settings"):
        cache_people(source, folder / "described", network, body, CONFIG, seed=4)


def test_coarse_costs_nothing_on_the_truth(clips: PeopleCache, body: Body) -> None:
    batch = with_true_cameras(clips.sample(0, 0, 4))
    loss, terms = coarse_loss(Oracle(), batch, body, CoarseWeights())
    assert terms.keys() == {"transl", "scale", "picture", "vertices", "joints", "pose", "shape"}
    assert float(loss) == pytest.approx(0.0, abs=1e-4)
    _, wrong = coarse_loss(Oracle(1.5), batch, body, CoarseWeights())
    assert float(wrong["scale"]) == pytest.approx(float(0.5 * batch.truth.scale.mean()), rel=1e-4)
    assert float(wrong["transl"]) == pytest.approx(0.0, abs=1e-6)
    _, right = coarse_loss(Oracle(), batch, body, CoarseWeights(root=1.0, width=0.1))
    _, wrong = coarse_loss(Oracle(), replace(batch, shift=batch.shift + 0.5), body, CoarseWeights(root=1.0, width=0.1))
    assert float(right["root"]) == float(wrong["transl"]) == 0.0 < 0.01 < float(wrong["root"])


def test_scores_of_the_truth_are_perfect(clips: PeopleCache, body: Body) -> None:
    batch = with_true_cameras(clips.sample(0, 0, 4))
    scores = score_people(Oracle(), [batch], body, with_surfaces=False)
    assert scores["root_cm"] == pytest.approx(0.0, abs=1e-3)
    assert scores["joints_mm"] == pytest.approx(0.0, abs=1e-2)
    assert scores["scale_percent"] == pytest.approx(0.0, abs=1e-3)
    assert scores["reprojection_percent"] < 0.2
    assert score_people(Oracle(1.2), [batch], body, with_surfaces=False)["scale_percent"] == pytest.approx(20, abs=0.01)


def test_posture_is_scored_apart_from_the_place(clips: PeopleCache, body: Body) -> None:
    class Stiff(Oracle):
        def forward(self, batch: PeopleBatch) -> Located:
            located = super().forward(batch)
            pose = torch.eye(3).expand_as(located.params.body_pose)
            return replace(located, params=replace(located.params, body_pose=pose))

    batch = with_true_cameras(clips.sample(0, 0, 4))
    scores = score_people(Stiff(), [batch], body, with_surfaces=False)
    assert scores["root_cm"] == pytest.approx(0.0, abs=1e-3)
    stiff, true = (body.joints(x) for x in (Stiff()(batch).params, batch.truth.params))
    errors = (stiff - true).norm(dim=-1).mean(-1)[batch.humans.valid]  # both have their pelvis in one place
    assert scores["joints_mm"] == pytest.approx(1000 * float(errors.nanmedian()), rel=1e-4)
    assert scores["joints_mm"] > 20


def test_body_to_points_is_measured_in_metres_of_the_prediction(clips: PeopleCache, body: Body) -> None:
    """Points that lie on the true surface are a few centimetres from the body, twice as far away they are not."""
    batch = with_true_cameras(clips.sample(0, 0, 4))
    vertices = body.vertices(batch.truth.params)
    near = torch.zeros_like(batch.scene.local_points)
    for clip, person, frame in batch.humans.valid.nonzero().tolist():
        mask = batch.person_ids[clip, frame] == person
        count = int(mask.sum())
        near[clip, frame][mask] = vertices[clip, person, frame, :count] / batch.truth.scale[clip]
    batch = replace(batch, scene=replace(batch.scene, local_points=near))
    assert score_people(Oracle(), [batch], body)["body_to_points_cm"] < 0.1
    scores = score_people(Oracle(1.2), [batch], body)
    assert scores["body_to_points_cm"] > 5
    # The share is of how far the points are: 1.2 times as far as the person.
    far = [1.2 * vertices[c, p, f].norm(dim=-1).mean() for c, p, f in batch.humans.valid.nonzero().tolist()]
    share = scores["body_to_points_percent"] / scores["body_to_points_cm"]
    assert 1 / max(far) * 0.9 < share < 1 / min(far) * 1.1


def test_fine_never_reads_the_truth(clips: PeopleCache, network: UniSH, body: Body) -> None:
    model = Localiser(network).eval()
    batch = clips.sample(0, 0, 2)
    losses = []
    for truth in (batch.truth, None):
        torch.manual_seed(0)
        losses.append(float(fine_loss(model, replace(batch, truth=truth), body, FineWeights())[0].detach()))
    assert losses[0] == losses[1]
    with pytest.raises(ValueError, match="exact bodies"):
        coarse_loss(model, replace(batch, truth=None), body, CoarseWeights())


def test_fine_is_small_where_body_and_points_agree(clips: PeopleCache, body: Body) -> None:
    batch = with_true_cameras(clips.sample(0, 0, 4))
    weights = FineWeights(surface=0.0, order=0.0)
    _, right = fine_loss(Oracle(), batch, body, weights)
    truth = batch.truth.params
    moved = replace(batch.truth, params=replace(truth, transl=truth.transl * 1.3))
    _, wrong = fine_loss(Oracle(), replace(batch, truth=moved), body, weights)
    assert float(right["landmarks"]) < 1e-5 < 1e-3 < float(wrong["landmarks"])


@pytest.mark.long
@pytest.mark.parametrize("trains_human", [False, True])
@pytest.mark.parametrize("stage", [COARSE, FINE], ids=["coarse", "fine"])
def test_a_stage_trains_its_parts_alone(
    tmp_path: Path, clips: PeopleCache, network: UniSH, body: Body, stage, trains_human: bool
) -> None:
    fresh = UniSH(network.config)
    fresh.load_state_dict(network.state_dict())
    model = Localiser(fresh, trains_human=trains_human)
    row = replace(stage, fit=FEW, clips_per_step=2, trains_human=trains_human)
    run_localise_stage(row, model, clips, body, tmp_path / "run", progress=False)
    changed = {name.split(".")[0] for name, value in fresh.state_dict().items()
               if not torch.equal(value, network.state_dict()[name])}  # fmt: skip
    assert changed == ({"human", "align"} if trains_human else {"align"})


def test_hidden_tokens_keep_their_geometry(network: UniSH, clips: PeopleCache, body: Body, tmp_path: Path) -> None:
    batch = clips.sample(0, 0, 16)
    torch.manual_seed(0)
    found = hide_learnt_tokens(batch, 0.5).scene.hidden
    assert torch.equal(found[..., -NUM_GEOMETRY:], batch.scene.hidden[..., -NUM_GEOMETRY:])
    learnt, before = found[..., :-NUM_GEOMETRY].flatten(1), batch.scene.hidden[..., :-NUM_GEOMETRY].flatten(1)
    hidden = (learnt == 0).all(1)
    assert 2 <= hidden.sum() <= 14 and torch.equal(learnt[~hidden], before[~hidden])
    stage = replace(COARSE, fit=FEW, clips_per_step=2, hide_tokens=1.0)
    run_localise_stage(stage, Localiser(copy.deepcopy(network)), clips, body, tmp_path / "run")
    other = Localiser(UniSH(PRESETS["tiny"]()))
    with pytest.raises(InputError, match="have nothing besides"):
        run_localise_stage(stage, other, clips, body, tmp_path / "other")


def test_the_place_in_the_token_follows_the_person(network: UniSH, clips: PeopleCache) -> None:
    batch = clips.sample(0, 0, 4)
    moved = batch.humans.landmarks_px.clone()
    moved[..., 0] += 5.0
    tokens = [
        network.human(replace(batch.humans, landmarks_px=px), batch.timestamps, batch.scene.intrinsics).token
        for px in (batch.humans.landmarks_px, moved)
    ]
    step = (tokens[1] - tokens[0])[batch.humans.valid]
    expected = 2 * 5.0 / batch.scene.intrinsics[:, None, :, 0, 0].expand(batch.humans.valid.shape)[batch.humans.valid]
    torch.testing.assert_close(step[:, -NUM_PLACE], expected, rtol=0.05, atol=0.01)
    assert (tokens[0].shape[-1], network.config.human.token_dim) == (32 + NUM_PLACE,) * 2


def test_fine_leaves_out_the_outermost_pixels_of_people_but_not_at_the_border() -> None:
    ids = torch.full((1, 1, 8, 8), -1)
    ids[..., 0:4, 0:4], ids[..., 5:8, 3:8] = 0, 1
    ids[..., 0, 7] = 2  # somebody who has no row
    kept = shrink_people(ids, 2)
    wanted = torch.full((8, 8), -1)
    wanted[0:3, 0:3], wanted[6:8, 4:8] = 0, 1
    assert torch.equal(kept[0, 0], wanted)


@pytest.mark.parametrize("is_metric", [False, True])
def test_surfaces_teach_the_place_among_the_points_and_not_the_scale(clips: PeopleCache, is_metric: bool) -> None:
    batch = clips.sample(0, 0, 4)
    answer = Oracle()(batch)
    units = torch.where(batch.humans.valid[..., None], answer.units, 1.0).requires_grad_()
    scale = answer.metres_per_unit.clone().requires_grad_()
    metres = (scale[:, None, None, None] * units).detach().requires_grad_(is_metric)
    transl = metres if is_metric else scale[:, None, None, None] * units
    located = replace(answer, units=units, metres_per_unit=scale, params=replace(answer.params, transl=transl))
    among = keep_scale(located, is_metric=is_metric)
    torch.testing.assert_close(among.params.transl, transl)
    torch.testing.assert_close(among.metres_per_unit, scale)
    if is_metric:  # the other way round: the place is known from the picture
        assert not among.params.transl.requires_grad and among.metres_per_unit.requires_grad
        return
    place = torch.autograd.grad(among.params.transl.sum(), (units, scale), allow_unused=True)
    assert (place[0] != 0).all() and place[1] is None
    assert not among.metres_per_unit.requires_grad
