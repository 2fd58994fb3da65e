"""Video file or folder of images → ``Clip``."""

from unish.video.borders.inside import Placement, place_inside, put_back, read_inside_bars, show_inside_bars
from unish.video.borders.overlays import find_overlaid
from unish.video.headers import Headers, read_headers
from unish.video.known_cameras import list_camera_files, read_known_cameras
from unish.video.read import read_clip
from unish.video.resize import processed_size, resize_images
from unish.video.sampling import TickSampler

__all__ = [
    "Headers",
    "Placement",
    "TickSampler",
    "find_overlaid",
    "list_camera_files",
    "place_inside",
    "processed_size",
    "put_back",
    "read_clip",
    "read_headers",
    "read_inside_bars",
    "read_known_cameras",
    "resize_images",
    "show_inside_bars",
]
