"""One camera per clip: light, lens, chip, processing and codec, in the order in which they happen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray

from unish.lab.synthetic.sensor.codec import compress_images, encode_video
from unish.lab.synthetic.sensor.filters import blur_images, defocus_images, smear_images
from unish.lab.synthetic.sensor.motion import measure_motion
from unish.render import Frame

Rng = np.random.Generator
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
BRIGHTEST = 4.0
"""Linear light is cut here before the tone curve; white is 1."""
CURVE_STEPS = 4096
METERED = 3.0
"""Exposure counts what is brighter than this many times the median of a picture as that bright."""


def record_images(
    rng: Rng,
    frames: Sequence[Frame],
    joints: Float[ndarray, "P T 24 3"],
    c2stage: Float[ndarray, "T 4 4"],
    intrinsics: Float[ndarray, "3 3"],
    timestamps_s: Float[ndarray, "T"],
    *,
    outdoors: bool,
) -> UInt8[ndarray, "T H W 3"]:
    """The pictures (T, H, W, 3) that a drawn camera makes of the rendered frames, pixel by pixel in the same place.

    In linear light: exposure that drifts, white balance, vignette, defocus, motion blur, noise and the softness of
    demosaicing. Then the tone curve, saturation, sharpening, the softness of scaling, eight bits, and a codec. Left
    out because truth would no longer fit: distortion of the lens and rolling shutter.
    """
    light = _to_linear(np.stack([frame.colour for frame in frames]))
    light *= _sample_exposure(rng, light, timestamps_s)[:, None, None, None] * _sample_balance(rng, outdoors)
    light *= _sample_vignette(rng, light.shape[1:3], intrinsics)[..., None]
    if rng.random() < 0.15:
        light = _sample_defocus(rng, light, frames, intrinsics)
    if rng.random() < 0.7:
        motion = measure_motion(frames, joints, c2stage, intrinsics, timestamps_s)
        light = smear_images(light, motion * sample_shutter_s(rng, outdoors, timestamps_s))
    light = blur_images(add_noise(rng, light, _sample_noise(rng, outdoors)), rng.uniform(0.1, 0.45))
    picture = _sample_curve(rng)[np.clip(light * (CURVE_STEPS / BRIGHTEST), 0, CURVE_STEPS).astype(np.int32)]
    picture = _process(rng, picture)
    recorded = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    chance = rng.random()
    if chance < 0.45:
        return encode_video(recorded, crf=int(rng.triangular(14, 22, 36)))
    return compress_images(recorded, quality=int(rng.integers(35, 95))) if chance < 0.7 else recorded


def sample_shutter_s(rng: Rng, outdoors: bool, timestamps_s: Float[ndarray, "T"]) -> float:
    """Seconds for which the shutter is open: 1/100 to 1/25 indoors, 1/1000 to 1/50 outdoors, as cameras choose; never
    longer than the time between two frames."""
    low, high = (0.001, 0.02) if outdoors else (0.01, 0.04)
    shutter = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return min(shutter, float(np.diff(timestamps_s).min(initial=1.0)))


def add_noise(
    rng: Rng, light: Float32[ndarray, "T H W 3"], strength: tuple[float, float, float]
) -> Float32[ndarray, "T H W 3"]:
    """Noise of the photons (variance = first · light), of reading (second: standard deviation) and coarse blotches of
    colour (third: standard deviation), in linear light."""
    shot, read, chroma = strength
    noise = rng.standard_normal(light.shape, np.float32)
    noise *= np.sqrt(shot * np.maximum(light, 0) + read**2)
    if chroma > 0:
        total, height, width, _ = light.shape
        coarse = rng.standard_normal((total, -(-height // 3), -(-width // 3), 3), np.float32) * np.float32(chroma)
        coarse -= coarse.mean(-1, keepdims=True)
        noise += coarse.repeat(3, 1).repeat(3, 2)[:, :height, :width]
    return light + noise


@lru_cache(maxsize=1)
def _linear_of_code() -> Float32[ndarray, "256"]:
    code = np.arange(256) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _to_linear(images: UInt8[ndarray, "T H W 3"]) -> Float32[ndarray, "T H W 3"]:
    return _linear_of_code()[images]


def _sample_exposure(
    rng: Rng, light: Float32[ndarray, "T H W 3"], timestamps_s: Float[ndarray, "T"]
) -> Float32[ndarray, "T"]:
    """Gain per frame. Exposure follows what is in view, late and in part, towards a grey that differs from clip to
    clip; some clips are locked. The meter does not let windows and lamps darken all the rest."""
    seen_light = (light[:, ::4, ::4] @ LUMA).reshape(len(light), -1)
    bright = METERED * np.median(seen_light, axis=1, keepdims=True)
    level = np.log(np.maximum(np.minimum(seen_light, bright).mean(1), 0.01))
    aim = rng.normal(np.log(0.25), 0.3)
    seen = np.zeros(len(level))
    seen[0] = level[0] + rng.normal(0, 0.12)
    delay = np.exp(rng.uniform(np.log(0.15), np.log(3.0))) if rng.random() < 0.75 else np.inf
    for frame in range(1, len(level)):
        follow = 1 - np.exp(-(timestamps_s[frame] - timestamps_s[frame - 1]) / delay)
        seen[frame] = seen[frame - 1] + follow * (level[frame] - seen[frame - 1])
    wander = rng.normal(0, 0.02, len(level))
    return np.exp(np.clip(aim - seen, -1.6, 2.2) + wander).astype(np.float32)


def _sample_balance(rng: Rng, outdoors: bool) -> Float32[ndarray, "3"]:
    """Gains of the colours: too warm or too cold (lamps more than daylight), a little too green or magenta."""
    warm, green = rng.normal(0, 0.07 if outdoors else 0.13), rng.normal(0, 0.03)
    gains = np.exp(np.array([warm, green, -warm]))
    return (gains / (gains @ LUMA)).astype(np.float32)


def _sample_vignette(rng: Rng, size: tuple[int, int], intrinsics: Float[ndarray, "3 3"]) -> Float32[ndarray, "H W"]:
    """A share of the natural fall-off, the fourth power of the cosine of the angle to the axis."""
    x = (np.arange(size[1]) + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0]
    y = ((np.arange(size[0]) + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1])[:, None]
    natural = 1 / (1 + np.minimum(x**2 + y**2, 1.0)) ** 2
    return (1 - rng.beta(1.2, 3) * (1 - natural)).astype(np.float32)


def _sample_defocus(
    rng: Rng, light: Float32[ndarray, "T H W 3"], frames: Sequence[Frame], intrinsics: Float[ndarray, "3 3"]
) -> Float32[ndarray, "T H W 3"]:
    """Focus on the nearest person or on the middle of the picture, the same through the clip or following; lenses from
    phones' (3 mm wide) to large ones (40 mm)."""
    depth = np.stack([frame.depth for frame in frames])
    ids = np.stack([frame.ids for frame in frames])
    height, width = depth.shape[1:]
    middle = depth[:, height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)]
    focus = np.zeros(len(depth))
    for number in range(len(depth)):
        person = depth[number][ids[number] >= 0]
        near = person if len(person) > 0.01 * height * width else middle[number][middle[number] > 0]
        focus[number] = np.median(near) if len(near) else 50.0
    if rng.random() < 0.6:
        focus[:] = focus[0] * rng.uniform(0.8, 1.3)
    aperture = np.exp(rng.uniform(np.log(0.003), np.log(0.04)))
    return defocus_images(light, depth, np.maximum(focus, 0.15), float(aperture * intrinsics[0, 0]))


