"""Experts for distillation: whoever knows the shape of people from one picture."""

from unish.lab.training.experts.crop import CropExpert
from unish.lab.training.experts.files import FileExpert, write_frames
from unish.lab.training.experts.moge import MogeExpert
from unish.lab.training.experts.protocol import DepthExpert, ExpertView

__all__ = [
    "CropExpert",
    "DepthExpert",
    "ExpertView",
    "FileExpert",
    "MogeExpert",
    "write_frames",
]
