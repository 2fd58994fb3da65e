"""Make docs/gallery.md and its pictures from clips whose licences allow that pictures of them are handed on.

    python tools/gallery.py --media path/to/media --work out/gallery

``--media`` is the folder with ``video/``; clips that it lacks keep the picture that is there. Results in ``--work`` are
used again. Every picture is a frame of ``preview.mp4``: the frame and its depth with the bodies over them, and the
scene from above and from the side, where errors are seen that an overlay hides.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 100_000
WIDTH = 1100


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One picture of the gallery.

    Attributes:
        name: of the picture.
        clip: file in ``video/``.
        options: of ``unish reconstruct``, beside input and output.
        second: of the preview that is shown.
        title: what is to be seen.
        says: what is right about it, and what is wrong.
        credit: whose clip it is, and its licence.
    """

    name: str
    clip: str
    options: tuple[str, ...]
    second: float
    title: str
    says: str
    credit: str


ENTRIES = (
    Entry(
        name="football", clip="sam2_juggle.mp4", options=("--max-frames", "48"), second=4.0,
        title="A man keeps a ball in the air",
        says=(
            "The run calls this result good. From the side, the feet stand on the floor (the line) and the "
            "meadow is flat. The lens is not known: its guess may be wrong by a fifth, and all distances with "
            "it. The black part of the depth is sky and leaves, of which the run is not sure."
        ),
        credit="Clip: Segment Anything 2 (`demo/data/gallery/05_default_juggle.mp4`), Meta, Apache-2.0.",
    ),
    Entry(
        name="bench", clip="videomimic_sitting_standing.mp4", options=("--max-frames", "24"), second=2.0,
        title="A man walks up to a beam",
        says=(
            "The camera is held in the hand. The run calls the person good and the place doubtful: the ground "
            "around him leans by 8 degrees against the floor, which the view from the side shows and the "
            "picture does not."
        ),
        credit="Clip: VideoMimic (`sitting_standing`), Hongsuk Choi and others, MIT.",
    ),
    Entry(
        name="table", clip="intel_one-by-one-person.mp4", options=("--max-frames", "120"), second=16.0,
        title="People come to a table, one after the other",
        says=(
            "The camera stands still. In the view from the side the wall behind her leans and is bent, and "
            "the depth around her hair, legs and the table behind her is coarse. She comes out 1.53 m tall, "
            "with the knees slightly bent."
        ),
        credit="Clip: Intel IoT Devkit sample videos (`one-by-one-person-detection.mp4`), CC BY 4.0; changed.",
    ),
)  # fmt: skip


INTRODUCTION = """After this page you know what to expect of the small model that ships with UniSH, and what not.
Every picture is one frame of `preview.mp4`: the video and its depth, both with the bodies drawn over them, then the
scene from above and from the side. The last two tell more: an overlay can look right while the world is wrong.
`tools/gallery.py` makes this page."""


def main(argv: list[str] | None = None) -> int:
    """Make what is missing of the results, then all pictures whose result is there, then the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args(argv)
    pictures = ROOT / "docs" / "pictures" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    for entry in ENTRIES:
        video, out = arguments.media / "video" / entry.clip, arguments.work / entry.name
        if not video.is_file():
            print(f"{video} is not there; its picture stays as it is", file=sys.stderr)
            continue
        if not (out / "preview.mp4").is_file():
            command = [sys.executable, "-m", "unish", "reconstruct", video, "--out", out, *entry.options, "--quiet"]
            subprocess.run(command, check=True)
        (pictures / f"{entry.name}.jpg").write_bytes(encode(read_frame(out / "preview.mp4", entry.second)))
    (ROOT / "docs" / "gallery.md").write_text(describe(), encoding="utf-8")
    return 0


def read_frame(film: Path, second: float) -> Image.Image:
    """The first frame at or after a time, or the last one."""
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            last = frame
            if frame.time is not None and frame.time >= second:
                break
    picture = last.to_image()
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)


def encode(picture: Image.Image) -> bytes:
    """A JPEG of at most ``MAX_BYTES``, as good as fits."""
    for quality in range(90, 20, -5):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= MAX_BYTES:
            return file.getvalue()
    raise ValueError(f"no JPEG of {picture.size} fits into {MAX_BYTES} bytes")


def describe() -> str:
    """The page."""
    parts = [f"# Gallery\n\n{INTRODUCTION}\n"]
    for entry in ENTRIES:
        command = " ".join(["unish reconstruct", entry.clip, "--out", f"out/{entry.name}", *entry.options])
        parts.append(
            f"## {entry.title}\n\n![{entry.title}: frame and depth with bodies, from above, from the side]"
            f"(pictures/gallery/{entry.name}.jpg)\n\n{entry.says}\n\n```sh\n{command}\n```\n\n{entry.credit}\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
