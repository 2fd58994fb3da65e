"""Outputs of the branches of the network, B clips × N frames × P people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SceneOutput:
    """Scene branch → human branch, AlignNet and ``Prediction``. One arbitrary scale per clip.

    Attributes:
        local_points: (B, N, H, W, 3) camera coordinates.
        point_conf_logits: (B, N, H, W).
        c2w: (B, N, 4, 4), world = camera of the first frame.
        intrinsics: (B, N, 3, 3) pixels of the H×W images: given, predicted, or solved from ``local_points``.
        hidden: (B, N, R + T, C) decoder tokens, the R special ones first, then T patches row by row.
        auxiliary: outputs for losses alone (the logarithm of the predicted focal length), by name.
        joined, certain: (B, N) frames that matches join to the others, and beyond doubt; ``None`` where nobody asked.
        solves_focal: (B,) the focal length is solved from how the camera turned; ``None`` where nobody asked.
        log_zoom, in_given_unit, given_error_px: see ``Prediction``.
        metres_per_unit: (B,) metres of a unit of the points, by a metric depth prior; ``None`` where none says so.
    """

    local_points: Float[Tensor, "B N H W 3"]
    point_conf_logits: Float[Tensor, "B N H W"]
    c2w: Float[Tensor, "B N 4 4"]
    intrinsics: Float[Tensor, "B N 3 3"]
    hidden: Float[Tensor, "B N T C"]
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    joined: Bool[Tensor, "B N"] | None = None
    certain: Bool[Tensor, "B N"] | None = None
    solves_focal: Bool[Tensor, "B"] | None = None
    log_zoom: Float[Tensor, "B N"] | None = None
    in_given_unit: Bool[Tensor, "B"] | None = None
    given_error_px: Float[Tensor, "B"] | None = None
    metres_per_unit: Float[Tensor, "B"] | None = None


@runtime_checkable
class SceneBranch(Protocol):
    """What stands in the slot of the scene branch: π³, a network like it, or what has run one before.

    It is an ``nn.Module`` as well. See ``UniSH.use_scene``.
    """

    @property
    def hidden_dim(self) -> int:
        """Channels of ``SceneOutput.hidden``."""
        ...

    def __call__(
        self,
        images: Float[Tensor, "B N 3 H W"],
        intrinsics: Float[Tensor, "B N 3 3"] | None = None,
        *,
        picture_size: tuple[int, int] | None = None,
    ) -> SceneOutput:
        """RGB in [0, 1], known intrinsics, and the size of the picture with square pixels, as in ``UniSH.forward``."""
        ...


@dataclass(frozen=True, kw_only=True)
class HumanOutput:
    """Human branch → AlignNet and ``Prediction``.

    Attributes:
        rotations: (B, P, N, 24, 3, 3) SMPL joint rotations, root first, root in the camera frame.
        betas: (B, P, 10) one shape per person.
        token: (B, P, N, C) features of each person in each frame, for AlignNet.
    """

    rotations: Float[Tensor, "B P N 24 3 3"]
    betas: Float[Tensor, "B P 10"]
    token: Float[Tensor, "B P N C"]
