"""Hair with volume, beards, hats and glasses, all carried by the head."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.textures import random_colour
from unish.lab.synthetic.wardrobe.anatomy import BELOW_NECK, HALF_HEAD, SmoothShape
from unish.lab.synthetic.wardrobe.drapes import ramp
from unish.lab.synthetic.wardrobe.garments import Figure
from unish.lab.synthetic.wardrobe.layers import Looks, Part, Solid, bind, grid_faces
from unish.lab.synthetic.wardrobe.surfaces import trim

Rng = np.random.Generator
HEAD = 15
HAIR = np.array(
    [[0.08, 0.06, 0.05], [0.13, 0.09, 0.07], [0.25, 0.16, 0.1], [0.45, 0.3, 0.18], [0.75, 0.6, 0.35], [0.6, 0.6, 0.6],
     [0.5, 0.2, 0.1]]
)  # fmt: skip


def sample_head(
    rng: Rng, figure: Figure, marks: Float[ndarray, "4 3"], mean_marks: Float[ndarray, "4 3"]
) -> list[Solid]:
    """Hair or none, perhaps a beard, a hat, glasses.

    Args:
        marks: (4, 3) eyes and corners of the mouth of this person at rest; mean_marks: of the mean body.
    """
    hair = HAIR[rng.integers(len(HAIR))] * rng.uniform(0.8, 1.2)
    if rng.random() < 0.07:
        hair = random_colour(rng, saturation=0.9)
    style = str(
        rng.choice(["bald", "short", "full", "afro", "bob", "long", "bun", "tail"],
                   p=[0.07, 0.29, 0.16, 0.06, 0.14, 0.14, 0.07, 0.07])
    )  # fmt: skip
    hat = str(rng.choice(["none", "cap", "beanie", "brim", "helmet"], p=[0.78, 0.1, 0.06, 0.03, 0.03]))
    solids = []
    if style != "bald":
        thick = {"short": rng.uniform(0.005, 0.014), "full": rng.uniform(0.015, 0.035), "afro": rng.uniform(0.04, 0.08)}
        lift = float(thick.get(style, rng.uniform(0.008, 0.02)))
        lift = min(lift, 0.008) if hat != "none" else lift
        solids.append(_sample_cap(rng, figure, mean_marks, hair, lift))
        if style in ("bob", "long"):
            solids.append(_sample_curtain(rng, figure, marks, hair, style, lift))
        elif style in ("bun", "tail") and hat == "none":
            solids.append(_sample_knot(rng, figure, marks, hair, style))
    if rng.random() < (0.5 if style == "bald" else 0.1):
        solids.append(_sample_beard(rng, figure, mean_marks, hair))
    if hat != "none":
        solids += _sample_hat(rng, figure, marks, hat)
    if rng.random() < 0.15:
        solids.append(_sample_glasses(rng, marks))
    return solids


def _grow(
    rng: Rng, figure: Figure, field: Float[ndarray, "V"], lift: Float[ndarray, "V"], colour: ndarray, base: SmoothShape
) -> Solid:
    """Hair on the skin where ``field`` is negative, as thick as ``lift`` tells, over a smoothed head."""
    anatomy, index = figure.anatomy, figure.anatomy.head.index
    mean = anatomy.rest[index]
    away = (mean[:, 1] < anatomy.joints[12, 1] - BELOW_NECK) | (np.abs(mean[:, 0]) > HALF_HEAD)
    cut = trim(anatomy.scalp, [np.where(away, 1.0, field[index])])
    smooth = base(figure.betas)
    normals = anatomy.head.normals(smooth[..., None])[..., 0]
    # Smoothing flattens the ears and shrinks the skull; only the latter is made up for.
    above = ramp(mean[:, 1], anatomy.joints[HEAD, 1] + 0.04, anatomy.joints[HEAD, 1] + 0.09)
    lost = np.clip(((figure.rest[index] - smooth) * normals).sum(1), 0, 0.004 + 0.02 * above)
    grown = cut.points @ (smooth + (lift[index] + lost)[:, None] * normals)
    strands = np.sin(400 * grown[:, 0] + 60 * grown[:, 1]) + np.sin(310 * grown[:, 2] + 40 * grown[:, 1])
    colours = colour * (1 + 0.12 * strands + rng.normal(0, 0.08, len(grown)))[:, None]
    return Solid(
        rest=grown.astype(np.float32),
        weights=cut.points @ anatomy.skin_weights[index],
        faces=cut.faces,
        looks=Looks(colours=colours.astype(np.float32), uv=np.zeros((len(grown), 2)), part=Part.HAIR),
    )


def _sample_cap(rng: Rng, figure: Figure, mean_marks: ndarray, colour: ndarray, lift: float) -> Solid:
    """Hair above a line that falls from the forehead to the nape."""
    rest = figure.anatomy.rest
    eye, top = mean_marks[:2, 1].mean(), rest[:, 1].max()
    back = mean_marks[:2, 2].mean() - rest[:, 2]
    slope = rng.uniform(0.7, 1.1)
    line = eye + rng.uniform(0.4, 0.55) * (top - eye) - slope * np.maximum(back - 0.03, 0)
    line = line + 0.006 * np.sin(rest[:, 0] * rng.uniform(60, 120) + rng.uniform(0, 6))
    line = np.maximum(line, figure.anatomy.joints[12, 1] + 0.01)
    depth = rest[:, 1] - line
    waves = 1 + 0.18 * np.sin(rest @ rng.normal(0, 70, 3)) * np.sin(rest @ rng.normal(0, 60, 3))
    crown = 1 + rng.uniform(0, 0.6) * ramp(rest[:, 1], eye, top)
    thickness = lift * ramp(depth, -0.01, 0.015 + 0.6 * lift) * waves * crown
    return _grow(rng, figure, -depth, thickness, colour, figure.anatomy.skull)


def _sample_beard(rng: Rng, figure: Figure, mean_marks: ndarray, colour: ndarray) -> Solid:
    """Jaw and chin below the mouth's corners, perhaps the upper lip."""
    x, y, z = figure.anatomy.rest.T
    mouth = mean_marks[2:].mean(0)
    below = mouth[1] + 0.5 * np.abs(x) + rng.uniform(-0.005, 0.012) - y
    front = z - (mouth[2] - rng.uniform(0.06, 0.1))
    lips = np.hypot(x / 1.6, y - mouth[1] + 0.001) - 0.014
    neck = y - (figure.anatomy.joints[15, 1] - 0.055)
    inside = np.minimum.reduce([below + 0.02, front, lips, neck])
    return _grow(
        rng, figure, -inside, rng.uniform(0.003, 0.018) * ramp(inside, -0.004, 0.02), colour, figure.anatomy.jaw
    )


