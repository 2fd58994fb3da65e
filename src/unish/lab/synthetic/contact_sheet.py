"""Contact sheets: one tile per clip of shards, of synthetic clips or of reconstructions, to judge them at a glance."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from safetensors import SafetensorError, safe_open

from unish.errors import InputError
from unish.lab.synthetic.config import SKY_DEPTH
from unish.render.colours import depth_colours, depth_range, person_colour
from unish.structs import Reconstruction

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
STRIP_FRAMES = 6
_PAPER, _INK, _SCENE = (250, 250, 250), (40, 40, 40), (48, 48, 48)
_GAP, _SEAM, _CAPTION = 6, 2, 15
_SHAPE = 1.4
"""Width of a sheet over its height, about."""

View = Literal["depth", "ids"]


@dataclass(frozen=True, kw_only=True)
class SheetConfig:
    """How a contact sheet is laid out.

    Attributes:
        tiles: at most this many clips, spread evenly over the source.
        side: long side of a tile, pixels.
        strip: frames of each clip side by side instead of the first alone.
        views: what is shown beside each frame (below it in a strip).
    """

    tiles: int = 64
    side: int = 144
    strip: bool = False
    views: tuple[View, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SheetClip:
    """What a sheet shows of one clip: pictures, depth in metres (0 undefined), person indices (−1 scene), a caption."""

    images: UInt8[ndarray, "T H W 3"]
    depth: Float[ndarray, "T H W"]
    ids: Int[ndarray, "T H W"]
    caption: str


def write_sheet(source: Path, out: Path, config: SheetConfig | None = None) -> int:
    """Draw the sheet of ``source`` (see ``read_sheet_clips``) into the picture file ``out``; returns the clips shown.

    Raises:
        InputError: ``out`` is no PNG or JPEG name, or ``read_sheet_clips`` refuses the source.
    """
    config = config or SheetConfig()
    if out.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(f"{out}: a contact sheet is a picture; give a name that ends in {', '.join(PICTURE_SUFFIXES)}")
    clips = read_sheet_clips(source, config.tiles)
    sheet = draw_sheet(clips, config)
    options = {"optimize": True} if out.suffix.lower() == ".png" else {"quality": 82, "optimize": True}
    sheet.save(out, **options)
    return len(clips)


def read_sheet_clips(source: Path, most: int) -> list[SheetClip]:
    """At most ``most`` clips, spread evenly over a shard, a reconstruction file, or a folder.

    In a folder every ``*.safetensors``, ``*.npz`` and ``*/reconstruction.npz`` counts, by name.

    Raises:
        InputError: the source is missing, empty, or holds something else.
    """
    if source.is_dir():
        files = sorted([*source.glob("*.safetensors"), *source.glob("*.npz"), *source.glob("*/reconstruction.npz")])
    elif source.is_file():
        files = [source]
    else:
        raise InputError(f"{source}: no such file or folder; give a shard, a reconstruction, or a folder of them")
    found = [(path, index) for path in files for index in range(_count_clips(path))]
    if not found:
        raise InputError(f"{source}: no clip is in there; make some with `unish synth`")
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return [_read_clip(*found[number]) for number in chosen]


def draw_sheet(clips: Sequence[SheetClip], config: SheetConfig) -> Image.Image:
    """Blocks of one clip each in even columns; a block is as wide as its panels, a row as high as its tallest."""
    scale = config.side / max(max(clip.images.shape[1:3]) for clip in clips)
    heights = [round(clip.images.shape[1] * scale) + _SEAM for clip in clips]
    cell_width = max(round(clip.images.shape[2] * scale) for clip in clips) + _SEAM
    blocks = [_panels(clip, config) for clip in clips]
    rows, columns = max(len(block) for block in blocks), max(len(block[0]) for block in blocks)
    width, usual_height = columns * cell_width - _SEAM + _GAP, rows * max(heights) + _CAPTION + _GAP
    across = max(1, min(len(clips), round(math.sqrt(len(clips) * _SHAPE * usual_height / width))))
    cell_heights = [max(heights[start : start + across]) for start in range(0, len(clips), across)]
    tops = np.cumsum([_GAP, *(rows * height + _CAPTION + _GAP for height in cell_heights)]).tolist()
    sheet = Image.new("RGB", (across * width + _GAP, tops[-1]), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=10)
    for number, (clip, block) in enumerate(zip(clips, blocks, strict=True)):
        left, bottom = _GAP + number % across * width, tops[number // across + 1] - _CAPTION - _GAP
        picture = _join_panels(block, scale, smooth_row=config.strip)
        sheet.paste(picture, (left, bottom - picture.height))
        caption = _shorten(clip.caption, font, width - _GAP)
        draw.text((left, bottom + 2), caption, fill=_INK, font=font)
    return sheet


def _join_panels(block: list[list[UInt8[ndarray, "H W 3"]]], scale: float, *, smooth_row: bool) -> Image.Image:
    """Rows of panels of one size with thin seams; photographs are smoothed, depths and ids are not."""
    height, width = (max(1, round(side * scale)) for side in block[0][0].shape[:2])
    size = (len(block[0]) * (width + _SEAM) - _SEAM, len(block) * (height + _SEAM) - _SEAM)
    joined = Image.new("RGB", size, _PAPER)
    for row, panels in enumerate(block):
        for column, panel in enumerate(panels):
            photograph = row == 0 and (column == 0 or smooth_row)
            how = Image.Resampling.LANCZOS if photograph else Image.Resampling.NEAREST
            tile = Image.fromarray(panel).resize((width, height), how)
            joined.paste(tile, (column * (width + _SEAM), row * (height + _SEAM)))
    return joined


def _panels(clip: SheetClip, config: SheetConfig) -> list[list[UInt8[ndarray, "H W 3"]]]:
    """Rows of pictures: frames across and views down in a strip, the first frame and its views across otherwise."""
    total = len(clip.images)
    frames = np.unique(np.linspace(0, total - 1, STRIP_FRAMES).round().astype(int)) if config.strip else np.array([0])
    views = [list(clip.images[frames])]
    for view in config.views:
        views.append(list(_depth_pictures(clip.depth)[frames] if view == "depth" else _id_pictures(clip.ids[frames])))
    return views if config.strip else [[pictures[0] for pictures in views]]


def _depth_pictures(depth: Float[ndarray, "T H W"]) -> UInt8[ndarray, "T H W 3"]:
    """Colours whose range leaves the sky out."""
    metres = depth.astype(np.float32)
    return depth_colours(metres, *depth_range(np.where(metres < SKY_DEPTH, metres, 0)))


def _id_pictures(ids: Int[ndarray, "T H W"]) -> UInt8[ndarray, "T H W 3"]:
    palette = np.array([_SCENE, *(person_colour(person) for person in range(max(int(ids.max()) + 1, 0)))], np.uint8)
    return palette[np.maximum(ids.astype(np.int64), -1) + 1]


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """``text``, with its end replaced by dots where it is wider than ``width`` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _caption(labels: Sequence[str], people: int, intrinsics: Float[ndarray, "3 3"], size: tuple[int, int]) -> str:
    view = math.degrees(2 * math.atan(max(size) / 2 / float(intrinsics[0, 0])))
    count = f"{people} {'person' if people == 1 else 'people'}"
    return " · ".join([*(label for label in labels if label), count, f"{view:.0f}°"])


