"""Folders of video as they come: no truth, but shots, and people with their tracks and landmarks, found once.

A cache beside the videos keeps what the people stage found, and the used frames, so that a clip is read without
decoding the video up to it: ``NAME-KEY.npz`` (times, shots, tracks, landmarks) and ``NAME-KEY.pictures.npy`` (frames as
JPEG, person labels as PNG). The key is a hash of the video's bytes and of the settings; an interrupted preparation goes
on with the next video.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, UInt8
from numpy import ndarray
from PIL import Image

from unish.errors import DegradedResultWarning, InputError
from unish.io import written_beside
from unish.lab.datasets.sequences import SequenceSource
from unish.lab.datasets.source import ClipArrays, SourceNotes
from unish.lab.synthetic.shards import SHARD_PEOPLE
from unish.people import PeopleConfig, find_people
from unish.structs import Clip, Landmarks, Tracks
from unish.structs.progress import Progress
from unish.video import read_clip

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".gif"})
_CACHE_FORMAT = 1
_JPEG_QUALITY = 95
_MAX_LABEL = 126
_ARRAYS = (
    "images", "ids", "timestamps", "person_valid", "landmarks_px", "landmarks_world", "landmark_score", "boxes_xyxy",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """What is taken from the videos.

    Attributes:
        fps: frames per second to use.
        long_side: pixels; larger pictures are shrunk to it.
        max_seconds: of each video; what comes after is not used.
        people: settings of the people stage; ``max_people=0`` looks for nobody.
        min_people: at least so many people, all of them tall enough, in every frame of a clip.
        min_height_px: height of a person's box in pixels of the video.
        min_frames: shorter runs of such frames are left out.
        window: frames of a clip, about.
        trains_shipped_weights: you made sure that the videos' licences allow it.

    The first four make the cache; the others only choose from it.
    """

    fps: float = 6.0
    long_side: int = 640
    max_seconds: float = 300.0
    people: PeopleConfig = field(default_factory=PeopleConfig)
    min_people: int = 1
    min_height_px: int = 100
    min_frames: int = 8
    window: int = 30
    trains_shipped_weights: bool = False


@runtime_checkable
class PeopleFinder(Protocol):
    """Stands in for the people stage."""

    def __call__(self, clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
        """Tracks with masks of (height, width) ``size``, and the landmarks of the same people."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedVideo:
    """A prepared video, from its cache; people are in the order of the people stage.

    Attributes:
        pictures: file of encoded frames, then labels; frame t ends at byte ends[t].
        size, source_height: (height, width) of the frames, and height of the video in pixels.
    """

    pictures: Path
    ends: Int[ndarray, "T2"]
    size: tuple[int, int]
    source_height: int
    timestamps_s: Float64[ndarray, "T"]
    segment: Int[ndarray, "T"]
    person_valid: Bool[ndarray, "P T"]
    boxes_xyxy: Float32[ndarray, "P T 4"]
    landmarks_px: Float32[ndarray, "P T 33 3"]
    landmarks_world: Float32[ndarray, "P T 33 3"]
    landmark_score: Float32[ndarray, "P T"]

    def decode(self, frames: Int[ndarray, "N"], *, labels: bool) -> UInt8[ndarray, "N h w *c"]:
        """Pictures or person labels (0 = nobody) of the chosen frames."""
        data = np.load(self.pictures, mmap_mode="r")
        starts = np.concatenate([[0], self.ends[:-1]])
        shift = len(self.timestamps_s) if labels else 0
        images = [Image.open(io.BytesIO(data[starts[t + shift] : self.ends[t + shift]])) for t in frames]
        return np.stack([np.asarray(image) for image in images])


@dataclass(frozen=True, kw_only=True, eq=False)
class PeopleShot:
    """Consecutive frames of one shot in which enough people are large enough."""

    video: TrackedVideo
    start: int
    end: int

    @property
    def num_frames(self) -> int:
        return self.end - self.start

    @property
    def size(self) -> tuple[int, int]:
        return self.video.size

    def read(self, frames: Int[ndarray, "N"]) -> ClipArrays:
        """People: the ``SHARD_PEOPLE`` tallest of the chosen frames; the others are labelled ``SHARD_PEOPLE``."""
        video, frames = self.video, frames + self.start
        height = np.nan_to_num(video.boxes_xyxy[:, frames, 3] - video.boxes_xyxy[:, frames, 1])
        prominence = height.sum(1)
        chosen = [person for person in np.argsort(-prominence, kind="stable")[:SHARD_PEOPLE] if prominence[person] > 0]
        lookup = np.full(_MAX_LABEL + 2, SHARD_PEOPLE, np.int8)
        lookup[0] = -1
        lookup[np.array(chosen, np.int64) + 1] = np.arange(len(chosen))
        times = video.timestamps_s[frames]
        people = {
            name: _pad(np.nan_to_num(getattr(video, name)[chosen][:, frames]))
            for name in ("person_valid", "boxes_xyxy", "landmarks_px", "landmarks_world", "landmark_score")
        }
        return {
            "images": video.decode(frames, labels=False),
            "ids": lookup[video.decode(frames, labels=True)],
            "timestamps": (times - times[0]).astype(np.float32),
            **people,
        }


