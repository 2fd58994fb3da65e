"""Read the files of an export back, of whole results: the tables of docs/research/exports.md.

    unish reconstruct walk.mp4 --out out/walk --max-frames 24
    python tools/measure_exports.py out/walk --synthetic 2 --work out/exports
    python tools/measure_exports.py out/walk --colmap --work out/exports

Joints of ``glb``, ``bvh``, ``usd`` and ``amass`` against those of the result at every frame of it (mm); joints through
the camera of ``glb`` and ``usd`` against our own (pixels of the source); and of feet as they stand in the take, between
two frames in which a heel or toe stands: how far resampling moves it off the line between its two places (mm), and how
fast it goes (cm/s) as it is, and with ``--lock-feet``, also on characters of 1.2 and 2.0 m. ``--colmap`` asks instead
what COLMAP's own bundle adjustment (``pycolmap``) does to the sparse model. ``--synthetic N`` adds N rendered clips of
two people, through the whole pipeline. Needs ``usd-core``; the readers are those of the tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import ndarray

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bvh_text import read_bvh
from gltf_player import GltfPlayer
from golden_readers_numbers import pose_in_file
from unish.body import JOINT_NAMES, Body, load_body
from unish.export.feet import PLANTED, SLIP_M_S, find_soles, pose_joints
from unish.export.formats import FORMATS
from unish.export.options import SMOOTH, ExportOptions
from unish.export.take import Take, TakePerson, make_take
from unish.export.timeline import find_runs
from unish.geometry.alignment import align_similarity
from unish.lab.synthetic import SynthConfig, clip_from_truth, make_clip
from unish.pipeline import run
from unish.settings import Settings
from unish.structs import Reconstruction

OPENGL = np.diag([1.0, -1.0, -1.0])
SYNTHETIC = SynthConfig(size=(480, 352), num_frames=16, min_people=2, max_people=2, fps=6.0)
SYNTHETIC_SEED = 2026
HEIGHTS_M = (1.2, 2.0)


def main(argv: list[str] | None = None) -> int:
    """Print one row of a Markdown table for each result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*", help="folders of `unish reconstruct`")
    parser.add_argument("--synthetic", type=int, default=0, metavar="N")
    parser.add_argument("--colmap", action="store_true")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args(argv)
    body = load_body("free")
    measure = measure_adjustment if arguments.colmap else measure_motion
    folders = [*arguments.results, *_reconstruct_synthetic(arguments.synthetic, arguments.work)]
    for number, folder in enumerate(folders):
        row = measure(Reconstruction.load(folder), body, arguments.work / folder.name)
        if number == 0:
            print(f"| clip | {' | '.join(row)} |\n|{'---|' * (len(row) + 1)}")
        print(f"| {folder.name} | {' | '.join(str(value) for value in row.values())} |", flush=True)
    return 0


def _reconstruct_synthetic(count: int, work: Path) -> Iterator[Path]:
    """Folders of results of rendered clips, made where they are not there yet."""
    for index in range(count):
        folder = work / f"synthetic-{index}"
        if not (folder / "reconstruction.npz").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            clip = clip_from_truth(make_clip(SYNTHETIC_SEED, index, SYNTHETIC))
            run(clip, settings=Settings()).reconstruction.save(folder / "reconstruction.npz")
        yield folder


