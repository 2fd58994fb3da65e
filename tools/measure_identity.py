"""How well people are told apart over a video: IDF1 on cases composed of renders, by TrackEval.

    pip install trackeval==1.3.0
    python tools/measure_identity.py WORK [--seeds 32] [--statistics CLIP [CLIP ...]]

Renders places with two to four people, each filmed by two cameras for four seconds at two frames per second, and
describes everybody in every frame by colours and image features, with exact boxes and masks. Five cases are composed of
each place, six frames a second, boxes between those of the renders, disturbed by 2 % of their size, one of twenty
missing:

- gap: nobody is seen for 3 to 60 s;
- leave: one leaves for 3 to 60 s and comes back, the others stay;
- cross: two pass one another, or meet and go back, and the one behind is not seen meanwhile;
- cut: a shot of another place, and back to the same camera;
- angle: a shot of the other camera, and back to the first.

No frame of a render is used both before and after. Limits are chosen on the even seeds, and the odd ones are reported.
--statistics writes means and spreads of the features into the package: those of the renders of even seeds, and as much
of what the people stage finds in videos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from safetensors.torch import load_file, save_file

from unish.lab.synthetic.cameras import sample_camera_path
from unish.lab.synthetic.clip import Shooting, get_renderer, plan_clip, render_clip
from unish.lab.synthetic.config import SynthConfig
from unish.lab.synthetic.sensor import record_images
from unish.lab.synthetic.truth import write_truth
from unish.network.person_features import STATISTICS, pool_bands
from unish.network.sky import load_encoder
from unish.people import PeopleConfig, PeopleModels, find_people
from unish.people.appearance import add_features, describe_appearance
from unish.people.protocols import Observation, Pose
from unish.people.regions import Region, cut_region
from unish.people.tracking import HungarianTracker
from unish.video import read_clip

SEED = 5200
CONFIG = SynthConfig(size=(384, 512), num_frames=8, fps=2.0, min_people=2, max_people=4, samples=2)
FPS, VISIT = 6.0, 12
STILLS = 12
MIN_PIXELS, MIN_HEIGHT = 250, 40
KINDS = ("gap", "leave", "cross", "cut", "angle")


@dataclass(frozen=True)
class Moment:
    """What is seen at a time, and who it is."""

    time_s: float
    segment: int
    people: list[tuple[int, Observation]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for what is rendered and described")
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--statistics", type=Path, nargs="+", metavar="CLIP", help="videos that may be learnt from")
    args = parser.parse_args()
    places = {seed: describe_place(args.work, seed) for seed in range(args.seeds)}
    if args.statistics:
        write_statistics([places[seed]["features"] for seed in places if seed % 2 == 0], args.statistics)
    stored = load_file(STATISTICS)
    for place in places.values():
        features = (place["features"] - stored["mean"].numpy()) / stored["spread"].numpy()
        place["features"] = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    for name, parity in (("even seeds, to choose on", 0), ("odd seeds", 1)):
        print(name)
        own = [seed for seed in places if seed % 2 == parity]
        scores = {kind: [score(compose(kind, seed, places, own)) for seed in own] for kind in KINDS}
        for kind, results in (*scores.items(), ("all", list(chain(*scores.values())))):
            print(f"  {kind:6s} {len(results):3d} cases  {summarise(results)}")
    return 0


def write_statistics(rendered: list[Float[ndarray, "_ D"]], clips: list[Path]) -> None:
    """Renders and videos count alike, however many people are in them."""
    encoder = load_encoder()
    config = PeopleConfig()
    models = replace(PeopleModels.load(config), features=partial(pool_bands, encoder))
    found = []
    for path in clips:
        clip = read_clip(path, fps=6.0)
        chosen = np.unique(np.linspace(0, clip.num_frames - 1, STILLS).round().astype(int))
        for frame in chosen:
            tracker = HungarianTracker()
            with torch.inference_mode():
                one = replace(
                    clip, images=clip.images[frame : frame + 1], timestamps_s=clip.timestamps_s[frame : frame + 1],
                    frame_indices=clip.frame_indices[frame : frame + 1], segment=clip.segment[frame : frame + 1],
                )  # fmt: skip
                find_people(one, mask_size=(32, 32), config=config, models=models, tracker=tracker)
            found += [seen for track in tracker.tracklets if (seen := track.people[0].features) is not None]
    parts = [np.concatenate(rendered), np.stack(found)]
    stored = {
        "mean": np.mean([part.mean(0) for part in parts], axis=0),
        "spread": np.sqrt(np.mean([part.var(0) for part in parts], axis=0)),
    }
    save_file({name: torch.from_numpy(values.astype(np.float32)) for name, values in stored.items()}, STATISTICS)


def film(work: Path, seed: int) -> dict[str, ndarray]:
    """Images, masks, boxes and landmarks of a place by two cameras."""
    path = work / "films" / f"{seed:03d}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([SEED, seed])
        shooting = plan_clip(rng, SEED, CONFIG)
        arrays: dict[str, ndarray] = {}
        for camera in range(2):
            if camera:
                joints = np.stack([actor.joints for actor in shooting.actors])
                other = sample_camera_path(rng, shooting.stage, joints, shooting.timestamps_s, CONFIG)
                shooting = replace(shooting, camera=other)
            arrays |= {f"{name}{camera}": values for name, values in _shoot(shooting, seed, camera).items()}
        np.savez(path, allow_pickle=False, **arrays)
    with np.load(path) as file:
        return dict(file)


def _shoot(shooting: Shooting, seed: int, camera: int) -> dict[str, ndarray]:
    frames = render_clip(shooting, get_renderer(CONFIG.renderer, CONFIG.samples), CONFIG.size)
    path, times = shooting.camera, shooting.timestamps_s
    images = record_images(
        np.random.default_rng([SEED, seed, camera]), frames, np.stack([actor.joints for actor in shooting.actors]),
        path.c2stage, path.intrinsics, times, outdoors=shooting.stage.outdoors,
    )  # fmt: skip
    truth = write_truth(
        frames, images, shooting.actors, c2stage=path.c2stage, intrinsics=path.intrinsics, timestamps_s=times,
        body_name=CONFIG.body, labels={}, normals=False, version="",
    )  # fmt: skip
    return {"images": images, "masks": np.asarray(truth.person_masks), "boxes": truth.boxes_xyxy,
            "px": truth.extra["truth_landmarks_px"]}  # fmt: skip


def describe_place(work: Path, seed: int) -> dict[str, ndarray]:
    """Rows of (camera, frame, person), boxes, colours and raw features of everybody who is large enough."""
    path = work / "described" / f"{seed:03d}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        filmed, encoder, rows, seen = film(work, seed), load_encoder(), [], []
        for camera in range(2):
            for frame, image in enumerate(filmed[f"images{camera}"]):
                picture = torch.from_numpy(image).permute(2, 0, 1).float() / 255
                for person, box in enumerate(filmed[f"boxes{camera}"][:, frame].astype(np.float64)):
                    mask = filmed[f"masks{camera}"][frame] == person
                    if mask.sum() < MIN_PIXELS or box[3] - box[1] < MIN_HEIGHT:
                        continue
                    pose = _exact_pose(box, mask, filmed[f"px{camera}"][person, frame])
                    colours = describe_appearance(picture, box, pose)
                    one = Observation(box_xyxy=box, score=0.95, appearance=colours, pose=pose)
                    with torch.inference_mode():
                        seen += add_features(picture, [one], partial(pool_bands, encoder))
                    rows.append((camera, frame, person))
        np.savez(
            path, rows=np.array(rows).reshape(-1, 3), boxes=np.stack([one.box_xyxy for one in seen]),
            colours=np.stack([one.appearance for one in seen]),
            features=np.stack([features for one in seen if (features := one.features) is not None]),
        )  # fmt: skip
    with np.load(path) as file:
        return dict(file)


def _exact_pose(box: Float[ndarray, "4"], mask: ndarray, px: Float[ndarray, "33 3"]) -> Pose:
    region = Region.around_box(box, margin=1.25)
    seen = cut_region(torch.from_numpy(mask.astype(np.float32))[None], region, 256)[0]
    return Pose(
        px=px.astype(np.float32), world=np.zeros((33, 3), np.float32), score=1.0, region=region, next_region=region,
        mask=(255 * seen).numpy().astype(np.uint8),
    )  # fmt: skip


class Cast:
    """The people of a place as they are seen in half of its frames by one camera."""

    def __init__(self, place: dict[str, ndarray], camera: int, half: int, rng: np.random.Generator) -> None:
        self.place, self.rng = place, rng
        cameras, frames, people = place["rows"].T
        own = (cameras == camera) & (frames // (CONFIG.num_frames // 2) == half)
        self.rows = {int(one): np.flatnonzero(own & (people == one)) for one in np.unique(people[own])}

    def look(self, person: int, share: float, box: Float[ndarray, "4"] | None = None) -> Observation:
        """The person at a share of the half's time; in another box if one is given."""
        rows = self.rows[person]
        at = share * (len(rows) - 1)
        low, high = rows[int(at)], rows[min(int(at) + 1, len(rows) - 1)]
        if box is None:
            box = (1 - at % 1) * self.place["boxes"][low] + at % 1 * self.place["boxes"][high]
        size = np.tile(box[2:] - box[:2], 2)
        near = low if at % 1 < 0.5 else high
        return Observation(
            box_xyxy=box + 0.02 * size * self.rng.normal(size=4), score=0.95, appearance=self.place["colours"][near],
            features=self.place["features"][near],
        )  # fmt: skip


