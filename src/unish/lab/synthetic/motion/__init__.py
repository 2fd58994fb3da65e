"""Motion of people without a body: joint rotations in SMPL order and a path of the pelvis over a floor."""

from unish.lab.synthetic.motion.collection import MotionLibrary, load_library, read_motion
from unish.lab.synthetic.motion.grounding import ground_motion
from unish.lab.synthetic.motion.procedural import ACTIONS, sample_motion
from unish.lab.synthetic.motion.record import Motion, mirror_motion, resample_motion, turn_motion

__all__ = [
    "ACTIONS",
    "Motion",
    "MotionLibrary",
    "ground_motion",
    "load_library",
    "mirror_motion",
    "read_motion",
    "resample_motion",
    "sample_motion",
    "turn_motion",
]
