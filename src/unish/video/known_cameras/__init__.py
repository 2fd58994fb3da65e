"""Cameras that are known: files of other programs, and which of their poses belongs to which frame."""

from unish.video.known_cameras.assign import read_known_cameras

__all__ = ["read_known_cameras"]
