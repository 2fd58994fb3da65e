"""Names of tensors in the published checkpoint and in others, and in this package. Shapes and values are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_RULES: tuple[tuple[str, str], ...] = (
    # published, ours; <...> stands for the same text on both sides. The first rule that fits a name is used.
    ("pi3.register_token", "scene.decoder.special_tokens"),
    ("pi3.decoder.<rest>", "scene.decoder.blocks.<rest>"),
    ("pi3.<name>_decoder.projects.<end>", "scene.<name>_decoder.input.<end>"),
    ("pi3.<name>_decoder.linear_out.<end>", "scene.<name>_decoder.output.<end>"),
    ("pi3.camera_head.res_conv.<unit>.res_conv1.<end>", "scene.camera_head.units.<unit>.layers.0.<end>"),
    ("pi3.camera_head.res_conv.<unit>.res_conv2.<end>", "scene.camera_head.units.<unit>.layers.2.<end>"),
    ("pi3.camera_head.res_conv.<unit>.res_conv3.<end>", "scene.camera_head.units.<unit>.layers.4.<end>"),
    ("pi3.camera_head.more_mlps.<rest>", "scene.camera_head.mlp.<rest>"),
    ("pi3.camera_head.fc_t.<end>", "scene.camera_head.translation.<end>"),
    ("pi3.camera_head.fc_rot.<end>", "scene.camera_head.rotation.<end>"),
    ("pi3.<rest>", "scene.<rest>"),
    ("backbone.last_norm.<end>", "human.backbone.norm.<end>"),
    ("backbone.<rest>", "human.backbone.<rest>"),
    ("human_head.init_body_pose", "human.head.mean_pose"),
    ("human_head.init_betas", "human.head.mean_betas"),
    ("human_head.init_cam", "human.head.mean_camera"),
    ("human_head.decpose.<end>", "human.head.pose.<end>"),
    ("human_head.decshape.<end>", "human.head.shape.<end>"),
    ("human_head.transformer.pos_embedding", "human.head.position"),
    ("human_head.transformer.to_token_embedding.<end>", "human.head.embed.<end>"),
    ("human_head.transformer.transformer.layers.<i>.0.norm.<end>", "human.head.layers.<i>.self_norm.<end>"),
    ("human_head.transformer.transformer.layers.<i>.0.fn.to_qkv.<end>", "human.head.layers.<i>.self_qkv.<end>"),
    ("human_head.transformer.transformer.layers.<i>.0.fn.to_out.0.<end>", "human.head.layers.<i>.self_out.<end>"),
    ("human_head.transformer.transformer.layers.<i>.1.norm.<end>", "human.head.layers.<i>.cross_norm.<end>"),
    ("human_head.transformer.transformer.layers.<i>.1.fn.to_q.<end>", "human.head.layers.<i>.cross_q.<end>"),
    ("human_head.transformer.transformer.layers.<i>.1.fn.to_kv.<end>", "human.head.layers.<i>.cross_kv.<end>"),
    ("human_head.transformer.transformer.layers.<i>.1.fn.to_out.0.<end>", "human.head.layers.<i>.cross_out.<end>"),
    ("human_head.transformer.transformer.layers.<i>.2.norm.<end>", "human.head.layers.<i>.mlp_norm.<end>"),
    ("human_head.transformer.transformer.layers.<i>.2.fn.net.0.<end>", "human.head.layers.<i>.mlp.fc1.<end>"),
    ("human_head.transformer.transformer.layers.<i>.2.fn.net.3.<end>", "human.head.layers.<i>.mlp.fc2.<end>"),
    ("alignnet.scale_token", "align.scale_token"),
    ("alignnet.cam_feature_adapter.<rest>", "align.human_adapter.<rest>"),
    ("alignnet.patch_feature_adapter.<rest>", "align.patch_adapter.<rest>"),
    ("alignnet.register_feature_adapter.<rest>", "align.special_adapter.<rest>"),
    ("alignnet.decoder_layers.<i>.self_<name>_proj.<end>", "align.layers.<i>.self_attn.<name>.<end>"),
    ("alignnet.decoder_layers.<i>.cross_<name>_proj.<end>", "align.layers.<i>.cross_attn.<name>.<end>"),
    ("alignnet.decoder_layers.<i>.feed_forward.0.<end>", "align.layers.<i>.mlp.0.<end>"),
    ("alignnet.decoder_layers.<i>.feed_forward.3.<end>", "align.layers.<i>.mlp.2.<end>"),
    ("alignnet.decoder_layers.<rest>", "align.layers.<rest>"),
    ("alignnet.trans_head.<end>", "align.translation.<end>"),
    ("alignnet.scale_head.<end>", "align.scale.<end>"),
)

UNUSED_COPIES: Mapping[str, str] = {
    "alignnet.init_body_pose": "human_head.init_body_pose",
    "alignnet.init_betas": "human_head.init_betas",
    "alignnet.init_cam": "human_head.init_cam",
}
"""Published keys that nothing reads: copies of another published key."""


VITPOSE_BACKBONE = "backbone."
"""What the names of the backbone begin with in checkpoints that hold it beside a head."""


def _compile(side: int) -> list[tuple[re.Pattern[str], str]]:
    rules = []
    for rule in _RULES:
        pattern = re.sub(r"<(\w+)>", r"(?P<\1>.+)", rule[side].replace(".", r"\."))
        rules.append((re.compile(pattern), re.sub(r"<(\w+)>", r"\\g<\1>", rule[1 - side])))
    return rules


_FROM_PUBLISHED, _TO_PUBLISHED = _compile(0), _compile(1)


def name_from_published(name: str) -> str | None:
    """Our name of a published tensor; ``None`` for unused copies and for names that are not published ones."""
    return None if name in UNUSED_COPIES else _translate(name, _FROM_PUBLISHED)


def name_to_published(name: str) -> str | None:
    """The published name of one of our tensors; ``None`` when it has none."""
    return _translate(name, _TO_PUBLISHED)


def name_to_pi3(name: str) -> str | None:
    """The name that the original π³ network (Wang et al. 2025) has for a tensor of our scene branch, else ``None``."""
    published = name_to_published(name)
    return published.removeprefix("pi3.") if published is not None and published.startswith("pi3.") else None


def name_to_vitpose(name: str) -> str | None:
    """The name that ViTPose, HMR 2.0 and CameraHMR have for a tensor of our human backbone, else ``None``."""
    published = name_to_published(name)
    return published if published is not None and published.startswith(VITPOSE_BACKBONE) else None


def looks_published(names: Iterable[str]) -> bool:
    """Whether a set of tensor names is from the published checkpoint rather than from this package."""
    return any(name.startswith(("pi3.", "human_head.", "alignnet.")) for name in names)


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the ``release`` preset under published names, unused copies included.

    Raises:
        ValueError: a tensor has no published name.
    """
    translated = {}
    for name, tensor in state.items():
        published = name_to_published(name)
        if published is None:
            raise ValueError(f"{name} has no name in the published checkpoint")
        translated[published] = tensor
    return translated | {copy: translated[source] for copy, source in UNUSED_COPIES.items()}


def _translate(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, replacement in rules:
        match = pattern.fullmatch(name)
        if match:
            return match.expand(replacement)
    return None
