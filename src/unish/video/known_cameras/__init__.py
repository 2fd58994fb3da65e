"""Cameras that are known: files of other programs, and which of their poses belongs to which frame."""

from unish.video.known_cameras.assign import list_camera_files, read_known_cameras

__all__ = ["list_camera_files", "read_known_cameras"]
