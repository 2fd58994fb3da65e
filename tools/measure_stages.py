"""Measure what coarse and fine are for, with seeds and with each loss left out: tables of docs/research/training.md.

    python tools/measure_stages.py --out runs/stages --seeds 0 1 2

Clips are rendered and described once; every run has a folder and a line in ``results.json``, so a call that was cut off
goes on where it ended. Scores are medians over held-back clips that nothing was chosen on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from unish.body import Body, load_body
from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.io import write_json
from unish.lab.training.recipes import COARSE, FINE
from unish.lab.training.stages.localise import LocaliseStage, run_localise_stage
from unish.lab.training.stages.localiser import Localiser, build_network, plain_config
from unish.lab.training.stages.people_cache import PeopleCache, cache_people
from unish.lab.training.stages.people_validation import score_people
from unish.lab.training.trainer import load_run_weights
from unish.network import UniSH

HELD_BACK_CLIPS = 192
SHORT_STEPS = 800
"""Of coarse in the rows that leave out a loss, in the row that they are compared with, and from the closed form."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run.

    Attributes:
        name: of the row; form: AlignNet as published (``plain``), or ours that starts from the closed form (``ruler``).
        start: name of the run whose weights it begins with, ``None`` for an untrained AlignNet.
        stage: ``None`` only scores.
        knows_camera: of the strange world, the true intrinsics are told to the network, in training and scoring.
    """

    name: str
    form: str
    stage: LocaliseStage | None
    seed: int
    start: str | None = None
    knows_camera: bool = False

    @property
    def key(self) -> str:
        return f"{self.name}-{self.seed}"


def list_runs(seeds: list[int]) -> Iterator[Run]:
    """The headline claims with every seed; rows without each loss, and ours from the closed form, with the first."""
    first = seeds[0]
    for seed in seeds:
        yield Run(name="plain-untrained", form="plain", stage=None, seed=seed)
        yield Run(name="plain-coarse", form="plain", stage=COARSE, seed=seed)
        yield Run(name="plain-fine", form="plain", stage=FINE, seed=seed, start="plain-coarse")
        for name, stage in (("plain-coarse-known-camera", None), ("plain-fine-known-camera", FINE)):
            yield Run(name=name, form="plain", stage=stage, seed=seed, start="plain-coarse", knows_camera=True)
    yield Run(name="plain-fine-alone-known-camera", form="plain", stage=FINE, seed=first, knows_camera=True)
    for loss in ("surface", "order", "landmarks"):
        stage = replace(FINE, losses=replace(FINE.losses, **{loss: 0.0}))
        name = f"plain-fine-known-camera-without-{loss}"
        yield Run(name=name, form="plain", stage=stage, seed=first, start="plain-coarse", knows_camera=True)
    short = replace(COARSE, fit=replace(COARSE.fit, steps=SHORT_STEPS))
    yield Run(name="plain-coarse-short", form="plain", stage=short, seed=first)
    for loss in ("transl", "root", "scale", "picture"):
        stage = replace(short, losses=replace(short.losses, **{loss: 0.0}))
        yield Run(name=f"plain-coarse-short-without-{loss}", form="plain", stage=stage, seed=first)
    yield Run(name="ruler-untrained", form="ruler", stage=None, seed=first)
    yield Run(name="ruler-untrained-known-camera", form="ruler", stage=None, seed=first, knows_camera=True)
    yield Run(name="ruler-coarse", form="ruler", stage=short, seed=first)
    for name, stage in (("ruler-coarse-known-camera", None), ("ruler-fine-known-camera", FINE)):
        yield Run(name=name, form="ruler", stage=stage, seed=first, start="ruler-coarse", knows_camera=True)
    human = replace(short, trains_human=True)
    yield Run(name="plain-coarse-short-human", form="plain", stage=human, seed=first)
    for loss in ("vertices", "joints", "pose", "shape"):
        stage = replace(human, losses=replace(human.losses, **{loss: 0.0}))
        yield Run(name=f"plain-coarse-short-human-without-{loss}", form="plain", stage=stage, seed=first)


class Workplace:
    """Data, body and trained branches that all runs share."""

    def __init__(self, out: Path, weights: str) -> None:
        self.out = out
        self.body: Body = load_body("free")
        self.trained = UniSH.from_pretrained(weights)
        self.configs = {"plain": plain_config(self.trained.config), "ruler": self.trained.config}
        torch.manual_seed(0)
        self._describer = build_network(self.configs["plain"], self.trained)
        self._progress = make_progress()
        self._caches: dict[str, PeopleCache] = {}

    def clips(self, stage: LocaliseStage, *, held_back: bool, know_camera: bool = False) -> PeopleCache:
        """Described clips of the stage's world; the truth of clips that fine trains on is left out."""
        name = f"{stage.name}-{'test' if held_back else 'train'}"
        key = name + "-known" * know_camera
        if key not in self._caches:
            count = HELD_BACK_CLIPS if held_back else stage.num_clips
            source = stage.world.open(self.out / "data" / name, count, held_back=held_back, progress=self._progress)
            cache_people(
                source, self.out / "cache" / key, self._describer, self.body, stage.people, seed=5,
                degrade=stage.world.degrade, know_camera=know_camera, num_clips=count, progress=self._progress,
            )  # fmt: skip
            self._caches[key] = PeopleCache(
                self.out / "cache" / key, hide_truth=not held_back and not stage.needs_truth
            )
        return self._caches[key]

    def execute(self, run: Run) -> dict[str, float]:
        """Train (or only load) and score on the held-back clips of both worlds."""
        torch.manual_seed(run.seed)
        network = build_network(self.configs[run.form], self.trained)
        trains_human = run.stage is not None and run.stage.trains_human
        model = Localiser(network, trains_human=trains_human)
        if run.start is not None:
            model.load_state_dict(load_run_weights(self.out / "runs" / f"{run.start}-{run.seed}"))
        if run.stage is not None:
            clips = self.clips(run.stage, held_back=False, know_camera=run.knows_camera)
            folder = self.out / "runs" / run.key
            run_localise_stage(run.stage, model, clips, self.body, folder, seed=run.seed, resume=folder.exists())
        model.eval()
        near = score_people(model, self.clips(COARSE, held_back=True).walk(16), self.body, with_surfaces=False)
        clips = self.clips(FINE, held_back=True, know_camera=run.knows_camera)
        strange = score_people(model, clips.walk(16), self.body)
        return {f"{world}.{name}": value for world, scores in (("coarse", near), ("fine", strange))
                for name, value in scores.items()}  # fmt: skip


