"""Models of the user's own in the slots of a run: from the setting to the result and its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from network_models import CONFIGS, make_network
from oracle_world import CLIP_SIZE, SHOTS, World, make_world
from tiny_experts import save_depth_anything, save_rt_detr, save_sam2, save_vitpose
from unish.body import load_body
from unish.errors import InputError
from unish.geometry.camera import make_intrinsics, unproject
from unish.network import UniSH
from unish.network.outputs import SceneOutput
from unish.network.view_config import ViewSolverConfig
from unish.passes import Models
from unish.passes.run_folder import describe_run
from unish.pipeline import Result, run
from unish.settings import Settings
from unish.structs import Clip


@pytest.fixture(scope="module")
def world() -> World:
    camera = torch.tensor([[220.0, 0, CLIP_SIZE[1] / 2], [0, 220, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)
    return make_world(load_body(), camera, betas=torch.zeros(2, 10))


@pytest.fixture(scope="module")
def depth_files(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    for frame, depth in enumerate(world.depth):
        np.save(folder / f"{frame:03d}.npy", depth.numpy())
    return folder


def reconstruct(world: World, network: UniSH, **settings: object) -> Result:
    def find(clip: object, size: tuple[int, int]) -> tuple:
        masks = nn.functional.interpolate(world.tracks.masks[:, None].float(), size=size, mode="nearest-exact")[:, 0]
        return replace(world.tracks, masks=masks.to(torch.int16)), world.landmarks

    chosen = Settings(window=5, overlap=2, device="cpu", **settings)  # type: ignore[arg-type]
    return run(world.clip, settings=chosen, network=network, people_finder=find)


@pytest.mark.slow
@pytest.mark.parametrize("family", CONFIGS)
def test_depth_of_files_becomes_the_depth_of_the_scene(world: World, depth_files: Path, family: str) -> None:
    network = make_network(family)
    # Weights drawn at random solve no camera.
    found = reconstruct(world, network, depth_prior=f"files:{depth_files}", intrinsics=(440, 440, 250, 150))
    assert found.report["experts"]["depth_prior"]["model"].startswith("files sha256:")
    result = found.reconstruction
    height, width = result.depth.shape[1:]
    true = nn.functional.interpolate(world.depth[:, None], (height, width), mode="bilinear", antialias=True)[:, 0]
    for shot in SHOTS:
        # Up to the one scale that people give: what the network itself has seen is noise.
        scene = (result.person_masks[shot] < 0) & (result.depth[shot] > 0)
        off = np.log(result.depth[shot][scene] / true[shot].numpy()[scene])
        assert np.median(np.abs(off - np.median(off))) < 0.02


@pytest.mark.slow
def test_a_metric_prior_gives_the_metres_of_a_place_without_people(world: World, depth_files: Path) -> None:
    nobody = replace(world, tracks=None, landmarks=None)
    network = make_network("small")
    settings = Settings(window=5, overlap=2, device="cpu", people=0, depth_prior=str(depth_files))
    result = run(nobody.clip, settings=settings, network=network).reconstruction
    true = nn.functional.interpolate(world.depth[:, None], result.depth.shape[1:], mode="bilinear", antialias=True)[
        :, 0
    ]
    seen = result.depth > 0
    assert abs(np.median(np.log(result.depth[seen] / true.numpy()[seen]))) < 0.02


def test_other_priors_are_told_apart_by_runs_and_said_in_reports(depth_files: Path, world: World) -> None:
    settings = Settings(depth_prior=str(depth_files))
    experts = Models().experts(settings)
    described = describe_run(world.clip, settings, "network", "free", experts.fingerprints)
    assert described["experts"] == {"depth_prior": experts.depth_prior.fingerprint}  # type: ignore[union-attr]
    said: list[str] = []
    assert experts.announced(said.append) is experts
    assert len(said) == 1 and said[0].startswith("depth prior: files") and "licence not stated" in said[0]
    notes = depth_files / "prior.json"
    notes.write_text('{"kind": "scale-free", "licence": "CC0"}')
    try:
        other = Models().experts(settings)
        assert (
            other.fingerprints != experts.fingerprints and "CC0" in other.announced(said.append).licences["depth_prior"]
        )
    finally:
        notes.unlink()
    assert Models().experts(Settings()).describe() == {}


def test_a_network_that_takes_no_prior_says_so(world: World, depth_files: Path) -> None:
    network = make_network("small")
    network.takes_depth_prior = False
    with pytest.raises(InputError, match="takes no other depth prior"):
        reconstruct(world, network, depth_prior=str(depth_files))


@pytest.mark.slow
def test_the_command_takes_tiny_models_of_the_real_architectures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that a run does with them; what their random weights see is nothing."""
    monkeypatch.setattr("unish.people.find.default_support", lambda *_: _Blind())
    monkeypatch.setattr("unish.people.find.default_landmarks", lambda *_: _Blind())
    generator = torch.Generator().manual_seed(0)
    picture = nn.functional.interpolate(torch.rand(1, 3, 12, 16, generator=generator), (96, 128), mode="bicubic")
    images = (picture.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).expand(3, -1, -1, -1).contiguous()
    clip = Clip(
        images=images, timestamps_s=torch.arange(3).double() / 6, frame_indices=torch.arange(3),
        segment=torch.zeros(3, dtype=torch.int64), source_size=(96, 128),
    )  # fmt: skip
    settings = Settings(
        device="cpu", depth_prior=f"depth-anything-v2:{save_depth_anything(tmp_path / 'depth')}",
        people_detector=str(save_rt_detr(tmp_path / "boxes")), keypoints=str(save_vitpose(tmp_path / "points")),
        masks=f"sam2:{save_sam2(tmp_path / 'masks')}",
    )  # fmt: skip
    said: list[str] = []
    found = run(clip, settings=settings, network=make_network("small"), announce=said.append)
    assert set(found.report["experts"]) == {"depth_prior", "people_detector", "keypoints", "masks"}
    assert all("sha256:" in one["model"] for one in found.report["experts"].values())
    assert len(said) == 4 and all("licence" in sentence for sentence in said)
    assert np.isfinite(found.reconstruction.depth).all()


