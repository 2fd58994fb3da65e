"""How rendered people of known shape and pose are read and posed, adults and children apart.

    python tools/measure_rendered_people.py OUT --seed 12

Renders one dressed person after another, of chosen statures, in two poses and from two sides, cameras known. The people
stage reads them in the boxes of their pixels (kept in OUT, so that only what comes after it runs again), the human
branch poses and the ruler places them; no scene is looked at. Prints, for adults (from 1.45 m) and children, errors of
poses and statures, and how far each kind of landmark lies from the true one along the trunk: what the constants of
``people/fuse.py`` leave. Lengths count for a person of 1.7 m.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from measure_cut_people import Trial, place_people, read_trial
from unish.body import JOINT_NAMES, LANDMARK_NAMES, Body, load_body
from unish.body.population import AGE_BETA, STATURE_BETA
from unish.geometry.camera import project
from unish.lab.evaluation.benchmarks.pictures import clip_of_pictures
from unish.lab.evaluation.metrics import joint_error_procrustes
from unish.lab.synthetic.grounds import make_ground
from unish.lab.synthetic.people import Actor, cast_people
from unish.lab.synthetic.textures import make_texture_bank
from unish.network import UniSH
from unish.passes import Models
from unish.render import Renderer, Scene, make_renderer
from unish.render.scene import SmoothNormals, empty_mesh, join_meshes
from unish.structs import Clip, Landmarks, Tracks

SIZE = (480, 360)
GAP_S = 20.0
"""Between the two pictures of a person, so that no motion joins them."""
CHILDREN_M = (0.9, 0.95, 1.0, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4)
ADULTS_M = (1.45, 1.5, 1.6, 1.65, 1.7, 1.7, 1.72, 1.75, 1.8, 1.85)
ADULT_M, MEAN_M = 1.45, 1.7
GROSS_M = 0.08
"""Pictures whose landmarks are off by so much (median) have been misread: they say nothing of what landmarks mean."""
KINDS = ("nose", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel")
BENDS = {"knee": ("hip", "knee", "ankle"), "hip": ("neck", "hip", "knee")}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One person in T pictures.

    Attributes:
        trial: the pictures, and which of their pixels show the person.
        stature: metres.
        joints, landmarks: true ones in the camera, metres.
    """

    clip: Clip
    trial: Trial
    intrinsics: Float[Tensor, "3 3"]
    stature: float
    joints: Float[Tensor, "T 24 3"]
    landmarks: Float[Tensor, "T 33 3"]


def draw_shape(rng: np.random.Generator, body: Body, stature: float) -> Float[Tensor, "10"]:
    """Of many random adults or children the one whose height is nearest."""
    drawn = np.clip(rng.normal(0, 1.0, (200, 10)), -2.5, 2.5).astype(np.float32)
    is_child = stature < ADULT_M
    drawn[:, AGE_BETA] = rng.uniform(-3.6, -0.3, 200) if is_child else 0.0
    drawn[:, STATURE_BETA] *= 0.5 if is_child else 1.0
    betas = torch.from_numpy(drawn)
    return betas[int((body.standing_height(betas) - stature).abs().argmin())]


def show_people(seed: int, body: Body) -> Iterator[Shown]:
    """People of every stature, the same ones for the same seed."""
    bank = make_texture_bank(seed, None)
    stage = make_ground(np.random.default_rng(seed), bank, "open", np.zeros((0, 2)), [])
    renderer = make_renderer("auto", samples=4)
    for number, stature in enumerate(sorted({*CHILDREN_M, *ADULTS_M})):
        rng = np.random.default_rng([seed, number])
        betas = draw_shape(rng, body, stature)
        actors = cast_people(rng, bank, "free", 1, np.array([0.0, 4.0]), 0.3, betas=betas)
        if actors:
            people = join_meshes([actors[0].looks])
            seat = actors[0].seat.mesh if actors[0].seat else empty_mesh()
            renderer.load(
                Scene(shell=stage.shell, objects=seat, people=people, lighting=stage.lighting, textures=bank.layers)
            )
            yield _show(rng, actors[0], SmoothNormals(people.faces, len(people.vertices)), renderer, body)


def _show(rng: np.random.Generator, actor: Actor, smooth: SmoothNormals, renderer: Renderer, body: Body) -> Shown:
    focal = float(rng.uniform(400, 700))
    intrinsics = np.array([[focal, 0, SIZE[1] / 2], [0, focal, SIZE[0] / 2], [0, 0, 1]], np.float32)
    pictures, shown, cameras = [], [], []
    for surface, facing in zip(actor.surface, actor.params.global_orient[:, :, 2].numpy(), strict=True):
        cameras.append(_find_camera(rng, surface, facing, focal))
        frame = renderer.render(surface, smooth(surface), cameras[-1], intrinsics, SIZE)
        pictures.append(frame.colour)
        shown.append(frame.ids >= 0)
    times = GAP_S * np.arange(len(pictures))
    turn, move = np.stack(cameras)[:, None, :3, :3], np.stack(cameras)[:, None, :3, 3]
    joints, landmarks = (
        torch.from_numpy((turn @ points[..., None])[..., 0] + move) for points in (actor.joints, actor.landmarks)
    )
    return Shown(
        clip=clip_of_pictures(np.stack(pictures), times_s=times, numbers=np.arange(len(times)), name="rendered"),
        trial=Trial(name="whole", pictures=np.stack(pictures), shown=np.stack(shown)),
        intrinsics=torch.from_numpy(intrinsics), stature=float(body.standing_height(actor.params.betas[0])),
        joints=joints, landmarks=landmarks,
    )  # fmt: skip


