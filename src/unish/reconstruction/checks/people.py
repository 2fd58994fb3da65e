"""Measures of one person in the world: how they move along the viewing ray, how fast, how large, on what they stand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy import ndarray

from unish.reconstruction.checks.ground import Ground, read_supports
from unish.reconstruction.report import JOINT_PAIRS, MIN_VISIBILITY
from unish.structs import Reconstruction

WINDOW = 5
"""Frames of the running mean from which the jitter along the ray is measured."""

MAX_STEP_S = 0.5
"""Frames farther apart than this say nothing about speed: people turn round."""

FEET = (10, 11)
FOOT_LANDMARKS = ((27, 29, 31), (28, 30, 32))
"""Ankle, heel and toe landmarks of the left and the right foot."""

FOOT_STRIP = (0.02, 0.10)
"""Part of the box height below the lower foot in which the ground's depth is read."""

STRIP_MIDDLE = 0.06
STRIP_HALF_WIDTH = 0.12
MIN_STRIP_PIXELS = 4
LIFTED_M = 0.12
LIFTED_WINDOW_S = 1.0
BORDER_PX = 2.0
DISTANCE_BANDS_M = (4.0, 6.0, 10.0)


def find_runs(
    valid: Bool[ndarray, "T"], shot: Integer[ndarray, "T"], times_s: Float[ndarray, "T"]
) -> list[Integer[ndarray, "_"]]:
    """Frames in which a person is seen, cut at changes of the shot and at gaps of more than ``MAX_STEP_S``."""
    frames = np.flatnonzero(valid)
    breaks = (np.diff(shot[frames]) != 0) | (np.diff(times_s[frames]) > MAX_STEP_S)
    return [run for run in np.split(frames, np.flatnonzero(breaks) + 1) if len(run)]


def to_camera(reconstruction: Reconstruction, points: Float[ndarray, "T *shape 3"]) -> Float[ndarray, "T *shape 3"]:
    """World points of every frame in that frame's camera, metres."""
    w2c = np.linalg.inv(reconstruction.c2w.astype(np.float64))
    turned = np.einsum("tij,t...j->t...i", w2c[:, :3, :3], points.astype(np.float64))
    return turned + w2c[:, :3, 3].reshape(-1, *[1] * (points.ndim - 2), 3)


def to_pixels(
    reconstruction: Reconstruction, camera_points: Float[ndarray, "T *shape 3"]
) -> Float[ndarray, "T *shape 2"]:
    """Camera points of every frame in pixels of the processed image."""
    projected = np.einsum("tij,t...j->t...i", reconstruction.intrinsics.astype(np.float64), camera_points)
    with np.errstate(divide="ignore", invalid="ignore"):
        return projected[..., :2] / projected[..., 2:]


def measure_distances(reconstruction: Reconstruction) -> Float[ndarray, "P T"]:
    """Length of the line from camera to pelvis, metres; NaN where not valid."""
    distance = np.stack(
        [np.linalg.norm(to_camera(reconstruction, joints[:, :1]), axis=-1)[:, 0] for joints in reconstruction.joints]
        or [np.zeros(reconstruction.num_frames)]
    )[: reconstruction.num_people]
    return np.where(reconstruction.person_valid, distance, np.nan)


