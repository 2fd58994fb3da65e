"""Camera paths: what a person with a phone, a tripod, a mast or a drone would film."""

from unish.synthetic.cameras.lenses import draw_intrinsics
from unish.synthetic.cameras.paths import CameraPath, draw_camera_path
from unish.synthetic.cameras.poses import look_matrices

__all__ = ["CameraPath", "draw_camera_path", "draw_intrinsics", "look_matrices"]
