"""More tileable pictures: cloth, wood, stone, metal, prints."""

from __future__ import annotations

import numpy as np
from numpy import ndarray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from unish.lab.synthetic.patterns import SIDE, blend, grid_cells, masonry, power_noise, random_colour

Rng = np.random.Generator
_LINE = np.arange(SIDE) / SIDE


def _grid() -> tuple[ndarray, ndarray]:
    y, x = np.meshgrid(_LINE, _LINE, indexing="ij")
    return y, x


def _fabric(rng: Rng) -> ndarray:
    """Weave of two yarns, at times in checks."""
    y, x = _grid()
    threads = int(rng.integers(24, 64))
    over = (np.floor(y * threads) + np.floor(x * threads)) % 2
    relief = np.where(over > 0, np.sin(np.pi * (y * threads % 1)), np.sin(np.pi * (x * threads % 1)))
    warp, weft = random_colour(rng, saturation=0.7), random_colour(rng, saturation=0.7)
    if rng.random() < 0.4:
        count = 2 * int(rng.integers(1, 5))
        bands = (np.floor(_LINE * count) % 2).astype(float)
        other = random_colour(rng, saturation=0.8)
        down, across = blend(warp, other, bands[:, None]), blend(warp, other, bands[None])
        cloth = np.where(
            over[..., None] > 0, np.broadcast_to(down, (SIDE, SIDE, 3)), np.broadcast_to(across, (SIDE, SIDE, 3))
        )
    else:
        cloth = blend(warp, warp * 0.7 + 0.3 * weft, over)
    return cloth * (0.7 + 0.4 * relief + 0.3 * (power_noise(rng, 0.8) - 0.5))[..., None]


def _knit(rng: Rng) -> ndarray:
    y, x = _grid()
    count = int(rng.integers(10, 28))
    bend = np.abs((x * count) % 1 - 0.5) * 0.8
    stitch = np.sin(2 * np.pi * (y * count * 1.0 + bend)) * 0.5 + 0.5
    return (
        random_colour(rng, saturation=0.7, low=0.3)
        * (0.55 + 0.5 * stitch + 0.2 * (power_noise(rng, 0.5) - 0.5))[..., None]
    )


def _wood(rng: Rng) -> ndarray:
    """Grain along x, bent around a few knots."""
    y, x = _grid()
    bend = power_noise(rng, 2.0, stretch=(1, 3)) * rng.uniform(0.1, 0.4)
    for _ in range(int(rng.integers(0, 4))):
        at = rng.random(2)
        dy, dx = (np.mod(a - c + 0.5, 1) - 0.5 for a, c in ((y, at[0]), (x, at[1])))
        bend = bend + 0.12 * np.exp(-((dy * 9) ** 2) - (dx * 4) ** 2)
    rings = np.abs(np.sin(np.pi * (y * int(rng.integers(2, 7)) + bend * rng.uniform(8, 22))))
    pores = power_noise(rng, 0.5, stretch=(1, 12))
    base = np.array([0.66, 0.48, 0.31]) * rng.uniform(0.45, 1.35) + rng.normal(0, 0.05, 3)
    return base * (1 - rng.uniform(0.1, 0.35) * rings**2 + rng.uniform(0.1, 0.4) * (pores - 0.5))[..., None]


def _terrazzo(rng: Rng) -> ndarray:
    chips = power_noise(rng, rng.uniform(0.8, 1.3))
    levels = np.digitize(chips, np.quantile(chips, [0.12, 0.3, 0.72, 0.9]))
    base = random_colour(rng, saturation=0.2, low=0.5)
    colours = np.stack(
        [random_colour(rng, saturation=0.4), base * 0.97, base, base * 1.03, random_colour(rng, saturation=0.4)]
    )
    return np.clip(colours[levels], 0, 1) * (0.95 + 0.1 * power_noise(rng, 0.2))[..., None]


