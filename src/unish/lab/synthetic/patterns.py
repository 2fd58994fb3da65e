"""Tileable pictures made from random numbers: noise, masonry, ground, print."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image, ImageDraw

SIDE = 256
"""Pixels along each side of every texture."""


def random_colour(
    rng: np.random.Generator, *, saturation: float = 0.5, low: float = 0.15, high: float = 0.95
) -> ndarray:
    """sRGB with value in [low, high] and saturation up to the given one, biased to the muted, to browns and blues."""
    value, strength = rng.uniform(low, high), saturation * rng.random() ** 1.5
    turn = rng.random()
    if (chance := rng.random()) < 0.6:
        turn = rng.normal(0.08, 0.04) if chance < 0.42 else rng.normal(0.6, 0.06)
    shares = [min(max(abs((turn * 6 + shift) % 6 - 3) - 1, 0.0), 1.0) for shift in (0, 4, 2)]
    return np.array([value * (1 - strength + strength * share) for share in shares])


def power_noise(
    rng: np.random.Generator, exponent: float, stretch: tuple[float, float] = (1.0, 1.0)
) -> Float[ndarray, "S S"]:
    """Tileable noise in 0..1 with amplitude spectrum 1/f^exponent; ``stretch`` scales the frequencies of (y, x)."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIDE) * stretch[0], np.fft.rfftfreq(SIDE) * stretch[1], indexing="ij")
    spectrum = np.fft.rfft2(rng.normal(size=(SIDE, SIDE))) / np.maximum(np.hypot(fy, fx), 1 / SIDE) ** exponent
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    return np.clip(0.5 + noise / (5 * noise.std()), 0, 1)


def blend(first: ndarray, second: ndarray, share: Float[ndarray, "H W"]) -> Float[ndarray, "H W 3"]:
    return first * (1 - share[..., None]) + second * share[..., None]


def _noise(rng: np.random.Generator) -> ndarray:
    base = random_colour(rng, saturation=0.35, low=0.4)
    return base * (1 + (power_noise(rng, rng.uniform(0, 1.2)) - 0.5) * rng.uniform(0.1, 0.6))[..., None]


def _cloudy(rng: np.random.Generator) -> ndarray:
    fine = 1 + (power_noise(rng, 0.2) - 0.5)[..., None] * 0.12
    base = random_colour(rng, low=0.5)
    other = np.clip(base * rng.uniform(0.7, 1.1) + rng.normal(0, 0.04, 3), 0, 1)
    return blend(base, other, power_noise(rng, rng.uniform(1.2, 2))) * fine


def _marble(rng: np.random.Generator) -> ndarray:
    bend = power_noise(rng, 1.7)
    x = np.linspace(0, 2 * np.pi, SIDE, endpoint=False)
    veins = np.abs(np.sin(x[None] * rng.integers(1, 4) + x[:, None] * rng.integers(1, 4) + bend * rng.uniform(6, 16)))
    return blend(random_colour(rng, low=0.5), random_colour(rng, low=0.2), (1 - veins) ** rng.uniform(2, 5))


def grid_cells(rows: int, columns: int, stagger: float, joint: float) -> tuple[ndarray, ndarray, ndarray]:
    """Cell row, cell column and joint mask of a grid whose odd rows are shifted by ``stagger`` cells."""
    y, x = np.meshgrid(np.arange(SIDE) / SIDE * rows, np.arange(SIDE) / SIDE * columns, indexing="ij")
    row = np.floor(y).astype(int)
    x = (x + (row % 2) * stagger) % columns
    column = np.floor(x).astype(int)
    edge_y = np.minimum(y % 1, 1 - y % 1) / rows
    edge_x = np.minimum(x % 1, 1 - x % 1) / columns
    return row, column, (np.minimum(edge_y, edge_x) < joint).astype(float)


def masonry(
    rng: np.random.Generator, rows: int, columns: int, stagger: float, base: ndarray, variation: float
) -> ndarray:
    row, column, joint = grid_cells(rows, columns, stagger, rng.uniform(0.004, 0.012))
    shade = 1 + rng.normal(0, variation, (rows, columns))[row, column] + (power_noise(rng, 0.6) - 0.5) * 0.25
    return blend(base * shade[..., None], random_colour(rng, saturation=0.15, low=0.3, high=0.85), joint)


