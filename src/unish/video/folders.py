"""Frames from a folder of images (or a single image)."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from unish.errors import InputError
from unish.video.cuts import THUMBNAIL_SIZE
from unish.video.resize import fit_long_side

_ORIENTATION = 0x0112
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

_OPENING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class ImageFrame:
    """One image; only its thumbnail is held, the pixels are read again when asked for.

    Attributes:
        index: position in the sorted list of images.
        time_s: seconds since the first image.
        path: the file.
        size: (height, width) of the upright image.
        small: the thumbnail that cuts are found with.
    """

    index: int
    time_s: float
    path: Path
    size: tuple[int, int]
    small: UInt8[ndarray, "h w 3"]

    def pixels(self, long_side: int) -> UInt8[ndarray, "h w 3"]:
        """Upright RGB, shrunk to ``long_side``; transparency over black."""
        return _load(self.path, fit_long_side(self.size, long_side))[0]

    def thumbnail(self) -> UInt8[ndarray, "h w 3"]:
        return self.small


@dataclass
class FolderSource:
    """Iterates over images in natural order of their names, ``1 / source_fps`` seconds apart.

    Raises:
        InputError: on iteration, when the folder has no image or none can be read.
    """

    paths: list[Path]
    source_fps: float
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[ImageFrame]:
        broken: list[str] = []
        for index, path in enumerate(self.paths):
            try:
                small, size = _load(path, THUMBNAIL_SIZE)
            except (OSError, ValueError, SyntaxError):  # what Pillow raises for damaged files, by format
                broken.append(path.name)
                continue
            yield ImageFrame(index=index, time_s=index / self.source_fps, path=path, size=size, small=small)
        if len(broken) == len(self.paths):
            raise InputError(f"{self.paths[0].parent}: none of the {len(broken)} images can be read; give others")
        if broken:
            self.warnings.append(f"{len(broken)} images cannot be read and were left out, the first is {broken[0]}")


def list_images(folder: Path) -> list[Path]:
    """Images directly in ``folder``, in natural order (2 before 10); hidden files do not count.

    Raises:
        InputError: the folder cannot be listed, or holds no image.
    """
    try:
        entries = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror}); check its permissions") from None
    images = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        what = "the folder is empty" if not entries else "there is no image directly in this folder"
        raise InputError(f"{folder}: {what}; give a folder with {', '.join(sorted(IMAGE_SUFFIXES))} files")
    return sorted(images, key=_natural_key)


def _load(path: Path, size: tuple[int, int]) -> tuple[UInt8[ndarray, "h w 3"], tuple[int, int]]:
    """The upright RGB image at (height, width) ``size``, and its full upright (height, width)."""
    with _open(path) as opened:
        turned = opened.getexif().get(_ORIENTATION, 1) >= 5
        full = opened.size if turned else opened.size[::-1]
        # JPEG decodes straight to a fraction of its size, still above the asked one; other formats ignore this.
        opened.draft("RGB", (2 * max(size), 2 * max(size)))
        upright = _to_rgb(ImageOps.exif_transpose(opened))
    return np.array(upright.resize((size[1], size[0]), Image.Resampling.BILINEAR)), full


def _open(path: Path) -> Image.Image:
    """Open an image of any size: a user's own large photo is no attack, and only its shrunken copy is kept.

    Pillow's limit is a setting of the whole process and is looked at while the header is read; it stands as before for
    everybody else.
    """
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit RGB: 16-bit grey is scaled, transparency is laid over black."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        top = 65535.0 if image.mode != "F" else max(1.0, float(values.max(initial=0)))
        return Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image.convert("RGB")


def _natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Digits compare as numbers; equal names ("1.jpg", "01.jpg") fall back to the spelling."""
    parts = re.findall(r"\d+|\D+", path.stem.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts], path.name
