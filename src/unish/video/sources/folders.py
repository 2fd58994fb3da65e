"""Frames from a folder of images (or a single image)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.structs import Lens
from unish.video.resize import fit_long_side
from unish.video.shots.cuts import THUMBNAIL_SIZE
from unish.video.sources.folder_times import choose_times
from unish.video.sources.photos import (
    BROKEN_IMAGE_ERRORS,
    HEIF_SUFFIXES,
    IMAGE_SUFFIXES,
    Photo,
    load_photo,
    read_header,
    require_heif,
)
from unish.video.sources.side_data import describe_side_data, split_numbers, without_side_data

FILM_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".gif", ".mpg", ".mpeg", ".ts", ".wmv"})
"""Of the most common videos, for advice only: what a file is, its content says."""

_SAME_LENS = 1.05
"""Focal lengths that differ by less are those of one lens: focusing changes them, and tags are rounded."""


@dataclass(frozen=True, kw_only=True)
class ImageFrame:
    """One image; only its thumbnail is held, the pixels are read again when asked for.

    Attributes:
        index: position in the sorted list of frames.
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
        return load_photo(self.path, fit_long_side(self.size, long_side))

    def thumbnail(self) -> UInt8[ndarray, "h w 3"]:
        return self.small


@dataclass
class FolderSource:
    """Iterates over images in natural order of their names.

    Attributes:
        paths: the images, side data among them.
        source_fps: images per second; ``None`` lets names, EXIF times and the number of images decide.
        fps: frames per second that are going to be used.
        smallest_side: images with a shorter side (pixels) are left out beside larger ones.
        usual_size: (height, width) that most images have, once the iteration has begun.
        lens: that most images of the usual size name, once the iteration has begun; ``None`` where they name none, or
            several.

    Raises:
        InputError: on iteration, when no image can be read, or a package is missing that reads them.
    """

    paths: list[Path]
    source_fps: float | None
    fps: float
    smallest_side: int
    warnings: list[str] = field(default_factory=list)
    usual_size: tuple[int, int] | None = None
    total: int | None = None
    lens: Lens | None = None

    def plan(self) -> tuple[list[Photo], list[float]]:
        """The images that are frames, by their headers, and their times in seconds."""
        photos = self._choose_frames()
        self.total = len(photos)
        readable = [photo for photo in photos if photo.num_pictures]
        if readable:
            self.usual_size = Counter(photo.size for photo in readable).most_common(1)[0][0]
            self._choose_lens([photo for photo in readable if photo.size == self.usual_size])
        times, assumed = choose_times(photos, self.source_fps, self.fps)
        self.warnings.extend([assumed] if assumed else [])
        return photos, times

    def __iter__(self) -> Iterator[ImageFrame]:
        photos, times = self.plan()
        broken: list[str] = []
        for index, (photo, time_s) in enumerate(zip(photos, times, strict=True)):
            try:
                small = load_photo(photo.path, THUMBNAIL_SIZE)
            except BROKEN_IMAGE_ERRORS:
                broken.append(photo.path.name)
                continue
            yield ImageFrame(index=index, time_s=time_s, path=photo.path, size=photo.size, small=small)
        if len(broken) == len(photos):
            raise InputError(f"{self.paths[0].parent}: none of the {len(broken)} images can be read; give others")
        if broken:
            self.warnings.append(f"{len(broken)} images cannot be read and were left out, the first is {broken[0]}")

    def _choose_lens(self, photos: list[Photo]) -> None:
        named = [photo.lens for photo in photos if photo.lens is not None]
        if 2 * len(named) < len(photos) or not named:
            return
        shortest, longest = (choose(lens.focal for lens in named) for choose in (min, max))
        if longest > _SAME_LENS * shortest:
            self.warnings.append(
                "by their EXIF tags, the pictures were taken with focal lengths that differ by a factor of "
                f"{longest / shortest:.1f}: one camera cannot explain them all, and none of the tags was used"
            )
        else:
            self.lens = sorted(named, key=lambda lens: lens.focal)[len(named) // 2]

    def _choose_frames(self) -> list[Photo]:
        """The images that are frames, those that cannot be read among them: they keep their place in time."""
        photos, beside = without_side_data([read_header(path) for path in self.paths])
        if beside:
            self.warnings.append(describe_side_data(beside))
        for photo in photos:
            if photo.path.suffix.lower() in HEIF_SUFFIXES:
                require_heif(photo.path)
        films = [photo for photo in photos if photo.num_pictures > 1]
        if films:
            self.warnings.append(
                f"{films[0].path.name} holds {films[0].num_pictures} pictures and only its first was used; "
                "convert it to a video to use all"
            )
        tiny = [photo for photo in photos if photo.num_pictures and min(photo.size) < self.smallest_side]
        if 0 < len(tiny) < sum(photo.num_pictures > 0 for photo in photos):
            self.warnings.append(f"{len(tiny)} tiny images were left out, the first is {tiny[0].path.name}")
            photos = [photo for photo in photos if photo not in tiny]
        return photos


def list_images(folder: Path) -> list[Path]:
    """Images directly in ``folder``, in natural order (2 before 10); hidden files do not count.

    Raises:
        InputError: the folder cannot be listed, or holds no image.
    """
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
        files = [path for path in entries if path.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror}); check its permissions") from None
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise InputError(f"{folder}: {_what_to_give_instead(folder, entries, files)}")
    return sorted(images, key=_natural_key)


def _what_to_give_instead(folder: Path, entries: list[Path], files: list[Path]) -> str:
    films = sorted(path.name for path in files if path.suffix.lower() in FILM_SUFFIXES)
    if films:
        return f"there are videos in this folder, no images; give one of them, for instance {folder / films[0]}"
    inner = sorted(path for path in entries if path.is_dir() and _holds_images(path))
    if inner:
        names = ", ".join(path.name for path in inner[:4]) + (" …" if len(inner) > 4 else "")
        return f"there is no image directly in this folder, but in {names}; give one of these, as {inner[0]}"
    what = "the folder is empty" if not entries else "there is no image directly in this folder"
    return f"{what}; give a folder with {', '.join(sorted(IMAGE_SUFFIXES))} files"


def _holds_images(folder: Path) -> bool:
    try:
        return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    except OSError:
        return False


def _natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Digits compare as numbers; equal names ("1.jpg", "01.jpg") fall back to the spelling."""
    parts = split_numbers(path.stem)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], path.name
