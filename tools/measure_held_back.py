"""The scene on the held-back synthetic clips: two versions of this package, clip by clip and on average.

    python tools/measure_held_back.py make build/held-back
    unish evaluate --benchmark synthetic --data build/held-back --method small --out build/after.json
    python tools/measure_held_back.py compare build/before.json build/after.json

The clips are numbers 0 to 19 of the seed that trains nothing, 24 frames of 640×480. ``build/before.json`` is what
``unish evaluate`` of an older checkout says of them. One that reads the first file format alone reads the copies in
``build/held-back/format-1``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from unish.lab.synthetic import SynthConfig, write_clips
from unish.lab.synthetic.config import HELD_BACK_SEED

NUM_CLIPS, SIZE = 20, (480, 640)
LINES = {
    "depth_abs_rel": "depth AbsRel",
    "camera_turn_error_deg": "turn between frames, degrees",
    "world_size_error": "world-size error",
    "camera_ate_m": "ATE, m",
    "focal_error": "focal length",
}
"""Columns of ``unish evaluate``, and what they are called here; of all, less is better."""

_OF_FIRST_SHOT = ("gravity", "floor")
_UNKNOWN_TO_FORMAT_1 = ("dense_frames", "dense", "sky", "camera_interpolated", "scale_interval", "depth_curve")


def make(folder: Path) -> None:
    """Write the clips, and copies of them in format 1; what is there is kept."""
    for path in write_clips(folder, num_clips=NUM_CLIPS, seed=HELD_BACK_SEED, config=SynthConfig(size=SIZE)):
        copy = folder / "format-1" / path.name
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            with np.load(path, allow_pickle=False) as arrays:
                np.savez(copy, **as_format_1(dict(arrays)))


def as_format_1(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a clip of one shot as the first file format had them."""
    kept = {name: array for name, array in arrays.items() if name not in _UNKNOWN_TO_FORMAT_1}
    first = {name: array[0] for name, array in kept.items() if name in _OF_FIRST_SHOT}
    return kept | first | {"format": np.array("unish-reconstruction/1")}


def compare(before: Path, after: Path) -> list[list[str]]:
    """Rows of a table: line, means before and after over clips that both could measure, ratio, better clips."""
    old, new = (json.loads(path.read_text(encoding="utf-8"))["sequences"] for path in (before, after))
    rows = []
    for column, name in LINES.items():
        pairs = [(old[clip].get(column), new[clip].get(column)) for clip in sorted(old.keys() & new.keys())]
        values = np.array([pair for pair in pairs if None not in pair], dtype=float)
        values = values[np.isfinite(values).all(1)] if len(values) else values.reshape(0, 2)
        if not len(values):
            rows.append([name, "-", "-", "-", "0 of 0"])
            continue
        (a, b), better = values.mean(0), int((values[:, 1] < values[:, 0]).sum())
        rows.append([name, f"{a:.4f}", f"{b:.4f}", f"{b / a:.2f}", f"{better} of {len(values)}"])
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("make").add_argument("folder", type=Path)
    compared = actions.add_parser("compare")
    compared.add_argument("before", type=Path)
    compared.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "make":
        make(arguments.folder)
    else:
        print("| line | before | after | ratio | better |\n|---|---|---|---|---|")
        for row in compare(arguments.before, arguments.after):
            print("|", " | ".join(row), "|")
