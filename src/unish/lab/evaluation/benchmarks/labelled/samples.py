"""Which samples there are, where they lie, and which fold they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unish.lab.evaluation.benchmarks.labelled.benchmark import Fold, LabelledBenchmark, Part
from unish.lab.evaluation.benchmarks.labelled.dome import DomeBenchmark
from unish.lab.evaluation.benchmarks.labelled.driving import DrivingBenchmark
from unish.lab.evaluation.benchmarks.labelled.fixed_views import FixedViewsBenchmark
from unish.lab.evaluation.benchmarks.labelled.heights import HeightsBenchmark
from unish.lab.evaluation.benchmarks.labelled.human36m import Human36mBenchmark
from unish.lab.evaluation.benchmarks.labelled.keypoints import KeypointsBenchmark
from unish.lab.evaluation.benchmarks.labelled.masks import MasksBenchmark
from unish.lab.evaluation.benchmarks.labelled.measured_people import MeasuredPeopleBenchmark
from unish.lab.evaluation.benchmarks.labelled.pairs import PairsBenchmark
from unish.lab.evaluation.benchmarks.labelled.places import PlaceBenchmark
from unish.lab.evaluation.benchmarks.labelled.repeated import RepeatedBenchmark
from unish.lab.evaluation.benchmarks.labelled.room import RoomBenchmark
from unish.lab.evaluation.benchmarks.labelled.street import StreetBenchmark
from unish.lab.evaluation.benchmarks.pose2sim import Pose2SimBenchmark
from unish.lab.evaluation.benchmarks.rgbd import SEVEN_SCENES, SEVEN_SCENES_FAR, SLAMBOOK2, RgbdBenchmark

KNOWN_CAMERA = "_k"
"""Ends the name of a part whose method is told the true camera."""

_Open = (
    RgbdBenchmark | RoomBenchmark | PairsBenchmark | DrivingBenchmark | PlaceBenchmark | RepeatedBenchmark
    | StreetBenchmark | FixedViewsBenchmark | Pose2SimBenchmark
)  # fmt: skip

_NOMINAL_KINECT = (353.0, 353.0, 320.0, 180.0)
"""Kinect v2 colour at 640×360: about 1060 px at 1920. The calibration that its authors ship would make the men 2 m."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    folder: str
    fold: Fold
    is_metric: bool = True


# The folds are fixed: a number that a choice was made on says nothing about the next place. tum_fr1_rpy and
# tum_fr1_xyz10 are one office and are in one fold. fox_colmap has no metres.
_PLACES = (
    _Place(folder="tum_fr1_xyz10", fold="A"),
    _Place(folder="tum_fr1_rpy", fold="A"),
    _Place(folder="tsdf_box", fold="A"),
    _Place(folder="strecha_fountain_p11", fold="A"),
    _Place(folder="felix_home", fold="A"),
    _Place(folder="kitti_000008", fold="A"),
    _Place(folder="fox_colmap", fold="A", is_metric=False),
    _Place(folder="nyu_cafe", fold="B"),
    _Place(folder="nvblox_lounge", fold="B"),
    _Place(folder="strecha_herz_jesus_p8", fold="B"),
    _Place(folder="nyu_basement", fold="B"),
    _Place(folder="dgp_scene_01", fold="B"),
)
_REPEATED = ("tum_fr1_xyz10", "tsdf_box", "strecha_fountain_p11", "felix_home", "kitti_000008", "fox_colmap")
"""Places of fold A: of one shape each, wide, and upright."""


def _with_and_without_camera(name: str, folder: str, fold: Fold, benchmark: _Open) -> tuple[Part, Part]:
    return (
        Part(name=name, folder=folder, fold=fold, benchmark=replace(benchmark, give_camera=False)),
        Part(name=f"{name}{KNOWN_CAMERA}", folder=folder, fold=fold, benchmark=replace(benchmark, give_camera=True)),
    )


LABELLED = LabelledBenchmark(
    parts=(
        *_with_and_without_camera("7scenes", "7scenes_redkitchen", "A", SEVEN_SCENES),
        # The sample holds every 8th frame of its recording: every third file is every 24th frame.
        *_with_and_without_camera("7scenes_far", "7scenes_redkitchen", "A", SEVEN_SCENES_FAR),
        *_with_and_without_camera("pi3_room", "pi3_room", "A", RoomBenchmark()),
        *_with_and_without_camera("slambook2", "slambook2_rgbd", "B", SLAMBOOK2),
        *_with_and_without_camera("scannet_pairs", "scannet_pairs", "B", PairsBenchmark()),
        *_with_and_without_camera("kitti", "kitti_demo", "B", DrivingBenchmark()),
        *(
            part
            for place in _PLACES
            for part in _with_and_without_camera(
                place.folder, f"places/{place.folder}", place.fold, PlaceBenchmark(is_metric=place.is_metric)
            )
        ),
        *_with_and_without_camera("repeated", "places", "A", RepeatedBenchmark(places=_REPEATED)),
        *_with_and_without_camera("pose2sim", "pose2sim_single", "A", Pose2SimBenchmark()),
        *_with_and_without_camera("caliscope", "people/caliscope", "A", FixedViewsBenchmark()),
        *_with_and_without_camera("kitti_pedestrian", "people/kitti_pedestrian", "A", StreetBenchmark()),
        Part(name="panoptic_4500", folder="people/panoptic", fold="A", benchmark=DomeBenchmark(moment="00004500")),
        Part(name="panoptic_9348", folder="people/panoptic", fold="B", benchmark=DomeBenchmark(moment="00009348")),
        # Persons 1 and 8 are left out: stated heights that the authors' own stereo contradicts by 11 cm.
        Part(name="heights_0_2", folder="people/heights", fold="A", benchmark=HeightsBenchmark(people=(0, 2))),
        Part(name="heights_4_6", folder="people/heights", fold="B", benchmark=HeightsBenchmark(people=(4, 6))),
        Part(
            name="kinect_outdoor",
            folder="people/kinect_outdoor",
            fold="B",
            benchmark=MeasuredPeopleBenchmark(num_people=4),
        ),
        Part(
            name=f"kinect_outdoor{KNOWN_CAMERA}",
            folder="people/kinect_outdoor",
            fold="B",
            benchmark=MeasuredPeopleBenchmark(num_people=4, camera=_NOMINAL_KINECT),
        ),
        Part(name="h36m", folder="mmpose_h36m", fold="B", benchmark=Human36mBenchmark()),
        Part(
            name="coco",
            folder="mmpose_coco_crowd/coco",
            fold="B",
            benchmark=KeypointsBenchmark(listed="test_coco.json"),
        ),
        Part(
            name="crowdpose",
            folder="mmpose_coco_crowd/crowdpose",
            fold="B",
            benchmark=KeypointsBenchmark(listed="test_crowdpose.json"),
        ),
        Part(name="davis_masks", folder="davis_masks", fold="B", benchmark=MasksBenchmark()),
    )
)
