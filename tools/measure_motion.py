"""How people of the shipped model move beside the truth of synthetic clips, with and without what feet tell.

The last column is told which heels and toes truly touch, as a user can tell it: what better contacts could bring.

    python tools/measure_motion.py WORK --seed 20260101 --clips 12

Renders short clips, of which every third one has somebody who jumps and the rest somebody who walks, runs, turns or
lunges, looks at them once (all is kept in WORK; the next call goes on there), settles them with ``--settle`` on and off
and prints a table. Only what follows the looking is done again in the next call.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unish.body import Body, load_body
from unish.io import write_json
from unish.lab.evaluation.compared_people import match_boxes
from unish.lab.evaluation.compared_views import share_frames
from unish.lab.evaluation.motion_truth import Counts, MotionScores, measure_world_size, score_motion
from unish.lab.synthetic import HELD_BACK_SEED, SynthConfig, clip_from_truth, make_clip
from unish.lab.synthetic.clip import plan_clip
from unish.passes import Models, Observations, open_observations, save_observations, settle
from unish.pipeline import run
from unish.reconstruction import ShotConstraints
from unish.reconstruction.contacts import REGIONS
from unish.settings import Settings
from unish.structs import FrameArray, Reconstruction

CONFIG = SynthConfig(size=(320, 240), num_frames=24, fps=6.0, min_people=1, max_people=2, fill=(0.4, 0.8), samples=1)
JUMPING, WALKING = ("jump",), ("walk", "run", "turn", "lunge")
"""Parts of the names of actions; somebody has to do one."""


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """Everybody of a clip, and the median log ratio of the scene's depth to the true one."""

    people: list[MotionScores]
    world_log: float


def find_clips(work: Path, seed: int, count: int) -> Iterator[int]:
    """Indices of the first clips of the seed that show what is wanted, by turns; what was cast is kept."""
    path, found = work / f"cast-{seed}.json", 0
    cast: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    waiting: dict[tuple[str, ...], list[int]] = {WALKING: [], JUMPING: []}
    index = 0
    while found < count:
        wanted = (WALKING, WALKING, JUMPING)[found % 3]
        while not waiting[wanted]:
            if str(index) not in cast:
                plan = plan_clip(np.random.default_rng([seed, index]), seed, CONFIG)
                cast[str(index)] = [actor.action for actor in plan.actors]
                write_json(path, cast)
            for kind in (JUMPING, WALKING):
                if any(name in action for name in kind for action in cast[str(index)]):
                    waiting[kind].append(index)
                    break
            index += 1
        found += 1
        yield waiting[wanted].pop(0)


