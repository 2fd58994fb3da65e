"""Networks in a size for tests, and inputs for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unish.network import PRESETS, UniSH
from unish.network.align_net import AlignNetConfig
from unish.network.config import UniSHConfig
from unish.network.decoder import DecoderConfig
from unish.network.encoders.dinov2 import DinoConfig
from unish.network.heads.branch_decoder import BranchDecoderConfig
from unish.network.human.crop_branch import CropBranchConfig
from unish.network.human.smpl_head import SmplHeadConfig
from unish.network.human.vit import CropVitConfig
from unish.network.precision import choose_formats
from unish.network.release_scene import ReleaseSceneConfig
from unish.structs import HumanInputs

NUM_CLIPS, NUM_FRAMES, HEIGHT, WIDTH = 2, 3, 48, 64


def tiny_release() -> UniSHConfig:
    """The published architecture in a size for tests."""
    return UniSHConfig(
        name="tiny-release",
        long_side=64,
        multiple=16,
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


CONFIGS = {"small": PRESETS["tiny"], "release": tiny_release}


def make_network(family: str) -> UniSH:
    """A tiny network with random weights, the same in every call."""
    torch.manual_seed(0)
    model = UniSH(CONFIGS[family]())
    # Zero-initialised corrections would hide mistakes in what feeds them.
    for parameter in [*model.human.parameters(), *model.align.parameters()]:
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return model.eval()


def cast_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Bring a network with the numbers of float32 in it into another format, tensor by tensor."""
    formats = choose_formats(model, dtype)
    for name, parameter in model.named_parameters():
        parameter.data = formats[name].convert(parameter.data)


def make_clips(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images of two clips and their uneven timestamps."""
    images = torch.rand(NUM_CLIPS, NUM_FRAMES, 3, HEIGHT, WIDTH, generator=rng)
    timestamps = torch.tensor([[0.0, 0.2, 0.4], [5.0, 5.1, 5.9]], dtype=torch.float64)
    return images, timestamps


def make_camera() -> Tensor:
    """Known intrinsics for ``make_clips``: a focal length solved from random points would hang on their last digits."""
    camera = torch.tensor([[60.0, 0.0, WIDTH / 2], [0.0, 60.0, HEIGHT / 2], [0.0, 0.0, 1.0]])
    return camera.expand(NUM_CLIPS, NUM_FRAMES, 3, 3)


def make_human_inputs(num_people: int, rng: torch.Generator) -> HumanInputs:
    """Evidence for both kinds of human branch; the last of several people is missed in the last frame."""
    shape = (NUM_CLIPS, num_people, NUM_FRAMES)
    valid = torch.ones(shape, dtype=torch.bool)
    valid[:, -1:, -1] = num_people < 2
    px = torch.rand(*shape, 33, 3, generator=rng) * torch.tensor([WIDTH, HEIGHT, 1.0])
    world = torch.randn(*shape, 33, 3, generator=rng) * 0.3
    missing = ~valid[..., None, None]
    return HumanInputs(
        valid=valid,
        landmarks_px=px.masked_fill(missing, torch.nan),
        landmarks_world=world.masked_fill(missing, torch.nan),
        patches=torch.rand(*shape, 3, 256, 256, generator=rng) if num_people else torch.zeros(*shape, 3, 256, 256),
        bbox_info=torch.rand(*shape, 3, generator=rng) * 20,
        landmarks_sigma_px=(1 + torch.rand(*shape, 33, generator=rng)).masked_fill(missing[..., 0], torch.nan),
    )
