"""Soft matches between the frames of a clip: which pixel of frame j shows the point of this pixel of frame i?

Learnt features are correlated densely, the best match is found by a local soft-argmax, first among coarse cells and
then among fine ones, and a learned update reads the correlations around the match (as in RAFT, Teed & Deng 2020),
refines it and weights it: the weight of a match is the probability that it is right *and* belongs to the static scene.
``camera_solve`` makes cameras of them.

Legend: B clips, N frames, E frame pairs (edges), C channels; h×w is the query grid (working size divided by 8),
Q = h·w, and h4×w4 = 2h×2w the grid of targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unish.geometry.camera import pixel_grid

QUERY_STRIDE = 8
TARGET_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class CorrespondenceConfig:
    """How frames are compared.

    Attributes:
        gaps: frame distances of the pairs; 1 must be among them.
        channels: of the compared features.
        hidden: width of the update network.
        window: half width, in query cells, of the soft-argmax around the best match.
        fine_window: the same in target cells, around the coarse match.
        lookup: half width, in target cells, of the correlations around the present match that an update reads.
        num_updates: how many updates.
        pairs_at_once: bound on memory.
    """

    gaps: tuple[int, ...] = (1, 2, 4)
    channels: int = 64
    hidden: int = 64
    window: int = 2
    fine_window: int = 2
    lookup: int = 4
    num_updates: int = 1
    pairs_at_once: int = 16


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Where the query points of the first frame of each pair are in the second.

    Attributes:
        targets_px: (U, B, E, h, w, 2) working pixels: among coarse cells, among fine ones, after each update.
        weight_logits: (B, E, h, w) probability, before the sigmoid, that the last target is right and static.
        log_probability: (B, E, Q, Q) coarse correlation, row = query, over all target cells; for a loss.
    """

    targets_px: Float[Tensor, "U B E h w 2"]
    weight_logits: Float[Tensor, "B E h w"]
    log_probability: Float[Tensor, "B E Q Q"] | None = None


def list_pairs(num_frames: int, gaps: tuple[int, ...]) -> list[tuple[int, int]]:
    """(i, i + gap) for every gap, the consecutive pairs first."""
    return [(i, i + gap) for gap in sorted(gaps) for i in range(num_frames - gap)]


def query_points(height: int, width: int, *, like: Tensor) -> Float[Tensor, "h w 2"]:
    """Pixels, in the working image, of the centres of an h×w query grid."""
    return pixel_grid(height, width, like=like) * QUERY_STRIDE


