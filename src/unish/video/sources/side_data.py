"""Which pictures of a folder are the frames, and which lie beside them: masks, depth, thumbnails, second copies."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from unish.video.sources.photos import Photo

_SIDE_WORDS = frozenset(
    ("mask", "masks", "matte", "alpha", "trimap", "silhouette", "seg", "segm", "segmentation", "semantic", "instance",
     "annotation", "annotations", "label", "labels", "labelids", "gt", "groundtruth", "depth", "depths", "disp",
     "disparity", "normal", "normals", "flow", "conf", "confidence", "thumb", "thumbs", "thumbnail", "thumbnails")
)  # fmt: skip
_BEST_FIRST = (".jpg", ".jpeg", ".heic", ".heif", ".hif", ".avif", ".webp", ".png", ".tif", ".tiff", ".bmp")
"""Of two copies of one picture, the format that cameras write before the one that programs write."""
_NO_COLOUR = ("1", "L", "P", "I", "F")


def simplify(name: str) -> str:
    """Lower case, and every way to write a digit (①, ², １) as that digit."""
    return unicodedata.normalize("NFKC", name).casefold()


def split_numbers(name: str) -> list[str]:
    """Runs of decimal digits and what stands between them, in order."""
    return re.findall(r"\d+|\D+", simplify(name))


def without_side_data(photos: list[Photo]) -> tuple[list[Photo], list[Photo]]:
    """The frames, and what is left out because it belongs to one of them; both in the given order.

    Side data carries a word for it in its name (``mask_0001.png``, ``0001_depth.png``) and the numbers, or else the
    words, of a frame; or it is called like a frame but for its format (``0001.jpg`` and ``0001.png``). Where all names
    carry such a word, they are frames.
    """
    plain = [photo for photo in photos if not _words(photo.path) & _SIDE_WORDS]
    if not plain:
        return photos, []
    keys = {_key(photo.path) for photo in plain}
    beside = {photo.path for photo in photos if _words(photo.path) & _SIDE_WORDS and _key(photo.path) in keys}
    copies: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if photo.path not in beside:
            copies[simplify(photo.path.stem)].append(photo)
    for group in copies.values():
        best = min(group, key=_rank)
        beside.update(photo.path for photo in group if photo is not best and photo.path.suffix != best.path.suffix)
    frames = [photo for photo in photos if photo.path not in beside]
    return frames, [photo for photo in photos if photo.path in beside]


def describe_side_data(beside: Iterable[Photo]) -> str:
    names = [photo.path.name for photo in beside]
    return (
        f"{len(names)} pictures lie beside frames of the same number (masks, depth, copies) and were not used, "
        f"the first is {names[0]}"
    )


def _words(path: Path) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", simplify(path.stem)))


def _key(path: Path) -> tuple[object, ...]:
    """What a frame and its side data have in common: the numbers in the name, or else the other words."""
    numbers = [int(part) for part in split_numbers(path.stem) if part.isdecimal()]
    return tuple(numbers) if numbers else tuple(sorted(_words(path) - _SIDE_WORDS))


def _rank(photo: Photo) -> tuple[bool, bool, int]:
    return photo.num_pictures == 0, photo.mode.split(";")[0] in _NO_COLOUR, _BEST_FIRST.index(photo.path.suffix.lower())
