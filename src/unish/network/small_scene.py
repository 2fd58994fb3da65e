"""The small scene branch: frozen features of photographs and a short cross-frame decoder give depth to every frame.

    images ─┬─> EfficientNet-Lite0 ──> tokens ─> AlternatingDecoder ─┬─> field of view
            │   (strides 4, 8, 16)                                   └─> dense head ─> log-depth, confidence
            └─> FastDepth, one frame at a time ─> depth prior ───────────────┘

The branch solves no cameras: ``view_solver`` finds them afterwards, from what the frames show alike.

Legend: B clips, N frames, F = B·N, H×W the caller's images, h×w the working size (multiples of 16), h4 = h/4 and so on,
R special tokens, T = h16·w16 patch tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unish.geometry.camera import make_intrinsics, pixel_grid, resize_intrinsics, unproject
from unish.network.decoder import AlternatingDecoder, DecoderConfig
from unish.network.dense_layers import (
    DENSE_STRIDE,
    DenseHead,
    DenseMaps,
    TokenEmbedding,
    resize_guided,
    vary_style,
)
from unish.network.encoders.efficientnet import EfficientNetLite0
from unish.network.encoders.fastdepth import FOCAL_PX, FastDepth, input_size
from unish.network.geometry_tokens import NUM_GEOMETRY, append_geometry
from unish.network.outputs import SceneOutput

PATCH_SIZE = 16
_FRAMES_AT_ONCE = 16
_START_FOCAL = 0.75  # of the image diagonal: 60° along the long side of a 4:3 image
_LOG_DEPTH_RANGE = (-3.0, 6.0)  # 5 cm to 400 m


@dataclass(frozen=True, kw_only=True)
class SmallSceneConfig:
    """Sizes of ``SmallScene``.

    Attributes:
        long_side: working size; images are resized so that their longer side has about this many pixels.
        decoder: the cross-frame decoder.
        widths: channels of the dense head at strides 16, 8 and 4.
        row_knots: control values of the row-wise depth prior (log-depth as a function of the image row alone).
        photo_side: the monocular depth prior (FastDepth) gets frames of about this many pixels squared; 0 leaves it
            out. The name is that in the files of weights.
        geometry_in_tokens: append to the tokens of ``SceneOutput`` what they do not encode, the depth of their patch. A
            plain AlignNet needs it, as in the published network, whose tokens determine the points.
    """

    long_side: int = 224
    decoder: DecoderConfig = field(
        default_factory=lambda: DecoderConfig(
            dim=192, depth=6, num_heads=3, num_special_tokens=4, qk_norm=True, layer_scale=None
        )
    )
    widths: tuple[int, int, int] = (96, 64, 48)
    row_knots: int = 32
    photo_side: int = 224
    geometry_in_tokens: bool = False


@dataclass(frozen=True, kw_only=True)
class DenseInputs:
    """All that the dense head reads of a clip, and the camera that its depth belongs to.

    Attributes:
        images: at the working size.
        features: encoder maps of the F frames at strides 4, 8, 16.
        prior_log_depth: the monocular depth prior for this camera, where there is one.
        intrinsics: pixels of the working size.
        log_focal: log(focal / diagonal) as predicted.
    """

    images: Float[Tensor, "B N 3 h w"]
    hidden: Float[Tensor, "B N T C"]
    features: list[Tensor]
    prior_log_depth: Float[Tensor, "F h4 w4"] | None
    intrinsics: Float[Tensor, "B N 3 3"]
    log_focal: Float[Tensor, "B"]


class SmallScene(nn.Module):
    """Clip in, points, confidence, intrinsics and tokens out, in one pass. See the module's diagram."""

    def __init__(self, config: SmallSceneConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EfficientNetLite0().requires_grad_(False)
        self.embed = TokenEmbedding(self.encoder.channels, config.decoder.dim)
        self.decoder = AlternatingDecoder(config.decoder)
        hidden = self.decoder.hidden_dim
        self.focal_head = _make_mlp(hidden, 128, 1)
        # Named as in the files of weights.
        self.photo_prior = FastDepth().requires_grad_(False) if config.photo_side else None
        self.dense_head = DenseHead(
            hidden,
            self.encoder.channels,
            config.widths,
            config.row_knots,
            with_depth_prior=self.photo_prior is not None,
        )

    @property
    def hidden_dim(self) -> int:
        """Channels of ``SceneOutput.hidden``."""
        return self.decoder.hidden_dim + NUM_GEOMETRY * self.config.geometry_in_tokens

    def forward(
        self,
        images: Float[Tensor, "B N 3 H W"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        long_side: int | None = None,
        prior_log_depth: Float[Tensor, "B N h4 w4"] | None = None,
        picture_size: tuple[int, int] | None = None,
    ) -> SceneOutput:
        """Depth of a clip up to scale (trained towards metres, but only the person makes it metric).

        Every camera is the identity: cameras are solved after the branch (``view_scene.refine_scene``).

        Args:
            images: RGB in [0, 1].
            intrinsics: pixels of H×W; predicted (one focal length per clip, centred) where ``None``.
            long_side: working size, where it is not the configured one.
            prior_log_depth: what ``predict_depth_prior`` returns, where the caller has it already.
            picture_size: (height, width) of the picture with square pixels that was resized to ``images``, of which a
                predicted focal length is; their own where ``None``.
        """
        num_clips, num_frames, _, *(height, width) = images.shape
        size = (height, width)
        working = working_size(height, width, long_side or self.config.long_side)
        inputs = self.encode_clip(images, intrinsics, working, prior_log_depth, picture_size)
        hidden, known = inputs.hidden, inputs.intrinsics
        dense = self.predict_dense(inputs)
        if self.config.geometry_in_tokens:
            grid = (working[0] // PATCH_SIZE, working[1] // PATCH_SIZE)
            rays = _token_rays(known.flatten(0, 1), grid)
            hidden = append_geometry(hidden, grid, dense.log_depth, dense.conf_logits, rays)
        log_depth = dense.log_depth
        if working != size:
            log_depth = resize_guided(log_depth, inputs.images.flatten(0, 1), images.flatten(0, 1))
        depth = depth_from_log(log_depth).unflatten(0, (num_clips, num_frames))
        if intrinsics is None:
            intrinsics = resize_intrinsics(known, working, size)
        return SceneOutput(
            local_points=unproject(depth, intrinsics.float()),
            point_conf_logits=_resize_maps(dense.conf_logits, size).unflatten(0, (num_clips, num_frames)),
            c2w=torch.eye(4, device=images.device).expand(num_clips, num_frames, 4, 4),
            intrinsics=intrinsics,
            hidden=hidden,
            auxiliary={"log_focal": inputs.log_focal},
        )

    def encode_clip(
        self,
        images: Float[Tensor, "B N 3 H W"],
        intrinsics: Float[Tensor, "B N 3 3"] | None,
        working: tuple[int, int],
        prior_log_depth: Float[Tensor, "B N h4 w4"] | None = None,
        picture_size: tuple[int, int] | None = None,
    ) -> DenseInputs:
        """Everything before the dense head; arguments as in ``forward``.

        Args:
            working: ``working_size`` of the images.
        """
        num_clips, num_frames, _, *(height, width) = images.shape
        small_images = _resize_images(images, working)
        features = self._encode(small_images)
        if self.training:
            features = vary_style(features, num_clips)
        known = None if intrinsics is None else resize_intrinsics(intrinsics.float(), (height, width), working)
        grid = (working[0] // PATCH_SIZE, working[1] // PATCH_SIZE)
        rays = None if known is None else _token_rays(known.flatten(0, 1), grid)
        tokens = self.embed(features, _token_centres(grid, like=images), rays)
        hidden = self.decoder(tokens.unflatten(0, (num_clips, num_frames)), grid)
        log_focal = self._predict_focal(hidden)
        if known is None:
            known = _expand_focal(log_focal, num_frames, picture_size or (height, width), working)
        if prior_log_depth is None and self.photo_prior is not None:
            prior_log_depth = self.predict_depth_prior(images, working)
        if prior_log_depth is not None:
            prior_log_depth = (prior_log_depth + self.log_focal_ratio(known.detach(), working)).flatten(0, 1)
        return DenseInputs(
            images=small_images, hidden=hidden, features=features, prior_log_depth=prior_log_depth, intrinsics=known,
            log_focal=log_focal,
        )  # fmt: skip

    def predict_dense(self, inputs: DenseInputs) -> DenseMaps:
        """Output of the dense head at the working size."""
        patches = inputs.hidden[:, :, self.config.decoder.num_special_tokens :].flatten(0, 1)
        return self.dense_head(patches, inputs.features, inputs.prior_log_depth)

    def _encode(self, images: Float[Tensor, "B N 3 h w"]) -> list[Tensor]:
        """Encoder features of all frames (flattened) at strides 4, 8, 16, a few frames at a time to bound memory."""
        with torch.no_grad():
            chunks = [self.encoder(chunk) for chunk in images.flatten(0, 1).split(_FRAMES_AT_ONCE)]
        return [torch.cat(level) for level in zip(*chunks, strict=True)]

    def predict_depth_prior(
        self, images: Float[Tensor, "B N 3 H W"], working: tuple[int, int]
    ) -> Float[Tensor, "B N h4 w4"]:
        """Log-depth of each frame alone, at stride 4 of the working size, as if FastDepth's own camera had taken it."""
        assert self.photo_prior is not None
        size = input_size(images.shape[-2], images.shape[-1], self.config.photo_side)
        grid = (working[0] // DENSE_STRIDE, working[1] // DENSE_STRIDE)
        with torch.no_grad():
            chunks = [
                _resize_maps(self.photo_prior(_resize_images(chunk[None], size)[0]).log(), grid)
                for chunk in images.flatten(0, 1).split(_FRAMES_AT_ONCE)
            ]
        return torch.cat(chunks).unflatten(0, images.shape[:2])

    def log_focal_ratio(
        self, intrinsics: Float[Tensor, "B N 3 3"], working: tuple[int, int]
    ) -> Float[Tensor, "B N 1 1"]:
        """log of how much farther away this camera is than FastDepth's, from what looks alike in the two."""
        rows, _ = input_size(*working, self.config.photo_side)
        return torch.log(intrinsics[..., 1, 1] * (rows / (working[0] * FOCAL_PX)))[..., None, None]

    def _predict_focal(self, hidden: Float[Tensor, "B N T C"]) -> Float[Tensor, "B"]:
        """log(focal / diagonal), one per clip, from the special tokens of all frames."""
        special = hidden[:, :, : self.config.decoder.num_special_tokens].mean(dim=(1, 2))
        start = torch.log(torch.tensor(_START_FOCAL))
        return self.focal_head(special)[:, 0].float().clamp(-1.5, 1.5) + start


def depth_from_log(log_depth: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Depth from the dense head's log-depth, between 5 cm and 400 m."""
    return log_depth.clamp(*_LOG_DEPTH_RANGE).exp()


def working_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """The nearest size with about the same aspect whose sides are multiples of 16 and at least 32."""
    factor = long_side / max(height, width)
    rows, columns = (max(2, round(side * factor / PATCH_SIZE)) for side in (height, width))
    return rows * PATCH_SIZE, columns * PATCH_SIZE


def _token_centres(grid: tuple[int, int], *, like: Tensor) -> Float[Tensor, "T 2"]:
    """Token centres, 0 in the image centre, ±1 at the ends of the longer side."""
    half = like.new_tensor([grid[1], grid[0]]) / 2
    return ((pixel_grid(*grid, like=like) - half) / half.max()).flatten(0, 1)


def _token_rays(intrinsics: Float[Tensor, "F 3 3"], grid: tuple[int, int]) -> Float[Tensor, "F T 2"]:
    """(x/z, y/z) of the token centres."""
    pixels = pixel_grid(*grid, like=intrinsics).flatten(0, 1) * PATCH_SIZE
    focal = torch.stack([intrinsics[:, 0, 0], intrinsics[:, 1, 1]], dim=-1)
    return (pixels - intrinsics[:, None, :2, 2]) / focal[:, None]


def _expand_focal(
    log_focal: Float[Tensor, "B"], num_frames: int, picture_size: tuple[int, int], working: tuple[int, int]
) -> Float[Tensor, "B N 3 3"]:
    """Intrinsics of all frames at the working size, from one log(focal / diagonal) per clip of the picture."""
    focal = log_focal.exp() * (picture_size[0] ** 2 + picture_size[1] ** 2) ** 0.5
    intrinsics = resize_intrinsics(make_intrinsics(focal, *picture_size), picture_size, working)
    return intrinsics[:, None].expand(-1, num_frames, -1, -1)


def _resize_images(images: Float[Tensor, "B N 3 H W"], size: tuple[int, int]) -> Float[Tensor, "B N 3 h w"]:
    if tuple(images.shape[-2:]) == size:
        return images
    resized = functional.interpolate(images.flatten(0, 1), size, mode="bilinear", align_corners=False, antialias=True)
    return resized.unflatten(0, images.shape[:2])


def _resize_maps(maps: Float[Tensor, "F h w"], size: tuple[int, int]) -> Float[Tensor, "F H W"]:
    return functional.interpolate(maps[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]


def _make_mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """LayerNorm, linear, GELU, linear; the last one starts at zero."""
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, hidden), nn.GELU(), last)
