"""Clips and people to predictions: the network and everything it is made of."""

from unish.network.config import PRESETS, UniSHConfig
from unish.network.crop_net import load_crop_net
from unish.network.initialisation import Initialisation, initialise_backbone, initialise_scene
from unish.network.person_features import PersonFeatures
from unish.network.unish import UniSH

__all__ = [
    "PRESETS",
    "Initialisation",
    "PersonFeatures",
    "UniSH",
    "UniSHConfig",
    "initialise_backbone",
    "initialise_scene",
    "load_crop_net",
]
