"""Whether pictures in pictures and recorded screens are found: made from real clips, two by two.

python tools/measure_insets.py --videos VIDEOS [--frames 12]

Into a corner of each video goes another one, framed in white in every third; then each is shown amid a still picture,
as a page shows it, in three layouts. Both are coded by H.264 at CRF 26. Then the videos as they are, in which nothing
should be found. Videos in the order of their names; half A is every other one from the first.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from measure_bars import write_video
from unish.video import read_clip
from unish.video.borders.bars import Area
from unish.video.borders.inset import find_inset
from unish.video.borders.surround import find_surroundings

CRF, LONG_SIDE, FPS = 26, 640, 6.0
MARGIN, FRAME = 10, 3
"""Pixels of an inset to the corner, and of its white frame."""
CLOSE = 5
"""Pixels by which an inset may be found smaller, larger or elsewhere; surroundings: 1."""

Pictures = UInt8[ndarray, "N H W 3"]


def lay_inset(main: Pictures, other: Pictures, number: int) -> tuple[Pictures, Area]:
    """A fifth to a third as wide as the frame, at most 0.4 of its height, in each of the corners by turns."""
    height, width = main.shape[1:3]
    wide = int(width * (0.22 + 0.1 * (number * 0.618 % 1)))
    high = min(int(wide * other.shape[1] / other.shape[2]), int(0.4 * height))
    wide = int(high * other.shape[2] / other.shape[1])
    small = np.stack([np.asarray(Image.fromarray(picture).resize((wide, high))) for picture in other])
    corner, frame = number // 2 % 4, FRAME * (number % 3 == 2)
    top = MARGIN if corner < 2 else height - high - MARGIN
    left = MARGIN if corner % 2 else width - wide - MARGIN
    laid = main.copy()
    laid[:, top - frame : top + high + frame, left - frame : left + wide + frame] = 255
    laid[:, top : top + high, left : left + wide] = small
    return laid, (top - frame, left - frame, top + high + frame, left + wide + frame)


def surround(main: Pictures, page: UInt8[ndarray, "h w 3"], number: int) -> tuple[Pictures, Area]:
    """The film amid a still picture: things at all sides, above and below, and close around."""
    height, width = main.shape[1:3]
    sheet = np.asarray(Image.fromarray(page).resize((width + width // 2, height + height // 3)))
    top, left = ((height // 6, width // 4), (height // 6, 0), (height // 12, width // 10))[number % 3]
    shown = np.repeat((sheet if left else sheet[:, :width])[None], len(main), axis=0)
    shown[:, top : top + height, left : left + width] = main
    return shown, (top, left, top + height, left + width)


def code(pictures: Pictures, folder: Path) -> Pictures:
    """After H.264."""
    even = [picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2] for picture in pictures]
    write_video(folder / "made.mp4", even, CRF)
    return read_clip(folder / "made.mp4", fps=FPS, long_side=4096).images.numpy()


def judge(found: Area | None, wanted: Area, near: int) -> str:
    """One word. What covers the wanted area and some more hides too much, and nothing is wrong for it."""
    if found is None:
        return "missed"
    if np.abs(np.array(found) - wanted).max() <= near:
        return "found"
    covers = found[0] <= wanted[0] + near and found[1] <= wanted[1] + near
    return "larger" if covers and found[2] >= wanted[2] - near and found[3] >= wanted[3] - near else "elsewhere"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=12)
    arguments = parser.parse_args()
    videos = sorted(arguments.videos.iterdir())
    films = [
        read_clip(video, fps=FPS, max_frames=arguments.frames, long_side=LONG_SIDE).images.numpy() for video in videos
    ]
    counts: Counter[tuple[str, str, str]] = Counter()
    with TemporaryDirectory() as folder:
        for number, (video, film) in enumerate(zip(videos, films, strict=True)):
            other = films[(number + 10) % len(films)]
            other = other[np.arange(len(film)) % len(other)]
            laid, inset = lay_inset(film, other, number)
            shown, area = surround(film, films[(number + 17) % len(films)][0], number)
            words = {
                "inset": judge(find_inset(code(laid, Path(folder))), inset, CLOSE),
                "surroundings": judge(find_surroundings(code(shown, Path(folder))), area, 1),
                "as it is": f"inset {find_inset(film)}, surroundings {find_surroundings(film)}",
            }
            print(video.stem, words, flush=True)
            counts.update(("AB"[number % 2], kind, word) for kind, word in words.items())
    for (half, kind, word), count in sorted(counts.items()):
        print(f"half {half}, {kind}: {word} {count}")


if __name__ == "__main__":
    main()
