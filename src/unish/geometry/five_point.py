"""Essential matrices through five matches: a minimal solver of the five-point problem for many samples at once.

An essential matrix E satisfies x₂ᵀ E x₁ = 0 for every match, det E = 0 and 2 E Eᵀ E − tr(E Eᵀ) E = 0. Five matches
leave E = x X + y Y + z Z + W with known matrices X … W; the ten cubic equations in x, y, z that remain are solved
through the eigenvectors of a 10×10 matrix (Stewénius, Engels & Nistér, "Recent developments on direct relative
orientation", ISPRS Journal 2006).

Legend: S samples of five matches. Rays are (x/z, y/z, 1).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement

import torch
from jaxtyping import Bool, Float
from torch import Tensor

NUM_SOLUTIONS = 10
_MAX_IMAGINARY = 1e-6
"""A root whose imaginary part is larger, in units of 1 + its size, is not real."""

_LEVI_CIVITA = torch.zeros(3, 3, 3, dtype=torch.float64)
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _LEVI_CIVITA[_i, _j, _k], _LEVI_CIVITA[_i, _k, _j] = 1.0, -1.0


def solve_five_point(
    first: Float[Tensor, "S 5 3"], second: Float[Tensor, "S 5 3"]
) -> tuple[Float[Tensor, "S 10 3 3"], Bool[Tensor, "S 10"]]:
    """The essential matrices of each sample: second ᵀ E first = 0, of Frobenius norm 1.

    Args:
        first: float64 rays of the first camera.
        second: float64 rays of the same points in the second.

    Returns:
        Ten candidates of each sample, and which of them are real solutions. Samples that infinitely many matrices solve
        (a pure rotation without noise, say) have arbitrary ones among these, or none.
    """
    equations = (second[..., :, None] * first[..., None, :]).flatten(-2)  # (S, 5, 9)
    basis = torch.linalg.qr(equations.transpose(-1, -2), mode="complete").Q[..., 5:]
    basis = basis.transpose(-1, -2).unflatten(-1, (3, 3))  # (S, 4, 3, 3): X, Y, Z, W
    coefficients = _expand_constraints(basis)
    cubic, _ = torch.linalg.solve_ex(coefficients[..., :10], coefficients[..., 10:])
    # Of a singular system nothing is used; the eigenvalues need finite numbers all the same.
    solved = cubic.isfinite().all(-1).all(-1)
    roots, vectors = torch.linalg.eig(_multiply_by_x(torch.where(solved[:, None, None], cubic, 0.0)))
    real = (roots.imag.abs() < _MAX_IMAGINARY * (1 + roots.real.abs())) & solved[:, None]
    scale = torch.where(vectors[..., 9, :].abs() > 0, vectors[..., 9, :], 1.0)
    unknowns = (vectors[..., 6:9, :] / scale[..., None, :]).real.transpose(-1, -2)  # (S, 10, 3): x, y, z
    weights = torch.cat([unknowns, torch.ones_like(unknowns[..., :1])], dim=-1)
    matrices = torch.einsum("srk,skij->srij", weights, basis)
    return matrices / matrices.flatten(-2).norm(dim=-1).clamp_min(1e-12)[..., None, None], real


def _expand_constraints(basis: Float[Tensor, "S 4 3 3"]) -> Float[Tensor, "S 10 20"]:
    """Coefficients of the ten equations, for the monomials of ``_fold``."""
    square = torch.einsum("saik,sbjk->sijab", basis, basis)  # E Eᵀ
    trace = square.diagonal(dim1=1, dim2=2).sum(-1)
    cubes = 2 * torch.einsum("sikab,sckj->sijabc", square, basis) - torch.einsum("sab,scij->sijabc", trace, basis)
    levi_civita = _LEVI_CIVITA.to(basis)
    determinant = torch.einsum(
        "ijk,sai,sbj,sck->sabc", levi_civita, basis[..., 0, :], basis[..., 1, :], basis[..., 2, :]
    )
    tensors = torch.cat([cubes.flatten(1, 2), determinant[:, None]], dim=1)
    return tensors.flatten(-3) @ _fold().to(basis)


@lru_cache(maxsize=1)
def _fold() -> Float[Tensor, "64 20"]:
    """Adds up the products of three of (x, y, z, 1) that are the same monomial.

    The order: x³ x²y x²z xy² xyz xz² y³ y²z yz² z³, then x² xy xz y² yz z² x y z 1.
    """
    triples = combinations_with_replacement(range(4), 3)
    monomials: list[tuple[int, ...]] = sorted(triples, key=lambda triple: (triple.count(3), triple))
    fold = torch.zeros(4, 4, 4, 20, dtype=torch.float64)
    for a in range(4):
        for b in range(4):
            for c in range(4):
                fold[a, b, c, monomials.index(tuple(sorted((a, b, c))))] = 1.0
    return fold.flatten(0, 2)


def _multiply_by_x(cubic: Float[Tensor, "S 10 10"]) -> Float[Tensor, "S 10 10"]:
    """What takes the lower ten monomials at a solution to x times them. The cubic ones are −cubic · lower."""
    action = torch.zeros_like(cubic)
    action[:, :6] = -cubic[:, :6]
    for row, column in ((6, 0), (7, 1), (8, 2), (9, 6)):  # x·x = x², x·y = xy, x·z = xz, x·1 = x
        action[:, row, column] = 1.0
    return action
