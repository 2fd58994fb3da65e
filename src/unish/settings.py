"""What a user may choose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unish.errors import InputError
from unish.slots import DEPTH_PRIORS, KEYPOINTS, MASKS, PEOPLE_DETECTORS, read_expert
from unish.values import check_count, check_number, check_path, check_sampling, shorten

DEVICES = ("auto", "cpu", "cuda", "mps")
CAMERA_UNITS = ("m", "unknown")
_CAMERA = ("fx", "fy", "cx", "cy")
_BOX = ("x0", "y0", "x1", "y1", "t")
_POINT = ("x", "y", "t")
_SPAN = ("x1", "y1", "x2", "y2", "seconds", "metres")
_SLOTS = {
    "depth_prior": DEPTH_PRIORS, "people_detector": PEOPLE_DETECTORS, "keypoints": KEYPOINTS, "masks": MASKS,
}  # fmt: skip
Span = tuple[float, float, float, float, float, float]

HEIGHT_M = (0.4, 2.6)
"""No standing person is smaller or larger."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a user may choose. The meanings are those of the command line (``unish reconstruct --help``).

    Attributes:
        model: name, path or hub id of the weights.
        fps: frames used per second of video: people and cameras are given for each.
        scene_fps: of these, frames per second with depth; all where it is not below ``fps``.
        source_fps: of a folder of images or a raw stream, which have no times of their own; ``None`` lets the reader
            decide and say what it assumed.
        size: long side of the processed frames in pixels; ``None`` takes the model's own.
        start, end: seconds.
        people: the most people to reconstruct, ``None`` for all, 0 for the scene alone.
        person_box: (x0, y0, x1, y1, t) of people to keep, source pixels and seconds; others are left out.
        person_at: (x, y, t) on people to keep, source pixels and seconds.
        person_id: numbers of people to keep, as a run with everybody gives them.
        fill_gaps: longest gap of a person, seconds, over which poses are interpolated; 0 fills none.
        tracks: npz with the user's own boxes instead of the detector.
        intrinsics: (fx, fy, cx, cy) of the source in pixels, when known.
        fov: the angle in degrees that the longer side of the source's picture spans, bars included, when known; that
            of the film, where one is cut out of a recorded screen.
        focal_35mm: focal length in millimetres as if on 35 mm film, when known (``geometry.lens``). At most one of
            these three; without any, what the file says of its lens counts, then what the pictures tell.
        person_height: standing height in metres of people whose height is known, by their id in the result.
        known_distance: what is known of distances, each (x1, y1, x2, y2, t, metres): so far apart are what the source's
            pixels (x1, y1) and (x2, y2) show t seconds into the video. Heights or distances, not both.
        cameras: known poses: folder of a COLMAP model, ``transforms.json``, or a TUM trajectory.
        refine_cameras: start from ``cameras`` instead of keeping them.
        camera_unit: of the places in ``cameras``, ``m`` or ``unknown``; by the kind of the file if ``None``.
        body: ``free`` or the path of a licensed SMPL file.
        window, overlap: frames that the network sees at once, and how many of them two neighbouring windows share.
        sky: look for the sky and leave it out of everything. Off until it is found well enough everywhere.
        blur_faces: in everything that shows pictures to others; ``reconstruction.npz`` keeps them as they are.
        fast: less time for somewhat less exact people and, of a camera that moves, less exact depth (docs/speed.md says
            how much of either).
        keep_observations: of ``reconstruct_into``: keep beside the result what ``unish refine`` works with.
        settle: bring scene, ground and people together where feet stand; off gives what the network says alone.
        person_points: people's own points at the resolution of their crops (``Reconstruction.person_points``); off
            leaves the pixels of the depth maps.
        depth_prior, people_detector, keypoints, masks: models in place of the shipped ones, each ``NAME``,
            ``NAME:WEIGHTS`` or the folder of weights; see ``slots`` and docs/experts.md.
        title: what the report and pages call the video; the name of its file if ``None``.
        seed: of everything random; results repeat bit for bit on the same machine.

    Raises:
        InputError: a value has another type, or is outside of what it may be; the message says what is wanted.
    """

    model: str = "small"
    fps: float = 6.0
    scene_fps: float = 6.0
    source_fps: float | None = None
    size: int | None = None
    start: float | None = None
    end: float | None = None
    max_frames: int | None = None
    device: str = "auto"
    people: int | None = None
    person_box: Sequence[tuple[float, float, float, float, float]] = ()
    person_at: Sequence[tuple[float, float, float]] = ()
    person_id: Sequence[int] = ()
    fill_gaps: float = 0.0
    tracks: Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    fov: float | None = None
    focal_35mm: float | None = None
    person_height: Mapping[int, float] | None = None
    known_distance: Sequence[Span] | None = None
    cameras: Path | None = None
    refine_cameras: bool = False
    camera_unit: str | None = None
    body: str = "free"
    window: int = 30
    overlap: int = 6
    sky: bool = False
    fast: bool = False
    settle: bool = True
    keep_observations: bool = True
    person_points: bool = True
    blur_faces: bool = False
    depth_prior: str = "fastdepth"
    people_detector: str = "yolo"
    keypoints: str = "movenet"
    masks: str = "blazepose"
    title: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_number("scene fps", self.scene_fps, above=0)
        check_sampling(self.fps, self.source_fps, self.start, self.end, self.max_frames)
        for name, lowest in (("window", 1), ("overlap", 0), ("seed", 0)):
            check_count(name, getattr(self, name), at_least=lowest)
        for name, lowest in (("size", 32), ("people", 0)):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), at_least=lowest)
        check_number("fill gaps", self.fill_gaps, at_least=0)
        self._check_choice()
        if self.overlap >= self.window:
            raise InputError(f"overlap ({self.overlap}) is not below window ({self.window}); lower it")
        if self.device not in DEVICES:
            raise InputError(f"device is {shorten(self.device)}; give one of {', '.join(DEVICES)}")
        for name in (
            "sky", "fast", "settle", "person_points", "blur_faces", "refine_cameras", "keep_observations",
        ):  # fmt: skip
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name.replace('_', ' ')} is {shorten(getattr(self, name))}; give True or False")
        for name in ("model", "body"):
            check_path(name, getattr(self, name))
        if self.title is not None and (not isinstance(self.title, str) or not self.title.strip()):
            raise InputError(f"title is {shorten(self.title)}; give a text that is not empty")
        if self.tracks is not None:
            object.__setattr__(self, "tracks", check_path("tracks", self.tracks))
        if self.cameras is not None:
            object.__setattr__(self, "cameras", check_path("cameras", self.cameras))
        if self.camera_unit not in (None, *CAMERA_UNITS):
            raise InputError(f"camera unit is {shorten(self.camera_unit)}; give {' or '.join(CAMERA_UNITS)}")
        if self.cameras is None and (self.refine_cameras or self.camera_unit is not None):
            raise InputError("there are no cameras to refine or to state the unit of; give --cameras")
        if self.intrinsics is not None:
            object.__setattr__(self, "intrinsics", _check_intrinsics(self.intrinsics))
        if self.fov is not None:
            check_number("fov", self.fov, at_least=1, below=180)
        if self.focal_35mm is not None:
            check_number("focal 35mm", self.focal_35mm, at_least=1)
        for name, kinds in _SLOTS.items():
            read_expert(name.replace("_", " "), getattr(self, name), kinds)
            object.__setattr__(self, name, str(getattr(self, name)))
        self._check_sizes()
        told = [name for name in ("intrinsics", "fov", "focal_35mm") if getattr(self, name) is not None]
        if len(told) > 1:
            raise InputError(f"{' and '.join(told)} all say what the focal length is; give one of them")

    def _check_sizes(self) -> None:
        if self.person_height is not None:
            object.__setattr__(self, "person_height", _check_heights(self.person_height))
        if self.known_distance is not None:
            object.__setattr__(self, "known_distance", _check_spans(self.known_distance))
        if self.person_height and self.known_distance:
            raise InputError("person height and known distance both say how large everything is; give one of them")

    def _check_choice(self) -> None:
        """Of people to keep."""
        for name, parts in (("person_box", _BOX), ("person_at", _POINT)):
            given, said = getattr(self, name), name.replace("_", " ")
            if not isinstance(given, Sequence):
                raise InputError(f"{said} is {shorten(given)}; give a list of ({', '.join(parts)})")
            object.__setattr__(self, name, tuple(_check_place(said, place, parts) for place in given))
        if not isinstance(self.person_id, Sequence):
            raise InputError(f"person id is {shorten(self.person_id)}; give a list of whole numbers")
        object.__setattr__(
            self, "person_id", tuple(check_count("person id", one, at_least=0) for one in self.person_id)
        )
        if self.people == 0 and (self.person_box or self.person_at or self.person_id):
            raise InputError("people is 0, so nobody can be chosen; leave that out, or whom to choose")


def _check_place(name: str, given: object, parts: tuple[str, ...]) -> tuple[float, ...]:
    """A box or a point of the picture, and a time."""
    values: list[object] = list(given) if isinstance(given, Iterable) else []
    if len(values) != len(parts):
        raise InputError(f"{name} has {shorten(given)}; give ({', '.join(parts)}) in source pixels and seconds")
    numbers = tuple(check_number(f"{name}: {part}", value) for part, value in zip(parts, values, strict=True))
    if numbers[-1] < 0:
        raise InputError(f"{name} has the time {numbers[-1]:g}; seconds count from the start of the video")
    if len(numbers) == len(_BOX) and (numbers[2] <= numbers[0] or numbers[3] <= numbers[1]):
        raise InputError(f"{name} has {shorten(given)}, an empty box; give x1 and y1 above x0 and y0")
    return numbers


def _check_intrinsics(given: object) -> tuple[float, float, float, float]:
    values: list[object] = list(given) if isinstance(given, Iterable) else []
    if len(values) != len(_CAMERA):
        raise InputError(f"intrinsics is {shorten(given)}; give (fx, fy, cx, cy) in source pixels")
    fx, fy, cx, cy = (check_number(name, value, above=0) for name, value in zip(_CAMERA, values, strict=True))
    return fx, fy, cx, cy


def _check_heights(given: object) -> dict[int, float]:
    if not isinstance(given, Mapping):
        raise InputError(f"person height is {shorten(given)}; give {{id: metres}}")
    low, high = HEIGHT_M
    return {
        check_count("the id in person height", person_id, at_least=0): check_number(
            f"the person height of {person_id} in metres", metres, at_least=low, at_most=high
        )
        for person_id, metres in given.items()
    }


def _check_spans(given: object) -> tuple[Span, ...]:
    spans: list[object] = list(given) if isinstance(given, Iterable) else [given]
    checked = []
    for span in spans:
        values: list[object] = list(span) if isinstance(span, Iterable) else []
        if len(values) != len(_SPAN):
            raise InputError(f"known distance is {shorten(span)}; give (x1, y1, x2, y2, seconds, metres) for each")
        x1, y1, x2, y2, time_s = (
            check_number(f"{name} of known distance", value, at_least=0)
            for name, value in zip(_SPAN[:5], values[:5], strict=True)
        )
        metres = check_number("metres of known distance", values[5], above=0)
        if (x1, y1) == (x2, y2):
            raise InputError(f"known distance names pixel ({x1:g}, {y1:g}) twice; give two different ones")
        checked.append((x1, y1, x2, y2, time_s, metres))
    return tuple(checked)
