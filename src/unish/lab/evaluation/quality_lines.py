"""The lines of the dashboard: which numbers it shows, and which of them decide."""

from __future__ import annotations

from dataclasses import dataclass

from unish.lab.evaluation.benchmarks.clips import TRAINING
from unish.lab.evaluation.benchmarks.labelled import KNOWN_CAMERA, LABELLED, Fold

CLIPS = "clips"
PEOPLE_COUNT = "people"
RENDERED = ("pi3_room",)
"""Places that are no photographs: they have lines of their own and no part in the median of a fold."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One number of the dashboard.

    Attributes:
        name: ``part/column`` of the summary of ``labelled``; ``A/column`` or ``B/column``, the median of a column over
            the places of a fold, ``A/column_k`` of the parts whose method is told the camera; or ``clips/column``.
        beside: the column of the same part that stands beside it: what needs no network, or what cannot be beaten.
        higher_is_better: otherwise lower is.
        right: the value that is right where neither lower nor higher is better.
        resolution: what differs by less than this is hardly different: relative changes are of this value, or of the
            old one where that is larger.
        decides: whether ``is_better`` looks at it.
    """

    name: str
    beside: str | None = None
    higher_is_better: bool = False
    right: float | None = None
    resolution: float = 0.0
    decides: bool = False

    @property
    def part(self) -> str:
        return self.name.split("/")[0]

    @property
    def column(self) -> str:
        return self.name.split("/")[1]

    @property
    def fold(self) -> Fold | None:
        """``None`` for the clips, which are in no fold."""
        if self.part == "A" or self.part == "B":
            return self.part  # type: ignore[return-value]  # narrowed to str by mypy
        return next((part.fold for part in LABELLED.parts if part.name == self.part), None)

    def badness(self, value: float) -> float:
        """Larger is worse."""
        if self.right is not None:
            return abs(value - self.right)
        return -value if self.higher_is_better else value


@dataclass(frozen=True, kw_only=True)
class _PlaceColumn:
    name: str
    beside: str | None = None
    higher_is_better: bool = False
    resolution: float = 0.0
    decides: bool = True
    without_camera_only: bool = False


_PLACE_COLUMNS = (
    _PlaceColumn(name="depth_abs_rel", beside="row_prior_abs_rel", resolution=0.005),
    _PlaceColumn(name="depth_abs_rel_metric", beside="row_prior_abs_rel_metric", resolution=0.005),
    _PlaceColumn(name="depth_delta", beside="row_prior_delta", higher_is_better=True, decides=False),
    _PlaceColumn(name="camera_turn_error_deg", beside="identity_turn_error_deg", resolution=0.3),
    _PlaceColumn(name="direction_error_deg", resolution=1.0, decides=False),
    _PlaceColumn(name="pair_camera_turn_error_deg", beside="pair_identity_turn_error_deg", resolution=0.3),
    _PlaceColumn(name="pair_direction_error_deg", resolution=1.0, decides=False),
    _PlaceColumn(name="fov_error_deg", resolution=0.5, without_camera_only=True),
)


def _make_place_lines(fold: Fold) -> list[Line]:
    """Of every column once without and once with the known camera."""
    return [
        Line(
            name=f"{fold}/{column.name}{camera}",
            beside=None if column.beside is None else f"{column.beside}{camera}",
            higher_is_better=column.higher_is_better,
            resolution=column.resolution,
            decides=column.decides and fold == "A",
        )
        for column in _PLACE_COLUMNS
        for camera in ("", KNOWN_CAMERA)
        if not (camera and column.without_camera_only)
    ]


_BODY = ("mpjpe_mm", "pa_mpjpe_mm", "pelvis_distance_error_percent")
_BY_LASER = ("distance_error_percent", "stature_error_cm")
_ORDER = ("distance_order_share", "stature_order_share")
_BESIDE = {("h36m", "pa_mpjpe_mm"): "rest_pose_pa_mpjpe_mm"} | {
    (part, "joint_error_percent"): "landmark_error_percent" for part in ("coco", "crowdpose")
}


def _make_people_lines(part: str, *columns: str, decides: bool = False) -> list[Line]:
    return [
        Line(
            name=f"{part}/{column}",
            beside=_BESIDE.get((part, column)),
            higher_is_better=column.endswith("_share"),
            resolution=1.0 if column.endswith("_percent") else 0.0,
            decides=decides,
        )
        for column in columns
    ]


def _make_still_lines(*parts: str) -> list[Line]:
    """How far cameras went that stood still: 0 is right, and what is below a centimetre and a tenth of a degree is."""
    return [
        Line(name=f"{part}/{column}", resolution=resolution, decides=True)
        for column, resolution in (("camera_extent_m", 0.01), ("camera_turn_deg", 0.1))
        for part in parts
    ]


