"""SMPL parameters as rotation matrices, the form used inside the package."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BodyParams:
    """Parameters of SMPL-format bodies, with the meaning that the ``smplx`` library gives them.

    Any leading batch dimensions, shared by all fields (a shape that does not vary is expanded, not special-cased).

    Attributes:
        betas: (..., B) shape coefficients of the body model in use (10 in every file this package writes).
        global_orient: (..., 3, 3) rotation of the root about the rest pelvis.
        body_pose: (..., 23, 3, 3) rotation of each further joint relative to its parent, SMPL order.
        transl: (..., 3) metres, added after posing.
    """

    betas: Float[Tensor, "*batch B"]
    global_orient: Float[Tensor, "*batch 3 3"]
    body_pose: Float[Tensor, "*batch 23 3 3"]
    transl: Float[Tensor, "*batch 3"]