def _ring(points: Float[ndarray, "K 2"], outward: Float[ndarray, "S 2"]) -> Float[ndarray, "S"]:
    return (points @ outward.T).max(0, initial=0.03)


def _sample_curtain(rng: Rng, figure: Figure, marks: ndarray, colour: ndarray, style: str, lift: float) -> Solid:
    """Hair that falls from the sides and the back of the head, over the shoulders when it is long."""
    anatomy, rest, joints = figure.anatomy, figure.rest, figure.joints
    eye = marks[:2, 1].mean()
    crown = rest[:, 1].max()
    start = eye + 0.35 * (crown - eye)
    low = joints[12, 1] + rng.uniform(-0.01, 0.04) if style == "bob" else joints[9, 1] + rng.uniform(-0.05, 0.18)
    rows, around = 12, 40
    heights = np.linspace(start, low, rows)
    open_front = rng.uniform(0.75, 1.1)
    angle = np.linspace(np.pi / 2 + open_front, 2.5 * np.pi - open_front, around)
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centre = np.array([0.0, joints[HEAD, 2]])
    middle = (np.abs(rest[:, 0]) < 0.1) & (anatomy.leg < -0.3)
    flat = rest[:, [0, 2]] - centre
    radius = np.zeros((rows, around))
    for row, height in enumerate(heights):
        near = middle & (np.abs(rest[:, 1] - height) < 0.025)
        own = _ring(flat[near], outward) + 0.012 + 0.5 * lift
        if row == 0:
            radius[row] = own
            continue
        radius[row] = np.maximum(own if height < joints[12, 1] else 0.97 * own, 0.965 * radius[row - 1])
    strands = np.sin(angle * rng.integers(20, 30) + 2 * np.sin(np.arange(rows) * 0.5)[:, None]) * rng.uniform(
        0.002, 0.006
    )
    radius = radius + strands * np.linspace(0.3, 1, rows)[:, None]
    radius[-1] -= 0.012
    flat_points = radius[..., None] * outward + centre
    ragged = heights[:, None] + 0.02 * np.linspace(0, 1, rows)[:, None] * np.sin(angle * 3 + rng.uniform(0, 6))
    points = np.stack([flat_points[..., 0], ragged, flat_points[..., 1]], axis=-1).reshape(-1, 3)
    on_head = ramp(points[:, 1], joints[12, 1] - 0.02, joints[HEAD, 1] + 0.02)
    on_chest = (1 - on_head) * ramp(-points[:, 1], -joints[12, 1], 0.06 - joints[12, 1])
    weights = bind(len(points), HEAD) * on_head[:, None] + bind(len(points), 9) * on_chest[:, None]
    weights += bind(len(points), 12) * (1 - on_head - on_chest)[:, None]
    shade = 1 + 0.2 * np.repeat(np.sin(angle * 37)[None], rows, 0).ravel() + rng.normal(0, 0.05, len(points))
    return Solid(
        rest=points.astype(np.float32),
        weights=weights.astype(np.float32),
        faces=grid_faces(rows, around, False),
        looks=Looks(
            colours=(colour * shade[:, None]).astype(np.float32), uv=np.zeros((len(points), 2)), part=Part.HAIR
        ),
    )