@dataclass(frozen=True, kw_only=True)
class _ClipColumn:
    name: str
    beside: str | None = None
    higher_is_better: bool = False
    right: float | None = None
    resolution: float = 0.0
    decides: bool = False


_CLIP_COLUMNS = (
    _ClipColumn(name="reprojection_percent", decides=True),
    _ClipColumn(name="body_to_points_before_cm", beside="body_to_points_cm", decides=True),
    _ClipColumn(name="foot_sliding_cm_s", decides=True),
    _ClipColumn(name="foot_to_floor_cm", resolution=1.0),
    _ClipColumn(name="floor_over_foot_error_percent", resolution=1.0, decides=True),
    *(
        _ClipColumn(name=f"floor_over_foot_ratio_{band}", right=1.0, resolution=0.01)
        for band in ("below_4_m", "4_to_6_m", "6_to_10_m", "above_10_m")
    ),
    _ClipColumn(name="static_disagreement_percent", resolution=0.2, decides=True),
    _ClipColumn(name="ray_jitter_cm", resolution=0.2, decides=True),
    _ClipColumn(name="max_speed_m_s"),
    _ClipColumn(name="static_camera_extent_m", resolution=0.01, decides=True),
    _ClipColumn(name="jitter"),
    _ClipColumn(name=PEOPLE_COUNT, higher_is_better=True),
    _ClipColumn(name="people_in_range_share", higher_is_better=True),
    *(
        _ClipColumn(name=f"{what}_{verdict}_share", higher_is_better=verdict == "good")
        for what in ("people", "shots")
        for verdict in ("good", "doubtful", "bad")
    ),
)


def _make_clip_lines() -> list[Line]:
    """Over the clips that only measure, then over those that may train, which never decide."""
    return [
        Line(
            name=f"{CLIPS}/{group}{column.name}",
            beside=None if column.beside is None else f"{group}{column.beside}",
            higher_is_better=column.higher_is_better,
            right=column.right,
            resolution=column.resolution,
            decides=column.decides and not group,
        )
        for group in ("", TRAINING)
        for column in _CLIP_COLUMNS
    ]


# What decides, and what never does:
# - Fold B never decides. A choice that was made on a number makes it say nothing about the next place: one kitchen had
#   an AbsRel of .171 in the half that was looked at and of .238 in the other half. So choices are made on fold A, and
#   what fold B says stands beside it, looked at once the choice is made.
# - Of fold A: all its places together, not single places (a handful of pictures each, of which a few percent mean
#   nothing), and its people. Not rendered pictures, not single pictures, not directions (pairs that are far apart are
#   guessed as well by chance, and means of angles near 90° move by themselves), not the order of heights of people who
#   are cut off before an unknown camera, and not shares of people found, which are the detector's alone.
# - Of the clips: what a worse result does not lower. Jitter falls when a result is merely smooth, distances from a
#   floor depend on a floor that the feet told; the largest speed is one frame's. Verdicts and numbers of people say
#   whether a result is honest and whom the detector found. Not the three clips that weights may be trained on.
LINES: tuple[Line, ...] = (
    *_make_place_lines("A"),
    *_make_place_lines("B"),
    Line(name="pi3_room/depth_abs_rel", beside="constant_abs_rel"),
    Line(name="pi3_room/camera_ate_m", beside="static_ate_m"),
    *_make_still_lines("repeated", "repeated_k", "pose2sim", "pose2sim_k", "caliscope", "caliscope_k"),
    *_make_people_lines("pose2sim_k", *_BODY, decides=True),
    *_make_people_lines("pose2sim", "pelvis_distance_error_percent", decides=True),
    *_make_people_lines("panoptic_4500", *_BODY, decides=True),
    *_make_people_lines("panoptic_4500", "people_found_share"),
    *_make_people_lines("kitti_pedestrian", *_BY_LASER),
    *_make_people_lines("kitti_pedestrian_k", *_BY_LASER),
    *_make_people_lines("caliscope_k", "hand_distance_error_percent"),
    *_make_people_lines("heights_0_2", *_BY_LASER, *_ORDER),
    *_make_people_lines("panoptic_9348", *_BODY, "people_found_share"),
    *_make_people_lines("h36m", *_BODY),
    *_make_people_lines("kinect_outdoor", "distance_error_percent", "people_found_share"),
    *_make_people_lines("kinect_outdoor_k", "distance_error_percent"),
    *_make_people_lines("heights_4_6", *_BY_LASER, *_ORDER),
    *_make_people_lines("coco", "joint_error_percent", "people_found_share"),
    *_make_people_lines("crowdpose", "joint_error_percent"),
    *_make_people_lines("davis_masks", "mask_inside_share"),
    *_make_clip_lines(),
)