def _count_clips(path: Path) -> int:
    if path.suffix != ".safetensors":
        return 1
    try:
        with safe_open(path, framework="numpy") as shard:
            return int(shard.get_slice("images").get_shape()[0])
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable shard ({error}); make it again with `unish synth`") from None


def _read_clip(path: Path, index: int) -> SheetClip:
    return _read_shard_clip(path, index) if path.suffix == ".safetensors" else _read_reconstruction(path)


def _read_shard_clip(path: Path, index: int) -> SheetClip:
    try:
        with safe_open(path, framework="numpy") as shard:
            notes = shard.metadata() or {}
            names = ("images", "depth", "ids", "intrinsics", "person_valid")
            images, depth, ids, intrinsics, valid = (shard.get_slice(name)[index] for name in names)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a training shard ({error}); make it again with `unish synth`") from None
    labels = json.loads(notes.get("labels", "[]"))
    own = labels[index] if index < len(labels) else {}
    number = int(notes.get("first_clip", "0")) + index
    return SheetClip(
        images=images,
        depth=depth,
        ids=ids,
        caption=_caption(
            [str(number), *own.values()], int(valid.any(-1).sum()), intrinsics[0], (images.shape[1], images.shape[2])
        ),
    )


def _read_reconstruction(path: Path) -> SheetClip:
    record = Reconstruction.load(path).in_memory()
    name = path.parent.name if path.stem == "reconstruction" else path.stem.removeprefix("clip-").lstrip("0") or "0"
    labels = [str(record.extra[key]) for key in ("truth_place", "truth_camera") if key in record.extra]
    people = int(record.person_valid.any(axis=1).sum())
    size = (record.images.shape[1], record.images.shape[2])
    return SheetClip(
        images=record.images,
        depth=record.depth,
        ids=record.person_masks,
        caption=_caption([name, *labels], people, record.intrinsics[0], size),
    )
