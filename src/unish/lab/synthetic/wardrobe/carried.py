"""Things that people carry: in a hand, hanging from it, or on the back."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.lab.synthetic.wardrobe.garments import Figure
from unish.lab.synthetic.wardrobe.layers import Looks, Part, Solid, bind, grid_faces

Rng = np.random.Generator
CHEST = 9
HANDS = (22, 23)
SIZES = {
    "phone": (0.075, 0.009, 0.15), "box": (0.3, 0.22, 0.25), "ball": (0.2, 0.2, 0.2), "stick": (0.025, 0.025, 0.9),
    "cup": (0.08, 0.1, 0.08),
}  # fmt: skip
"""Widths in metres along the arm, away from the palm and across the hand."""


def sample_carried(rng: Rng, figure: Figure, bank: TextureBank) -> list[Solid]:
    """Mostly nothing; else one thing in or under a hand, perhaps a backpack."""
    solids = []
    if rng.random() < 0.1:
        solids.append(_sample_backpack(rng, figure, bank))
    if rng.random() < 0.22:
        kind = str(rng.choice([*SIZES, "handbag"]))
        hand = int(rng.choice(HANDS))
        solids.append(
            _sample_handbag(rng, figure, bank, hand) if kind == "handbag" else _hold(rng, figure, bank, kind, hand)
        )
    return solids


def make_lump(
    size: Float[ndarray, "3"], squareness: float, rows: int = 9, around: int = 16
) -> tuple[Float[ndarray, "W 3"], Int[ndarray, "F 3"]]:
    """A superellipsoid about the origin: an ellipsoid at squareness 1, nearly a box at 0.2; closed by a point each."""
    up = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False) + np.pi / 4

    def power(values: ndarray) -> ndarray:
        return np.sign(values) * np.abs(values) ** squareness

    points = np.stack(
        np.broadcast_arrays(
            power(np.cos(up)) * power(np.cos(turn)), power(np.sin(up)), power(np.cos(up)) * power(np.sin(turn))
        ),
        -1,
    )
    return points.reshape(-1, 3) * size / 2, grid_faces(rows, around, True)


def _looks(rng: Rng, bank: TextureBank, points: ndarray) -> Looks:
    textured = rng.random() < 0.4
    colour = np.full(3, 0.95) if textured else random_colour(rng, saturation=0.8, low=0.05)
    return Looks(
        colours=np.broadcast_to(colour, points.shape).astype(np.float32),
        uv=points[:, :2] / rng.uniform(0.15, 0.4),
        layer=bank.pick(rng, "poster", "noise", "stripes", "text", "cloudy") if textured else -1,
        part=Part.CARRIED,
    )


def _hold(rng: Rng, figure: Figure, bank: TextureBank, kind: str, hand: int) -> Solid:
    """Something rigid against the palm, which faces down in the rest pose."""
    size = np.array(SIZES[kind]) * rng.uniform(0.8, 1.2) * np.clip(figure.height / 1.7, 0.6, 1.1)
    points, faces = make_lump(size, 1.0 if kind == "ball" else 0.25)
    centre = figure.joints[hand] - [0, 0.02 + size[1] / 2, 0]
    return Solid(
        rest=(points + centre).astype(np.float32),
        weights=bind(len(points), hand),
        faces=faces,
        looks=_looks(rng, bank, points),
    )


def _sample_handbag(rng: Rng, figure: Figure, bank: TextureBank, hand: int) -> Solid:
    """A bag and its two-sided strap, upright below the hand."""
    scale = np.clip(figure.height / 1.7, 0.55, 1.1)
    size = np.array([rng.uniform(0.08, 0.14), rng.uniform(0.2, 0.32), rng.uniform(0.25, 0.38)]) * scale
    strap = rng.uniform(0.05, 0.18) * scale
    points, faces = make_lump(size, 0.35)
    points = points - [0, strap + size[1] / 2, 0]
    across = 0.3 * size[2]
    ends = np.array([[0, 0, 0], [0.0, -strap - 0.02, across], [0.0, -strap - 0.02, -across]])
    half = np.array([0.012, 0, 0])
    band = np.concatenate([ends + half, ends - half])
    strips = np.array([[0, 1, 4], [0, 4, 3], [0, 2, 5], [0, 5, 3]]) + len(points)
    points = np.concatenate([points, band])
    return Solid(
        rest=(points + figure.joints[hand]).astype(np.float32),
        weights=bind(len(points), hand),
        faces=np.concatenate([faces, strips]),
        looks=_looks(rng, bank, points),
        hanging=True,
    )


def _sample_backpack(rng: Rng, figure: Figure, bank: TextureBank) -> Solid:
    """A pack behind the chest with a strap over each shoulder."""
    rest, joints = figure.rest, figure.joints
    trunk = joints[12, 1] - joints[0, 1]
    size = np.array([rng.uniform(0.45, 0.6), rng.uniform(0.7, 0.95), rng.uniform(0.25, 0.4)]) * trunk
    middle = joints[CHEST, 1] + 0.03
    behind = (np.abs(rest[:, 0]) < 0.1) & (np.abs(rest[:, 1] - middle) < 0.35 * trunk)
    back, front = rest[behind, 2].min(), rest[behind, 2].max()
    points, faces = make_lump(size, 0.4)
    centre = np.array([0, middle, back - 0.025 - 0.42 * size[2]])
    parts, triangles, start = [points + centre], [faces], len(points)
    side = 0.5 * joints[16, 0] + 0.02
    over = rest[(np.abs(np.abs(rest[:, 0]) - side) < 0.03) & (rest[:, 1] < joints[12, 1])]
    shoulder = over[:, 1].max() + 0.03
    line = np.array([
        [back - 0.03, shoulder - 0.1 * trunk], [back + 0.02, shoulder - 0.01], [joints[16, 2], shoulder],
        [front - 0.03, shoulder - 0.08 * trunk], [front + 0.03, middle + 0.1 * trunk], [front, middle - 0.15 * trunk],
        [back - 0.02, middle - 0.3 * trunk],
    ])  # fmt: skip
    for sign in (-1, 1):
        for out in (-0.02, 0.02):
            wide = np.where(np.arange(7) >= 5, 0.05, 0.0)
            parts.append(np.stack([sign * (side + out + wide), line[:, 1], line[:, 0]], axis=1))
        triangles.append(grid_faces(2, 7, False) + start)
        start += 14
    rest_points = np.concatenate(parts)
    weights = bind(len(rest_points), CHEST)
    # Straps go with the skin that they lie on, as far as a strap can.
    straps = rest_points[len(points) :]
    nearest = np.linalg.norm(straps[:, None] - rest[None], axis=-1).argmin(1)
    weights[len(points) :] = figure.anatomy.skin_weights[nearest]
    return Solid(
        rest=rest_points.astype(np.float32),
        weights=weights,
        faces=np.concatenate(triangles),
        looks=_looks(rng, bank, rest_points),
    )
