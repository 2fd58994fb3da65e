"""Short videos with one transition between two clips, and without any: made from real clips, the same in every run.

The clips of the two halves differ, and so do their places: choose on half A, look at half B once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from numpy import ndarray

from unish.video.sources.files import FileSource

HALVES = {
    "A": {
        "cut3r_004_woman_room": "hall",
        "davis_lady-running": "restaurant",
        "dme_treadmill_collapsing": "treadmill",
        "dme_treadmill_hooligan": "treadmill",
        "gvhmr_tennis": "hard court",
        "intel_one-by-one-person": "wooden floor",
        "ntu_demo_skeleton": "laboratory",
        "openpose_video": "street",
        "pi3_skating": "ice",
        "propainter_skating0": "ice",
        "pymaf_dancer": "studio",
        "sam2_juggle": "park",
        "stgcn_skateboarding": "ramps",
        "tav_man-skiing": "snow",
        "videomimic_sitting_standing": "beam",
    },
    "B": {
        "davis_breakdance-flare": "square",
        "davis_tennis_854x480": "clay court",
        "glamr_basketball": "gym",
        "glamr_pexels-walking-dynamic": "forest",
        "hybrik_taiji": "room",
        "mmhuman3d_multi_person_demo": "courtyard",
        "mmhuman3d_single_person_demo": "courtyard",
        "opencv_vtest_0-400": "campus",
        "phalp_runner": "athletics hall",
        "propainter_skatepark": "skate park",
        "sam2_bedroom": "bedroom",
        "sapiens_reel1_rope": "quay",
        "stgcn_ta_chi": "wall",
        "tfjs_pose_squats": "white studio",
        "yolov7pose_football1": "stadium",
    },
}
"""Clip → place. The others of the folder hold one picture per second."""

LAST_FRAME = {"yolov7pose_football1": 112, "stgcn_skateboarding": 250}
"""Frames after it are not used: a cut, and a wall that may or may not be one."""

PER_KIND = 11
SIZE = (72, 128)
"""(height, width) of the pictures; the clips are held at twice that."""
_MOST_FRAMES = 260
_CLEAN_S = 1.5
"""Length of what stands before and after a transition."""

Picture = Float32[ndarray, "h w 3"]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A short video.

    Attributes:
        share: of each frame, how much of it shows the second clip (or black, or white); 0 where there is no transition.
        truth: seconds from the first frame that is not the first clip alone to the first that is the second one alone.
    """

    name: str
    kind: str
    times_s: Float[ndarray, "T"]
    pictures: UInt8[ndarray, "T 72 128 3"]
    mixed: Bool[ndarray, "T"]
    truth: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Source:
    """A clip in memory, 16:9, played back and forth where it is too short."""

    name: str
    place: str
    rate: float
    pictures: UInt8[ndarray, "T 144 256 3"]

    def at(self, time_s: float) -> Picture:
        """The picture shown at a time, at full size, 0 to 1."""
        count = len(self.pictures)
        index = int(max(time_s, 0.0) * self.rate + 1e-6) % max(2 * count - 2, 1)
        return self.pictures[index if index < count else 2 * count - 2 - index].astype(np.float32) / 255


def read_half(folder: Path, half: str) -> list[Source]:
    return [_read(folder, name, place) for name, place in HALVES[half].items()]


def _read(folder: Path, name: str, place: str) -> Source:
    path = next(folder.glob(f"{name}.*"))
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate or 30)
    # The reader of the package goes on after a damaged frame, which one of the clips has.
    frames = islice(FileSource(path=path), LAST_FRAME.get(name, _MOST_FRAMES))
    pictures = [_fill(shown.frame.to_ndarray(format="rgb24"), (2 * SIZE[0], 2 * SIZE[1])) for shown in frames]
    return Source(name=name, place=place, rate=rate, pictures=np.stack(pictures))