def open_video_folder(
    folder: Path,
    config: VideoConfig | None = None,
    *,
    cache: Path | None = None,
    finder: PeopleFinder | None = None,
    progress: Progress | None = None,
) -> SequenceSource:
    """All videos below a folder; those not in the cache yet are prepared first (about as long as reconstructing them).

    Args:
        cache: where to keep what was found; ``FOLDER/.unish-tracks`` by default.
        finder: stands in for the people stage. The cache does not know which finder filled it.
        progress: told after every video.

    Raises:
        InputError: no video, or not one clip fits the settings.
    """
    config = config or VideoConfig()
    cache = cache or folder / ".unish-tracks"
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not paths:
        raise InputError(
            f"{folder}: there is no video in this folder; give one with {', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    shots: list[PeopleShot] = []
    for number, path in enumerate(paths):
        try:
            shots += find_shots(prepare_video(path, cache, config, finder), config)
        except InputError as error:
            warnings.warn(f"left out: {error}", DegradedResultWarning, stacklevel=2)
        if progress is not None:
            progress("prepare videos", number + 1, len(paths))
    if not shots:
        raise InputError(
            f"{folder}: no {config.min_frames} frames of the {len(paths)} videos show {config.min_people} people of "
            f"{config.min_height_px} pixels; lower these settings or give other videos"
        )
    notes = SourceNotes(
        name=f"videos of {folder.name}",
        licence="that of each video; they train shipped weights only where you say that you made sure",
        trains_shipped_weights=config.trains_shipped_weights,
        arrays=_ARRAYS,
    )
    return SequenceSource(shots, notes, stretch=config.window)


def prepare_video(path: Path, cache: Path, config: VideoConfig, finder: PeopleFinder | None = None) -> TrackedVideo:
    """Read a video and find its people, or take both from the cache.

    Raises:
        InputError: the video cannot be read, or the cache folder not be written.
    """
    made_with: dict[str, object] = {"format": _CACHE_FORMAT, "fps": config.fps, "long_side": config.long_side}
    made_with |= {"max_seconds": config.max_seconds, "people": asdict(config.people)}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(made_with, sort_keys=True).encode())
    name = f"{path.stem}-{digest.hexdigest()[:16]}"
    found, pictures = cache / f"{name}.npz", cache / f"{name}.pictures.npy"
    if not found.is_file():
        clip = read_clip(path, fps=config.fps, long_side=config.long_side, end=config.max_seconds)
        tracks, landmarks = (finder or _default_finder(config.people))(clip, clip.size)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            ends = _write_pictures(pictures, clip, tracks)
            _save(found, _gather(clip, tracks, landmarks) | {"ends": ends})
        except OSError as error:
            raise InputError(f"{cache}: cannot be written ({error.strerror}); choose another cache folder") from None
    with np.load(found, allow_pickle=False) as arrays:
        values = {key: arrays[key] for key in arrays.files}
    size, height = values.pop("size"), values.pop("source_height")
    return TrackedVideo(pictures=pictures, size=(int(size[0]), int(size[1])), source_height=int(height), **values)


def find_shots(video: TrackedVideo, config: VideoConfig) -> list[PeopleShot]:
    """Runs of frames, within shots, that keep to the settings."""
    scale = video.source_height / video.size[0]
    heights = np.nan_to_num(video.boxes_xyxy[..., 3] - video.boxes_xyxy[..., 1]) * scale
    usable = ((heights >= config.min_height_px) & video.person_valid).sum(0) >= config.min_people
    shots, start = [], 0
    for frame in range(len(usable) + 1):
        ends = (
            frame == len(usable)
            or not usable[frame]
            or (frame > start and video.segment[frame] != video.segment[start])
        )
        if ends:
            if frame - start >= config.min_frames:
                shots.append(PeopleShot(video=video, start=start, end=frame))
            start = frame if frame < len(usable) and usable[frame] else frame + 1
    return shots


def _default_finder(config: PeopleConfig) -> PeopleFinder:
    def find(clip: Clip, size: tuple[int, int]) -> tuple[Tracks, Landmarks]:
        with warnings.catch_warnings():
            # Nobody in a video is no trouble here: the filter leaves it out.
            warnings.simplefilter("ignore", DegradedResultWarning)
            return find_people(clip, mask_size=size, config=replace(config))

    return find


def _gather(clip: Clip, tracks: Tracks, landmarks: Landmarks) -> dict[str, ndarray]:
    return {
        "timestamps_s": clip.timestamps_s.numpy(),
        "segment": clip.segment.numpy(),
        "size": np.array(clip.size),
        "source_height": np.array(clip.source_size[0]),
        "person_valid": tracks.valid.numpy(),
        "boxes_xyxy": tracks.boxes_xyxy.numpy(),
        "landmarks_px": landmarks.px.numpy(),
        "landmarks_world": landmarks.world.numpy(),
        "landmark_score": landmarks.score.numpy(),
    }


def _write_pictures(path: Path, clip: Clip, tracks: Tracks) -> Int[ndarray, "T2"]:
    """Encode frames and labels into one array of bytes; returns where each ends."""
    encoded = [_encode(image.numpy(), "JPEG") for image in clip.images]
    labels = (tracks.masks[:] + 1).clamp(0, _MAX_LABEL + 1).numpy().astype(np.uint8)
    labels[labels == _MAX_LABEL + 1] = 0
    encoded += [_encode(label, "PNG") for label in labels]
    with written_beside(path) as beside, beside.open("wb") as file:
        np.save(file, np.frombuffer(b"".join(encoded), np.uint8))
    return np.cumsum([len(picture) for picture in encoded])


def _encode(picture: UInt8[ndarray, "h w *c"], kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": _JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def _save(path: Path, arrays: dict[str, ndarray]) -> None:
    with written_beside(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _pad(values: ndarray) -> ndarray:
    """Zeros up to ``SHARD_PEOPLE`` along the first axis."""
    padded = np.zeros((SHARD_PEOPLE, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded
