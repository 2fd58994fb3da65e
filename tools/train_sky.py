"""Train the sky head on clips of the synthetic world and on views of panoramas; every step resumes.

python tools/train_sky.py --work build/sky --panoramas PANORAMAS

``PANORAMAS`` holds Radiance files (.hdr); docs/research/sky.md says which, and how they were made. Those that
``OUTDOORS`` names have a sky, all others have none. Without the folder, clips alone are used.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from numpy import ndarray
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from unish.io import written_beside
from unish.lab.synthetic import SynthConfig, make_clip
from unish.lab.synthetic.panoramas import read_radiance
from unish.network.sky import STRIDE, WEIGHTS, SkyHead, load_encoder, mean_colours

SIZES = ((160, 224), (224, 160), (128, 224), (192, 192))
PLACES = (
    "open", "street", "open", "courtyard", "street", "stairs", "open", "room", "street", "hall", "courtyard", "room",
)  # fmt: skip
SEEDS = (7101, 7102)
CLIPS_PER_SEED, VIEWS_PER_PANORAMA = 240, 40
STEPS, BATCH = 1600, 16

OUTDOORS = {
    "city": (), "park": (), "dawn": (), "night": (), "venice": (), "forest": (), "b_forest": (), "b_night": (),
    "b_sunrise": (), "b_sunset": (), "sunrise": (),
    "sunset": ((0.22, 0.2, 0.31, 0.52), (0.31, 0.27, 0.4, 0.52), (0.4, 0.32, 0.45, 0.52)),
    "b_city": ((0.13, 0.34, 0.225, 0.55),),
}  # fmt: skip
"""Panoramas with a sky, and boxes (left, top, right, bottom) of bright walls that ``outline_panorama`` takes for it."""

GAPS = ("forest", "b_forest")
"""Sky shows between leaves here, so it need not hang together."""


def render_clips(folder: Path) -> None:
    """Two frames of every clip, with their sky."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS:
        for index in range(CLIPS_PER_SEED):
            path = folder / f"seed{seed}-{index:05d}.npz"
            if path.exists():
                continue
            config = SynthConfig(
                size=SIZES[index % len(SIZES)], num_frames=2, fps=1.0, samples=1, max_people=3,
                place=PLACES[index // len(SIZES) % len(PLACES)],
            )  # fmt: skip
            clip = make_clip(seed, index, config)
            with written_beside(path) as beside, beside.open("wb") as file:
                np.savez_compressed(file, images=clip.images, sky=clip.extra["truth_sky"])


def outline_panorama(panorama: Float32[ndarray, "H W 3"], name: str) -> Float[ndarray, "H W"]:
    """1 sky, 0 not, NaN unsure: what is over half as bright as the sky around it, above the horizon and joined to the
    zenith, is sky; two pixels along its border are unsure, and so are leaves in front of it."""
    height, width = panorama.shape[:2]
    truth = np.zeros((height, width))
    if name not in OUTDOORS:
        # Bright windows of rooms: nobody can say what is behind them.
        level = panorama.mean(-1)
        truth[level > 6 * np.median(level)] = np.nan
        return truth
    level = np.log(np.maximum(panorama.mean(-1), 1e-5))[: height // 2]
    padded = np.pad(ndimage.median_filter(level, 5), ((20, 0), (0, 0)), mode="edge")
    around = ndimage.maximum_filter(padded, (31, 61))[20:]
    around = ndimage.gaussian_filter(np.minimum(around, np.percentile(level, 99)), 15)
    bright = level > around + np.log(0.55)
    if name in GAPS:
        sky = level > around + np.log(0.6)
        unsure = ~sky & (level > around + np.log(0.2))
        truth[: len(sky)][sky] = 1
        truth[: len(sky)][unsure] = np.nan
        return truth
    parts, _ = ndimage.label(bright)
    sky = np.isin(parts, np.setdiff1d(np.unique(parts[0]), 0))
    dark, _ = ndimage.label(~sky)
    sky |= ~np.isin(dark, np.setdiff1d(np.unique(dark[-1]), 0))
    truth[: len(sky)] = sky
    for left, top, right, bottom in OUTDOORS[name]:
        rows, columns = (slice(int(a * n), int(b * n)) for a, b, n in ((top, bottom, height), (left, right, width)))
        truth[rows, columns] = 0
    border = ndimage.binary_dilation(truth > 0.5, iterations=2) & ~ndimage.binary_erosion(truth > 0.5, iterations=2)
    return np.where(border & (np.arange(height) > 4)[:, None], np.nan, truth)


def view_panorama(
    rng: np.random.Generator, panorama: Float32[ndarray, "H W 3"], truth: Float[ndarray, "H W"], size: tuple[int, int]
) -> tuple[UInt8[ndarray, "h w 3"], Float[ndarray, "h w"]]:
    """A pinhole view with an exposure of its own, and its truth."""
    height, width = size
    focal = max(size) / 2 / np.tan(np.radians(rng.uniform(45, 100)) / 2)
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    rays = np.stack([(columns - width / 2) / focal, (height / 2 - rows) / focal, np.ones(size)], -1)
    roll, pitch, yaw = np.radians(rng.normal(0, 5)), np.radians(rng.normal(2, 14)), rng.uniform(0, 2 * np.pi)
    c, s = np.cos(roll), np.sin(roll)
    rays = rays @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    c, s = np.cos(pitch), np.sin(pitch)
    rays = rays @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    across = (np.arctan2(rays[..., 0], rays[..., 2]) + yaw) / (2 * np.pi) % 1 * panorama.shape[1] - 0.5
    down = (0.5 - np.arcsin(rays[..., 1]) / np.pi) * panorama.shape[0] - 0.5
    # The picture closes at its side, so that the first column follows the last.
    sample = [
        ndimage.map_coordinates(layer, [down, across], order=order, mode="grid-wrap")
        for layer, order in [*((panorama[..., i], 1) for i in range(3)), (truth, 0)]
    ]
    colours = np.maximum(np.stack(sample[:3], -1), 0)
    exposure = rng.lognormal(0, 0.7) * 0.5 / max(float(np.median(colours)), 1e-6)
    shown = colours * exposure
    # Cameras clip; films and tone curves roll off.
    shown = np.minimum(shown, 1) if rng.random() < 0.5 else 1 - np.exp(-shown)
    return (255 * shown ** (1 / 2.2) + 0.5).astype(np.uint8), sample[3]


def change_sky(
    rng: np.random.Generator,
    image: UInt8[ndarray, "h w 3"],
    sky: Bool[ndarray, "h w"],
    skies: list[Float32[ndarray, "H W 3"]],
) -> UInt8[ndarray, "h w 3"]:
    """The same place under a photographed sky, or under one that the camera has overexposed."""
    height, width = sky.shape
    if skies and rng.random() < 0.7:
        panorama = skies[int(rng.integers(len(skies)))]
        rows = panorama[int(0.05 * len(panorama)) : int(0.42 * len(panorama))]
        high, wide = int(rng.uniform(0.4, 1) * len(rows)), int(rng.uniform(0.15, 0.4) * rows.shape[1])
        top, left = int(rng.integers(len(rows) - high + 1)), int(rng.integers(rows.shape[1] - wide + 1))
        patch = rows[top : top + high, left : left + wide]
        shown = np.clip(patch * rng.lognormal(0, 0.5) * 0.5 / max(float(np.median(patch)), 1e-6), 0, 1) ** (1 / 2.2)
        painted = np.asarray(Image.fromarray((255 * shown).astype(np.uint8)).resize((width, height)), np.float64)
    else:
        high, low = np.sort(rng.uniform(0.55, 1.05, 2))[:: rng.choice([-1, 1])]
        tint = 1 + rng.normal(0, 0.03, 3)
        painted = 255 * np.linspace(high, low, height)[:, None, None] * tint * np.ones((1, width, 1))
    share = ndimage.gaussian_filter(sky.astype(np.float64), 0.6)[..., None]
    return np.clip(image * (1 - share) + painted * share, 0, 255).astype(np.uint8)


def vary(
    rng: np.random.Generator, image: UInt8[ndarray, "H W 3"], truth: Float[ndarray, "H W"]
) -> tuple[UInt8[ndarray, "H W 3"], Float[ndarray, "H W"]]:
    """Another section, mirrored, with the light, haze, colours, blur, noise and compression of another camera."""
    height, width = truth.shape
    if rng.random() < 0.6:
        share = rng.uniform(0.55, 1)
        high, wide = int(height * share), int(width * share)
        top, left = int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1))
        box = (left, top, left + wide, top + high)
        image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box))
        rows = top + (np.arange(height) + 0.5) * high / height
        columns = left + (np.arange(width) + 0.5) * wide / width
        truth = truth[rows.astype(int)][:, columns.astype(int)]
    if rng.random() < 0.5:
        image, truth = image[:, ::-1], truth[:, ::-1]
    shown = (image / 255.0) ** rng.uniform(0.7, 1.4) * 2 ** rng.normal(0, 0.4) * (1 + rng.normal(0, 0.07, 3))
    grey = shown.mean(-1, keepdims=True)
    shown = grey + (shown - grey) * (0.0 if rng.random() < 0.05 else rng.uniform(0.4, 1.5))
    if rng.random() < 0.3:
        veil = rng.uniform(0, 0.45)
        shown = shown * (1 - veil) + veil * rng.uniform(0.5, 1)
    if rng.random() < 0.4:
        shown = ndimage.gaussian_filter(shown, (*(rng.uniform(0.3, 1.3),) * 2, 0))
    shown = np.clip(shown + rng.normal(0, rng.uniform(0, 0.025), shown.shape), 0, 1)
    image = (255 * shown + 0.5).astype(np.uint8)
    if rng.random() < 0.6:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(30, 95)))
        image = np.asarray(Image.open(buffer))
    return image, truth