def measure_motion(result: Reconstruction, body: Body, work: Path) -> dict[str, Any]:
    """One row: what readers find in the files, and what feet do in the take. Of the longest shot."""
    work.mkdir(parents=True, exist_ok=True)
    frames = max(result.shot_frames(), key=lambda shot: shot.stop - shot.start)
    shot = result.shot_frames().index(frames)
    # At the rate of the others: that of amass is whole by default, which meets but some frames of 23.976 a second.
    takes = {
        kind: make_take(result, body, replace(FORMATS[kind].defaults, fps=SMOOTH, shot=shot))
        for kind in ("glb", "bvh", "usd", "amass")
    }
    for kind, take in takes.items():
        FORMATS[kind].load()(work / FORMATS[kind].file, result, body, take.options)
    options, take = takes["glb"].options, takes["glb"]
    keys = np.abs(take.times_s[:, None] - (result.timestamps_s[frames] - take.start_s)).argmin(axis=0)
    row: dict[str, Any] = {"frames": len(keys), "people": len(take.people)}
    readers = {"glb": _joints_of_glb, "bvh": _joints_of_bvh, "usd": _joints_of_usd, "amass": _joints_of_amass}
    for kind, read in readers.items():
        row[f"{kind}, mm"] = _compare(result, frames, takes[kind], keys, partial(read, work))
    row["glb camera, px"], row["usd camera, px"] = (
        _compare_views(result, frames, take, *camera, keys) for camera in (_camera_of_glb(work), _camera_of_usd(work))
    )
    for fps in (30.0, 60.0):
        row[f"off the line at {fps:.0f}, mm"] = f"{1000 * _leave_line(result, body, replace(options, fps=fps)):.1f}"
    return row | _measure_slides(result, body, replace(options, fps=30.0))


def _compare(result: Reconstruction, frames: slice, take: Take, keys: ndarray, read: Any) -> str:
    """The farthest that a joint of a file is from that of the result, in its frames, millimetres."""
    worst = 0.0
    for person in take.people:
        row = result.person_ids.tolist().index(person.person_id)
        valid = result.person_valid[row, frames]
        apart = read(person)[keys][valid] - take.place(result.joints[row, frames][valid].astype(np.float64))
        worst = max(worst, float(np.linalg.norm(apart, axis=-1).max(initial=0.0)))
    return f"{1000 * worst:.4f}"


def _joints_of_glb(work: Path, person: TakePerson) -> ndarray:
    player = GltfPlayer(work / "scene.glb")
    bones = player.bones(f"person {person.person_id} mesh")
    keys = range(len(person.valid))
    return np.stack([[player.placed(bones[name], key)[:3, 3] for name in JOINT_NAMES] for key in keys])


def _joints_of_bvh(work: Path, person: TakePerson) -> ndarray:
    names, placed, _, _ = read_bvh(work / "bvh" / f"person-{person.person_id}.bvh")
    return placed[:, [names.index(name) for name in JOINT_NAMES]] / 100


def _joints_of_usd(work: Path, person: TakePerson) -> ndarray:
    from pxr import Usd, UsdGeom, UsdSkel

    stage, name = Usd.Stage.Open(str(work / "scene.usdc")), f"person_{person.person_id}"
    query = UsdSkel.Cache().GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath(f"/World/{name}/{name}_skeleton")))
    bones = [token.split("/")[-1] for token in query.GetJointOrder()]
    placed = [
        np.array(query.ComputeJointWorldTransforms(UsdGeom.XformCache(frame))) for frame in range(len(person.valid))
    ]
    return np.stack(placed)[:, [bones.index(name) for name in JOINT_NAMES], 3, :3]


