"""The published human branch: crops of people to SMPL rotations, shapes and tokens.

Legend: B clips, P people, N frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from unish.network.human.smpl_head import SmplHead, SmplHeadConfig
from unish.network.human.vit import CropVit, CropVitConfig
from unish.network.outputs import HumanOutput
from unish.network.precision import cast_like
from unish.structs import HumanInputs


@dataclass(frozen=True, kw_only=True)
class CropBranchConfig:
    """Backbone and regressor; the defaults are the published ones."""

    backbone: CropVitConfig = field(default_factory=CropVitConfig)
    head: SmplHeadConfig = field(default_factory=SmplHeadConfig)

    @property
    def token_dim(self) -> int:
        """Channels of ``HumanOutput.token``."""
        return self.head.dim


class CropBranch(nn.Module):
    """All people and frames in one batch; only the shape of a person is shared between frames."""

    def __init__(self, config: CropBranchConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = CropVit(config.backbone)
        self.head = SmplHead(config.head, context_dim=config.backbone.dim)

    def forward(
        self, humans: HumanInputs, timestamps: Float[Tensor, "B N"], intrinsics: Float[Tensor, "B N 3 3"]
    ) -> HumanOutput:
        """Regress every person in every frame.

        Args:
            humans: with ``patches`` and ``bbox_info``.
            timestamps: seconds; this branch has no sense of time and does not read them.
            intrinsics: pixels, used to express the boxes in units of the focal length.

        Raises:
            ValueError: ``patches`` or ``bbox_info`` is missing.
        """
        if humans.patches is None or humans.bbox_info is None:
            raise ValueError("the crop branch reads humans.patches and humans.bbox_info; both must be given")
        focal = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2].mean(-1)  # (B, N)
        bbox_info = humans.bbox_info / focal[:, None, :, None]
        crops = _middle_columns(humans.patches, self.config.backbone.crop_size[1]).flatten(0, 2)
        context = self.backbone(cast_like(crops, self.backbone))
        rotations, betas, token = self.head(cast_like(context, self.head), bbox_info.flatten(0, 2))
        shape = humans.valid.shape
        weight = humans.valid[..., None].to(betas.dtype)
        mean_betas = (betas.unflatten(0, shape) * weight).sum(2) / weight.sum(2).clamp_min(1)
        return HumanOutput(rotations=rotations.unflatten(0, shape), betas=mean_betas, token=token.unflatten(0, shape))


def _middle_columns(patches: Float[Tensor, "*batch rows side"], width: int) -> Float[Tensor, "*batch rows width"]:
    """A square crop without its left and right margins, which seldom show the person."""
    margin = (patches.shape[-1] - width) // 2
    return patches[..., margin : margin + width]
