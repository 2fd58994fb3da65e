"""A camera of this machine: recorded first, then reconstructed as the file that was recorded."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from jaxtyping import UInt8
from numpy import ndarray

from unish.errors import InputError
from unish.io import WorkFolder
from unish.live.follow import Follower, Tell
from unish.live.windows import WindowFeed
from unish.passes import Models
from unish.settings import Settings
from unish.video.sources.display import Display
from unish.video.sources.files import FileFrame

RECORDING = "camera.mkv"
"""In the folder of the result: the frames that were kept."""
_MAX_WAITING = 30
"""Frames that wait to be recorded, about a second of them."""
_MILLISECONDS = Fraction(1, 1000)

Pictures = Iterator[tuple[float, UInt8[ndarray, "H W 3"]]]
"""Seconds of any clock, and RGB."""


def open_camera(number: int) -> Pictures:
    """Pictures of a camera of this machine, as they come.

    Raises:
        InputError: OpenCV is not installed, or there is no such camera.
    """
    try:
        import cv2
    except ImportError:
        raise InputError("--camera needs OpenCV: pip install 'unish[camera]'") from None
    camera: Any = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise InputError(f"camera {number} cannot be opened; see that it is there and no other program uses it")
        while True:
            whole, picture = camera.read()
            if not whole:
                return
            yield time.monotonic(), np.ascontiguousarray(picture[..., ::-1])
    finally:
        camera.release()


@dataclass
class CameraSource:
    """A camera. Its pictures are recorded until ``end`` or ``max_frames`` of the settings, Ctrl-C, or its own end.

    The result is that of the recording, which stays beside it. Pictures that come faster than they can be recorded are
    left out whole, and ``notes`` say how many. While it records, ``tell`` gets results of the windows; frames for which
    more than two windows wait are recorded and not shown.

    Attributes:
        number: of the camera.
        tell: takes what is known of each window; ``None`` waits for the end. See ``unish.live.follow``.
        announce: told in a sentence what happens.
        pictures: of the camera.
    """

    number: int
    tell: Tell | None = None
    announce: Callable[[str], None] = lambda sentence: None
    pictures: Callable[[int], Pictures] = open_camera
    notes: list[str] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _error: BaseException | None = None
    _num_come: int = 0
    _num_recorded: int = 0

    @property
    def name(self) -> str:
        return f"camera {self.number}"

    def receive(self, out: Path, work: WorkFolder, settings: Settings, models: Models) -> Path:
        """See ``unish.into_folder.LiveSource``.

        Raises:
            InputError: see ``open_camera``; or no picture came.
        """
        path = work.scratch / RECORDING
        waiting: queue.Queue[tuple[float, UInt8[ndarray, "H W 3"]] | None] = queue.Queue(_MAX_WAITING)
        feed = WindowFeed(settings, waits=False, name=self.name)
        threads = [
            threading.Thread(target=self._run, args=(self._capture, waiting, settings), daemon=True),
            threading.Thread(target=self._run, args=(self._record, waiting, path, feed), daemon=True),
        ]
        self.announce(f"recording {self.name}; Ctrl-C ends the recording")
        for thread in threads:
            thread.start()
        follower = Follower(settings, models)
        try:
            for window in feed:
                if self.tell is not None:
                    self.tell(follower.follow(window))
        except KeyboardInterrupt:
            self.announce("the recording has ended")
        finally:
            self._ending.set()
            feed.close()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error
        if not self._num_recorded:
            raise InputError(f"no picture came from {self.name}; see that it is there and no other program uses it")
        self._note(feed)
        # Whatever becomes of the reconstruction, what was filmed cannot be filmed again.
        return path.replace(out / RECORDING)

    def _run(self, work: Callable[..., None], *args: Any) -> None:
        """What goes wrong in a thread is raised in the main one, and ends the other."""
        try:
            work(*args)
        except BaseException as error:
            self._error = self._error or error
            self._ending.set()

    def _capture(self, waiting: queue.Queue[Any], settings: Settings) -> None:
        first_s: float | None = None
        try:
            for clock_s, picture in self.pictures(self.number):
                first_s = clock_s if first_s is None else first_s
                if self._ending.is_set() or (settings.end is not None and clock_s - first_s > settings.end):
                    return
                self._num_come += 1
                try:
                    waiting.put_nowait((clock_s - first_s, picture))
                except queue.Full:
                    continue
        finally:
            waiting.put(None)

    def _record(self, waiting: queue.Queue[Any], path: Path, feed: WindowFeed) -> None:
        try:
            with av.open(str(path), "w", format="matroska") as container:
                stream: Any = None
                last_ms = -1
                while (come := waiting.get()) is not None:
                    time_s, picture = come
                    if stream is None:
                        stream = _add_stream(container, picture.shape)
                    frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
                    last_ms = max(last_ms + 1, round(time_s * 1000))
                    frame.pts, frame.time_base = last_ms, _MILLISECONDS
                    container.mux(stream.encode(frame))
                    shown = FileFrame(
                        index=self._num_recorded,
                        time_s=last_ms / 1000,
                        frame=frame,
                        display=Display(),
                        pixel_aspect=1.0,
                    )
                    self._num_recorded += 1
                    if not feed.push(shown):
                        self._ending.set()
                if stream is not None:
                    container.mux(stream.encode(None))
        finally:
            feed.finish()
            # The other thread must not wait for room.
            while self._ending.is_set() and not waiting.empty():
                waiting.get_nowait()

    def _note(self, feed: WindowFeed) -> None:
        left_out = self._num_come - self._num_recorded
        if left_out:
            self.notes.append(
                f"{left_out} of {self._num_come} pictures of {self.name} came faster than they could be recorded and "
                "were left out"
            )
        if feed.num_left_out:
            self.announce(f"{feed.num_left_out} frames were recorded but not followed: more than two windows waited")


def _add_stream(container: Any, shape: tuple[int, ...]) -> Any:
    """Pictures that are coded one by one, so that a recording that breaks off can be read up to there."""
    stream = container.add_stream("mjpeg", rate=30, options={"qmin": "2", "qmax": "2"})
    stream.height, stream.width, stream.pix_fmt = shape[0] - shape[0] % 2, shape[1] - shape[1] % 2, "yuvj420p"
    stream.codec_context.time_base = _MILLISECONDS
    return stream
