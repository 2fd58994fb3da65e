"""Camera paths: what a person with a phone, a tripod, a mast or a drone would film."""

from unish.lab.synthetic.cameras.lenses import draw_intrinsics
from unish.lab.synthetic.cameras.paths import CameraPath, draw_camera_path
from unish.lab.synthetic.cameras.poses import look_matrices

__all__ = ["CameraPath", "draw_camera_path", "draw_intrinsics", "look_matrices"]
