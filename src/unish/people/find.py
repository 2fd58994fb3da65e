"""Clip → Tracks and Landmarks: the people stage from end to end."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from unish import assets
from unish.errors import DegradedResultWarning
from unish.people.blazepose import BlazePoseDetector, BlazePoseLandmarks
from unish.people.boxes import box_area
from unish.people.config import PeopleConfig
from unish.people.masks import LandmarkSegmenter, label_pixels
from unish.people.observe import Frame, observe
from unish.people.protocols import Detector, LandmarkModel, Observation, Segmenter, Tracker
from unish.people.tracking import HungarianTracker
from unish.people.yolo import YoloDetector, load_darknet
from unish.structs import NUM_LANDMARKS, Clip, Landmarks, Tracks

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""

_CHUNK = 4


def find_people(
    clip: Clip,
    *,
    mask_size: tuple[int, int],
    config: PeopleConfig | None = None,
    detector: Detector | None = None,
    support: Detector | None = None,
    landmarks: LandmarkModel | None = None,
    segmenter: Segmenter | None = None,
    tracker: Tracker | None = None,
    progress: Progress | None = None,
) -> tuple[Tracks, Landmarks]:
    """Find, follow and outline everybody in a clip.

    Args:
        clip: the frames.
        mask_size: (h, w) of the masks.
        config: settings.
        detector, support, landmarks, segmenter, tracker: replacements for the default parts (see ``protocols``).
        progress: called after each few frames.

    Returns:
        Tracks sorted by identity (0, 1, … in order of first appearance) and the landmarks of the same people. Nobody in
        view gives empty tracks and a warning.

    Raises:
        InputError: a model file cannot be fetched.
    """
    config = config or PeopleConfig()
    if config.max_people == 0:
        return pack([], clip, mask_size, segmenter or LandmarkSegmenter(), [])
    detector = detector or default_detector(config)
    support = support or BlazePoseDetector(assets.fetch("blazepose-detector"), num_threads=config.num_threads)
    landmarks = landmarks or default_landmarks(config)
    tracker = tracker or HungarianTracker()
    for start in range(0, clip.num_frames, _CHUNK):
        images = clip.images[start : start + _CHUNK]
        for offset, (seen, also) in enumerate(zip(detector.detect(images), support.detect(images), strict=True)):
            index = start + offset
            time_s, segment = float(clip.timestamps_s[index]), int(clip.segment[index])
            expected = tracker.predict(time_s, segment)
            people = observe(
                Frame.of(images[offset]), seen, also, expected, landmarks, min_landmark_score=config.min_landmark_score
            )
            tracker.update(time_s, segment, people)
        if progress is not None:
            progress(min(start + _CHUNK, clip.num_frames), clip.num_frames)
    people_by_frame, messages = select_people(tracker.identities(), clip, config)
    if not people_by_frame:
        messages.append("nobody was found in the video: only the scene is reconstructed")
    return pack(people_by_frame, clip, mask_size, segmenter or LandmarkSegmenter(), messages)


def default_detector(config: PeopleConfig) -> Detector:
    """YOLOv4-tiny, its weights fetched if need be."""
    model = load_darknet(assets.fetch("yolov4-tiny"))
    return YoloDetector(model, long_side=config.detector_long_side, min_score=config.min_detector_score)


def default_landmarks(config: PeopleConfig) -> LandmarkModel:
    """BlazePose in the size that the settings ask for, fetched if need be."""
    return BlazePoseLandmarks(assets.fetch(f"blazepose-{config.model}"), num_threads=config.num_threads)


def select_people(
    people: Sequence[dict[int, Observation]], clip: Clip, config: PeopleConfig
) -> tuple[list[dict[int, Observation]], list[str]]:
    """Drop what is too short to be used, keep the most prominent ``max_people``; and say so."""
    times = clip.timestamps_s.numpy()
    min_frames = min(config.min_frames, clip.num_frames)
    min_seconds = min(config.min_seconds, float(times[-1] - times[0]))
    # A frame stands for the time until the next one, so three frames at six per second last half a second.
    typical = float(np.median(np.diff(times))) if clip.num_frames > 1 else 0.0
    long = [
        one
        for one in people
        if len(one) >= min_frames and times[max(one)] - times[min(one)] + typical >= min_seconds - 1e-6
    ]
    messages = []
    if dropped := len(people) - len(long):
        messages.append(
            f"{dropped} {'person' if dropped == 1 else 'people'} seen for less than {config.min_seconds:g} s or"
            f" {config.min_frames} frames left out"
        )
    if config.max_people is not None and len(long) > config.max_people:
        ranked = sorted(long, key=_prominence, reverse=True)[: config.max_people]
        long = [one for one in long if any(one is kept for kept in ranked)]
    return long, messages


def _prominence(person: dict[int, Observation]) -> float:
    """Size and time together: the sum over frames of the square root of the box area."""
    return float(sum(np.sqrt(box_area(seen.box_xyxy)) for seen in person.values()))


def pack(
    people: Sequence[dict[int, Observation]],
    clip: Clip,
    mask_size: tuple[int, int],
    segmenter: Segmenter,
    messages: Sequence[str],
    ids: Sequence[int] | None = None,
) -> tuple[Tracks, Landmarks]:
    """Observations by person and frame → records; NaN where nothing was seen. Issues the messages as warnings."""
    num_people, num_frames = len(people), clip.num_frames
    valid = np.zeros((num_people, num_frames), bool)
    boxes = np.full((num_people, num_frames, 4), np.nan, np.float32)
    px = np.full((num_people, num_frames, NUM_LANDMARKS, 3), np.nan, np.float32)
    world, score = px.copy(), np.zeros((num_people, num_frames), np.float32)
    masks = np.full((num_frames, *mask_size), -1, np.int16)
    for index, person in enumerate(people):
        for frame, seen in person.items():
            valid[index, frame], boxes[index, frame] = True, seen.box_xyxy
            if seen.pose is not None:
                px[index, frame], world[index, frame] = seen.pose.px, seen.pose.world
                score[index, frame] = seen.pose.score
    for frame in range(num_frames):
        present = np.nonzero(valid[:, frame])[0]
        if len(present):
            seen_here = [people[index][frame] for index in present]
            labels = label_pixels(segmenter.segment(clip.images[frame], seen_here, mask_size), seen_here, clip.size)
            masks[frame] = np.where(labels >= 0, present[labels], -1)
    for message in messages:
        warnings.warn(message, DegradedResultWarning, stacklevel=3)
    tracks = Tracks(
        person_ids=torch.tensor(list(range(num_people)) if ids is None else list(ids), dtype=torch.int64),
        valid=torch.from_numpy(valid),
        boxes_xyxy=torch.from_numpy(boxes),
        masks=torch.from_numpy(masks),
        warnings=tuple(messages),
    )
    return tracks, Landmarks(px=torch.from_numpy(px), world=torch.from_numpy(world), score=torch.from_numpy(score))