class _Blind:
    """Stands for detector and landmarks of the package, which no test downloads."""

    def detect(self, images: Tensor) -> list[list]:
        return [[] for _ in images]

    def find_regions(self, picture: Tensor, around: object) -> list:
        return []

    def read_pose(self, picture: Tensor, region: object) -> object:
        from unish.people.protocols import Pose

        nothing = np.zeros((33, 3), np.float32)
        return Pose(px=nothing, world=nothing, score=0.0, region=region, next_region=region)  # type: ignore[arg-type]


class FlatScene(nn.Module):
    """A scene branch of somebody else's: a wall in front of a camera of 90 degrees."""

    def __init__(self, hidden_dim: int, tokens: int) -> None:
        super().__init__()
        self.hidden_dim, self.tokens = hidden_dim, tokens
        self.distance = nn.Parameter(torch.tensor(4.0))

    def forward(
        self, images: Tensor, intrinsics: Tensor | None = None, *, picture_size: tuple[int, int] | None = None
    ) -> SceneOutput:
        clips, frames, _, height, width = images.shape
        if intrinsics is None:
            intrinsics = make_intrinsics(torch.full((clips, frames), width / 2), height, width).to(images)
        depth = self.distance.expand(clips, frames, height, width)
        return SceneOutput(
            local_points=unproject(depth, intrinsics), point_conf_logits=torch.ones_like(depth),
            c2w=torch.eye(4).expand(clips, frames, 4, 4), intrinsics=intrinsics,
            hidden=images.new_zeros(clips, frames, self.tokens, self.hidden_dim),
        )  # fmt: skip


@pytest.mark.slow
def test_another_scene_branch_in_the_slot(world: World) -> None:
    network = make_network("release")
    before = network.fingerprint
    scene = FlatScene(network.scene.hidden_dim, network.config.scene.decoder.num_special_tokens + 12)
    network.use_scene(scene, "flat")
    assert network.fingerprint == f"{before}, scene branch flat"
    found = reconstruct(world, network)
    assert "scene branch flat" in found.report["model"] and found.report["experts"] == {}
    result = found.reconstruction
    wall = result.depth[(result.person_masks < 0) & (result.depth > 0)]
    assert wall.std() / wall.mean() < 0.2
    with pytest.raises(InputError, match="channels, AlignNet reads"):
        network.use_scene(FlatScene(7, 4), "narrow")


def test_cameras_from_views_work_on_another_scene_branch() -> None:
    from furnished_room import film_room, turn_errors, walk

    clip = film_room(walk(4))
    network = make_network("release")
    network.config = replace(network.config, views=ViewSolverConfig(num_keypoints=512, num_anchors=200))
    network.use_scene(FlatScene(network.scene.hidden_dim, 14), "flat")
    with torch.no_grad():
        found = network.see(clip.images[None], clip.intrinsics[None])
    from unish.geometry.rigid import invert_rigid

    assert turn_errors(invert_rigid(found.c2w)[0], clip.w2c).max() < 0.5
