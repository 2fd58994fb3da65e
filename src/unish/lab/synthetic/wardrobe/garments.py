"""Clothes for one person: which are worn, how loose they are, where they end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from unish.lab.synthetic.textures import TextureBank, random_colour
from unish.lab.synthetic.wardrobe.anatomy import Anatomy
from unish.lab.synthetic.wardrobe.drapes import ramp, sample_drape
from unish.lab.synthetic.wardrobe.folds import sample_folds
from unish.lab.synthetic.wardrobe.layers import ClothLayer, Drape, Looks, with_border
from unish.lab.synthetic.wardrobe.surfaces import trim

Rng = np.random.Generator
FABRICS = ("stripes", "checker", "noise", "carpet", "cloudy", "poster", "noise", "bricks")
BETWEEN = 0.004
"""Metres between two garments worn one over the other."""
UNDER_HEM = 0.035
"""Skin and cloth further under another garment than this (metres) are left out."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One person at rest: betas (S,), vertices (V, 3), joints (24, 3), how far a smoothed skin lies above."""

    anatomy: Anatomy
    betas: Float[ndarray, "S"]
    rest: Float[ndarray, "V 3"]
    joints: Float[ndarray, "24 3"]
    hollows: Float[ndarray, "V"]

    @property
    def height(self) -> float:
        """Metres from the soles to the top of the head."""
        return float(np.ptp(self.rest[:, 1]))


@dataclass(frozen=True, kw_only=True)
class Dressing:
    """What is worn, inner pieces first; ``hidden`` (V,) tells how deep under clothes the skin is (negative, metres)."""

    cloth: list[ClothLayer]
    drapes: list[Drape]
    hidden: Float[ndarray, "V"]


@dataclass(frozen=True, kw_only=True)
class Garment:
    """A garment before it is cut: fields over body vertices, metres of the mean body, negative where there is cloth.

    Garments of one ``seed`` and fold height lie in the same folds.
    """

    fields: list[Float[ndarray, "V"]]
    thickness: Float[ndarray, "V"]
    slack: Float[ndarray, "V"]
    folds: float
    looks: tuple[ndarray, int, float]
    seed: int = 0

    @property
    def cover(self) -> Float[ndarray, "V"]:
        return np.max(self.fields, axis=0)


def sample_dressing(rng: Rng, figure: Figure, bank: TextureBank) -> Dressing:
    """A random set of clothes that fits together."""
    anatomy = figure.anatomy
    bottom = str(rng.choice(["trousers", "leggings", "shorts", "skirt", "dress"], p=[0.5, 0.1, 0.16, 0.12, 0.12]))
    waist = float(rng.uniform(-0.24, -0.12))
    top, tucked = _sample_top(rng, figure, bank, waist, bottom)
    garments, drapes = [], []
    hidden = np.full(len(anatomy.rest), 1.0)
    if bottom in ("skirt", "dress"):
        hem = float(rng.choice([rng.uniform(0.25, 0.4), rng.uniform(0.45, 0.65), rng.uniform(0.75, 0.93)]))
        looks = top.looks if bottom == "dress" else sample_fabric(rng, bank)
        skirt_top = waist - 0.02
        drapes.append(
            sample_drape(
                rng, anatomy, figure.rest, figure.joints, top=skirt_top, hem=hem,
                flare=float(rng.choice([0.02, 0.12, 0.3])), gap=0.014, opening=0.0, looks=looks,
            )
        )  # fmt: skip
        hidden = np.minimum(hidden, _under_drape(anatomy, skirt_top, hem))
        if rng.random() < 0.3:
            garments.append(_sample_trousers(rng, figure, bank, waist, "leggings"))
    else:
        garments.append(_sample_trousers(rng, figure, bank, waist, bottom))
    garments.insert(0 if tucked else len(garments), top)
    outer = top
    if rng.random() < 0.3:
        jacket, coat = _sample_jacket(rng, figure, bank, waist)
        garments.append(jacket)
        outer = jacket
        if coat is not None:
            drapes.append(coat)
    layers = []
    under_drapes, pile = hidden, np.zeros(len(hidden))
    for number, garment in enumerate(garments):
        # What is worn over another piece lies above it wherever both are.
        raised = replace(
            garment, thickness=np.maximum(garment.thickness, pile + BETWEEN), seed=int(rng.integers(2**31))
        )
        pile = np.where(garment.cover < 0.03, np.maximum(pile, raised.thickness + 0.3 * garment.folds), pile)
        over = np.min([under_drapes + 0.05, *[other.cover for other in garments[number + 1 :]]], axis=0)
        layers += _cut(rng, figure, raised, over)
        if garment is outer:
            for extra in _sample_trimmings(rng, figure, bank, raised):
                layers += _cut(rng, figure, extra, np.ones(len(hidden)))
        hidden = np.minimum(hidden, garment.cover)
    return Dressing(cloth=layers, drapes=drapes, hidden=hidden)


