"""Score what finds changes of shots on the set of ``transition_set``.

python tools/measure_transitions.py --media MEDIA --half A --out out/transitions-a.json

``MEDIA`` holds the clips. Choose on half A; look at half B once. Methods: ``cuts`` (our hard cuts alone), ``published``
and ``published-low`` (TransNet V2 as published, in our rules), ``ours`` (with our head), and ``content``, ``adaptive``
and ``threshold`` of PySceneDetect, where that is installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray

from transition_set import PER_KIND, PLAIN, TRANSITIONS, Stretch, make_plain, make_transitions, read_half, shrink
from unish import assets
from unish.io import write_json
from unish.video.shots.cuts import THUMBNAIL_SIZE
from unish.video.shots.transition_network import TransitionNetwork, load_transition_model
from unish.video.shots.transitions import ShotFinder, TransitionModel

USED_FPS, WITHIN = 6.0, 2
"""Used frames per second, and how many of them a change may be off."""

Spans = list[tuple[float, float]]
Method = Callable[[Stretch], Spans]


def with_finder(model: TransitionModel | None) -> Method:
    def find(stretch: Stretch) -> Spans:
        finder = ShotFinder(model=model)
        for now_s, picture in zip(stretch.times_s, stretch.pictures, strict=True):
            finder.push(float(now_s), shrink(picture, THUMBNAIL_SIZE))
        return [(float(stretch.times_s[one.first]), float(stretch.times_s[one.last])) for one in finder.finish()]

    return find


def published_model(sure: float, possible: float) -> TransitionModel:
    """Stretched so that these two probabilities lie where ``ShotFinder`` has its own."""
    network = TransitionNetwork().eval()
    network.load_state_dict(torch.load(assets.fetch("transnetv2"), weights_only=True))

    @torch.inference_mode()
    def judge(thumbnails: UInt8[ndarray, "T 27 48 3"]) -> Float32[ndarray, "T 2"]:
        found = network(torch.from_numpy(thumbnails))[1].sigmoid().numpy()
        sure_of = np.interp(found, [0, possible, sure, 1], [0, 0.2, 0.5, 1]).astype(np.float32)
        return np.stack([sure_of, np.zeros_like(sure_of)], axis=-1)

    return judge


def with_pyscenedetect(name: str) -> Method:
    from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode, ThresholdDetector

    def find(stretch: Stretch) -> Spans:
        rate = 1 / float(np.diff(stretch.times_s).mean())
        # Its defaults, but a shot may be as short as the stretches are.
        detector = {
            "content": lambda: ContentDetector(min_scene_len=5),
            "adaptive": lambda: AdaptiveDetector(min_scene_len=5),
            "threshold": lambda: ThresholdDetector(min_scene_len=5),
        }[name]()
        found = []
        for index, picture in enumerate(stretch.pictures):
            found += detector.process_frame(FrameTimecode(index, rate), np.ascontiguousarray(picture[..., ::-1]))
        found += detector.post_process(FrameTimecode(len(stretch.pictures) - 1, rate))
        return [(cut.frame_num / rate, cut.frame_num / rate) for cut in found]

    return find


def score(stretch: Stretch, spans: Spans) -> dict[str, Any]:
    """A transition is found by a span that touches it, or comes within two used frames; others beside it are wrong."""
    row: dict[str, Any] = {"kind": stretch.kind, "clips": stretch.name, "spans": spans, "truth": stretch.truth}
    if stretch.truth is None:
        return row | {"false": bool(spans)}
    first, last = stretch.truth
    slack = WITHIN / USED_FPS + 1e-6
    near = [span for span in spans if span[1] >= first - slack and span[0] <= last + slack]
    ends = [min(span[0] for span in near), max(span[1] for span in near)] if near else [np.inf, np.inf]
    inside = np.zeros(len(stretch.times_s), bool)
    for span in near:
        inside |= (stretch.times_s >= span[0] - 1e-6) & (stretch.times_s < span[1] - 1e-6)
    return row | {
        "found": bool(near),
        "both_ends": bool(abs(ends[0] - first) <= slack and abs(ends[1] - last) <= slack),
        "beside": len(near) < len(spans),
        "mixed": int(stretch.mixed.sum()),
        "mixed_kept": int((stretch.mixed & ~inside).sum()),
        "clean_lost": int((~stretch.mixed & inside).sum()),
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    soft, plain = [row for row in rows if "found" in row], [row for row in rows if "false" in row]
    return {
        "found": f"{sum(row['found'] for row in soft)} of {len(soft)}",
        "both ends": sum(row["both_ends"] for row in soft),
        "another one beside": sum(row["beside"] for row in soft),
        "mixed frames kept": f"{sum(row['mixed_kept'] for row in soft)} of {sum(row['mixed'] for row in soft)}",
        "clean frames lost": sum(row["clean_lost"] for row in soft),
        "false": f"{sum(row['false'] for row in plain)} of {len(plain)}",
        "found by kind": {k: sum(row["found"] for row in soft if row["kind"] == k) for k in TRANSITIONS},
        "false by kind": {k: sum(row["false"] for row in plain if row["kind"] == k) for k in PLAIN},
    }


def choose_method(name: str) -> Method:
    if name == "cuts":
        return with_finder(None)
    if name == "published":
        return with_finder(published_model(0.5, 0.2))
    if name == "published-low":
        return with_finder(published_model(0.2, 0.1))
    if name == "ours":
        return with_finder(load_transition_model(assets.fetch("transnetv2")))
    return with_pyscenedetect(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--half", choices=("A", "B"), required=True)
    parser.add_argument("--methods", nargs="+", default=["cuts", "published", "ours"])
    parser.add_argument("--per-kind", type=int, default=PER_KIND)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sources = read_half(arguments.media / "video", arguments.half)
    methods = {name: choose_method(name) for name in arguments.methods}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
    seconds, num_frames = dict.fromkeys(methods, 0.0), 0
    for stretch in (
        one for make in (make_transitions, make_plain) for one in make(sources, per_kind=arguments.per_kind)
    ):
        num_frames += len(stretch.times_s)
        for name, find in methods.items():
            started = time.perf_counter()
            rows[name].append(score(stretch, find(stretch)))
            seconds[name] += time.perf_counter() - started
    report = {
        name: summarise(found) | {"ms per frame": round(1000 * seconds[name] / num_frames, 2), "rows": found}
        for name, found in rows.items()
    }
    write_json(arguments.out, report)
    for name, summary in report.items():
        print(name, {key: value for key, value in summary.items() if key != "rows"})


if __name__ == "__main__":
    main()
