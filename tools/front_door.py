"""Try inputs of many kinds on the command line, as a user would, and print a table: what was expected, what came.

    python tools/front_door.py OUT [--only WORD] [--clip VIDEO]

The tests of the reader check pictures and times of inputs that they write. This runs the whole command: everything must
end with a result whose warnings say what was assumed, or with one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from unish.video import read_clip
from written_videos import numbered_pictures, tag_display, write_images, write_video


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input.

    Attributes:
        make: (folder, pictures) → the words after ``unish reconstruct``; runs in ``folder``.
        code: expected exit code.
        words: expected in a warning of ``report.json``, or in the line on stderr; "" where no warning is due.
    """

    name: str
    make: Callable[[Path, np.ndarray], list[str]]
    code: int = 0
    words: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="cases whose name holds this word")
    parser.add_argument("--clip", type=Path, help="a video whose first pictures are used instead of drawn ones")
    args = parser.parse_args()
    pictures = numbered_pictures(12, 180, 320)
    if args.clip is not None:
        pictures = read_clip(args.clip, fps=10.0, long_side=320, max_frames=12).images.numpy()
        pictures = pictures[:, : pictures.shape[1] // 2 * 2, : pictures.shape[2] // 2 * 2]
    wrong = 0
    for case in CASES:
        if args.only in case.name:
            got, right = _try(case, args.out / case.name.replace(" ", "-"), pictures)
            wrong += not right
            print(f"{'right' if right else 'WRONG'}  {case.name:32}  {_expected(case):44}  {got}", flush=True)
    return int(wrong > 0)


def _expected(case: Case) -> str:
    return f"exit {case.code}" + (f", says: {case.words}" if case.words else "")


def _try(case: Case, folder: Path, pictures: np.ndarray) -> tuple[str, bool]:
    folder.mkdir(parents=True)
    words = case.make(folder, pictures)
    command = [sys.executable, "-m", "unish", "reconstruct", *_OPTIONS, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    if done.returncode != 0:
        said = lines[0] if lines else ""
        right = done.returncode == case.code and len(lines) == 1 and case.words in said
        return f"exit {done.returncode}, {len(lines)} lines: {said[:90]}", right and not (folder / "out").exists()
    # Of the reader: what follows them is about people, the network and verdicts.
    said = json.loads((folder / "out" / "report.json").read_text())["warnings"]
    about_reading = [message for message in said if any(word in message for word in _READER_SAYS)]
    right = case.code == 0 and (
        any(case.words in message for message in about_reading) if case.words else not about_reading
    )
    return f"exit 0; {about_reading[0][:90] if about_reading else 'no word about reading'}", right


_OPTIONS = ["--out", "out", "--people", "0", "--max-frames", "3", "--size", "112", "--quiet"]
_READER_SAYS = (
    "damaged", "ends early", "video tracks", "taken for", "make a second", "named after", "EXIF", "raw stream",
    "no picture between", "repeat the picture", "lie beside", "another size", "at an angle", "left out", "hard cuts",
)  # fmt: skip


def _video(name: str, **options: object) -> Callable[[Path, np.ndarray], list[str]]:
    def make(folder: Path, pictures: np.ndarray) -> list[str]:
        write_video(folder / "plain.mp4", pictures, **options).rename(folder / name)  # type: ignore[arg-type]
        return ["--", name] if name.startswith("-") else [name]

    return make


def _gap(folder: Path, pictures: np.ndarray) -> list[str]:
    write_video(folder / "a.mkv", pictures[:9], times_s=[0, 0.2, 0.4, 0.6, 1000, 1000.2, 1000.4, 1000.6, 1000.8])
    return ["a.mkv", "--max-frames", "6"]


def _mirrored(folder: Path, pictures: np.ndarray) -> list[str]:
    tag_display(write_video(folder / "a.mp4", pictures), -1, 0, 0, 1)
    return ["a.mp4"]


def _bytes(name: str, content: bytes) -> Callable[[Path, np.ndarray], list[str]]:
    def make(folder: Path, pictures: np.ndarray) -> list[str]:
        (folder / name).write_bytes(content)
        return [name]

    return make


def _photographs(folder: Path, pictures: np.ndarray) -> list[str]:
    (folder / "in").mkdir()
    for name, picture in zip(("beach", "hotel", "grandma"), pictures, strict=False):
        Image.fromarray(picture).save(folder / "in" / f"{name}.jpg")
    return ["in"]


def _frames_and_masks(folder: Path, pictures: np.ndarray) -> list[str]:
    write_images(folder / "in", pictures[:3], suffix=".jpg")
    write_images(folder / "in", pictures[:3, ..., 0] // 2, pattern="{}_mask")
    return ["in", "--source-fps", "6"]


def _mixed_shapes(folder: Path, pictures: np.ndarray) -> list[str]:
    write_images(folder / "in", pictures[:2])
    Image.fromarray(np.ascontiguousarray(np.rot90(pictures[2]))).save(folder / "in" / "9.png")
    return ["in", "--source-fps", "6"]


def _words(*words: str) -> Callable[[Path, np.ndarray], list[str]]:
    return lambda folder, pictures: list(words)


CASES = [
    Case(name="a plain video", make=_video("a.mp4")),
    Case(name="mirrored", make=_mirrored),
    Case(name="colon", make=_video("12:30.mp4")),
    Case(name="dash", make=_video("-a.mp4")),
    Case(name="protocol", make=_video("http:a.mp4")),
    Case(name="circled digit", make=_video("①.mp4")),
    Case(name="long name", make=_video("x" * 251 + ".mp4")),
    Case(name="gap", make=_gap, words="no picture between"),
    Case(name="photographs", make=_photographs, words="single photographs"),
    Case(name="frames and masks", make=_frames_and_masks, words="lie beside"),
    Case(name="mixed shapes", make=_mixed_shapes, words="another size and shape"),
    Case(name="address", make=_words("https://example.org/a.mp4"), code=2, words="download the video first"),
    Case(name="missing", make=_words("none.mp4"), code=2, words="no such file"),
    Case(name="too long", make=_words("x" * 300), code=2, words="too long"),
    Case(name="text", make=_bytes("a.mp4", b"no video" * 99), code=2, words="not a video"),
    Case(name="empty", make=_bytes("a.mp4", b""), code=2, words="the file is empty"),
    Case(name="broken picture", make=_bytes("a.jpg", b"\xff\xd8\xff"), code=2, words="can be read"),
]

if __name__ == "__main__":
    raise SystemExit(main())