def _sample_noise(rng: Rng, outdoors: bool) -> tuple[float, float, float]:
    """Strengths as ``add_noise`` takes them: a good chip in daylight to a poor one in the dark."""
    level = rng.uniform(0, 0.6 if outdoors else 1.0) ** 1.5
    return 0.0025 * level, 0.008 * level, 0.012 * level * (rng.random() < 0.5)


def _sample_curve(rng: Rng) -> Float32[ndarray, "C"]:
    """Linear light 0 … ``BRIGHTEST`` → code 0 … 1: shoulder or hard clipping, sRGB, contrast about the middle grey,
    lifted or crushed shadows."""
    light = np.linspace(0, BRIGHTEST, CURVE_STEPS + 1)
    if rng.random() < 0.75:
        knee = rng.uniform(0.5, 0.9)
        light = np.where(light > knee, knee + (1 - knee) * np.tanh((light - knee) / (1 - knee)), light)
    light = np.clip(light, 0, 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    strength = np.exp(rng.normal(0.35, 0.25))
    bent = np.where(code < 0.45, 0.45 * (code / 0.45) ** strength, 1 - 0.55 * ((1 - code) / 0.55) ** strength)
    black = rng.normal(0.0, 0.025)
    return (black + (1 - black) * bent).clip(0, 1).astype(np.float32)


def _process(rng: Rng, picture: Float32[ndarray, "T H W 3"]) -> Float32[ndarray, "T H W 3"]:
    """Saturation, the softness of scaling, the halo of sharpening."""
    grey = (picture @ LUMA)[..., None]
    picture = grey + np.float32(np.clip(rng.normal(0.8, 0.22), 0.0, 1.4)) * (picture - grey)
    if rng.random() < 0.25:
        picture = blur_images(picture, rng.uniform(0.3, 0.9))
    if rng.random() < 0.7:
        halo = np.float32(rng.uniform(0.1, 1.0))
        picture = picture + halo * (picture - blur_images(picture, rng.uniform(0.6, 1.1)))
    return picture
