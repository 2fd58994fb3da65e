"""The published scene branch: π³ (Wang et al. 2025) with the tokens of its decoder as a further output.

Legend: B clips, N frames, H×W pixels, h×w patches of s×s pixels, R special tokens of a frame, T = R + h·w.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unish.geometry.camera import make_intrinsics, resize_intrinsics
from unish.geometry.focal import focal_to_pixels, recover_focal_and_shift
from unish.geometry.rigid import invert_rigid
from unish.network.chunks import map_chunks
from unish.network.decoder import AlternatingDecoder, DecoderConfig
from unish.network.encoders.dinov2 import DinoConfig, DinoEncoder
from unish.network.heads.branch_decoder import BranchDecoder, BranchDecoderConfig
from unish.network.heads.camera import CameraHead
from unish.network.heads.points import PixelHead, points_from_log_depth
from unish.network.outputs import SceneOutput
from unish.network.precision import cast_like
from unish.structs import CONFIDENT

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ReleaseSceneConfig:
    """Encoder, decoder and branches; the defaults are the published ones.

    Attributes:
        camera_dim: width of the camera branch after its decoder.
        min_confidence: pixels below it do not take part in the focal solve.
        focal_ftol: where the focal solve stops, see ``recover_focal_and_shift``: 0 converges, ``PUBLISHED_FTOL`` is for
            comparisons with the published numbers.
    """

    encoder: DinoConfig = field(default_factory=DinoConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    branch: BranchDecoderConfig = field(default_factory=BranchDecoderConfig)
    camera_dim: int = 512
    min_confidence: float = CONFIDENT
    focal_ftol: float = 0.0

    def __post_init__(self) -> None:
        if self.encoder.dim != self.decoder.dim:
            raise ValueError(f"encoder.dim {self.encoder.dim} must equal decoder.dim {self.decoder.dim}")


class ReleaseScene(nn.Module):
    """Images to point maps, confidences and cameras of one clip, scale unknown."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: ReleaseSceneConfig) -> None:
        super().__init__()
        self.config = config
        patch, hidden = config.encoder.patch_size, 2 * config.decoder.dim
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("image_std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1))
        self.encoder = DinoEncoder(config.encoder)
        self.decoder = AlternatingDecoder(config.decoder)
        self.point_decoder = BranchDecoder(config.branch, input_dim=hidden, output_dim=config.branch.dim)
        self.point_head = PixelHead(config.branch.dim, 3, patch)
        self.conf_decoder = BranchDecoder(config.branch, input_dim=hidden, output_dim=config.branch.dim)
        self.conf_head = PixelHead(config.branch.dim, 1, patch)
        self.camera_decoder = BranchDecoder(config.branch, input_dim=hidden, output_dim=config.camera_dim)
        self.camera_head = CameraHead(config.camera_dim)
        self.conf_decoder.load_state_dict(self.point_decoder.state_dict())  # the published starting point

    @property
    def hidden_dim(self) -> int:
        """Channels of ``SceneOutput.hidden``."""
        return self.decoder.hidden_dim

    def forward(
        self,
        images: Float[Tensor, "B N 3 H W"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
    ) -> SceneOutput:
        """One pass over a clip.

        Args:
            images: RGB in [0, 1]; height and width are multiples of the patch size.
            intrinsics: pixels; solved from the point maps, for each frame by itself as published, when not given (no
                gradient passes through that).
            picture_size: (height, width) of the picture with square pixels that was resized to ``images``; their own
                where ``None``, as published.

        Raises:
            ValueError: the image size is not a multiple of the patch size.
        """
        num_clips, num_frames, _, height, width = images.shape
        patch = self.config.encoder.patch_size
        if height % patch or width % patch:
            raise ValueError(
                f"images of {height}x{width} do not divide into patches of {patch} pixels; resize them first"
            )
        grid = height // patch, width // patch

        normalised = (images.flatten(0, 1) - self.image_mean) / self.image_std
        patches = self.encoder(cast_like(normalised, self.encoder))
        hidden = self.decoder(patches.unflatten(0, (num_clips, num_frames)), grid)
        frames = hidden.flatten(0, 1)
        local_points = map_chunks(
            lambda tokens: points_from_log_depth(self._read_pixels(self.point_head, tokens, grid)),
            self.point_decoder(frames, grid),
            tokens_per_item=hidden.shape[2],
        )
        logits = map_chunks(
            lambda tokens: self._read_pixels(self.conf_head, tokens, grid)[..., 0],
            self.conf_decoder(frames, grid),
            tokens_per_item=hidden.shape[2],
        )
        of_camera = self.camera_decoder(frames, grid)[:, self.config.decoder.num_special_tokens :]
        poses = self.camera_head(cast_like(of_camera, self.camera_head))
        local_points, logits, poses = (x.unflatten(0, (num_clips, num_frames)) for x in (local_points, logits, poses))
        if intrinsics is None:
            intrinsics = self.solve_intrinsics(local_points, logits, picture_size)
        return SceneOutput(
            local_points=local_points,
            point_conf_logits=logits,
            c2w=invert_rigid(poses[:, :1]) @ poses,
            intrinsics=intrinsics,
            hidden=hidden,
        )

    def _read_pixels(self, head: PixelHead, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, T, C) of a branch decoder to (B, H, W, K)."""
        return head(cast_like(tokens[:, self.config.decoder.num_special_tokens :], head), grid)

    def solve_intrinsics(
        self,
        local_points: Float[Tensor, "B N H W 3"],
        logits: Float[Tensor, "B N H W"],
        picture_size: tuple[int, int] | None = None,
    ) -> Float[Tensor, "B N 3 3"]:
        """The camera that explains each point map, with the principal point in the image centre."""
        size = (int(logits.shape[-2]), int(logits.shape[-1]))
        picture_size = picture_size or size
        mask = logits.sigmoid() > self.config.min_confidence
        focal, _ = recover_focal_and_shift(local_points, mask, ftol=self.config.focal_ftol, picture_size=picture_size)
        intrinsics = make_intrinsics(focal_to_pixels(focal, *picture_size), *picture_size)
        return resize_intrinsics(intrinsics, picture_size, size)