class Matcher(nn.Module):
    """Features of all frames → matches of the given pairs.

    The update network has the layers ``look`` (correlations), ``context``, ``mix``, ``think`` and ``answer`` (shift and
    weight): the names are those in the files of weights.
    """

    def __init__(self, config: CorrespondenceConfig, *, context_channels: int) -> None:
        super().__init__()
        self.config = config
        self.log_sharpness = nn.Parameter(torch.tensor(3.0))
        self.log_fine_sharpness = nn.Parameter(torch.tensor(3.7))
        self.log_locality = nn.Parameter(torch.tensor(0.0))
        self.context = nn.Conv2d(context_channels, config.hidden, 1)
        num_inputs = (2 * config.lookup + 1) ** 2 + 4
        self.look = nn.Conv2d(num_inputs, config.hidden, 1)
        self.mix = nn.Conv2d(2 * config.hidden, config.hidden, 3, padding=1)
        self.think = nn.Conv2d(config.hidden, config.hidden, 3, padding=1)
        self.answer = nn.Conv2d(config.hidden, 3, 1)
        for parameter in self.answer.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        features: Float[Tensor, "B N C h4 w4"],
        context: Float[Tensor, "B N D h w"],
        pairs: list[tuple[int, int]],
        *,
        keep_comparison: bool = False,
    ) -> Matches:
        """Match every query cell of frame i in frame j, for each pair (i, j).

        Args:
            features: L2-normalised per pixel, at a quarter of the working size (even numbers of rows and columns).
            context: features of each query cell of the first frame, for the update network.
            keep_comparison: also return the coarse correlation (large).
        """
        matches = self._match_all(features, context, pairs, keep_comparison)
        if self.training:
            return matches
        # Matched with itself, a frame shows the error that its own texture and border cause. Less that error, a static
        # camera gives no motion at all, whatever the network has learnt.
        frames = sorted({first for first, _ in pairs})
        self_matches = self._match_all(features, context, [(i, i) for i in frames], keep_comparison=False)
        identity = query_points(*self_matches.targets_px.shape[3:5], like=self_matches.targets_px)
        error = self_matches.targets_px - identity
        which = torch.tensor([frames.index(first) for first, _ in pairs], device=features.device)
        return replace(matches, targets_px=matches.targets_px - error[:, :, which])

    def _match_all(
        self, features: Tensor, context: Tensor, pairs: list[tuple[int, int]], keep_comparison: bool
    ) -> Matches:
        """All pairs, some at a time."""
        parts = [
            self._match(features, context, pairs[start : start + self.config.pairs_at_once], keep_comparison)
            for start in range(0, len(pairs), self.config.pairs_at_once)
        ]
        comparisons = [p.log_probability for p in parts if p.log_probability is not None]
        return Matches(
            targets_px=torch.cat([p.targets_px for p in parts], dim=2),
            weight_logits=torch.cat([p.weight_logits for p in parts], dim=1),
            log_probability=torch.cat(comparisons, dim=1) if keep_comparison else None,
        )

    def _match(self, features: Tensor, context: Tensor, pairs: list[tuple[int, int]], keep_comparison: bool) -> Matches:
        num_clips, _, _, fine_height, fine_width = features.shape
        height, width = fine_height // 2, fine_width // 2
        first, second = (torch.tensor(side, device=features.device) for side in zip(*pairs, strict=True))
        shape = (num_clips, len(pairs), height, width)

        coarse = functional.normalize(functional.avg_pool2d(features.flatten(0, 1), 2), dim=1)
        coarse = coarse.flatten(2).unflatten(0, features.shape[:2])
        queries = coarse[:, first].flatten(0, 1).transpose(1, 2)
        log_probability = self._compare((queries @ coarse[:, second].flatten(0, 1)).float(), height, width)
        volume = (queries @ features[:, second].flatten(0, 1).flatten(2)).unflatten(-1, (fine_height, fine_width))
        coarse_targets, certainty = self._soft_argmax(log_probability, height, width)

        context = functional.relu(self.context(context.flatten(0, 1)))
        context = context.unflatten(0, features.shape[:2])[:, first].flatten(0, 1)
        start = coarse_targets.detach()
        steps = [coarse_targets, start + self._refine_coarse(volume, start)]
        for _ in range(self.config.num_updates):
            shift, logits = self._update(volume, steps[-1].detach(), certainty, context)
            steps.append(steps[-1].detach() + shift)
        return Matches(
            targets_px=torch.stack(steps).reshape(len(steps), *shape, 2),
            weight_logits=logits.reshape(shape),
            log_probability=log_probability.unflatten(0, shape[:2]) if keep_comparison else None,
        )

    def _compare(self, cosines: Float[Tensor, "BE Q Q"], height: int, width: int) -> Float[Tensor, "BE Q Q"]:
        """Cosines → log-probabilities: a learned sharpness, and a learned preference for staying in place."""
        distance = torch.cdist(*2 * (pixel_grid(height, width, like=cosines).flatten(0, 1),)) / max(height, width)
        return (cosines * self.log_sharpness.exp() - self.log_locality.exp() * distance).log_softmax(dim=-1)

    def _soft_argmax(
        self, log_probability: Float[Tensor, "BE Q Q"], height: int, width: int
    ) -> tuple[Float[Tensor, "BE Q 2"], Float[Tensor, "BE Q 2"]]:
        """Mean position, in working pixels, of the probability within a window around its peak; and its certainty.

        The window keeps a second, distant peak from pulling the mean between the two.
        """
        grid = pixel_grid(height, width, like=log_probability).flatten(0, 1)
        windows = (grid[:, None] - grid[None]).abs().amax(-1) <= self.config.window  # (Q, Q): row = cells near this one
        highest, peak = log_probability.detach().max(dim=-1)
        local = log_probability.exp() * windows[peak]
        mass = local.sum(-1, keepdim=True)
        mean = (local @ grid) / mass.clamp_min(1e-12)
        return mean * QUERY_STRIDE, torch.cat([mass, highest.exp()[..., None]], dim=-1)

    def _refine_coarse(
        self, volume: Float[Tensor, "BE Q h4 w4"], targets_px: Float[Tensor, "BE Q 2"]
    ) -> Float[Tensor, "BE Q 2"]:
        """Offset of a coarse match: mean of the softmax over the target cells around it."""
        cosines = _sample_correlation(volume, targets_px, self.config.fine_window)
        offsets = _window_offsets(self.config.fine_window, like=cosines).flatten(0, 1)
        return (cosines * self.log_fine_sharpness.exp()).softmax(dim=-1) @ offsets

    def _update(
        self,
        volume: Float[Tensor, "BE Q h4 w4"],
        targets_px: Float[Tensor, "BE Q 2"],
        certainty: Float[Tensor, "BE Q 2"],
        context: Float[Tensor, "BE D h w"],
    ) -> tuple[Float[Tensor, "BE Q 2"], Float[Tensor, "BE Q"]]:
        """One update of the present targets → (shift in working pixels, weight logits)."""
        height, width = context.shape[-2:]
        cosines = _sample_correlation(volume, targets_px, self.config.lookup)  # (B·E, Q, K)
        flow = targets_px - query_points(height, width, like=targets_px).flatten(0, 1)
        inputs = torch.cat([cosines * 4.0, flow / 32.0, certainty.detach()], dim=-1)
        inputs = inputs.transpose(1, 2).unflatten(-1, (height, width))
        x = torch.cat([functional.relu(self.look(inputs)), context], dim=1)
        x = functional.relu(self.think(functional.relu(self.mix(x))))
        output = self.answer(x).float().flatten(2).transpose(1, 2)
        return output[..., :2] * TARGET_STRIDE, output[..., 2]


def _window_offsets(radius: int, *, like: Tensor) -> Float[Tensor, "k k 2"]:
    """(x, y) in working pixels of the target cells around a place."""
    steps = torch.arange(-radius, radius + 1, device=like.device, dtype=torch.float32) * TARGET_STRIDE
    return torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)


def _sample_correlation(
    volume: Float[Tensor, "BE Q h4 w4"], targets_px: Float[Tensor, "BE Q 2"], radius: int
) -> Float[Tensor, "BE Q K"]:
    """Bilinear samples of each query's own cosines on a square of target cells around its present target; 0 outside."""
    num_pairs, num_queries, height, width = volume.shape
    positions = targets_px[..., None, None, :] + _window_offsets(
        radius, like=targets_px
    )  # (B·E, Q, k, k, 2) working pixels
    size = positions.new_tensor([width, height]) * TARGET_STRIDE
    normalised = (positions / size * 2.0 - 1.0).flatten(0, 1)
    images = volume.reshape(num_pairs * num_queries, 1, height, width).float()
    sampled = functional.grid_sample(images, normalised, align_corners=False, padding_mode="zeros")
    return sampled.reshape(num_pairs, num_queries, -1)
