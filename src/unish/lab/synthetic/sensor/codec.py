"""What JPEG and video codecs do to pictures."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image


def compress_images(images: UInt8[ndarray, "T H W 3"], quality: int) -> UInt8[ndarray, "T H W 3"]:
    """Each picture as a JPEG of this quality (1–95)."""
    result = np.empty_like(images)
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        result[number] = np.asarray(Image.open(buffer))
    return result


@lru_cache(maxsize=1)
def find_video_codec() -> str | None:
    """``libx264`` (H.264), else ``mpeg4``, else none: what this build of FFmpeg can write."""
    for name in ("libx264", "mpeg4"):
        try:
            av.Codec(name, "w")
        except (av.FFmpegError, ValueError):
            continue
        return name
    return None


def encode_video(images: UInt8[ndarray, "T H W 3"], crf: int) -> UInt8[ndarray, "T H W 3"]:
    """The pictures as a video in memory and back. ``crf`` is that of H.264 (0 clean … 51 ruined).

    Without H.264 it becomes the quantiser of MPEG-4 that looks alike, without any video codec the quality of JPEG: the
    pictures of a clip depend on the codecs that are there. One thread, so that the same codec gives the same pictures.
    """
    name = find_video_codec()
    if name is None:
        return compress_images(images, quality=int(np.clip(100 - 2.2 * (crf - 10), 5, 95)))
    height, width = images.shape[1:3]
    # Chroma has half the size: odd sides are filled up.
    even = np.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    encoder = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = even.shape[2], even.shape[1], "yuv420p"
    encoder.framerate, encoder.thread_count = Fraction(30), 1
    if name == "libx264":
        encoder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency"}
    else:
        scale = str(int(np.clip(round((crf - 14) * 0.8), 1, 31)))
        encoder.options = {"qmin": scale, "qmax": scale}
    packets = []
    for number, image in enumerate(even):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = cast(VideoCodecContext, av.CodecContext.create("h264" if name == "libx264" else name, "r"))
    decoder.thread_count = 1
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded])[:, :height, :width]
