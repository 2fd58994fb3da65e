"""What fine learns from some real videos, measured on others: "Fine on real video" of docs/research/training.md.

    python tools/measure_real_video.py --train TRAIN --test TEST --stages STAGES --out runs/real

TRAIN and TEST are folders of videos, STAGES is what ``measure_stages.py`` has made: its coarse and fine runs of a plain
AlignNet, and the clips of both worlds that fine sees beside the videos, whose truth it does not read: a few videos
alone would be learnt by heart. No truth is needed: scored are how far bodies are from their people's points, and how
far projected landmarks are from detected ones. Medians over all clips of six frames of the test videos. A second call
goes on where the first was cut off.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from unish.body import load_body
from unish.cli.progress import make_progress
from unish.errors import InputError
from unish.lab.datasets.sequences import SequenceSource
from unish.lab.datasets.video_folder import VideoConfig, open_video_folder
from unish.lab.training.recipes import FINE
from unish.lab.training.stages.localise import run_localise_stage
from unish.lab.training.stages.localiser import Localiser, build_network, plain_config
from unish.lab.training.stages.people_cache import PeopleBatch, PeopleCache, cache_people
from unish.lab.training.stages.people_validation import score_people
from unish.lab.training.trainer import load_run_weights
from unish.network import UniSH
from unish.network.config import UniSHConfig

WORLDS = ("fine", "coarse", "fine", "coarse")
"""Whose clips follow one batch of the videos."""
STAGE = replace(FINE, hide_tokens=0.5)
"""Videos that were left out of the training ones stay among their points only with tokens hidden now and then."""


class Alternating:
    """Batches of several pools in turn."""

    def __init__(self, *pools: PeopleCache) -> None:
        self._pools = pools

    def sample(self, seed: int, step: int, num_clips: int) -> PeopleBatch:
        """Like ``PeopleCache.draw``."""
        turn, number = divmod(step, len(self._pools))
        return self._pools[number].sample(seed, turn, num_clips)


class Workplace:
    """Videos, the network and descriptions that the rows share."""

    def __init__(self, train: Path, test: Path, out: Path, *, weights: str, seed: int, max_seconds: float) -> None:
        self.out, self.seed = out, seed
        self.body = load_body("free")
        self.progress = make_progress()
        self.train, self.test = (
            open_video_folder(
                folder,
                VideoConfig(max_seconds=length, window=STAGE.people.num_frames),
                cache=out / name,
                progress=self.progress,
            )
            for name, folder, length in (("train", train, 300.0), ("test", test, max_seconds))
        )
        self.shipped = UniSH.from_pretrained(weights)

    def describe(self, name: str, network: UniSH, source: SequenceSource) -> PeopleCache:
        """Clips as the frozen branches of ``network`` see them."""
        folder = self.out / "described" / name
        people = replace(STAGE.people, num_observations=1)
        cache_people(source, folder, network, self.body, people, seed=self.seed, progress=self.progress)
        return PeopleCache(folder)

    def score_align(
        self, start: Path | None, test: PeopleCache, *, fine_on: Alternating | None = None, folder: str = ""
    ) -> dict[str, float]:
        """AlignNet as it begins, or after fine on more clips, a run in ``folder``.

        Args:
            start: run of a plain AlignNet; ``None`` for ours in closed form, whose tokens have nothing to hide.
        """
        config, stage = (self.shipped.config, FINE) if start is None else (self.plain, STAGE)
        model = Localiser(build_network(config, self.shipped))
        if start is not None:
            model.load_state_dict(load_run_weights(start))
        if fine_on is not None:
            run = self.out / folder
            run_localise_stage(stage, model, fine_on, self.body, run, seed=self.seed, resume=run.exists())
        return score_people(model.eval(), test.walk(16), self.body)

    @property
    def plain(self) -> UniSHConfig:
        return plain_config(self.shipped.config)


def measure(place: Workplace, stages: Path) -> dict[str, dict[str, float]]:
    """All rows by name."""
    torch.manual_seed(place.seed)
    worlds = {name: PeopleCache(stages / "cache" / f"{name}-train", hide_truth=True) for name in set(WORLDS)}
    coarse, fine = (stages / "runs" / f"plain-{stage}-{place.seed}" for stage in ("coarse", "fine"))
    plain = build_network(place.plain, place.shipped)
    train, test = (place.describe(f"plain-{name}", plain, getattr(place, name)) for name in ("train", "test"))
    pools = Alternating(train, *(worlds[name] for name in WORLDS))
    return {
        "plain, coarse": place.score_align(coarse, test),
        "plain, fine on renders": place.score_align(fine, test),
        "plain, fine on videos and renders": place.score_align(coarse, test, fine_on=pools, folder="fine"),
        "ours, closed form": place.score_align(None, test),
        "ours, fine on videos and renders": place.score_align(None, test, fine_on=pools, folder="ours"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder of videos to learn from")
    parser.add_argument("--test", type=Path, required=True, help="folder of other videos")
    parser.add_argument("--stages", type=Path, required=True, help="folder that measure_stages.py has made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", default="small", help="network to start from, that of STAGES (default small)")
    parser.add_argument("--max-seconds", type=float, default=10.0, help="of each test video (default 10)")
    args = parser.parse_args()
    try:
        place = Workplace(
            args.train, args.test, args.out, weights=args.weights, seed=args.seed, max_seconds=args.max_seconds
        )
        rows = measure(place, args.stages)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    (args.out / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    columns = ("body_to_points_cm", "body_to_points_percent", "reprojection_percent")
    print("| network | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[c]:.2f}" if c in row else "–" for c in columns) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