def compose(kind: str, seed: int, places: dict[int, dict[str, ndarray]], own: list[int]) -> list[Moment]:
    """One case; see the module."""
    rng = np.random.default_rng([SEED, seed, KINDS.index(kind)])
    here = [[Cast(places[seed], camera, half, rng) for half in range(2)] for camera in range(2)]
    gap_s = float(np.exp(rng.uniform(np.log(3), np.log(60))))
    if kind == "cross":
        moments = list(_cross(here[0], rng))
    elif kind == "gap":
        moments = [*_visit(here[0][0], 0.0, 0), *_visit(here[0][1], VISIT / FPS + gap_s, 0)]
    elif kind == "leave":
        moments = list(_leave(here[0], gap_s))
    else:
        other = Cast(places[own[(own.index(seed) + 1) % len(own)]], 0, 0, rng) if kind == "cut" else here[1][0]
        first = 100 if kind == "cut" else 0
        moments = [
            *_visit(here[0][0], 0.0, 0),
            *_visit(other, VISIT / FPS, 1, first=first),
            *_visit(here[0][1], 2 * VISIT / FPS, 2),
        ]
    return [replace(one, people=[seen for seen in one.people if rng.random() > 0.05]) for one in moments]


def _visit(cast: Cast, start_s: float, segment: int, *, first: int = 0) -> Iterator[Moment]:
    for frame in range(VISIT):
        people = [(first + person, cast.look(person, frame / (VISIT - 1))) for person in cast.rows]
        yield Moment(start_s + frame / FPS, segment, people)


