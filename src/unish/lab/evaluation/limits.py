"""Fewer frames of each sequence than the benchmark has."""

from __future__ import annotations

from dataclasses import replace

from unish.lab.evaluation.predictor import Answer, Predictor, Request
from unish.passes import PeopleFinder
from unish.structs import Clip, Landmarks, Reconstruction, Tracks

_OVER_TIME = (
    "segment", "timestamps_s", "frame_indices", "images", "intrinsics", "c2w", "depth", "point_conf", "person_masks",
)  # fmt: skip
_OVER_PEOPLE_AND_TIME = (
    "person_valid", "person_filled", "boxes_xyxy", "landmarks_px", "global_orient_aa", "body_pose_aa", "transl",
    "joints",
)  # fmt: skip


class FirstFrames:
    """A method that sees the first ``max_frames`` used frames of every sequence; takes the place of the method.

    Videos and folders are read up to there, also where the benchmark itself prescribes another number. Of frames that
    are already read, and of finished reconstructions that hold more, the rest is dropped.
    """

    def __init__(self, method: Predictor, max_frames: int) -> None:
        self.method = method
        self.max_frames = max_frames

    @property
    def fingerprint(self) -> str:
        return self.method.fingerprint

    def predict(self, request: Request) -> Answer:
        if isinstance(request.source, Clip):
            limited = replace(request, source=keep_first(request.source, self.max_frames))
        else:
            limited = replace(request, settings=request.settings | {"max_frames": self.max_frames})
        if request.people_finder is not None:
            limited = replace(limited, people_finder=self._limit_finder(request.people_finder))
        answer = self.method.predict(limited)
        return replace(answer, reconstruction=keep_first_of_record(answer.reconstruction, self.max_frames))

    def _limit_finder(self, finder: PeopleFinder) -> PeopleFinder:
        """People who come from a truth may cover the whole sequence."""
        num = self.max_frames

        def find(clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
            tracks, marks = finder(clip, size)
            return (
                replace(
                    tracks,
                    valid=tracks.valid[:, :num],
                    boxes_xyxy=tracks.boxes_xyxy[:, :num],
                    masks=tracks.masks[:num],
                ),
                replace(marks, px=marks.px[:, :num], world=marks.world[:, :num], score=marks.score[:, :num]),
            )

        return find


def keep_first(clip: Clip, num_frames: int) -> Clip:
    """The first frames of a clip; the clip itself when it is not longer."""
    if clip.num_frames <= num_frames:
        return clip
    names = ("images", "timestamps_s", "frame_indices", "segment")
    return replace(clip, **{name: getattr(clip, name)[:num_frames] for name in names})


def keep_first_of_record(record: Reconstruction, num_frames: int) -> Reconstruction:
    """The first frames of a reconstruction and the shots that they belong to, without its extra keys.

    The record itself when it is not longer.
    """
    if record.num_frames <= num_frames:
        return record
    num_shots = int(record.shot_of_frame()[num_frames - 1]) + 1
    return replace(
        record,
        gravity=record.gravity[:num_shots],
        floor=record.floor[:num_shots],
        **{name: getattr(record, name)[:num_frames] for name in _OVER_TIME},
        **{name: getattr(record, name)[:, :num_frames] for name in _OVER_PEOPLE_AND_TIME},
        extra={},
    )
