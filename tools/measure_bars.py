"""What bars beside the picture change: the same clips with and without, through the whole pipeline.

python tools/measure_bars.py --videos VIDEOS --out out/bars [--clips 20] [--frames 12] [--method found]
    [--lossless] [--kinds blurred] [--only-find] [--only-pictures]

Some frames of each video are written anew, without bars and with four kinds of them: above and below, at the sides,
both, and a blurred copy of the picture at the sides. Rows are kept in OUT/METHOD.json; a second call goes on where the
first was cut off. Videos in the order of their names; half A is every other one from the first, on which rules were
chosen.

Two ways run no network. ``--only-find`` asks, of coarser coding, whether bars are found. ``--only-pictures`` asks, of
coding without loss, whether people and network are handed the very pictures that they are handed without bars: then all
that is found is the same, but for how the widths of bars are rounded when it is put back.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageFilter

from unish.io import write_json
from unish.network import UniSH
from unish.pipeline import run
from unish.settings import Settings
from unish.structs import Clip, Reconstruction
from unish.video import read_clip, read_inside_bars
from unish.video.borders.bars import find_bars

KINDS = ("none", "letter", "pillar", "both", "blurred", "recoded")
"""``recoded`` has no bars, either, and is coded a little otherwise: what changes there has nothing to do with bars."""
METHODS = ("found", "hidden", "ignored")
"""Bars cut off as the pipeline does it; the true bars hidden from all that follows the network; nothing done."""
COLUMNS = ("distance_m", "field_of_view_deg", "camera_height_m")
FPS = 6.0
CRF, OTHER_CRF, COARSE_CRF = 12, 14, 28
"""Of H.264: the first two are nearly without loss, for what coding changes is not asked here."""

Area = tuple[int, int, int, int]


def bar_widths(kind: str, size: tuple[int, int], number: int) -> tuple[int, int]:
    """(above and below, left and right), pixels; another share for every clip, odd widths among them."""
    share = (number * 0.618) % 1
    height, width = size
    rows = {"letter": 0.08 + 0.12 * share, "both": 0.06 + 0.08 * share}.get(kind, 0.0)
    columns = {"pillar": 0.15 + 0.6 * share, "blurred": 0.15 + 0.6 * share, "both": 0.08 + 0.15 * share}.get(kind, 0.0)
    return int(rows * height), int(columns * width)


def add_bars(picture: UInt8[ndarray, "h w 3"], kind: str, number: int) -> tuple[UInt8[ndarray, "H W 3"], Area]:
    """The picture between its bars, and where it lies."""
    height, width = picture.shape[:2]
    rows, columns = bar_widths(kind, (height, width), number)
    size = (height + 2 * rows, width + 2 * columns)
    if kind == "blurred":
        factor = max(size[0] / height, size[1] / width)
        copy = Image.fromarray(picture).resize((round(width * factor), round(height * factor)))
        left, top = (copy.width - size[1]) // 2, (copy.height - size[0]) // 2
        copy = copy.crop((left, top, left + size[1], top + size[0]))
        framed = np.array(copy.filter(ImageFilter.GaussianBlur(0.02 * size[1])))
    else:
        framed = np.zeros((*size, 3), np.uint8)
    framed[rows : rows + height, columns : columns + width] = picture
    return framed, (rows, columns, rows + height, columns + width)


def write_video(path: Path, pictures: list[UInt8[ndarray, "H W 3"]], crf: int) -> None:
    """H.264; a quality of 0 is lossless, colours at full resolution."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS), options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p" if crf else "yuv444p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def measure(found: Reconstruction, area: Area) -> dict[str, float]:
    """Distance of people (of the scene where there is nobody), field of view of the picture, height over the floor."""
    factor = found.source_size[1] / found.image_size[1]
    focal = float(np.median(found.intrinsics[:, 0, 0])) * factor
    reach = np.linalg.norm(found.joints[:, :, 0] - found.c2w[None, :, :3, 3], axis=-1)[found.person_valid]
    scene = float(np.median(found.depth[found.depth > 0])) if (found.depth > 0).any() else float("nan")
    heights = found.floor[:, 3]
    known = heights[np.isfinite(heights)]
    return {
        "distance_m": float(np.median(reach)) if len(reach) else scene,
        "scene_depth_m": scene,
        "field_of_view_deg": float(np.degrees(2 * np.arctan((area[3] - area[1]) / 2 / focal))),
        "camera_height_m": float(np.median(known)) if len(known) else float("nan"),
        "people": found.num_people,
        "shots": found.num_shots,
    }