COLUMNS = {
    "coarse.root_cm": "root, cm", "coarse.scale_percent": "scale, %", "fine.root_cm": "root, cm",
    "fine.scale_percent": "scale, %", "fine.body_to_points_cm": "body to points, cm",
    "fine.reprojection_percent": "reprojection, %",
}  # fmt: skip
"""What the table shows: first the world of coarse, then the strange one."""


def write_table(results: dict[str, dict[str, float]], path: Path) -> None:
    """Mean over seeds, and the range where there are several."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for key, scores in results.items():
        rows[key.rsplit("-", 1)[0]].append(scores)
    lines = ["| run | seeds | " + " | ".join(COLUMNS.values()) + " |", "|---|---" + "|---" * len(COLUMNS) + "|"]
    for name, scores in rows.items():
        cells = [_summarise([each[column] for each in scores]) for column in COLUMNS]
        lines.append(f"| {name} | {len(scores)} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def _summarise(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f}–{max(values):.1f})"


def _read_results(path: Path) -> dict[str, dict[str, float]]:
    return json.loads(path.read_text()) if path.exists() else {}


def measure(out: Path, seeds: list[int], only: list[str], weights: str) -> None:
    """Everything that is not in ``results.json`` yet."""
    workplace = Workplace(out, weights)
    path = out / "results.json"
    for run in list_runs(seeds):
        results = _read_results(path)
        unready = run.start is not None and f"{run.start}-{run.seed}" not in results
        if run.key in results or unready or (only and run.name not in only):
            continue
        scores = workplace.execute(run)
        results = _read_results(path) | {run.key: scores}  # others may have measured other rows meanwhile
        write_json(path, results, indent=1)
        write_table(results, out / "table.md")
        print(run.key, {name: round(value, 2) for name, value in results[run.key].items()}, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of data, runs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=[], help="names of rows")
    parser.add_argument("--weights", default="small", help="trained branches, as for --model (default small)")
    arguments = parser.parse_args()
    try:
        measure(arguments.out, arguments.seeds, arguments.only, arguments.weights)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
