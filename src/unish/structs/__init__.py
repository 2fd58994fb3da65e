"""Frozen records that cross stage borders. They hold data and simple views of it; stages hold the behaviour."""

from unish.structs.body_params import BodyParams
from unish.structs.camera import Camera, FocalSource, KnownCameras, Lens
from unish.structs.clip import Clip
from unish.structs.frames import FrameArray, Frames, FrameTensor, cut_frames, join_frames, pick_frames
from unish.structs.people import NUM_LANDMARKS, Crops, Landmarks, Tracks
from unish.structs.person_points import PeopleCloud, PersonPoints, ReliefCrops
from unish.structs.prediction import CONFIDENT, HumanInputs, Prediction
from unish.structs.reconstruction import FORMAT, Reconstruction

__all__ = [
    "CONFIDENT",
    "FORMAT",
    "NUM_LANDMARKS",
    "BodyParams",
    "Camera",
    "Clip",
    "Crops",
    "FocalSource",
    "FrameArray",
    "FrameTensor",
    "Frames",
    "HumanInputs",
    "KnownCameras",
    "Landmarks",
    "Lens",
    "PeopleCloud",
    "PersonPoints",
    "Prediction",
    "Reconstruction",
    "ReliefCrops",
    "Tracks",
    "cut_frames",
    "join_frames",
    "pick_frames",
]
