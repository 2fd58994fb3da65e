"""Measure verdicts against what was seen by eye, and against faults put into good results.

    python tools/measure_verdicts.py RESULTS --eye docs/research/verdicts-by-eye.json --out verdicts.md

RESULTS is a folder of finished results, one folder per clip (reconstruction.npz, report.json). The
table has two halves: A, the clips at even places (0, 2, …) of the list by eye in alphabetical order, and B, the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from unish.body import load_body
from unish.errors import InputError
from unish.lab.evaluation.verdict_trials import Seen, try_result
from unish.reconstruction.verdicts import ShotFacts
from unish.structs import Reconstruction


def measure(results: Path, eye: Path, out: Path) -> None:
    """Write the table as Markdown, and beside it every single outcome as JSON."""
    clips = json.loads(eye.read_text())["clips"]
    body = load_body("free")
    half_of = {clip: "AB"[index % 2] for index, clip in enumerate(sorted(clips))}
    outcomes: dict[str, list[Seen]] = {}
    for clip in sorted(clips):
        folder = results / clip
        if not (folder / "reconstruction.npz").exists():
            print(f"{clip}: no result", file=sys.stderr)
            continue
        record = Reconstruction.load(folder / "reconstruction.npz")
        facts = read_report(record, json.loads((folder / "report.json").read_text()))
        outcomes[clip] = try_result(clip, record, body, facts, clips[clip])
        print(f"{clip}: {len(outcomes[clip])} verdicts", file=sys.stderr, flush=True)
    out.write_text(write_table(outcomes, half_of))
    rows = [vars(seen) | {"half": half_of[clip]} for clip, found in outcomes.items() for seen in found]
    out.with_suffix(".json").write_text(json.dumps(rows, indent=1))


def read_report(record: Reconstruction, report: dict) -> list[ShotFacts]:
    """What report.json keeps of the facts: where the scale is from, and how certain each person is."""
    certainty = np.array([person["certainty"] for person in report["people"]], float).reshape(-1, 1)
    source = "people" if report["quality"]["scale_uncertainty"] is not None else "network"
    return [
        ShotFacts(
            scale_source=source,
            distance_sigma=np.repeat(0.05 / np.maximum(certainty, 1e-3), frames.stop - frames.start, axis=1),
        )
        for frames in record.shot_frames()
    ]


def write_table(outcomes: dict[str, list[Seen]], half_of: dict[str, str]) -> str:
    """Markdown: flagged of all, per kind and half."""
    counts: dict[str, dict[str, list[bool]]] = defaultdict(lambda: {"A": [], "B": []})
    for clip, found in outcomes.items():
        for seen in found:
            counts[seen.kind][half_of[clip]].append(seen.flagged)
    lines = ["| | half A | half B |", "|---|---|---|"]
    for kind, halves in counts.items():
        cells = [f"{sum(flags)} of {len(flags)}" for flags in halves.values()]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of finished results")
    parser.add_argument("--eye", type=Path, required=True, help="the list made by eye")
    parser.add_argument("--out", type=Path, required=True, help="the table, a Markdown file")
    arguments = parser.parse_args()
    try:
        measure(arguments.results, arguments.eye, arguments.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
