"""The small scene branch: frozen features of photographs, a short cross-frame decoder, cameras from soft matches.

    images ─┬─> EfficientNet-Lite0 ─┬─> tokens ─> AlternatingDecoder ─┬─> field of view
            │   (strides 4, 8, 16)  │                                 └─> dense head ─> log-depth, confidence
            │                       └─> match features ─> Matcher ──────────│──────> cameras (``camera_solve``)
            └─> FastDepth, one frame at a time ─> depth prior ──────────────┘

Legend: B clips, N frames, F = B·N, H×W the caller's images, h×w the working size (multiples of 16), h4 = h/4 and so on,
R special tokens, T = h16·w16 patch tokens, Q query cells of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unish.geometry.camera import make_intrinsics, pixel_grid, resize_intrinsics, unproject
from unish.geometry.rigid import invert_rigid, make_rigid
from unish.network.camera_solve import PosePrior, chain_pairs, fuse_pairs, solve_pairs
from unish.network.correspondence import QUERY_STRIDE, CorrespondenceConfig, Matcher, list_pairs
from unish.network.decoder import AlternatingDecoder, DecoderConfig
from unish.network.dense_layers import (
    DENSE_STRIDE,
    DenseHead,
    DenseMaps,
    MatchFeatures,
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
_PRIOR_PRECISION = 1e-4  # at first; all matches together have at most 1
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
        correspondence: how frames are matched.
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
    correspondence: CorrespondenceConfig = field(default_factory=CorrespondenceConfig)
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
    """Clip in, points, confidence, cameras and tokens out, in one pass. See the module's diagram."""

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
        self.match_features = MatchFeatures(self.encoder.channels, config.correspondence.channels)
        self.matcher = Matcher(config.correspondence, context_channels=config.correspondence.channels)
        self.pose_head = _make_mlp(2 * hidden, 128, 12)

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
        with_cameras: bool = True,
        keep_training_outputs: bool = False,
        prior_log_depth: Float[Tensor, "B N h4 w4"] | None = None,
        picture_size: tuple[int, int] | None = None,
    ) -> SceneOutput:
        """Reconstruct a clip up to scale (trained towards metres, but only the person makes it metric).

        Args:
            images: RGB in [0, 1].
            intrinsics: pixels of H×W; predicted (one focal length per clip, centred) where ``None``.
            long_side: working size, where it is not the configured one.
            with_cameras: ``False`` leaves out matching and solving; every camera is then the identity.
            keep_training_outputs: fill ``auxiliary`` with what the losses read.
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
        c2w = torch.eye(4, device=images.device).expand(num_clips, num_frames, 4, 4)
        auxiliary: dict[str, Tensor] = {}
        if with_cameras and num_frames > 1:
            c2w, auxiliary = self._solve_cameras(hidden, inputs.features, dense, known, keep_training_outputs)

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
            c2w=c2w,
            intrinsics=intrinsics,
            hidden=hidden,
            auxiliary={"log_focal": inputs.log_focal, **auxiliary},
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

    def _solve_cameras(
        self,
        hidden: Float[Tensor, "B N T C"],
        features: list[Tensor],
        dense: DenseMaps,
        intrinsics: Float[Tensor, "B N 3 3"],
        keep_training_outputs: bool,
    ) -> tuple[Float[Tensor, "B N 4 4"], dict[str, Tensor]]:
        """Match pairs of frames, solve each pair on the depth of its first frame, fuse the pairs into one chain."""
        frames = hidden.shape[:2]
        pairs = list_pairs(frames[1], self.config.correspondence.gaps)
        first, second = (torch.tensor(side, device=hidden.device) for side in zip(*pairs, strict=True))
        compared, context = self.match_features(features)
        matches = self.matcher(
            compared.unflatten(0, frames),
            context.unflatten(0, frames),
            pairs,
            keep_comparison=keep_training_outputs,
        )
        prior = self._predict_prior(hidden, first, second)
        with torch.autocast(hidden.device.type, enabled=False):
            # Depth learns from its own losses only; poses are solved in units of the clip's mean query depth.
            points = _points_of_queries(dense.log_depth.detach(), intrinsics.detach().flatten(0, 1)).unflatten(
                0, frames
            )
            unit = points[..., 2].mean(dim=(1, 2))
            # The working image is squeezed to whole patches, so that its pixels are not square.
            focal = intrinsics.detach().diagonal(dim1=-2, dim2=-1)[:, second, None, :2]
            centre = intrinsics.detach()[:, second, None, :2, 2]
            first_to_second, curvature = solve_pairs(
                (points / unit[:, None, None, None])[:, first],
                (matches.targets_px[-1].flatten(2, 3) - centre) / focal,
                matches.weight_logits.sigmoid().flatten(2),
                prior,
                focal=focal.prod(-1).sqrt()[..., 0],
            )
            w2c = fuse_pairs(first_to_second, curvature, pairs, start=chain_pairs(first_to_second[:, : frames[1] - 1]))
            c2w = _scale_translation(invert_rigid(w2c), unit[:, None])
        if not keep_training_outputs:
            return c2w, {}
        return c2w, {
            "pairs": torch.stack([first, second]),
            "targets_px": matches.targets_px,
            "weight_logits": matches.weight_logits,
            "log_probability": matches.log_probability,
            "first_to_second": _scale_translation(first_to_second, unit[:, None]),
        }

    def _predict_prior(self, hidden: Tensor, first: Tensor, second: Tensor) -> PosePrior:
        """The pose head: relative pose of two frames, regressed from their tokens. Starts as a weak "no motion"."""
        special = hidden[:, :, : self.config.decoder.num_special_tokens].mean(dim=2)
        forward, backward = (
            self.pose_head(torch.cat([special[:, i], special[:, j]], dim=-1)).float()
            for i, j in ((first, second), (second, first))
        )
        # The difference vanishes for equal frames: the prior of a still camera is "no motion".
        twist = 0.05 * (forward - backward)[..., :6]
        log_precision = 0.5 * (forward + backward)[..., 6:]
        return PosePrior(twist=twist, precision=_PRIOR_PRECISION * log_precision.clamp(-6.0, 6.0).exp())


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


def _points_of_queries(log_depth: Float[Tensor, "F h w"], intrinsics: Float[Tensor, "F 3 3"]) -> Float[Tensor, "F Q 3"]:
    """Camera points at the centres of the query cells; each lies between four pixels, whose log-depth is averaged."""
    below, above = QUERY_STRIDE // 2 - 1, QUERY_STRIDE // 2
    corners = [log_depth[:, i::QUERY_STRIDE, j::QUERY_STRIDE] for i in (below, above) for j in (below, above)]
    depth = depth_from_log(torch.stack(corners).mean(0))
    # The query grid is an image of its own whose pixels are the cells.
    cells = resize_intrinsics(intrinsics, (QUERY_STRIDE, QUERY_STRIDE), (1, 1))
    return unproject(depth, cells).flatten(1, 2)


def _scale_translation(
    pose: Float[Tensor, "*batch 4 4"], factor: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch 4 4"]:
    return make_rigid(pose[..., :3, :3], pose[..., :3, 3] * factor[..., None])


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