def sample_fabric(rng: Rng, bank: TextureBank) -> tuple[ndarray, int, float]:
    """Colour, texture layer (−1 = plain) and metres per tile."""
    if rng.random() < 0.55:
        return random_colour(rng, saturation=0.8, low=0.06), -1, 1.0
    colour = np.ones(3) if rng.random() < 0.6 else random_colour(rng, low=0.5)
    return colour, bank.pick(rng, *FABRICS), float(rng.uniform(0.15, 0.9))


def _cut(rng: Rng, figure: Figure, garment: Garment, over: Float[ndarray, "V"]) -> list[ClothLayer]:
    """The layer of a garment, without what lies deep under those worn over it; none if nothing is left."""
    anatomy = figure.anatomy
    cut = trim(anatomy.fine, garment.fields)
    edges = cut.find_borders(anatomy.fine)
    of_body = np.column_stack([anatomy.rest, garment.thickness, garment.slack, over]).astype(np.float32)
    values = cut.points @ of_body
    flat, (thickness, slack, depth) = np.ascontiguousarray(values[:, :3]), values[:, 3:].T
    colour, layer, tile = garment.looks
    uv = np.stack([flat[:, 0] + 0.5 * flat[:, 2], flat[:, 1] + 0.3 * flat[:, 2]], axis=1) / tile
    shade = 1 + 0.05 * np.sin(flat @ rng.normal(0, 9, 3) + rng.uniform(0, 6))[:, None]
    cloth = ClothLayer(
        points=cut.points,
        faces=cut.faces,
        thickness=thickness,
        slack=slack,
        folds=sample_folds(np.random.default_rng(garment.seed), anatomy, flat, garment.folds),
        looks=Looks(colours=(colour * shade).astype(np.float32), uv=uv, layer=layer),
    )
    kept = ~(depth < -UNDER_HEM)[cut.faces].all(1)
    hemmed = with_border(cloth, edges)
    shown = np.append(kept, np.ones(2 * len(edges), bool))
    return [replace(hemmed, faces=hemmed.faces[shown])] if kept.any() else []


def _fields(anatomy: Anatomy) -> tuple[ndarray, ndarray]:
    """Metres along the arm from the shoulder, metres down from the hip's height, on the mean body."""
    joints = anatomy.joints
    arm_length = joints[20, 0] - joints[16, 0]
    leg_length = joints[1, 1] - joints[7, 1]
    return np.where(anatomy.arm < 0, -0.2, anatomy.arm * arm_length), anatomy.leg * leg_length


def _neckline(rng: Rng, anatomy: Anatomy, depth: float, wide: float) -> Float[ndarray, "V"]:
    """Negative below a tilted plane around the neck; lower in front by ``depth`` metres, as a V of that width."""
    x, y, z = anatomy.rest.T
    edge = anatomy.joints[12, 1] - 0.035 - 0.35 * (z - anatomy.joints[12, 2])
    edge = edge - depth * np.clip(1 - np.abs(x) / wide, 0, 1) * (z > anatomy.joints[12, 2])
    return np.minimum(y - edge, 0.13 - np.abs(x))


