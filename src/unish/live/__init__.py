"""Videos that are still being made: from a pipe or a camera, with results of each window while more comes."""

from unish.live.camera import CameraSource
from unish.live.pipe import PipeSource

__all__ = ["CameraSource", "PipeSource"]
