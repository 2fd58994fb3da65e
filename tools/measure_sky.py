"""Score the sky mask on real frames outlined by hand, and on clips of the synthetic world.

python tools/measure_sky.py --media MEDIA --clips CLIPS --ends --out out/sky.json

``MEDIA`` is the folder that the outlines' paths start from; ``CLIPS`` holds ``clip-*.npz`` of ``unish synth``. Either
may be left out; ``--ends`` scores the first and the last frame of every clip alone. Choose on half A; look at half B
once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor

import unish
from unish.io import write_json
from unish.network.sky import find_sky
from unish.video import processed_size, resize_images

OUTLINES = Path(unish.__file__).parent / "lab/evaluation/benchmarks/labelled/sky_outlines.json"
LONG_SIDE, MULTIPLE = 448, 16

Method = Callable[[UInt8[Tensor, "T H W 3"]], Bool[Tensor, "T H W"]]


def rule_of_colour(images: UInt8[Tensor, "T H W 3"]) -> Bool[Tensor, "T H W"]:
    """The baseline: smooth, and bright or blue, and joined to the upper border through the like."""
    found = []
    for image in images.numpy().astype(np.float32) / 255:
        red, green, blue = image.transpose(2, 0, 1)
        grey = image.mean(-1)
        rough = ndimage.gaussian_gradient_magnitude(grey, 1.0)
        looks = (rough < 0.02) & (((blue > red + 0.05) & (blue >= green)) | (grey > 0.75))
        parts, _ = ndimage.label(looks)
        found.append(np.isin(parts, np.setdiff1d(np.unique(parts[0]), 0)))
    return torch.from_numpy(np.stack(found))


METHODS: dict[str, Method] = {"head": find_sky, "rule": rule_of_colour}


def read_frame(path: Path, number: int) -> UInt8[ndarray, "H W 3"]:
    """A picture, or a frame of a video by its place in it."""
    if path.suffix.lower() in (".jpg", ".png"):
        return np.asarray(Image.open(path).convert("RGB"))
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return frame.to_ndarray(format="rgb24")
    raise SystemExit(f"{path}: has no frame {number}")


def fill(outlines: list[list[list[float]]], size: tuple[int, int]) -> Bool[ndarray, "H W"]:
    """Pixels inside any of the outlines."""
    height, width = size
    canvas = Image.new("1", (width, height))
    for outline in outlines:
        ImageDraw.Draw(canvas).polygon([(x * width - 0.5, y * height - 0.5) for x, y in outline], fill=1)
    return np.asarray(canvas)


def score(found: Bool[ndarray, "H W"], truth: Bool[ndarray, "H W"], unsure: Bool[ndarray, "H W"]) -> dict[str, float]:
    """IoU where there is sky, and the share of the picture that is wrongly called sky."""
    found, truth = found & ~unsure, truth & ~unsure
    both, either = int((found & truth).sum()), int((found | truth).sum())
    return {
        "iou": both / either if truth.any() else float("nan"),
        "false_percent": 100 * float((found & ~truth).sum() / max((~unsure).sum(), 1)),
        "sky_percent": 100 * float(truth.mean()),
    }


def summarise(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean IoU over frames that show at least 0.5 % sky, the worst, and what is false where there is none.

    ``iou_pooled`` is the IoU of these frames laid side by side: there a frame counts by how much sky it shows.
    """
    shown = [row for row in rows if row["sky_percent"] >= 0.5]
    with_sky = [row["iou"] for row in shown]
    either = [row["sky_percent"] + row["false_percent"] for row in shown]
    without = [row["false_percent"] for row in rows if row["sky_percent"] == 0]
    return {
        "frames_with_sky": len(with_sky),
        "iou": float(np.mean(with_sky)) if with_sky else float("nan"),
        "iou_median": float(np.median(with_sky)) if with_sky else float("nan"),
        "iou_worst": min(with_sky, default=float("nan")),
        "iou_pooled": float(np.dot(with_sky, either) / sum(either)) if shown else float("nan"),
        "frames_without": len(without),
        "false_percent": float(np.mean(without)) if without else float("nan"),
        "false_percent_worst": max(without, default=float("nan")),
    }


def measure_real(media: Path, halves: str, method: Method) -> dict[str, dict[str, dict[str, float]]]:
    """Rows by half and frame."""
    rows: dict[str, dict[str, dict[str, float]]] = {half: {} for half in halves}
    for outlined in json.loads(OUTLINES.read_text())["frames"]:
        if outlined["half"] not in halves:
            continue
        image = read_frame(media / outlined["file"], outlined["frame"])
        size = processed_size(image.shape[:2], LONG_SIDE, MULTIPLE)
        images = resize_images(torch.from_numpy(image.copy())[None], size)
        row = score(method(images)[0].numpy(), fill(outlined["sky"], size), fill(outlined["unsure"], size))
        rows[outlined["half"]][outlined["name"]] = row
    return rows


def measure_clips(folder: Path, method: Method, *, ends: bool) -> dict[str, dict[str, float]]:
    """Rows by frame of synthetic clips; ``ends``: of the first and the last frame of each."""
    rows = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            images, truth = file["images"], file["truth_sky"]
        numbers = sorted({0, len(images) - 1}) if ends else list(range(len(images)))
        for number, mask in zip(numbers, method(torch.from_numpy(images[numbers])).numpy(), strict=True):
            rows[f"{path.stem}/{number}"] = score(mask, truth[number], np.zeros_like(truth[number]))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--halves", default="A")
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--ends", action="store_true", help="of clips: the first and the last frame alone")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    answer = {}
    for name, method in METHODS.items():
        tables = measure_real(arguments.media, arguments.halves, method) if arguments.media else {}
        if arguments.clips:
            tables["synthetic"] = measure_clips(arguments.clips, method, ends=arguments.ends)
        for table, rows in tables.items():
            print(name, table, {key: round(value, 3) for key, value in summarise(list(rows.values())).items()})
        answer[name] = {table: {"frames": rows, **summarise(list(rows.values()))} for table, rows in tables.items()}
    if arguments.out:
        write_json(arguments.out, answer)
