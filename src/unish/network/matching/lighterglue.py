"""LighterGlue: matches of two pictures by attention, for pairs whose descriptors alone are not enough.

LightGlue (Lindenberger, Sarlin & Pollefeys, ICCV 2023) in the small form that the authors of XFeat trained for their
descriptors: six layers of self- and cross-attention with one head of 96 channels. All layers run for all key points: no
early stop, no pruning. Its cost grows with the square of the number of key points.

Legend: P pairs, K key points of each of the two frames.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from unish.network.matching.records import KeyPoints
from unish.network.matching.xfeat import CHANNELS as DESCRIPTOR_CHANNELS

WEIGHTS = Path(__file__).parent / "lighterglue.safetensors"
CHANNELS = 96
NUM_LAYERS = 6
MIN_PROBABILITY = 0.1
"""Of a match; LighterGlue's own value."""

_NEVER = -1e4
"""Logit of what is not there. Finite, so that a frame without key points makes no NaN, and not so large that float32
loses a number that is added to it."""


class SelfAttention(nn.Module):
    """Key points of one frame look at one another; their places turn queries and keys (rotary encoding)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.out = nn.Linear(CHANNELS, CHANNELS)
        self.update = _make_update()

    def forward(
        self, x: Float[Tensor, "F K 96"], turns: Float[Tensor, "2 F K 48"], mask: Float[Tensor, "F 1 K"] | None
    ) -> Float[Tensor, "F K 96"]:
        """``turns``: cosines and sines; ``mask`` is added to the logits."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        seen = _attend(_turn(query, turns), _turn(key, turns), value, mask)
        return x + self.update(torch.cat([x, self.out(seen)], dim=-1))


class CrossAttention(nn.Module):
    """Key points of two frames look at those of the other one."""

    def __init__(self) -> None:
        super().__init__()
        self.qk = nn.Linear(CHANNELS, CHANNELS)
        self.value = nn.Linear(CHANNELS, CHANNELS)
        self.out = nn.Linear(CHANNELS, CHANNELS)
        self.update = _make_update()

    def forward(self, x: Float[Tensor, "F K 96"], mask: Float[Tensor, "F 1 K"] | None) -> Float[Tensor, "F K 96"]:
        """The first half of the frames and the second half are the two sides; ``mask`` is that of each frame itself."""
        query, value = self.qk(x), self.value(x)
        half = len(x) // 2
        other_mask = None if mask is None else mask.roll(half, dims=0)
        seen = _attend(query, query.roll(half, dims=0), value.roll(half, dims=0), other_mask)
        return x + self.update(torch.cat([x, self.out(seen)], dim=-1))