def observe_clip(folder: Path, seed: int, index: int, size: int, models: Models) -> Reconstruction:
    """Render a clip and look at it once; truth and observations are kept in ``folder``."""
    if not (folder / "truth.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_clip(seed, index, CONFIG).save(folder / "truth.npz")
    truth = Reconstruction.load(folder / "truth.npz").in_memory()
    if not (folder / "seen.json").exists():
        shutil.rmtree(folder / "observations", ignore_errors=True)
        settings = Settings(person_points=False, size=size)
        result = run(clip_from_truth(truth), settings=settings, models=models, work=folder / "work")
        np.save(
            folder / "pictures.npy",
            np.stack([result.reconstruction.images[frame] for frame in range(len(truth.images))]),
        )
        known_as = save_observations(
            folder / "observations", result.observations, result.report, shape_space=result.shape_space,
            body=result.body.name,
        )  # fmt: skip
        write_json(folder / "seen.json", {"known_as": known_as, "network": result.report["model"]})
        shutil.rmtree(folder / "work")
    return truth


def score_clip(folder: Path, truth: Reconstruction, body: Body) -> dict[str, ClipScores]:
    """With the feet (``on``), without (``off``), and with true contacts (``told``)."""
    told = json.loads((folder / "seen.json").read_text())
    pictures = np.load(folder / "pictures.npy")
    shutil.rmtree(folder / "maps", ignore_errors=True)
    stored = open_observations(
        folder / "observations", FrameArray(pictures.shape, pictures.dtype, lambda frame: pictures[frame]),
        told["known_as"], folder / "maps",
    )  # fmt: skip
    as_seen = (stored.seen, told["network"], stored.shape_space, body)
    found = {name: settle_again(*as_seen, feet=feet) for name, feet in (("off", False), ("on", True))}
    contacts = find_true_contacts(found["on"], truth)
    found["told"] = settle_again(*as_seen, feet=True, constraints=[ShotConstraints(contacts=contacts)])
    return {name: _score(one, truth, body) for name, one in found.items()}


def find_true_contacts(found: Reconstruction, truth: Reconstruction) -> Float[Tensor, "P T 4"]:
    """Which heels and toes truly touch, for the people of a result of one shot; NaN where nobody matches."""
    shared = share_frames(found, truth)
    names = truth.extra["truth_contact_names"].tolist()
    touching = truth.extra["truth_contacts"][:, shared.theirs][..., [names.index(name) for name in REGIONS]]
    contacts = torch.full((*found.person_valid.shape, len(REGIONS)), torch.nan)
    for ours, theirs in match_boxes(found, truth, shared.ours, shared.theirs):
        contacts[ours, shared.ours] = torch.from_numpy(touching[theirs]).float()
    return contacts


def settle_again(
    seen: Observations,
    network: str,
    shape_space: str,
    body: Body,
    *,
    feet: bool,
    constraints: list[ShotConstraints] | None = None,
) -> Reconstruction:
    """The result in whole frames."""
    return settle(seen, network, shape_space, body, feet=feet, constraints=constraints).in_whole_frames()


def _score(found: Reconstruction, truth: Reconstruction, body: Body) -> ClipScores:
    return ClipScores(people=score_motion(found, truth, body), world_log=measure_world_size(found, truth))


def write_table(scores: list[dict[str, ClipScores]]) -> str:
    """Markdown: one row for each measure; without and with the feet, and with true contacts."""
    columns = [_summarise([clip[name] for clip in scores]) for name in ("off", "on", "told")]
    people = sum(len(clip["on"].people) for clip in scores)
    lines = [
        f"| {len(scores)} clips, {people} people | `--settle off` | default | true contacts |",
        "|---|---|---|---|",
    ]
    return "\n".join(lines + [" | ".join([f"| {row}", *(one[row] for one in columns)]) + " |" for row in columns[0]])


def _summarise(clips: list[ClipScores]) -> dict[str, str]:
    people = [person for clip in clips for person in clip.people]
    heels = sum((person.contacts for person in people), Counts())
    feet = sum((person.feet for person in people), Counts())
    gap = np.concatenate([np.abs(person.gap_cm) for person in people])
    slide = np.concatenate([person.slide_cm_s for person in people])
    apex = np.abs(np.concatenate([person.apex_cm for person in people]))
    sunk = np.concatenate([person.sunk for person in people])
    ratio = np.array([person.acceleration_ratio for person in people])
    world = np.array([clip.world_log for clip in clips])

    def middle(values: list[float]) -> float:
        return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")

    return {
        "heels and toes that touch: F1 (hits, false, missed)": _describe(heels),
        "feet that touch: F1 (hits, false, missed)": _describe(feet),
        "slide of what rests, cm/s, median (p95)": _quantiles(slide),
        "foot that touches to floor, cm, median (p95)": _quantiles(gap),
        "bodies more than 3 cm under the floor, % of frames": f"{100 * sunk.mean():.1f}",
        "apex of jumps, cm off, median (p95)": f"{_quantiles(apex)}, {len(apex)} jumps",
        "pelvis acceleration over the true one, median (p10, p90)": (
            f"{middle(ratio.tolist()):.2f} ({np.nanquantile(ratio, 0.1):.2f}, {np.nanquantile(ratio, 0.9):.2f})"
        ),
        "W-MPJPE, mm, median": f"{middle([person.w_mpjpe_mm for person in people]):.0f}",
        "RTE, %, median": f"{middle([person.rte_percent for person in people]):.1f}",
        "people's distance, abs log, median": f"{middle([person.distance_log for person in people]):.3f}",
        "size of the scene, abs log, median": f"{middle(np.abs(world).tolist()):.3f}",
    }


def _describe(counts: Counts) -> str:
    return f"{counts.f1:.2f} ({counts.hits}, {counts.false}, {counts.missed})"


def _quantiles(values: np.ndarray) -> str:
    if len(values) == 0:
        return "–"
    return f"{np.median(values):.1f} ({np.quantile(values, 0.95):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--seed", type=int, default=HELD_BACK_SEED, help="of the clips; choose constants on another one"
    )
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--size", type=int, default=320, help="long side in which the network sees pictures")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    body, models, scores = load_body("free"), Models(), []
    for index in find_clips(arguments.work, arguments.seed, arguments.clips):
        folder = arguments.work / f"clip-{arguments.seed}-{index}"
        truth = observe_clip(folder, arguments.seed, index, arguments.size, models)
        scores.append(score_clip(folder, truth, body))
        print(f"{folder.name}: {len(scores[-1]['on'].people)} people", flush=True)
    print(write_table(scores))


if __name__ == "__main__":
    main()
