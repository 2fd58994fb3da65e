"""How people come out who are cut by the border of the picture or hidden in part, beside the same people seen whole.

    python tools/measure_cut_people.py OUT --clips 12 --seed 1

Renders short clips of one person who is seen whole, cuts the pictures at several heights and sides, and hides parts of
the person behind boards. Every trial is read by the people stage in the box of what is seen (kept in OUT, so that only
what comes after it runs again), posed by the human branch and placed by the ruler with the camera known; no scene is
looked at. Prints, for each kind of trial, how distance and stature differ from those of the same person seen whole, and
how knees and hips are bent beside the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from torch import Tensor

from unish.body import JOINT_NAMES, Body, load_body
from unish.lab.synthetic import SynthConfig, clip_from_truth, make_clip
from unish.network import UniSH
from unish.passes import Models
from unish.passes.network_pass import make_human_inputs
from unish.reconstruction.anchor import PlacedBodies, place_bodies, shrink_shapes, smooth_distances
from unish.settings import Settings
from unish.structs import Clip, Landmarks, Reconstruction, Tracks

CONFIG = SynthConfig(size=(640, 480), num_frames=3, min_people=1, max_people=1, fill=(0.7, 0.95))
NOSE, SHOULDERS, HIPS, KNEES, ANKLES = (0,), (11, 12), (23, 24), (25, 26), (27, 28)
CUTS = {
    "cut at shanks": (KNEES, ANKLES, 0.5), "cut at thighs": (HIPS, KNEES, 0.5), "cut below hips": (HIPS, KNEES, 0.2),
    "cut at waist": (SHOULDERS, HIPS, 0.5), "head, shoulders": (SHOULDERS, HIPS, 0.2),
}  # fmt: skip
"""Where the lower border of the picture lies: from which landmarks to which, and how far."""
BOARDS = {"lower 20 % hidden": 0.2, "lower 45 % hidden": 0.45, "lower 70 % hidden": 0.7}
"""Share of the person's box, from below, that a board hides."""
POLE = 0.4
"""Share of the width of the person's box that is hidden in the middle."""
CROUCH_DEG = 25.0
"""A knee or hip that is bent by so much more than in truth is an invented crouch."""
BENDS = {"knee": ("hip", "knee", "ankle"), "hip": ("neck", "hip", "knee")}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Pictures of one person, and which of their pixels show the person.

    ``left`` and ``top`` are where their first pixel lies in the whole pictures.
    """

    name: str
    pictures: UInt8[ndarray, "T H W 3"]
    shown: Bool[ndarray, "T H W"]
    left: int = 0
    top: int = 0

    def find_boxes(self) -> Float[ndarray, "1 T 4"]:
        """Around the pixels of the person; NaN where there are none."""
        boxes = np.full((1, len(self.shown), 4), np.nan, np.float32)
        for frame, mask in enumerate(self.shown):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(rows):
                boxes[0, frame] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes


def make_trials(truth: Reconstruction) -> Iterator[Trial]:
    """The whole pictures first, then all that is cut or hidden."""
    whole = Trial(name="whole", pictures=np.asarray(truth.images), shown=np.asarray(truth.person_masks) == 0)
    height, width = whole.shown.shape[1:]
    at = np.median(truth.extra["truth_landmarks_px"][0, ..., :2], axis=0)

    def row(first: tuple[int, ...], second: tuple[int, ...], share: float) -> int:
        start, end = at[list(first), 1].mean(), at[list(second), 1].mean()
        return int(np.clip((start + share * (end - start)) // 2 * 2, 48, height - 48))

    yield whole
    for name, place in CUTS.items():
        yield _cut(whole, name, stop_row=row(*place))
    yield _cut(whole, "without head", first_row=row(NOSE, SHOULDERS, 0.6))
    middle = int(np.clip(at[[*SHOULDERS, *HIPS], 0].mean() // 2 * 2, 48, width - 48))
    yield _cut(whole, "left half", stop_column=middle)
    yield _cut(whole, "right half", first_column=middle)

    x0, y0, x1, y1 = np.nanmedian(truth.boxes_xyxy[0], axis=0)
    for name, share in BOARDS.items():
        yield _hide(whole, name, slice(int(y1 - share * (y1 - y0)), height), slice(0, width))
    centre, half = (x0 + x1) / 2, POLE * (x1 - x0) / 2
    yield _hide(whole, "behind a pole", slice(0, height), slice(int(centre - half), int(centre + half)))
    yield _hide(whole, "behind a wall", slice(0, height), slice(0, int(centre)))


def _cut(
    whole: Trial, name: str, *, first_row: int = 0, stop_row: int | None = None, first_column: int = 0,
    stop_column: int | None = None,
) -> Trial:  # fmt: skip
    part = (slice(None), slice(first_row, stop_row), slice(first_column, stop_column))
    return Trial(
        name=name, pictures=whole.pictures[part], shown=whole.shown[part], left=first_column, top=first_row
    )  # fmt: skip


def _hide(whole: Trial, name: str, rows: slice, columns: slice) -> Trial:
    """A wooden board over a part of the pictures."""
    pictures, shown = whole.pictures.copy(), whole.shown.copy()
    size = pictures[0, rows, columns].shape[:2]
    grain = 12 * np.sin(np.arange(size[0]) / 2.3)[:, None] + np.random.default_rng(0).normal(0, 4, size)
    pictures[:, rows, columns] = np.clip(np.array([134, 101, 70]) + grain[..., None], 0, 255).astype(np.uint8)
    shown[:, rows, columns] = False
    return Trial(name=name, pictures=pictures, shown=shown)


def find_whole_people(out: Path, seed: int, count: int) -> Iterator[tuple[str, Reconstruction]]:
    """Rendered clips whose person is seen from head to toes in every frame; kept in ``out``."""
    found, index = 0, 0
    while found < count:
        path = out / f"clip-{seed}-{index}.npz"
        refused = path.with_suffix(".no")
        if not path.exists() and not refused.exists():
            clip = make_clip(seed, index, CONFIG)
            if clip.num_people == 1 and _is_whole(clip):
                clip.save(path)
            else:
                refused.touch()
        if path.exists():
            found += 1
            yield path.stem, Reconstruction.load(path)
        index += 1


def _is_whole(clip: Reconstruction) -> bool:
    points = clip.extra["truth_landmarks_px"][0]
    inside = ((points[..., :2] > 4) & (points[..., :2] < np.array(CONFIG.size[::-1]) - 4)).all()
    tall = np.ptp(points[..., 1], axis=-1).min() > 0.5 * CONFIG.size[0]
    return bool(inside and tall and points[..., 2].mean() > 0.75)


def read_trial(kept: Path, trial: Trial, clip: Clip, models: Models) -> tuple[Tracks, Landmarks]:
    """What the people stage reads in the boxes of the person; kept in a file."""
    if not kept.exists():
        boxes = kept.with_suffix(".npz")
        np.savez(boxes, frame_indices=clip.frame_indices, person_ids=np.zeros(1, int), boxes_xyxy=trial.find_boxes())
        tracks, landmarks = models.people_finder(Settings(tracks=boxes))(clip, (160, 160))
        boxes.unlink()
        torch.save((replace(tracks, masks=tracks.masks[: clip.num_frames]), landmarks), kept)
    tracks, landmarks = torch.load(kept, weights_only=False)
    return tracks, landmarks


@torch.inference_mode()
def place_people(
    model: UniSH, body: Body, clip: Clip, tracks: Tracks, landmarks: Landmarks, intrinsics: Float[Tensor, "3 3"]
) -> PlacedBodies:
    """Bodies of everybody in their cameras, as a reconstruction has them before it looks at the scene."""
    num_frames, size = clip.num_frames, clip.size
    cameras, times = intrinsics.expand(num_frames, 3, 3), clip.timestamps_s.float()
    humans = make_human_inputs(model, None, size, tracks, landmarks, slice(0, num_frames))
    rotations, betas = (value[0] for value in model.read_people(humans, times[None], cameras[None]))
    nowhere = torch.full((*tracks.valid.shape, 3), torch.nan)

    def place(betas: Tensor) -> PlacedBodies:
        return place_bodies(
            body, rotations, betas, landmarks.px, cameras, size, tracks.valid, nowhere, landmarks.sigma_px
        )

    betas = shrink_shapes(betas, place(betas).distance_sigma, tracks.valid)
    return smooth_distances(body, place(betas), times)


def measure(
    out: Path, seed: int, count: int, model: UniSH, body: Body, models: Models
) -> dict[str, list[dict[str, float]]]:
    """Of every kind of trial what was measured in each clip; NaN where the person was not read."""
    rows: dict[str, list[dict[str, float]]] = {}
    for name, truth in find_whole_people(out, seed, count):
        w2c = np.linalg.inv(truth.c2w.astype(np.float64))
        joints = truth.extra["truth_joints"][0] @ w2c[:, :3, :3].transpose(0, 2, 1) + w2c[:, None, :3, 3]
        true = _describe(joints, float(body.standing_height(torch.from_numpy(truth.betas[0]))))
        twin: dict[str, float] | None = None
        for trial in make_trials(truth):
            clip = clip_from_truth(truth)
            clip = replace(clip, images=torch.from_numpy(np.ascontiguousarray(trial.pictures)))
            intrinsics = torch.from_numpy(truth.intrinsics[0]).clone()
            intrinsics[:2, 2] -= torch.tensor([trial.left, trial.top])
            kept = out / f"{name}-{trial.name.replace(' ', '-').replace('%', 'percent')}.pt"
            tracks, landmarks = read_trial(kept, trial, clip, models)
            found: dict[str, float] = {}
            posed = torch.isfinite(landmarks.px).all(-1).all(-1)
            if posed.any():
                placed = place_people(model, body, clip, tracks, landmarks, intrinsics)
                joints = body.joints(placed.params)[placed.valid & posed].double().numpy()
                found = _describe(joints, float(body.standing_height(placed.params.betas[0, 0])))
            twin = twin or found
            rows.setdefault(trial.name, []).append(_compare(found, twin, true))
    return rows


def _describe(joints: Float[ndarray, "N 24 3"], stature: float) -> dict[str, float]:
    """Medians over frames: distance and stature in metres, bends of the more bent knee and hip in degrees."""

    def bend(names: tuple[str, str, str], side: str) -> Float[ndarray, "N"]:
        a, b, c = (joints[:, JOINT_NAMES.index(name if name == "neck" else f"{side}_{name}")] for name in names)
        upper, lower = b - a, c - b
        cosine = (upper * lower).sum(-1) / np.linalg.norm(upper, axis=-1) / np.linalg.norm(lower, axis=-1)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

    bends = {name: float(np.median([bend(names, side) for side in ("left", "right")])) for name, names in BENDS.items()}
    return {"distance": float(np.median(joints[:, 0, 2])), "stature": stature, **bends}


def _compare(found: dict[str, float], twin: dict[str, float], true: dict[str, float]) -> dict[str, float]:
    """Percent of distance and stature beside the twin's and the true ones, degrees of bend beyond the true ones."""
    if not found or not twin:
        return dict.fromkeys(("distance", "stature", "true distance", "true stature", *BENDS), float("nan"))
    row = {name: 100 * (found[name] / twin[name] - 1) for name in ("distance", "stature")}
    row |= {f"true {name}": 100 * (found[name] / true[name] - 1) for name in ("distance", "stature")}
    return row | {name: found[name] - true[name] for name in BENDS}


