"""One file per benchmark. A new one fits ``Benchmark`` and takes a line in ``BENCHMARKS``."""

from unish.lab.evaluation.benchmarks.bedlam import BEDLAM
from unish.lab.evaluation.benchmarks.benchmark import Benchmark
from unish.lab.evaluation.benchmarks.clips import CLIPS
from unish.lab.evaluation.benchmarks.depth.bonn import BONN
from unish.lab.evaluation.benchmarks.depth.kitti import KITTI
from unish.lab.evaluation.benchmarks.depth.scannet import SCANNET
from unish.lab.evaluation.benchmarks.depth.seven_scenes import SEVEN_SCENES_TEST
from unish.lab.evaluation.benchmarks.depth.sintel import SINTEL
from unish.lab.evaluation.benchmarks.depth.tum import TUM
from unish.lab.evaluation.benchmarks.labelled import LABELLED
from unish.lab.evaluation.benchmarks.motion.emdb import EMDB1, EMDB2
from unish.lab.evaluation.benchmarks.motion.rich import RICH
from unish.lab.evaluation.benchmarks.motion.threedpw import THREEDPW
from unish.lab.evaluation.benchmarks.pose2sim import POSE2SIM
from unish.lab.evaluation.benchmarks.rgbd import SEVEN_SCENES, SLAMBOOK2
from unish.lab.evaluation.benchmarks.synthetic import SYNTHETIC

BENCHMARKS: dict[str, Benchmark] = {
    "synthetic": SYNTHETIC,
    "7scenes": SEVEN_SCENES,
    "slambook2": SLAMBOOK2,
    "pose2sim": POSE2SIM,
    "labelled": LABELLED,
    "clips": CLIPS,
    "emdb1": EMDB1,
    "emdb2": EMDB2,
    "rich": RICH,
    "3dpw": THREEDPW,
    "bonn": BONN,
    "tum": TUM,
    "sintel": SINTEL,
    "7scenes-test": SEVEN_SCENES_TEST,
    "scannet": SCANNET,
    "kitti": KITTI,
    "bedlam": BEDLAM,
}

__all__ = ["BENCHMARKS", "Benchmark"]