def _fill(picture: UInt8[ndarray, "H W 3"], size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    """The middle of the picture in the shape of ``size``."""
    height, width = picture.shape[:2]
    wide = min(width, height * size[1] // size[0])
    high = min(height, width * size[0] // size[1])
    top, left = (height - high) // 2, (width - wide) // 2
    return shrink(picture[top : top + high, left : left + wide], size)


def _small(picture: Picture) -> Picture:
    return cv2.resize(picture, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA)


# Transitions: (first, second, progress 0..1, character of this one) → picture.


def grid() -> tuple[Float[ndarray, "h 1"], Float[ndarray, "1 w"]]:
    return (np.arange(SIZE[0])[:, None] + 0.5) / SIZE[0], (np.arange(SIZE[1])[None] + 0.5) / SIZE[1]


def dissolve(first: Picture, second: Picture, share: float, dice: dict[str, float]) -> Picture:
    return (1 - share) * first + share * second


def _fade(colour: float, first: Picture, second: Picture, share: float, dice: dict[str, float]) -> Picture:
    shown = first if share < 0.5 else second
    return colour + (shown - colour) * min(abs(1 - 2 * share) * 1.2, 1.0)


def _along(angle: float) -> Float[ndarray, "h w"]:
    """0 to 1 across the picture in a direction."""
    rows, columns = grid()
    ramp = np.cos(angle) * columns + np.sin(angle) * rows
    return (ramp - ramp.min()) / (ramp.max() - ramp.min())


def behind_edge(ramp: Float[ndarray, "h w"], share: float, soft: float) -> Float[ndarray, "h w 1"]:
    return np.clip((share * (1 + soft) - ramp) / soft, 0, 1)[..., None].astype(np.float32)


def _wipe(soft: float, first: Picture, second: Picture, share: float, dice: dict[str, float]) -> Picture:
    ramp = _along(dice["quarter"] * np.pi / 2 if dice["choice"] < 0.7 else dice["angle"])
    return dissolve(first, second, behind_edge(ramp, share, soft), dice)  # type: ignore[arg-type]


def _circle(first: Picture, second: Picture, share: float, dice: dict[str, float]) -> Picture:
    rows, columns = grid()
    radius = np.hypot((rows - 0.5) * SIZE[0] / SIZE[1], columns - 0.5)
    ramp = radius / radius.max()
    if dice["choice"] < 0.5:
        return dissolve(first, second, behind_edge(ramp, share, 0.02), dice)  # type: ignore[arg-type]
    return dissolve(second, first, behind_edge(ramp, 1 - share, 0.02), dice)  # type: ignore[arg-type]


def _slide(first: Picture, second: Picture, share: float, dice: dict[str, float]) -> Picture:
    """The new picture comes in from a side; it pushes the old one out or covers it."""
    eased = share * share * (3 - 2 * share)
    axis = int(dice["quarter"]) % 2
    if dice["quarter"] >= 2:
        first, second = np.flip(first, axis), np.flip(second, axis)
    length = SIZE[axis]
    shift = round(eased * length)
    old = first if dice["choice"] < 0.4 else np.roll(first, -shift, axis)
    shown = old.copy()
    inside = (slice(length - shift, None),) if axis == 0 else (slice(None), slice(length - shift, None))
    source = (slice(0, shift),) if axis == 0 else (slice(None), slice(0, shift))
    shown[inside] = second[source]
    return np.flip(shown, axis) if dice["quarter"] >= 2 else shown


def _pixelise(first: Picture, second: Picture, share: float, dice: dict[str, float]) -> Picture:
    """Both become blocks, coarser towards the middle, where the one dissolves into the other."""
    mixed = dissolve(first, second, float(np.clip((share - 0.35) / 0.3, 0, 1)), dice)
    blocks = max(4, round(SIZE[1] * (1 - 1.9 * min(share, 1 - share))))
    coarse = cv2.resize(mixed, (blocks, max(3, blocks * SIZE[0] // SIZE[1])), interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_NEAREST)


Mixer = Callable[[Picture, Picture, float, dict[str, float]], Picture]
TRANSITIONS: dict[str, tuple[Mixer, tuple[float, float]]] = {
    "cut": (dissolve, (0.0, 0.0)),
    "dissolve, short": (dissolve, (0.25, 0.6)),
    "dissolve, long": (dissolve, (1.2, 1.8)),
    "fade through black": (partial(_fade, 0.0), (0.5, 1.6)),
    "fade through white": (partial(_fade, 1.0), (0.3, 1.2)),
    "wipe, hard edge": (partial(_wipe, 0.01), (0.4, 1.2)),
    "wipe, soft edge": (partial(_wipe, 0.4), (0.5, 1.4)),
    "slide": (_slide, (0.3, 1.0)),
    "circle": (_circle, (0.4, 1.3)),
    "pixelise": (_pixelise, (0.4, 1.0)),
}
"""Kind → what draws it, and its shortest and longest duration in seconds."""


def make_transitions(sources: list[Source], *, per_kind: int = PER_KIND) -> Iterator[Stretch]:
    for kind in TRANSITIONS:
        for number in range(per_kind):
            yield make_transition(sources, kind, number)


def _generator(*words: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(words).encode()))


def make_transition(sources: list[Source], kind: str, number: int) -> Stretch:
    rng = _generator(kind, number, sources[0].name)
    first = sources[int(rng.integers(len(sources)))]
    second = rng.choice(np.array([source for source in sources if source.place != first.place], dtype=object))
    mixer, durations = TRANSITIONS[kind]
    length_s, rate = float(rng.uniform(*durations)), max(first.rate, second.rate, 12.0)
    dice = {"choice": float(rng.random()), "quarter": int(rng.integers(4)), "angle": float(rng.uniform(0, 2 * np.pi))}
    start_s, second_s = (float(rng.uniform(0, 1)) for _ in range(2))
    opens = round(_CLEAN_S * rate)
    closes = opens + max(round(length_s * rate) - 1, 0)
    pictures, mixed = [], []
    for index in range(closes + round(_CLEAN_S * rate)):
        share = float(np.clip((index - opens + 1) / (closes - opens + 1), 0, 1))
        pair = [_small(one.at(since + index / rate)) for one, since in ((first, start_s), (second, second_s))]
        picture = pair[int(share)] if share in (0, 1) else mixer(*pair, share, dice)
        pictures.append(to_bytes(picture))
        mixed.append(0.03 < share < 0.97)
    return Stretch(
        name=f"{first.name} → {second.name}",
        kind=kind,
        times_s=np.arange(len(pictures)) / rate,
        pictures=np.stack(pictures),
        mixed=np.array(mixed),
        truth=(opens / rate, closes / rate),
    )


# Without a transition: (clip at full size, another one, seconds, character of this one) → picture.

Dice = dict[str, float]
LENGTH_S = 4.0


def _plain(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    return _small(source.at(dice["start"] + now_s))


def _still(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """A photograph, with noise, that starts to move."""
    noise = _generator(round(now_s * 1000), dice["seed"]).normal(0, 0.01, (*SIZE, 3)).astype(np.float32)
    return _small(source.at(dice["start"] + max(now_s - dice["middle"], 0))) + noise


def _window(source: Source, now_s: float, dice: Dice, left: float, zoom: float, top: float = 0.5) -> Picture:
    """A part of the picture, ``zoom`` times enlarged; ``left`` and ``top`` go from 0 to 1."""
    step = 2 / zoom
    rows, columns = 2 * SIZE[0] - step * SIZE[0], 2 * SIZE[1] - step * SIZE[1]
    where = np.array([[step, 0, left * columns], [0, step, top * rows]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(source.at(dice["start"] + now_s), where, (SIZE[1], SIZE[0]), flags=how)


def _whip_pan(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """From one end of the picture to the other in a blink, smeared by the motion."""
    takes = 0.15 + 0.35 * dice["choice"]
    moments = now_s + np.arange(8) / 8 / 30
    shares = np.clip((moments - dice["middle"]) / takes, 0, 1)
    eased = shares * shares * (3 - 2 * shares)
    if dice["side"] < 0.5:
        eased = 1 - eased
    return np.mean([_window(source, now_s, dice, left, 2.2) for left in eased], axis=0, dtype=np.float32)


def _fast_pan(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """To and fro, twice a picture width per second and more."""
    phase = 2 * np.pi * (0.25 + 0.35 * dice["choice"]) * now_s + dice["side"] * 6
    return _window(source, now_s, dice, 0.5 + 0.5 * np.sin(phase), 2.0)


def _near_thing(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """Something near, out of focus and smeared, goes across and may hide everything for a moment."""
    picture = _small(source.at(dice["start"] + now_s))
    takes, wide = 0.3 + 0.9 * dice["choice"], 0.5 + 0.8 * dice["side"]
    share = (now_s - dice["middle"]) / takes
    centre = -wide / 2 + share * (1 + wide)
    _, columns = grid()
    inside = np.clip((wide / 2 - np.abs(columns - centre)) / 0.06, 0, 1)[..., None].astype(np.float32)
    texture = cv2.GaussianBlur(_small(other.at(dice["start"])), (0, 0), 6) * (0.3 + 0.5 * dice["seed"])
    shift = round(float(centre) * SIZE[1])
    return (1 - inside) * picture + inside * np.roll(texture, shift, axis=1)


def _flash(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """Camera lights: one to three frames, nearly white, which decay."""
    picture = _small(source.at(dice["start"] + now_s))
    ages = [now_s - dice["middle"] - later for later in (0.0, 0.4 * dice["side"])]
    light = sum(np.exp(-age / 0.04) for age in ages if age >= 0)
    return np.minimum(picture + min(light, 1.0) * (0.5 + 0.5 * dice["choice"]), 1.0)


def _exposure(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """The light changes: out of a door, or a lamp goes off."""
    share = np.clip((now_s - dice["middle"]) / (0.05 + 0.6 * dice["side"]), 0, 1)
    gain = 2.0 ** (share * (1.6 if dice["choice"] < 0.5 else -1.6))
    return np.minimum(_small(source.at(dice["start"] + now_s)) * gain, 1.0)


def _title(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """A title with a plate appears, at once or slowly, and goes again."""
    picture = _small(source.at(dice["start"] + now_s))
    soft = 0.02 + 0.4 * dice["side"]
    strength = np.clip((now_s - 1.0) / soft, 0, 1) * np.clip((3.0 - now_s) / soft, 0, 1)
    top = int(SIZE[0] * (0.1 + 0.5 * dice["choice"]))
    plate = picture.copy()
    plate[top : top + 26, 8:-8] = 0.3 * plate[top : top + 26, 8:-8] + 0.7 * np.array([0.1, 0.2, 0.5], np.float32)
    letters = np.zeros(SIZE, np.uint8)
    cv2.putText(letters, "A TITLE 2024", (12, top + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    plate = np.maximum(plate, letters[..., None].astype(np.float32) / 255)
    return (1 - strength) * picture + strength * plate


def _zoom(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """Twice to three times as large within half a second."""
    share = np.clip((now_s - dice["middle"]) / (0.25 + 0.5 * dice["side"]), 0, 1)
    if dice["choice"] < 0.5:
        share = 1 - share
    return _window(source, now_s, dice, 0.5, float(1.05 + 1.8 * share))


def _shake(source: Source, other: Source, now_s: float, dice: Dice) -> Picture:
    """Held by somebody who runs."""
    left, top = (0.5 + 0.4 * np.sin(now_s * 2 * np.pi * rate + dice["seed"] * 9) for rate in (2.7, 3.9))
    return _window(source, now_s, dice, float(left), 1.35, float(top))


PLAIN: dict[str, Callable[..., Picture]] = {
    "ordinary": _plain,
    "still": _still,
    "whip pan": _whip_pan,
    "fast pan": _fast_pan,
    "near thing": _near_thing,
    "flash": _flash,
    "exposure": _exposure,
    "title": _title,
    "zoom": _zoom,
    "shake": _shake,
}
"""Kind → what draws it."""


def make_plain(sources: list[Source], *, per_kind: int = PER_KIND) -> Iterator[Stretch]:
    """The stretches without a transition, in ten kinds, too."""
    for kind in PLAIN:
        for number in range(per_kind):
            yield make_plain_one(sources, kind, number)


def make_plain_one(sources: list[Source], kind: str, number: int) -> Stretch:
    rng = _generator(kind, number, sources[0].name)
    # Each clip in turn, from another one with each kind.
    source = sources[(number + zlib.crc32(kind.encode())) % len(sources)]
    other = sources[int(rng.integers(len(sources)))]
    dice = {name: float(rng.random()) for name in ("choice", "side", "seed")}
    dice |= {"start": float(rng.uniform(0, 2)), "middle": float(rng.uniform(1.4, 2.2))}
    rate = source.rate if kind == "ordinary" else max(source.rate, 12.0)
    times_s = np.arange(round(LENGTH_S * rate)) / rate
    shown = [PLAIN[kind](source, other, float(now_s), dice) for now_s in times_s]
    return Stretch(
        name=source.name,
        kind=kind,
        times_s=times_s,
        pictures=np.stack([to_bytes(picture) for picture in shown]),
        mixed=np.zeros(len(times_s), bool),
        truth=None,
    )


def shrink(picture: UInt8[ndarray, "H W 3"], size: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


def to_bytes(picture: Picture) -> UInt8[ndarray, "h w 3"]:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
