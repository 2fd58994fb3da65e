"""Rotations. Matrices inside the package; axis-angle (suffix ``_aa``) only at file borders."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def _import_roma() -> ModuleType:
    """roma, without loading torch's compiler.

    As it is imported, roma (1.8) calls ``torch._dynamo.disable`` on two functions that must stay out of compiled code.
    That alone loads the compiler, which takes as long as loading torch. Here the call waits until the functions are
    used, which is in compiled code alone.
    """
    if "torch._dynamo" in sys.modules or "roma" in sys.modules:
        import roma

        return roma

    def disable_when_called(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: torch._dynamo.disable(function)(*args)

    torch._dynamo = SimpleNamespace(disable=disable_when_called)  # type: ignore[assignment]
    try:
        import roma
    finally:
        # torch loads the real one when it is asked for.
        del torch._dynamo
    return roma


roma = _import_roma()


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrix of an axis-angle vector (radians); differentiable everywhere, zero included."""
    return roma.rotvec_to_rotmat(axis_angle)


def matrix_to_axis_angle(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Axis-angle vector (radians, angle in [0, π]) of a rotation matrix."""
    return roma.rotmat_to_rotvec(matrix)


def inverse_right_jacobian(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """J⁻¹(v) with log(exp(v)·exp(w)) = v + J⁻¹(v)·w to first order in w; angles below 2π.

    J⁻¹ = I + [v]×/2 + (1 − (θ/2)·cot(θ/2))/θ² · [v]×² with θ = ‖v‖ (Solà et al., "A micro Lie theory", 2018, eq. 144).
    """
    square = axis_angle.square().sum(-1)
    small = square < 1e-2
    angle = torch.where(small, 1.0, square).sqrt()
    exact = (1 - angle / 2 / torch.tan(angle / 2)) / angle.square()
    series = 1 / 12 + square / 720 + square.square() / 30240
    factor = torch.where(small, series, exact)[..., None, None]
    # [v]×² = v·vᵀ − θ²·I
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    squared = axis_angle[..., :, None] * axis_angle[..., None, :] - square[..., None, None] * identity
    cross = torch.linalg.cross(axis_angle[..., None, :], identity.expand(*axis_angle.shape, 3), dim=-1).mT
    return identity + cross / 2 + factor * squared


def rot6d_to_matrix(rot6d: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Gram–Schmidt on two 3-vectors (first three numbers, last three): the *columns* 1 and 2 of the result.

    Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", eq. (15).
    """
    first, second = rot6d[..., :3], rot6d[..., 3:]
    x = torch.nn.functional.normalize(first, dim=-1, eps=1e-12)
    y = torch.nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1, eps=1e-12)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def matrix_to_rot6d(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two columns, one after the other; inverse of ``rot6d_to_matrix`` on rotations."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], dim=-1)


def rotation_angle(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Angle of a rotation in radians, accurate also near 0 and π (atan2 of sine and cosine parts)."""
    skew = torch.stack(
        [
            matrix[..., 2, 1] - matrix[..., 1, 2],
            matrix[..., 0, 2] - matrix[..., 2, 0],
            matrix[..., 1, 0] - matrix[..., 0, 1],
        ],
        dim=-1,
    )
    trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.atan2(skew.norm(dim=-1), trace - 1.0)


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation that is nearest in the Frobenius norm (special orthogonal Procrustes), never a reflection.

    Its gradient stays finite where singular values meet, see ``roma.special_procrustes``.
    """
    _prepare_roma(matrix.device)
    return roma.special_procrustes(matrix)


@lru_cache
def _prepare_roma(device: torch.device) -> None:
    """roma keeps a constant of its first call; one that is made in inference mode would break every later training."""
    with torch.inference_mode(False):
        roma.special_procrustes(torch.eye(3, device=device))
