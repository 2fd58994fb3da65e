"""The convolutional parts of the small scene branch: tokens in, dense maps out.

Encoder features have very different sizes per channel, so every use of them starts with a normalisation over channels.

Legend: F frames (B·N flattened), h×w the working size, h4 = h/4, D channels of a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_CONVEX_NEIGHBOURS = 9
DENSE_STRIDE = 4
_COLOUR_SIGMA = 0.1  # RGB distance in [0, 1] at which two pixels begin to be different things
_LEAST_WEIGHT = 1e-3
_STYLE_SEVERITY = 0.15
_DROPPED_CHANNELS = 0.5  # share of the channels at severity 1


@dataclass(frozen=True, kw_only=True)
class DenseMaps:
    """Output of the dense head for every frame: log-depth per working pixel, confidence per stride-4 cell."""

    log_depth: Float[Tensor, "F h w"]
    conf_logits: Float[Tensor, "F h4 w4"]


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a feature map, each pixel alone."""

    def forward(self, x: Float[Tensor, "F C h w"]) -> Float[Tensor, "F C h w"]:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TokenEmbedding(nn.Module):
    """Encoder features pooled to stride 16, and where in the image (on which viewing ray, if known) each token is."""

    def __init__(self, channels: tuple[int, int, int], dim: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ChannelNorm(width) for width in channels)
        self.project = nn.Linear(sum(channels), dim)
        self.place = nn.Linear(5, dim)

    def forward(
        self, features: list[Tensor], centres: Float[Tensor, "T 2"], rays: Float[Tensor, "F T 2"] | None
    ) -> Float[Tensor, "F T D"]:
        """Tokens row by row.

        Args:
            features: encoder maps at strides 4, 8, 16.
            centres: of the tokens, −1…1 along the longer side.
            rays: (x/z, y/z) of the centres where the intrinsics are known.
        """
        pooled = [
            functional.avg_pool2d(norm(level), 4 >> index)
            for index, (norm, level) in enumerate(zip(self.norms, features, strict=True))
        ]
        tokens = self.project(torch.cat(pooled, dim=1).flatten(2).transpose(1, 2))
        num_frames = tokens.shape[0]
        known = centres.new_full((num_frames, centres.shape[0], 1), 0.0 if rays is None else 1.0)
        rays = torch.zeros_like(known).expand(-1, -1, 2) if rays is None else rays
        return tokens + self.place(torch.cat([centres.expand(num_frames, -1, -1), known, rays], dim=-1))


def vary_style(features: list[Tensor], num_clips: int) -> list[Tensor]:
    """Training only: perturb features of renders as far as those of photographs may differ from them.

    Each clip gets the channel statistics of a mixture with another clip (MixStyle, Zhou et al. 2021), for renders and
    photographs differ in the mean and spread of feature channels more than in their layout. On top of that, with a
    severity of its own, statistics are jittered, noise is added and channels are dropped, so that the network learns to
    use many cues instead of one, and to stay near its prior where the cues disagree. Statistics and dropped channels
    are the same in all frames of a clip.
    """
    order = torch.randperm(num_clips)
    device = features[0].device
    share = torch.distributions.Beta(0.3, 0.3).sample((num_clips,)).to(device)
    severity = _STYLE_SEVERITY * torch.randn(num_clips, device=device).abs()
    varied = []
    for level in features:
        clips = level.unflatten(0, (num_clips, -1))
        per_clip = (num_clips, 1, 1, 1, 1)
        mix, strength = share.to(level.dtype).reshape(per_clip), severity.to(level.dtype).reshape(per_clip)
        mean = clips.mean(dim=(1, 3, 4), keepdim=True)
        spread = clips.std(dim=(1, 3, 4), keepdim=True) + 1e-4
        new_mean = torch.lerp(mean[order], mean, mix) + strength * torch.randn_like(mean) * spread
        new_spread = torch.lerp(spread[order], spread, mix) * (strength * torch.randn_like(spread)).exp()
        kept = torch.rand_like(mean) > _DROPPED_CHANNELS * strength
        content = (clips - mean) / spread * kept + strength * torch.randn_like(clips)
        varied.append((content * new_spread + new_mean).flatten(0, 1))
    return varied


