"""Make videos of unusual kinds from ordinary ones, reconstruct them, and see whether the report names what is unusual.

    python tools/measure_unusual.py OUT CLIP [CLIP ...] [--frames 12] [--start 0]

Each clip is reconstructed as it is, which must name nothing, and made upside down, dark, round, zoomed into and out of,
cut below the shoulders, with a poster of its first person, and mirrored. Prints a table: named, or said in so many
other words that the plain clip does not get. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from unish.body import load_body
from unish.pipeline import run
from unish.reconstruction.verdicts import ShotFacts, judge
from unish.settings import Settings
from unish.structs import Reconstruction
from unish.video import read_clip
from written_videos import write_video

FPS = 6.0
WORDS = {
    "upside down": "upside down in the picture", "dark": "very dark", "round": "picture is round",
    "zoom in": "zooms in", "zoom out": "zooms out", "legs": "without the upper body", "poster": "never moves",
    "mirror": "in a mirror",
}  # fmt: skip
ADDS_PEOPLE = ("poster", "mirror")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--start", type=float, default=0.0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = {}
    for path in args.clips:
        clip = read_clip(path, fps=FPS, max_frames=args.frames, long_side=640, start=args.start)
        pictures = clip.images.numpy()
        plain = _reconstruct(args.out / f"{path.stem}-plain", pictures)
        box = np.array(plain["box"], float)
        named = [kind for kind, words in WORDS.items() if any(words in said for said in plain["warnings"])]
        table[path.stem] = {"as it is": ", ".join(named) or "nothing"}
        for kind, make in KINDS.items():
            got = _reconstruct(args.out / f"{path.stem}-{kind.replace(' ', '-')}", make(pictures, box))
            table[path.stem][kind] = _conclude(kind, got, plain)
        print(path.stem, table[path.stem], flush=True)
    columns = ["as it is", *KINDS]
    print("\n| clip | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(row[column] for column in columns) + " |")
    return 0


def _conclude(kind: str, got: dict, plain: dict) -> str:
    if any(WORDS[kind] in said for said in got["warnings"]):
        return "named"
    if got["people"] == 0:
        return "nobody found"
    if kind in ADDS_PEOPLE and got["people"] <= plain["people"]:
        return "not taken for a person"
    others = {re.sub(r"-?[0-9.]+", "#", said) for said in got["warnings"]} - {
        re.sub(r"-?[0-9.]+", "#", said) for said in plain["warnings"]
    }
    return f"other words ({len(others)})" if others else "SILENT"


def _reconstruct(folder: Path, pictures: np.ndarray) -> dict:
    """Warnings, number of people, and the first one's box as shares of the picture; kept for the next time."""
    kept = folder.with_suffix(".npz")
    if not kept.exists():
        even = np.ascontiguousarray(pictures[:, : pictures.shape[1] // 2 * 2, : pictures.shape[2] // 2 * 2])
        video = write_video(folder.with_suffix(".mp4"), even, fps=FPS)
        run(video, settings=Settings()).reconstruction.save(kept)
    record = Reconstruction.load(kept)
    size = np.tile(record.images.shape[2:0:-1], 2)
    box = np.nanmedian(record.boxes_xyxy[0], axis=0) / size if record.num_people else np.array([0.3, 0.1, 0.7, 0.9])
    warnings = judge(record, load_body("free"), [ShotFacts()] * record.num_shots).warnings
    unread = ~np.isfinite(record.landmarks_px[..., 0]).all(-1)[record.person_valid]
    warnings += ["landmarks are missing"] * bool(unread.mean() > 0.25 if len(unread) else False)
    return {"warnings": warnings, "people": record.num_people, "box": box.tolist()}


def _upside_down(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
    return pictures[:, ::-1, ::-1]


def _dark(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A sixteenth of the light, and the noise of a sensor."""
    noise = np.random.default_rng(0).normal(0, 4, pictures.shape)
    return np.clip(pictures / 16 + noise, 0, 255).astype(np.uint8)


def _round(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
    """An equidistant fisheye's disc about the middle: 144 degrees of a lens that saw 96."""
    _, height, width, _ = pictures.shape
    side = min(height, width)
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2) / (side / 2)
    radius = np.hypot(x, y)
    stretch = np.tan(np.minimum(radius, 1.0) * 0.4 * np.pi) / np.maximum(radius, 1e-6) * side * 0.28
    places = [height / 2 + y * stretch, width / 2 + x * stretch]
    out = np.zeros_like(pictures)
    top, left = (height - side) // 2, (width - side) // 2
    for picture, shown in zip(pictures, out, strict=True):
        disc = np.stack(
            [map_coordinates(part, places, order=1, mode="nearest") for part in np.moveaxis(picture, -1, 0)], -1
        )
        shown[top : top + side, left : left + side] = np.where(radius[..., None] <= 1, disc, 0)
    return out


def _zoom(first: float, last: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def make(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
        _, height, width, _ = pictures.shape
        out = []
        for picture, size in zip(pictures, np.geomspace(first, last, len(pictures)), strict=True):
            across, down = width / size, height / size
            part = ((width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2)
            out.append(np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC, box=part)))
        return np.stack(out)

    return make


def _legs(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
    """What is below the hips."""
    top = int(pictures.shape[1] * (box[1] + 0.55 * (box[3] - box[1])))
    return pictures[:, top:]


def _poster(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The first person, cut out of the first picture with a margin, in a corner of every picture."""
    _, height, width, _ = pictures.shape
    x0, y0, x1, y1 = (
        (box * [width, height, width, height] + [-12, -12, 12, 12]).clip(0, [width, height] * 2).astype(int)
    )
    cut = Image.fromarray(pictures[0, y0:y1, x0:x1])
    factor = min(0.6 * height / cut.height, 0.3 * width / cut.width)
    poster = np.asarray(cut.resize((int(cut.width * factor), int(cut.height * factor))))
    out = pictures.copy()
    left = 8 if box[0] + box[2] > 1 else width - 8 - poster.shape[1]
    out[:, 8 : 8 + poster.shape[0], left : left + poster.shape[1]] = poster
    return out


def _mirror(pictures: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The half of the picture that the person is in, and its reflection beside it."""
    width = pictures.shape[2]
    middle = int(np.clip((box[0] + box[2]) / 2, 0.25, 0.75) * width)
    half = pictures[:, :, middle - width // 4 : middle + width // 4]
    return np.concatenate([half, half[:, :, ::-1]], 2)


KINDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "upside down": _upside_down, "dark": _dark, "round": _round, "zoom in": _zoom(1.0, 1.7),
    "zoom out": _zoom(1.7, 1.0), "legs": _legs, "poster": _poster, "mirror": _mirror,
}  # fmt: skip

if __name__ == "__main__":
    raise SystemExit(main())
