"""From what a user writes to the models that it names, and what they replace."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unish.people.config import PeopleConfig
from unish.people.experts.rt_detr import RtDetrDetector
from unish.people.experts.sam2 import Sam2Segmenter
from unish.people.experts.vitpose import VitPosePoints
from unish.people.find import PeopleModels, PoseModels, load_pose_models
from unish.people.protocols import Detector, KeypointModel, Segmenter
from unish.slots import KEYPOINTS, MASKS, PEOPLE_DETECTORS, read_expert
from unish.structs.progress import Progress

LICENCE = "Apache-2.0 where published by its authors"
"""Of RT-DETR, ViTPose and SAM 2."""


@dataclass(frozen=True, kw_only=True)
class PeopleExperts:
    """What takes the place of the shipped parts; ``None`` where these stay.

    Attributes:
        fingerprints: of what is not ``None``, by the name of its slot.
    """

    detector: Detector | None = None
    keypoints: KeypointModel | None = None
    segmenter: Segmenter | None = None
    fingerprints: tuple[tuple[str, str], ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of all of them together."""
        return "; ".join(f"{slot} {fingerprint}" for slot, fingerprint in self.fingerprints)

    def people_models(self, config: PeopleConfig, progress: Progress | None = None) -> PeopleModels:
        """The default models with these in their places; those that are replaced are not fetched.

        Raises:
            InputError: a model file cannot be fetched.
        """
        given = {} if self.detector is None else {"detector": self.detector}
        models = PeopleModels.load(self._without_keypoints(config), progress, **given)
        return models if self.keypoints is None else replace(models, keypoints=self.keypoints)

    def pose_models(self, config: PeopleConfig, progress: Progress | None = None) -> PoseModels:
        """The same for boxes that are known.

        Raises:
            InputError: a model file cannot be fetched.
        """
        models = load_pose_models(self._without_keypoints(config), progress)
        return models if self.keypoints is None else replace(models, keypoints=self.keypoints)

    def _without_keypoints(self, config: PeopleConfig) -> PeopleConfig:
        return config if self.keypoints is None else replace(config, landmarks_2d="none")


def find_people_experts(detector: str, keypoints: str, masks: str, device: str = "cpu") -> PeopleExperts:
    """The models that are not the shipped ones; arguments as ``slots.read_expert`` reads them.

    Raises:
        InputError: no such model, or it lacks what it needs.
    """
    boxes = read_expert("people detector", detector, PEOPLE_DETECTORS).weights
    points = read_expert("keypoints", keypoints, KEYPOINTS).weights
    outlines = read_expert("masks", masks, MASKS).weights
    min_score = PeopleConfig().min_followed_score
    found = {
        "people_detector": None if boxes is None else RtDetrDetector(boxes, device, min_score=min_score),
        "keypoints": None if points is None else VitPosePoints(points, device),
        "masks": None if outlines is None else Sam2Segmenter(outlines, device),
    }
    return PeopleExperts(
        detector=found["people_detector"],  # type: ignore[arg-type]
        keypoints=found["keypoints"],  # type: ignore[arg-type]
        segmenter=found["masks"],  # type: ignore[arg-type]
        fingerprints=tuple((slot, model.fingerprint) for slot, model in found.items() if model is not None),
    )