class LighterGlue(nn.Module):
    """1.06 million weights. ``LighterGlue.load()`` has those that ship with the package."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(DESCRIPTOR_CHANNELS, CHANNELS)
        self.encode = nn.Linear(2, CHANNELS // 2, bias=False)
        self.self_attention = nn.ModuleList(SelfAttention() for _ in range(NUM_LAYERS))
        self.cross_attention = nn.ModuleList(CrossAttention() for _ in range(NUM_LAYERS))
        self.matchability = nn.Linear(CHANNELS, 1)
        self.compare = nn.Linear(CHANNELS, CHANNELS)

    @classmethod
    def load(cls) -> LighterGlue:
        """The frozen network with the weights that ship with the package, in float32."""
        network = cls().eval().requires_grad_(False)
        network.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
        return network

    def forward(
        self,
        px: Float[Tensor, "2 P K 2"],
        descriptors: Float[Tensor, "2 P K 64"],
        valid: Bool[Tensor, "2 P K"],
        image_size: tuple[int, int],
    ) -> Float[Tensor, "P K K"]:
        """Log-probability that a key point of the first frame and one of the second are the same.

        Args:
            px: pixels of both frames of each pair.
            descriptors: from XFeat.
            valid: which slots hold a key point.
            image_size: (height, width) of the images that ``px`` belong to.
        """
        height, width = image_size
        # The network learnt with pixels whose centres are whole numbers.
        places = (px - 0.5 - px.new_tensor([width, height]) / 2) / (max(height, width) / 2)
        angles = self.encode(places.flatten(0, 1))
        turns = torch.stack([angles.cos(), angles.sin()])
        mask = None if bool(valid.all()) else torch.where(valid, 0.0, _NEVER).flatten(0, 1)[:, None].to(px.dtype)
        x = self.project(descriptors.flatten(0, 1))
        for within, across in zip(self.self_attention, self.cross_attention, strict=True):
            x = across(within(x, turns, mask), mask)

        first, second = (self.compare(x) / CHANNELS**0.25).chunk(2)
        similarity = first @ second.transpose(-1, -2)
        if mask is not None:
            of_first, of_second = mask.chunk(2)
            similarity = similarity + of_first.transpose(-1, -2) + of_second
        has_match = functional.logsigmoid(self.matchability(x))
        sure_first, sure_second = has_match.chunk(2)
        # The logarithms of both softmaxes, without an array for each of them.
        of_row = sure_first - similarity.logsumexp(2, keepdim=True)
        of_column = sure_second.transpose(-1, -2) - similarity.logsumexp(1, keepdim=True)
        return similarity.mul_(2).add_(of_row).add_(of_column)


def match_by_attention(
    network: LighterGlue,
    key_points: KeyPoints,
    first: Int64[Tensor, "P"],
    second: Int64[Tensor, "P"],
    image_size: tuple[int, int],
    *,
    min_probability: float = MIN_PROBABILITY,
) -> Int64[Tensor, "P K"]:
    """Slot in the second frame of each key point of the first, −1 where there is none; one pair after the other.

    Args:
        first: the first frame of each pair.
        second: the other one.
        image_size: (height, width) of the images that the key points belong to.
    """
    valid, num_slots = key_points.scores > 0, key_points.scores.shape[1]
    matches = []
    for pair in torch.stack([first, second]).unbind(1):
        # Empty slots come last: they need not be looked at.
        used = int(valid[pair].sum(1).max())
        frames, filled = pair[:, None], slice(max(used, 1))
        scores = network(
            key_points.px[frames, filled], key_points.descriptors[frames, filled], valid[frames, filled], image_size
        )[0]
        highest, forward = scores.max(dim=1)
        slots = torch.arange(len(forward), device=forward.device)
        mutual = (scores.argmax(dim=0)[forward] == slots) & (highest.exp() > min_probability)
        found = torch.where(mutual & valid[pair[0], filled], forward, -1)
        matches.append(functional.pad(found, (0, num_slots - len(found)), value=-1))
    return torch.stack(matches)


def _make_update() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2 * CHANNELS, 2 * CHANNELS),
        nn.LayerNorm(2 * CHANNELS),
        nn.GELU(),
        nn.Linear(2 * CHANNELS, CHANNELS),
    )


def _attend(
    query: Float[Tensor, "F K 96"],
    key: Float[Tensor, "F K 96"],
    value: Float[Tensor, "F K 96"],
    mask: Float[Tensor, "F 1 K"] | None,
) -> Float[Tensor, "F K 96"]:
    """Softmax attention of one head. Without a dimension for the head, PyTorch does it three times as slowly."""
    head_mask = None if mask is None else mask[:, None]
    seen = functional.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], attn_mask=head_mask)
    return seen[:, 0]


def _turn(x: Float[Tensor, "F K 96"], turns: Float[Tensor, "2 F K 48"]) -> Float[Tensor, "F K 96"]:
    """Turn every two channels, as a point in a plane, by an angle whose cosine and sine are given."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = turns
    return torch.stack([even * cosine - odd * sine, odd * cosine + even * sine], dim=-1).flatten(-2)