def _concrete(rng: Rng) -> ndarray:
    """Grey with stains, pores and at times seams."""
    base = np.full(3, rng.uniform(0.4, 0.75)) + rng.normal(0, 0.02, 3)
    stains = np.clip(power_noise(rng, 1.6, stretch=(0.4, 1)) - 0.45, 0, 1) * rng.uniform(0.3, 1.0)
    pores = (power_noise(rng, 0.2) > rng.uniform(0.86, 0.95)) * rng.uniform(0.1, 0.4)
    seams = np.zeros((SIDE, SIDE))
    if rng.random() < 0.5:
        seams = grid_cells(int(rng.integers(1, 3)), int(rng.integers(1, 3)), 0.0, 0.004)[2] * 0.4
    return base * (1.05 - stains - pores - seams + 0.15 * (power_noise(rng, 0.7) - 0.5))[..., None]


def _plaster(rng: Rng) -> ndarray:
    """Painted wall: trowel marks shaded from the side, dirt and wear in patches."""
    relief = power_noise(rng, rng.uniform(0.6, 1.5))
    shade = np.gradient(relief, axis=0) * rng.uniform(0.3, 3.0)
    base = random_colour(rng, saturation=0.2, low=0.55, high=1.0)
    wear = np.clip(power_noise(rng, 1.7) - rng.uniform(0.55, 0.8), 0, 1) * rng.uniform(0.5, 3)
    return (
        blend(base, base * rng.uniform(0.5, 0.9, 3), np.clip(wear, 0, 1)) * (1 + np.clip(shade, -0.3, 0.3))[..., None]
    )


def _metal(rng: Rng) -> ndarray:
    brushed = power_noise(rng, 0.4, stretch=(1, 30))
    rust = np.clip(power_noise(rng, 1.4) - rng.uniform(0.6, 1.0), 0, 1) * 3
    steel = np.full(3, rng.uniform(0.5, 0.85)) * (0.85 + 0.3 * brushed)[..., None]
    return blend(steel, np.array([0.45, 0.27, 0.15]), np.clip(rust, 0, 1))


def _motif(rng: Rng, side: int) -> ndarray:
    """A patch with a mirrored ornament in two colours: shares of the second colour."""
    noise = gaussian_filter(rng.normal(size=(side, side)), side * rng.uniform(0.05, 0.12), mode="wrap")
    noise = noise + noise[:, ::-1]
    if rng.random() < 0.5:
        noise = noise + noise[::-1]
    return (noise > np.quantile(noise, rng.uniform(0.5, 0.8))).astype(float)


