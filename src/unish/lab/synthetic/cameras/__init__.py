"""Camera paths: what a person with a phone, a tripod, a mast or a drone would film."""

from unish.lab.synthetic.cameras.lenses import sample_intrinsics
from unish.lab.synthetic.cameras.paths import CameraPath, sample_camera_path
from unish.lab.synthetic.cameras.poses import look_matrices

__all__ = ["CameraPath", "look_matrices", "sample_camera_path", "sample_intrinsics"]