def make_views(folder: Path, clips: Path, panoramas: Path | None) -> list[Path]:
    """One file of views of each size: features, colours, truth and its weight at stride 4.

    Every panorama is seen ``VIEWS_PER_PANORAMA`` times, and one frame of every clip once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {path.stem: read_radiance(path) for path in sorted(panoramas.glob("*.hdr"))} if panoramas else {}
    truths = {name: outline_panorama(picture, name) for name, picture in pictures.items()}
    skies = [picture for name, picture in pictures.items() if name in OUTDOORS and name not in GAPS]
    written = []
    for number, size in enumerate(SIZES):
        rng = np.random.default_rng([1, number])
        views: list[tuple[ndarray, ndarray]] = []
        path = folder / f"views-{number}.safetensors"
        written.append(path)
        if path.exists():
            continue
        for name, picture in pictures.items():
            for _ in range(VIEWS_PER_PANORAMA // len(SIZES)):
                views.append(vary(rng, *view_panorama(rng, picture, truths[name], size)))
        for clip in sorted(clips.glob("*.npz")):
            with np.load(clip) as file:
                images, sky = file["images"], file["sky"]
            if images.shape[1:3] != size:
                continue
            number = int(rng.integers(len(images)))
            image, mask = images[number], sky[number]
            shown = change_sky(rng, image, mask, skies) if mask.any() and rng.random() < 0.6 else image
            views.append(vary(rng, shown, mask.astype(np.float64)))
        with written_beside(path) as beside:
            save_file(encode(views), beside)
    return written


def encode(views: list[tuple[UInt8[ndarray, "H W 3"], Float[ndarray, "H W"]]]) -> dict[str, Tensor]:
    """What the head reads of each view, and what it should say."""
    images = torch.from_numpy(np.stack([view[0] for view in views]))
    truth = torch.from_numpy(np.stack([view[1] for view in views])).float()
    encoder, parts = load_encoder(), []
    with torch.inference_mode():
        for chunk in images.split(16):
            small = chunk.permute(0, 3, 1, 2).float() / 255
            parts.append([part.half().contiguous() for part in (*encoder(small), mean_colours(small))])
    known = functional.avg_pool2d(torch.isfinite(truth).float()[:, None], STRIDE)[:, 0]
    share = functional.avg_pool2d(truth.nan_to_num()[:, None], STRIDE)[:, 0] / known.clamp_min(1e-6)
    names = ("fine", "middle", "coarse", "colours")
    inputs = {name: torch.cat(part) for name, part in zip(names, zip(*parts, strict=True), strict=True)}
    return inputs | {"share": share.clamp(0, 1).half(), "known": (known > 0.99).half()}


def fit(paths: list[Path], steps: int, seed: int = 0) -> SkyHead:
    """Cross-entropy; every view counts the same. The average of the weights' last quarter is kept."""
    torch.manual_seed(seed)
    files = [load_file(path) for path in paths]
    counts = torch.tensor([float(len(file["share"])) for file in files])
    head = SkyHead()
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 1e-5)
    mean = torch.optim.swa_utils.AveragedModel(head)
    for step in range(steps):
        file = files[int(torch.multinomial(counts, 1))]
        picked = torch.randint(len(file["share"]), (BATCH,))
        batch = {name: value[picked].float() for name, value in file.items()}
        logits = head(batch["fine"], batch["middle"], batch["coarse"], batch["colours"])
        loss = functional.binary_cross_entropy_with_logits(logits, batch["share"], batch["known"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step >= 3 * steps // 4:
            mean.update_parameters(head)
        if step % 250 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    return mean.module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--panoramas", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    render_clips(arguments.work / "clips")
    views = make_views(arguments.work / "views", arguments.work / "clips", arguments.panoramas)
    trained = fit(views, arguments.steps)
    save_file({name: value.half().contiguous() for name, value in trained.state_dict().items()}, WEIGHTS)
