"""The published SMPL regressor of the crop branch: one query token reads the patches of a crop (HMR 2.0, Goel 2023).

Legend: B crops, S context tokens, C channels of the query, E channels of the context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.body.joints import NUM_BETAS, NUM_JOINTS
from unish.geometry.rotation import rot6d_to_matrix
from unish.network.layers import Mlp, attend


@dataclass(frozen=True, kw_only=True)
class SmplHeadConfig:
    """Sizes of a ``SmplHead``; the defaults are the published ones."""

    dim: int = 1024
    depth: int = 6
    num_heads: int = 8
    head_dim: int = 64
    mlp_dim: int = 1024
    norm_eps: float = 1e-5


class SmplHeadLayer(nn.Module):
    """Self-attention of the query, cross-attention to the context, feed-forward: three pre-norm residual steps.

    There is a single query token, so self-attention is a softmax over one number; its query and key weights exist in
    the published checkpoint and are kept for that reason only.
    """

    def __init__(self, config: SmplHeadConfig, context_dim: int) -> None:
        super().__init__()
        inner = config.num_heads * config.head_dim
        self.num_heads = config.num_heads
        self.self_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.self_qkv = nn.Linear(config.dim, 3 * inner, bias=False)
        self.self_out = nn.Linear(inner, config.dim)
        self.cross_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.cross_q = nn.Linear(config.dim, inner, bias=False)
        self.cross_kv = nn.Linear(context_dim, 2 * inner, bias=False)
        self.cross_out = nn.Linear(inner, config.dim)
        self.mlp_norm = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.mlp = Mlp(config.dim, config.mlp_dim)

    def attend_self(self, token: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        query, key, value = self.self_qkv(self.self_norm(token)).chunk(3, dim=-1)
        return self.self_out(attend(query, key, value, num_heads=self.num_heads))

    def attend_context(self, token: Float[Tensor, "B T C"], context: Float[Tensor, "B S E"]) -> Float[Tensor, "B T C"]:
        key, value = self.cross_kv(context).chunk(2, dim=-1)
        return self.cross_out(attend(self.cross_q(self.cross_norm(token)), key, value, num_heads=self.num_heads))

    def forward(self, token: Float[Tensor, "B T C"], context: Float[Tensor, "B S E"]) -> Float[Tensor, "B T C"]:
        token = token + self.attend_self(token)
        token = token + self.attend_context(token, context)
        return token + self.mlp(self.mlp_norm(token))


class SmplHead(nn.Module):
    """Crop tokens and box to SMPL rotations and shape.

    The query starts from the mean parameters, and the result is a correction of them. The mean pose is stored in the
    interleaved 6-number convention but decoded with the contiguous one, as in the code lineage that the published
    weights were trained with: not a slip to be mended here.
    """

    mean_pose: Tensor
    mean_betas: Tensor
    mean_camera: Tensor

    def __init__(self, config: SmplHeadConfig, *, context_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean_pose", torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(1, NUM_JOINTS))
        self.register_buffer("mean_betas", torch.zeros(1, NUM_BETAS))
        self.register_buffer("mean_camera", torch.tensor([[0.9, 0.0, 0.0]]))
        self.embed = nn.Linear(3 + 6 * NUM_JOINTS + NUM_BETAS + 3, config.dim)
        self.position = nn.Parameter(torch.randn(1, 1, config.dim))
        self.layers = nn.ModuleList(SmplHeadLayer(config, context_dim) for _ in range(config.depth))
        self.pose = nn.Linear(config.dim, 6 * NUM_JOINTS)
        self.shape = nn.Linear(config.dim, NUM_BETAS)

    def start_token(self, bbox_info: Float[Tensor, "B 3"]) -> Float[Tensor, "B 1 C"]:
        """The query: box (divided by the focal length), mean pose, mean shape, mean camera."""
        means = torch.cat([self.mean_pose, self.mean_betas, self.mean_camera], dim=-1).expand(len(bbox_info), -1)
        return self.embed(torch.cat([bbox_info, means], dim=-1))[:, None] + self.position

    def forward(
        self, context: Float[Tensor, "B S E"], bbox_info: Float[Tensor, "B 3"]
    ) -> tuple[Float[Tensor, "B 24 3 3"], Float[Tensor, "B 10"], Float[Tensor, "B C"]]:
        """Regress one crop each.

        Args:
            context: patch tokens of the crop.
            bbox_info: (box centre − image centre, box side) in pixels, divided by the focal length in pixels.

        Returns:
            Joint rotations (root in the camera frame), shape of this crop alone, and the query token after the last
            layer.
        """
        token = self.start_token(bbox_info)
        for layer in self.layers:
            token = layer(token, context)
        token = token[:, 0]
        rot6d = (self.pose(token) + self.mean_pose).unflatten(-1, (NUM_JOINTS, 6))
        return rot6d_to_matrix(rot6d), self.shape(token) + self.mean_betas, token
