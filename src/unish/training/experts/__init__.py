"""Experts for distillation: whoever knows the shape of people from one picture."""

from unish.training.experts.crop import CropExpert, CropNet, CropNetConfig
from unish.training.experts.files import FileExpert, write_frames
from unish.training.experts.moge import MogeExpert
from unish.training.experts.protocol import DepthExpert, ExpertView

__all__ = [
    "CropExpert",
    "CropNet",
    "CropNetConfig",
    "DepthExpert",
    "ExpertView",
    "FileExpert",
    "MogeExpert",
    "write_frames",
]
