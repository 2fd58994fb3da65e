"""Real architectures of ``transformers`` in miniature, with random weights, in folders as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

COCO_POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip


def need_transformers() -> None:
    pytest.importorskip("transformers", reason="transformers is not here: pip install 'unish[experts]'")


def save(model: torch.nn.Module, folder: Path, *, gain: float = 1.5) -> Path:
    """With weights large enough that all inputs matter, which those of a fresh network are not."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.dim() > 1:
                tensor.copy_(gain * tensor[0].numel() ** -0.5 * torch.randn(tensor.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


def save_depth_anything(folder: Path, *, kind: str = "relative") -> Path:
    """Depth Anything V2: a DINOv2 of four blocks and the head of the published models, narrow."""
    need_transformers()
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=518, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type=kind, max_depth=20 if kind == "metric" else 1,
    )  # fmt: skip
    model = DepthAnythingForDepthEstimation(config)
    # Below zero the rectifier would make everything equal.
    torch.nn.init.constant_(model.head.conv3.bias, 3.0 if kind == "relative" else 0.0)
    return save(model, folder, gain=1.5 if kind == "relative" else 1.0)


def save_rt_detr(folder: Path) -> Path:
    """RT-DETR: a ResNet of one block a stage, one layer of encoder and decoder, five classes, person the third."""
    need_transformers()
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    torch.manual_seed(0)
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = RTDetrConfig(
        backbone_config=backbone, use_timm_backbone=False, use_pretrained_backbone=False, encoder_hidden_dim=16,
        encoder_in_channels=[8, 16, 16], encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16,
        decoder_in_channels=[16, 16, 16], num_queries=12, decoder_layers=1, decoder_ffn_dim=16,
        decoder_attention_heads=2, num_denoising=0,
        id2label={0: "cat", 1: "dog", 2: "person", 3: "car", 4: "tree"},
    )  # fmt: skip
    return save(RTDetrForObjectDetection(config), folder)


def save_vitpose(folder: Path, *, experts: int = 1) -> Path:
    """ViTPose: a ViT of one block and the simple head, for the 17 points of COCO."""
    need_transformers()
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=2, num_experts=experts,
        part_features=8 if experts > 1 else 0, out_indices=[1],
    )  # fmt: skip
    names = dict(enumerate(COCO_POINTS))
    config = VitPoseConfig(backbone_config=backbone, id2label=names, label2id={name: k for k, name in names.items()})
    return save(VitPoseForPoseEstimation(config), folder)


def save_sam2(folder: Path) -> Path:
    """SAM 2: a Hiera of five blocks for pictures of 256 pixels, with a narrow prompt encoder and mask decoder."""
    need_transformers()
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2MaskDecoderConfig, Sam2Model, Sam2VisionConfig
    from transformers.models.sam2.configuration_sam2 import Sam2PromptEncoderConfig

    torch.manual_seed(0)
    hiera = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[256, 256], blocks_per_stage=[1, 2, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[8, 4, 4, 4], global_attention_blocks=[2],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=hiera, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32,
        backbone_feature_sizes=[[64, 64], [32, 32], [16, 16]],
    )  # fmt: skip
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=256),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=32,
        ),
    )  # fmt: skip
    return save(Sam2Model(config), folder)