def _sample_top(rng: Rng, figure: Figure, bank: TextureBank, waist: float, bottom: str) -> tuple[Garment, bool]:
    """Shirt, T-shirt, pullover or vest, and whether the trousers are worn over it."""
    anatomy = figure.anatomy
    along, down = _fields(anatomy)
    arm_length = anatomy.joints[20, 0] - anatomy.joints[16, 0]
    leg_length = anatomy.joints[1, 1] - anatomy.joints[7, 1]
    sleeve = float(rng.choice([0.05, 0.35, 0.5, 0.97, 0.97], p=[0.08, 0.3, 0.12, 0.3, 0.2]))
    loose = float(rng.uniform(0.0, 1.0)) ** 1.3
    tucked = bottom in ("skirt", "dress") or rng.random() < 0.25
    hem = waist + 0.09 if tucked else float(rng.uniform(-0.08, 0.06))
    fields = [
        down - hem * leg_length,
        np.where(anatomy.rest[:, 1] > anatomy.joints[9, 1] + 0.08, along - sleeve * arm_length, -0.2),
        _neckline(rng, anatomy, float(rng.choice([0.0, 0.03, 0.1])), float(rng.uniform(0.05, 0.1))),
    ]
    at_waist = ramp(down, -0.5 * leg_length, -0.1 * leg_length) * (0.2 if tucked else 1.0)
    on_sleeve = np.where(along > 0, 0.35 + 0.65 * ramp(along, 0, 0.6 * arm_length), 0)
    thick = 0.007 + 0.008 * loose
    room = 0.022 * loose * np.maximum(at_waist, 0.8 * on_sleeve)
    thick = thick * (1 - 0.6 * tucked * ramp(down, (waist - 0.15) * leg_length, waist * leg_length))
    thickness = thick + room + (0.5 + 0.5 * loose) * figure.hollows * (along < 0)
    return (
        Garment(
            fields=fields,
            thickness=thickness,
            slack=0.9 * room,
            folds=float(0.004 + 0.012 * loose),
            looks=sample_fabric(rng, bank),
        ),
        tucked,
    )


def _sample_trimmings(rng: Rng, figure: Figure, bank: TextureBank, garment: Garment) -> list[Garment]:
    """A collar, a print on the chest or the back, a strip of buttons or a zip; each on some."""
    x, y, z = figure.anatomy.rest.T
    middle = z - figure.anatomy.joints[12, 2]
    neck = np.minimum(garment.fields[2], 1.0)
    pieces = []
    if rng.random() < 0.4:
        height = float(rng.uniform(0.02, 0.035))
        band = [-(neck + 0.014), neck - height, np.abs(x) - 0.11, figure.anatomy.joints[9, 1] + 0.1 - y]
        stand = garment.thickness + 0.004 + 0.3 * np.clip(0.02 - neck, 0, 0.03) * rng.random()
        pieces.append(replace(garment, fields=band, thickness=stand, slack=0 * stand, folds=0.0))
    lifted = replace(garment, thickness=garment.thickness + 0.003)
    if rng.random() < 0.3:
        wide, tall, side = rng.uniform(0.05, 0.12), rng.uniform(0.04, 0.13), rng.choice([-1, 1], p=[0.3, 0.7])
        centre = figure.anatomy.joints[9, 1] + rng.uniform(-0.02, 0.1)
        patch = [x - wide, -x - wide, y - centre - tall, centre - tall - y, -side * middle]
        looks = (np.ones(3), bank.pick(rng, "poster", "text", "poster", "carpet"), float(rng.uniform(0.1, 0.3)))
        pieces.append(replace(lifted, fields=[*garment.fields, *patch], looks=looks))
    elif rng.random() < 0.3:
        strip = [x - 0.008, -x - 0.008, -middle]
        pieces.append(replace(lifted, fields=[*garment.fields, *strip], looks=(random_colour(rng), -1, 1.0)))
    return pieces


