"""Video file or folder of images → ``Clip``."""

from unish.video.inside import put_back, read_inside_bars, show_inside_bars
from unish.video.overlays import find_overlaid
from unish.video.read import read_clip
from unish.video.resize import processed_size, resize_images

__all__ = [
    "find_overlaid",
    "processed_size",
    "put_back",
    "read_clip",
    "read_inside_bars",
    "resize_images",
    "show_inside_bars",
]
