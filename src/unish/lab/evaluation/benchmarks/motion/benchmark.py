"""A motion benchmark: a reader of truth, and what is scored of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unish.lab.evaluation.benchmarks.motion.body_files import (
    find_neutral_smpl,
    load_h36m_regressor,
    load_smpl_regressor,
)
from unish.lab.evaluation.benchmarks.motion.scoring import Joints, Scope, score_motion
from unish.lab.evaluation.benchmarks.motion.truth import MotionTruth
from unish.lab.evaluation.benchmarks.summary import weighted_mean_of_rows
from unish.lab.evaluation.metrics import JointSetName
from unish.lab.evaluation.predictor import Predictor, Request
from unish.lab.evaluation.results import Row


@dataclass(frozen=True, kw_only=True)
class MotionBenchmark:
    """People against body models that were fitted to sensors.

    The method gets the folder of pictures and their rate, and uses as many a second as it likes; no intrinsics, no
    boxes. Where neutral SMPL lies in ``body_models/`` it is told to answer in it, since vertices can be compared on one
    mesh only. Means over sequences are weighted by scored frames.

    Attributes:
        needs: what the data folder must hold.
        list_sequences: names of the sequences of a data folder, sorted.
        read_truth: (data folder, name) → the truth.
        scope: see ``scoring``.
        joint_set: ``smpl24``, or ``h36m14`` through the regressor of Human3.6M.
    """

    needs: str
    list_sequences: Callable[[Path], list[str]]
    read_truth: Callable[[Path, str], MotionTruth]
    scope: Scope
    joint_set: JointSetName = "smpl24"

    def sequences(self, data: Path) -> list[str]:
        return self.list_sequences(data)

    def score(self, data: Path, sequence: str, predictor: Predictor) -> Row:
        joints = self._find_joints(data)  # before the method works, which takes longer than to say what is missing
        truth = self.read_truth(data, sequence)
        settings: dict[str, Any] = {"source_fps": truth.fps}
        if body := find_neutral_smpl(data):
            settings["body"] = str(body)
        answer = predictor.predict(Request(name=sequence, source=truth.images, settings=settings))
        return score_motion(answer, truth, scope=self.scope, joints=joints)

    def summarise(self, rows: Mapping[str, Row]) -> Row:
        """Means weighted by scored frames."""
        return weighted_mean_of_rows(rows, weight="frames")

    def _find_joints(self, data: Path) -> Joints:
        if self.joint_set != "smpl24":
            return Joints(name=self.joint_set, regressor=load_h36m_regressor(data))
        return Joints(regressor=load_smpl_regressor(data) if find_neutral_smpl(data) else None)