def _sample_trousers(rng: Rng, figure: Figure, bank: TextureBank, waist: float, kind: str) -> Garment:
    """Trousers, shorts or leggings."""
    anatomy = figure.anatomy
    _, down = _fields(anatomy)
    leg_length = anatomy.joints[1, 1] - anatomy.joints[7, 1]
    end = float(rng.uniform(0.25, 0.5)) if kind == "shorts" else float(rng.uniform(0.9, 0.97))
    loose = 0.0 if kind == "leggings" else float(rng.uniform(0.1, 1.0))
    in_arm = np.where(anatomy.arm > 0.0, 0.2, -0.2)
    room = 0.02 * loose * ramp(down, 0.05 * leg_length, 0.5 * leg_length)
    if kind == "shorts":
        room = room + 0.018 * loose * ramp(down, 0, end * leg_length)
    return Garment(
        fields=[waist * leg_length - down, down - end * leg_length, in_arm],
        thickness=0.004 + 0.003 * loose + room + 0.5 * loose * figure.hollows,
        slack=0.7 * room,
        folds=float(0.002 + 0.012 * loose),
        looks=sample_fabric(rng, bank) if rng.random() < 0.35 else (_trouser_colour(rng), -1, 1.0),
    )


def _trouser_colour(rng: Rng) -> ndarray:
    """Denim, black, grey, beige or anything."""
    base = np.array([[0.2, 0.27, 0.42], [0.1, 0.1, 0.11], [0.35, 0.35, 0.36], [0.62, 0.54, 0.42], [0.12, 0.15, 0.22]])
    return np.clip(base[rng.integers(len(base))] * rng.uniform(0.7, 1.4) + rng.normal(0, 0.02, 3), 0.02, 1)


def _sample_jacket(rng: Rng, figure: Figure, bank: TextureBank, waist: float) -> tuple[Garment, Drape | None]:
    """A jacket, open or closed, or a coat whose lower half hangs around the legs."""
    anatomy = figure.anatomy
    along, down = _fields(anatomy)
    x, _, z = anatomy.rest.T
    arm_length = anatomy.joints[20, 0] - anatomy.joints[16, 0]
    leg_length = anatomy.joints[1, 1] - anatomy.joints[7, 1]
    loose, is_coat, open_width = float(rng.random()), rng.random() < 0.45, float(rng.choice([0.0, 0.03, 0.07]))
    hem = waist + 0.1 if is_coat else float(rng.uniform(-0.02, 0.1))
    fields = [
        down - hem * leg_length,
        np.where(anatomy.rest[:, 1] > anatomy.joints[9, 1] + 0.08, along - 0.99 * arm_length, -0.2),
        _neckline(rng, anatomy, 0.06, 0.08) - 0.012,
    ]
    if open_width:
        fields.append(np.minimum(open_width - np.abs(x), z - anatomy.joints[12, 2]))
    room = 0.02 * loose * np.maximum(ramp(down, -0.5 * leg_length, 0), 0.5 * (along > 0))
    looks = sample_fabric(rng, bank) if rng.random() < 0.3 else (_trouser_colour(rng), -1, 1.0)
    jacket = Garment(
        fields=fields,
        thickness=0.026 + 0.014 * loose + room + figure.hollows * (along < 0),
        slack=0.3 * room,
        folds=float(0.006 + 0.01 * loose),
        looks=looks,
    )
    if not is_coat:
        return jacket, None
    coat = sample_drape(
        rng, anatomy, figure.rest, figure.joints, top=waist, hem=float(rng.uniform(0.2, 0.75)),
        flare=float(rng.uniform(0.02, 0.2)), gap=0.032 + 0.014 * loose,
        opening=max(open_width / 0.14, 0.02), looks=looks,
    )  # fmt: skip
    return jacket, coat


def _under_drape(anatomy: Anatomy, top: float, hem: float) -> Float[ndarray, "V"]:
    """How deep the skin lies inside a skirt, which gapes at its hem."""
    leg_length = anatomy.joints[1, 1] - anatomy.joints[7, 1]
    inside = np.maximum(top - anatomy.leg, anatomy.leg - hem + 0.15) * leg_length
    return np.where(anatomy.arm < 0, inside, 1.0)
