"""Video file or folder of images → ``Clip``."""

from unish.video.read import read_clip
from unish.video.resize import processed_size, resize_images

__all__ = ["processed_size", "read_clip", "resize_images"]
