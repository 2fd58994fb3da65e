"""Prediction → Reconstruction: metres, one world per video, people where they stand."""

from unish.reconstruction.anchor import shrink_shapes
from unish.reconstruction.assemble import assemble
from unish.reconstruction.between import CamerasBetween, fill_between, interpolate_cameras, interpolate_intrinsics
from unish.reconstruction.camera import decide_camera, intrinsics_at, know_camera, know_lens
from unish.reconstruction.constraints import ShotConstraints, apply_floor
from unish.reconstruction.contacts import REGIONS
from unish.reconstruction.fallbacks import describe_fallbacks
from unish.reconstruction.gaps import fill_gaps
from unish.reconstruction.ground import Ground, estimate_ground
from unish.reconstruction.height_map import HeightMap
from unish.reconstruction.known_distances import measure_span, resize_world, spread_factors
from unish.reconstruction.known_size import resize_to_cameras
from unish.reconstruction.loop_closure import close_loop
from unish.reconstruction.loops import Loop
from unish.reconstruction.motion import settle_motion
from unish.reconstruction.no_scene import find_padding, leave_out
from unish.reconstruction.person_points import make_person_points
from unish.reconstruction.report import describe_grounds, describe_people, measure_quality
from unish.reconstruction.settling import SettledShots, find_ground, settle_on_feet, touch_ground
from unish.reconstruction.shot import (
    ComparedShot,
    MetricShot,
    ShotEvidence,
    compare_shot,
    measure_certainty,
    measure_shot,
    move_into_world,
)
from unish.reconstruction.size import describe_sizes, describe_statures, measure_scale_interval
from unish.reconstruction.stillness import camera_stood_still
from unish.reconstruction.stitch import Shot, choose_owner, choose_shift_frames, gather_zoom, stitch_windows
from unish.reconstruction.terrain import Terrain, survey_terrain
from unish.reconstruction.verdicts import judge, read_facts
from unish.reconstruction.window import Link, Window, describe_window, first_zoom, plan_windows

__all__ = [
    "REGIONS",
    "CamerasBetween",
    "ComparedShot",
    "Ground",
    "HeightMap",
    "Link",
    "Loop",
    "MetricShot",
    "SettledShots",
    "Shot",
    "ShotConstraints",
    "ShotEvidence",
    "Terrain",
    "Window",
    "apply_floor",
    "assemble",
    "camera_stood_still",
    "choose_owner",
    "choose_shift_frames",
    "close_loop",
    "compare_shot",
    "decide_camera",
    "describe_fallbacks",
    "describe_grounds",
    "describe_people",
    "describe_sizes",
    "describe_statures",
    "describe_window",
    "estimate_ground",
    "fill_between",
    "fill_gaps",
    "find_ground",
    "find_padding",
    "first_zoom",
    "gather_zoom",
    "interpolate_cameras",
    "interpolate_intrinsics",
    "intrinsics_at",
    "judge",
    "know_camera",
    "know_lens",
    "leave_out",
    "make_person_points",
    "measure_certainty",
    "measure_quality",
    "measure_scale_interval",
    "measure_shot",
    "measure_span",
    "move_into_world",
    "plan_windows",
    "read_facts",
    "resize_to_cameras",
    "resize_world",
    "settle_motion",
    "settle_on_feet",
    "shrink_shapes",
    "spread_factors",
    "stitch_windows",
    "survey_terrain",
    "touch_ground",
]
