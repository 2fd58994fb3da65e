"""Measures of a reconstruction in the world that need no ground truth: per person and per shot, for reports and tables.

The overlay cannot see them. All are pure functions of a ``Reconstruction`` and its body; the exact definitions stand at
the functions of ``unish.reconstruction.checks`` that are named here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from numpy import ndarray

from unish.body import Body
from unish.reconstruction.checks.ground import Ground, GroundAgreement, measure_ground, read_ground, read_supports
from unish.reconstruction.checks.people import (
    band_medians,
    box_overlap,
    find_runs,
    floor_over_foot_depth,
    lowest_over_floor,
    lowest_points,
    max_speed,
    measure_distances,
    ray_jitter,
    size_in_picture,
)
from unish.reconstruction.checks.pictures import PictureMeasures, measure_pictures
from unish.reconstruction.checks.scene import (
    DepthJump,
    Stillness,
    camera_extent,
    field_of_view,
    find_depth_jump,
    measure_stillness,
    overhang_share,
    static_disagreement,
    zoom_factor,
)
from unish.reconstruction.checks.views import likeness, lower_body_frames, trunk_down
from unish.reconstruction.report import measure_reprojection
from unish.structs import Reconstruction

MAX_POSED_FRAMES = 24
"""Bodies are posed in at most this many frames per person, evenly spread, to find their lowest point and their box."""


@dataclass(frozen=True, kw_only=True)
class PersonMeasures:
    """One person over all frames in which they are valid. NaN where nothing could be measured.

    Attributes:
        person_id: as in ``person_ids``.
        frames: number of valid frames.
        stature_m: standing height of the body.
        ray_jitter_cm: ``checks.people.ray_jitter``: 3 is usual, 20 is a body that jumps.
        max_speed_m_s: ``checks.people.max_speed`` of the pelvis in the world.
        foot_to_floor_cm: median over frames of the height of the body's lowest point over the floor, or over what feet
            were found to stand on there (``checks.ground.read_supports``); above is positive.
        support_cm: median over frames of the height of what was found under that point, over the floor; 0 is the floor.
        support_confirmed: whether points of the scene show it in most of them.
        foot_to_floor_spread_cm: half the distance between the 10th and the 90th percentile of the same.
        distance_m: 5th, 50th and 95th percentile of the distance from the camera to the pelvis.
        floor_over_foot_depth: median of ``checks.people.floor_over_foot_depth``; right is 1.
        floor_over_foot_bands: the same where the foot is < 4, 4–6, 6–10 and > 10 m deep.
        floor_over_foot_values, foot_depths_m: (N,) what these medians are of, one per frame that measures.
        size_in_picture: ``checks.people.size_in_picture``; right is 1.
        box_overlap: median of ``checks.people.box_overlap``; about 0.8 is usual.
        reprojection_percent: ``report.measure_reprojection``.
        lower_body_frames: ``checks.views.lower_body_frames``.
        likeness: ``checks.views.likeness``.
        scene_ratio: median of body depth over scene depth at the person before its points were corrected (recorded in
            ``depth_correction``); 1 where body and scene agree by themselves.
    """

    person_id: int
    frames: int
    stature_m: float
    ray_jitter_cm: float
    max_speed_m_s: float
    foot_to_floor_cm: float
    foot_to_floor_spread_cm: float
    support_cm: float
    support_confirmed: bool
    distance_m: tuple[float, float, float]
    floor_over_foot_depth: float
    floor_over_foot_bands: dict[str, float]
    floor_over_foot_values: Float[ndarray, "N"]
    foot_depths_m: Float[ndarray, "N"]
    size_in_picture: float
    box_overlap: float
    reprojection_percent: float
    scene_ratio: float
    lower_body_frames: int
    likeness: float


@dataclass(frozen=True, kw_only=True)
class ShotMeasures:
    """One shot. NaN where nothing could be measured.

    Attributes:
        shot: number, from 0.
        frames: its frames, indices of used frames.
        field_of_view_deg: across the long side of the picture, median over the frames.
        zoom: focal length in the last frame over that in the first.
        camera_extent_m: diagonal of the box around the camera's path.
        static_disagreement_percent: ``checks.scene.static_disagreement``.
        depth_jump: the largest one between neighbouring frames, ``checks.scene.find_depth_jump``.
        stillness: what the pictures say of the camera, ``checks.scene.measure_stillness``.
        overhang_share: ``checks.scene.overhang_share``.
        ground: how floor, scene and people agree, ``checks.ground.measure_ground``.
        gravity_known, floor_known: whether the file has them.
        pictures: what the pictures are like, ``checks.pictures.measure_pictures``.
        trunk_down: ``checks.views.trunk_down``: 1 when people are upside down in the picture.
    """

    shot: int
    frames: Integer[ndarray, "K"]
    field_of_view_deg: float
    camera_extent_m: float
    static_disagreement_percent: float
    depth_jump: DepthJump
    stillness: Stillness
    overhang_share: float
    ground: GroundAgreement
    gravity_known: bool
    floor_known: bool
    pictures: PictureMeasures
    trunk_down: float
    zoom: float = 1.0


def measure_people(reconstruction: Reconstruction, body: Body) -> list[PersonMeasures]:
    """``PersonMeasures`` of everybody, in the order of ``person_ids``."""
    ground = read_ground(reconstruction)
    distances = measure_distances(reconstruction)
    reprojection = measure_reprojection(reconstruction)
    statures = body.standing_height(torch.from_numpy(reconstruction.betas)).tolist()
    return [
        _measure_person(
            reconstruction, body, ground, person, distances[person], float(statures[person]), reprojection[person_id]
        )
        for person, person_id in enumerate(reconstruction.person_ids.tolist())
    ]


def measure_shots(reconstruction: Reconstruction, body: Body, still: Sequence[bool] = ()) -> list[ShotMeasures]:
    """``ShotMeasures`` of every shot, in order.

    Args:
        still: of each shot, whether its pictures are known to agree wherever no people are; none where nobody looked.
    """
    ground = read_ground(reconstruction)
    rest = body.rest_joints(torch.from_numpy(reconstruction.betas)).numpy()
    found = []
    for shot in range(int(ground.shot.max()) + 1):
        frames = np.flatnonzero(ground.shot == shot)
        found.append(
            ShotMeasures(
                shot=shot,
                frames=frames,
                field_of_view_deg=field_of_view(reconstruction, frames),
                camera_extent_m=camera_extent(reconstruction, frames),
                static_disagreement_percent=static_disagreement(reconstruction, frames),
                depth_jump=find_depth_jump(reconstruction, frames),
                stillness=measure_stillness(reconstruction, frames),
                overhang_share=overhang_share(reconstruction, frames),
                ground=measure_ground(reconstruction, ground, rest, frames),
                gravity_known=bool(np.isfinite(ground.up[frames[0]]).all()),
                floor_known=bool(np.isfinite(ground.floor[frames[0]]).all()),
                pictures=measure_pictures(reconstruction, frames, still=any(still[shot : shot + 1])),
                trunk_down=trunk_down(reconstruction, frames),
                zoom=zoom_factor(reconstruction, frames),
            )
        )
    return found


def pose_some(
    reconstruction: Reconstruction, body: Body, person: int
) -> tuple[Integer[ndarray, "K"], Float[ndarray, "K V 3"]]:
    """Up to ``MAX_POSED_FRAMES`` valid frames of a person, evenly spread, and their vertices in the world."""
    frames = np.flatnonzero(reconstruction.person_valid[person])
    few = min(len(frames), MAX_POSED_FRAMES)
    frames = frames[np.linspace(0, len(frames) - 1, few).round().astype(int)]
    return frames, body.vertices_from_axis_angle(
        np.repeat(reconstruction.betas[person][None], len(frames), 0),
        reconstruction.global_orient_aa[person, frames],
        reconstruction.body_pose_aa[person, frames],
        reconstruction.transl[person, frames],
    )


def _measure_person(
    reconstruction: Reconstruction,
    body: Body,
    ground: Ground,
    person: int,
    distances: Float[ndarray, "T"],
    stature: float,
    reprojection: float,
) -> PersonMeasures:
    valid = reconstruction.person_valid[person]
    runs = find_runs(valid, ground.shot, reconstruction.timestamps_s)
    frames, vertices = pose_some(reconstruction, body, person)
    floor = ground.floor[frames]
    support, confirmed = read_supports(reconstruction, lowest_points(vertices, floor), frames)
    low = 100 * (lowest_over_floor(vertices, floor) - support)
    ratio, depth = floor_over_foot_depth(reconstruction, ground, person)
    measured = np.isfinite(ratio)
    p10, p50, p90 = _percentiles(low, 10, 50, 90)
    p5, middle, p95 = _percentiles(distances[valid], 5, 50, 95)
    return PersonMeasures(
        person_id=int(reconstruction.person_ids[person]),
        frames=int(valid.sum()),
        stature_m=stature,
        ray_jitter_cm=ray_jitter(distances, runs),
        max_speed_m_s=max_speed(reconstruction.joints[person, :, 0], reconstruction.timestamps_s, runs),
        foot_to_floor_cm=p50,
        foot_to_floor_spread_cm=(p90 - p10) / 2,
        support_cm=_percentiles(100 * support, 50)[0],
        support_confirmed=bool(confirmed.mean() >= 0.5) if len(confirmed) else True,
        distance_m=(p5, middle, p95),
        floor_over_foot_depth=_percentiles(ratio, 50)[0],
        floor_over_foot_bands=band_medians(ratio[measured], depth[measured]),
        floor_over_foot_values=ratio[measured],
        foot_depths_m=depth[measured],
        size_in_picture=size_in_picture(reconstruction, person),
        box_overlap=_percentiles(box_overlap(reconstruction, person, frames, vertices), 50)[0],
        reprojection_percent=reprojection,
        scene_ratio=_percentiles(_recorded_ratio(reconstruction, person), 50)[0],
        lower_body_frames=lower_body_frames(reconstruction, person),
        likeness=likeness(reconstruction, person),
    )


def _recorded_ratio(reconstruction: Reconstruction, person: int) -> Float[ndarray, "T"]:
    table = reconstruction.extra.get("depth_correction")
    return np.full(1, np.nan) if table is None else table[person, :, 0].astype(np.float64)


def _percentiles(values: Float[ndarray, "N"], *which: float) -> tuple[float, ...]:
    """Percentiles of the finite values; NaN when there are none."""
    known = values[np.isfinite(values)]
    return tuple(np.percentile(known, which).tolist()) if len(known) else (float("nan"),) * len(which)
