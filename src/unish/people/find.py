"""Clip → Tracks and Landmarks: the people stage from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from unish import assets
from unish.errors import InputError
from unish.people.appearance import add_features
from unish.people.between import DetectedFrames, are_followed
from unish.people.blazepose import BlazePoseDetector, BlazePoseLandmarks
from unish.people.choice import PeopleChoice
from unish.people.config import PeopleConfig
from unish.people.facing import settle_facing
from unish.people.fuse import add_points
from unish.people.log import ObservationLog
from unish.people.masks import LandmarkSegmenter, draw_labels
from unish.people.movenet import MoveNetPoints, load_movenet
from unish.people.observe import observe
from unish.people.protocols import (
    Detection,
    Detector,
    FeatureModel,
    KeypointModel,
    LandmarkModel,
    Observation,
    RegionFinder,
    Segmenter,
    Tracker,
)
from unish.people.reading import Frame
from unish.people.records import pack, select_people
from unish.people.regions import Region
from unish.people.scales import TwoScaleDetector
from unish.people.tracking import HungarianTracker
from unish.people.yolo import YoloDetector, load_darknet
from unish.structs import Clip, Landmarks, Tracks
from unish.structs.progress import Progress, announce_in

_CHUNK = 4
"""Frames that are detected at once; blocks of an ``ObservationLog`` are whole numbers of them."""


@dataclass(frozen=True, kw_only=True)
class PoseModels:
    """What reads the pose of somebody whose box is known.

    Attributes:
        landmarks: reads poses.
        finder: finds how somebody new lies in the picture; ``None`` takes everybody to be upright at first.
        keypoints: reads points in the picture better than ``landmarks`` (see ``fuse``); ``None`` does without.
        notes: what is missing of what was asked for, one sentence each.
    """

    landmarks: LandmarkModel
    finder: RegionFinder | None = None
    keypoints: KeypointModel | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PeopleModels(PoseModels):
    """What looks at pictures.

    Attributes:
        detector: finds people.
        support: a second detector that imagines more; it needs good landmarks to be believed.
        features: describes what people look like; ``None`` recognises them by their colours alone.
    """

    detector: Detector
    support: Detector
    features: FeatureModel | None = None

    @classmethod
    def load(
        cls, config: PeopleConfig, progress: Progress | None = None, *, detector: Detector | None = None
    ) -> PeopleModels:
        """The default ones, fetched if need be; but for a detector that is given.

        Raises:
            InputError: a model file cannot be fetched.
        """
        detector, support = detector or default_detector(config, progress), default_support(config, progress)
        return cls(detector=detector, support=support, **vars(load_pose_models(config, progress, support)))


def find_people(
    clip: Clip,
    *,
    mask_size: tuple[int, int],
    config: PeopleConfig | None = None,
    models: PeopleModels | None = None,
    segmenter: Segmenter | None = None,
    tracker: Tracker | None = None,
    choice: PeopleChoice | None = None,
    log: ObservationLog | None = None,
    progress: Progress | None = None,
) -> tuple[Tracks, Landmarks]:
    """Find, follow and outline everybody in a clip, whose pictures are asked for once and in order.

    Args:
        clip: the frames.
        mask_size: (h, w) of the masks.
        config: settings.
        models, segmenter, tracker: replacements for the default parts (see ``protocols``).
        choice: whom to keep, with the numbers that everybody has without it; ``None`` keeps everybody.
        log: keeps what is observed, so that a run that was ended goes on where it was, and masks take no memory.
        progress: called after each few frames.

    Returns:
        Tracks sorted by identity (0, 1, … in order of first appearance) and the landmarks of the same people. Nobody in
        view gives empty tracks and a warning.

    Raises:
        InputError: a model file cannot be fetched, or ``choice`` names somebody who is not there.
    """
    config = config or PeopleConfig()
    if config.max_people == 0:
        return pack({}, clip, torch.full((clip.num_frames, *mask_size), -1, dtype=torch.int16))
    models = models or PeopleModels.load(config, progress)
    tracker = tracker or HungarianTracker()
    start = 0
    for start, people in enumerate(log.stored() if log is not None else (), start=1):
        tracker.update(float(clip.timestamps_s[start - 1]), int(clip.segment[start - 1]), people)
    for first in range(start, clip.num_frames, _CHUNK):
        images, chunk = clip.images[first : first + _CHUNK], slice(first, first + _CHUNK)
        sparing = config.spares_detector and len(clip.segment[chunk].unique()) == 1
        seen = DetectedFrames(models.detector, images, clip.timestamps_s[chunk].tolist(), sparing=sparing)
        for offset, also in enumerate(models.support.detect(images)):
            index = first + offset
            time_s, segment = float(clip.timestamps_s[index]), int(clip.segment[index])
            expected = tracker.predict(time_s, segment)
            people = _observe_frame(Frame.of(images[offset]), seen, offset, also, expected, models, config)
            if log is not None:
                people = log.add(people, last=index == clip.num_frames - 1)
            tracker.update(time_s, segment, people)
        if progress is not None:
            progress("find people", min(first + _CHUNK, clip.num_frames), clip.num_frames)
    people_by_id, messages = select_people(
        dict(enumerate(tracker.identities())), clip, config, choice, number_anew=True
    )
    people_by_id = settle_facing(people_by_id, clip)
    messages += models.notes
    if not people_by_id:
        messages.append("nobody was found in the video: only the scene is reconstructed")
    labels = draw_labels(list(people_by_id.values()), clip, mask_size, segmenter or LandmarkSegmenter())
    return pack(people_by_id, clip, labels, messages)


def _observe_frame(
    frame: Frame,
    seen: DetectedFrames,
    index: int,
    also: Sequence[Detection],
    expected: Sequence[Region],
    models: PeopleModels,
    config: PeopleConfig,
) -> list[Observation]:
    """Everybody in one frame: by a guess between what the detector saw before and after, if that is good enough."""
    guessed = seen.guess(index, len(expected))
    if guessed is not None:
        people = _read_frame(frame, guessed, also, expected, models, config, guessed=True)
        if are_followed(people, guessed):
            return people
    return _read_frame(frame, seen.look(index), also, expected, models, config)


def _read_frame(
    frame: Frame,
    detections: Sequence[Detection],
    also: Sequence[Detection],
    expected: Sequence[Region],
    models: PeopleModels,
    config: PeopleConfig,
    *,
    guessed: bool = False,
) -> list[Observation]:
    """Everybody in one frame, with what all of the models say of them."""
    people = observe(
        frame,
        detections,
        also,
        expected,
        models.landmarks,
        finder=models.finder,
        min_detector_score=config.min_detector_score,
        min_landmark_score=config.min_landmark_score,
        guessed=guessed,
    )
    if models.keypoints is not None:
        people = add_points(
            frame, people, models.keypoints, models.landmarks, min_landmark_score=config.min_landmark_score
        )
    return people if models.features is None else add_features(frame.picture, people, models.features)


def load_pose_models(
    config: PeopleConfig, progress: Progress | None = None, finder: RegionFinder | None = None
) -> PoseModels:
    """The default ones, fetched if need be; ``finder`` is one that is loaded already.

    Raises:
        InputError: a model file that is needed cannot be fetched.
    """
    finder, landmarks = finder or default_support(config, progress), default_landmarks(config, progress)
    keypoints, notes = default_keypoints(config, progress)
    return PoseModels(landmarks=landmarks, finder=finder, keypoints=keypoints, notes=notes)


def default_detector(config: PeopleConfig, progress: Progress | None = None) -> Detector:
    """YOLOv4-tiny at two scales, its weights fetched if need be."""
    model = load_darknet(_fetch("yolov4-tiny", progress))
    fine, coarse = (
        YoloDetector(model, long_side=side, min_score=config.min_followed_score)
        for side in (config.detector_long_side, config.detector_coarse_side)
    )
    return TwoScaleDetector(fine, coarse, fine_side=config.detector_long_side, coarse_side=config.detector_coarse_side)


def default_support(config: PeopleConfig, progress: Progress | None = None) -> BlazePoseDetector:
    """BlazePose's own detector, which finds regions, too; fetched if need be."""
    return BlazePoseDetector(_fetch("blazepose-detector", progress), num_threads=config.num_threads)


def default_landmarks(config: PeopleConfig, progress: Progress | None = None) -> LandmarkModel:
    """BlazePose in the size that the settings ask for, fetched if need be."""
    model = _fetch(f"blazepose-{config.model}", progress)
    return BlazePoseLandmarks(model, mirror=config.mirror, num_threads=config.num_threads)


def default_keypoints(
    config: PeopleConfig, progress: Progress | None = None
) -> tuple[KeypointModel | None, tuple[str, ...]]:
    """MoveNet in the size that the settings ask for, fetched if need be; or what to say where it cannot be had."""
    name = config.landmarks_2d
    if name == "none":
        return None, ()
    try:
        graph, weights = (_fetch(f"movenet-{name}{part}", progress) for part in ("-graph", ""))
        return MoveNetPoints(load_movenet(name, graph, weights)), ()
    except InputError as error:
        return None, (f"points of people in the picture were read by BlazePose alone, which is less exact: {error}",)


def _fetch(name: str, progress: Progress | None) -> Path:
    return assets.fetch(name, progress=announce_in(progress))
