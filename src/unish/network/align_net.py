"""AlignNet: where each person stands, in metres, and how large the scene is.

Legend: B clips, P people, N frames, R special tokens of a frame, T = R + patches, S = N·T memory tokens,
Q = 1 + N query tokens of a person (scale, then one per frame), C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unish.network.closed_form_placement import NUM_EVIDENCE, ClosedFormPlacement, masked_mean_distance
from unish.network.heads.points import points_from_log_depth
from unish.network.layers import attend
from unish.network.outputs import HumanOutput, SceneOutput
from unish.network.precision import cast_like
from unish.network.rope import Rotary, rotary_1d
from unish.structs import HumanInputs


@dataclass(frozen=True, kw_only=True)
class AlignNetConfig:
    """Sizes of an ``AlignNet``; the defaults are the published ones.

    Attributes:
        positions_per_second: time positions count from the first frame at this rate.
        max_table_length: longer tables of time positions are stretched from one of this length.
        start_from_ruler: begin at the solution of ``ClosedFormPlacement`` and learn factors on it. The name is that in
            the files of weights.
    """

    dim: int = 512
    depth: int = 2
    num_heads: int = 8
    mlp_dim: int = 512
    norm_eps: float = 1e-5
    rope_base: float = 100.0
    positions_per_second: float = 6.0
    max_table_length: int = 120
    start_from_ruler: bool = False


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What AlignNet adds to the branches.

    Attributes:
        scale: (B,) mean distance of the confident points in metres; one per clip.
        transl: (B, P, N, 3) SMPL translation in the camera, metres; meaningless where the person is not valid.
    """

    scale: Float[Tensor, "B"]
    transl: Float[Tensor, "B P N 3"]


def time_positions(timestamps: Float[Tensor, "B N"], per_second: float) -> Int[Tensor, "B N"]:
    """Whole numbers that count time from the first frame: round((t_n − t_0) · rate), halves to even.

    A millionth is rounded away first, so that times which are exact halves in decimal are taken for halves.
    """
    # On the CPU, for not every device has float64.
    elapsed = (timestamps - timestamps[:, :1]).cpu().double() * per_second
    return elapsed.round(decimals=6).round().long().to(timestamps.device)