class DenseHead(nn.Module):
    """Tokens and skip features → log-depth (a residual on two priors) and confidence.

    The mean depth of each image row (``row_prior``) is a strong guess for upright cameras, and a monocular depth
    network that learnt from photographs of rooms (``depth_prior``) is another; the head weights the second per cell
    (``trust``), and predicts the residual from both. The last ×4 is a convex combination of the 3×3 neighbouring cells
    with learnt weights (Teed & Deng 2020), which keeps depth edges sharp. Names of layers are those in the files of
    weights.
    """

    def __init__(
        self,
        token_dim: int,
        channels: tuple[int, int, int],
        widths: tuple[int, int, int],
        row_knots: int,
        *,
        with_depth_prior: bool,
    ) -> None:
        super().__init__()
        coarse, middle, fine = widths
        self.token_norm = nn.LayerNorm(token_dim)
        self.from_tokens = nn.Linear(token_dim, coarse)
        self.skip_norms = nn.ModuleList(ChannelNorm(count) for count in channels)
        self.skips = nn.ModuleList(
            nn.Conv2d(count, width, 1) for count, width in zip(channels, widths[::-1], strict=True)
        )
        self.narrow = nn.ModuleList([nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)])
        self.refine = nn.ModuleList(Residual(width) for width in widths)
        self.row_prior = nn.Parameter(torch.full((row_knots,), 1.0))
        self.photo_levels = nn.ModuleList(nn.Conv2d(2, width, 3, padding=1) for width in widths if with_depth_prior)
        self.trust = nn.Conv2d(fine, 1, 1) if with_depth_prior else None
        self.depth = nn.Conv2d(fine, 1, 3, padding=1)
        self.confidence = nn.Conv2d(fine, 1, 1)
        self.upsampling = nn.Conv2d(fine, _CONVEX_NEIGHBOURS * DENSE_STRIDE**2, 1)
        for layer in (self.depth, self.confidence, self.upsampling, self.trust, *self.photo_levels):
            for parameter in () if layer is None else layer.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self, tokens: Float[Tensor, "F T D"], features: list[Tensor], depth_prior: Float[Tensor, "F h4 w4"] | None
    ) -> DenseMaps:
        """Log-depth and confidence of every frame.

        Args:
            tokens: patch tokens, row by row.
            features: encoder maps at strides 4, 8, 16.
            depth_prior: log-depth that the monocular depth network predicts, where the head was made for one.
        """
        skips = [skip(norm(level)) for skip, norm, level in zip(self.skips, self.skip_norms, features, strict=True)]
        x = self.from_tokens(self.token_norm(tokens)).transpose(1, 2).unflatten(-1, skips[2].shape[-2:])
        if depth_prior is not None:
            skips = self._add_depth_prior(skips, depth_prior)
        x = self.refine[0](x + skips[2])
        x = self.refine[1](double(self.narrow[0](x)) + skips[1])
        x = self.refine[2](double(self.narrow[1](x)) + skips[0])
        prior = self._row_prior(x.shape[-2])[:, None]
        if depth_prior is not None and self.trust is not None:
            prior = torch.lerp(prior, depth_prior, self.trust(x).float()[:, 0].sigmoid())
        log_depth = self.depth(x).float()[:, 0] + prior
        return DenseMaps(
            log_depth=upsample_convex(log_depth, self.upsampling(x).float()),
            conf_logits=self.confidence(x)[:, 0].float(),
        )

    def _add_depth_prior(self, skips: list[Tensor], depth_prior: Float[Tensor, "F h4 w4"]) -> list[Tensor]:
        """Skip features of strides 4, 8, 16 plus an embedding of the prior: its value and deviation from its mean."""
        maps = torch.stack([depth_prior, depth_prior - depth_prior.mean(dim=(1, 2), keepdim=True)], dim=1)
        return [
            skip + layer(functional.avg_pool2d(maps, 1 << level))
            for level, (skip, layer) in enumerate(zip(skips, reversed(self.photo_levels), strict=True))
        ]

    def _row_prior(self, num_rows: int) -> Float[Tensor, "h4"]:
        return functional.interpolate(self.row_prior[None, None], num_rows, mode="linear", align_corners=True)[0, 0]


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "F C h w"]) -> Float[Tensor, "F C h w"]:
        return x + self.second(functional.relu(self.first(functional.relu(x))))


