"""The place where a clip happens: geometry, obstacles, light. Stage axes: y up, metres, people's floor at y = 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from unish.render.scene import Lighting, Mesh


@dataclass(frozen=True, kw_only=True)
class Prop:
    """A thing that stands somewhere, with its axis-aligned bounds."""

    mesh: Mesh
    low: Float[ndarray, "3"]
    high: Float[ndarray, "3"]

    @classmethod
    def of(cls, mesh: Mesh) -> Prop:
        return cls(mesh=mesh, low=mesh.vertices.min(0), high=mesh.vertices.max(0))

    def distance(self, points: Float[ndarray, "N 3"]) -> Float[ndarray, "N"]:
        """Distance of points to the bounds; 0 inside."""
        return np.linalg.norm(np.maximum(np.maximum(self.low - points, points - self.high), 0), axis=-1)

    def blocks(self, start: Float[ndarray, "3"], end: Float[ndarray, "3"]) -> bool:
        """Does the segment between two points pass through the bounds? (Slab test.)"""
        step = np.where(np.abs(end - start) < 1e-9, 1e-9, end - start)
        near, far = (self.low - start) / step, (self.high - start) / step
        return bool(max(np.minimum(near, far).max(), 0.0) <= min(np.maximum(near, far).min(), 1.0))


@dataclass(frozen=True, kw_only=True)
class KeepOut:
    """Floor discs that furniture must leave free, because people use them.

    Attributes:
        centres: (K, 2) x, z; radius: metres.
    """

    centres: Float[ndarray, "K 2"]
    radius: float

    def hits(self, prop: Prop) -> bool:
        """Does the prop stand in a disc? (Things above head height never do.)"""
        if len(self.centres) == 0 or prop.low[1] > 2.1:
            return False
        low, high = prop.low[[0, 2]], prop.high[[0, 2]]
        outside = np.maximum(np.maximum(low - self.centres, self.centres - high), 0)
        return bool((np.linalg.norm(outside, axis=1) < self.radius).any())


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A place ready to be filmed.

    Attributes:
        kind: what it is.
        shell: surfaces that cast no shadow (walls, ground, sky).
        props: what stands in it.
        lighting: as the renderer takes it.
        low, high: (3,) bounds within which a camera may be.
        ground: height of the floor at (N, 2) positions (x, z).
        outdoors: is there a sky?
    """

    kind: str
    shell: Mesh
    props: tuple[Prop, ...]
    lighting: Lighting
    low: Float[ndarray, "3"]
    high: Float[ndarray, "3"]
    ground: Callable[[Float[ndarray, "N 2"]], Float[ndarray, "N"]]
    outdoors: bool

    @cached_property
    def bounds(self) -> tuple[Float[ndarray, "K 3"], Float[ndarray, "K 3"]]:
        """Lowest and highest corners of the props."""
        low = np.array([prop.low for prop in self.props]).reshape(-1, 3)
        return low, np.array([prop.high for prop in self.props]).reshape(-1, 3)

    def clear(self, points: Float[ndarray, "N 3"], gap: float) -> Bool[ndarray, "N"]:
        """Which points are inside the bounds, above the ground and at least ``gap`` away from every prop."""
        free = np.all((points >= self.low) & (points <= self.high), axis=1)
        free &= points[:, 1] > self.ground(points[:, [0, 2]]) + 0.25
        if self.props:
            low, high = self.bounds
            outside = np.maximum(np.maximum(low - points[:, None], points[:, None] - high), 0)
            free &= (np.linalg.norm(outside, axis=-1) >= gap).all(axis=1)
        return free


def flat_ground(positions: Float[ndarray, "N 2"]) -> Float[ndarray, "N"]:
    """Height of an even floor."""
    return np.zeros(len(positions))


class Furnishing:
    """Props that stand so far, with their bounds as arrays: what is added touches neither them nor the people's floor.

    Attributes:
        props: in the order in which they came.
    """

    def __init__(
        self, fixtures: list[Prop], keep_out: KeepOut, low: Float[ndarray, "2"], high: Float[ndarray, "2"]
    ) -> None:
        """``low``, ``high``: x and z within which everything must stand."""
        self.props = list(fixtures)
        self._keep_out, self._low, self._high = keep_out, low, high

    def add(self, piece: Sequence[Mesh]) -> bool:
        """Add a body and what belongs to it. A body that does not fit adds nothing; other parts are left out singly."""
        parts = [Prop.of(mesh) for mesh in piece if len(mesh.vertices)]
        if not parts:
            return False
        low, high = np.stack([part.low for part in parts]), np.stack([part.high for part in parts])
        fits = np.all((low[:, [0, 2]] >= self._low) & (high[:, [0, 2]] <= self._high), axis=1)
        if self.props:
            others_low, others_high = (
                np.stack([getattr(prop, name) for prop in self.props]) for name in ("low", "high")
            )
            meet = np.all((low[:, None] < others_high + 0.01) & (others_low < high[:, None] + 0.01), axis=2)
            fits &= ~np.any(meet, axis=1)
        if not fits[0] or self._keep_out.hits(parts[0]):
            return False
        self.props += [part for part, fit in zip(parts, fits, strict=True) if fit and not self._keep_out.hits(part)]
        return True
