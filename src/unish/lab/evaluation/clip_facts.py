"""What is known about the clips without truth: how many people they show, whose camera stands, which ones train."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

PEOPLE_RANGES = Path(__file__).with_name("people_ranges.json")

STATIC_CAMERAS = frozenset({
    "dme_treadmill_collapsing.mp4", "dme_treadmill_hooligan.mp4", "glamr_basketball.mp4", "hybrik_taiji.mp4",
    "intel_one-by-one-person.mp4", "ntu_demo_skeleton.mp4", "opencv_vtest_0-400.mp4", "pymaf_dancer.mp4",
    "sam2_juggle.mp4", "stgcn_ta_chi.mp4", "tfjs_pose_squats.mp4",
})  # fmt: skip
"""Clips whose camera stands on a tripod or a wall: it has not moved at all."""

TRAINING_CLIPS = frozenset({"intel_one-by-one-person.mp4", "sam2_bedroom.mp4", "tfjs_pose_squats.mp4"})
"""Clips that may train the weights. They are scored apart: what was trained on says little about the rest."""


@lru_cache(maxsize=1)
def load_people_ranges(path: Path = PEOPLE_RANGES) -> dict[str, tuple[int, int]]:
    """By file name of a clip, the fewest and the most people that are right over its first 48 used frames."""
    return {name: (int(low), int(high)) for name, (low, high) in json.loads(path.read_text())["ranges"].items()}
