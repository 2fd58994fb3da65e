"""Prediction → Reconstruction: metres, one world per video, people where they stand."""

from unish.reconstruct.assemble import assemble
from unish.reconstruct.report import describe_people, measure_quality
from unish.reconstruct.shot import MetricShot, ShotEvidence, measure_shot
from unish.reconstruct.stitch import Shot, plan_windows, stitch_windows

__all__ = [
    "MetricShot",
    "Shot",
    "ShotEvidence",
    "assemble",
    "describe_people",
    "measure_quality",
    "measure_shot",
    "plan_windows",
    "stitch_windows",
]
