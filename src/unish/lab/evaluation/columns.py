"""What a column of scores is called in a table, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unish.lab.evaluation.results import format_cell

Better = Literal["lower", "higher", "one", "neither"]

_SHORT = {
    "wa_mpjpe_mm": "WA-MPJPE (mm)",
    "w_mpjpe_mm": "W-MPJPE (mm)",
    "mpjpe_mm": "MPJPE (mm)",
    "pa_mpjpe_mm": "PA-MPJPE (mm)",
    "pve_mm": "PVE (mm)",
    "root_trajectory_percent": "RTE (%)",
    "accel_m_s2": "Accel (m/s²)",
    "depth_abs_rel": "AbsRel",
    "depth_delta": "δ<1.25",
    "depth_abs_rel_metric": "AbsRel, metric",
    "depth_delta_metric": "δ<1.25, metric",
    "depth_abs_rel_scale_shift": "AbsRel, scale and shift",
    "depth_delta_scale_shift": "δ<1.25, scale and shift",
    "camera_ate_m": "ATE (m)",
    "camera_rigid_error_m": "rigid camera error (m)",
    "floor_over_foot_ratio_below_4_m": "floor ÷ foot depth, < 4 m",
    "floor_over_foot_ratio_4_to_6_m": "floor ÷ foot depth, 4–6 m",
    "floor_over_foot_ratio_6_to_10_m": "floor ÷ foot depth, 6–10 m",
    "floor_over_foot_ratio_above_10_m": "floor ÷ foot depth, > 10 m",
}
_UNITS = {
    "mm": "mm", "cm": "cm", "m": "m", "px": "px", "s": "s", "deg": "°", "percent": "%", "10m_s3": "10 m/s³",
    "m_s2": "m/s²", "m_s": "m/s", "cm_s": "cm/s",
}  # fmt: skip
_HIGHER = ("delta", "matched", "share", "consistency", "recall", "below", "iou", "found")
_ONE = ("ratio",)
_NEITHER = {
    "frames", "people", "seconds", "valid_pixels", "failed", "heights_m", "camera_extent_m", "seen_share",
    "camera_turn_identity_deg", "identity_turn_error_deg", "row_prior_abs_rel", "row_prior_delta", "not_measured",
    "people_annotated", "pelvis_distance_bias_percent", "rest_pose_pa_mpjpe_mm", "static_ate_m",
    "pair_identity_turn_error_deg", "distance_bias_percent", "foot_over_floor_cm", "person", "distance_m",
    "true_distance_m", "stature_cm", "true_stature_cm", "people_doubtful_share", "shots_doubtful_share",
    "people_bad_share", "shots_bad_share",
}  # fmt: skip


_ROUNDING = 1e-7
"""Nothing is measured to this; what is smaller is the rounding of a computation."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column as a reader sees it."""

    name: str
    label: str
    better: Better

    def write(self, value: float) -> str:
        """With as many digits as published tables have: one decimal of mm and %, three of depth scores."""
        words = self.name.rpartition("/")[2].split("_")
        if words[-1] in ("mm", "percent"):
            return f"{value:.1f}"
        if words[0] == "depth":
            return f"{value:.3f}"
        return "0" if abs(value) < _ROUNDING else format_cell(float(value))

    @property
    def heading(self) -> str:
        """The label with an arrow to where better is."""
        return self.label + {"lower": " ↓", "higher": " ↑", "one": " → 1", "neither": ""}[self.better]


def describe_column(name: str) -> Column:
    """Label and direction of a column from its name, which ends in its unit; unknown ones are errors: lower is better.

    Names may begin with ``part/``, as in benchmarks of several parts.
    """
    short = name.rpartition("/")[2]
    words = set(short.split("_"))
    if short in _NEITHER:
        better: Better = "neither"
    elif words & set(_ONE):
        better = "one"
    else:
        better = "higher" if words & set(_HIGHER) or short.endswith(_HIGHER) else "lower"
    return Column(name=name, label=_SHORT.get(short) or _spell(short), better=better)


def _spell(name: str) -> str:
    """``camera_turn_error_deg`` → ``camera turn error (°)``."""
    for ending in sorted(_UNITS, key=len, reverse=True):
        if name.endswith(f"_{ending}"):
            return f"{name.removesuffix(f'_{ending}').replace('_', ' ')} ({_UNITS[ending]})"
    return name.replace("_", " ")
