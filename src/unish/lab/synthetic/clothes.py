"""Painted people: skin, hair, face and clothes as colours and textures on the vertices of a body at rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.lab.synthetic.wardrobe.layers import PART_STEP, Part
from unish.render.scene import Mesh

Rng = np.random.Generator
FABRICS = ("stripes", "checker", "noise", "carpet", "cloudy", "poster", "noise", "bricks")
SKIN = np.array([[0.96, 0.80, 0.69], [0.87, 0.67, 0.53], [0.70, 0.48, 0.35], [0.45, 0.29, 0.20], [0.30, 0.19, 0.13]])
HAIR = np.array(
    [[0.08, 0.06, 0.05], [0.25, 0.16, 0.1], [0.45, 0.3, 0.18], [0.75, 0.6, 0.35], [0.6, 0.6, 0.6], [0.5, 0.2, 0.1]]
)


@dataclass(frozen=True, kw_only=True)
class BodyMap:
    """Where each vertex of a body lies, measured on the mean body in its T-pose.

    Attributes:
        rest: (V, 3) vertices, metres, y up, facing +z.
        faces: (F, 3).
        arm: (V,) 0 at the shoulder, 1 at the wrist, larger on the hand, negative on the trunk.
        leg: (V,) 0 at the hip's height, 1 at the ankle's, negative above.
        head: (V,) above the neck.
        face_marks: (4, 3) eyes and corners of the mouth.
    """

    rest: Float[ndarray, "V 3"]
    faces: ndarray
    arm: Float[ndarray, "V"]
    leg: Float[ndarray, "V"]
    head: Bool[ndarray, "V"]
    face_marks: Float[ndarray, "4 3"]


def map_body(
    rest: ndarray, faces: ndarray, joints: Float[ndarray, "24 3"], landmarks: Float[ndarray, "33 3"]
) -> BodyMap:
    """Measure a T-posed body with SMPL joints."""
    hip, ankle, shoulder, wrist = joints[1, 1], joints[7, 1], joints[16, 0], joints[20, 0]
    arm = (np.abs(rest[:, 0]) - abs(shoulder)) / (abs(wrist) - abs(shoulder))
    leg = (hip - rest[:, 1]) / (hip - ankle)
    head = (rest[:, 1] > joints[12, 1] + 0.25 * (joints[15, 1] - joints[12, 1])) & (np.abs(rest[:, 0]) < abs(shoulder))
    return BodyMap(
        rest=rest,
        faces=faces,
        arm=np.where(head | (leg > -0.2), -1.0, arm),  # legs may stand as wide as the shoulders
        leg=leg,
        head=head,
        face_marks=landmarks[[2, 5, 9, 10]],
    )


def dress_body(rng: Rng, body: BodyMap, bank: TextureBank, identity: int) -> Mesh:
    """The rest mesh with a random outfit; vertices and normals are replaced by the renderer's caller."""
    num = len(body.rest)
    colours, layers = paint_skin(rng, body), np.full(num, -1)
    _paint_hair(rng, body, colours)
    bare = (body.leg > 1.05) & (rng.random() < 0.08)
    shoes = (body.leg > rng.uniform(0.86, 1.02)) & ~bare
    colours[shoes] = random_colour(rng, saturation=0.6, low=0.05)
    trunk = (body.arm < 0) & ~body.head
    trouser_end = rng.choice([0.98, 0.98, 0.98, 0.55, 0.3], p=[0.25, 0.25, 0.2, 0.2, 0.1])
    waist = rng.uniform(-0.25, -0.05)
    trousers = trunk & (body.leg > waist) & (body.leg < trouser_end)
    _paint_garment(rng, bank, trousers, colours, layers)
    sleeve = rng.choice([0.02, 0.3, 0.5, 0.97, 0.97])
    hem = rng.choice([waist + 0.03, rng.uniform(0.0, 0.2), rng.uniform(0.4, 0.8)], p=[0.5, 0.4, 0.1])
    top = ((trunk & (body.leg < hem)) | ((body.arm >= 0) & (body.arm < sleeve))) & ~body.head
    _paint_garment(rng, bank, top, colours, layers)
    if rng.random() < 0.25:
        opening = top & (np.abs(body.rest[:, 0]) < rng.uniform(0.03, 0.09)) & (body.rest[:, 2] > 0)
        colours[opening], layers[opening] = random_colour(rng, low=0.3), -1
    return Mesh(
        vertices=body.rest.astype(np.float32),
        faces=body.faces.astype(np.int32),
        normals=np.zeros((num, 3), np.float32),
        colours=np.clip(colours, 0, 1).astype(np.float32),
        uv=(body.rest[:, [0, 1]] / rng.uniform(0.25, 1.2) + rng.random(2)).astype(np.float32),
        layers=layers.astype(np.int16),
        ids=np.full(num, identity + PART_STEP * Part.SKIN, np.int16),
    )


