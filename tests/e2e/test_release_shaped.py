"""The published architecture, in miniature and with random weights, from pictures to files with people in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from network_models import tiny_release
from oracle_world import CLIP_SIZE, make_world
from small_smpl import make_smpl_arrays
from unish.body import load_body
from unish.errors import InputError
from unish.into_folder import write_outputs
from unish.network import UniSH
from unish.network.config import UniSHConfig
from unish.pipeline import Result, Settings, run
from unish.structs import Reconstruction


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    UniSH(tiny_release()).save_pretrained(folder)
    return folder


def reconstruct(weights: Path, body: str) -> Result:
    camera = torch.tensor([[220.0, 0, CLIP_SIZE[1] / 2], [0, 220, CLIP_SIZE[0] / 2], [0, 0, 1]]).expand(2, 3, 3)
    world = make_world(load_body(), camera, betas=torch.zeros(2, 10))
    tracks, landmarks = world.tracks, world.landmarks

    def find(clip: object, size: tuple[int, int]) -> tuple:
        masks = torch.nn.functional.interpolate(tracks.masks[:, None].float(), size=size, mode="nearest-exact")[:, 0]
        return replace(tracks, masks=masks.to(torch.int16)), landmarks

    settings = Settings(model=str(weights), window=5, overlap=2, body=body, device="cpu")
    return run(world.clip, settings=settings, people_finder=find)


@pytest.mark.slow
def test_people_are_reconstructed_with_the_free_body_and_the_report_says_what_is_missing(
    weights: Path, tmp_path: Path
) -> None:
    result = reconstruct(weights, "free")
    found = result.reconstruction
    assert found.num_people == 2 and found.person_valid.sum() == 21
    assert found.images.shape[1] % 16 == 0 and found.images.shape[2] % 16 == 0
    assert np.isfinite(found.transl[found.person_valid]).all() and np.isfinite(found.depth).all()
    assert not found.betas.any() and any("mean shape" in sentence for sentence in result.report["warnings"])
    write_outputs(result, tmp_path)
    back = Reconstruction.load(tmp_path / "reconstruction.npz")
    np.testing.assert_array_equal(back.joints, found.joints)
    assert (tmp_path / "scene.glb").stat().st_size > 1000 and (tmp_path / "preview.mp4").stat().st_size > 1000


@pytest.mark.slow
def test_a_licensed_file_has_the_shapes_that_the_weights_speak_of(weights: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **make_smpl_arrays())
    result = reconstruct(weights, str(tmp_path / "SMPL_NEUTRAL.npz"))
    assert result.reconstruction.body_model == "SMPL_NEUTRAL.npz" and result.reconstruction.betas.any()
    assert not any("mean shape" in sentence for sentence in result.report["warnings"])


def test_sizes_that_the_patch_does_not_divide_are_refused_when_the_network_is_made() -> None:
    with pytest.raises(ValueError, match="patch_size"):
        replace(tiny_release(), multiple=14)
    text = tiny_release().to_json().replace('"multiple": 16', '"multiple": 14')
    with pytest.raises(InputError, match="patch_size"):
        UniSHConfig.from_json(text)