def _wallpaper(rng: Rng) -> ndarray:
    repeat = 2 ** int(rng.integers(1, 4))
    side = SIDE // repeat
    share = np.tile(_motif(rng, side), (repeat, repeat))
    if rng.random() < 0.5:
        share = np.concatenate(
            [np.roll(share[r : r + side], (r // side % 2) * side // 2, axis=1) for r in range(0, SIDE, side)]
        )
    base = random_colour(rng, saturation=0.25, low=0.5)
    other = np.clip(base * rng.uniform(0.6, 1.2) + rng.normal(0, 0.1, 3), 0, 1)
    return blend(base, other, gaussian_filter(share, 0.7)) * (0.95 + 0.1 * power_noise(rng, 1.0))[..., None]


def _rug(rng: Rng) -> ndarray:
    """Ornament with borders, mirrored both ways."""
    half = SIDE // 2
    field = _motif(rng, half) + 2 * _motif(rng, half)
    y, x = np.meshgrid(np.arange(half), np.arange(half), indexing="ij")
    edge = np.minimum(y, x)
    for border in np.cumsum(rng.integers(4, 16, 4)):
        field = np.where(edge < border, (field + border) % 5 if border > 20 else border % 5, field)
    full = np.concatenate([field, field[::-1]])
    full = np.concatenate([full, full[:, ::-1]], axis=1).astype(int) % 5
    colours = np.stack([random_colour(rng, saturation=0.9, high=0.85) for _ in range(5)])
    return colours[full] * (0.8 + 0.4 * power_noise(rng, 0.1))[..., None]


def _gravel(rng: Rng) -> ndarray:
    lumps = power_noise(rng, rng.uniform(0.4, 0.8))
    shade = np.gradient(lumps, axis=1) * 4 + lumps - 0.5
    return random_colour(rng, saturation=0.25, low=0.35, high=0.7) * (1 + np.clip(shade, -0.6, 0.6))[..., None]


def _strewn(rng: Rng, image: Image.Image, count: int, size: tuple[float, float], colours: list[ndarray]) -> ndarray:
    """Leaf shapes in all directions on a picture."""
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        at, turn, length = rng.uniform(0, SIDE, 2), rng.uniform(0, 2 * np.pi), rng.uniform(*size)
        ahead = np.array([np.cos(turn), np.sin(turn)]) * length
        aside = np.array([-ahead[1], ahead[0]]) * rng.uniform(0.15, 0.4)
        fill = tuple(
            (np.clip(colours[int(rng.integers(len(colours)))] * rng.uniform(0.6, 1.2), 0, 1) * 255).astype(int)
        )
        for shift in ((0, 0), (SIDE, 0), (0, SIDE), (-SIDE, 0), (0, -SIDE)):
            corner = at + shift
            draw.polygon(
                [tuple(corner - ahead), tuple(corner + aside), tuple(corner + ahead), tuple(corner - aside)], fill=fill
            )
    return np.asarray(image) / 255


def _leaves(rng: Rng) -> ndarray:
    """Foliage or fallen leaves."""
    if rng.random() < 0.6:
        colours = [np.array([0.25, 0.42, 0.14]) * rng.uniform(0.6, 1.5), np.array([0.35, 0.5, 0.2])]
    else:
        colours = [np.array([0.6, 0.4, 0.15]), np.array([0.5, 0.25, 0.12]), np.array([0.65, 0.55, 0.2])]
    ground = Image.new("RGB", (SIDE, SIDE), tuple((colours[0] * 90).astype(int).tolist()))
    return _strewn(rng, ground, int(rng.integers(200, 500)), (6, 18), colours)


def _graffiti(rng: Rng) -> ndarray:
    wall = (np.clip(_concrete(rng), 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(wall)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 9))):
        points = np.cumsum(rng.normal(0, 28, (8, 2)), axis=0) + rng.uniform(40, SIDE - 40, 2)
        fill = tuple((random_colour(rng, saturation=1.0) * 255).astype(int).tolist())
        draw.line([tuple(p) for p in points], fill=fill, width=int(rng.integers(3, 16)), joint="curve")
    return np.asarray(image) / 255


def _wicker(rng: Rng) -> ndarray:
    y, x = _grid()
    count = int(rng.integers(8, 20))
    row = np.floor(y * count * 2)
    strand = np.sin(np.pi * (y * count * 2 % 1)) * (0.65 + 0.35 * np.sin(2 * np.pi * x * count + np.pi * row))
    return np.array([0.7, 0.52, 0.32]) * rng.uniform(0.6, 1.3) * np.clip(0.35 + 0.75 * strand, 0, 1.2)[..., None]


def _subway(rng: Rng) -> ndarray:
    """Glazed wall tiles with grout."""
    rows = int(rng.integers(4, 12))
    base = random_colour(rng, saturation=0.4, low=0.6) if rng.random() < 0.7 else random_colour(rng, saturation=0.8)
    return masonry(rng, rows - rows % 2, max(rows // 2, 1), 0.5, base, rng.uniform(0.01, 0.08))


def _paving(rng: Rng) -> ndarray:
    rows = 2 * int(rng.integers(1, 6))
    stagger = rng.choice([0.0, 0.5])
    return masonry(
        rng,
        rows,
        max(rows // int(rng.integers(1, 3)), 1),
        stagger,
        random_colour(rng, saturation=0.2, low=0.35, high=0.75),
        0.08,
    )


def _parquet(rng: Rng) -> ndarray:
    """Square fields of boards, turned in turn."""
    fields, boards = 2 * int(rng.integers(1, 4)), int(rng.integers(3, 7))
    y, x = _grid()
    turned = (np.floor(y * fields) + np.floor(x * fields)) % 2 > 0
    place = np.where(turned, y, x) * fields * boards
    board = np.floor(place).astype(int)
    shade = 1 + rng.normal(0, 0.1, 4096)[(board + 97 * np.floor(np.where(turned, x, y) * fields).astype(int)) % 4096]
    grain = np.where(turned, power_noise(rng, 0.9, stretch=(1, 8)), power_noise(rng, 0.9, stretch=(8, 1))) - 0.5
    joint = np.minimum(place % 1, 1 - place % 1) < 0.03
    base = np.array([0.62, 0.44, 0.28]) * rng.uniform(0.5, 1.3)
    return base * ((shade + 0.3 * grain) * (1 - 0.5 * joint))[..., None]


def _label(rng: Rng) -> ndarray:
    """Print on packets: a ground, a band, lines of type, a shape."""
    image = Image.new(
        "RGB", (SIDE, SIDE), tuple((random_colour(rng, saturation=0.9, low=0.3) * 255).astype(int).tolist())
    )
    draw = ImageDraw.Draw(image)

    def ink() -> tuple[int, ...]:
        return tuple((random_colour(rng, saturation=0.9, low=0.05) * 255).astype(int).tolist())

    for _ in range(int(rng.integers(1, 4))):
        y = rng.uniform(0, SIDE)
        draw.rectangle((0, y, SIDE, y + rng.uniform(10, 90)), fill=ink())
    for _ in range(int(rng.integers(1, 4))):
        x, y, r = *rng.uniform(20, 200, 2), rng.uniform(15, 70)
        draw.ellipse((x, y, x + r, y + r * rng.uniform(0.6, 1.4)), fill=ink())
    for _ in range(int(rng.integers(2, 5))):
        y, size, fill, x = rng.uniform(10, 230), rng.uniform(4, 26), ink(), rng.uniform(5, 60)
        while x < SIDE - 20 and rng.random() < 0.92:
            wide = size * rng.uniform(0.25, 0.8)
            draw.rectangle((x, y, x + wide, y + size), fill=fill)
            x += wide + size * 0.25
    return np.asarray(image) / 255


def _screen(rng: Rng) -> ndarray:
    """Windows, bars and lines as on a computer's screen."""
    image = Image.new(
        "RGB", (SIDE, SIDE), tuple((random_colour(rng, saturation=0.8, high=0.7) * 255).astype(int).tolist())
    )
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, 140, 2)
        w, h = rng.uniform(60, 200, 2)
        light = rng.random() < 0.6
        draw.rectangle((x, y, x + w, y + h), fill=(238, 240, 242) if light else (28, 30, 36))
        draw.rectangle(
            (x, y, x + w, y + 9), fill=tuple((random_colour(rng, saturation=0.6) * 255).astype(int).tolist())
        )
        for line in np.arange(y + 15, y + h - 5, 7):
            end = x + 8 + rng.uniform(0.1, 0.8) * (w - 16)
            draw.rectangle(
                (x + 8, line, end, line + 2),
                fill=tuple((random_colour(rng, saturation=0.7, high=0.6 if light else 1) * 255).astype(int).tolist()),
            )
    return np.asarray(image) / 255


MATERIALS = {
    "fabric": _fabric, "knit": _knit, "wood": _wood, "terrazzo": _terrazzo, "concrete": _concrete, "plaster": _plaster,
    "metal": _metal, "wallpaper": _wallpaper, "rug": _rug, "gravel": _gravel, "leaves": _leaves, "graffiti": _graffiti,
    "wicker": _wicker, "subway": _subway, "parquet": _parquet, "label": _label, "screen": _screen, "paving": _paving,
}  # fmt: skip