def ray_jitter(distances_m: Float[ndarray, "T"], runs: list[Integer[ndarray, "_"]]) -> float:
    """Standard deviation (cm) of a person's distance from its running mean over ``WINDOW`` frames.

    The mean is centred, so even motion to or from the camera has none; the first and last two frames of a run have no
    such mean and are left out. NaN when no run has ``WINDOW`` frames.
    """
    residuals = []
    for run in (run for run in runs if len(run) >= WINDOW):
        values = distances_m[run]
        mean = np.convolve(values, np.full(WINDOW, 1 / WINDOW), mode="valid")
        residuals.append(values[WINDOW // 2 : len(values) - WINDOW // 2] - mean)
    return float(100 * np.sqrt(np.mean(np.concatenate(residuals) ** 2))) if residuals else float("nan")


def max_speed(points: Float[ndarray, "T 3"], times_s: Float[ndarray, "T"], runs: list[Integer[ndarray, "_"]]) -> float:
    """Largest speed (m/s) of a world point (the pelvis) between two used frames of one run; NaN with fewer than two."""
    speeds = [
        np.linalg.norm(np.diff(points[run].astype(np.float64), axis=0), axis=-1) / np.diff(times_s[run])
        for run in runs
        if len(run) > 1
    ]
    return float(np.concatenate(speeds).max()) if speeds else float("nan")


def lowest_over_floor(vertices: Float[ndarray, "K V 3"], floor: Float[ndarray, "K 4"]) -> Float[ndarray, "K"]:
    """Signed height (metres) of the lowest point of the body over the floor: above is positive, NaN without a floor."""
    return _heights(vertices, floor).min(-1)


def lowest_points(vertices: Float[ndarray, "K V 3"], floor: Float[ndarray, "K 4"]) -> Float[ndarray, "K 3"]:
    """The point of each body, world, metres, whose height ``lowest_over_floor`` is."""
    return vertices[np.arange(len(vertices)), _heights(vertices, floor).argmin(-1)]


def _heights(vertices: Float[ndarray, "K V 3"], floor: Float[ndarray, "K 4"]) -> Float[ndarray, "K V"]:
    return (vertices.astype(np.float64) * floor[:, None, :3]).sum(-1) + floor[:, 3:]


def size_in_picture(reconstruction: Reconstruction, person: int) -> float:
    """Size of the projected body over size of the person's landmarks, median over frames; right is 1, NaN unknown.

    Size is the root mean square distance from the mean, over hips, knees, ankles, shoulders, elbows and wrists whose
    landmark is seen (visibility above ``MIN_VISIBILITY``; at least 4 of them). A body that stands too far is too small.
    """
    joints = [joint for joint, _ in JOINT_PAIRS]
    landmarks = [landmark for _, landmark in JOINT_PAIRS]
    projected = to_pixels(reconstruction, to_camera(reconstruction, reconstruction.joints[person][:, joints]))
    seen = reconstruction.landmarks_px[person][:, landmarks].astype(np.float64)
    ratios = []
    for frame in np.flatnonzero(reconstruction.person_valid[person]):
        keep = (seen[frame, :, 2] > MIN_VISIBILITY) & np.isfinite(projected[frame]).all(-1)
        if keep.sum() < 4:
            continue
        ours, theirs = projected[frame][keep], seen[frame][keep, :2]
        ratios.append(np.sqrt(((ours - ours.mean(0)) ** 2).sum() / ((theirs - theirs.mean(0)) ** 2).sum()))
    return float(np.median(ratios)) if ratios else float("nan")


def box_overlap(
    reconstruction: Reconstruction, person: int, frames: Integer[ndarray, "K"], vertices: Float[ndarray, "K V 3"]
) -> Float[ndarray, "K"]:
    """Intersection over union of the tracked box and the box of the projected body, cut at the picture's edges."""
    height, width = reconstruction.images.shape[1:3]
    result = []
    for frame, posed in zip(frames, vertices, strict=True):
        w2c = np.linalg.inv(reconstruction.c2w[frame].astype(np.float64))
        camera = posed @ w2c[:3, :3].T + w2c[:3, 3]
        camera = camera[camera[:, 2] > 1e-3]
        if len(camera) == 0:
            result.append(0.0)
            continue
        projected = camera @ reconstruction.intrinsics[frame].astype(np.float64).T
        pixels = np.clip(projected[:, :2] / projected[:, 2:], 0.0, [width, height])
        tracked = np.clip(reconstruction.boxes_xyxy[person, frame].astype(np.float64), 0.0, [width, height] * 2)
        result.append(overlap(np.concatenate([pixels.min(0), pixels.max(0)]), tracked)[0])
    return np.array(result)


def overlap(one: Float[ndarray, "4"], other: Float[ndarray, "4"]) -> tuple[float, float]:
    """(intersection over union, intersection over the smaller area) of two boxes; 0 where they have no area."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0.0)))
    areas = [float(np.prod(np.maximum(box[2:] - box[:2], 0.0))) for box in (one, other)]
    union, smaller = sum(areas) - shared, min(areas)
    return (shared / union if union > 0 else 0.0, shared / smaller if smaller > 0 else 0.0)


def floor_over_foot_depth(
    reconstruction: Reconstruction, ground: Ground, person: int
) -> tuple[Float[ndarray, "T"], Float[ndarray, "T"]]:
    """Depth of the scene just under the lower foot over the foot's depth, and that depth (metres), per frame.

    Both feet are projected; the lower one in the picture counts. The scene's depth is the median over the scene pixels
    of the strip from 2 to 10 % of the box height below it, ±12 % wide. Level ground there is nearer: the ratio is
    divided by h / (h + 0.06 H) for a camera at height h over the foot (along gravity, the camera's own vertical where
    gravity is unknown) and a person of height H (the box at the foot's depth). Right is then 1; above 1 the ground lies
    behind the foot, the person floats in front of it.

    NaN where the foot is hidden (its landmarks are less than half visible, or another person covers it), cut by the
    picture, or lifted (more than ``LIFTED_M`` over the lowest foot within ``LIFTED_WINDOW_S``), where the person stands
    on something (``checks.ground.read_supports``), whose edge hides the ground, where fewer than ``MIN_STRIP_PIXELS``
    scene pixels are in the strip, and where the camera is not above the foot.
    """
    num_frames = reconstruction.num_frames
    ratio, depth = np.full((2, num_frames), np.nan)
    world = reconstruction.joints[person][:, list(FEET)].astype(np.float64)
    camera = to_camera(reconstruction, world)
    pixels = to_pixels(reconstruction, camera)
    up = np.where(np.isfinite(ground.up), ground.up, -reconstruction.c2w[:, :3, 1])
    height = np.einsum("ti,tki->tk", up, world)
    standing = _standing(height.min(1), reconstruction.timestamps_s, ground.shot)
    lower = np.take_along_axis(world, height.argmin(1)[:, None, None], axis=1)[:, 0]
    support, _ = read_supports(reconstruction, lower, np.arange(num_frames))
    standing &= np.abs(support) <= LIFTED_M
    for frame in np.flatnonzero(reconstruction.person_valid[person] & standing):
        side = int(np.argmax(pixels[frame, :, 1]))
        if _foot_hidden(reconstruction, person, int(frame), side, pixels[frame, side]):
            continue
        strip = _read_strip(reconstruction, person, int(frame), pixels[frame, side])
        box = reconstruction.boxes_xyxy[person, frame].astype(np.float64)
        foot_depth = camera[frame, side, 2]
        person_height = (box[3] - box[1]) * foot_depth / reconstruction.intrinsics[frame, 1, 1]
        camera_height = up[frame] @ reconstruction.c2w[frame, :3, 3].astype(np.float64) - height[frame, side]
        if len(strip) < MIN_STRIP_PIXELS or camera_height <= 0:
            continue
        expected = camera_height / (camera_height + STRIP_MIDDLE * person_height)
        ratio[frame], depth[frame] = np.median(strip) / foot_depth / expected, foot_depth
    return ratio, depth


def band_medians(ratios: Float[ndarray, "N"], depths_m: Float[ndarray, "N"]) -> dict[str, float]:
    """Median ratio where the foot's depth is < 4, 4–6, 6–10 and > 10 m; NaN where nothing was measured."""
    edges = (0.0, *DISTANCE_BANDS_M, np.inf)
    names = ("below_4_m", "4_to_6_m", "6_to_10_m", "above_10_m")
    known = np.isfinite(ratios)
    inside = [known & (depths_m >= low) & (depths_m < high) for low, high in pairwise(edges)]
    return {
        name: float(np.median(ratios[keep])) if keep.any() else float("nan")
        for name, keep in zip(names, inside, strict=True)
    }


def _standing(
    lower_foot_m: Float[ndarray, "T"], times_s: Float[ndarray, "T"], shot: Integer[ndarray, "T"]
) -> Bool[ndarray, "T"]:
    """Frames in which the lower foot is at most ``LIFTED_M`` over the lowest that it is within ``LIFTED_WINDOW_S``."""
    result = np.zeros(len(times_s), bool)
    for frame in np.flatnonzero(np.isfinite(lower_foot_m)):
        near = (shot == shot[frame]) & (np.abs(times_s - times_s[frame]) <= LIFTED_WINDOW_S)
        result[frame] = lower_foot_m[frame] - np.nanmin(lower_foot_m[near]) <= LIFTED_M
    return result


def _foot_hidden(
    reconstruction: Reconstruction, person: int, frame: int, side: int, foot_px: Float[ndarray, "2"]
) -> bool:
    height, width = reconstruction.images.shape[1:3]
    bottom = float(reconstruction.boxes_xyxy[person, frame, 3])
    if not (0 <= foot_px[0] < width and 0 <= foot_px[1] < height) or bottom > height - BORDER_PX:
        return True
    visibility = reconstruction.landmarks_px[person, frame, list(FOOT_LANDMARKS[side]), 2]
    if np.isfinite(visibility).any() and float(np.nanmean(visibility)) < 0.5:
        return True
    owner = int(reconstruction.person_masks[frame, int(foot_px[1]), int(foot_px[0])])
    return owner not in (-1, person)


def _read_strip(
    reconstruction: Reconstruction, person: int, frame: int, foot_px: Float[ndarray, "2"]
) -> Float[ndarray, "N"]:
    """Depths of the scene pixels whose centres lie in the strip below the foot."""
    box = reconstruction.boxes_xyxy[person, frame].astype(np.float64)
    tall = box[3] - box[1]
    height, width = reconstruction.depth.shape[1:]
    rows = _centres_between(foot_px[1] + FOOT_STRIP[0] * tall, foot_px[1] + FOOT_STRIP[1] * tall, height)
    columns = _centres_between(foot_px[0] - STRIP_HALF_WIDTH * tall, foot_px[0] + STRIP_HALF_WIDTH * tall, width)
    depth = reconstruction.depth[frame, rows, columns]
    keep = (reconstruction.person_masks[frame, rows, columns] < 0) & (depth > 0)
    return depth[keep].astype(np.float64)


def _centres_between(low: float, high: float, size: int) -> slice:
    """Pixels whose centre (index + 0.5) lies in [low, high)."""
    start, stop = np.clip(np.ceil([low - 0.5, high - 0.5]).astype(int), 0, size)
    return slice(int(start), int(stop))