class RotaryAttention(nn.Module):
    """Attention with separate projections; queries and keys turn with time, values do not."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        query: Float[Tensor, "B T C"],
        memory: Float[Tensor, "B S C"],
        query_rotary: Rotary,
        memory_rotary: Rotary,
        memory_valid: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        return self.out(
            attend(
                self.q(query),
                self.k(memory),
                self.v(memory),
                num_heads=self.num_heads,
                query_rotary=query_rotary,
                key_rotary=memory_rotary,
                key_valid=memory_valid,
            )
        )


class AlignLayer(nn.Module):
    """Self-attention of each person's tokens, cross-attention to the clip, feed-forward.

    Each of the three is followed by a norm (post-norm), and the layer as a whole is a residual.
    """

    def __init__(self, config: AlignNetConfig) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(config.dim, config.num_heads)
        self.cross_attn = RotaryAttention(config.dim, config.num_heads)
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, config.mlp_dim), nn.ReLU(), nn.Linear(config.mlp_dim, config.dim)
        )
        self.norm1 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.norm2 = nn.LayerNorm(config.dim, eps=config.norm_eps)
        self.norm3 = nn.LayerNorm(config.dim, eps=config.norm_eps)

    def attend_self(
        self, query: Float[Tensor, "B P Q C"], rotary: Rotary, valid: Bool[Tensor, "B P Q"]
    ) -> Float[Tensor, "B P Q C"]:
        """People do not attend to one another: every person is an item of the batch. ``rotary`` has no people axis."""
        people, tokens = query.shape[1], query.flatten(0, 1)
        cos, sin = (x.repeat_interleave(people, dim=0) for x in (rotary.cos, rotary.sin))
        per_person = Rotary(cos, sin, num_axes=rotary.num_axes)
        attended = self.self_attn(tokens, tokens, per_person, per_person, valid.flatten(0, 1))
        return self.norm1(query + attended.reshape_as(query))

    def attend_memory(
        self, query: Float[Tensor, "B P Q C"], memory: Float[Tensor, "B S C"], rotary: Rotary, memory_rotary: Rotary
    ) -> Float[Tensor, "B P Q C"]:
        """Queries are independent here, so all people read one copy of the memory."""
        people, tokens = query.shape[1], query.flatten(1, 2)
        cos, sin = (x.repeat(1, 1, people, 1) for x in (rotary.cos, rotary.sin))
        repeated = Rotary(cos, sin, num_axes=rotary.num_axes)
        attended = self.cross_attn(tokens, memory, repeated, memory_rotary)
        return self.norm2(query + attended.reshape_as(query))

    def forward(
        self,
        query: Float[Tensor, "B P Q C"],
        memory: Float[Tensor, "B S C"],
        valid: Bool[Tensor, "B P Q"],
        query_rotary: Rotary,
        memory_rotary: Rotary,
    ) -> Float[Tensor, "B P Q C"]:
        out = self.attend_self(query, query_rotary, valid)
        out = self.attend_memory(out, memory, query_rotary, memory_rotary)
        return query + self.norm3(out + self.mlp(out))


class AlignNet(nn.Module):
    """A scale token and the tokens of one person query the decoder tokens of the whole clip.

    Several people give several scales for one scene; their mean, weighted by the frames in which each was observed, is
    the scale of the clip. Nobody's translation depends on other people: in the published form, each is the one that the
    published network gives for that person alone.

    With ``start_from_ruler`` the heads give log-corrections, zero at first, of the closed-form distance of each person
    and of the closed-form scale.
    """

    def __init__(
        self,
        config: AlignNetConfig,
        *,
        hidden_dim: int,
        token_dim: int,
        num_special_tokens: int,
        body: str = "free",
    ) -> None:
        super().__init__()
        self.config = config
        self.token_dim = token_dim
        self.num_special_tokens = num_special_tokens
        self.scale_token = nn.Parameter(0.02 * torch.randn(1, 1, config.dim))
        self.human_adapter = _adapter(token_dim, config.dim)
        self.patch_adapter = _adapter(hidden_dim, config.dim)
        self.special_adapter = _adapter(hidden_dim, config.dim)
        self.layers = nn.ModuleList(AlignLayer(config) for _ in range(config.depth))
        self.translation = nn.Linear(config.dim, 1 if config.start_from_ruler else 3)
        self.scale = nn.Linear(config.dim, 1)
        if config.start_from_ruler:
            self.placement = ClosedFormPlacement(body)
            self.evidence = nn.Linear(NUM_EVIDENCE, config.dim)
            for layer in (self.evidence, self.translation, self.scale):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def encode_memory(self, hidden: Float[Tensor, "B N T C"]) -> Float[Tensor, "B S D"]:
        """Memory of the clip: special tokens and patches of every frame through their adapters, frame after frame."""
        special = self.special_adapter(cast_like(hidden[:, :, : self.num_special_tokens], self.special_adapter))
        patches = self.patch_adapter(cast_like(hidden[:, :, self.num_special_tokens :], self.patch_adapter))
        return torch.cat([special, patches], dim=2).flatten(1, 2)

    def decode(
        self,
        hidden: Float[Tensor, "B N T C"],
        token: Float[Tensor, "B P N E"],
        valid: Bool[Tensor, "B P N"],
        positions: Int[Tensor, "B N"],
        evidence: Float[Tensor, "B P N 4"] | None = None,
    ) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B P N K"]]:
        """Raw outputs of the two heads: one number per person for the scale, K per person and frame."""
        human = self.human_adapter(token)
        if evidence is not None:
            human = human + self.evidence(evidence)
        query = torch.cat([self.scale_token[:, None].expand(*human.shape[:2], 1, -1), human], dim=2)
        valid = nn.functional.pad(valid, (1, 0), value=True)
        query_rotary, memory_rotary = self._rotaries(positions, num_tokens=hidden.shape[2])
        memory = self.encode_memory(hidden)
        for layer in self.layers:
            query = layer(query, memory, valid, query_rotary, memory_rotary)
        return self.scale(query[:, :, 0])[..., 0], self.translation(query[:, :, 1:])

    def forward(
        self, scene: SceneOutput, people: HumanOutput, humans: HumanInputs, timestamps: Float[Tensor, "B N"]
    ) -> Alignment:
        """Metric scale and translations of at least one person (see ``scale_without_people``)."""
        positions = time_positions(timestamps, self.config.positions_per_second)
        if not self.config.start_from_ruler:
            raw_scale, raw = self.decode(scene.hidden, people.token, humans.valid, positions)
            person_scale = nn.functional.softplus(raw_scale)
            metres_per_unit = person_scale / masked_mean_distance(scene)[:, None]
            return Alignment(
                scale=_mean_over_people(person_scale, humans.valid),
                transl=points_from_log_depth(raw) * metres_per_unit[..., None, None],
            )
        start = self.placement(scene, people, humans)
        raw_scale, raw = self.decode(scene.hidden, people.token, humans.valid, positions, start.evidence)
        scale = start.metres_per_unit * masked_mean_distance(scene) * _mean_over_people(raw_scale, humans.valid).exp()
        return Alignment(scale=scale, transl=start.move_along_ray(raw[..., 0]))

    def scale_without_people(self, scene: SceneOutput, timestamps: Float[Tensor, "B N"]) -> Float[Tensor, "B"] | None:
        """Scale from the scale token alone. ``None`` in the published form, whose scale always comes from a person.

        The starting point is that the scene branch, trained in metres, has a unit of about one metre.
        """
        if not self.config.start_from_ruler:
            return None
        num_clips, num_frames = scene.hidden.shape[:2]
        nobody = scene.hidden.new_zeros(num_clips, 1, num_frames, self.token_dim)
        valid = torch.zeros(num_clips, 1, num_frames, dtype=torch.bool, device=scene.hidden.device)
        positions = time_positions(timestamps, self.config.positions_per_second)
        raw_scale, _ = self.decode(scene.hidden, nobody, valid, positions)
        return masked_mean_distance(scene) * raw_scale[:, 0].exp()

    def _rotaries(self, positions: Int[Tensor, "B N"], num_tokens: int) -> tuple[Rotary, Rotary]:
        """Time of the queries (the scale token stands at 0) and of the memory, with an axis of heads."""
        head_dim = self.config.dim // self.config.num_heads
        of_query = nn.functional.pad(positions, (1, 0))
        of_memory = positions.repeat_interleave(num_tokens, dim=1)
        query, memory = (
            rotary_1d(x[:, None], head_dim, base=self.config.rope_base, max_length=self.config.max_table_length)
            for x in (of_query, of_memory)
        )
        return query, memory


def _adapter(input_dim: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(input_dim, eps=1e-5), nn.Linear(input_dim, dim), nn.ReLU())


def _mean_over_people(values: Float[Tensor, "B P"], valid: Bool[Tensor, "B P N"]) -> Float[Tensor, "B"]:
    """Weighted by observed frames; plain mean where nobody was observed."""
    weight = valid.sum(-1).to(values.dtype)
    weight = torch.where(weight.sum(-1, keepdim=True) > 0, weight, torch.ones_like(weight))
    return (values * weight).sum(-1) / weight.sum(-1)
