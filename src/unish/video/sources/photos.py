"""One picture file: its header, and its upright 8-bit RGB pixels."""

from __future__ import annotations

import importlib.util
import struct
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from unish.errors import InputError
from unish.structs import Lens
from unish.video.sources.exif_lens import EXIF_IFD, read_exif_lens

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".avif"}) | HEIF_SUFFIXES

_ORIENTATION, _TAKEN, _TAKEN_FRACTION = 0x0112, 0x9003, 0x9291
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""
BROKEN_IMAGE_ERRORS = (OSError, ValueError, SyntaxError, struct.error, KeyError, TypeError)
"""What Pillow raises for damaged files, by format."""

_OPENING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Photo:
    """What the header of a picture file says.

    Attributes:
        path: the file.
        size: (height, width) of the upright picture.
        mode: Pillow's name of the pixel format.
        taken_s: when it was taken by its EXIF tags, seconds since an arbitrary day; ``None`` where they do not say.
        num_pictures: how many the file holds, as animated and many-page ones do; 0 for one that cannot be read.
        lens: by its EXIF tags; ``None`` where they do not say.
    """

    path: Path
    size: tuple[int, int]
    mode: str
    taken_s: float | None
    num_pictures: int
    lens: Lens | None = None


def read_header(path: Path) -> Photo:
    """Also of a file that cannot be read, or only with a package that is not there: ``num_pictures`` is 0 then."""
    try:
        with _open(path) as opened:
            return Photo(
                path=path,
                size=_upright_size(opened),
                mode=opened.mode,
                taken_s=_time_taken(opened),
                lens=_read_lens(opened),
                # Phones hide a second view, or the depth, behind a JPEG: that is no film.
                num_pictures=1 if opened.format in ("JPEG", "MPO", "HEIF") else getattr(opened, "n_frames", 1),
            )
    except (InputError, *BROKEN_IMAGE_ERRORS):
        return Photo(path=path, size=(0, 0), mode="", taken_s=None, num_pictures=0)


def load_photo(path: Path, size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """The upright RGB picture shrunk to (height, width); transparency over black.

    Raises one of ``BROKEN_IMAGE_ERRORS``, or ``InputError`` where the package for its format is missing.
    """
    with _open(path) as opened:
        # JPEG decodes straight to a fraction of its size, still above the asked one; other formats ignore this.
        opened.draft("RGB", (2 * max(size), 2 * max(size)))
        upright = _to_rgb(_set_upright(opened))
    return np.array(upright.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def require_heif(path: Path) -> None:
    """Make Pillow read HEIC and HEIF.

    Raises:
        InputError: the package that reads them is not installed.
    """
    if importlib.util.find_spec("pi_heif") is None:
        raise InputError(
            f'{path}: HEIC and HEIF pictures need one more package: pip install "unish[heif]"; or convert them to JPEG'
        )
    import pi_heif

    pi_heif.register_heif_opener()


def _open(path: Path) -> Image.Image:
    """Open an image of any size: a user's own large photo is no attack, and only its shrunken copy is kept.

    Pillow's limit is a setting of the whole process and is looked at while the header is read; it stands as before for
    everybody else.
    """
    if path.suffix.lower() in HEIF_SUFFIXES:
        require_heif(path)
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _orientation(image: Image.Image) -> int:
    """1 to 8; 1 where the tag is absent, senseless or unreadable, as every viewer takes it."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except BROKEN_IMAGE_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    # Pillow gives the size of a TIFF as it will be once its orientation is undone, that of all others as stored.
    turned = _orientation(image) in _TURNED and image.format != "TIFF"
    return image.size if turned else image.size[::-1]


def _set_upright(image: Image.Image) -> Image.Image:
    if _orientation(image) == 1:
        return image
    image.load()  # of a TIFF, this undoes the orientation and removes the tag
    return ImageOps.exif_transpose(image)


def _time_taken(image: Image.Image) -> float | None:
    try:
        tags = image.getexif().get_ifd(EXIF_IFD)
        moment = datetime.strptime(str(tags[_TAKEN]).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except BROKEN_IMAGE_ERRORS:
        return None
    digits = str(tags.get(_TAKEN_FRACTION, "")).strip("\0 ")
    fraction = float(f"0.{digits}") if digits.isdecimal() and digits.isascii() else 0.0
    return (moment - datetime(2000, 1, 1)) / timedelta(seconds=1) + fraction


def _read_lens(image: Image.Image) -> Lens | None:
    try:
        return read_exif_lens(image.getexif().get_ifd(EXIF_IFD), _upright_size(image))
    except BROKEN_IMAGE_ERRORS:
        return None


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
