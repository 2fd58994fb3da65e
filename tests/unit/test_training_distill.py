"""The distillation stage in miniature: it learns what the expert sees, keeps the rest, and reads no truth."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unish.errors import InputError
from unish.geometry.camera import make_intrinsics, unproject
from unish.lab.datasets.source import ClipArrays, SourceNotes
from unish.lab.datasets.video_folder import VideoConfig, open_video_folder
from unish.lab.training.experts import CropExpert, ExpertView
from unish.lab.training.losses.distillation import place_loss
from unish.lab.training.losses.points import normal_loss, posture_loss
from unish.lab.training.recipes import DISTILL
from unish.lab.training.stages.distill import distill_loss, open_expert, run_distill_stage
from unish.lab.training.stages.distill_clips import DistillClips, cache_clips, collate_clips
from unish.lab.training.surface_validation import score_depth, score_normals
from unish.lab.training.trainer import FitConfig
from unish.network.config import tiny_config
from unish.network.crop_net import CropNet, CropNetConfig
from unish.network.small_scene import SmallScene
from unish.structs import Clip, Landmarks, Tracks
from written_videos import numbered_pictures, write_video

SIZE = (96, 128)


class Pictures:
    """Clips of pictures and person masks; there is nothing else to read."""

    def __init__(self, *, names: tuple[str, ...] = ("images", "ids")) -> None:
        self.names = names

    def __len__(self) -> int:
        return 3

    def describe(self) -> SourceNotes:
        return SourceNotes(name="pictures", licence="ours", trains_shipped_weights=True, arrays=self.names)

    def size(self, index: int) -> tuple[int, int]:
        return SIZE

    def load(self, index: int, rng: np.random.Generator, *, num_frames: int, **_: object) -> ClipArrays:
        drawn = np.random.default_rng(index)
        ids = np.full((num_frames, *SIZE), -1, np.int8)
        ids[:, 16:80, 32:96] = 0
        images = np.kron(drawn.integers(0, 256, (num_frames, 12, 16, 3)), np.ones((1, 8, 8, 1))).astype(np.uint8)
        return {"images": images, "ids": ids}


class RoundExpert:
    """Sees everybody as a part of a cylinder; knows nothing of the first rows."""

    key = "round"

    def estimate(self, view: ExpertView) -> torch.Tensor:
        assert view.images.shape[-2:] == SIZE and view.intrinsics.shape == (len(view.images), 3, 3)
        across = torch.linspace(-1.6, 1.6, SIZE[1]).expand(view.person_ids.shape)
        depth = 3 - 0.4 * (1 - (across / 2).square()).sqrt()
        known = (view.person_ids >= 0) & (torch.arange(SIZE[0])[:, None] >= 24)
        return torch.where(known, depth, 0.0)


STAGE = replace(
    DISTILL,
    num_clips=3,
    num_frames=2,
    clips_per_step=2,
    fit=FitConfig(steps=60, learning_rate=3e-3, warmup_steps=5, ema_decay=0.8, log_every=10, checkpoint_every=30),
    share=1.0,
)


def make_model() -> SmallScene:
    torch.manual_seed(0)
    config = tiny_config().scene
    assert hasattr(config, "photo_side")
    model = SmallScene(replace(config, photo_side=0)).eval()
    # Fresh heads answer with the row-wise depth prior alone; these answer with what the pictures say, too.
    for layer in (model.dense_head.depth, model.dense_head.upsampling):
        torch.nn.init.normal_(layer.weight, std=0.02)
    return model


def measure(model: SmallScene, folder: Path) -> dict[str, float]:
    clips = DistillClips(folder)
    generator = torch.Generator().manual_seed(0)
    terms = distill_loss(model, clips.sample(0, 0, 3), STAGE, generator)[1]
    return {name: float(value) for name, value in terms.items()}


@pytest.mark.long
def test_detail_is_learnt_the_rest_is_kept_and_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    model = make_model()
    before = copy.deepcopy(model.state_dict())
    cache_clips(Pictures(), tmp_path / "clips", model, RoundExpert(), num_clips=3, num_frames=2)
    first = measure(model, tmp_path / "clips")
    assert first["forgetting"] < 1e-3 and first["place"] < 1e-3 and first["confidence"] < 1e-3

    def run(student: SmallScene, *, resume: bool = False) -> None:
        run_distill_stage(
            STAGE, student, Pictures(), RoundExpert(), tmp_path / "run", resume=resume, described=tmp_path / "clips"
        )

    run(model)
    last = measure(model, tmp_path / "clips")
    assert last["normals"] < 0.7 * first["normals"]
    assert last["detail"] < first["detail"]
    assert last["forgetting"] < 0.05 and last["place"] < 0.05
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("dense_head.") for name in changed)

    (tmp_path / "run" / "checkpoint.pt").unlink()  # what is left is that of step 30
    again = make_model()
    run(again, resume=True)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


def test_a_share_of_the_way(tmp_path: Path) -> None:
    few = replace(STAGE, fit=replace(STAGE.fit, steps=3))
    start, whole, part = make_model().dense_head.state_dict(), make_model(), make_model()
    for model, share, resume in ((whole, 1.0, False), (part, 0.25, True)):
        stage = replace(few, share=share)
        run_distill_stage(stage, model, Pictures(), RoundExpert(), tmp_path / "run", resume=resume)
    end = whole.dense_head.state_dict()
    assert any(not torch.equal(end[name], value) for name, value in start.items())
    for name, value in part.dense_head.state_dict().items():
        torch.testing.assert_close(value, 0.75 * start[name] + 0.25 * end[name])


def test_clips_belong_to_their_network_and_expert(tmp_path: Path) -> None:
    model = make_model()
    cache_clips(Pictures(), tmp_path, model, RoundExpert(), num_clips=1, num_frames=2)
    cache_clips(Pictures(), tmp_path, model, RoundExpert(), num_clips=1, num_frames=2)
    other = RoundExpert()
    other.key = "another"
    with pytest.raises(InputError, match="another network or expert"):
        cache_clips(Pictures(), tmp_path, model, other, num_clips=1, num_frames=2)
    model.dense_head.depth.bias.data += 1
    with pytest.raises(InputError, match="another network or expert"):
        cache_clips(Pictures(), tmp_path, model, RoundExpert(), num_clips=1, num_frames=2)
    with pytest.raises(InputError, match="no ids"):
        cache_clips(Pictures(names=("images",)), tmp_path / "b", model, RoundExpert(), num_clips=1, num_frames=2)


def test_described_clips_are_what_the_network_says(tmp_path: Path) -> None:
    """Half precision of the tokens moves points by less than a thousandth."""
    model = make_model()
    cache_clips(Pictures(), tmp_path, model, RoundExpert(), num_clips=1, num_frames=2)
    batch = DistillClips(tmp_path).sample(0, 0, 1)
    arrays = Pictures().load(0, np.random.default_rng(0), num_frames=2)
    images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2)[None].float() / 255
    small = torch.nn.functional.interpolate(images[0], batch.expert_depth.shape[-2:], mode="bilinear", antialias=True)
    with torch.no_grad():
        output = model(small[None])
    torch.testing.assert_close(batch.frozen_points, output.local_points, rtol=1e-3, atol=1e-4)
    assert batch.person_mask.float().mean() == pytest.approx(64 * 64 / (96 * 128))
    assert ((batch.expert_depth > 0) & ~batch.person_mask).sum() == 0
    assert (batch.expert_depth > 0).float().mean() == pytest.approx(56 * 64 / (96 * 128))


def test_nobody_whom_the_expert_knows_is_an_error(tmp_path: Path) -> None:
    blind = RoundExpert()
    blind.estimate = lambda view: torch.zeros(view.person_ids.shape)  # type: ignore[method-assign]
    cache_clips(Pictures(), tmp_path, make_model(), blind, num_clips=2, num_frames=2)
    with pytest.raises(InputError, match="knows nobody"):
        DistillClips(tmp_path)


def find_one_person(clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
    """Stands in for the people stage: somebody in the middle of every frame."""
    total, (height, width) = clip.num_frames, size
    masks = torch.full((total, *size), -1, dtype=torch.int16)
    masks[:, height // 6 : -height // 6, width // 3 : -width // 3] = 0
    box = torch.tensor([width / 3, height / 6, 2 * width / 3, 5 * height / 6]).expand(1, total, 4)
    valid, px = torch.ones(1, total, dtype=torch.bool), torch.zeros(1, total, 33, 3)
    tracks = Tracks(person_ids=torch.zeros(1, dtype=torch.long), valid=valid, boxes_xyxy=box, masks=masks)
    return tracks, Landmarks(px=px, world=px, score=valid.float())


def test_a_folder_of_video_teaches(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.mp4", numbered_pictures(12))
    config = VideoConfig(fps=10, long_side=96, min_height_px=30, min_frames=4, window=6)
    source = open_video_folder(tmp_path, config, finder=find_one_person)
    torch.manual_seed(0)
    expert = CropExpert(CropNet(CropNetConfig(size=32, widths=(8, 8, 8, 8))))
    torch.nn.init.normal_(expert.model.relief.weight)
    model = make_model()
    before = model.dense_head.depth.weight.clone()
    run_distill_stage(replace(STAGE, fit=replace(STAGE.fit, steps=2)), model, source, expert, tmp_path / "run")
    assert not torch.equal(model.dense_head.depth.weight, before)


def test_experts_by_name(tmp_path: Path) -> None:
    options = {"data": tmp_path, "resume": False, "minutes": None}
    assert open_expert(f"files:{tmp_path}", tmp_path, **options).key == f"files {tmp_path}"
    for name in ("files", "magic"):
        with pytest.raises(InputError, match="no expert"):
            open_expert(name, tmp_path, **options)


def test_people_may_change_but_not_move() -> None:
    camera = make_intrinsics(torch.full((1, 1), 60.0), 32, 32)
    points = unproject(torch.full((1, 1, 32, 32), 2.0), camera)
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[..., 8:24, 8:24] = True
    stripes = torch.where(torch.arange(32) % 2 == 0, 1.1, 1 / 1.1)[:, None, None]
    torch.testing.assert_close(place_loss(points * stripes, points, mask), torch.tensor(0.0), atol=1e-6, rtol=0)
    moved = torch.where(mask[..., None], points * 1.1, points * 3)
    torch.testing.assert_close(place_loss(moved, points, mask), torch.tensor(1.1).log())
    assert place_loss(moved, points, torch.zeros_like(mask)) == 0


def test_posture_is_the_mean_over_two_grids() -> None:
    camera = make_intrinsics(torch.full((1, 1), 60.0), 32, 32)
    depth = 3 + 0.02 * torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    first, second = unproject(depth[0], camera), unproject(depth[1], camera)
    valid = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    near = normal_loss(first, second, valid)
    wide = normal_loss(first[:, :, 2::4, 2::4], second[:, :, 2::4, 2::4], valid[:, :, 2::4, 2::4])
    torch.testing.assert_close(posture_loss(first, second, valid), (near + wide) / 2)
    assert wide < 0.6 * near, "noise of single pixels tilts wide triangles less"


def test_scores_know_a_slope_and_a_scale() -> None:
    camera = make_intrinsics(torch.full((1,), 60.0), 32, 32)
    mask = torch.ones(1, 32, 32, dtype=torch.bool)
    ray = unproject(torch.ones(1, 32, 32), camera)
    flat = torch.full((1, 32, 32), 3.0)
    slope = 3 / (1 - ray[..., 0])  # z = 3 + x: 45°
    assert score_normals(unproject(slope, camera), flat, camera, mask) == pytest.approx(45, abs=0.05)
    assert score_normals(7 * unproject(slope, camera), slope, camera, mask) == pytest.approx(0, abs=0.05)
    assert np.isnan(score_normals(unproject(flat, camera), flat, camera, torch.zeros_like(mask)))
    half = torch.zeros_like(mask)
    half[:, :12] = True
    scores = score_depth(torch.where(half, 1.2 * flat, flat), flat, half)
    assert scores["people_absrel"] == pytest.approx(0.2, abs=1e-5)
    assert scores["scene_absrel"] == pytest.approx(0, abs=1e-6)
    assert scores["absrel"] == pytest.approx(0.2 * 12 / 32, abs=1e-5)


def test_batches_hold_clips_of_one_size(tmp_path: Path) -> None:
    cache_clips(Pictures(), tmp_path, make_model(), RoundExpert(), num_clips=3, num_frames=2)
    clips = DistillClips(tmp_path)
    first, again, other = clips.sample(0, 4, 2), clips.sample(0, 4, 2), clips.sample(1, 4, 2)
    assert torch.equal(first.expert_depth, again.expert_depth) and torch.equal(first.inputs.hidden, again.inputs.hidden)
    assert not torch.equal(first.inputs.hidden, other.inputs.hidden)
    single = collate_clips([clips._sizes[next(iter(clips._sizes))][0]])
    assert single.inputs.features[0].shape[0] == 2 and single.frozen_points.shape[:2] == (1, 2)
