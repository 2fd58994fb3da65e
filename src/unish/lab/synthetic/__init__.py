"""Synthetic clips with exact truth: places, people, cameras, pictures."""

from unish.lab.synthetic.clip import make_clip, write_clips
from unish.lab.synthetic.config import HELD_BACK_SEED, SKY_DEPTH, SynthConfig
from unish.lab.synthetic.observe import clip_from_truth, observe_people

__all__ = [
    "HELD_BACK_SEED",
    "SKY_DEPTH",
    "SynthConfig",
    "clip_from_truth",
    "make_clip",
    "observe_people",
    "write_clips",
]