def _sample_knot(rng: Rng, figure: Figure, marks: ndarray, colour: ndarray, style: str) -> Solid:
    """A bun or a ponytail behind or above the head."""
    rest = figure.rest
    eye, crown = marks[:2, 1].mean(), rest[:, 1].max()
    height = eye + rng.uniform(0.1, 0.7) * (crown - eye)
    head = (np.abs(rest[:, 0]) < 0.03) & (np.abs(rest[:, 1] - height) < 0.02)
    root = np.array([0.0, height, rest[head, 2].min() - 0.01])
    rows, around = 10, 12
    share = np.linspace(0, 1, rows)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    if style == "bun":
        size = rng.uniform(0.028, 0.05)
        radius, path = size * np.sin(np.pi * share), root + np.outer(share - 0.4, [0, 0.3 * size, -2 * size])
        side, other = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    else:
        length = rng.uniform(0.12, 0.35)
        radius = rng.uniform(0.015, 0.03) * (0.35 + np.sin(np.pi * np.minimum(share * 1.02, 1)) ** 0.7)
        radius[-1] = 0.002
        path = root + np.stack(
            [0 * share, 0.03 * np.sin(3 * share) - length * share**1.5, -0.06 * np.sin(2 * share)], 1
        )
        side, other = np.array([1.0, 0, 0]), np.array([0, 0.4, 0.9])
    ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
    points = (path[:, None] + radius[:, None, None] * ring).reshape(-1, 3)
    colours = colour * rng.uniform(0.8, 1.1, (len(points), 1))
    return Solid(
        rest=points.astype(np.float32),
        weights=bind(len(points), HEAD),
        faces=grid_faces(rows, around, True),
        looks=Looks(colours=colours.astype(np.float32), uv=np.zeros((len(points), 2)), part=Part.HAIR),
    )