def _joints_of_amass(work: Path, person: TakePerson) -> ndarray:
    with np.load(work / "amass" / f"person-{person.person_id}.npz", allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    return pose_in_file(data["poses"][:, :66].reshape(-1, 22, 3), data)[0]


def _camera_of_glb(work: Path) -> tuple[ndarray, ndarray]:
    """Camera to world with OpenCV axes, and half the height of the view at distance 1."""
    player = GltfPlayer(work / "scene.glb")
    node = next(
        number for name, number in player.names.items() if name.startswith("camera") and _is_camera(player, number)
    )
    camera = player.document.nodes[node].camera
    count = max(len(times) for times, _, _ in player.channels(0).values())
    placed = np.stack([player.placed(node, key) for key in range(count)])
    placed[:, :3, :3] = placed[:, :3, :3] @ OPENGL
    return placed, np.broadcast_to(np.tan(player.vertical_fovs(camera) / 2), count)


def _is_camera(player: GltfPlayer, node: int) -> bool:
    return player.document.nodes[node].camera is not None


def _camera_of_usd(work: Path) -> tuple[ndarray, ndarray]:
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.Open(str(work / "scene.usdc"))
    camera, placed, half = UsdGeom.Camera(stage.GetPrimAtPath("/World/camera")), [], []
    for frame in range(int(stage.GetEndTimeCode()) + 1):
        placed.append(np.array(UsdGeom.XformCache(frame).GetLocalToWorldTransform(camera.GetPrim())).T)
        lens = camera.GetCamera(frame)
        half.append(lens.verticalAperture / lens.focalLength / 2)
    turned = np.stack(placed)
    turned[:, :3, :3] = turned[:, :3, :3] @ OPENGL
    return turned, np.array(half)


def _compare_views(
    result: Reconstruction, frames: slice, take: Take, c2w: ndarray, half_height: ndarray, keys: ndarray
) -> str:
    """The farthest that a joint falls from where our own camera has it, pixels of the source; principal point aside."""
    scale = np.diag([*(result.source_size / result.image_size)[::-1], 1.0])
    worst = 0.0
    for number, key in enumerate(keys):
        frame = frames.start + number
        joints = result.joints[result.person_valid[:, frame], frame].reshape(-1, 3).astype(np.float64)
        if not len(joints):
            continue
        lens = scale @ result.intrinsics[frame]
        own = (joints - result.c2w[frame, :3, 3]) @ result.c2w[frame, :3, :3] @ lens.T
        placed = (take.place(joints) - c2w[key, :3, 3]) @ c2w[key, :3, :3]
        focal = result.source_size[0] / 2 / half_height[key]
        seen = focal * placed[:, :2] / placed[:, 2:] + lens[:2, 2]
        ahead = own[:, 2] > 0.1  # the joints of somebody beside the camera may lie behind it
        worst = max(worst, float(np.linalg.norm(seen - own[:, :2] / own[:, 2:], axis=1)[ahead].max(initial=0.0)))
    return f"{worst:.3f}"


def _sole_points(body: Body, person: TakePerson) -> ndarray:
    """Left heel and toe, right heel and toe, (N, 4, 3); NaN where the person is not known."""
    soles = find_soles(body, torch.from_numpy(person.betas))
    assert soles is not None
    turned, placed = pose_joints(person.rest_joints, person.rotations, person.pelvis)
    carried = ((7, soles.heel[0]), (10, soles.toe[0]), (8, soles.heel[1]), (11, soles.toe[1]))
    return np.stack([placed[:, joint] + turned[:, joint] @ offset for joint, offset in carried], axis=1)


def _list_stances(
    result: Reconstruction, person: TakePerson, frames: ndarray, points: ndarray
) -> list[tuple[int, int, int]]:
    """(point, first and last of the frames) of every stretch of two or more in which a heel or toe stands.

    Args:
        points: ``_sole_points`` in these frames. What moves faster than ``SLIP_M_S`` does not stand.
    """
    if result.contact_prob is None or result.contact_names is None:
        return []
    names, row = result.contact_names.tolist(), result.person_ids.tolist().index(person.person_id)
    stances, lengths = [], np.diff(result.timestamps_s[frames])
    for point, name in enumerate(("left_heel", "left_toe", "right_heel", "right_toe")):
        stands = (result.contact_prob[row, frames, names.index(name)] >= PLANTED) & result.person_valid[row, frames]
        with np.errstate(invalid="ignore"):
            slow = np.linalg.norm(np.diff(points[:, point], axis=0), axis=1) <= SLIP_M_S * lengths
        stances += [(point, first, last + 1) for first, last in find_runs(stands[:-1] & stands[1:] & slow)]
    return stances


def _leave_line(result: Reconstruction, body: Body, options: ExportOptions) -> float:
    """The farthest that a sole point that stands in two frames is from the line between its two places, metres."""
    take, exact = (make_take(result, body, replace(options, fps=fps)) for fps in (options.fps, None))
    worst = 0.0
    for person, known in zip(take.people, exact.people, strict=True):
        points, keys = _sole_points(body, person), _sole_points(body, known)
        for point, first, last in _list_stances(result, person, take.frames, keys):
            inside = (take.times_s >= exact.times_s[first]) & (take.times_s <= exact.times_s[last])
            stretch = slice(first, last + 1)
            line = [
                np.interp(take.times_s[inside], exact.times_s[stretch], keys[stretch, point, axis]) for axis in range(3)
            ]
            apart = np.linalg.norm(points[inside, point] - np.stack(line, axis=-1), axis=1)
            worst = max(worst, float(apart.max(initial=0.0)))
    return worst


def _measure_slides(result: Reconstruction, body: Body, options: ExportOptions) -> dict[str, str]:
    """Speed of what stands, cm/s: median and 95th percentile as it is, the greatest with locked feet, also resized."""
    row = {}
    for locked in (False, True):
        take = make_take(result, body, replace(options, lock_feet=locked))
        known = make_take(result, body, replace(options, fps=None)).people
        times = result.timestamps_s[take.frames] - take.start_s
        speeds, resized = [np.zeros(0)], [np.zeros(0)]
        for person, exact in zip(take.people, known, strict=True):
            points, keys = _sole_points(body, person), _sole_points(body, exact)
            for point, first, last in _list_stances(result, person, take.frames, keys):
                inside = (take.times_s >= times[first] - 1e-6) & (take.times_s <= times[last] + 1e-6)
                way = np.linalg.norm(np.diff(points[inside, point], axis=0), axis=1)
                speeds.append(100 * way * take.fps)
                resized.append(speeds[-1] / person.height_m)
        every = np.concatenate(speeds)
        if not len(every):
            return {"stances": "none"}
        row["stances"] = str(len(speeds) - 1)
        if locked:
            row["locked: greatest, cm/s"] = f"{every.max():.2f}"
            for height in HEIGHTS_M:
                row[f"at {height} m"] = f"{height * np.concatenate(resized).max():.2f}"
            row["joints moved, mm"] = f"{1000 * max(person.moved_m for person in take.people):.0f}"
        else:
            row["as it is: median, 95 %, cm/s"] = f"{np.median(every):.1f}, {np.quantile(every, 0.95):.1f}"
    return row


def measure_adjustment(result: Reconstruction, body: Body, work: Path) -> dict[str, Any]:
    """One row: the sparse model, and how far COLMAP's bundle adjustment moves its cameras, as shares of their path."""
    import pycolmap

    folder = work / "colmap"
    facts = FORMATS["colmap"].load()(folder, result, body, ExportOptions())
    model = pycolmap.Reconstruction()
    model.read_binary(str(folder / "sparse" / "0"))
    places = [image.projection_center() for image in sorted(model.images.values(), key=lambda image: image.name)]
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = options.refine_principal_point = options.refine_extra_params = False
    pycolmap.bundle_adjustment(model, options)
    images = sorted(model.images.values(), key=lambda image: image.name)
    before = torch.from_numpy(np.stack(places))
    after = torch.from_numpy(np.stack([image.projection_center() for image in images]))
    moved = (align_similarity(after, before, torch.ones(len(after)).double()).apply(after) - before).norm(dim=-1)
    path = float((before[1:] - before[:-1]).norm(dim=-1).sum())
    return {
        "pictures": facts["pictures"],
        "points": facts["points"],
        "mean track": facts["mean_track_length"],
        "error, px": facts["mean_error_px"],
        "path, cm": f"{100 * path:.0f}",
        "moved, mean %": f"{100 * float(moved.mean()) / path:.2f}",
        "moved, worst %": f"{100 * float(moved.max()) / path:.2f}",
    }


if __name__ == "__main__":
    raise SystemExit(main())
