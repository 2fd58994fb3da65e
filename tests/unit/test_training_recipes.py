"""Recipes: named, refused clearly, and stages that train what they say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from unish import training
from unish.errors import InputError
from unish.network.correspondence import CorrespondenceConfig
from unish.network.decoder import DecoderConfig
from unish.network.small_scene import SmallScene, SmallSceneConfig
from unish.training.recipes import RECIPES, SceneStage, run_scene_stage

TINY = SmallSceneConfig(
    long_side=64,
    decoder=DecoderConfig(dim=32, depth=2, num_heads=2, num_special_tokens=2, layer_scale=None),
    widths=(16, 16, 16),
    correspondence=CorrespondenceConfig(channels=16, hidden=16),
)


def write_shard(folder: Path) -> None:
    generator = np.random.default_rng(0)
    clips, frames, height, width = 20, 4, 32, 48
    intrinsics = np.array([[40, 0, 24], [0, 40, 16], [0, 0, 1]], np.float32)
    save_file(
        {
            "images": generator.integers(0, 256, (clips, frames, height, width, 3)).astype(np.uint8),
            "depth": (1 + generator.random((clips, frames, height, width))).astype(np.float16),
            "ids": np.full((clips, frames, height, width), -1, np.int8),
            "intrinsics": np.broadcast_to(intrinsics, (clips, frames, 3, 3)).copy(),
            "c2w": np.tile(np.eye(4, dtype=np.float32), (clips, frames, 1, 1)),
        },
        folder / "shard-000000.safetensors",
    )


def test_unknown_recipe_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="small-scene"):
        training.run("large", out=tmp_path, data=tmp_path)
    assert {"small-scene", "small-lifter"} <= RECIPES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("trains_cameras", [False, True])
def test_a_stage_trains_its_part_alone(tmp_path: Path, trains_cameras: bool) -> None:
    write_shard(tmp_path)
    torch.manual_seed(0)
    model = SmallScene(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stage = SceneStage(name="test", trains_cameras=trains_cameras, steps=2, learning_rate=1e-2, time_share=1.0)
    run_scene_stage(model, stage, tmp_path / "run", data=tmp_path, resume=False, minutes=None)
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    if trains_cameras:
        assert changed <= {"matcher", "match_features", "pose_head"}
        assert {"matcher", "match_features"} <= changed
    else:
        assert changed == {"embed", "decoder", "dense_head", "focal_head"}