def _sample_hat(rng: Rng, figure: Figure, marks: ndarray, kind: str) -> list[Solid]:
    """A dome on a ring around the forehead; a visor or a brim for some."""
    rest = figure.rest
    eye, crown = marks[:2, 1].mean(), rest[:, 1].max()
    level = eye + {"beanie": 0.35, "helmet": 0.3}.get(kind, 0.45) * (crown - eye)
    gap = {"beanie": 0.012, "helmet": 0.03}.get(kind, 0.012)
    rows, around = 9, 36
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    near = (np.abs(rest[:, 0]) < 0.12) & (rest[:, 1] > level - 0.02) & (rest[:, 1] < level + 0.03)
    flat = rest[near][:, [0, 2]]
    centre = 0.5 * (flat.max(0) + flat.min(0))
    radius = _ring(flat - centre, outward) + gap
    share = np.linspace(0, 1, rows)[:, None]
    top = crown + gap + {"beanie": rng.uniform(0.0, 0.05), "brim": 0.03}.get(kind, 0.01)
    wide = np.sqrt(np.maximum(1 - share ** rng.uniform(2.0, 3.5), 0)) * radius
    wide[-1] = 0.003
    height = level + (top - level) * share + 0 * wide
    colour = random_colour(rng, saturation=0.8, low=0.06)
    sheets = [(wide, height)]
    if kind in ("cap", "brim"):
        reach = rng.uniform(0.05, 0.08) * (np.clip(np.sin(angle), 0, 1) ** 0.5 if kind == "cap" else np.ones(around))
        out = np.linspace(0, 1, 4)[:, None]
        sheets.append((radius - 0.004 + out * reach, level - 0.012 * out**2 + 0 * out * reach))
    elif kind == "beanie":
        out = np.array([0.0, 0.008, 0.009, 0.002])[:, None]
        sheets.append((radius + out, level + np.array([-0.012, -0.008, 0.03, 0.035])[:, None] + 0 * radius))
    tilt = np.deg2rad(rng.uniform(4, 14))
    solids = []
    for number, (wide, height) in enumerate(sheets):
        points = np.stack([wide * outward[:, 0] + centre[0], height, wide * outward[:, 1] + centre[1]], -1)
        local = points.reshape(-1, 3) - [centre[0], level, centre[1]]
        turn = np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
        points = local @ turn.T + [centre[0], level, centre[1]]
        shade = colour * (1 - 0.25 * number) * rng.uniform(0.95, 1.05, (len(points), 1))
        solids.append(
            Solid(
                rest=points.astype(np.float32),
                weights=bind(len(points), HEAD),
                faces=grid_faces(len(wide), around, True),
                looks=Looks(colours=shade.astype(np.float32), uv=np.zeros((len(points), 2)), part=Part.HAIR),
            )
        )
    return solids


def _sample_glasses(rng: Rng, marks: ndarray) -> Solid:
    """Two rims or dark panes in front of the eyes, and bars to the ears."""
    wide, thick = rng.uniform(0.019, 0.026), 0.003
    dark = rng.random() < 0.4
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    inner = 0.0 if dark else wide - thick
    points, faces, start = [], [], 0
    for eye in marks[:2]:
        for radius in (inner, wide):
            points.append(eye + np.stack([radius * np.cos(angle), 0.85 * radius * np.sin(angle), 0.016 + 0 * angle], 1))
        faces.append(grid_faces(2, 14, True) + start)
        start += 28
        side = np.sign(eye[0])
        bar = eye + np.array(
            [
                [side * wide, 0.003, 0.014],
                [side * wide, 0.007, 0.014],
                [side * 0.052, 0.003, -0.09],
                [side * 0.052, 0.007, -0.09],
            ]
        )
        points.append(bar)
        faces.append(np.array([[0, 1, 2], [1, 3, 2]]) + start)
        start += 4
    middle = marks[:2].mean(0)
    half = abs(marks[0, 0]) - wide
    points.append(
        middle + np.array([[-half, 0.002, 0.017], [-half, 0.006, 0.017], [half, 0.002, 0.017], [half, 0.006, 0.017]])
    )
    faces.append(np.array([[0, 1, 2], [1, 3, 2]]) + start)
    rest = np.concatenate(points)
    colour = np.array([0.05, 0.05, 0.06]) if rng.random() < 0.7 else random_colour(rng)
    return Solid(
        rest=rest.astype(np.float32),
        weights=bind(len(rest), HEAD),
        faces=np.concatenate(faces),
        looks=Looks(
            colours=np.broadcast_to(colour, (len(rest), 3)).astype(np.float32),
            uv=np.zeros((len(rest), 2)),
            part=Part.CLOTHES,
        ),
    )