def _planks(rng: np.random.Generator) -> ndarray:
    rows = int(rng.integers(4, 10))
    row, column, joint = grid_cells(rows, int(rng.integers(1, 3)), rng.uniform(0.2, 0.5), rng.uniform(0.002, 0.006))
    base = np.array([0.62, 0.45, 0.3]) * rng.uniform(0.5, 1.3) + rng.normal(0, 0.06, 3)
    grain = (power_noise(rng, 0.9, stretch=(1, 8)) - 0.5) * rng.uniform(0.2, 0.6)
    shade = 1 + grain + rng.normal(0, rng.uniform(0.03, 0.15), (rows, 3))[row, column]
    return base * (shade * (1 - 0.6 * joint))[..., None]


def _tiles(rng: np.random.Generator) -> ndarray:
    count = int(rng.integers(2, 9))
    return masonry(rng, count, count, 0.0, random_colour(rng, saturation=0.35, low=0.35), rng.uniform(0, 0.12))


def _bricks(rng: np.random.Generator) -> ndarray:
    base = (
        np.array([0.6, 0.35, 0.27]) * rng.uniform(0.7, 1.3)
        if rng.random() < 0.6
        else random_colour(rng, saturation=0.25, low=0.4)
    )
    return masonry(rng, 2 * int(rng.integers(3, 9)), int(rng.integers(2, 6)), 0.5, base, rng.uniform(0.05, 0.18))


def _checker(rng: np.random.Generator) -> ndarray:
    count = 2 * int(rng.integers(1, 5))
    row, column, _ = grid_cells(count, count, 0.0, 0.0)
    wear = 1 + (power_noise(rng, 1.0) - 0.5)[..., None] * 0.2
    return blend(random_colour(rng), random_colour(rng, low=0.5), ((row + column) % 2).astype(float)) * wear