def write_row(name: str, rows: list[dict[str, float]]) -> str:
    """One line of the table: medians of sizes without sign, shares of who was found."""
    found = [row for row in rows if row["distance"] == row["distance"]]

    def share(names: tuple[str, ...], limit: float, *, signed: bool = False) -> str:
        worst = [max(row[one] if signed else abs(row[one]) for one in names) for row in found]
        return f"{100 * np.mean(np.array(worst) <= limit):.0f}"

    middle = {one: f"{np.median([abs(row[one]) for row in found]):.1f}" for one in found[0]}
    bends = " / ".join(f"{np.median([row[one] for row in found]):+.0f}" for one in BENDS)
    cells = [
        name, f"{len(found)} of {len(rows)}", middle["distance"], share(("distance",), 15), share(("distance",), 30),
        middle["stature"], share(("stature",), 8), middle["true distance"], middle["true stature"], bends,
        share(tuple(BENDS), CROUCH_DEG, signed=True),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1, help="of the clips that are rendered")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = UniSH.from_pretrained("small"), load_body("free"), Models()
    table = measure(arguments.out, arguments.seed, arguments.clips, *parts)
    print(
        "| trial | found | distance beside twin, median % | within 15 % | within 30 % | stature beside twin, median % |"
        " within 8 % | distance off truth % | stature off truth % | knee / hip bent beyond truth, deg |"
        f" no bend over {CROUCH_DEG:g} deg too much |"
    )
    print("|---" * 11 + "|")
    for kind, measured in table.items():
        print(write_row(kind, measured))