def _find_camera(
    rng: np.random.Generator, surface: Float[ndarray, "V 3"], facing: Float[ndarray, "3"], focal: float
) -> Float[ndarray, "4 4"]:
    """From the stage to a camera that sees all of a person, mostly from the front."""
    middle, extent = (surface.max(0) + surface.min(0)) / 2, np.ptp(surface, axis=0)
    round_, up = np.arctan2(facing[0], facing[2]) + rng.normal(0, 0.7), np.radians(rng.uniform(-5, 20))
    fill = rng.uniform(0.6, 0.9)
    distance = 0.3 + focal * max(extent[1] / (SIZE[0] * fill), np.hypot(extent[0], extent[2]) / (0.9 * SIZE[1]))
    eye = middle + distance * np.array([np.sin(round_) * np.cos(up), np.sin(up), np.cos(round_) * np.cos(up)])
    eye[1] = max(eye[1], 0.3)
    ahead = (middle - eye) / np.linalg.norm(middle - eye)
    right = np.cross(ahead, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    w2c = np.eye(4)
    w2c[:3, :3] = np.stack([right, np.cross(ahead, right), ahead])
    w2c[:3, 3] = -w2c[:3, :3] @ eye
    return w2c


def compare_landmarks(shown: Shown, landmarks: Landmarks) -> Float[ndarray, "T 33"]:
    """How far up the trunk the read landmarks lie from the true ones, cm; NaN where they are not seen or misread."""
    seen = project(shown.landmarks, shown.intrinsics.double().expand(len(shown.landmarks), 3, 3)).numpy()
    metres = (shown.landmarks[..., 2:].numpy() / float(shown.intrinsics[0, 0])) * MEAN_M / shown.stature
    off = (landmarks.px[0, ..., :2].double().numpy() - seen) * metres
    trunk = seen[:, [11, 12]].mean(1) - seen[:, [23, 24]].mean(1)
    along = (off * (trunk / np.linalg.norm(trunk, axis=-1, keepdims=True))[:, None]).sum(-1)
    gross = np.nanmedian(np.linalg.norm(off, axis=-1)[:, 11:29], axis=1) > GROSS_M
    return np.where(gross[:, None] | (landmarks.px[0, ..., 2].numpy() < 0.6), np.nan, 100 * along)


def compare_bodies(
    shown: Shown, tracks: Tracks, landmarks: Landmarks, model: UniSH, body: Body
) -> dict[str, Float[ndarray, "T"]]:
    """PA-MPJPE in mm, and differences from the truth: lean and bends in degrees, stature in percent."""
    placed = place_people(model, body, shown.clip, tracks, landmarks, shown.intrinsics)
    joints = body.joints(placed.params)[0].double()
    stature = float(body.standing_height(placed.params.betas[0, 0]))
    row = {"PA-MPJPE": joint_error_procrustes(joints, shown.joints).numpy() * MEAN_M / shown.stature}
    row["stature"] = np.full(len(joints), 100 * (stature / shown.stature - 1))
    row["lean"] = _lean(joints.numpy()) - _lean(shown.joints.numpy())
    return row | {name: _bend(joints.numpy(), name) - _bend(shown.joints.numpy(), name) for name in BENDS}


def _lean(joints: Float[ndarray, "T 24 3"]) -> Float[ndarray, "T"]:
    """Of the trunk away from the camera, degrees."""
    trunk = joints[:, JOINT_NAMES.index("neck")] - joints[:, 0]
    return np.degrees(np.arctan2(trunk[:, 2], -trunk[:, 1]))


def _bend(joints: Float[ndarray, "T 24 3"], name: str) -> Float[ndarray, "T"]:
    """Mean of both sides, degrees."""
    bends = []
    for side in ("left", "right"):
        a, b, c = (joints[:, JOINT_NAMES.index(one if one == "neck" else f"{side}_{one}")] for one in BENDS[name])
        upper, lower = b - a, c - b
        cosine = (upper * lower).sum(-1) / np.linalg.norm(upper, axis=-1) / np.linalg.norm(lower, axis=-1)
        bends.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.mean(bends, axis=0)


def measure(out: Path, seed: int, model: UniSH, body: Body, models: Models) -> list[str]:
    """Lines of two tables, adults and children apart."""
    groups: dict[str, list[tuple[dict[str, ndarray], ndarray]]] = {"adults": [], "children": []}
    for number, shown in enumerate(show_people(seed, body)):
        tracks, landmarks = read_trial(out / f"rendered-{seed}-{number}.pt", shown.trial, shown.clip, models)
        if torch.isfinite(landmarks.px).all():
            row = compare_bodies(shown, tracks, landmarks, model, body), compare_landmarks(shown, landmarks)
            groups["adults" if shown.stature >= ADULT_M else "children"].append(row)
    lines = []
    for name, rows in groups.items():
        bodies = {key: np.concatenate([row[key] for row, _ in rows]) for key in rows[0][0]}
        along = np.concatenate([landmarks for _, landmarks in rows])
        lines.append(f"{name}, {len(along)} pictures; medians (of sizes without sign in brackets)")
        lines += [f"  {key}: {np.median(each):+.1f} ({np.median(abs(each)):.1f})" for key, each in bodies.items()]
        for kind in KINDS:
            columns = [index for index, one in enumerate(LANDMARK_NAMES) if one.endswith(kind)]
            lines.append(f"  {kind} up the trunk: {np.nanmedian(along[:, columns]):+.1f} cm")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=12, help="of the people who are rendered")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = UniSH.from_pretrained("small"), load_body("free"), Models()
    print("\n".join(measure(arguments.out, arguments.seed, *parts)))
