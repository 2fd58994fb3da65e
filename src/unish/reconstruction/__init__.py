"""Prediction → Reconstruction: metres, one world per video, people where they stand."""

from unish.reconstruction.anchor import settle_shapes
from unish.reconstruction.assemble import assemble
from unish.reconstruction.report import describe_people, measure_quality
from unish.reconstruction.shot import MetricShot, ShotEvidence, measure_certainty, measure_shot, solve_cameras
from unish.reconstruction.stitch import Shot, plan_windows, stitch_windows

__all__ = [
    "MetricShot",
    "Shot",
    "ShotEvidence",
    "assemble",
    "describe_people",
    "measure_certainty",
    "measure_quality",
    "measure_shot",
    "plan_windows",
    "settle_shapes",
    "solve_cameras",
    "stitch_windows",
]