def _stripes(rng: np.random.Generator) -> ndarray:
    num = int(rng.integers(2, 5))
    colours = np.stack([random_colour(rng, low=0.4, saturation=0.4) for _ in range(num)])
    index = (np.arange(SIDE) * num * int(rng.integers(1, 6)) // SIDE) % num
    wear = 1 + (power_noise(rng, 0.5) - 0.5)[..., None] * 0.12
    return np.broadcast_to(colours[index][None], (SIDE, SIDE, 3)) * wear


def _stones(rng: np.random.Generator) -> ndarray:
    points = rng.random((int(rng.integers(20, 90)), 2))
    tiled = np.concatenate([points + np.array([dy, dx]) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    from scipy.spatial import cKDTree

    y, x = np.meshgrid(np.arange(SIDE) / SIDE, np.arange(SIDE) / SIDE, indexing="ij")
    distance, index = cKDTree(tiled).query(np.stack([y, x], -1).reshape(-1, 2), k=2)
    joint = np.clip(1 - (distance[:, 1] - distance[:, 0]) * rng.uniform(60, 150), 0, 1).reshape(SIDE, SIDE)
    shade = 1 + rng.normal(0, 0.15, len(points))[index[:, 0] % len(points)].reshape(SIDE, SIDE)
    shade = shade + (power_noise(rng, 0.8) - 0.5) * 0.4
    return blend(
        random_colour(rng, saturation=0.3, low=0.35) * shade[..., None],
        random_colour(rng, saturation=0.2, high=0.5),
        joint,
    )


def _grass(rng: np.random.Generator) -> ndarray:
    greens = np.array([0.30, 0.42, 0.16]) * rng.uniform(0.6, 1.4) + rng.normal(0, 0.05, 3)
    dry = np.array([0.55, 0.5, 0.3]) * rng.uniform(0.6, 1.2)
    blades = 1 + (power_noise(rng, 0.1, stretch=(1, 2)) - 0.5)[..., None] * 1.2
    return blend(greens, dry, power_noise(rng, 1.5) ** rng.uniform(1, 3)) * blades


def _asphalt(rng: np.random.Generator) -> ndarray:
    base = np.full(3, rng.uniform(0.2, 0.6)) + rng.normal(0, 0.02, 3)
    patches = 1 + (power_noise(rng, 1.6) - 0.5)[..., None] * 0.4
    return base * patches * (1 + (power_noise(rng, 0.0) - 0.5)[..., None] * rng.uniform(0.3, 0.9))


def _carpet(rng: np.random.Generator) -> ndarray:
    x = np.linspace(0, 2 * np.pi, SIDE, endpoint=False)
    waves = np.zeros((SIDE, SIDE))
    for _ in range(4):
        k = rng.integers(1, 9, 2)
        waves += np.cos(k[0] * x)[:, None] * np.cos(k[1] * x)[None]
    colours = np.stack([random_colour(rng, saturation=0.8, high=0.8) for _ in range(4)])
    levels = np.digitize(waves, np.quantile(waves, [0.25, 0.5, 0.75]))
    return colours[levels] * (1 + (power_noise(rng, 0.0) - 0.5)[..., None] * 0.4)


def _poster(rng: np.random.Generator) -> ndarray:
    """Overlapping shapes on a gradient: pictures, screens, covers."""
    share = np.linspace(0, 1, SIDE)[:, None] * np.ones((1, SIDE))
    ground = blend(random_colour(rng, saturation=0.9), random_colour(rng, saturation=0.9), share)
    image = Image.fromarray((np.clip(ground, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 30))):
        x, y = rng.uniform(-0.1, 1, 2) * SIDE
        w, h = rng.uniform(0.03, 0.5, 2) ** 1.5 * SIDE * 1.4
        fill = tuple(int(v * 255) for v in random_colour(rng, saturation=0.9, low=0.05))
        if rng.random() < 0.5:
            draw.ellipse((x, y, x + w, y + h), fill=fill)
        elif rng.random() < 0.6:
            draw.rectangle((x, y, x + w, y + h), fill=fill)
        else:
            draw.polygon([tuple(rng.uniform(0, 1, 2) * (w, h) + (x, y)) for _ in range(4)], fill=fill)
    return np.asarray(image) / 255 * (0.9 + 0.2 * power_noise(rng, 1.2))[..., None]


def _books(rng: np.random.Generator) -> ndarray:
    picture = np.full((SIDE, SIDE, 3), 0.12)
    x = 0
    while x < SIDE:
        width, height = int(rng.integers(6, 22)), int(rng.integers(SIDE // 2, SIDE - 8))
        picture[SIDE - height :, x : x + width - 1] = random_colour(rng, saturation=0.9)
        band = SIDE - int(height * rng.uniform(0.3, 0.9))
        picture[band : band + 12, x + 1 : x + width - 2] = random_colour(rng, low=0.5)
        x += width
    return picture


def _facade(rng: np.random.Generator) -> ndarray:
    """Rows of windows on plaster or brick."""
    wall = (_bricks, _noise, _cloudy)[int(rng.integers(3))](rng)
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    height, width = SIDE // rows, SIDE // columns
    pane = int(height * rng.uniform(0.4, 0.75)), int(width * rng.uniform(0.35, 0.75))
    frame = random_colour(rng, saturation=0.3)
    for row in range(rows):
        for column in range(columns):
            y, x = row * height + (height - pane[0]) // 2, column * width + (width - pane[1]) // 2
            wall[y - 3 : y + pane[0] + 3, x - 3 : x + pane[1] + 3] = frame
            glass = np.array([0.25, 0.32, 0.4]) * rng.uniform(0.5, 1.8)
            wall[y : y + pane[0], x : x + pane[1]] = glass * np.linspace(1.2, 0.8, pane[0])[:, None, None]
            wall[y : y + pane[0], x + pane[1] // 2 - 1 : x + pane[1] // 2 + 2] = frame
    return wall


def _text(rng: np.random.Generator) -> ndarray:
    page = np.ones((SIDE, SIDE, 3)) * random_colour(rng, saturation=0.2, low=0.75)
    ink = random_colour(rng, high=0.4)
    y, line = 16, int(rng.integers(6, 16))
    while y < SIDE - line:
        x = 14
        while x < SIDE - 30 and rng.random() < 0.95:
            word = int(rng.integers(2, 8) * line * 0.6)
            page[y : y + int(line * 0.6), x : min(x + word, SIDE - 14)] = ink
            x += word + int(line * 0.5)
        y += int(line * rng.choice([1.3, 1.3, 1.3, 2.5]))
    return page


def _clouds(rng: np.random.Generator) -> ndarray:
    cover = np.clip((power_noise(rng, rng.uniform(1.3, 1.8)) - rng.uniform(0.3, 0.6)) * rng.uniform(2, 5), 0, 1)
    return blend(np.full(3, 0.8), np.ones(3), cover)


PATTERNS = {
    "noise": _noise, "cloudy": _cloudy, "marble": _marble, "planks": _planks, "tiles": _tiles, "bricks": _bricks,
    "checker": _checker, "stripes": _stripes, "stones": _stones, "grass": _grass, "asphalt": _asphalt,
    "carpet": _carpet, "poster": _poster, "books": _books, "facade": _facade, "text": _text, "clouds": _clouds,
}  # fmt: skip
