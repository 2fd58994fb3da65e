"""Networks in a size for tests that are no presets."""

from __future__ import annotations

from unish.network.align_net import AlignNetConfig
from unish.network.config import UniSHConfig
from unish.network.decoder import DecoderConfig
from unish.network.encoders.dinov2 import DinoConfig
from unish.network.heads.branch_decoder import BranchDecoderConfig
from unish.network.human.crop_branch import CropBranchConfig
from unish.network.human.smpl_head import SmplHeadConfig
from unish.network.human.vit import CropVitConfig
from unish.network.release_scene import ReleaseSceneConfig


def tiny_release() -> UniSHConfig:
    """The published architecture in a size for tests."""
    return UniSHConfig(
        name="tiny-release",
        scene=ReleaseSceneConfig(
            encoder=DinoConfig(dim=32, depth=1, num_heads=2, patch_size=16, table_side=5),
            decoder=DecoderConfig(dim=32, depth=2, num_heads=2, num_special_tokens=2),
            branch=BranchDecoderConfig(dim=32, depth=1, num_heads=2),
            camera_dim=16,
        ),
        human=CropBranchConfig(
            backbone=CropVitConfig(dim=32, depth=1, num_heads=2),
            head=SmplHeadConfig(dim=32, depth=1, num_heads=2, head_dim=8, mlp_dim=32),
        ),
        align=AlignNetConfig(dim=32, num_heads=2, mlp_dim=32, depth=1),
    )