def prepare(path: Path, area: Area, method: str) -> Clip:
    """The frames for a method that does not look for bars."""
    clip = read_clip(path, fps=FPS, long_side=4096)
    shown = area if method == "hidden" else (0, 0, *clip.size)
    return replace(clip, picture_area=torch.tensor([shown]).repeat(clip.num_frames, 1))


def measure_clip(
    video: Path, kind: str, number: int, method: str, frames: int, crf: int, model: UniSH, out: Path
) -> dict[str, Any]:
    """One row."""
    clip = read_clip(video, fps=FPS, max_frames=frames)
    height, width = (side // 2 * 2 for side in clip.size)
    made = [add_bars(picture[:height, :width], kind, number) for picture in clip.images.numpy()]
    path, area = out / "made.mp4", made[0][1]
    write_video(path, [picture for picture, _ in made], OTHER_CRF if kind == "recoded" else crf)
    settings = Settings(fps=FPS)
    source = path if method == "found" else prepare(path, area, method)
    result = run(source, settings=settings, network=model)
    shown = read_inside_bars(path, fps=FPS)[1].source_area
    whole = (0, 0, *made[0][0].shape[:2])
    return measure(result.reconstruction, area) | {"made": area, "found": shown or whole, "frames": frames}


def find_only(videos: list[Path], frames: int, out: Path) -> None:
    """Print of each kind: how many clips, found to the pixel, within one pixel, missed, and the others."""
    off: dict[str, list[float]] = {kind: [] for kind in KINDS[:-1]}
    for number, video in enumerate(videos):
        pictures = read_clip(video, fps=FPS, max_frames=frames).images.numpy()
        height, width = (side // 2 * 2 for side in pictures.shape[1:3])
        own = find_bars(pictures[:, :height, :width]) or (0, 0, height, width)
        for kind in off:
            made = [add_bars(picture[:height, :width], kind, number) for picture in pictures]
            write_video(out / "made.mp4", [picture for picture, _ in made], COARSE_CRF)
            coded = read_clip(out / "made.mp4", fps=FPS, long_side=4096).images.numpy()
            found, (top, left, _, _) = find_bars(coded), made[0][1]
            # A film that has bars itself ends at these.
            wanted = np.array(own) + np.array([top, left, top, left])
            missed = found is None and tuple(wanted) != (0, 0, *coded.shape[1:3])
            away = float("inf") if missed else float(np.abs(np.array(found or wanted) - wanted).max())
            off[kind].append(away)
            if away > 0:
                print(video.stem, kind, "wanted", wanted.tolist(), "found", found)
    print("| kind | clips | to the pixel | within one | missed | elsewhere |\n|---|---|---|---|---|---|")
    for kind, values in off.items():
        far = np.array(values)
        counts = [(far == 0).sum(), (far <= 1).sum(), np.isinf(far).sum(), ((far > 1) & np.isfinite(far)).sum()]
        print(f"| {kind} | {len(far)} | " + " | ".join(str(count) for count in counts) + " |")


def compare_pictures(videos: list[Path], kinds: list[str], frames: int, out: Path) -> None:
    """Print of each kind: how many clips, with the same pictures inside, and the names of the others."""
    same: dict[str, int] = dict.fromkeys(kinds, 0)
    others: dict[str, list[str]] = {kind: [] for kind in kinds}
    for number, video in enumerate(videos):
        pictures = read_clip(video, fps=FPS, max_frames=frames).images.numpy()
        height, width = (side // 2 * 2 for side in pictures.shape[1:3])
        shown = {}
        for kind in ("none", *kinds):
            made = [add_bars(picture[:height, :width], kind, number)[0] for picture in pictures]
            write_video(out / "made.mp4", made, 0)
            shown[kind] = np.asarray(read_inside_bars(out / "made.mp4", fps=FPS)[1].images)
        for kind in kinds:
            if np.array_equal(shown["none"], shown[kind]):
                same[kind] += 1
            else:
                others[kind].append(f"{video.stem} {shown['none'].shape[1:3]} {shown[kind].shape[1:3]}")
                print(kind, others[kind][-1], flush=True)
    print("| kind | clips | same pictures | others |\n|---|---|---|---|")
    for kind in kinds:
        print(f"| {kind} | {len(videos)} | {same[kind]} | {', '.join(others[kind])} |")


def change(before: float | None, after: float | None) -> float:
    """Per cent; NaN where either is unknown (``None`` in the file)."""
    return float("nan") if before is None or after is None else 100 * abs(after / before - 1)


def summarise(rows: dict[str, dict[str, Any]], half: str) -> list[str]:
    """Markdown: by kind, median change and the share of clips that change by at most 5 %."""
    lines = [f"| half {half} | clips | pixels off | " + " | ".join(COLUMNS) + " |", "|---" * (3 + len(COLUMNS)) + "|"]
    clips = list(dict.fromkeys(name.rsplit("/", 1)[0] for name in rows))
    chosen = [name for number, name in enumerate(clips) if half in ("A+B", "AB"[number % 2])]
    for kind in KINDS[1:]:
        pairs = [(rows[f"{c}/none"], rows[f"{c}/{kind}"]) for c in chosen if f"{c}/{kind}" in rows]
        if not pairs:
            continue
        off = [max(abs(a - b) for a, b in zip(row["made"], row["found"], strict=True)) for _, row in pairs]
        cells = [f"{np.median(off):.0f} · {max(off):.0f}"]
        for column in COLUMNS:
            changes = np.array([change(one[column], other[column]) for one, other in pairs])
            known = changes[np.isfinite(changes)]
            share = 100 * float((known <= 5).mean()) if len(known) else float("nan")
            median, worst = (float(f(known)) if len(known) else float("nan") for f in (np.median, np.max))
            cells.append(f"{median:.2f} % · {share:.0f} % · {worst:.1f} %")
        lines.append(f"| {kind} | {len(pairs)} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--method", choices=METHODS, default="found")
    parser.add_argument("--only-find", action="store_true")
    parser.add_argument("--only-pictures", action="store_true")
    parser.add_argument("--kinds", nargs="+", choices=KINDS[1:-1], default=list(KINDS[1:-1]))
    parser.add_argument("--lossless", action="store_true", help="of coding, so that bars are all that differs")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    videos = sorted(arguments.videos.iterdir())[: arguments.clips]
    if arguments.only_find:
        find_only(videos, arguments.frames, arguments.out)
        return
    if arguments.only_pictures:
        compare_pictures(videos, arguments.kinds, arguments.frames, arguments.out)
        return
    path = arguments.out / f"{arguments.method}{'-lossless' * arguments.lossless}.json"
    rows: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    model = UniSH.from_pretrained("small").eval()
    crf = 0 if arguments.lossless else CRF
    for kinds in (("none", *arguments.kinds), () if arguments.lossless else KINDS[-1:]):
        for number, video in enumerate(videos):
            for kind in kinds:
                name = f"{video.stem}/{kind}"
                if name not in rows:
                    rows[name] = measure_clip(
                        video, kind, number, arguments.method, arguments.frames, crf, model, arguments.out
                    )
                    write_json(path, rows)
    for half in ("A", "B", "A+B"):
        print("\n".join(summarise(rows, half)) + "\n")


if __name__ == "__main__":
    main()