def _paint_garment(rng: Rng, bank: TextureBank, where: Bool[ndarray, "V"], colours: ndarray, layers: ndarray) -> None:
    """Plain cloth, or a fabric from the bank."""
    colours[where] = random_colour(rng, saturation=0.8, low=0.06)
    layers[where] = -1
    if rng.random() < 0.45:
        layers[where] = bank.pick(rng, *FABRICS)
        colours[where] = 1.0 if rng.random() < 0.6 else random_colour(rng, low=0.5)


def paint_skin(rng: Rng, body: BodyMap) -> Float[ndarray, "V 3"]:
    """Uneven skin with freckles on some, brows, eyes, lips, a stubble on some."""
    rest = body.rest
    skin = np.clip(SKIN[rng.integers(len(SKIN))] * rng.uniform(0.85, 1.1) + rng.normal(0, 0.015, 3), 0, 1)
    uneven = np.sin(rest @ rng.normal(0, 25, (3, 4)) + rng.uniform(0, 6.3, 4)).sum(1)
    colours = skin * (1 + 0.02 * uneven + rng.normal(0, rng.choice([0.01, 0.05]), len(rest)))[:, None]
    eyes, mouth = body.face_marks[:2], body.face_marks[2:]
    centre = mouth.mean(0)
    if rng.random() < 0.2:
        jaw = body.head & (rest[:, 1] < centre[1] + 0.015) & (rest[:, 2] > centre[2] - 0.08)
        colours[jaw] *= rng.uniform(0.6, 0.85)
    brow = HAIR[rng.integers(len(HAIR))]
    for mark in eyes:
        away = np.linalg.norm(rest - mark, axis=1)
        colours[away < 0.013] = 0.5 * colours[away < 0.013] + (0.38, 0.37, 0.36)
        colours[away < 0.008] = (0.12, 0.09, 0.08)
        above = rest - mark
        over = (np.abs(above[:, 1] - 0.023) < 0.005) & (np.abs(above[:, 0]) < 0.017) & (above[:, 2] > -0.03)
        colours[over & body.head] = 0.45 * colours[over & body.head] + 0.55 * brow
    across = np.abs(rest[:, 0]) < np.abs(mouth[:, 0]).max() * 0.9
    near = np.linalg.norm(rest[:, 1:] - centre[1:], axis=1) < 0.012
    colours[body.head & across & near] *= (0.85, 0.55, 0.55)
    return np.clip(colours, 0, 1)


def _paint_hair(rng: Rng, body: BodyMap, colours: ndarray) -> None:
    """Hair (or a hat) above a tilted line."""
    eyes = body.face_marks[:2]
    if rng.random() < 0.07:
        return
    top = body.rest[:, 1].max()
    eye_height = eyes[:, 1].mean()
    back = eyes[:, 2].mean() - body.rest[:, 2]
    # The hair line falls from the forehead to the nape; long hair falls further.
    slope = rng.uniform(0.6, 1.2) if rng.random() < 0.7 else rng.uniform(1.2, 2.2)
    line = eye_height + 0.45 * (top - eye_height) - slope * np.maximum(back - 0.03, 0)
    hair = (
        HAIR[rng.integers(len(HAIR))] * rng.uniform(0.8, 1.2)
        if rng.random() < 0.85
        else random_colour(rng, saturation=0.9)
    )
    colours[body.head & (body.rest[:, 1] > line)] = hair
