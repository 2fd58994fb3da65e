"""Prediction → Reconstruction: metres, one world per video, people where they stand."""

from unish.reconstruction.anchor import shrink_shapes
from unish.reconstruction.assemble import assemble
from unish.reconstruction.between import fill_between
from unish.reconstruction.camera import decide_camera, intrinsics_at, know_camera
from unish.reconstruction.fallbacks import describe_fallbacks
from unish.reconstruction.ground import Ground, estimate_ground
from unish.reconstruction.known_size import resize_to_cameras
from unish.reconstruction.no_scene import find_padding, leave_out
from unish.reconstruction.report import describe_grounds, describe_people, measure_quality
from unish.reconstruction.settling import settle_on_feet, touch_ground
from unish.reconstruction.shot import (
    ComparedShot,
    MetricShot,
    ShotEvidence,
    compare_shot,
    measure_certainty,
    measure_shot,
    move_into_world,
)
from unish.reconstruction.stillness import camera_stood_still
from unish.reconstruction.stitch import Shot, choose_owner, stitch_windows
from unish.reconstruction.verdicts import judge, read_facts
from unish.reconstruction.window import Link, Window, describe_window, plan_windows

__all__ = [
    "ComparedShot",
    "Ground",
    "Link",
    "MetricShot",
    "Shot",
    "ShotEvidence",
    "Window",
    "assemble",
    "camera_stood_still",
    "choose_owner",
    "compare_shot",
    "decide_camera",
    "describe_fallbacks",
    "describe_grounds",
    "describe_people",
    "describe_window",
    "estimate_ground",
    "fill_between",
    "find_padding",
    "intrinsics_at",
    "judge",
    "know_camera",
    "leave_out",
    "measure_certainty",
    "measure_quality",
    "measure_shot",
    "move_into_world",
    "plan_windows",
    "read_facts",
    "resize_to_cameras",
    "settle_on_feet",
    "shrink_shapes",
    "stitch_windows",
    "touch_ground",
]