def upsample_convex(coarse: Float[Tensor, "F h4 w4"], logits: Float[Tensor, "F K h4 w4"]) -> Float[Tensor, "F h w"]:
    """×4: every fine value is a softmax-weighted mean of the 3×3 coarse cells around it. K = 9 · 16."""
    weights = logits.unflatten(1, (_CONVEX_NEIGHBOURS, DENSE_STRIDE**2)).softmax(dim=1)
    padded = functional.pad(coarse[:, None], (1, 1, 1, 1), mode="replicate")
    neighbours = functional.unfold(padded, 3).unflatten(-1, coarse.shape[-2:])  # (F, 9, h4, w4)
    fine = (weights * neighbours[:, :, None]).sum(dim=1)
    return functional.pixel_shuffle(fine, DENSE_STRIDE)[:, 0]


def resize_guided(
    maps: Float[Tensor, "F h w"], small_images: Float[Tensor, "F C h w"], images: Float[Tensor, "F C H W"]
) -> Float[Tensor, "F H W"]:
    """Bilinear, but each of the four values around a pixel counts by how much its colour is like the pixel's.

    (Joint bilateral upsampling, Kopf et al. 2007, on the smallest window.) Plain interpolation would put points in the
    air between the two sides of every depth edge. At equal sizes nothing changes.
    """
    # One frame at a time stays in the cache of a processor.
    parts = zip(*(x.split(1) for x in (maps, small_images, images)), strict=True)
    return torch.cat([_resize_frames(*part) for part in parts])


def _resize_frames(
    maps: Float[Tensor, "F h w"], small_images: Float[Tensor, "F C h w"], images: Float[Tensor, "F C H W"]
) -> Float[Tensor, "F H W"]:
    rows, down = _neighbours(maps.shape[-2], images.shape[-2], like=maps)
    columns, right = _neighbours(maps.shape[-1], images.shape[-1], like=maps)
    total, weight_sum = torch.zeros_like(images[:, 0]), torch.zeros_like(images[:, 0])
    both = torch.cat([small_images, maps[:, None]], dim=1)
    for row, row_share in zip(rows, (1 - down, down), strict=True):
        in_row = both[..., row, :]
        for column, column_share in zip(columns, (1 - right, right), strict=True):
            *colours, values = in_row[..., column].unbind(1)
            unlike = reduce(torch.add, [(a - b).square() for a, b in zip(images.unbind(1), colours, strict=True)])
            weight = row_share[:, None] * column_share * ((unlike / (-2 * _COLOUR_SIGMA**2)).exp() + _LEAST_WEIGHT)
            total += weight * values
            weight_sum += weight
    return total / weight_sum


def _neighbours(size: int, wanted: int, *, like: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Along one axis: the two nearest old pixels of each new one, and how far it is from the first to the second."""
    place = ((torch.arange(wanted, device=like.device, dtype=like.dtype) + 0.5) * (size / wanted) - 0.5).clamp(
        0, size - 1
    )
    first = place.floor()
    second = (first + 1).clamp_max(size - 1)
    return (first.long(), second.long()), place - first


def double(x: Float[Tensor, "F C h w"]) -> Float[Tensor, "F C h2 w2"]:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