def _leave(halves: list[Cast], gap_s: float) -> Iterator[Moment]:
    """The others go back and forth in their time while the first one is away."""
    away = round(gap_s * FPS)
    leaver = min(halves[0].rows)
    for frame in range(2 * VISIT + away):
        half = 0 if frame < VISIT + away / 2 else 1
        share = abs((frame / VISIT) % 2 - 1)
        present = frame < VISIT or frame >= VISIT + away
        people = [(one, halves[half].look(one, share)) for one in halves[half].rows if one != leaver or present]
        yield Moment(frame / FPS, 0, people)


def _cross(halves: list[Cast], rng: np.random.Generator) -> Iterator[Moment]:
    """Two people of 100 x 250 pixels who walk towards one another; the second is behind."""
    people = sorted(set(halves[0].rows) & set(halves[1].rows))[:2]
    back = rng.random() < 0.5
    for frame in range(2 * VISIT):
        along = frame / (2 * VISIT - 1)
        way = 2 * abs(along - 0.5) * np.sign(1.0 if back else 0.5 - along)
        half, share = (0, 2 * along) if along < 0.5 else (1, 2 * along - 1)
        seen = []
        for person, side in zip(people, (-1, 1), strict=False):
            middle = 400 + side * 240 * way
            box = np.array([middle - 50, 100, middle + 50, 350]) + 12.0 * side
            if side < 0 or abs(way) * 480 > 60:
                seen.append((person, halves[half].look(person, share, box)))
        yield Moment(frame / FPS, 0, seen)


def score(moments: list[Moment]) -> dict[str, float]:
    """TrackEval's identity metrics of the tracker's answer."""
    from trackeval.metrics import Identity

    tracker = HungarianTracker()
    for moment in moments:
        tracker.update(moment.time_s, moment.segment, [seen for _, seen in moment.people])
    found: dict[int, int] = {}
    for number, person in enumerate(tracker.identities()):
        found |= {id(seen): number for seen in person.values()}
    truth_ids = sorted({who for moment in moments for who, _ in moment.people})
    truths = [np.array([truth_ids.index(who) for who, _ in moment.people], int) for moment in moments]
    kept = [[index for index, (_, seen) in enumerate(moment.people) if id(seen) in found] for moment in moments]
    answers = [
        np.array([found[id(moment.people[index][1])] for index in own], int)
        for moment, own in zip(moments, kept, strict=True)
    ]
    data = {
        "num_timesteps": len(moments), "gt_ids": truths, "tracker_ids": answers,
        "num_gt_ids": len(truth_ids), "num_tracker_ids": max(found.values(), default=-1) + 1,
        "num_gt_dets": sum(map(len, truths)), "num_tracker_dets": sum(map(len, answers)),
        "similarity_scores": [
            np.eye(len(truth))[:, own] for truth, own in zip(truths, kept, strict=True)
        ],
    }  # fmt: skip
    merged = sum(
        len({who for moment in moments for who, seen in moment.people if found.get(id(seen)) == number}) - 1
        for number in set(found.values())
    )
    with redirect_stdout(None):
        metric = Identity()
    return metric.eval_sequence(data) | {"merged": merged, "truth": len(truth_ids), "found": len(set(found.values()))}


def summarise(results: list[dict[str, float]]) -> str:
    hit, missed, false = (sum(one[name] for one in results) for name in ("IDTP", "IDFN", "IDFP"))
    perfect = sum(one["IDF1"] > 0.999 for one in results)
    merged = sum(one["merged"] for one in results)
    people, found = (sum(one[name] for one in results) for name in ("truth", "found"))
    return (
        f"IDF1 {hit / (hit + 0.5 * missed + 0.5 * false):.3f}, worst {min(one['IDF1'] for one in results):.2f}, "
        f"{perfect} without a fault; {people} people as {found}, {merged} with somebody else's frames"
    )


if __name__ == "__main__":
    sys.exit(main())
